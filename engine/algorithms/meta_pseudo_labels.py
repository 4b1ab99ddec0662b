"""Meta Pseudo Labels: a teacher labels for a student and learns from how the student then does on the real
labels.

Source: Pham et al., Meta Pseudo Labels, arXiv 2003.10580: equations 2-3, section 2 and appendix A. One step:
    1. teacher forward on labeled l, weak u_w and strong u_s views of unlabeled images, graph kept;
    2. ŷ sampled from the teacher's softmax on u_s; student: CE(ŷ, S(u_s)), one optimizer step;
    3. L_old and L_new: the student's CE on the labeled batch before and after that step;
    4. h = L_old − L_new, positive when the student improved; b a running mean of h;
    5. teacher: CE(y, T(l)) + λ(t)·L_uda + (h − b)·CE(ŷ, T(u_s)), with the very ŷ of 2; one optimizer step.
In expectation over ŷ term 5 is the finite-difference gradient of the student's labeled loss in the teacher's
weights, per image of the unlabeled batch (a test enumerates all labelings of a small case).

Choices the paper leaves open:
- L_old is measured after the student's training pass and before its optimizer step, both losses in
  evaluation mode and float32: normalisation statistics and dropout are the same in both, so with a student
  rate of 0 h is exactly 0.
- Baseline order: h is reduced by the b of the steps before, then b takes h in. So b does not depend on ŷ and
  adds no bias. (The reference code updates first.)
- ŷ is drawn without label smoothing in the teacher's term; the student's target is smoothed.
- A student step with a gradient that is not finite is skipped as a whole; then h = 0.

Deviations, and why:
- Times are shares of the run, so that short CPU runs have every phase: the paper's 5000 warm-up and 3000
  wait steps of 300,000 would be 2 % and 1 %; here 10 % and 2 %. While it waits the student does nothing and
  h = 0.
- The consistency weight is 1, not 8: with runs this short 8 drowns the teacher's labels before it knows them.
- Gradients are limited in norm (all algorithms): where h is negative the teacher's term has no lower bound.
- The strong view is a small batched augmentation (rotation, shift, light, cut-out), not RandAugment.
- The closing fine-tuning of the averaged student on the labels keeps normalisation statistics and uses no
  dropout; its defaults (100 steps, rate 1e-3) replace the paper's 1000 steps at 1e-5 of batch 512.
- `ablate` sets h = 0 and skips both measurements: the same teacher and student without the feedback. Show
  both: one public search found no effect of the term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.targets import uda_loss
from engine.augment.strong import strong_view
from engine.augment.weak import weak_view
from engine.nets.ema import Ema
from engine.training.config import TrainConfig
from engine.training.evaluate import evaluation_mode
from engine.training.feed import place_images, steps_per_epoch
from engine.training.optim import clip_gradients, cosine, make_optimizer, set_rate, wait_warm_cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import labeled_stream, new_net, seed_everything, unlabeled_stream


@dataclass(frozen=True)
class MetaPseudoLabelsConfig:
    """Settings of Meta Pseudo Labels.

    Raises:
        ConfigError: a value is outside its range.
    """

    temperature: float = setting(0.7, "Temperature", "Sharpens the weak view's targets.", min=0.01, max=100.0)
    threshold: float = setting(
        0.6,
        "Threshold",
        "Weak views at least this confident (after sharpening) teach the strong.",
        min=0.0,
        max=1.0,
    )
    uda_weight: float = setting(
        1.0, "Consistency weight", "Weight λ of the agreement of both views.", min=0.0, max=100.0
    )
    warm_up: float = setting(
        0.1, "Warm-up", "Share of the run in which λ and the student's rate grow.", min=0.0, max=1.0
    )
    student_wait: float = setting(
        0.02, "Student waits", "Share of the run in which the teacher learns alone.", min=0.0, max=0.9
    )
    label_smoothing: float = setting(
        0.15, "Label smoothing", "Share of the student's target spread over all classes.", min=0.0, max=0.9
    )
    baseline_decay: float = setting(0.99, "Baseline decay", "Memory of the mean of h.", min=0.0, max=0.9999)
    ablate: bool = setting(False, "Without feedback", "h = 0: shows what the feedback adds.")
    finetune_steps: int = setting(
        100,
        "Fine-tuning steps",
        "Closing steps of the averaged student on the labels; 0 leaves them out.",
        min=0,
        max=100_000,
    )
    finetune_rate: float = setting(0.001, "Fine-tuning rate", "Learning rate of those steps.", min=0.0, max=1.0)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Batch:
    """labeled (B, C, H, W) with y (B,); weak and strong views (U, C, H, W) of the same unlabeled images."""

    labeled: Tensor
    y: Tensor
    weak: Tensor
    strong: Tensor


def sample_labels(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Return a class (U,) int64 drawn from each row of probabilities (U, K) by its number (U,) in 0..1."""
    edges = probabilities.detach().cumsum(1)
    edges = edges / edges[:, -1:]
    return (uniform[:, None] >= edges).sum(1).clamp_(max=probabilities.shape[1] - 1)


def labeled_loss(student: nn.Module, batch: Batch) -> Tensor:
    """Return the student's CE on the labeled batch: float32, evaluation mode, no gradient, nothing moved."""
    with evaluation_mode(student), torch.no_grad(), torch.autocast(batch.y.device.type, enabled=False):
        return F.cross_entropy(student(batch.labeled).float(), batch.y)


@dataclass(frozen=True)
class StudentTerms:
    """How the student takes a step: smoothing of its targets, gradient limit, and whether h is measured."""

    label_smoothing: float
    grad_clip: float
    measure: bool = True


def student_step(
    student: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, labels: Tensor, terms: StudentTerms
) -> tuple[Tensor, Tensor]:
    """Train the student one step on the sampled labels; return (h, its loss), both without gradient.

    h = L_old − L_new, 0 when not measured. The training pass comes first, so that both measurements see the
    normalisation statistics it leaves. A step with a non-finite gradient is skipped.
    """
    with _mixed(batch):
        logits = student(batch.strong)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=terms.label_smoothing)
    before = labeled_loss(student, batch) if terms.measure else loss.new_zeros(())
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if bool(torch.isfinite(clip_gradients(student, terms.grad_clip))):
        optimizer.step()
    after = labeled_loss(student, batch) if terms.measure else before
    return before - after, loss.detach()


class Baseline:
    """Running mean b of h, starting at 0."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self.value = torch.zeros(())

    def advantage(self, h: Tensor) -> Tensor:
        """Return h − b with the b of the steps before, then take h into b."""
        self.value = self.value.to(h.device)
        result = h - self.value
        self.value = self._decay * self.value + (1 - self._decay) * h
        return result


def teacher_logits(teacher: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the teacher's logits on (labeled, weak, strong) from one pass, float32, with their graph."""
    views = torch.cat([batch.labeled.float(), batch.weak.float(), batch.strong.float()])
    with _mixed(batch):
        logits = teacher(views)
    labeled, weak, strong = logits.float().split([len(batch.labeled), len(batch.weak), len(batch.strong)])
    return labeled, weak, strong


@dataclass(frozen=True)
class TeacherTerms:
    """What the teacher's loss needs of the settings at one step."""

    label_smoothing: float
    uda_weight: float
    temperature: float
    threshold: float


def meta_step(
    teacher: nn.Module,
    batch: Batch,
    terms: TeacherTerms,
    draw: Callable[[Tensor], Tensor],
    learn: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Metrics]:
    """Return the teacher's loss with its graph, and the metrics; the student has learned when this returns.

    Args:
        teacher: its gradients are not touched here.
        batch: of this step.
        terms: weights of the teacher's loss.
        draw: given probabilities (U, K) returns ŷ (U,); called once.
        learn: given ŷ trains the student and returns (h − b, the student's loss).
    """
    labeled, weak, strong = teacher_logits(teacher, batch)
    labels = draw(torch.softmax(strong.detach(), 1))
    advantage, student_loss = learn(labels)
    supervised = F.cross_entropy(labeled, batch.y, label_smoothing=terms.label_smoothing)
    consistency, used = uda_loss(weak, strong, terms.temperature, terms.threshold)
    feedback = advantage * F.cross_entropy(strong, labels)
    loss = supervised + terms.uda_weight * consistency + feedback
    metrics: Metrics = {
        "loss": loss.detach() + student_loss,
        "student_loss": student_loss,
        "teacher_loss": loss.detach(),
        "labeled_loss": supervised.detach(),
        "unlabeled_loss": consistency.detach(),
        "lambda": terms.uda_weight,
        "used_share": used,
    }
    return loss, metrics


class MetaPseudoLabels:
    """A Meta Pseudo Labels run; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: MetaPseudoLabelsConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.config, self._train, self._device = config, train, device
        self.epochs = train.epochs + (1 if config.finetune_steps else 0)
        self.steps_per_epoch = steps_per_epoch(train, pools)
        self.total = train.epochs * self.steps_per_epoch
        self.wait = round(config.student_wait * self.total)
        self.warm_up = round(config.warm_up * self.total)
        self._images = place_images(pools.images, device)
        self._rows, self._y, self._unlabeled_rows = pools.train_idx, pools.train_y, pools.unlabeled_idx
        self._labeled = labeled_stream(train, pools)
        self._unlabeled = unlabeled_stream(train, pools)
        self._views = torch.Generator().manual_seed(train.seed + 3)
        self.teacher = new_net(train, pools, device)
        self.student = new_net(train, pools, device)
        self.ema = Ema(self.student, train.ema_decay)
        self.teacher_optimizer = make_optimizer(self.teacher, train)
        self.student_optimizer = make_optimizer(self.student, train)
        self.baseline = Baseline(config.baseline_decay)

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps; the closing epoch is the fine-tuning."""
        return self.steps_per_epoch if epoch < self._train.epochs else self.config.finetune_steps

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch, or fine-tune the averaged student in the closing one."""
        if epoch >= self._train.epochs:
            yield from self._finetune()
            return
        self.teacher.train()
        self.student.train()
        for step in range(epoch * self.steps_per_epoch, (epoch + 1) * self.steps_per_epoch):
            yield self._step(step)

    def rates(self, step: int) -> tuple[float, float, float]:
        """Return (teacher's rate, student's rate, λ) at a step."""
        peak = self._train.learning_rate
        warm = 1.0 if not self.warm_up else min(1.0, step / self.warm_up)
        student = wait_warm_cosine(step, self.total, self.wait, self.warm_up)
        return peak * cosine(step, self.total), peak * student, self.config.uda_weight * warm

    def _step(self, step: int) -> Metrics:
        teacher_rate, student_rate, uda_weight = self.rates(step)
        set_rate(self.teacher_optimizer, teacher_rate)
        set_rate(self.student_optimizer, student_rate)
        batch = self._batch()
        uniform = torch.rand(len(batch.weak), generator=self._views).to(self._device)
        config = self.config
        terms = TeacherTerms(self._train.label_smoothing, uda_weight, config.temperature, config.threshold)
        extra: Metrics = {}

        def learn(labels: Tensor) -> tuple[Tensor, Tensor]:
            if step < self.wait:
                return torch.zeros((), device=self._device), torch.zeros((), device=self._device)
            how = StudentTerms(config.label_smoothing, self._train.grad_clip, measure=not config.ablate)
            h, loss = student_step(self.student, self.student_optimizer, batch, labels, how)
            self.ema.update(self.student)
            advantage = h if config.ablate else self.baseline.advantage(h)
            extra.update({"h": h, "h_baseline": self.baseline.value})
            return advantage, loss

        loss, metrics = meta_step(self.teacher, batch, terms, lambda p: sample_labels(p, uniform), learn)
        self.teacher_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.teacher, self._train.grad_clip)
        self.teacher_optimizer.step()
        return metrics | extra

    def _batch(self) -> Batch:
        train = self._train
        places = self._labeled.take(train.batch_size)
        rows = self._unlabeled_rows[self._unlabeled.take(train.batch_size * train.unlabeled_ratio)]
        weak = weak_view(self._images, rows, self._device, train.augment, self._views)
        return Batch(
            labeled=weak_view(self._images, self._rows[places], self._device, train.augment, self._views),
            y=self._y[places].to(self._device, non_blocking=True),
            weak=weak,
            strong=strong_view(weak, self._views),
        )

    def _finetune(self) -> Iterator[Metrics]:
        """Train the averaged student on the labels in evaluation mode (statistics kept, no dropout)."""
        train, model = self._train, self.ema.model.requires_grad_(True).eval()
        optimizer = make_optimizer(model, train)
        set_rate(optimizer, self.config.finetune_rate)
        for _ in range(self.config.finetune_steps):
            places = self._labeled.take(train.batch_size)
            x = weak_view(self._images, self._rows[places], self._device, train.augment, self._views)
            y = self._y[places].to(self._device, non_blocking=True)
            loss = F.cross_entropy(model(x).float(), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield {"loss": loss.detach()}
        model.requires_grad_(False)

    def eval_model(self) -> nn.Module:
        """Return the averaged student."""
        return self.ema.model

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return {
            "teacher": self.teacher.state_dict(),
            "student": self.student.state_dict(),
            "ema": self.ema.state_dict(),
            "teacher_optimizer": self.teacher_optimizer.state_dict(),
            "student_optimizer": self.student_optimizer.state_dict(),
            "baseline": self.baseline.value,
            "labeled": self._labeled.state_dict(),
            "unlabeled": self._unlabeled.state_dict(),
            "views": self._views.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self.teacher.load_state_dict(state["teacher"])
        self.student.load_state_dict(state["student"])
        self.ema.load_state_dict(state["ema"])
        self.teacher_optimizer.load_state_dict(state["teacher_optimizer"])
        self.student_optimizer.load_state_dict(state["student_optimizer"])
        self.baseline.value = state["baseline"]
        self._labeled.load_state_dict(state["labeled"])
        self._unlabeled.load_state_dict(state["unlabeled"])
        self._views.set_state(state["views"])


def _mixed(batch: Batch) -> torch.autocast:
    """Return bfloat16 autocast on CUDA, nothing elsewhere."""
    return torch.autocast(batch.y.device.type, dtype=torch.bfloat16, enabled=batch.y.device.type == "cuda")
