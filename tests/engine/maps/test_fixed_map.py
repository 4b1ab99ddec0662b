"""The fixed map keeps alike rows together, is repeatable, reports on its way, and survives awkward input."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from engine.errors import MapError
from engine.maps import fixed_map as module
from engine.maps.features import pixels
from engine.maps.fixed_map import fixed_map


def quiet(stage: str, fraction: float, xy: NDArray[np.float32]) -> None:
    """Look at nothing."""


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images, y = load_digits(return_X_y=True)
    return pixels((images[:700] * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8)), y[:700]


def nearest_share(xy: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Share of points whose nearest other point has the same label."""
    neighbours = NearestNeighbors(n_neighbors=1).fit(xy).kneighbors(return_distance=False)[:, 0]
    return float((y[neighbours] == y).mean())


def test_digits_lie_beside_their_own_kind_and_each_picture_is_reported(digits) -> None:
    rows, y = digits
    seen: list[tuple[str, float, NDArray[np.float32]]] = []
    xy = fixed_map(rows, seed=0, report=lambda *args: seen.append(args))
    assert nearest_share(xy, y) >= 0.95
    assert xy.shape == (700, 2)
    assert xy.dtype == np.float32
    stages, fractions, pictures = zip(*seen, strict=True)
    assert stages[0] == "First picture"
    assert sum("step" in stage for stage in stages) == 15  # (250 + 500) / 50
    assert list(fractions) == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(picture.shape == (700, 2) and np.isfinite(picture).all() for picture in pictures)
    np.testing.assert_array_equal(pictures[-1], xy)
    first = nearest_share(pictures[0], y)
    assert 0.3 < first < nearest_share(xy, y) - 0.2  # a picture at once, and a better one later


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_and_threads_give_the_same_bits(digits, threads: int) -> None:
    rows = digits[0][:150]
    first = fixed_map(rows, seed=3, report=quiet, threads=threads)
    np.testing.assert_array_equal(fixed_map(rows, seed=3, report=quiet, threads=threads), first)


def test_above_the_cap_a_sample_is_laid_out_and_the_rest_lands_with_its_kind(digits, monkeypatch) -> None:
    rows, y = digits
    monkeypatch.setattr(module, "FIT_ALL", 500)
    monkeypatch.setattr(module, "SAMPLE", 450)
    monkeypatch.setattr(module, "_PLACE_AT_ONCE", 100)
    seen: list[tuple[str, NDArray[np.float32]]] = []
    xy = fixed_map(rows, seed=0, report=lambda stage, _, part: seen.append((stage, part)))
    placing = [part for stage, part in seen if stage.startswith("Placing the rest,")]
    assert len(placing) == 3  # 250 in portions of 100
    chosen = np.sort(_sample(rows, 450))
    for part in placing:
        np.testing.assert_array_equal(part[chosen], xy[chosen])  # the laid-out sample never moves
    rest = np.setdiff1d(np.arange(700), chosen)
    near = NearestNeighbors(n_neighbors=1).fit(xy[chosen]).kneighbors(xy[rest], return_distance=False)[:, 0]
    assert (y[chosen][near] == y[rest]).mean() >= 0.85


def _sample(rows: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    assert len(np.unique(rows, axis=0)) == len(rows)  # no repetition: the seed first serves the sample
    return np.random.default_rng(0).permutation(len(rows))[:size]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_fewer_than_five_points_lie_on_a_circle(n: int) -> None:
    xy = fixed_map(np.eye(4, dtype=np.float32)[:n], seed=0, report=quiet)
    assert xy.shape == (n, 2)
    if n > 1:
        np.testing.assert_allclose(np.hypot(xy[:, 0], xy[:, 1]), 1, atol=1e-6)
        assert len(np.unique(xy.round(3), axis=0)) == n


@pytest.mark.parametrize("n", [5, 6, 11])
def test_the_smallest_sets_work(n: int) -> None:
    xy = fixed_map(np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32), seed=0, report=quiet)
    assert np.isfinite(xy).all()
    assert len(np.unique(xy, axis=0)) == n


def test_a_single_feature_becomes_the_first_coordinate() -> None:
    xy = fixed_map(np.array([[1], [2], [3], [4], [5]], np.float32), seed=0, report=quiet)
    np.testing.assert_allclose(xy[:, 0], np.array([-2, -1, 0, 1, 2]) / np.sqrt(2), atol=1e-6)
    assert not xy[:, 1].any()


def test_rows_on_a_line_in_the_plane_do_not_stay_on_a_line() -> None:
    rows = np.stack([np.arange(60), np.zeros(60)], axis=1).astype(np.float32)
    xy = fixed_map(rows, seed=0, report=quiet)
    assert xy.std(axis=0).min() > 0.05 * xy.std(axis=0).max()


def test_placed_rows_lie_on_their_nearest_neighbours_although_the_library_moves_the_sample(monkeypatch) -> None:
    monkeypatch.setattr(module, "FIT_ALL", 150)
    monkeypatch.setattr(module, "SAMPLE", 140)
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(7, 10)) * 20
    group = np.concatenate([np.zeros(80, int), np.repeat(np.arange(1, 7), 14)])  # lopsided: one large group
    rows = (centres[group] + rng.normal(size=(164, 10))).astype(np.float32)
    xy = fixed_map(rows, seed=0, report=quiet)
    rest = np.setdiff1d(np.arange(164), _sample(rows, 140))
    others = np.setdiff1d(np.arange(164), rest)
    gap = np.array([np.linalg.norm(xy[others] - xy[i], axis=1).min() for i in rest])
    assert np.median(gap) < 0.05 * xy.std()


def test_repeated_rows_stay_finite_distinct_and_close_to_each_other() -> None:
    groups = np.repeat(np.random.default_rng(0).normal(size=(6, 10)), 20, axis=0).astype(np.float32)
    xy = fixed_map(groups, seed=0, report=quiet)
    assert np.isfinite(xy).all()
    assert len(np.unique(xy, axis=0)) == len(xy)
    assert nearest_share(xy, np.repeat(np.arange(6), 20)) == 1.0


@pytest.mark.parametrize("value", [0.0, 1e30])
def test_identical_rows_give_a_finite_map(value: float) -> None:
    xy = fixed_map(np.full((40, 3), value, np.float32), seed=0, report=quiet)
    assert np.isfinite(xy).all()
    assert xy.std() > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_refused_before_anything_is_computed(value: float) -> None:
    rows = np.ones((20, 4), np.float32)
    rows[[6, 9], 1] = value
    seen: list[str] = []
    with pytest.raises(MapError, match="2 of 20 rows, the first is 6"):
        fixed_map(rows, seed=0, report=lambda stage, *_: seen.append(stage))
    assert seen == []


def test_what_the_report_raises_ends_the_computation(digits) -> None:
    class Enough(BaseException):
        pass

    def stop(stage: str, fraction: float, xy: NDArray[np.float32]) -> None:
        if "step 100 " in stage:
            raise Enough

    with pytest.raises(Enough):
        fixed_map(digits[0][:100], seed=0, report=stop)


def test_positions_that_coincide_are_moved_apart_a_little_and_no_other_moves() -> None:
    xy = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    xy[10:14] = xy[9]
    apart = module._apart(xy, np.random.default_rng(1))
    assert len(np.unique(apart, axis=0)) == 200
    others = np.r_[0:10, 14:200]
    assert np.array_equal(apart[others], xy[others])
    assert 0 < np.abs(apart - xy).max() < 0.01
