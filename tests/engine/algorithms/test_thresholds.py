from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.algorithms.thresholds import RuleTerms, Thresholds

CPU = torch.device("cpu")


def rule(name: str, *, classes: int = 2, unlabeled: int = 4, prior: Any = None, **terms: Any) -> Thresholds:
    settings = {"threshold": 0.9, "momentum": 0.999, "n_sigma": 2.0, "lowest": 0.0, "highest": 1.0} | terms
    pi = None if prior is None else torch.tensor(prior)
    return Thresholds(RuleTerms(rule=name, **settings), classes, unlabeled, pi, CPU)  # type: ignore[arg-type]


def two(*first: float) -> Tensor:
    """Probabilities of two classes by those of the first."""
    p = torch.tensor(first)
    return torch.stack([p, 1 - p], 1)


def places(*where: int) -> Tensor:
    return torch.tensor(where)


def test_fixmatch_counts_from_the_threshold_on() -> None:
    judged = rule("fixmatch").judge(two(0.9, 0.89, 0.05), places(0, 1, 2))
    assert judged.weight.tolist() == [1.0, 0.0, 1.0]
    assert float(judged.threshold) == pytest.approx(0.9)


def test_flexmatch_lowers_the_threshold_of_classes_with_few_confident_labels() -> None:
    # three images confidently of class 0, one of class 1, none undecided: σ = (3, 1), β = (1, 1/3)
    # τ = 0.9 · (1, (1/3) / (5/3)) = (0.9, 0.18)
    flex = rule("flexmatch")
    flex.judge(two(0.95, 0.95, 0.95, 0.05), places(0, 1, 2, 3))
    judged = flex.judge(two(0.85, 0.45, 0.45), places(0, 1, 2))
    assert float(judged.threshold) == pytest.approx((0.9 + 0.18) / 2)
    assert judged.weight.tolist() == [0.0, 1.0, 1.0]


def test_flexmatch_divides_by_the_undecided_images_while_they_are_the_most() -> None:
    # one image confident of class 0, three never: β = (1/3, 0), τ = (0.9 · (1/3)/(5/3), 0) = (0.18, 0)
    flex = rule("flexmatch")
    flex.judge(two(0.95, 0.8), places(0, 1))
    judged = flex.judge(two(0.5), places(1))
    assert float(judged.threshold) == pytest.approx(0.09)


def test_flexmatch_counts_a_batch_after_its_thresholds_so_that_the_first_one_counts_as_a_whole() -> None:
    flex = rule("flexmatch")
    first = flex.judge(two(0.95, 0.6), places(0, 1))
    assert float(first.threshold) == 0.0
    assert first.weight.tolist() == [1.0, 1.0]
    assert flex.state_dict()["last"].tolist() == [0, -1, -1, -1]


def test_flexmatch_keeps_an_images_last_confident_label_while_it_is_unsure() -> None:
    flex = rule("flexmatch")
    flex.judge(two(0.95), places(2))
    flex.judge(two(0.4), places(2))
    assert flex.state_dict()["last"].tolist() == [-1, -1, 0, -1]
    flex.judge(two(0.01), places(2))
    assert flex.state_dict()["last"].tolist() == [-1, -1, 1, -1]


def test_freematch_follows_the_models_confidence_from_one_over_k() -> None:
    # step 1: decay min(0.999, 1/10). p = (0.8, 0.6): τ_g = 0.1 · 0.5 + 0.9 · 0.7 = 0.68
    # mean q = (0.6, 0.4): p̃ = (0.05 + 0.54, 0.05 + 0.36) = (0.59, 0.41); τ = (0.68, 0.68 · 0.41 / 0.59)
    judged = rule("freematch").judge(two(0.8, 0.4), places(0, 1))
    assert float(judged.threshold) == pytest.approx((0.68 + 0.68 * 0.41 / 0.59) / 2)
    assert judged.weight.tolist() == [1.0, 1.0]


def test_freematch_decay_ends_at_its_memory() -> None:
    free = rule("freematch", momentum=0.5)
    for _ in range(9):
        free.judge(two(0.5), places(0))  # decay 0.1, 0.18, ... 0.5
    judged = free.judge(two(1.0), places(0))  # 10/19 > 0.5
    assert float(free.state_dict()["level"]) == pytest.approx(0.75)
    assert judged.weight.tolist() == [1.0]


def test_freematch_thresholds_stay_in_the_range_that_is_set_and_only_then() -> None:
    clamped = rule("freematch", lowest=0.9, highest=0.95).judge(two(0.8, 0.4), places(0, 1))
    assert float(clamped.threshold) == pytest.approx(0.9)
    high = rule("freematch", lowest=0.9, highest=0.95, momentum=0.0).judge(two(1.0, 0.0), places(0, 1))
    assert float(high.threshold) == pytest.approx(0.95)
    free = rule("freematch", momentum=0.0).judge(two(1.0, 0.0), places(0, 1))
    assert float(free.threshold) == pytest.approx(1.0)


def test_fairness_is_the_sum_of_wanted_times_log_of_seen_shares() -> None:
    free = rule("freematch", momentum=0.0)
    free.judge(two(0.9, 0.9, 0.2), places(0, 1, 2))  # mean (2/3, 1/3); histogram (2/3, 1/3): p̂ = (1/2, 1/2)
    logits = torch.log(two(0.8, 0.7, 0.1)).requires_grad_(True)
    # all count: mean (1.6/3, 1.4/3), histogram (2/3, 1/3): ratios 0.8 and 1.4, q̂ = (8/22, 14/22)
    found = free.fairness(logits, torch.ones(3))
    assert float(found.detach()) == pytest.approx(0.5 * math.log(8 / 22) + 0.5 * math.log(14 / 22), abs=1e-5)
    (gradient,) = torch.autograd.grad(found, logits)
    assert float(gradient.abs().sum()) > 0


def test_fairness_is_zero_and_finite_when_nothing_counts_and_for_other_rules() -> None:
    free, fixed = rule("freematch"), rule("fixmatch")
    free.judge(two(0.9), places(0))
    logits = torch.zeros(3, 2, requires_grad=True)
    nothing = free.fairness(logits, torch.zeros(3))
    nothing.backward()  # type: ignore[no-untyped-call]
    assert float(nothing.detach()) == 0.0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert float(fixed.fairness(logits, torch.ones(3)).detach()) == 0.0


def test_softmatch_weights_fall_off_below_the_mean_confidence() -> None:
    # momentum 0: μ = mean of (0.9, 0.7) = 0.8, σ² = unbiased variance = 0.02; n = 2
    judged = rule("softmatch", momentum=0.0).judge(two(0.9, 0.7), places(0, 1))
    assert judged.weight.tolist() == pytest.approx([1.0, math.exp(-(0.1**2) / (2 * 0.02 / 4))])
    assert float(judged.threshold) == pytest.approx(0.8)


def test_adamatch_counts_from_a_share_of_the_mean_confidence_on_the_labeled_images_on() -> None:
    # labeled p = (0.9, 0.7), mean 0.8; 0.9 · 0.8 = 0.72
    judged = rule("adamatch").judge(two(0.73, 0.71, 0.2), places(0, 1, 2), two(0.9, 0.3))
    assert float(judged.threshold) == pytest.approx(0.72)
    assert judged.weight.tolist() == [1.0, 0.0, 1.0]


def test_alignment_to_the_predictions_follows_those_on_the_labeled_images() -> None:
    # decay 0.1 at step 1: π = 0.05 + 0.9 · (0.8, 0.2) = (0.77, 0.23); q̄ = 0.05 + 0.9 · (0.6, 0.4) = (0.59, 0.41)
    ada = rule("adamatch", follow_labeled=True)
    first, second = 0.6 * 0.77 / 0.59, 0.4 * 0.23 / 0.41
    judged = ada.judge(two(0.6), places(0), two(0.9, 0.7))
    torch.testing.assert_close(judged.q, two(first / (first + second)))
    # the confidence that is compared is the aligned one: 0.777 ≥ 0.9 · 0.8
    assert judged.weight.tolist() == [1.0]
    assert ada.needs_labeled
    assert rule("freematch", follow_labeled=True).needs_labeled
    assert not rule("freematch", prior=[0.5, 0.5]).needs_labeled


def test_alignment_multiplies_by_prior_over_mean_and_makes_the_rows_sum_to_one() -> None:
    # momentum 0: q̄ = mean of the batch = (0.75, 0.25); π = (0.5, 0.5)
    # row 1: (0.9 · 2/3, 0.1 · 2) = (0.6, 0.2) → (0.75, 0.25); row 2: (0.6 · 2/3, 0.4 · 2) = (0.4, 0.8) → (1/3, 2/3)
    judged = rule("fixmatch", prior=[0.5, 0.5], momentum=0.0, threshold=0.7).judge(two(0.9, 0.6), places(0, 1))
    torch.testing.assert_close(judged.q, two(0.75, 1 / 3))
    assert judged.weight.tolist() == [1.0, 0.0]


def test_alignment_goes_to_the_prior_that_is_given() -> None:
    judged = rule("fixmatch", prior=[0.9, 0.1], momentum=0.0).judge(two(0.5, 0.5), places(0, 1))
    torch.testing.assert_close(judged.q, two(0.9, 0.9))


def test_softmatch_alignment_changes_the_weight_and_not_the_label() -> None:
    q = two(0.9, 0.6)
    plain = rule("softmatch", momentum=0.0).judge(q, places(0, 1))
    aligned = rule("softmatch", momentum=0.0, prior=[0.5, 0.5]).judge(q, places(0, 1))
    assert torch.equal(aligned.q, q)
    assert aligned.weight.tolist() != plain.weight.tolist()


@pytest.mark.parametrize("follow_labeled", [False, True])
@pytest.mark.parametrize("name", ["fixmatch", "flexmatch", "freematch", "softmatch", "adamatch"])
def test_a_restored_rule_goes_on_as_the_other_would(name: str, follow_labeled: bool) -> None:
    one, other = (rule(name, prior=[0.4, 0.6], follow_labeled=follow_labeled) for _ in range(2))
    one.judge(two(0.95, 0.3, 0.02), places(0, 1, 2), two(0.8, 0.3))
    other.load_state_dict(one.state_dict())
    a, b = (found.judge(two(0.7, 0.2), places(1, 3), two(0.6, 0.9)) for found in (one, other))
    assert torch.equal(a.weight, b.weight)
    assert torch.equal(a.q, b.q)
    assert torch.equal(a.threshold, b.threshold)
