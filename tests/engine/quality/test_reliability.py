"""Bins, calibration error and the way back before temperature scaling."""

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.quality.reliability import gap, reliability, told
from engine.quality.sample import share
from engine.records.quality import Reliability
from engine.training.calibrate import ece


def test_bins_hold_means_and_leave_empty_ones_out() -> None:
    confidence = np.array([0.9, 0.7, 0.75, 0.3])
    found = reliability(confidence, np.array([True, False, True, True]), bins=2, how="on 4 images")
    assert [(b.low, b.high, b.n) for b in found.bins] == [(0.0, 0.5, 1), (0.5, 1.0, 3)]
    assert found.bins[1].confidence == pytest.approx(2.35 / 3)
    assert found.bins[1].accuracy == pytest.approx(2 / 3)
    assert found.ece == pytest.approx((0.7 + 0.35) / 4)
    assert (found.n, found.how) == (4, "on 4 images")
    assert len(reliability(np.array([0.95, 0.97]), np.array([True, True])).bins) == 1


def test_a_confidence_on_an_edge_falls_into_the_lower_bin_and_zero_into_the_first() -> None:
    found = reliability(np.array([0.5, 0.0]), np.array([True, False]), bins=2)
    assert [(b.low, b.n) for b in found.bins] == [(0.0, 2)]


def test_agrees_with_the_error_that_training_reports() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 300)
    y = np.random.default_rng(1).integers(0, 4, 300)
    found = reliability(p.max(axis=1), p.argmax(axis=1) == y)
    assert found.ece == pytest.approx(ece(torch.from_numpy(p), torch.from_numpy(y)), abs=1e-12)
    assert sum(b.n for b in found.bins) == 300


def test_no_images_give_no_bins_and_broken_ones_are_refused() -> None:
    assert reliability(np.zeros(0), np.zeros(0, bool)).bins == ()
    assert reliability(np.zeros(0), np.zeros(0, bool)).ece == 0.0
    with pytest.raises(ConfigError):
        reliability(np.array([np.nan]), np.array([True]))
    with pytest.raises(ConfigError):
        reliability(np.array([0.5]), np.array([True, False]))
    with pytest.raises(ConfigError):
        reliability(np.array([0.5]), np.array([True]), bins=0)


def test_few_answers_are_told_in_four_bands_and_many_in_fifteen_bins() -> None:
    rng = np.random.default_rng(0)
    sure = rng.beta(6, 1, 1000)
    right = rng.random(1000) < sure
    bands = told(sure[:999], right[:999], "measured")
    assert [one.n for one in bands.bins] == pytest.approx([250] * 4, abs=1)
    assert sum(one.n * one.accuracy for one in bands.bins) == pytest.approx(right[:999].sum())
    assert bands.bins[0].low == 0.0
    assert bands.bins[-1].high == 1.0
    assert told(sure, right, "measured") == reliability(sure, right, how="measured")
    assert told(sure[:0], right[:0], "") == Reliability((), 0.0, 0, "")
    assert len(told(sure[:12], right[:12], "").bins) == 2, "bands of fewer than five are merged"


def test_how_much_too_sure_a_model_is_has_an_exact_interval() -> None:
    found = gap(np.array([0.9, 0.9, 0.8, 1.0]), np.array([True, False, True, True]))
    told = share(3, 4, "")
    assert (found.n, found.right, found.low, found.high) == (4, 0.75, told.low, told.high)
    assert found.value == pytest.approx(0.15)
    assert found.interval == pytest.approx((0.9 - told.high, 0.9 - told.low))
    assert gap(np.empty(0), np.empty(0, bool)).interval == (-1.0, 0.0)
    with pytest.raises(ConfigError):
        gap(np.ones(2), np.ones(3, bool))


def test_the_interval_of_too_sure_holds_where_chances_differ() -> None:
    rng, inside = np.random.default_rng(0), []
    for _ in range(1500):
        chance = rng.beta(6, 1, 120)
        found = gap(np.minimum(chance + 0.05, 1), rng.random(120) < chance)
        low, high = found.interval
        inside.append(low <= np.minimum(chance + 0.05, 1).mean() - chance.mean() <= high)
    assert np.mean(inside) >= 0.95
