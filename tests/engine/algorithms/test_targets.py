from __future__ import annotations

import math

import pytest
import torch

from engine.algorithms.targets import make_targets, masked_loss, masked_squares, uda_loss

LOGITS = torch.log(torch.tensor([[0.8, 0.2], [0.4, 0.6]]))


def test_hard_targets_are_the_most_probable_classes() -> None:
    targets, confidence = make_targets(LOGITS, hard=True, temperature=1.0)
    assert targets.tolist() == [0, 1]
    assert confidence.tolist() == pytest.approx([0.8, 0.6])


def test_temperature_changes_soft_targets_and_the_confidence_the_threshold_sees() -> None:
    targets, confidence = make_targets(LOGITS, hard=False, temperature=0.5)
    # p^2 renormalised: .64/.68 and .36/.52
    assert targets[:, 0].tolist() == pytest.approx([0.64 / 0.68, 0.16 / 0.52])
    assert confidence.tolist() == pytest.approx([0.64 / 0.68, 0.36 / 0.52])


def test_targets_carry_no_gradient() -> None:
    targets, confidence = make_targets(LOGITS.clone().requires_grad_(), hard=False, temperature=1.0)
    assert not targets.requires_grad
    assert not confidence.requires_grad


def test_an_empty_mask_gives_loss_zero_and_zero_gradients() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = masked_loss(logits, torch.tensor([0, 1]), torch.tensor([False, False]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_half_a_mask_halves_the_loss_of_equal_images() -> None:
    logits, targets = LOGITS[:1].expand(4, 2), torch.tensor([1, 1, 1, 1])
    whole = masked_loss(logits, targets, torch.tensor([True] * 4))
    half = masked_loss(logits, targets, torch.tensor([True, False, True, False]))
    assert float(whole) == pytest.approx(-math.log(0.2))
    assert float(half) == pytest.approx(-math.log(0.2) / 2)


def test_label_smoothing_spreads_the_target_over_all_classes() -> None:
    loss = masked_loss(LOGITS[:1], torch.tensor([0]), torch.tensor([True]), smoothing=0.2)
    assert float(loss) == pytest.approx(-0.9 * math.log(0.8) - 0.1 * math.log(0.2))


def test_squares_are_summed_over_classes_and_averaged_over_the_whole_batch() -> None:
    targets = torch.tensor([0, 0])
    # (0.8 − 1)² + 0.2² = 0.08 and (0.4 − 1)² + 0.6² = 0.72
    assert float(masked_squares(LOGITS, targets, torch.tensor([True, True]))) == pytest.approx(0.4)
    assert float(masked_squares(LOGITS, targets, torch.tensor([False, True]))) == pytest.approx(0.36)
    assert float(masked_squares(LOGITS, targets, torch.tensor([False, False]))) == 0.0


def test_squares_of_soft_and_of_smoothed_targets() -> None:
    mask = torch.tensor([True])
    soft = torch.tensor([[0.6, 0.4]])
    assert float(masked_squares(LOGITS[:1], soft, mask)) == pytest.approx(2 * 0.2**2)
    # smoothing 0.2: the target (1, 0) becomes (0.9, 0.1)
    assert float(masked_squares(LOGITS[:1], torch.tensor([0]), mask, smoothing=0.2)) == pytest.approx(2 * 0.1**2)


def test_uda_masks_on_the_sharpened_weak_view() -> None:
    strong = torch.zeros(2, 2)
    # unsharpened the weak view has 0.8 and 0.6; at T = 0.5 it has 0.941 and 0.692: 0.9 lets the first through
    loss, used = uda_loss(LOGITS, strong, temperature=0.5, threshold=0.9)
    assert float(used) == 0.5
    assert float(loss) == pytest.approx(math.log(2) / 2)
    assert float(uda_loss(LOGITS, strong, temperature=1.0, threshold=0.9)[1]) == 0.0


def test_uda_targets_are_sharpened_and_only_the_strong_view_learns() -> None:
    weak, strong = LOGITS.clone().requires_grad_(), torch.zeros(2, 2, requires_grad=True)
    loss, _ = uda_loss(weak, strong, temperature=0.5, threshold=0.0)
    loss.backward()
    assert weak.grad is None
    assert strong.grad is not None
    # gradient of mean CE(q, z) is (softmax(z) - q) / n
    assert float(strong.grad[0, 0]) == pytest.approx((0.5 - 0.64 / 0.68) / 2)
