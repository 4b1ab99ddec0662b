"""Exact and near duplicates: found through shifts, brightness and noise; different images left apart; bounded work."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from engine.errors import ConfigError
from engine.quality.duplicate_pairs import PAIRS_EACH, candidates, features
from engine.quality.duplicates import near_duplicates


def blobs(n: int, seed: int = 0, side: int = 28) -> NDArray[np.uint8]:
    """Different patterns on black, (n, side, side), with an empty border."""
    noise = np.random.default_rng(seed).normal(size=(n, side - 8, side - 8))
    smooth = np.pad(gaussian_filter(noise, (0, 2, 2)), ((0, 0), (4, 4), (4, 4)))
    low = smooth.min(axis=(1, 2), keepdims=True)
    return np.clip(255 * smooth / -low.min() * 1.5, 0, 255).astype(np.uint8)


def rows(images: NDArray[np.uint8], threshold: float | None = None) -> list[list[int]]:
    found = near_duplicates(images) if threshold is None else near_duplicates(images, threshold)
    return [group.tolist() for group, _, _ in found]


def test_identical_images_form_one_exact_group_however_many() -> None:
    images = blobs(50)
    images[[3, 30, 41]] = images[7]
    (group, similarity, exact), *rest = near_duplicates(images)
    assert (group.tolist(), similarity, exact) == ([3, 7, 30, 41], 1.0, True)
    assert rest == []


@pytest.mark.parametrize("change", ["down", "left", "bright", "dark", "noise"])
def test_changed_copies_are_found_and_nothing_else(change: str) -> None:
    images = blobs(400)
    copies = images[:60].astype(float)
    copies = {
        "down": np.roll(copies, 1, axis=1),
        "left": np.roll(copies, -1, axis=2),
        "bright": copies * 1.1 + 10,
        "dark": copies * 0.6,
        "noise": copies + np.random.default_rng(1).normal(0, 4, copies.shape),
    }[change]
    found = near_duplicates(np.concatenate([images, np.clip(copies, 0, 255).astype(np.uint8)]))
    pairs = {tuple(group.tolist()) for group, _, _ in found}
    planted = {(row, 400 + row) for row in range(60)}
    assert pairs <= planted
    assert len(pairs) >= 57
    assert all(0.99 <= similarity <= 1.0 and not exact for _, similarity, exact in found)


def test_a_lower_threshold_finds_more_and_the_best_come_first() -> None:
    images = blobs(40)
    rng = np.random.default_rng(2)
    weak = np.clip(images[0] + rng.normal(0, 3, (28, 28)), 0, 255)
    strong = np.clip(images[1] + rng.normal(0, 7, (28, 28)), 0, 255)
    images = np.concatenate([images, np.stack([weak, strong]).astype(np.uint8)])
    assert rows(images) == [[0, 40]]
    assert rows(images, 0.95) == [[0, 40], [1, 41]]


def test_a_group_tells_its_weakest_link_and_is_not_exact_when_one_differs() -> None:
    images = blobs(30)
    images[5] = images[2]
    images[9] = np.clip(images[2] + np.random.default_rng(3).normal(0, 4, (28, 28)), 0, 255).astype(np.uint8)
    ((group, similarity, exact),) = near_duplicates(images)
    assert group.tolist() == [2, 5, 9]
    assert not exact
    kept = np.corrcoef(images[2].ravel(), images[9].ravel())[0, 1]
    assert similarity == pytest.approx(kept, abs=1e-5)


def test_blank_images_are_duplicates_only_when_identical() -> None:
    images = blobs(6)
    images[0], images[1], images[2], images[3] = 0, 0, 255, 254
    images[3, 5, 5] = 255
    assert rows(images) == [[0, 1]]


def test_many_look_alikes_cannot_make_it_quadratic() -> None:
    rng = np.random.default_rng(4)
    base = blobs(1)[0].astype(float)
    alike = np.clip(base + rng.normal(0, 2, (3000, 28, 28)), 0, 255).astype(np.uint8)
    assert len(candidates(features(alike))) <= PAIRS_EACH * 3000
    assert len(near_duplicates(alike)[0][0]) > 2900


def test_oblong_small_and_few_images_are_taken_and_other_arrays_refused() -> None:
    oblong = np.random.default_rng(0).integers(0, 255, (5, 9, 30)).astype(np.uint8)
    oblong[4] = oblong[1]
    assert rows(oblong) == [[1, 4]]
    assert near_duplicates(np.zeros((0, 8, 8), np.uint8)) == []
    assert near_duplicates(np.zeros((1, 8, 8), np.uint8)) == []
    for wrong in (np.zeros((2, 3, 8), np.uint8), np.zeros((2, 8, 8)), np.zeros((2, 8, 8, 3), np.uint8)):
        with pytest.raises(ConfigError, match="grey"):
            near_duplicates(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="likeness"):
        near_duplicates(oblong, 0.0)


def test_is_the_same_every_time() -> None:
    images = np.concatenate([blobs(200), np.roll(blobs(200), 1, axis=1)[:20]])
    assert rows(images) == rows(images)


def test_a_pattern_too_faint_to_see_makes_no_near_duplicates() -> None:
    faint = np.full((2, 28, 28), 100, np.uint8)
    faint[:, :, :14] = 101
    faint[1, 20, 20] = 101
    assert near_duplicates(faint) == []
    assert rows(np.where(faint == 101, 150, 100).astype(np.uint8)) == [[0, 1]]


def test_images_alike_in_grey_but_not_in_colour_are_left_apart() -> None:
    grey = blobs(6)
    colours = np.repeat(grey[:, None], 3, axis=1)
    grey[1], colours[1] = grey[0], colours[0] * np.array([1, 0, 0], np.uint8)[:, None, None]
    grey[3], colours[3] = grey[2], colours[2]
    grey[5] = colours[5] = np.roll(colours[4][:1], 1, axis=1)[0]
    assert [group.tolist() for group, _, exact in near_duplicates(grey) if exact] == [[0, 1], [2, 3]]
    found = near_duplicates(grey, colours=colours)
    assert [(group.tolist(), exact) for group, _, exact in found] == [([2, 3], True), ([4, 5], False)]
    with pytest.raises(ConfigError, match="same images"):
        near_duplicates(grey, colours=colours[:5])
