"""Principal components of pixels."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from engine.errors import MapError
from engine.maps import features
from engine.maps.features import components, fit_basis, pixels


def digits() -> np.ndarray:
    return (load_digits().images * 15.9).astype(np.uint8)[:, None]


def test_two_kinds_of_images_lie_on_one_line_at_distance_two() -> None:
    # Total variance 1 and two equal halves at ±d: d² = 1.
    images = np.zeros((10, 1, 2, 2), np.uint8)
    images[5:] = 255
    found = pixels(images)
    assert found.shape == (10, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], [-1] * 5 + [1] * 5, atol=1e-6)
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-6)


def test_a_rare_faint_pixel_stays_faint() -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((100, 1, 1, 3), np.uint8)
    images[:, 0, 0, 0] = rng.integers(0, 256, 100)
    images[:, 0, 0, 1] = rng.integers(0, 256, 100)
    images[0, 0, 0, 2] = 1
    found = pixels(images)
    assert found.std(axis=0)[2] < 0.002 * found.std(axis=0)[0]  # by hand 0.0995 / 74


@pytest.mark.parametrize("limit", [5, 50])
def test_agrees_with_an_exact_svd(limit: int) -> None:
    rows = digits().reshape(-1, 64).astype(float)
    found = components(rows, limit)
    exact = PCA(limit, svd_solver="full").fit_transform(rows)
    exact /= np.sqrt((exact**2).sum(axis=1).mean())
    for k in range(5):
        assert abs(np.corrcoef(found[:, k], exact[:, k])[0, 1]) > 0.9999
        assert found[:, k].std() == pytest.approx(exact[:, k].std(), rel=1e-3)


def test_blocks_of_any_height_give_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    images = digits()[:200]
    whole = pixels(images)
    monkeypatch.setattr(features, "_BLOCK_VALUES", 64 * 7)
    np.testing.assert_allclose(pixels(images), whole, atol=1e-5)


def test_keeps_fifty_columns_at_most_and_one_at_least() -> None:
    rng = np.random.default_rng(0)
    assert pixels(rng.integers(0, 256, (80, 3, 6, 6), dtype=np.uint8)).shape == (80, 50)
    assert pixels(rng.integers(0, 256, (4, 3, 6, 6), dtype=np.uint8)).shape == (4, 3)
    assert pixels(rng.integers(0, 256, (1, 1, 6, 6), dtype=np.uint8)).shape == (1, 1)


def test_equal_images_have_equal_features_of_zero() -> None:
    assert not pixels(np.full((6, 1, 3, 3), 77, np.uint8)).any()


def test_the_same_images_give_the_same_bits() -> None:
    images = np.random.default_rng(0).integers(0, 256, (90, 3, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(images), pixels(images))


def test_a_nan_is_refused_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_BLOCK_VALUES", 40)
    rows = np.ones((30, 4))
    rows[17, 2] = np.nan
    rows[21:23, 0] = np.inf
    with pytest.raises(MapError, match="in 3 of 30 rows, the first is row 17"):
        components(rows)


def test_anything_but_uint8_images_is_refused() -> None:
    with pytest.raises(MapError, match="float32"):
        pixels(np.zeros((5, 1, 2, 2), np.float32))  # type: ignore[arg-type]
    with pytest.raises(MapError, match=r"\(0, 1, 2, 2\)"):
        pixels(np.zeros((0, 1, 2, 2), np.uint8))


def test_a_basis_describes_other_rows_by_the_mean_the_axes_and_the_scale_of_its_own() -> None:
    # Rows at ±3 along (0.6, 0.8) about (10, 20): one axis, of deviation 3.
    rows = np.array([[10, 20], [10, 20]]) + np.outer([3, -3], [0.6, 0.8])
    basis = fit_basis(rows)
    np.testing.assert_allclose(basis.mean, [10, 20])
    np.testing.assert_allclose(basis.axes, [[0.6], [0.8]], atol=1e-6)
    assert basis.scale == pytest.approx(3)
    other = np.array([[10 + 6 * 0.6 - 0.8, 20 + 6 * 0.8 + 0.6]])  # 6 along the axis and 1 across it
    np.testing.assert_allclose(basis.apply(other), [[2]], atol=1e-6)
    assert basis.apply(other).dtype == np.float32


def test_components_are_the_rows_own_basis_applied_to_them() -> None:
    rows = digits().reshape(-1, 64)
    np.testing.assert_array_equal(fit_basis(rows, 7).apply(rows), components(rows, 7))


def test_a_basis_takes_no_rows_at_all_but_none_of_another_width_or_not_finite() -> None:
    basis = fit_basis(np.random.default_rng(0).normal(size=(9, 4)))
    assert basis.apply(np.empty((0, 4))).shape == (0, 4)
    with pytest.raises(MapError, match="4 numbers an image"):
        basis.apply(np.zeros((2, 5)))
    with pytest.raises(MapError, match="in 1 of 2 rows"):
        basis.apply(np.array([[0, 0, 0, 0], [np.nan, 0, 0, 0]]))
