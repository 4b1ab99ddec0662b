"""Near-equal photos by their features."""

import numpy as np

from engine.live.model import ImageSet
from engine.live.near import near_groups


def scenes(count: int, frames: int, apart: float, seed: int = 0) -> tuple[ImageSet, np.ndarray]:
    """Features of scenes of near-equal frames, and the scene of each."""
    rng = np.random.default_rng(seed)
    scene = np.repeat(np.arange(count), frames)
    x = rng.normal(size=(count, 64))[scene] + apart * rng.normal(size=(len(scene), 64))
    return ImageSet.of(x.astype(np.float32)), scene


def test_frames_of_a_scene_are_one_group_named_by_its_first_image() -> None:
    images, scene = scenes(60, 6, 0.1)
    assert near_groups(images).tolist() == (scene * 6).tolist()


def test_a_scene_of_more_frames_than_neighbours_is_one_group() -> None:
    images, scene = scenes(12, 30, 0.1)
    assert near_groups(images).tolist() == (scene * 30).tolist()


def test_different_images_are_each_by_themselves() -> None:
    images, _ = scenes(300, 1, 0.0)
    assert near_groups(images).tolist() == list(range(300))


def test_images_of_a_class_are_alike_but_no_scene() -> None:
    rng = np.random.default_rng(0)
    x = 3 * rng.normal(size=(5, 64))[np.arange(300) % 5] + 2 * rng.normal(size=(300, 64))
    assert len(np.unique(near_groups(ImageSet.of(x.astype(np.float32))))) == 300


def test_a_chain_of_images_each_like_the_next_is_no_group() -> None:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    group = near_groups(ImageSet.of(np.concatenate([ring, np.zeros((120, 6), np.float32)], axis=1)))
    assert max(np.unique(group, return_counts=True)[1]) < 60
