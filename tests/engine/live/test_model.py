from __future__ import annotations

import numpy as np

from engine.live.model import class_shares, fitted_gaussians, log_likelihood, log_prior
from engine.live.regression import fit_regression


def test_the_prior_is_spreading_times_a_power_of_the_regression_both_floored() -> None:
    z = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]], np.float32)
    regression = fit_regression(z, np.array([0, 1, 0]), 30.0)
    spreading = np.array([[0.7, 0.3], [1.0, 0.0], [0.5, 0.5]], np.float32)
    floored = np.maximum(spreading, 1e-4)
    expected = floored / floored.sum(1, keepdims=True) * regression.predict_proba(z) ** 0.5
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(np.exp(log_prior(spreading, regression, z, 0.5)), expected, rtol=1e-4)


def test_shares_are_equal_until_random_labels_reject_it() -> None:
    equal, still = class_shares(np.array([4, 2, 1]), np.array([5, 5, 5]))
    np.testing.assert_allclose(equal, 1 / 3)
    assert not still.any()
    few_drawn, _ = class_shares(np.array([7, 0, 0]), np.array([5, 5, 5]))
    np.testing.assert_allclose(few_drawn, 1 / 3)
    shares, shift = class_shares(np.array([18, 1, 1]), np.array([20, 5, 5]))
    np.testing.assert_allclose(shares, np.array([19, 2, 2]) / 23, rtol=1e-6)
    np.testing.assert_allclose(shift, 0.5 * np.log(np.array([19, 2, 2]) / 23 / (np.array([20, 5, 5]) / 30)), rtol=1e-5)


def test_gaussians_are_means_and_one_variance_by_soft_counts() -> None:
    rng = np.random.default_rng(0)
    x, beliefs = rng.normal(size=(50, 3)), rng.dirichlet(np.ones(2), 50)
    means, variance = fitted_gaussians(x, beliefs, (x * x).sum(0))
    wanted = np.stack([np.average(x, 0, weights=beliefs[:, k]) for k in range(2)])
    within = sum(beliefs[:, k, None] * (x - wanted[k]) ** 2 for k in range(2)).sum(0) / 50
    np.testing.assert_allclose(means, wanted)
    np.testing.assert_allclose(variance, 0.7 * within + 0.3 * within.mean())


def test_the_likelihood_leaves_out_what_all_classes_share() -> None:
    x, means, variance = np.array([[1.0, 2.0]]), np.array([[0.5, 1.0], [0.0, -1.0]]), np.array([0.5, 2.0])
    expected = [10 * (0.5 / 0.5 + 2 / 2 - 0.25 / 1 - 1 / 4), 10 * (-2 / 2 - 1 / 4)]  # 20 of 2 coordinates
    np.testing.assert_allclose(log_likelihood(x, means, variance)[0], expected)
