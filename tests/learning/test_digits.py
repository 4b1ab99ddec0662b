"""Accuracy floors on scikit-learn's bundled digits (1,797 images of 8×8): 60 labels, the rest unlabeled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from engine.algorithms import ALGORITHMS
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

pytestmark = pytest.mark.slow
LABELED = 60


@pytest.fixture(scope="module")
def digits() -> tuple[Pools, np.ndarray[Any, Any]]:
    data = load_digits()
    images = torch.from_numpy((data.images * 255 / 16).astype(np.uint8))[:, None]
    y = torch.from_numpy(data.target.astype(np.int64))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    per_class = [order[y[order] == k] for k in range(10)]
    labeled = torch.cat([rows[: LABELED // 10] for rows in per_class])
    held = torch.cat([rows[LABELED // 10 : LABELED // 10 + 10] for rows in per_class])
    rest = torch.cat([rows[LABELED // 10 + 10 :] for rows in per_class])
    return Pools(images, labeled, y[labeled], held, y[held], rest, 10), y[rest].numpy()


def accuracy(key: str, pools: Pools, truth: np.ndarray[Any, Any], **config: Any) -> float:
    torch.set_num_threads(1)
    spec = ALGORITHMS[key]
    *_, last = train(spec.build(spec.config(**config), TrainConfig(epochs=20), pools, torch.device("cpu")), pools)
    assert isinstance(last, EpochEvent)
    return float((last.probabilities.argmax(1) == truth).mean())


FLOORS = {
    "supervised": 0.85,
    "pseudo_label": 0.87,
    "fixmatch": 0.93,
    "uda": 0.93,
    "meta_pseudo_labels": 0.88,
    "reduced_mpl": 0.88,
    "vat": 0.95,
    "pi_model": 0.90,
    "threshold_self_training": 0.90,
    "classical_self_training": 0.83,
    "transductive": 0.95,
    "regression": 0.85,
}


def test_no_algorithm_is_without_a_floor() -> None:
    assert set(FLOORS) == set(ALGORITHMS)


@pytest.mark.parametrize(("key", "floor"), FLOORS.items())
def test_every_algorithm_reaches_its_floor_with_default_settings(
    key: str, floor: float, digits: tuple[Pools, np.ndarray[Any, Any]]
) -> None:
    assert accuracy(key, *digits) >= floor


def test_exact_feedback_reaches_the_floor_of_the_sampled_one(digits: tuple[Pools, np.ndarray[Any, Any]]) -> None:
    assert accuracy("meta_pseudo_labels", *digits, mode="exact") >= 0.88
