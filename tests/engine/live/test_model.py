from __future__ import annotations

import numpy as np

from engine.live.model import ImageSet, class_shares, fitted_gaussians, log_likelihood, log_prior
from engine.live.regression import fit_regression


def test_the_prior_is_spreading_times_a_power_of_the_regression_both_floored() -> None:
    z = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]], np.float32)
    regression = fit_regression(z, np.array([0, 1, 0]), 30.0)
    spreading = np.array([[0.7, 0.3], [1.0, 0.0], [0.5, 0.5]], np.float32)
    floored = np.maximum(spreading, 1e-4)
    expected = floored / floored.sum(1, keepdims=True) * regression.predict_proba(z) ** 0.5
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(np.exp(log_prior(spreading, regression.predict_proba(z), 0.5)), expected, rtol=1e-4)


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


def test_added_images_lie_where_a_set_of_all_in_the_same_space_has_them() -> None:
    features = np.random.default_rng(0).normal(size=(230, 20)).astype(np.float32)
    old = ImageSet.of(features[:200])
    added = old.with_added(features[200:210]).with_added(features[210:])
    anew = ImageSet.located(old.space, [features])
    np.testing.assert_array_equal(added.graph.near, anew.graph.near)
    np.testing.assert_allclose(added.graph.averaging.toarray(), anew.graph.averaging.toarray(), atol=1e-6)
    np.testing.assert_allclose(added.z, anew.z, atol=1e-6)
    np.testing.assert_allclose(added.squared, anew.squared, rtol=1e-4)


def test_a_set_is_outgrown_by_a_tenth_more_images() -> None:
    features = np.random.default_rng(0).normal(size=(112, 20)).astype(np.float32)
    old = ImageSet.of(features[:100])
    assert not old.with_added(features[100:110]).outgrown
    assert old.with_added(features[100:110]).with_added(features[110:]).outgrown
