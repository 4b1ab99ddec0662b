"""Points glide from frame to frame, go where their features go, and keep their neighbours."""

import itertools

import numpy as np
import pytest

from engine.maps import moving_map as module
from engine.maps.fixed_map import fixed_map
from engine.maps.moving_map import MapFrame, MovingMap, aligned, displacement, replay
from engine.maps.neighbours import overlap, recall
from tests.engine.maps.moving_samples import Course, Floats, course, groups, lay_out, small_course

MOVERS = np.arange(40)


@pytest.fixture(scope="module")
def migration() -> Course:
    """40 of the 60 rows of group 0 go over to group 1 in ten steps, after one epoch of rest and before two."""
    rows, group, centres = groups(6, 60, far=6)
    rng = np.random.default_rng(9)
    features = []
    for epoch in range(14):
        moved = rows + rng.normal(0, 0.1, rows.shape)
        moved[MOVERS] += np.clip((epoch - 1) / 10, 0, 1) * (centres[1] - centres[0])
        features.append(moved.astype(np.float32))
    return course(features, group)


@pytest.fixture(scope="module")
def drift() -> Course:
    """Eight groups that wander, part, and stir within, as features do while a net trains."""
    rows, group, centres = groups(8, 50, far=4, seed=1)
    rng = np.random.default_rng(21)
    inside = rows - centres[group]
    features = []
    for epoch in range(8):
        features.append((centres[group] * (1 + 0.1 * epoch) + inside).astype(np.float32))
        centres = centres + rng.normal(0, 0.25, centres.shape)
        inside = 0.97 * inside + 0.24 * rng.normal(size=inside.shape)
    return course(features, group)


@pytest.fixture(scope="module")
def alone(drift: Course) -> list[Floats]:
    """Each epoch of the drift laid out without the others, and only turned onto the one before."""
    found: list[Floats] = []
    for rows in drift.features:
        xy = fixed_map(rows, seed=0, report=lambda *_: None)
        found.append(aligned(xy, found[-1] if found else xy))
    return found


def test_points_whose_neighbours_lie_elsewhere_are_let_go_at_once(monkeypatch) -> None:
    rng = np.random.default_rng(2)
    centres = rng.normal(0, 4, (6, 20))  # so far apart that only the last step brings the movers among the others
    rows = np.repeat(centres, 60, axis=0) + rng.normal(0, 0.6, (360, 20))
    features = []
    for share in (*np.linspace(0, 1, 4), 1):
        moved = rows + rng.normal(0, 0.02, rows.shape)
        moved[MOVERS] += share * (centres[1] - centres[0])
        features.append(moved.astype(np.float32))

    def arrived() -> float:
        last = lay_out(features)[-1].xy
        left, target = np.median(last[40:60], axis=0), np.median(last[60:120], axis=0)
        far = [np.linalg.norm(last[MOVERS] - place, axis=1) for place in (left, target)]
        return float((far[1] < far[0]).mean())

    assert arrived() >= 0.9
    monkeypatch.setattr(module, "_in_place", lambda affinities, before: np.ones(len(before)))
    assert arrived() < 0.5


@pytest.mark.parametrize("kind", ["live", "smoothed"])
def test_features_that_only_turn_or_grow_hardly_move_a_point(kind: str) -> None:
    rows, group, _ = groups(8, 50, far=6)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(20, 20)))[0].astype(np.float32)
    same = course([rows, rows, rows @ turn, rows * 1e3 + 5, rows @ turn @ turn * 1e-3, rows], group)
    moves = displacement(same.maps(kind))
    assert (moves.mean(axis=1) <= 0.01).all()
    assert moves.max() < 0.04
    assert moves.max() > 0  # it was laid out again, not copied


@pytest.mark.parametrize("kind", ["live", "smoothed"])
def test_points_whose_features_go_over_to_another_group_arrive_there_and_the_others_stay(
    migration: Course, kind: str
) -> None:
    maps = migration.maps(kind)
    stay = np.setdiff1d(np.arange(360), MOVERS)
    medians = np.stack([np.median(maps[-1][stay][migration.group[stay] == g], axis=0) for g in range(6)])
    arrived = [(np.linalg.norm(xy[MOVERS][:, None] - medians, axis=2).argmin(axis=1) == 1).mean() for xy in maps]
    assert arrived[-1] >= 0.9
    assert arrived[9] >= 0.9  # at 80 % of the way: with ten times the pull they would lag
    assert max(arrived[:4]) <= 0.1  # at 20 %: not there before they could be
    moves = displacement(maps)
    assert moves[:, stay].mean() <= 0.03
    if kind == "smoothed":
        assert moves[:, MOVERS].max() <= 0.6


def test_smoothing_takes_the_last_frame_as_it_is_and_calms_the_way_there(migration: Course, drift: Course) -> None:
    for found in (migration, drift):
        np.testing.assert_array_equal(found.smoothed[-1].xy, found.live[-1].xy)
        live, smoothed = displacement(found.maps("live")), displacement(found.maps("smoothed"))
        assert smoothed.mean() < 0.85 * live.mean()
        assert np.percentile(smoothed, 95) < np.percentile(live, 95)
    assert not any(frame.repeated or frame.reason for frame in migration.live + migration.smoothed)


@pytest.mark.parametrize(("kind", "times"), [("live", 3), ("smoothed", 4)])
def test_unchanged_points_move_at_least_three_times_less_than_on_maps_made_alone(
    drift: Course, alone: list[Floats], kind: str, times: float
) -> None:
    pairs = zip(drift.features[:-1], drift.features[1:], strict=True)
    unchanged = np.stack([overlap(a, b) >= 0.5 for a, b in pairs])
    assert unchanged.mean() > 0.5
    together = displacement(drift.maps(kind))[unchanged].mean()
    assert together <= displacement(alone)[unchanged].mean() / times


@pytest.mark.parametrize("kind", ["live", "smoothed"])
def test_each_frame_keeps_its_neighbours_as_well_as_a_map_made_alone(
    drift: Course, alone: list[Floats], kind: str
) -> None:
    for rows, xy, own in zip(drift.features, drift.maps(kind), alone, strict=True):
        assert recall(rows, xy) >= 0.95 * recall(rows, own) > 0.3


def test_a_frame_is_of_its_own_epoch(drift: Course) -> None:
    for kind in ("live", "smoothed"):
        maps = drift.maps(kind)
        assert recall(drift.features[0], maps[0]) > 1.1 * recall(drift.features[0], maps[-1])
        assert recall(drift.features[-1], maps[-1]) > 1.1 * recall(drift.features[-1], maps[0])


@pytest.fixture(scope="module")
def small() -> list[Floats]:
    return small_course()


def test_the_same_seed_gives_the_same_bits_and_going_on_from_stored_frames_too(small: list[Floats]) -> None:
    whole = lay_out(small, seed=4)
    again = lay_out(small, seed=4)
    for at in (1, 3):
        stored = [MapFrame(frame.xy.copy(), frame.repeated, frame.reason) for frame in whole[:at]]
        resumed = MovingMap.resume(stored, seed=4)
        for rows in small[at:]:
            resumed.add(rows)
        for ours, theirs, third in zip(whole, again, resumed.frames, strict=True):
            np.testing.assert_array_equal(theirs.xy, ours.xy)
            np.testing.assert_array_equal(third.xy, ours.xy)
        assert len(stored) == at  # the caller's list stays as it was
    smoothed = [replay(whole, small.__getitem__, seed=4) for _ in range(2)]
    for a, b in zip(*smoothed, strict=True):
        np.testing.assert_array_equal(a.xy, b.xy)


def test_positions_are_centred_float32_and_the_features_stay_as_they_were(small: list[Floats]) -> None:
    before = [rows.copy() for rows in small]
    for frame in lay_out(small):
        assert (frame.xy.shape, frame.xy.dtype) == ((80, 2), np.float32)
        np.testing.assert_allclose(frame.xy.mean(axis=0), 0, atol=1e-3)
    for a, b in zip(small, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_frame_is_turned_as_near_to_the_one_before_as_it_can_be(small: list[Floats]) -> None:
    frames = lay_out(small)
    for before, frame in itertools.pairwise(frames):
        np.testing.assert_allclose(aligned(frame.xy, before.xy), frame.xy, atol=1e-4)


def test_affinities_made_anew_each_sweep_give_the_same_bits_as_kept_ones(small: list[Floats], monkeypatch) -> None:
    frames = lay_out(small)
    asked: list[int] = []

    def features(at: int) -> Floats:
        asked.append(at)
        return small[at]

    kept = replay(frames, features)
    first = len(asked)
    monkeypatch.setattr(module, "KEPT_VALUES", 180 * 80 * 5 - 1)
    anew = replay(frames, features)
    assert first <= 5  # each but the last, and one look at the shape
    assert len(asked) - first >= 12 * 4
    assert asked[-16:] == [3, 2, 1, 0, 0, 1, 2, 3] * 2  # forth and back
    for a, b in zip(kept, anew, strict=True):
        np.testing.assert_array_equal(a.xy, b.xy)


def test_smoothing_says_how_far_it_is(small: list[Floats]) -> None:
    told: list[float] = []
    replay(lay_out(small), small.__getitem__, report=told.append)
    assert len(told) >= 12
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1.0


def test_a_cancelled_round_of_two_epochs_has_two_frames(small: list[Floats]) -> None:
    frames = lay_out(small[:2])
    smoothed = replay(frames, small.__getitem__)
    np.testing.assert_array_equal(smoothed[1].xy, frames[1].xy)
    assert 0 < displacement([frame.xy for frame in smoothed]).mean() < displacement([f.xy for f in frames]).mean()
    alone = replay(frames[:1], small.__getitem__)
    np.testing.assert_array_equal(alone[0].xy, frames[0].xy)
    assert replay([], small.__getitem__) == []


def test_displacement_is_in_radii_of_the_last_frame() -> None:
    last = np.array([[3, 0], [-3, 0], [0, 3], [0, -3]], np.float32)  # radius 3
    moves = displacement([last + np.float32([6, 0]), last, last])
    np.testing.assert_allclose(moves, [[2, 2, 2, 2], [0, 0, 0, 0]], atol=1e-6)
    assert displacement([last]).shape == (0, 4)
    middle = np.float32([1, 1])
    np.testing.assert_allclose(displacement([np.tile(middle, (4, 1)), last + middle]), [[1, 1, 1, 1]])
    assert displacement([np.zeros((2, 2)), np.zeros((2, 2))]).tolist() == [[0, 0]]


def test_aligning_undoes_a_turn_a_mirror_and_a_shift_but_not_a_growth() -> None:
    onto = np.random.default_rng(0).normal(size=(30, 2))
    onto -= onto.mean(axis=0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    for change in (turn, turn @ np.diag([1, -1])):
        np.testing.assert_allclose(aligned(onto @ change + [5, -3], onto), onto, atol=1e-6)
        np.testing.assert_allclose(aligned(2 * onto @ change, onto), 2 * onto, atol=1e-6)
