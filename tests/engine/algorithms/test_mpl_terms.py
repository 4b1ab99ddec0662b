from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.algorithms import meta_pseudo_labels
from engine.algorithms.mpl_terms import (
    Baseline,
    gradient_ratio,
    guarded_step,
    sample_labels,
    student_step,
    teacher_logits,
)
from tests.engine.algorithms.mpl_samples import PLAIN, DropoutAndNorm, Pupil, Toy, finite_difference, vectors, weights


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Let the losses, float32 in training, run in float64 for comparison with finite differences."""
    real = Tensor.float
    Tensor.float = Tensor.double  # type: ignore[method-assign,assignment]
    yield
    Tensor.float = real  # type: ignore[method-assign]


def pupil(rate: float, **options: object) -> Pupil:
    """A student with dropout and normalisation, in training mode."""
    torch.manual_seed(0)
    model = DropoutAndNorm().train()
    return Pupil(model, torch.optim.SGD(model.parameters(), lr=rate, **options))  # type: ignore[arg-type]


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(("baseline", "temperature"), [(0.0, 1.0), (0.37, 1.0), (0.37, 0.5)])
def test_expected_teacher_gradient_is_the_gradient_of_the_students_labeled_loss(
    baseline: float, temperature: float
) -> None:
    toy = Toy()
    wanted = finite_difference(toy.teacher, lambda: toy.expected_loss(temperature))
    assert wanted.norm() > 1e-2
    torch.testing.assert_close(toy.expected_gradient(baseline, temperature), wanted, rtol=0, atol=1e-8)


@pytest.mark.usefixtures("double_precision")
def test_with_the_unlabeled_batch_as_its_weight_the_feedback_is_the_derivative_of_the_students_loss() -> None:
    toy = Toy()
    wanted = finite_difference(toy.teacher, toy.expected_loss)
    terms = [toy.probability(y).detach() * toy.feedback_gradient(y, feedback_weight=3.0) for y in toy.labelings()]
    torch.testing.assert_close(torch.stack(terms).sum(0), wanted, rtol=0, atol=1e-8)


def test_only_labeled_and_strong_views_carry_a_graph_and_move_the_statistics_of_the_teacher() -> None:
    batch, _ = vectors()
    teacher = pupil(0.1)
    alone = copy.deepcopy(teacher.model).eval()
    wanted_weak = alone(batch.weak)
    hidden = alone.body[0](torch.cat([batch.labeled, batch.strong]))  # type: ignore[operator,index]
    labeled, weak, strong = teacher_logits(teacher, batch)  # type: ignore[arg-type]
    assert [len(logits) for logits in (labeled, weak, strong)] == [8, 16, 16]
    assert [logits.requires_grad for logits in (labeled, weak, strong)] == [True, False, True]
    torch.testing.assert_close(weak, wanted_weak)
    norm = teacher.model.body[1]  # type: ignore[index,union-attr]
    assert int(norm.num_batches_tracked) == 1
    torch.testing.assert_close(norm.running_mean, 0.1 * hidden.mean(0))
    assert all(module.training for module in teacher.model.modules())


def test_the_ratio_is_of_the_norms_of_both_gradients_and_leaves_the_graphs() -> None:
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    logits = (2 * a, 1 * b)
    term = 3 * logits[1].sum()  # gradient (0, 0) and 3
    rest = (logits[0] ** 2).sum() / 4 + 0.5 * logits[1].sum()  # gradient (1, 2) and 0.5
    assert float(gradient_ratio(term, rest, logits)) == pytest.approx(3 / 5.25**0.5)
    (term + rest).backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None
    assert b.grad is not None
    assert (a.grad.tolist(), b.grad.tolist()) == ([2.0, 4.0], [3.5])
    assert float(gradient_ratio(0 * b.sum(), b.sum(), (b,))) == 0.0
    assert torch.isfinite(gradient_ratio(b.sum(), 0 * b.sum(), (b,)))


@pytest.mark.usefixtures("double_precision")
def test_a_helpful_pseudo_label_has_positive_h_and_becomes_more_probable() -> None:
    toy = Toy()
    best = min(toy.labelings(), key=toy.loss_after)
    h, _ = student_step(toy.student(), toy.batch, best, **PLAIN)
    start = float(F.cross_entropy(toy.batch.labeled @ toy.start.T, toy.batch.y))
    assert float(h) == pytest.approx(start - toy.loss_after(best), abs=1e-12)
    assert h > 0
    before = float(toy.probability(best).detach())
    gradient = toy.feedback_gradient(best)
    with torch.no_grad():
        for parameter, part in zip(toy.teacher.parameters(), gradient.split([6, 2]), strict=True):
            parameter -= 0.1 * part.view_as(parameter)
    assert float(toy.probability(best).detach()) > before


def test_with_student_rate_zero_h_is_exactly_zero_despite_dropout_and_batch_norm() -> None:
    batch, labels = vectors()
    student = pupil(0.0, momentum=0.9, weight_decay=0.1, nesterov=True)
    norm = student.model.body[1]  # type: ignore[index,union-attr]
    moved = norm.running_mean.clone()
    for _ in range(3):
        h, loss = student_step(student, batch, labels, **PLAIN)
        assert float(h) == 0.0
        assert float(loss) > 0
    assert not torch.equal(moved, norm.running_mean)
    assert student.model.training


FUSED = pytest.mark.parametrize("fused", [False, True], ids=["host", "device"])


@FUSED
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_gradient_that_is_not_finite_skips_the_student_step_and_gives_h_zero(fused: bool, value: float) -> None:
    batch, labels = vectors()
    student = pupil(0.1, momentum=0.9, nesterov=True, fused=fused)
    student_step(student, batch, labels, **PLAIN)
    hook = student.model.body[0].weight.register_hook(lambda g: torch.full_like(g, value))  # type: ignore[index,union-attr]
    held, momentum = weights(student.model), copy.deepcopy(student.optimizer.state_dict()["state"])
    h, _ = student_step(student, batch, labels, **PLAIN)
    assert float(h) == 0.0
    assert all(torch.equal(a, b) for a, b in zip(held, student.model.parameters(), strict=True))
    after = student.optimizer.state_dict()["state"]
    assert all(torch.equal(momentum[k]["momentum_buffer"], after[k]["momentum_buffer"]) for k in momentum)
    hook.remove()
    h, _ = student_step(student, batch, labels, **PLAIN)
    assert float(h) != 0.0
    assert not all(torch.equal(a, b) for a, b in zip(held, student.model.parameters(), strict=True))


@FUSED
def test_skipping_the_very_first_step_leaves_no_trace_in_the_momentum(fused: bool) -> None:
    """The step after a skipped first one must be what a first step is."""

    def train(skip: bool) -> list[Tensor]:
        student = pupil(0.1, momentum=0.9, nesterov=True, fused=fused)
        gradient = torch.Generator().manual_seed(1)
        for first in (True, False) if skip else (False,):
            student.optimizer.zero_grad()
            gradient.manual_seed(1)
            for p in student.model.parameters():
                p.grad = torch.full_like(p, torch.nan) if first else torch.randn(p.shape, generator=gradient)
            taken = guarded_step(student.optimizer, clip_norm(student))
            assert bool(taken) is not first
        return weights(student.model)

    for a, b in zip(train(True), train(False), strict=True):
        torch.testing.assert_close(a, b)


def clip_norm(student: Pupil) -> Tensor:
    return torch.stack([p.grad.norm() for p in student.model.parameters() if p.grad is not None]).norm()


def test_the_fused_way_asks_nothing_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, labels = vectors()
    student = pupil(0.1, momentum=0.9, fused=True)
    student_step(student, batch, labels, **PLAIN)

    def refuse(self: Tensor) -> bool:
        raise AssertionError("the host waited for a tensor")

    for name in ("__bool__", "__float__", "item", "tolist"):
        monkeypatch.setattr(Tensor, name, refuse)
    student_step(student, batch, labels, smoothing=0.0, grad_clip=1.0)
    logits = student.logits(batch.strong)
    gradient_ratio(logits.sum(), F.cross_entropy(logits, labels), (logits,))


def test_both_ways_of_a_step_move_the_weights_alike() -> None:
    batch, labels = vectors()
    ended = []
    for fused in (False, True):
        student = pupil(0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=fused)
        for _ in range(3):
            student_step(student, batch, labels, **PLAIN)
        ended.append(weights(student.model))
    for a, b in zip(*ended, strict=True):
        torch.testing.assert_close(a, b)


def test_h_is_measured_in_float32_whatever_the_surrounding_precision() -> None:
    batch, labels = vectors()
    student = pupil(1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h, loss = student_step(student, batch, labels, **PLAIN)
    assert h.dtype == loss.dtype == torch.float32
    assert 0 < abs(float(h)) < 1e-2


@pytest.mark.usefixtures("double_precision")
def test_labels_are_drawn_from_the_distribution_at_the_target_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    toy, seen, real = Toy(), [], sample_labels

    def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
        seen.append(probabilities.detach())
        return real(probabilities, uniform)

    monkeypatch.setattr(meta_pseudo_labels, "sample_labels", draw)
    toy.feedback_gradient(torch.tensor([0, 1, 0]), target_temperature=0.5)
    torch.testing.assert_close(seen[0], torch.softmax(toy.teacher(toy.batch.strong).detach() / 0.5, 1))


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
