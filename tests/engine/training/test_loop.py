from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.errors import TrainingDiverged
from engine.nets.build import build_net
from engine.training import loop
from engine.training.loop import EpochEvent, StepEvent, train
from engine.training.pools import Pools


class Brightness(nn.Module):
    """Says class 1 for bright images; features are (brightness, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.0, 0.0], [0.1, 0.0]]))
            self.head.bias.copy_(torch.tensor([0.0, -10.0]))

    def features(self, x: Tensor) -> Tensor:
        mean = x.float().mean((1, 2, 3))
        return torch.stack([mean, torch.ones_like(mean)], 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out


class Scripted:
    """An algorithm that reports the losses it was given."""

    def __init__(self, losses: list[list[float]]) -> None:
        self.losses, self.epochs, self.steps_per_epoch = losses, len(losses), len(losses[0])
        self.model = Brightness()
        self.stepped: list[float] = []

    def steps_in(self, epoch: int) -> int:
        return len(self.losses[epoch])

    def steps(self, epoch: int) -> Iterator[dict[str, float | Tensor]]:
        for loss in self.losses[epoch]:
            self.stepped.append(loss)
            yield {"loss": torch.tensor(loss), "alpha": 2.0}

    def eval_model(self) -> nn.Module:
        return self.model

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        del state


@pytest.fixture
def pools() -> Pools:
    values = torch.tensor([0, 200, 200, 0, 90, 110], dtype=torch.uint8)
    images = values.view(6, 1, 1, 1).expand(6, 1, 4, 4).clone()
    idx = torch.arange(6)
    # the second held-out label is wrong on purpose: accuracy one half
    return Pools(images, idx[:1], torch.tensor([0]), idx[1:3], torch.tensor([1, 0]), idx[3:], 2)


def test_an_epoch_reports_means_held_out_accuracy_and_unlabeled_probabilities(pools: Pools) -> None:
    events = list(train(Scripted([[1.0, 3.0]]), pools))
    last = events[-1]
    assert isinstance(last, EpochEvent)
    assert last.metrics["loss"] == 2.0
    assert last.metrics["alpha"] == 2.0
    assert last.metrics["heldout_accuracy"] == 0.5
    assert last.metrics["heldout_labels"] == len(pools.heldout_idx)
    # logits of a held-out image are (0, 10): losses 4.5e-5 and 10
    assert last.metrics["heldout_loss"] == pytest.approx(5.0, abs=1e-3)
    e = np.exp(1.0)
    assert last.probabilities.dtype == np.float32
    np.testing.assert_allclose(last.probabilities[:, 1], [1 / (1 + e**10), 1 / (1 + e), e / (1 + e)], rtol=1e-4)
    assert last.features is None


def test_tracked_features_come_in_the_order_asked_for_whatever_the_pool(pools: Pools) -> None:
    tracked = np.array([4, 0, 1, 4])
    *_, last = train(Scripted([[1.0]]), pools, tracked=tracked)
    assert isinstance(last, EpochEvent)
    assert last.features is not None
    assert last.features.dtype == np.float16
    assert last.features.tolist() == [[90, 1], [0, 1], [200, 1], [90, 1]]


class Taught(Scripted):
    """One with a teacher that is sure of class 0."""

    def teacher_probabilities(self, rows: Tensor) -> Tensor:
        return torch.tensor([[0.75, 0.25]]).expand(len(rows), 2) - 0.125 * rows[:, None]


def test_the_evaluated_model_and_the_teacher_speak_of_tracked_images_in_the_order_asked_for(pools: Pools) -> None:
    algorithm = Taught([[1.0], [1.0]])
    first, last = (e for e in train(algorithm, pools, tracked=np.array([4, 0, 1])) if isinstance(e, EpochEvent))
    e = np.exp(1.0)
    for event in (first, last):
        assert event.student is not None
        assert event.teacher is not None
        assert (event.student.dtype, event.teacher.dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(event.student[:, 1], [1 / (1 + e), 1 / (1 + e**10), e**10 / (1 + e**10)], rtol=1e-4)
        assert event.teacher.tolist() == [[0.25, -0.25], [0.75, 0.25], [0.625, 0.125]]


class EvenAndOdd(Scripted):
    """One with a teacher that says 0 of even rows and 1 of odd ones."""

    def teacher_probabilities(self, rows: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(rows % 2, 2).float()


def test_the_accuracy_on_the_labels_trained_on_is_told_of_the_model_and_of_the_teacher(pools: Pools) -> None:
    rows = torch.tensor([0, 1, 2, 3])
    none = rows[:0]
    # of (0, 200, 200, 0) the model says (0, 1, 1, 0); the teacher says 0 of even rows and 1 of odd ones
    taught = Pools(pools.images, rows, torch.tensor([0, 1, 0, 1]), none, none, torch.tensor([4, 5]), 2)
    *_, last = train(EvenAndOdd([[1.0]]), taught, tracked=np.array([5]))
    assert isinstance(last, EpochEvent)
    assert last.metrics["train_accuracy"] == 0.5
    assert last.metrics["teacher_train_accuracy"] == 1.0
    assert last.teacher is not None
    assert last.teacher.shape == (1, 2)
    assert last.probabilities.shape == (2, 2)
    *_, plain = train(Scripted([[1.0]]), taught)
    assert isinstance(plain, EpochEvent)
    assert plain.metrics["train_accuracy"] == 0.5
    assert "teacher_train_accuracy" not in plain.metrics


def test_of_many_labels_evenly_spaced_ones_are_looked_at(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MOST_TRAINED", 2)
    rows = torch.tensor([0, 1, 2, 3])
    y = torch.tensor([0, 0, 1, 1])  # right for rows 0 and 2, wrong for 1 and 3
    *_, last = train(Scripted([[1.0]]), Pools(pools.images, rows, y, rows[:0], rows[:0], torch.tensor([4, 5]), 2))
    assert isinstance(last, EpochEvent)
    assert last.metrics["train_accuracy"] == 1.0


def test_there_is_no_teacher_where_none_is_offered_or_nothing_is_tracked(pools: Pools) -> None:
    tracked = np.array([0, 1])
    for algorithm, rows in ((Scripted([[1.0]]), tracked), (Taught([[1.0]]), None)):
        *_, last = train(algorithm, pools, tracked=rows)
        assert isinstance(last, EpochEvent)
        assert last.teacher is None
        assert (last.student is None) == (rows is None)


def test_step_events_come_at_most_four_times_a_second(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = Scripted([[1.0] * 31])
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 0.125 * len(algorithm.stepped))
    events = [event for event in train(algorithm, pools) if isinstance(event, StepEvent)]
    # a step takes 1/8 s: every second one is told, and the last
    assert [event.step for event in events] == [*range(2, 31, 2), 31]
    assert (events[0].steps, events[0].epochs, events[0].steps_per_second) == (31, 1, 8.0)


def test_should_stop_is_asked_before_every_step(pools: Pools) -> None:
    algorithm = Scripted([[1.0] * 50])
    asked = iter([False] * 7 + [True] * 2)
    events = list(train(algorithm, pools, should_stop=lambda: next(asked)))
    assert len(algorithm.stepped) == 7
    assert not any(isinstance(event, EpochEvent) for event in events)


def test_training_starts_at_the_epoch_asked_for(pools: Pools) -> None:
    algorithm = Scripted([[1.0], [2.0], [3.0]])
    epochs = [event.epoch for event in train(algorithm, pools, start_epoch=1) if isinstance(event, EpochEvent)]
    assert epochs == [1, 2]
    assert algorithm.stepped == [2.0, 3.0]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_at_once(loss: float, pools: Pools) -> None:
    algorithm = Scripted([[1.0, loss, 1.0, 1.0]])
    with pytest.raises(TrainingDiverged, match=r"epoch 1, at or before step 2.*Lower the learning rate"):
        list(train(algorithm, pools))
    assert len(algorithm.stepped) == 2


def test_without_held_out_images_the_accuracy_is_absent(pools: Pools) -> None:
    none = torch.empty(0, dtype=torch.int64)
    alone = Pools(pools.images, pools.train_idx, pools.train_y, none, none, none, 2)
    *_, last = train(Scripted([[1.0]]), alone)
    assert isinstance(last, EpochEvent)
    assert "heldout_accuracy" not in last.metrics
    assert last.probabilities.shape == (0, 2)


def test_an_epochs_predictions_are_made_in_the_precision_of_the_run_and_are_float32(pools: Pools) -> None:
    def last(precision: str) -> EpochEvent:
        torch.manual_seed(0)
        run: Any = Scripted([[1.0]])
        run.model = build_net("article_convnet", (1, 4, 4), 2, pools.statistics()).eval()
        *_, event = train(run, pools, precision=precision)
        assert isinstance(event, EpochEvent)
        return event

    exact, rounded = last("float32"), last("bfloat16")
    assert rounded.probabilities.dtype == np.float32
    assert not (rounded.probabilities == exact.probabilities).all()
    assert rounded.probabilities == pytest.approx(exact.probabilities, abs=0.05)
