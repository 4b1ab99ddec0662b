"""Small teachers and students for the tests of Meta Pseudo Labels."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.meta_pseudo_labels import MetaPseudoLabels, MetaPseudoLabelsConfig
from engine.algorithms.mpl_terms import Batch
from engine.training.config import TrainConfig
from engine.training.feed import Step
from engine.training.pools import Pools

PLAIN = {"smoothing": 0.0, "grad_clip": 0.0}
RATE = 1.5


@dataclass
class Pupil:
    """A student with its optimizer, as the functions take it; its average is left out."""

    model: nn.Module
    optimizer: torch.optim.SGD

    @property
    def ema(self) -> Any:
        return SimpleNamespace(update=lambda model: None)

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.model(x)
        return found.float()


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

    def probability(self, labeling: Tensor, temperature: float = 1.0) -> Tensor:
        p = torch.softmax(self.teacher(self.batch.strong) / temperature, 1)
        return p[torch.arange(3), labeling].prod()

    def student(self, rate: float = RATE) -> Pupil:
        student = nn.Linear(3, 2, bias=False).double()
        with torch.no_grad():
            student.weight.copy_(self.start)
        return Pupil(student, torch.optim.SGD(student.parameters(), lr=rate))

    def loss_after(self, labeling: Tensor) -> float:
        """L_l of the student after one plain gradient step on labels or distributions, computed here by hand."""
        weight = self.start.clone().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(F.cross_entropy(self.batch.strong @ weight.T, labeling), weight)
        return float(F.cross_entropy(self.batch.labeled @ (self.start - RATE * gradient).T, self.batch.y))

    def expected_loss(self, temperature: float = 1.0) -> float:
        with torch.no_grad():
            return sum(float(self.probability(y, temperature)) * self.loss_after(y) for y in self.labelings())

    def feedback_gradient(self, labeling: Tensor | None = None, baseline: float = 0.0, **config: Any) -> Tensor:
        """The teacher's gradient of one step of the algorithm that drew this labeling, less that of its labeled loss.

        The step is the algorithm's own: teacher, student, views and numbers are those of this toy, and the teacher
        keeps its loss instead of learning.
        """
        alone = {"student_wait": 0.0, "warm_up": 0.0, "uda_weight": 0.0, "label_smoothing": 0.0} | config
        train = TrainConfig(epochs=1, steps_per_epoch=1, learning_rate=RATE, grad_clip=0.0, net="linear", noise=0.0)
        rows = torch.arange(3)
        pools = Pools(torch.randn(3, 3), rows[:1], rows[:1], rows[:0], rows[:0], rows[1:], 2)
        run = MetaPseudoLabels(MetaPseudoLabelsConfig(**alone), train, pools, torch.device("cpu"))
        losses: list[Tensor] = []
        run.teacher = SimpleNamespace(  # type: ignore[assignment]
            model=self.teacher, logits=self.teacher, update=lambda loss, rate: losses.append(loss)
        )
        run.student = self.student()  # type: ignore[assignment]
        run.baseline.value = torch.tensor(baseline, dtype=torch.float64)
        run._feed = views_as_they_are(labeling)
        run._step(0, Step(self.batch.labeled, self.batch.y, self.batch.strong, torch.arange(3)))
        return self.less_labeled(losses[0])

    def less_labeled(self, loss: Tensor) -> Tensor:
        labeled = F.cross_entropy(self.teacher(self.batch.labeled), self.batch.y)
        both = [torch.autograd.grad(term, list(self.teacher.parameters())) for term in (loss, labeled)]
        return torch.cat([(a - b).flatten() for a, b in zip(*both, strict=True)])

    def expected_gradient(self, baseline: float = 0.0, temperature: float = 1.0) -> Tensor:
        """Expectation over all labelings; 3 times, since the teacher's loss is the mean of 3 images."""
        terms = [
            self.probability(y, temperature).detach()
            * self.feedback_gradient(y, baseline, target_temperature=temperature)
            for y in self.labelings()
        ]
        return 3 * torch.stack(terms).sum(0)


def views_as_they_are(labeling: Tensor | None = None) -> Any:
    """A feed whose views are the inputs, and whose first numbers draw this labeling of two classes."""
    numbers = iter([] if labeling is None else [labeling * (1 - 1e-9)])
    return SimpleNamespace(
        weak=lambda x: x, strong=lambda x: x, uniform=lambda n: next(numbers, torch.zeros(n, dtype=torch.float64))
    )


def finite_difference(model: nn.Module, value: Callable[[], float], step: float = 1e-5) -> Tensor:
    """Gradient of `value()` in the model's parameters, one flat tensor."""
    gradient = []
    for parameter in model.parameters():
        flat = parameter.data.view(-1)
        for place in range(len(flat)):
            old = float(flat[place])
            flat[place] = old + step
            up = value()
            flat[place] = old - step
            gradient.append((up - value()) / (2 * step))
            flat[place] = old
    return torch.tensor(gradient, dtype=torch.float64)


class DropoutAndNorm(nn.Module):
    """A student in which training and evaluation mode differ in every way they can."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def vectors() -> tuple[Batch, Tensor]:
    """A batch of 8 labeled and 16 unlabeled vectors, and labels for the latter."""
    g = torch.Generator().manual_seed(1)
    batch = Batch(
        torch.randn(8, 6, generator=g),
        torch.arange(8) % 3,
        torch.randn(16, 6, generator=g),
        3 + 2 * torch.randn(16, 6, generator=g),
    )
    return batch, torch.arange(16) % 3


def weights(model: nn.Module) -> list[Tensor]:
    """Copies of the parameters."""
    return [p.detach().clone() for p in copy.deepcopy(model).parameters()]
