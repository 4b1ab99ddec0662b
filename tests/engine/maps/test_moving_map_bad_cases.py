"""Epochs that cannot be laid out, too few or equal images, and wrong input show something true on the moving map."""

import numpy as np
import pytest

from engine.errors import MapError
from engine.maps.moving_map import MapFrame, MovingMap, displacement, replay
from engine.maps.neighbours import recall
from tests.engine.maps.moving_samples import Floats, course, groups, lay_out, small_course


@pytest.fixture(scope="module")
def small() -> list[Floats]:
    return small_course()


def spoilt(rows: Floats, how: str) -> Floats:
    rows = rows.copy()
    if how == "equal":
        rows[:] = rows[0]
    else:
        rows[3:6, 1] = {"nan": np.nan, "inf": -np.inf}[how]
    return rows


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("nan", "features of 3 images are not finite numbers"),
        ("inf", "features of 3 images are not finite numbers"),
        ("equal", "all images have the same features"),
    ],
)
def test_an_epoch_that_cannot_be_laid_out_repeats_the_frame_before_and_says_why(
    small: list[Floats], how: str, reason: str
) -> None:
    rows = [small[0], small[1], spoilt(small[2], how), small[3], spoilt(small[4], how)]
    frames = lay_out(rows)
    for found in (frames, replay(frames, rows.__getitem__)):
        assert [frame.repeated for frame in found] == [False, False, True, False, True]
        assert [frame.reason for frame in found] == ["", "", reason, "", reason]
        np.testing.assert_array_equal(found[2].xy, found[1].xy)
        np.testing.assert_array_equal(found[4].xy, found[3].xy)
        assert (found[3].xy != found[1].xy).any()
    np.testing.assert_array_equal(found[4].xy, frames[4].xy)
    without = [frames[at] for at in (0, 1, 3)]
    for a, b in zip(
        replay(without, [rows[at] for at in (0, 1, 3)].__getitem__), (found[0], found[1], found[3]), strict=True
    ):
        np.testing.assert_array_equal(a.xy, b.xy)  # what could not be laid out has no say


def test_one_spoilt_image_is_told_in_the_singular(small: list[Floats]) -> None:
    rows = small[0].copy()
    rows[7, :] = np.nan
    assert lay_out([rows])[0].reason == "features of 1 image are not finite numbers"


def test_before_the_first_good_epoch_there_is_a_circle_and_then_the_map_the_good_ones_alone_would_have(
    small: list[Floats],
) -> None:
    rows = [spoilt(small[0], "nan"), spoilt(small[1], "equal"), small[2], small[3]]
    frames = lay_out(rows)
    assert [frame.repeated for frame in frames] == [True, True, False, False]
    for frame in frames[:2]:
        np.testing.assert_allclose(np.linalg.norm(frame.xy, axis=1), 1, rtol=1e-6)
        assert len(np.unique(frame.xy, axis=0)) == 80
    for ours, theirs in zip(frames[2:], lay_out(small[2:4]), strict=True):
        np.testing.assert_array_equal(ours.xy, theirs.xy)
    smoothed = replay(frames, rows.__getitem__)
    np.testing.assert_array_equal(smoothed[0].xy, smoothed[2].xy)  # the first that is known, so that nothing bursts
    assert [frame.reason for frame in smoothed] == [frame.reason for frame in frames]
    never = lay_out(rows[:2])
    assert all(a is b for a, b in zip(replay(never, rows.__getitem__), never, strict=True))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_fewer_than_five_images_stay_on_a_circle(n: int) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 6)).astype(np.float32) for _ in range(3)]
    frames = lay_out(rows)
    for frame in [*frames, *replay(frames, rows.__getitem__)]:
        assert frame.xy.shape == (n, 2)
        np.testing.assert_allclose(frame.xy, frames[0].xy, atol=1e-6)
    assert frames[0].repeated == (n == 0)
    if n > 1:
        np.testing.assert_allclose(np.linalg.norm(frames[0].xy, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("n", [5, 6, 8, 31, 90])
def test_fewer_images_than_the_perplexity_are_laid_out(n: int, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(n)
    rows = [rng.normal(size=(n, 6)).astype(np.float32)]
    rows += [rows[0] + rng.normal(0, 0.05, (n, 6)).astype(np.float32) for _ in range(2)]
    frames = lay_out(rows)
    for frame in [*frames, *replay(frames, rows.__getitem__)]:
        assert np.isfinite(frame.xy).all()
        assert not frame.repeated
        assert len(np.unique(frame.xy, axis=0)) == n
    assert caplog.records == []  # the library says when it has to lower the perplexity itself


def test_a_single_feature_is_a_line_in_its_order_and_none_is_no_map() -> None:
    places = np.random.default_rng(0).permutation(20).astype(np.float32)[:, None]
    rows = [places, places**1.5, -places]
    frames = lay_out(rows)
    for frame, feature in zip(frames, rows, strict=True):
        assert abs(np.corrcoef(frame.xy[:, 0], feature[:, 0])[0, 1]) > 0.99999
        along = frame.xy @ (frame.xy[places[:, 0].argmax()] - frame.xy[places[:, 0].argmin()])
        np.testing.assert_array_equal(along.argsort(), places[:, 0].argsort())
        np.testing.assert_allclose(frame.xy[:, 1], 0, atol=1e-6)
    assert [frame.reason for frame in lay_out([np.zeros((20, 0), np.float32)])] == ["there are no features"]


def test_images_with_identical_features_lie_apart_together_and_part_when_their_features_do() -> None:
    rows = groups(4, 40, far=6)[0]
    twins, parted = np.arange(20), rows.copy()
    rows[twins] = rows[0]
    parted[twins] = rows[0]
    parted[twins[:10]] += rows[80] - rows[0] + parted[90:100] - parted[80]  # half of them go over to group 2
    frames = lay_out([rows, rows] + [parted] * 4)
    for frame in frames:
        assert np.isfinite(frame.xy).all()
        assert len(np.unique(frame.xy[twins], axis=0)) == 20
    radius = frames[-1].xy.std()
    assert frames[1].xy[twins].std(axis=0).max() < 0.1 * radius
    centres = np.stack([frames[-1].xy[10:40].mean(axis=0), frames[-1].xy[80:120].mean(axis=0)])
    assert np.linalg.norm(frames[-1].xy[twins[:10]] - centres[1], axis=1).max() < 0.5 * np.linalg.norm(
        centres[0] - centres[1]
    )


def test_points_that_start_at_one_place_come_apart(small: list[Floats]) -> None:
    xy = lay_out(small[:1])[0].xy.copy()
    xy[:10] = xy[0]
    found = MovingMap.resume([MapFrame(xy)]).add(small[0]).xy
    assert len(np.unique(found[:10], axis=0)) == 10
    assert found[:10].std(axis=0).min() > 0.05 * found[:20].std(axis=0).min()


def test_one_class_is_one_cloud() -> None:
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=(100, 8)).astype(np.float32)]
    rows += [rows[0] + rng.normal(0, 0.1, (100, 8)).astype(np.float32) for _ in range(2)]
    found = course(rows, np.zeros(100, np.int64))
    for kind in ("live", "smoothed"):
        assert displacement(found.maps(kind)).mean() < 0.2  # a cloud has no groups to hold a point; alone it is above 1
        assert recall(rows[-1], found.maps(kind)[-1]) > 0.4


def test_other_images_than_before_are_refused(small: list[Floats]) -> None:
    moving = MovingMap()
    moving.add(small[0])
    for wrong in (small[1][:-1], small[1][:, 0]):
        with pytest.raises(MapError, match="same images at every epoch"):
            moving.add(wrong)
    assert len(moving.frames) == 1
    moving.add(spoilt(small[1], "nan"))
    with pytest.raises(MapError, match="same images at every epoch"):
        moving.add(spoilt(small[1], "nan")[:-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda rows: rows[:-1], "79 images instead of 80"), (lambda rows: spoilt(rows, "nan"), "finite")],
)
def test_smoothing_refuses_features_that_changed_since(small: list[Floats], change, said: str) -> None:
    frames = lay_out(small[:3])
    with pytest.raises(MapError, match=said):
        replay(frames, lambda at: change(small[at]))
