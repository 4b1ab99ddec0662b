"""Reduced Meta Pseudo Labels: a teacher trained once and put away, and a small network that learns from the student.

Source: Pham et al., Meta Pseudo Labels, arXiv 2003.10580, the section on Reduced Meta Pseudo Labels (large models): the
teacher's distributions are computed beforehand; a small MLP takes them in and gives calibrated ones, and it alone is
trained by the student's feedback. The run has two stages:
    A. teacher: CE(y, T(l)) + λ(t)·L_uda, as in Meta Pseudo Labels without feedback. At its end the averaged teacher's
       distributions q on all unlabeled (U, K), labeled and other images are stored, and the teacher is freed.
    B. student and MLP m alone: ŷ sampled from softmax(m(q)), student: CE(ŷ, S(u_s)), one optimizer step;
       h = L_old − L_new as in `engine.algorithms.meta_pseudo_labels`;
       MLP: CE(y, m(q_l)) + (h − b)·CE(ŷ, m(q)), with the very ŷ the student was taught.
The student sees no label before the closing fine-tuning: labels reach it through h and the MLP alone.

Deviations, and why:
- The MLP is residual in log q with a last layer of zeros, so stage B starts from the teacher's own distributions.
- q is made once from the clean image by the averaged teacher. Its distributions on labeled images are those of images
  it was trained on, hence more certain than elsewhere; the MLP's labeled term is weighed against that by h alone.
- The teacher's weak views go through their own pass in evaluation mode, as in Meta Pseudo Labels: its normalisation
  statistics are of the labeled and strong views.
- Each stage has its own warm-up and cosine schedule over its own steps; a share of the steps for the teacher replaces
  "to convergence", so that a run has the length of every other algorithm's.
- ŷ comes from the clean image and not from the student's strong view, as q is stored and cannot be made anew.
- The closing fine-tuning is a twentieth of the steps at 0.001 where the paper has 1/300 at 1e-5: the student has seen
  no label.
- `ablate` sets h = 0: the MLP then learns from the labels alone. There is no weight of the feedback.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.mpl_terms import Baseline, Batch, sample_labels, student_step, teacher_logits
from engine.algorithms.targets import uda_loss
from engine.nets.net_name import NetName
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.feed import Feed, Step, steps_per_epoch
from engine.training.finetune import closing_steps, finetune
from engine.training.learner import Learner
from engine.training.optim import clip_gradients, cosine, make_optimizer, set_rate, wait_warm_cosine
from engine.training.pools import Pools
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything

WIDTH = 64
"""Hidden units of the calibrator."""
LEAST = 1e-6
"""Probabilities below this enter the calibrator as this."""


@dataclass(frozen=True)
class ReducedMplConfig:
    """Settings of Reduced Meta Pseudo Labels.

    Raises:
        ConfigError: a value is outside its range, or the teacher's network is not known.
    """

    teacher_share: float = setting(
        0.5, "Teacher's share", "Share of the run in which the teacher is trained.", min=0.05, max=0.95
    )
    teacher_net: str = setting(
        "", "Teacher's network", "A larger network for the teacher; empty takes the student's. Names as for Network."
    )
    mlp_rate: float = setting(
        0.05, "Calibration rate", "Peak learning rate of the small network that calibrates the teacher's stored "
        "guesses.", min=0.0, max=10.0,
    )  # fmt: skip
    temperature: float = setting(
        0.7, "Temperature", "Sharpens the weak view's targets while the teacher learns.", min=0.01, max=100.0
    )
    threshold: float = setting(
        0.6,
        "Threshold",
        "Weak views at least this confident (after sharpening) teach the strong, while the teacher learns.",
        min=0.0,
        max=1.0,
    )
    uda_weight: float = setting(
        1.0, "Consistency weight", "Weight λ of the agreement of both views.", min=0.0, max=100.0
    )
    warm_up: float = setting(
        0.1, "Warm-up", "Share of each stage in which λ and the networks' rates grow.", min=0.0, max=1.0
    )
    label_smoothing: float = setting(
        0.15, "Label smoothing", "Share of the student's target spread over all classes.", min=0.0, max=0.9
    )
    baseline_decay: float = setting(0.99, "Baseline decay", "Memory of the mean of h.", min=0.0, max=0.9999)
    ablate: bool = setting(False, "Without feedback", "h = 0: the stored guesses are calibrated by the labels alone.")
    compare: bool = setting(
        False,
        "Compare with h = 0",
        "First trains the same networks without the feedback, on the same split and seed, so that the report shows "
        "what the feedback added. Takes about twice the time.",
    )
    finetune_share: float = setting(
        0.05,
        "Fine-tuning",
        "Closing steps of the averaged student on the labels, as a share of the run's steps before them; 0 leaves "
        "them out.",
        min=0.0,
        max=1.0,
    )
    finetune_rate: float = setting(0.001, "Fine-tuning rate", "Learning rate of those steps.", min=0.0, max=1.0)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.teacher_net:
            TrainConfig(net=self.teacher_net)


class Calibrator(nn.Module):
    """A distribution in, the logits of a calibrated one out: log q + MLP(log q), at first log q itself."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(classes, WIDTH)
        self.out = nn.Linear(WIDTH, classes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, q: Tensor) -> Tensor:
        """Return logits (n, K) of distributions (n, K)."""
        logs = q.clamp_min(LEAST).log()
        return cast(Tensor, logs + self.out(torch.relu(self.hidden(logs))))


class _Pair:
    """Stage B: the student, the calibrator with its optimizer, the mean of h, and the stored distributions."""

    def __init__(self, config: ReducedMplConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        self.student = Learner(train, pools, device)
        self.mlp = Calibrator(pools.num_classes).to(device)
        self.optimizer = make_optimizer(self.mlp, dataclasses.replace(train, optimizer="sgd", weight_decay=0.0))
        self.baseline = Baseline(config.baseline_decay)
        self.y = pools.train_y.to(device)
        self.unlabeled_q = self.labeled_q = torch.empty(0, pools.num_classes, device=device)
        self.other_q = torch.empty(0, pools.num_classes)  # of images no step sees: only to be shown, so on the CPU

    def state_dict(self) -> dict[str, Any]:
        return {
            "student": self.student.state_dict(),
            "mlp": self.mlp.state_dict(),
            "mlp_optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline.value,
            "unlabeled_q": self.unlabeled_q,
            "labeled_q": self.labeled_q,
            "other_q": self.other_q,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.student.load_state_dict(state["student"])
        self.mlp.load_state_dict(state["mlp"])
        self.optimizer.load_state_dict(state["mlp_optimizer"])
        self.baseline.value = state["baseline"]
        self.unlabeled_q = state["unlabeled_q"].to(self.unlabeled_q.device)
        self.labeled_q = state["labeled_q"].to(self.labeled_q.device)
        self.other_q = state["other_q"].cpu()


class ReducedMpl:
    """A run of Reduced Meta Pseudo Labels; see `engine.training.protocol.Algorithm`.

    Exactly one of `teacher` and `pair` is there at any time: the networks of the stage the run is in.
    """

    def __init__(self, config: ReducedMplConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        seed_everything(train.seed)
        self.config, self._train, self._pools, self._device = config, train, pools, device
        self.epochs = train.epochs + (1 if config.finetune_share else 0)
        self.steps_per_epoch = steps_per_epoch(train, pools)
        self.total = train.epochs * self.steps_per_epoch
        self.finetune_steps = closing_steps(config.finetune_share, self.total)
        self.switch = min(max(1, round(config.teacher_share * self.total)), max(1, self.total - 1))
        self._feed = Feed(train, pools, device)
        self.teacher: Learner | None = Learner(_teacher_config(config, train), pools, device)
        self.pair: _Pair | None = None

    def steps_in(self, epoch: int) -> int:
        """Return the number of steps; the closing epoch is the fine-tuning."""
        return self.steps_per_epoch if epoch < self._train.epochs else self.finetune_steps

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Train through one epoch: the teacher, or student and calibrator, or the closing fine-tuning."""
        config = self.config
        if epoch >= self._train.epochs:
            student = self._student_stage().student
            yield from finetune(student, self._feed, self._train, self.finetune_steps, config.finetune_rate)
            return
        for number, step in enumerate(self._feed.epoch(self.steps_per_epoch), epoch * self.steps_per_epoch):
            if number < self.switch and self.teacher is not None:
                yield self._teach(self.teacher, number, step)
            else:
                yield self._learn(self._student_stage(), number - self.switch, step)

    def _teach(self, teacher: Learner, number: int, step: Step) -> Metrics:
        """Take step `number` of stage A: the labels, and the agreement of both views."""
        config, feed, warm_up = self.config, self._feed, round(self.config.warm_up * self.switch)
        teacher.model.train()
        uda_weight = config.uda_weight * (1.0 if not warm_up else min(1.0, number / warm_up))
        batch = Batch(feed.weak(step.x), step.y, feed.weak(step.u), feed.strong(step.u))
        on_labeled, on_weak, on_strong = teacher_logits(teacher, batch)  # (B, K), (U, K), (U, K)
        supervised = F.cross_entropy(on_labeled, step.y, label_smoothing=self._train.label_smoothing)
        consistency, used = uda_loss(on_weak, on_strong, config.temperature, config.threshold)
        loss = supervised + uda_weight * consistency
        teacher.update(loss, self._train.learning_rate * wait_warm_cosine(number, self.switch, 0, warm_up))
        return {
            "loss": loss.detach(),
            "student_loss": loss.new_zeros(()),
            "teacher_loss": loss.detach(),
            "labeled_loss": supervised.detach(),
            "unlabeled_loss": consistency.detach(),
            "lambda": uda_weight,
            "used_share": used,
        }

    def _student_stage(self) -> _Pair:
        """Return the networks of stage B; the first time store the teacher's distributions and free it."""
        if self.pair is None:
            unlabeled_q = self._distributions(self._feed.unlabeled_rows)
            labeled_q = self._distributions(self._feed.rows)
            other_q = self._distributions(self._other_rows()).cpu()
            self.teacher = None
            self.pair = _Pair(self.config, self._train, self._pools, self._device)
            self.pair.unlabeled_q, self.pair.labeled_q, self.pair.other_q = unlabeled_q, labeled_q, other_q
        return self.pair

    def _other_rows(self) -> Tensor:
        """Return the rows (n,) of images that no step sees: held out or excluded."""
        left = torch.ones(len(self._pools.images), dtype=torch.bool)
        left[torch.cat([self._pools.train_idx, self._pools.unlabeled_idx])] = False
        return left.nonzero()[:, 0]

    def _distributions(self, rows: Tensor) -> Tensor:
        """Return the averaged teacher's distributions (n, K) on these rows."""
        assert self.teacher is not None
        logits = predict_logits(self.teacher.ema.model, self._feed.images, rows, self._device)
        return torch.softmax(logits, 1).to(self._device)

    def _learn(self, pair: _Pair, number: int, step: Step) -> Metrics:
        """Take step `number` of stage B: draw ŷ from m(q), teach it to the student, tell m how the student did."""
        config, train, feed, student = self.config, self._train, self._feed, pair.student
        total = self.total - self.switch
        student.model.train()
        student_rate = train.learning_rate * wait_warm_cosine(number, total, 0, round(config.warm_up * total))
        set_rate(student.optimizer, student_rate)
        batch = Batch(feed.weak(step.x), step.y, step.u, feed.strong(step.u))
        uniform, place = feed.uniform(len(step.u)), feed.uniform(train.batch_size)
        z = pair.mlp(pair.unlabeled_q[step.places.to(self._device, non_blocking=True)])  # m(q): (U, K)
        labels = sample_labels(torch.softmax(z, 1), uniform)  # ŷ (U,)
        h, student_loss = student_step(
            student, batch, labels, config.label_smoothing, train.grad_clip, measure=not config.ablate
        )
        student.ema.update(student.model)
        advantage = h if config.ablate else pair.baseline.advantage(h)  # h − b
        feedback = advantage * F.cross_entropy(z, labels)
        rows = (place * len(pair.labeled_q)).long().clamp_(max=len(pair.labeled_q) - 1)  # (B,)
        supervised = F.cross_entropy(pair.mlp(pair.labeled_q[rows]), pair.y[rows])
        mlp_loss = supervised + feedback
        self._update(pair, mlp_loss, config.mlp_rate * cosine(number, total))
        return {
            "loss": mlp_loss.detach() + student_loss,
            "student_loss": student_loss,
            "labeled_loss": supervised.detach(),
            "h": h,
            "h_baseline": pair.baseline.value,
        }

    def _update(self, pair: _Pair, loss: Tensor, rate: float) -> None:
        """Take one step of the calibrator."""
        set_rate(pair.optimizer, rate)
        pair.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradients(pair.mlp, self._train.grad_clip)
        pair.optimizer.step()

    def eval_model(self) -> nn.Module:
        """Return the averaged teacher in stage A, the averaged student after."""
        learner = self.pair.student if self.pair is not None else self.teacher
        assert learner is not None
        return learner.ema.model

    def teacher_probabilities(self, rows: Tensor) -> Tensor:
        """Return the averaged teacher's distributions (n, K) in stage A, the stored ones, calibrated, after."""
        if self.pair is None:
            return self._distributions(rows).cpu()
        places = torch.cat([self._pools.unlabeled_idx, self._pools.train_idx, self._other_rows()])
        stored = torch.cat([self.pair.unlabeled_q.cpu(), self.pair.labeled_q.cpu(), self.pair.other_q])
        with torch.inference_mode():
            q = stored.new_empty(len(self._pools.images), stored.shape[1]).index_copy_(0, places, stored)
            return torch.softmax(self.pair.mlp(q[rows].to(self._device)), 1).cpu()

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on: of the two stages only the one the run is in."""
        state: dict[str, Any] = {"feed": self._feed.state_dict()}
        if self.pair is not None:
            return state | {"stage": "student", "pair": self.pair.state_dict()}
        assert self.teacher is not None
        return state | {"stage": "teacher", "teacher": self.teacher.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back, whichever stage it is of."""
        self._feed.load_state_dict(state["feed"])
        if state["stage"] == "student":
            self.teacher = None
            self.pair = _Pair(self.config, self._train, self._pools, self._device)
            self.pair.load_state_dict(state["pair"])
            return
        self.pair = None
        self.teacher = self.teacher or Learner(_teacher_config(self.config, self._train), self._pools, self._device)
        self.teacher.load_state_dict(state["teacher"])


def _teacher_config(config: ReducedMplConfig, train: TrainConfig) -> TrainConfig:
    """Return the run's settings with the teacher's network; weights are kept only where they exist for it."""
    if not config.teacher_net:
        return train
    weights = train.weights if NetName.parse(config.teacher_net).is_torchvision else ""
    return dataclasses.replace(train, net=config.teacher_net, weights=weights)
