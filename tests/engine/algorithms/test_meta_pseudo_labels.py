from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms import ALGORITHMS
from engine.algorithms import meta_pseudo_labels as mpl
from engine.algorithms.meta_pseudo_labels import (
    Baseline,
    Batch,
    MetaPseudoLabels,
    MetaPseudoLabelsConfig,
    StudentTerms,
    TeacherTerms,
    meta_step,
    sample_labels,
    student_step,
)
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.optim import wait_warm_cosine

CPU = torch.device("cpu")
PLAIN = StudentTerms(label_smoothing=0.0, grad_clip=0.0)
NO_CONSISTENCY = TeacherTerms(label_smoothing=0.0, uda_weight=0.0, temperature=1.0, threshold=0.0)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Let the losses, float32 in training, run in float64 for comparison with finite differences."""
    real = Tensor.float
    Tensor.float = Tensor.double  # type: ignore[method-assign,assignment]
    yield
    Tensor.float = real  # type: ignore[method-assign]


class Toy:
    """A softmax teacher and student on vectors: 3 unlabeled of 2 classes, so 8 labelings to enumerate."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(3)
        self.batch = Batch(
            labeled=torch.randn(5, 3, generator=g).double(),
            y=torch.tensor([0, 1, 1, 0, 1]),
            weak=torch.randn(3, 3, generator=g).double(),
            strong=torch.randn(3, 3, generator=g).double(),
        )
        self.teacher = nn.Linear(3, 2).double()
        self.start = torch.randn(2, 3, generator=g).double()
        with torch.no_grad():
            self.teacher.weight.copy_(torch.randn(2, 3, generator=g))
            self.teacher.bias.zero_()

    def labelings(self) -> Iterator[Tensor]:
        for labeling in itertools.product(range(2), repeat=3):
            yield torch.tensor(labeling)

    def probability(self, labeling: Tensor) -> Tensor:
        p = torch.softmax(self.teacher(self.batch.strong), 1)
        return p[torch.arange(3), labeling].prod()

    def student(self, rate: float = 1.5) -> tuple[nn.Linear, torch.optim.SGD]:
        student = nn.Linear(3, 2, bias=False).double()
        with torch.no_grad():
            student.weight.copy_(self.start)
        return student, torch.optim.SGD(student.parameters(), lr=rate)

    def loss_after(self, labeling: Tensor) -> float:
        """L_l of the student after one plain gradient step on the labeling, computed here by hand."""
        weight = self.start.clone().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(F.cross_entropy(self.batch.strong @ weight.T, labeling), weight)
        return float(F.cross_entropy(self.batch.labeled @ (self.start - 1.5 * gradient).T, self.batch.y))

    def expected_loss(self) -> float:
        with torch.no_grad():
            return sum(float(self.probability(y)) * self.loss_after(y) for y in self.labelings())

    def finite_difference(self) -> Tensor:
        """Gradient of E[L_l(student after its step)] in the teacher's weights and bias."""
        gradient, step = [], 1e-5
        for parameter in self.teacher.parameters():
            flat = parameter.data.view(-1)
            for place in range(len(flat)):
                old = float(flat[place])
                flat[place] = old + step
                up = self.expected_loss()
                flat[place] = old - step
                gradient.append((up - self.expected_loss()) / (2 * step))
                flat[place] = old
        return torch.tensor(gradient, dtype=torch.float64)

    def feedback_gradient(self, labeling: Tensor, baseline: float = 0.0) -> Tensor:
        """The teacher's gradient of one step that drew this labeling, less that of its labeled loss."""
        draws = iter([labeling])
        student, optimizer = self.student()

        def learn(labels: Tensor) -> tuple[Tensor, Tensor]:
            h, loss = student_step(student, optimizer, self.batch, labels, PLAIN)
            return h - baseline, loss

        loss, _ = meta_step(self.teacher, self.batch, NO_CONSISTENCY, lambda _: next(draws), learn)
        labeled = F.cross_entropy(self.teacher(self.batch.labeled), self.batch.y)
        both = [torch.autograd.grad(term, list(self.teacher.parameters())) for term in (loss, labeled)]
        return torch.cat([(a - b).flatten() for a, b in zip(*both, strict=True)])

    def expected_gradient(self, baseline: float = 0.0) -> Tensor:
        """Expectation over all labelings; 3 times, since the teacher's loss is the mean of 3 images."""
        terms = [self.probability(y).detach() * self.feedback_gradient(y, baseline) for y in self.labelings()]
        return 3 * torch.stack(terms).sum(0)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("baseline", [0.0, 0.37])
def test_expected_teacher_gradient_is_the_gradient_of_the_students_labeled_loss(baseline: float) -> None:
    toy = Toy()
    wanted = toy.finite_difference()
    assert wanted.norm() > 1e-2
    torch.testing.assert_close(toy.expected_gradient(baseline), wanted, rtol=0, atol=1e-8)


@pytest.mark.usefixtures("double_precision")
def test_a_helpful_pseudo_label_has_positive_h_and_becomes_more_probable() -> None:
    toy = Toy()
    best = min(toy.labelings(), key=toy.loss_after)
    student, optimizer = toy.student()
    h, _ = student_step(student, optimizer, toy.batch, best, PLAIN)
    start = float(F.cross_entropy(toy.batch.labeled @ toy.start.T, toy.batch.y))
    assert float(h) == pytest.approx(start - toy.loss_after(best), abs=1e-12)
    assert h > 0
    before = float(toy.probability(best).detach())
    gradient = toy.feedback_gradient(best)
    with torch.no_grad():
        for parameter, part in zip(toy.teacher.parameters(), gradient.split([6, 2]), strict=True):
            parameter -= 0.1 * part.view_as(parameter)
    assert float(toy.probability(best).detach()) > before


def test_student_and_teacher_get_the_very_same_labels(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []
    used: list[Tensor] = []
    real_draw, real_loss = mpl.sample_labels, F.cross_entropy

    def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
        drawn.append(real_draw(probabilities, uniform))
        return drawn[-1]

    def loss(logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        used.append(target)
        return real_loss(logits, target, **options)

    run = build(make_pools(), student_wait=0.0)
    monkeypatch.setattr(mpl, "sample_labels", draw)
    monkeypatch.setattr(mpl.F, "cross_entropy", loss)
    next(run.steps(0))
    assert len(drawn) == 1
    assert sum(target is drawn[0] for target in used) == 2


class DropoutAndNorm(nn.Module):
    """A student in which training and evaluation mode differ in every way they can."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def vectors() -> tuple[Batch, Tensor]:
    g = torch.Generator().manual_seed(1)
    batch = Batch(
        torch.randn(8, 6, generator=g),
        torch.arange(8) % 3,
        torch.randn(16, 6, generator=g),
        3 + 2 * torch.randn(16, 6, generator=g),
    )
    return batch, torch.arange(16) % 3


def test_with_student_rate_zero_h_is_exactly_zero_despite_dropout_and_batch_norm() -> None:
    torch.manual_seed(0)
    batch, labels = vectors()
    student = DropoutAndNorm().train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.0, momentum=0.9, weight_decay=0.1, nesterov=True)
    moved = student.body[1].running_mean.clone()
    for _ in range(3):
        h, loss = student_step(student, optimizer, batch, labels, PLAIN)
        assert float(h) == 0.0
        assert float(loss) > 0
    assert not torch.equal(moved, student.body[1].running_mean)
    assert student.training


def test_an_infinite_gradient_skips_the_student_step_and_gives_h_zero() -> None:
    torch.manual_seed(0)
    batch, labels = vectors()
    student = DropoutAndNorm().train()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
    student.body[0].weight.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))
    before = [p.detach().clone() for p in student.parameters()]
    h, _ = student_step(student, optimizer, batch, labels, PLAIN)
    assert float(h) == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))


def test_h_is_measured_in_float32_whatever_the_surrounding_precision() -> None:
    torch.manual_seed(0)
    batch, labels = vectors()
    student = DropoutAndNorm().train()
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h, loss = student_step(student, optimizer, batch, labels, PLAIN)
    assert h.dtype == loss.dtype == torch.float32
    assert 0 < abs(float(h)) < 1e-2


def test_no_gradient_leaks_between_teacher_and_student(make_pools: Callable[..., Any]) -> None:
    run = build(make_pools(), student_wait=0.0)
    batch = run._batch()
    seen: dict[str, Any] = {}

    def learn(labels: Tensor) -> tuple[Tensor, Tensor]:
        result = student_step(run.student, run.student_optimizer, batch, labels, PLAIN)
        seen["teacher"] = [p.grad for p in run.teacher.parameters()]
        return result

    loss, _ = meta_step(run.teacher, batch, NO_CONSISTENCY, lambda p: p.argmax(1), learn)
    assert all(grad is None for grad in seen["teacher"])
    student = [p.grad.clone() for p in run.student.parameters()]
    loss.backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(student, run.student.parameters(), strict=True))
    assert all(p.grad is not None for p in run.teacher.parameters())


def test_h_is_reduced_by_the_baseline_of_the_steps_before_then_the_baseline_takes_it_in() -> None:
    baseline = Baseline(0.9)
    got = [float(baseline.advantage(torch.tensor(h))) for h in (1.0, 1.0, -2.0)]
    assert got == pytest.approx([1.0, 0.9, -2.19])
    assert float(baseline.value) == pytest.approx(0.9 * 0.19 - 0.2)


def test_labels_are_sampled_not_the_most_probable() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3]]).expand(3000, 3)
    labels = sample_labels(p, (torch.arange(3000) + 0.5) / 3000)
    assert labels.bincount().tolist() == [600, 1500, 900]


def test_sampling_never_leaves_the_classes_nor_draws_an_impossible_one() -> None:
    p = torch.tensor([[0.0, 1.0, 0.0]] * 2)
    assert sample_labels(p, torch.tensor([0.0, 0.99999994])).tolist() == [1, 1]


def test_student_rate_waits_then_warms_up_from_zero_then_follows_the_cosine() -> None:
    factors = [wait_warm_cosine(step, total=20, wait=4, warm_up=4) for step in range(20)]
    assert factors[:4] == [0.0] * 4
    assert factors[4:8] == [0.25, 0.5, 0.75, 1.0]
    assert factors[8] == 1.0
    assert factors[14] == pytest.approx(0.5)
    assert factors[19] == pytest.approx(0.017037, abs=1e-6)


def test_rates_of_a_run_are_the_golden_ones(make_pools: Callable[..., Any]) -> None:
    run = build(make_pools(), epochs=2, steps=50, student_wait=0.1, warm_up=0.2, uda_weight=8.0)
    assert run.rates(0) == (0.1, 0.0, 0.0)
    assert run.rates(9) == (pytest.approx(0.0980147), 0.0, pytest.approx(3.6))
    assert run.rates(10) == (pytest.approx(0.0975528), pytest.approx(0.005), pytest.approx(4.0))
    assert run.rates(29) == (pytest.approx(0.0806454), pytest.approx(0.1), 8.0)
    assert run.rates(65) == (pytest.approx(0.0273005), pytest.approx(0.05), 8.0)


def test_while_the_student_waits_it_does_not_move(make_pools: Callable[..., Any]) -> None:
    run = build(make_pools(), student_wait=0.5)
    before = [p.detach().clone() for p in run.student.parameters()]
    assert all("h" not in metrics for metrics in itertools.islice(run.steps(0), 4))
    assert all(torch.equal(a, b) for a, b in zip(before, run.student.parameters(), strict=True))


def test_ablation_leaves_the_feedback_out(make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = build(make_pools(), student_wait=0.0, ablate=True, finetune_steps=0)
    monkeypatch.setattr(mpl, "labeled_loss", None)
    for metrics in run.steps(0):
        assert float(metrics["h"]) == 0.0
        terms = float(metrics["labeled_loss"]) + metrics["lambda"] * float(metrics["unlabeled_loss"])
        assert float(metrics["teacher_loss"]) == pytest.approx(terms, rel=1e-6)


def test_fine_tuning_is_a_closing_epoch_that_changes_the_evaluated_student(make_pools: Callable[..., Any]) -> None:
    pools = make_pools()
    run = build(pools, epochs=1, student_wait=0.0, finetune_steps=5, finetune_rate=0.05)
    assert run.epochs == 2
    assert [run.steps_in(epoch) for epoch in range(2)] == [8, 5]
    events = [event for event in train(run, pools) if isinstance(event, EpochEvent)]
    assert len(events) == 2
    assert not (events[0].probabilities == events[1].probabilities).all()
    assert not any(p.requires_grad for p in run.eval_model().parameters())


def test_a_tiny_run_learns(make_pools: Callable[..., Any]) -> None:
    pools = make_pools()
    run = build(pools, epochs=2, steps=30, ema_decay=0.9)
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    truth = (pools.unlabeled_idx % 4).numpy()
    assert (last.probabilities.argmax(1) == truth).mean() > 0.9


def build(pools: Any, *, epochs: int = 1, steps: int = 8, ema_decay: float = 0.99, **config: Any) -> MetaPseudoLabels:
    settings = TrainConfig(
        epochs=epochs, steps_per_epoch=steps, batch_size=8, unlabeled_ratio=2, learning_rate=0.1,
        ema_decay=ema_decay, augment="none", net="article_convnet",
    )  # fmt: skip
    spec = ALGORITHMS["meta_pseudo_labels"]
    run = spec.build(MetaPseudoLabelsConfig(**config), settings, pools, CPU)
    assert isinstance(run, MetaPseudoLabels)
    return run
