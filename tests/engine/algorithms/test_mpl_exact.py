from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.algorithms.mpl_exact import exact_step
from engine.algorithms.mpl_terms import Batch
from engine.training.evaluate import evaluation_mode
from engine.training.optim import SHARE
from tests.engine.algorithms.mpl_samples import (
    DropoutAndNorm,
    Pupil,
    Toy,
    finite_difference,
    vectors,
    weights,
)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Let the losses, float32 in training, run in float64 for comparison with finite differences."""
    real = Tensor.float
    Tensor.float = Tensor.double  # type: ignore[method-assign,assignment]
    yield
    Tensor.float = real  # type: ignore[method-assign]


@pytest.mark.parametrize(("smoothing", "temperature"), [(0.0, 1.0), (0.15, 0.7)])
def test_the_teachers_gradient_is_that_of_the_students_labeled_loss(smoothing: float, temperature: float) -> None:
    toy = Toy()

    def loss() -> float:
        with torch.no_grad():
            q = torch.softmax(toy.teacher(toy.batch.strong) / temperature, 1)
        return toy.loss_after((1 - smoothing) * q + smoothing / 2)

    wanted = finite_difference(toy.teacher, loss)
    assert wanted.norm() > 1e-2

    found = toy.feedback_gradient(
        mode="exact", exact_factor=1.0, label_smoothing=smoothing, target_temperature=temperature
    )
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8)


def test_a_weight_means_the_same_as_with_sampled_feedback() -> None:
    """1 is the paper's term, which the number of unlabeled images, 3, makes the derivative."""
    toy = Toy()
    whole, paper, twice = (toy.feedback_gradient(mode="exact", feedback_weight=weight) for weight in (0.0, 1.0, 2.0))
    assert whole.norm() > 1e-2
    torch.testing.assert_close(3 * paper, whole)
    torch.testing.assert_close(2 * paper, twice)


def deep(share: float = 1.0) -> tuple[Batch, Tensor, Pupil]:
    """A student with dropout and normalisation in float64, whose first weights learn at a share, and targets for it."""
    batch, _ = vectors()
    batch = Batch(batch.labeled.double(), batch.y, batch.weak.double(), batch.strong.double())
    q = torch.softmax(torch.randn(16, 3, generator=torch.Generator().manual_seed(5)).double(), 1)
    torch.manual_seed(0)
    model = DropoutAndNorm().double().train()
    first, *others = model.parameters()
    groups = [{"params": others}, {"params": [first], "lr": 0.3 * share, SHARE: share}]
    return batch, q, Pupil(model, torch.optim.SGD(groups, lr=0.3))


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_each_images_credit_is_the_derivative_through_dropout_and_normalisation(share: float) -> None:
    batch, q, student = deep(share)
    twin = copy.deepcopy(student.model)

    def loss(targets: Tensor) -> float:
        model = copy.deepcopy(twin)
        torch.manual_seed(11)
        pass_loss = -(targets * torch.log_softmax(model(batch.strong), 1)).sum() / len(targets)
        gradient = torch.autograd.grad(pass_loss, list(model.parameters()))
        with torch.no_grad(), evaluation_mode(model):
            for place, (parameter, part) in enumerate(zip(model.parameters(), gradient, strict=True)):
                parameter -= (0.3 if place else 0.3 * share) * part
            return float(F.cross_entropy(model(batch.labeled), batch.y))

    torch.manual_seed(11)
    credit, h, _ = exact_step(student, batch, q, 0.3, 0.0)
    for image, one in ((0, 0), (3, 2), (15, 1)):
        step = torch.zeros_like(q)
        step[image, one] = 1e-5
        wanted = (loss(q + step) - loss(q - step)) / 2e-5
        assert float(credit[image, one]) == pytest.approx(wanted, abs=1e-9)
        assert abs(wanted) > 1e-5
    with evaluation_mode(student.model):
        reached = F.cross_entropy(student.model(batch.labeled), batch.y)
    assert float(reached.detach()) == pytest.approx(loss(q), abs=1e-12)
    assert abs(float(h)) > 1e-4


def test_the_derivative_pass_moves_neither_buffers_nor_random_numbers_nor_gradients() -> None:
    batch, q, student = deep()
    other = copy.deepcopy(student)
    other.optimizer = torch.optim.SGD(other.model.parameters(), lr=0.3)
    after = []
    for one, measure in ((student, True), (other, False)):
        torch.manual_seed(11)
        exact_step(one, batch, q, 0.3, 0.1, measure=measure)
        after.append(([*one.model.state_dict().values()], [p.grad for p in one.model.parameters()], torch.rand(3)))
    for a, b in zip(*after, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("fused", [False, True], ids=["host", "device"])
def test_a_gradient_that_is_not_finite_leaves_the_student_and_gives_no_credit(fused: bool) -> None:
    batch, q, student = deep()
    student.optimizer = torch.optim.SGD(student.model.parameters(), lr=0.3, fused=fused)
    student.model.body[0].weight.register_hook(lambda g: torch.full_like(g, torch.inf))  # type: ignore[index,union-attr]
    before = weights(student.model)
    credit, h, _ = exact_step(student, batch, q, 0.3, 0.0)
    assert float(h) == 0.0
    assert not credit.any()
    assert all(torch.equal(a, b) for a, b in zip(before, student.model.parameters(), strict=True))


def test_with_rate_zero_h_and_credit_are_exactly_zero() -> None:
    batch, q, student = deep()
    student.optimizer = torch.optim.SGD(student.model.parameters(), lr=0.0)
    credit, h, _ = exact_step(student, batch, q, 0.0, 0.0)
    assert float(h) == 0.0
    assert not credit.any()
