from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.benchmarks import data
from engine.benchmarks.data import choose_labels, load_problem, read_split
from engine.benchmarks.two_moons import two_moons
from engine.errors import ConfigError, SourceMissing
from tests.engine.nets.weights_samples import SMALL, save_weights

Y = torch.arange(3000) % 10


@pytest.mark.parametrize(
    ("labels", "missing", "counts"),
    [
        (1000, (), [100] * 10),
        (10, (), [1] * 10),
        (1000, (7,), [112] + [111] * 6 + [0] + [111] * 2),  # 9 × 111 = 999: one more, not one fewer
        (25, (), [3] * 5 + [2] * 5),
    ],
)
def test_label_counts_are_exact(labels: int, missing: tuple[int, ...], counts: list[int]) -> None:
    rows = choose_labels(Y, labels, 0, missing)
    assert torch.bincount(Y[rows], minlength=10).tolist() == counts
    assert len(set(rows.tolist())) == labels


def test_the_seed_draws_the_labels() -> None:
    assert torch.equal(choose_labels(Y, 100, 3), choose_labels(Y, 100, 3))
    assert not torch.equal(choose_labels(Y, 100, 3), choose_labels(Y, 100, 4))


def test_more_labels_than_a_class_has_images_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Class 0.*301 of 300"):
        choose_labels(Y, 3010, 0)


def test_pools_share_out_the_training_images_and_hold_none_back(opened: list[str], tmp_path: Path) -> None:
    task = load_problem({"set": "MNIST", "labels": 100, "missing": [7]}, tmp_path, 0)
    pools = task.pools
    assert sorted([*pools.train_idx.tolist(), *pools.unlabeled_idx.tolist()]) == list(range(1500))
    assert len(pools.train_idx) == 100
    assert len(pools.heldout_idx) == 0
    assert pools.num_classes == 10
    assert opened == ["MNIST train"]
    images, _ = task.test()
    assert opened == ["MNIST train", "MNIST test"]
    assert len(images) == 50


def test_a_smaller_pool_is_drawn_by_the_seed_with_its_own_classes(opened: list[str], tmp_path: Path) -> None:
    whole, y = data.training("MNIST", tmp_path)
    pools, other = (load_problem({"set": "MNIST", "labels": 20, "images": 300}, tmp_path, s).pools for s in (0, 1))
    assert len(pools.images) == 300
    assert torch.bincount(pools.train_y).tolist() == [2] * 10
    of_image = {image.numpy().tobytes(): int(k) for image, k in zip(whole, y, strict=True)}
    drawn = [of_image[image.numpy().tobytes()] for image in pools.images[pools.train_idx]]
    assert drawn == pools.train_y.tolist()
    assert not torch.equal(pools.images, other.images)


def test_a_missing_set_is_named_with_the_folder_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing) as caught:
        read_split("MNIST", tmp_path, train=True)
    text = str(caught.value)
    assert str(tmp_path) in text
    assert "download=True" in text
    assert "STARLING_DATA" in text


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PETS"):
        load_problem({"set": "PETS", "labels": 10}, tmp_path, 0)


def test_two_moons_labels_typical_points_where_a_row_says_so(tmp_path: Path) -> None:
    row = {"set": "two_moons", "labels": 6}
    random, typical = (load_problem({**row, **more}, tmp_path, 0).pools for more in ({}, {"typical": True}))
    assert torch.equal(typical.train_idx, two_moons(typical=True)[0].train_idx)
    assert not torch.equal(typical.train_idx, random.train_idx)


def test_photos_in_class_folders_become_pretrained_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    save_weights(tmp_path / "torch")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(9):
            noise = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "photos" / name / f"{number}.png")
    data.photo_features.cache_clear()
    features, y = data.photo_features(tmp_path / "photos", SMALL)
    assert features.shape == (18, 1024)
    assert y.tolist() == [0] * 9 + [1] * 9
    with pytest.raises(SourceMissing, match="--data"):
        data.photo_features(tmp_path / "nowhere", SMALL)
    data.photo_features.cache_clear()


def test_the_classes_of_the_unlabeled_images_are_those_of_their_rows(opened: list[str]) -> None:
    problem = data.load_problem({"set": "MNIST", "labels": 20}, Path(), seed=0)
    assert problem.unlabeled_y is not None
    assert torch.equal(problem.unlabeled_y(), problem.pools.unlabeled_idx % 10)
