"""New rows are placed among their kind on a map that does not move."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from engine.errors import MapError
from engine.maps import fixed_map as module
from engine.maps.features import fit_basis
from engine.maps.fixed_map import can_place, fixed_map, place

Floats = NDArray[np.float32]
OLD, NEW = np.arange(600), np.arange(600, 700)


def quiet(stage: str, fraction: float, xy: Floats) -> None:
    """Look at nothing."""


@pytest.fixture(scope="module")
def digits() -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Features of 600 digits, their map, features of 100 more by the same basis, all labels."""
    images, y = load_digits(return_X_y=True)
    basis = fit_basis(images[OLD])
    features = basis.apply(images[OLD])
    return features, fixed_map(features, seed=0, report=quiet), basis.apply(images[NEW]), y[:700]


def accuracy(old: Floats, new: Floats, y: NDArray[np.int64]) -> float:
    """Share of new points whose nearest old point has their label."""
    near = NearestNeighbors(n_neighbors=1).fit(old).kneighbors(new, return_distance=False)[:, 0]
    return float((y[OLD][near] == y[NEW]).mean())


def test_new_digits_land_among_their_kind_nearly_as_well_as_if_all_had_been_laid_out(digits) -> None:
    features, xy, new, y = digits
    before = (features.copy(), xy.copy())
    found = place(features, xy, new, seed=0)
    assert (found.shape, found.dtype) == ((100, 2), np.float32)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(xy, before[1])
    joint = fixed_map(np.concatenate([features, new]), seed=0, report=quiet)
    assert accuracy(xy, found, y) >= 0.9 * accuracy(joint[OLD], joint[NEW], y) > 0.8


def test_each_place_is_told_first_at_a_near_image_then_portion_by_portion(digits, monkeypatch) -> None:
    features, xy, new, y = digits
    monkeypatch.setattr(module, "_PLACE_AT_ONCE", 40)
    seen: list[tuple[float, Floats]] = []
    found = place(features, xy, new, seed=0, report=lambda share, positions: seen.append((share, positions)))
    assert [share for share, _ in seen] == [0.0, 0.4, 0.8, 1.0]
    first = seen[0][1]
    assert {tuple(point) for point in first} <= {tuple(point) for point in xy}
    assert accuracy(xy, first, y) > 0.8
    np.testing.assert_array_equal(seen[1][1][40:], first[40:])
    np.testing.assert_array_equal(seen[1][1][:40], found[:40])
    np.testing.assert_array_equal(seen[-1][1], found)
    assert not np.isclose(found, first).all(axis=1).any()


@pytest.mark.parametrize("by_grid", [False, True])
def test_images_lie_where_their_twins_lie_although_the_library_moves_the_reference(monkeypatch, by_grid: bool) -> None:
    monkeypatch.setattr(module, "_BY_GRID", 0 if by_grid else 10_000)
    rng = np.random.default_rng(5)
    group = np.concatenate([np.zeros(80, int), np.repeat(np.arange(1, 7), 14)])  # lopsided: one large group
    rows = ((rng.normal(size=(7, 10)) * 20)[group] + rng.normal(size=(164, 10))).astype(np.float32)
    xy = fixed_map(rows, seed=0, report=quiet) + np.float32([30, -7])  # a reference that is far from centred
    found = place(rows, xy, rows[::3], seed=0)
    assert np.median(np.linalg.norm(found - xy[::3], axis=1)) < 0.05 * xy.std(axis=0).min()


def test_the_same_rows_and_seed_give_the_same_bits_and_features_of_any_size_the_same_places(digits) -> None:
    features, xy, new, _ = digits
    found = place(features, xy, new, seed=0)
    np.testing.assert_array_equal(place(features, xy, new, seed=0), found)
    grown = place(features * 1e6 + 1, xy, new * 1e6 + 1, seed=0)
    assert np.median(np.linalg.norm(grown - found, axis=1)) < 0.01 * xy.std()


def test_equal_new_rows_lie_together_and_yet_apart(digits) -> None:
    features, xy, new, _ = digits
    found = place(features, xy, np.repeat(new[:2], 15, axis=0), seed=0)
    assert len(np.unique(found, axis=0)) == 30
    for twins in (found[:15], found[15:]):
        assert twins.std(axis=0).max() < 0.01 * xy.std()


def test_a_reference_of_repeated_rows_takes_more_of_them() -> None:
    kinds = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
    features = np.repeat(kinds, 20, axis=0)
    xy = fixed_map(features, seed=0, report=quiet)
    found = place(features, xy, kinds, seed=0)
    middles = xy.reshape(6, 20, 2).mean(axis=1)
    near = np.linalg.norm(found[:, None] - middles, axis=2).argmin(axis=1)
    assert near.tolist() == list(range(6))


@pytest.mark.parametrize("n", [5, 6, 11])
def test_the_smallest_references_work(n: int) -> None:
    rows = np.random.default_rng(0).normal(size=(n + 1, 8)).astype(np.float32)
    xy = fixed_map(rows[:n], seed=0, report=quiet)
    assert np.isfinite(place(rows[:n], xy, rows[n:], seed=0)).all()


def test_nothing_new_gives_no_position(digits) -> None:
    assert place(digits[0], digits[1], digits[2][:0], seed=0).shape == (0, 2)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (np.eye(5, dtype=np.float32), True),
        (np.eye(4, dtype=np.float32), False),
        (np.arange(9, dtype=np.float32)[:, None], False),
        (np.ones((9, 3), np.float32), False),
    ],
    ids=["enough", "four rows", "one feature", "all equal"],
)
def test_a_reference_without_a_layout_of_its_own_is_told_apart_and_refused(features: Floats, expected: bool) -> None:
    assert can_place(features) == expected
    if not expected:
        with pytest.raises(MapError, match="too small"):
            place(features, np.zeros((len(features), 2), np.float32), features[:1], seed=0)


def test_rows_that_do_not_fit_are_refused(digits) -> None:
    features, xy, new, _ = digits
    with pytest.raises(MapError, match="do not fit"):
        place(features, xy[:-1], new, seed=0)
    with pytest.raises(MapError, match="do not fit"):
        place(features, xy, new[:, :-1], seed=0)
    broken = new.copy()
    broken[[3, 8], 1] = np.nan
    with pytest.raises(MapError, match="2 of 100 rows, the first is 3"):
        place(features, xy, broken, seed=0)
