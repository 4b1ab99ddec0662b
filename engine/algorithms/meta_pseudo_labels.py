"""Meta Pseudo Labels: a teacher labels for a student and learns from how the student then does on the real
labels.

Source: Pham et al., Meta Pseudo Labels, arXiv 2003.10580: equations 2-3, section 2 and appendix A. One step:
    1. teacher forward on labeled l, weak u_w and strong u_s views of unlabeled images, graph kept;
    2. ŷ sampled from the teacher's softmax on u_s; student: CE(ŷ, S(u_s)), one optimizer step;
    3. L_old and L_new: the student's CE on the labeled batch before and after that step;
    4. h = L_old − L_new, positive when the student improved; b a running mean of h;
    5. teacher: CE(y, T(l)) + λ(t)·L_uda + (h − b)·CE(ŷ, T(u_s)), with the very ŷ of 2; one optimizer step.
In expectation over ŷ the feedback of 5 is the finite-difference gradient of the student's labeled loss in the teacher's
weights, per image of the unlabeled batch (a test enumerates all labelings of a small case).

`mode` "exact" replaces 2 and the feedback of 5: the student takes a plain gradient step on the whole distribution, and
the derivative of its labeled loss in that distribution is computed image by image (`engine.algorithms.mpl_exact`).
No noise of sampling, at the price of one derivative pass and a student without momentum, weight decay and gradient
limit.

`feedback_weight` w multiplies the feedback, and means the same in both modes: w/B_u of the derivative of the student's
labeled loss, B_u the number of unlabeled images in a step. 1 is the paper's term, where h multiplies a mean over the
batch; B_u is the full derivative, at which sampled feedback has B_u times the noise too. By default sampled takes 1 and
exact B_u. The metric "feedback_ratio", at every tenth step, is the norm of the weighted feedback's gradient over that
of the teacher's other two terms, both in the logits on labeled and strong views: cheap, and nothing waits for it.

`target` is what the student is taught. "argmax" in mode sampled is biased: h then says nothing of the classes that
were not tried. Whole distributions in mode sampled would make the feedback (h − b)·CE(sg q, T(u_s)), whose gradient in
the teacher's logits is q − q = 0: refused. (The paper's public code has that very term.)

Choices the paper leaves open:
- L_old is measured after the student's training pass and before its optimizer step, both losses in
  evaluation mode and float32: normalisation statistics and dropout are the same in both, so with a student
  rate of 0 h is exactly 0.
- Baseline order: h is reduced by the b of the steps before, then b takes h in. So b does not depend on ŷ and
  adds no bias. (The reference code updates first.)
- ŷ is drawn without label smoothing in the teacher's term; the student's target is smoothed.
- A student step with a gradient that is not finite is skipped as a whole; then h = 0.

Deviations, and why:
- The weak views, whose targets are without gradient, go through a pass of their own without gradient and in evaluation
  mode: 896 of 1,920 images need no backward pass, a fifth of a step's work. So the teacher's targets of agreement do
  not depend on dropout, and its normalisation, of a batch and running, is by the labeled and strong views alone; in the
  paper's code all three views are one batch.
- Times are shares of the run, so that short CPU runs have every phase: the paper's 5000 warm-up and 3000 wait steps of
  300,000 would be 1.7 % and 1 %; here 10 % and 2 %, with which the student ended no lower in trial runs. While it waits
  the student does nothing and h = 0. As in the reference code λ and the rates of teacher and student all warm up, the
  student's when it has waited.
- The consistency weight is 1, not 8: with runs this short 8 drowns the teacher's labels before it knows them.
- Gradients are limited in norm (all algorithms): where h is negative the teacher's term has no lower bound.
- The labeled cross-entropy of the teacher is smoothed by the round's label smoothing, 0 by default, as the baseline's
  is; the reference smooths it as the student's, by 0.15 on CIFAR-10.
- The student's average forgets by the round's EMA decay, 0.999 by default, the paper's by 0.995; both faster at first.
- The closing fine-tuning of the averaged student on the labels keeps normalisation statistics and uses no dropout. Its
  share of the run, 1/300, and its rate, 1e-5, are the paper's, but with the round's momentum and batch. In a run of
  some thousand steps it moves next to nothing; in trial runs 100 steps at 1e-3 lost a point with 50 labels and won half
  a point with 1,000.
- `ablate` sets h = 0 and skips the measurements: the same teacher and student without the feedback. One public search
  found no effect of the term; `compare` lets a round train both.

Measured (`starling bench mpl-ablation`, seeds 0-4), the feedback less h = 0 on the same seed, in points:
                                     w = 1          √B_u           B_u
    two moons, 6 labels, sampled     +0.35 ± 1.02   +1.40 ± 1.75   +1.54 ± 1.68
    two moons, 6 labels, exact       +0.75 ± 1.25   +2.14 ± 1.44   +2.17 ± 1.99
    MNIST, 50 labels, sampled        −0.96 ± 1.56   −0.98 ± 1.51   −8.70 ± 3.75
    MNIST, 50 labels, exact          +2.79 ± 4.90   +2.89 ± 2.81   +4.51 ± 5.57
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.mpl_exact import exact_step
from engine.algorithms.mpl_terms import (
    Baseline,
    Batch,
    gradient_ratio,
    sample_labels,
    student_step,
    teacher_logits,
)
from engine.algorithms.targets import uda_loss
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.finetune import closing_steps, finetune
from engine.training.learner import Learner
from engine.training.optim import set_rate, wait_warm_cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything

RATIO_EVERY = 10
"""Steps from one measurement of how loud the feedback is to the next."""


@dataclass(frozen=True)
class MetaPseudoLabelsConfig:
    """Settings of Meta Pseudo Labels.

    Raises:
        ConfigError: a value is outside its range, or mode and target do not go together.
    """

    mode: Literal["sampled", "exact"] = setting(
        "sampled",
        "Feedback",
        "sampled: the student tries one drawn label an image, and one number says how well that went (the paper); "
        "exact: computes what each image's label does to the student, without the noise of drawing, at about twice the "
        "time a step.",
        choices=("sampled", "exact"),
    )
    target: Literal["auto", "sampled", "argmax", "soft"] = setting(
        "auto",
        "Student's target",
        "auto is right: drawn labels for sampled feedback, whole distributions for exact. argmax takes the most "
        "probable class, which makes sampled feedback one-sided.",
        choices=("auto", "sampled", "argmax", "soft"),
    )
    feedback_weight: float = setting(
        0.0,
        "Feedback weight",
        "How loud the feedback is beside the teacher's other terms. 1: as in the paper; the number of unlabeled images "
        "in a step: the full derivative of the student's loss. 0 takes 1 for sampled and that number for exact.",
        min=0.0,
        max=262_144.0,
    )
    target_temperature: float = setting(
        1.0,
        "Target temperature",
        "Of the teacher's distribution that the student's targets come from; below 1 sharpens.",
        min=0.01,
        max=100.0,
    )
    exact_factor: float = setting(
        10.0,
        "Rate factor, exact",
        "With exact feedback the student learns without momentum; its learning rate is this many times the usual one "
        "(10 stands for a momentum of 0.9).",
        min=0.0,
        max=1000.0,
    )
    temperature: float = setting(
        0.7, "Temperature", "Sharpens the weak view's targets (agreement of both views).", min=0.01, max=100.0
    )
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
    baseline_decay: float = setting(
        0.99, "Baseline decay", "Sampled feedback: memory of the mean of h.", min=0.0, max=0.9999
    )
    ablate: bool = setting(False, "Without feedback", "h = 0: the teacher never hears how the student does.")
    compare: bool = setting(
        False,
        "Compare with h = 0",
        "First trains the same teacher and student without the feedback, on the same split and seed, so that the "
        "report shows what the feedback added. Takes about twice the time.",
    )
    finetune_share: float = setting(
        1 / 300,
        "Fine-tuning",
        "Closing steps of the averaged student on the labels, as a share of the run's steps before them, in the paper "
        "1/300; 0 leaves them out.",
        min=0.0,
        max=1.0,
    )
    finetune_rate: float = setting(1e-5, "Fine-tuning rate", "Learning rate of those steps.", min=0.0, max=1.0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.mode == "sampled" and self.target == "soft":
            raise ConfigError(
                "With sampled feedback and whole distributions as targets the teacher's feedback gradient is exactly "
                "zero: it would learn nothing from the student",
                value="mode sampled, target soft",
                way_out="Choose the target auto, or the feedback exact, which takes whole distributions.",
            )
        if self.mode == "exact" and self.target in ("sampled", "argmax"):
            raise ConfigError(
                "Exact feedback is the derivative for a student that is taught whole distributions",
                value=f"mode exact, target {self.target}",
                way_out="Choose the target auto or soft, or the feedback sampled.",
            )


class MetaPseudoLabels:
    """A Meta Pseudo Labels run; see `engine.training.protocol.Algorithm`."""

    def __init__(self, config: MetaPseudoLabelsConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.config, self._train = config, train
        self.epochs = train.epochs + (1 if config.finetune_share else 0)
        self.steps_per_epoch = steps_per_epoch(train, pools)
        self.total = train.epochs * self.steps_per_epoch
        self.finetune_steps = closing_steps(config.finetune_share, self.total)
        self.wait = round(config.student_wait * self.total)
        self.warm_up = round(config.warm_up * self.total)
        self._feed = Feed(train, pools, device)
        self.teacher = Learner(train, pools, device)
        plain = dataclasses.replace(train, optimizer="sgd", momentum=0.0, weight_decay=0.0)
        self.student = Learner(plain if config.mode == "exact" else train, pools, device)
        self.baseline = Baseline(config.baseline_decay)

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps; the closing epoch is the fine-tuning."""
        return self.steps_per_epoch if epoch < self._train.epochs else self.finetune_steps

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch, or fine-tune the averaged student in the closing one."""
        config = self.config
        if epoch >= self._train.epochs:
            yield from finetune(self.student, self._feed, self._train, self.finetune_steps, config.finetune_rate)
            return
        self.teacher.model.train()
        self.student.model.train()
        for number, step in enumerate(self._feed.epoch(self.steps_per_epoch), epoch * self.steps_per_epoch):
            yield self._step(number, step)

    def rates(self, step: int) -> tuple[float, float, float]:
        """Return (teacher's rate, student's rate, λ) at a step."""
        peak = self._train.learning_rate
        warm = 1.0 if not self.warm_up else min(1.0, step / self.warm_up)
        student = wait_warm_cosine(step, self.total, self.wait, self.warm_up)
        factor = self.config.exact_factor if self.config.mode == "exact" else 1.0
        teacher = wait_warm_cosine(step, self.total, 0, self.warm_up)
        return peak * teacher, factor * peak * student, self.config.uda_weight * warm

    def _step(self, number: int, step: Step) -> Metrics:
        """Take step `number`; the numbers beside it are those of the head of this file."""
        config, feed, student = self.config, self._feed, self.student
        smoothing, grad_clip, measure = config.label_smoothing, self._train.grad_clip, not config.ablate
        teacher_rate, student_rate, uda_weight = self.rates(number)
        batch = Batch(feed.weak(step.x), step.y, feed.weak(step.u), feed.strong(step.u))
        on_labeled, on_weak, on_strong = teacher_logits(self.teacher, batch)  # 1: (B, K), (U, K), (U, K)
        z = on_strong / config.target_temperature  # (U, K)
        q = torch.softmax(z, 1)
        feedback = student_loss = z.new_zeros(())
        weight = config.feedback_weight or (1.0 if config.mode == "sampled" else float(len(q)))
        heard: Metrics = {}
        set_rate(student.optimizer, student_rate)
        if number >= self.wait and config.mode == "sampled":
            uniform = feed.uniform(len(q))  # drawn for argmax too: every target then sees the same views
            labels = q.argmax(1) if config.target == "argmax" else sample_labels(q, uniform)  # 2: ŷ (U,)
            h, student_loss = student_step(student, batch, labels, smoothing, grad_clip, measure=measure)  # 2 to 4: h
            advantage = self.baseline.advantage(h) if measure else h  # 4: h − b
            feedback = advantage * F.cross_entropy(z, labels)  # 5, its last term
            heard = {"h": h, "h_baseline": self.baseline.value}
            student.ema.update(student.model)
        elif number >= self.wait:
            credit, h, student_loss = exact_step(student, batch, q.detach(), student_rate, smoothing, measure=measure)
            feedback = (q * credit).sum() / len(q)  # the last term of 5 image by image, credit (U, K)
            heard = {"h": h}
            student.ema.update(student.model)
        supervised = F.cross_entropy(on_labeled, step.y, label_smoothing=self._train.label_smoothing)
        consistency, used = uda_loss(on_weak, on_strong, config.temperature, config.threshold)
        rest = supervised + uda_weight * consistency
        if measure and number >= self.wait and number % RATIO_EVERY == 0:
            heard["feedback_ratio"] = gradient_ratio(weight * feedback, rest, (on_labeled, on_strong))
        teacher_loss = rest + weight * feedback  # 5
        self.teacher.update(teacher_loss, teacher_rate)
        return {
            "loss": teacher_loss.detach() + student_loss,
            "student_loss": student_loss,
            "teacher_loss": teacher_loss.detach(),
            "labeled_loss": supervised.detach(),
            "unlabeled_loss": consistency.detach(),
            "lambda": uda_weight,
            "used_share": used,
            **heard,
        }

    def begin(self, weights: Mapping[str, Tensor], targets: Tensor) -> None:
        """Begin with these weights in teacher and student; see `engine.training.learner.TakesStart`."""
        self.teacher.begin(weights)
        self.student.begin(weights)

    def eval_model(self) -> nn.Module:
        """Return the averaged student."""
        return self.student.ema.model

    def teacher_probabilities(self, rows: Tensor) -> Tensor:
        """Return the distributions (n, K) of the teacher that labels; see `engine.training.protocol.HasTeacher`."""
        model, images, precision = self.teacher.model, self._feed.images, self._train.precision
        return torch.softmax(predict_logits(model, images, rows, self.teacher.device, precision=precision), 1)

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return {
            "teacher": self.teacher.state_dict(),
            "student": self.student.state_dict(),
            "baseline": self.baseline.value,
            "feed": self._feed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self.teacher.load_state_dict(state["teacher"])
        self.student.load_state_dict(state["student"])
        self.baseline.value = state["baseline"]
        self._feed.load_state_dict(state["feed"])
