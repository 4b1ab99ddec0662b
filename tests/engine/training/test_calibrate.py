from __future__ import annotations

import pytest
import torch

from engine.training.calibrate import accuracy_interval, ece, fit_temperature


def test_temperature_undoes_a_known_overconfidence() -> None:
    g = torch.Generator().manual_seed(0)
    true = torch.randn(20000, 4, generator=g) * 2
    y = torch.multinomial(torch.softmax(true, 1), 1, generator=g).flatten()
    assert fit_temperature(true, y) == pytest.approx(1.0, abs=0.03)
    assert fit_temperature(3 * true, y) == pytest.approx(3.0, abs=0.1)


def test_a_few_all_correct_labels_do_not_make_the_model_certain() -> None:
    temperature = fit_temperature(torch.tensor([[2.0, 0.0]] * 5), torch.zeros(5, dtype=torch.int64))
    assert 0.3 < temperature < 1.0


def test_without_labels_nothing_is_changed() -> None:
    assert fit_temperature(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)) == 1.0
    assert ece(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)) == 0.0


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    probs = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    y = torch.tensor([0, 1, 1, 1])
    # bin of .9: accuracy 1/2, gap .4; bin of .6: accuracy 1, gap .4
    assert ece(probs, y, bins=10) == pytest.approx(0.4)


def test_gaps_of_opposite_sign_cancel_only_within_a_bin() -> None:
    probs = torch.tensor([[0.95, 0.05], [0.55, 0.45]])
    y = torch.tensor([1, 0])
    assert ece(probs, y, bins=10) == pytest.approx((0.95 + 0.45) / 2)
    assert ece(probs, y, bins=1) == pytest.approx(abs(0.5 - 0.75))


def test_accuracy_interval_is_the_exact_binomial_one() -> None:
    low, high = accuracy_interval(10, 10)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 10)), 1.0)
    assert accuracy_interval(0, 10) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
    low, high = accuracy_interval(5, 10)
    assert (low, high) == (pytest.approx(0.1871, abs=1e-4), pytest.approx(0.8129, abs=1e-4))
    assert accuracy_interval(0, 0) == (0.0, 1.0)
