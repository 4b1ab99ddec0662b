from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.algorithms import ALGORITHMS, mpl_terms, reduced_mpl
from engine.algorithms.mpl_terms import Baseline, without_feedback
from engine.algorithms.reduced_mpl import Calibrator, ReducedMpl, ReducedMplConfig
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.feed import Step
from engine.training.loop import EpochEvent, train
from tests.engine.algorithms.mpl_samples import RATE, Toy, finite_difference, views_as_they_are, weights

CPU = torch.device("cpu")


def build(pools: Any, *, epochs: int = 2, steps: int = 6, rate: float = 0.1, **config: Any) -> ReducedMpl:
    settings = TrainConfig(
        epochs=epochs, steps_per_epoch=steps, batch_size=8, unlabeled_ratio=2, learning_rate=rate, ema_decay=0.9,
        augment="none", strong="light", net="article_convnet", precision="float32",
    )  # fmt: skip
    spec = ALGORITHMS["reduced_mpl"]
    run = spec.build(ReducedMplConfig(**config), settings, pools, CPU)
    assert isinstance(run, ReducedMpl)
    return run


def second_stage(pools: Any, **options: Any) -> ReducedMpl:
    """A run of two epochs after the first, which was the teacher's."""
    run = build(pools, **options)
    list(run.steps(0))
    return run


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Let the losses, float32 in training, run in float64 for comparison with finite differences."""
    real = Tensor.float
    Tensor.float = Tensor.double  # type: ignore[method-assign,assignment]
    yield
    Tensor.float = real  # type: ignore[method-assign]


def test_the_calibrator_starts_as_the_identity() -> None:
    q = torch.softmax(3 * torch.randn(50, 7), 1)
    torch.testing.assert_close(torch.softmax(Calibrator(7)(q), 1), q)


def test_the_calibrator_can_become_something_else() -> None:
    q = torch.tensor([[0.9, 0.1]]).expand(8, 2)
    mlp = Calibrator(2)
    optimizer = torch.optim.SGD(mlp.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(mlp(q), torch.ones(8, dtype=torch.int64)).backward()
        optimizer.step()
    assert torch.softmax(mlp(q), 1)[0, 1] > 0.9


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("baseline", [0.0, 0.37])
def test_expected_calibrator_gradient_is_the_gradient_of_the_students_labeled_loss(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, baseline: float
) -> None:
    """Over all labelings; 3 times, since the term is the mean of 3 images."""
    torch.manual_seed(0)
    toy, mlp = Toy(), Calibrator(2).double()
    torch.nn.init.normal_(mlp.out.weight, std=0.1)
    q = torch.softmax(toy.teacher(toy.batch.strong).detach(), 1)

    def probability(labels: Tensor) -> Tensor:
        return torch.softmax(mlp(q), 1)[torch.arange(3), labels].prod()

    def expected() -> float:
        with torch.no_grad():
            return sum(float(probability(y)) * toy.loss_after(y) for y in toy.labelings())

    wanted = finite_difference(mlp, expected)
    assert wanted.norm() > 1e-2
    run = build(make_pools(), rate=RATE, warm_up=0.0, label_smoothing=0.0)
    run._train = replace(run._train, grad_clip=0.0)
    step, losses = Step(toy.batch.labeled, toy.batch.y, toy.batch.strong, torch.arange(3)), []
    monkeypatch.setattr(run, "_update", lambda pair, loss, rate: losses.append(loss))
    total = torch.zeros_like(wanted)
    for labeling in toy.labelings():
        pair: Any = SimpleNamespace(student=toy.student(), mlp=mlp, baseline=Baseline(0.9), unlabeled_q=q, labeled_q=q)
        pair.y, pair.baseline.value = torch.zeros(3, dtype=torch.int64), torch.tensor(baseline, dtype=torch.float64)
        run._feed = views_as_they_are(labeling)
        run._learn(pair, 0, step)
        labeled = F.cross_entropy(mlp(q[:1]), pair.y[:1])  # the numbers of 0 draw the first of the labeled images
        gradient = torch.autograd.grad(losses[-1] - labeled, list(mlp.parameters()))
        total += 3 * float(probability(labeling).detach()) * torch.cat([g.flatten() for g in gradient])
    torch.testing.assert_close(total, wanted, rtol=0, atol=1e-8)


def test_in_the_second_stage_the_teacher_is_gone_and_its_distributions_are_kept(
    make_pools: Callable[..., Any],
) -> None:
    pools = make_pools()
    run = build(pools)
    list(run.steps(0))
    assert run.teacher is not None
    assert "pair" not in run.state_dict()
    gone = weakref.ref(run.teacher.ema.model)
    rows = (pools.unlabeled_idx, pools.train_idx)
    wanted = [torch.softmax(predict_logits(run.teacher.ema.model, pools.images, r, CPU), 1) for r in rows]
    list(run.steps(1))
    gc.collect()
    assert gone() is None
    state = run.state_dict()
    assert state["stage"] == "student"
    assert "teacher" not in state
    assert torch.equal(state["pair"]["unlabeled_q"], wanted[0])
    assert torch.equal(state["pair"]["labeled_q"], wanted[1])
    assert wanted[0].shape == (64, 4)
    assert wanted[0].dtype == torch.float32


def test_the_teacher_speaks_of_every_image_also_when_it_is_gone(make_pools: Callable[..., Any]) -> None:
    pools = make_pools()
    run = build(pools)
    list(run.steps(0))
    assert run.teacher is not None
    rows = torch.tensor([83, 0, 13, 40])  # unlabeled, training, held out, unlabeled
    wanted = torch.softmax(predict_logits(run.teacher.ema.model, pools.images, rows, CPU), 1)
    assert torch.equal(run.teacher_probabilities(rows), wanted)
    pair = run._student_stage()
    torch.testing.assert_close(run.teacher_probabilities(rows), wanted)  # the calibrator starts as the identity
    with torch.no_grad():
        pair.mlp.out.bias.copy_(torch.tensor([0.0, 0.0, 3.0, 0.0]))
    shifted = wanted * torch.tensor([1.0, 1.0, 20.085537, 1.0])
    torch.testing.assert_close(run.teacher_probabilities(rows), shifted / shifted.sum(1, keepdim=True))


def test_the_evaluated_model_is_the_teacher_and_then_the_student(make_pools: Callable[..., Any]) -> None:
    run = build(make_pools())
    list(run.steps(0))
    assert run.teacher is not None
    assert run.eval_model() is run.teacher.ema.model
    list(run.steps(1))
    assert run.pair is not None
    assert run.eval_model() is run.pair.student.ema.model


@pytest.mark.parametrize(("share", "switch"), [(0.5, 6), (0.25, 3), (0.05, 1), (0.95, 11)])
def test_the_teacher_gets_its_share_of_the_steps(make_pools: Callable[..., Any], share: float, switch: int) -> None:
    run = build(make_pools(), teacher_share=share, finetune_share=0.0)
    steps = [metrics for epoch in range(2) for metrics in run.steps(epoch)]
    assert ["h" in metrics for metrics in steps] == [False] * switch + [True] * (12 - switch)
    assert ["lambda" in metrics for metrics in steps] == [True] * switch + [False] * (12 - switch)


@pytest.mark.parametrize(("epochs", "closing"), [(2, 2), (20, 20)])
def test_the_fine_tuning_is_a_share_of_the_steps(make_pools: Callable[..., Any], epochs: int, closing: int) -> None:
    run = build(make_pools(), epochs=epochs, steps=20)
    assert run.steps_in(epochs) == closing


def test_the_calibrator_learns_from_h_and_from_labels_and_from_nothing_else(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = make_pools()

    def moved(ablate: bool, labeled: bool) -> bool:
        run = second_stage(pools, ablate=ablate)
        pair = run._student_stage()
        if not labeled:
            monkeypatch.setattr(reduced_mpl.F, "cross_entropy", without_labels(pair.y))
        before = weights(pair.mlp)
        list(itertools.islice(run.steps(1), 2))
        monkeypatch.undo()
        return not all(torch.equal(a, b) for a, b in zip(before, pair.mlp.parameters(), strict=True))

    assert moved(ablate=False, labeled=False)
    assert moved(ablate=True, labeled=True)
    assert not moved(ablate=True, labeled=False)


def without_labels(y: Tensor) -> Callable[..., Tensor]:
    """Cross-entropy that gives no gradient for targets of the labeled batch's length."""
    real = F.cross_entropy

    def loss(logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        found = real(logits, target, **options)
        return found * 0 if len(target) == 8 and logits.requires_grad else found

    return loss


def test_student_and_calibrator_get_the_very_same_labels(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []
    used: list[Tensor] = []
    real_draw, real_loss = reduced_mpl.sample_labels, F.cross_entropy

    def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
        drawn.append(real_draw(probabilities, uniform))
        return drawn[-1]

    def loss(logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        used.append(target)
        return real_loss(logits, target, **options)

    run = second_stage(make_pools())
    monkeypatch.setattr(reduced_mpl, "sample_labels", draw)
    monkeypatch.setattr(mpl_terms.F, "cross_entropy", loss)
    next(run.steps(1))
    assert len(drawn) == 1
    assert sum(target is drawn[0] for target in used) == 2


def test_each_image_is_taught_by_its_own_stored_distribution(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored distributions that are certain of the truth must make every drawn label the truth."""
    pools = make_pools()
    run = second_stage(pools)
    pair = run._student_stage()
    pair.unlabeled_q = F.one_hot(pools.unlabeled_idx % 4, 4).float()
    taught: list[tuple[Tensor, Tensor]] = []
    real = reduced_mpl.student_step

    def step(student: Any, batch: Any, labels: Tensor, *rest: Any, **more: Any) -> Any:
        taught.append((batch.weak, labels))
        return real(student, batch, labels, *rest, **more)

    monkeypatch.setattr(reduced_mpl, "student_step", step)
    next(run.steps(1))
    ((images, labels),) = taught
    brightest = images.float().view(-1, 2, 4, 2, 4).mean((2, 4)).flatten(1).argmax(1)
    assert torch.equal(labels, brightest)


def test_with_student_rate_zero_h_is_exactly_zero(make_pools: Callable[..., Any]) -> None:
    run = second_stage(make_pools())
    run._train = replace(run._train, learning_rate=0.0)
    assert [float(metrics["h"]) for metrics in run.steps(1)] == [0.0] * 6


def test_the_student_sees_no_label_before_the_fine_tuning(make_pools: Callable[..., Any]) -> None:
    """With a calibrator that stands still, other labels leave the student bit for bit as it was."""
    pools = make_pools()
    ended, tuned = [], []
    for shift in (0, 1):
        run = second_stage(pools, mlp_rate=0.0, finetune_rate=0.1, finetune_share=0.2)
        pair = run._student_stage()
        labels = (pools.train_y + shift) % 4
        run._feed.y = pair.y = labels
        list(run.steps(1))
        ended.append(weights(pair.student.ema.model))
        list(run.steps(2))
        tuned.append(weights(pair.student.ema.model))
    assert all(torch.equal(a, b) for a, b in zip(*ended, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(*tuned, strict=True))


def test_the_ablated_run_measures_nothing(make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = second_stage(make_pools(), ablate=True)
    monkeypatch.setattr(mpl_terms, "labeled_loss", None)
    assert [float(metrics["h"]) for metrics in run.steps(1)] == [0.0] * 6
    asked = ReducedMplConfig(compare=True)
    assert without_feedback(asked) == ReducedMplConfig(ablate=True)
    assert ALGORITHMS["reduced_mpl"].ablation is without_feedback


def test_the_teacher_may_have_a_network_of_its_own(make_pools: Callable[..., Any]) -> None:
    run = second_stage(make_pools(), teacher_net="simple_cnn", steps=2)
    assert run.teacher is not None
    teacher = sum(p.numel() for p in run.teacher.model.parameters())
    student = sum(p.numel() for p in run._student_stage().student.model.parameters())
    assert teacher != student
    with pytest.raises(ConfigError, match="not known"):
        ReducedMplConfig(teacher_net="wide_open")


def test_a_tiny_run_learns(make_pools: Callable[..., Any]) -> None:
    pools = make_pools()
    run = build(pools, epochs=2, steps=30)
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    truth = (pools.unlabeled_idx % 4).numpy()
    assert (last.probabilities.argmax(1) == truth).mean() > 0.9
