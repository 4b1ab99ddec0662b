from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.algorithms import ALGORITHMS, mpl_terms
from engine.algorithms import meta_pseudo_labels as mpl
from engine.algorithms.meta_pseudo_labels import MetaPseudoLabels, MetaPseudoLabelsConfig
from engine.algorithms.mpl_terms import without_feedback
from engine.errors import ConfigError
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.loop import EpochEvent, train
from engine.training.optim import wait_warm_cosine
from tests.engine.algorithms.mpl_samples import weights

CPU = torch.device("cpu")
MODES = pytest.mark.parametrize("mode", ["sampled", "exact"])


def build(pools: Any, *, epochs: int = 1, steps: int = 8, ema_decay: float = 0.99, **config: Any) -> MetaPseudoLabels:
    settings = TrainConfig(
        epochs=epochs, steps_per_epoch=steps, batch_size=8, unlabeled_ratio=2, learning_rate=0.1,
        ema_decay=ema_decay, augment="none", strong="light", net="article_convnet", precision="float32",
    )  # fmt: skip
    spec = ALGORITHMS["meta_pseudo_labels"]
    run = spec.build(MetaPseudoLabelsConfig(**config), settings, pools, CPU)
    assert isinstance(run, MetaPseudoLabels)
    return run


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
    monkeypatch.setattr(mpl_terms.F, "cross_entropy", loss)
    next(run.steps(0))
    assert len(drawn) == 1
    assert sum(target is drawn[0] for target in used) == 2


@MODES
def test_with_student_rate_zero_h_is_exactly_zero_in_a_run(make_pools: Callable[..., Any], mode: str) -> None:
    run = build(make_pools(), student_wait=0.0, warm_up=0.0, mode=mode, finetune_share=0.0)
    run._train = TrainConfig(learning_rate=0.0)
    assert [float(metrics["h"]) for metrics in itertools.islice(run.steps(0), 3)] == [0.0] * 3


def test_what_is_told_of_the_teacher_is_the_labeling_network_in_evaluation_mode(make_pools: Callable[..., Any]) -> None:
    pools = make_pools()
    run = build(pools, student_wait=0.0)
    list(run.steps(0))
    rows = torch.tensor([83, 0, 13])
    before = {name: value.clone() for name, value in run.teacher.model.state_dict().items()}
    found = run.teacher_probabilities(rows)
    alone = copy.deepcopy(run.teacher.model).eval()
    with torch.no_grad():
        torch.testing.assert_close(found, torch.softmax(alone(pools.images[rows]), 1))
    assert all(module.training for module in run.teacher.model.modules())
    assert all(torch.equal(value, before[name]) for name, value in run.teacher.model.state_dict().items())
    student = torch.softmax(predict_logits(run.eval_model(), pools.images, rows, CPU), 1)
    assert not torch.allclose(found, student, atol=1e-3)


@MODES
def test_the_teacher_hears_of_the_student(make_pools: Callable[..., Any], mode: str) -> None:
    """The feedback moves the teacher elsewhere than h = 0 does, from one step on."""
    ended = []
    for ablate in (False, True):
        run = build(make_pools(), student_wait=0.0, mode=mode, ablate=ablate, finetune_share=0.0)
        next(run.steps(0))
        ended.append(weights(run.teacher.model))
    assert not all(torch.equal(a, b) for a, b in zip(*ended, strict=True))


@MODES
def test_no_gradient_leaks_between_teacher_and_student(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    run = build(make_pools(), student_wait=0.0, mode=mode)
    seen: list[Tensor] = []

    def update(loss: Tensor, rate: float) -> None:
        assert all(p.grad is None for p in run.teacher.model.parameters())
        student = [p.grad.clone() for p in run.student.model.parameters() if p.grad is not None]
        loss.backward()
        assert all(torch.equal(a, p.grad) for a, p in zip(student, run.student.model.parameters(), strict=True))
        assert all(p.grad is not None for p in run.teacher.model.parameters())
        seen.extend(student)

    monkeypatch.setattr(run.teacher, "update", update)
    next(run.steps(0))
    assert seen


def test_student_rate_waits_then_warms_up_from_zero_then_follows_the_cosine() -> None:
    factors = [wait_warm_cosine(step, total=20, wait=4, warm_up=4) for step in range(20)]
    assert factors[:4] == [0.0] * 4
    assert factors[4:8] == [0.25, 0.5, 0.75, 1.0]
    assert factors[8] == 1.0
    assert factors[14] == pytest.approx(0.5)
    assert factors[19] == pytest.approx(0.017037, abs=1e-6)


@pytest.mark.parametrize(("mode", "factor"), [("sampled", 1.0), ("exact", 7.0)])
def test_rates_of_a_run_are_the_golden_ones(make_pools: Callable[..., Any], mode: str, factor: float) -> None:
    schedule = {"student_wait": 0.1, "warm_up": 0.2, "uda_weight": 8.0}
    run = build(make_pools(), epochs=2, steps=50, mode=mode, exact_factor=7.0, **schedule)
    assert run.rates(0) == (pytest.approx(0.005), 0.0, 0.0)
    assert run.rates(9) == (pytest.approx(0.05), 0.0, pytest.approx(3.6))
    assert run.rates(10) == (pytest.approx(0.055), pytest.approx(factor * 0.005), pytest.approx(4.0))
    assert run.rates(29) == (pytest.approx(0.0969096), pytest.approx(factor * 0.1), 8.0)
    assert run.rates(65) == (pytest.approx(0.0402455), pytest.approx(factor * 0.05), 8.0)


@MODES
def test_the_loudness_of_the_feedback_is_measured_at_every_tenth_step_and_follows_its_weight(
    make_pools: Callable[..., Any], mode: str
) -> None:
    first = {}
    for weight in (1.0, 4.0):
        run = build(make_pools(), steps=21, student_wait=0.25, mode=mode, feedback_weight=weight, finetune_share=0.0)
        told = list(run.steps(0))
        assert [place for place, metrics in enumerate(told) if "feedback_ratio" in metrics] == [10, 20]
        run = build(make_pools(), student_wait=0.0, mode=mode, feedback_weight=weight)
        first[weight] = float(next(run.steps(0))["feedback_ratio"])
    assert first[1.0] > 0
    assert first[4.0] == pytest.approx(4 * first[1.0], rel=1e-4)


def test_an_epoch_tells_how_loud_the_feedback_was_and_without_feedback_nothing_of_it(
    make_pools: Callable[..., Any],
) -> None:
    pools = make_pools()
    for ablate in (False, True):
        run = build(pools, student_wait=0.0, finetune_share=0.0, ablate=ablate)
        *_, last = train(run, pools)
        assert isinstance(last, EpochEvent)
        assert ("feedback_ratio" in last.metrics) is not ablate


def test_while_the_student_waits_it_does_not_move(make_pools: Callable[..., Any]) -> None:
    run = build(make_pools(), student_wait=0.5)
    before = weights(run.student.model)
    assert all("h" not in metrics for metrics in itertools.islice(run.steps(0), 4))
    assert all(torch.equal(a, b) for a, b in zip(before, run.student.model.parameters(), strict=True))


@MODES
def test_ablation_leaves_the_feedback_out(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    run = build(make_pools(), student_wait=0.0, ablate=True, finetune_share=0.0, mode=mode)
    monkeypatch.setattr(mpl_terms, "labeled_loss", None)
    before = weights(run.student.model)
    for metrics in run.steps(0):
        assert float(metrics["h"]) == 0.0
        terms = float(metrics["labeled_loss"]) + float(metrics["lambda"]) * float(metrics["unlabeled_loss"])
        assert float(metrics["teacher_loss"]) == pytest.approx(terms, rel=1e-6)
    assert not all(torch.equal(a, b) for a, b in zip(before, run.student.model.parameters(), strict=True))


def test_exact_feedback_trains_the_student_plainly_at_its_own_rate(make_pools: Callable[..., Any]) -> None:
    run = build(make_pools(), mode="exact", student_wait=0.0, warm_up=0.0, exact_factor=5.0)
    seen: list[float] = []
    real = run.student.optimizer.step
    run.student.optimizer.step = lambda: (  # type: ignore[method-assign,assignment]
        seen.extend(group["lr"] for group in run.student.optimizer.param_groups),
        real(),
    )
    next(run.steps(0))
    assert seen == [pytest.approx(0.5)] * 2
    assert all(
        (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.0, 0.0, False)
        for group in run.student.optimizer.param_groups
    )


def test_exact_feedback_teaches_whole_distributions_and_sampled_classes(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: dict[str, Tensor] = {}
    real_exact, real_sampled = mpl.exact_step, mpl.student_step

    def exact(student: Any, batch: Any, q: Tensor, *rest: Any, **more: Any) -> Any:
        taught["exact"] = q
        return real_exact(student, batch, q, *rest, **more)

    def sampled(student: Any, batch: Any, labels: Tensor, *rest: Any, **more: Any) -> Any:
        taught["sampled"] = labels
        return real_sampled(student, batch, labels, *rest, **more)

    monkeypatch.setattr(mpl, "exact_step", exact)
    monkeypatch.setattr(mpl, "student_step", sampled)
    for mode in ("exact", "sampled"):
        next(build(make_pools(), mode=mode, student_wait=0.0).steps(0))
    assert taught["exact"].shape == (16, 4)
    assert taught["sampled"].shape == (16,)


def test_argmax_targets_take_the_most_probable_class_whatever_is_drawn(
    make_pools: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mpl, "sample_labels", None)
    metrics = next(build(make_pools(), target="argmax", student_wait=0.0).steps(0))
    assert float(metrics["h"]) != 0.0


def test_whole_distributions_with_sampled_feedback_are_refused_for_their_zero_gradient() -> None:
    with pytest.raises(ConfigError, match="exactly zero"):
        MetaPseudoLabelsConfig(mode="sampled", target="soft")
    assert MetaPseudoLabelsConfig(mode="exact", target="soft").target == "soft"


@pytest.mark.parametrize("target", ["sampled", "argmax"])
def test_exact_feedback_with_single_classes_is_refused(target: Any) -> None:
    with pytest.raises(ConfigError, match="whole distributions"):
        MetaPseudoLabelsConfig(mode="exact", target=target)


def test_a_comparison_is_the_same_run_with_h_zero_and_only_when_asked_for() -> None:
    asked = MetaPseudoLabelsConfig(compare=True, threshold=0.5, mode="exact")
    assert without_feedback(asked) == MetaPseudoLabelsConfig(ablate=True, threshold=0.5, mode="exact")
    assert without_feedback(MetaPseudoLabelsConfig()) is None
    assert without_feedback(MetaPseudoLabelsConfig(compare=True, ablate=True)) is None
    assert ALGORITHMS["meta_pseudo_labels"].ablation is without_feedback


def test_fine_tuning_is_a_closing_epoch_that_changes_the_evaluated_student(make_pools: Callable[..., Any]) -> None:
    pools = make_pools()
    run = build(pools, epochs=1, student_wait=0.0, finetune_share=0.6, finetune_rate=0.05)
    assert run.epochs == 2
    assert [run.steps_in(epoch) for epoch in range(2)] == [8, 5]
    events = [event for event in train(run, pools) if isinstance(event, EpochEvent)]
    assert len(events) == 2
    assert not (events[0].probabilities == events[1].probabilities).all()
    assert not any(p.requires_grad for p in run.eval_model().parameters())


@pytest.mark.parametrize(("steps", "waits", "warms", "closing"), [(300, 6, 30, 1), (3000, 60, 300, 10)])
def test_a_run_of_any_length_has_its_phases_in_the_same_proportions(
    make_pools: Callable[..., Any], steps: int, waits: int, warms: int, closing: int
) -> None:
    """The paper fine-tunes for 1,000 of 300,000 steps, 1/300."""
    run = build(make_pools(), steps=steps)
    assert (run.wait, run.warm_up, run.steps_in(1)) == (waits, warms, closing)


@MODES
def test_a_tiny_run_learns(make_pools: Callable[..., Any], mode: str) -> None:
    pools = make_pools()
    run = build(pools, epochs=2, steps=30, ema_decay=0.9, mode=mode, exact_factor=5.0)
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    truth = (pools.unlabeled_idx % 4).numpy()
    assert (last.probabilities.argmax(1) == truth).mean() > 0.9
