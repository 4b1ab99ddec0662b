"""Folds of labeled images, and predictions by networks that have not seen the labels they are compared with."""

import numpy as np
import pytest
import torch

from engine.algorithms import out_of_fold
from engine.errors import RoundBlocked
from engine.training.config import TrainConfig

CPU = torch.device("cpu")


def test_each_class_is_spread_evenly_over_five_folds() -> None:
    labels = np.repeat([0, 1, 2], [23, 10, 17])
    fold = out_of_fold.make_folds(labels, 0)
    for name in range(3):
        counts = np.bincount(fold[labels == name], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.bincount(fold).tolist() == [10] * 5
    assert (fold != out_of_fold.make_folds(labels, 1)).any()
    np.testing.assert_array_equal(fold, out_of_fold.make_folds(labels, 0))


@pytest.mark.parametrize("rare", [2, 3, 4])
def test_a_rare_class_is_always_learned_from_all_its_other_images(rare: int) -> None:
    labels = np.repeat([0, 1], [40, rare])
    fold = out_of_fold.make_folds(labels, 0)
    assert len(set(fold[labels == 1].tolist())) == rare
    assert fold.max() == 4


def test_steps_are_three_passes_within_limits() -> None:
    assert out_of_fold.steps_for(48_000, 128) == 1125
    assert out_of_fold.steps_for(10, 128) == 300
    assert out_of_fold.steps_for(10**7, 128) == 4000


def test_a_wrong_label_is_contradicted_because_its_own_network_has_not_seen_it(monkeypatch) -> None:
    """Each image is one of two patterns of noise; five labels are wrong, and a network that saw them could know it."""
    monkeypatch.setattr(out_of_fold, "LEAST_STEPS", 60)
    random = np.random.default_rng(0)
    truth = np.arange(100) % 2
    images = random.integers(0, 60, (100, 1, 8, 8)).astype(np.uint8)
    images[truth == 1, :, :4] += 150
    given = truth.copy()
    given[:5] = 1 - given[:5]
    seen = []
    train = TrainConfig(batch_size=20, device="cpu", augment="none")
    found = out_of_fold.predict(torch.from_numpy(images), given, train, CPU, lambda *step: seen.append(step))
    assert found.probabilities.shape == (100, 2)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)
    assert (found.probabilities.argmax(1) == truth).all()
    assert seen[0] == (1, 300)
    assert seen[-1] == (300, 300)
    again = out_of_fold.predict(torch.from_numpy(images), given, train, CPU)
    np.testing.assert_array_equal(found.probabilities, again.probabilities)


class Undecided(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(images), 3)


def test_the_images_of_a_fold_are_not_trained_on(monkeypatch) -> None:
    asked = []

    class Spy:
        def __init__(self, config, train, pools, device):
            asked.append((pools.train_idx.tolist(), pools.train_y.tolist(), train.seed))

        def steps(self, epoch):
            return iter([{}])

        def eval_model(self):
            return Undecided()

    monkeypatch.setattr(out_of_fold, "Supervised", Spy)
    labels = np.repeat([0, 1, 2], 5)
    found = out_of_fold.predict(
        torch.zeros(15, 1, 2, 2, dtype=torch.uint8), labels, TrainConfig(device="cpu", seed=7), CPU
    )
    for number, (rows, given, seed) in enumerate(asked):
        assert rows == np.flatnonzero(found.fold != number).tolist()
        assert given == labels[rows].tolist()
        assert seed == 7 + number
    assert len(asked) == 5


def test_a_group_is_in_one_fold_and_groups_are_spread_evenly() -> None:
    groups, labels = np.repeat(np.arange(40), 3), np.repeat(np.arange(40) % 2, 3)
    fold = out_of_fold.make_folds(labels, 0, groups)
    assert all(len(set(fold[groups == group].tolist())) == 1 for group in range(40))
    assert np.bincount(fold).tolist() == [24] * 5
    np.testing.assert_array_equal(
        out_of_fold.make_folds(labels, 0), out_of_fold.make_folds(labels, 0, np.arange(120)[::-1])
    )


def test_labels_of_one_group_alone_cannot_be_asked_about() -> None:
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(RoundBlocked, match="one group"):
        out_of_fold.predict(images, np.array([0, 0, 1, 1]), TrainConfig(device="cpu"), CPU, groups=np.zeros(4, int))


def test_a_network_has_not_seen_the_other_frames_of_a_scene(monkeypatch) -> None:
    """Frames of a scene are equal and its class is drawn at random: who has seen one frame knows the others."""
    monkeypatch.setattr(out_of_fold, "LEAST_STEPS", 60)
    random = np.random.default_rng(0)
    scenes = np.repeat(np.arange(20), 5)
    images = torch.from_numpy(random.integers(0, 255, (20, 1, 8, 8)).astype(np.uint8)[scenes])
    labels = random.permutation(np.arange(20) % 2)[scenes]
    train = TrainConfig(batch_size=20, device="cpu", augment="none")
    apart = out_of_fold.predict(images, labels, train, CPU, groups=scenes)
    torn = out_of_fold.predict(images, labels, train, CPU)
    assert (torn.probabilities.argmax(1) == labels).mean() > 0.95
    assert (apart.probabilities.argmax(1) == labels).mean() < 0.8
