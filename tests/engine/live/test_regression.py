from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from engine.live.regression import STRENGTHS, best_strength, fit_regression
from engine.live.space import Space

Floats, Ints = np.ndarray, np.ndarray


@pytest.fixture(scope="module")
def digits() -> tuple[Floats, Ints]:
    """Coordinates (1,797, 64) and classes of written digits."""
    found = load_digits()
    return Space.fit(found.data, 0).coordinates(found.data)[0], found.target


def few(y: Ints, each: int, classes: int = 10, seed: int = 0) -> Ints:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(y == k))[:each] for k in range(classes)])


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("strength", [0.1, 30.0])
def test_it_is_scikit_learn_s_regression(digits: tuple[Floats, Ints], classes: int, strength: float) -> None:
    z, y = digits
    rows = few(y, 8, classes)
    wide = z.astype(np.float64)
    mine = fit_regression(wide[rows], y[rows], strength, tolerance=1e-8)
    theirs = LogisticRegression(C=strength, max_iter=10_000, tol=1e-8).fit(wide[rows], y[rows])
    np.testing.assert_allclose(mine.predict_proba(wide), theirs.predict_proba(wide), atol=2e-5)


def test_single_precision_gives_the_same_probabilities(digits: tuple[Floats, Ints]) -> None:
    z, y = digits
    rows, wide = few(y, 20), z.astype(np.float64)
    single, double = (fit_regression(one[rows], y[rows], 30.0) for one in (z, wide))
    np.testing.assert_allclose(single.predict_proba(z), double.predict_proba(wide), atol=1e-3)


def test_weights_to_begin_with_change_nothing_but_the_time(digits: tuple[Floats, Ints]) -> None:
    z, y = digits
    rows = few(y, 10)
    before = fit_regression(z[rows[::2]], y[rows[::2]], 30.0)
    cold, warm = (fit_regression(z[rows], y[rows], 30.0, start) for start in (None, before))
    np.testing.assert_allclose(warm.predict_proba(z), cold.predict_proba(z), atol=0.03)
    assert (warm.predict_proba(z).argmax(1) == cold.predict_proba(z).argmax(1)).mean() > 0.995


@pytest.mark.parametrize("each", [2, 4, 10, 20])
def test_the_strength_is_the_one_with_the_least_loss_left_out(digits: tuple[Floats, Ints], each: int) -> None:
    z, y = digits
    rows = few(y, each)
    splits = list(StratifiedKFold(min(5, each), shuffle=True, random_state=0).split(rows, y[rows]))
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for fit, test in splits:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = LogisticRegression(C=strength, max_iter=300).fit(z[rows[fit]], y[rows[fit]])
            loss += log_loss(y[rows[test]], model.predict_proba(z[rows[test]]), labels=range(10))
        losses.append(loss)
    assert best_strength(z[rows], y[rows]) == STRENGTHS[int(np.argmin(losses))]


def test_a_class_with_one_label_leaves_the_strength_in_the_middle(digits: tuple[Floats, Ints]) -> None:
    z, y = digits
    assert best_strength(z[few(y, 1)], y[few(y, 1)]) == 10.0


def test_the_strength_is_chosen_on_labels_of_other_groups() -> None:
    """Frames of a scene are nearly equal and its class is drawn at random: torn apart, the weakest penalty is best."""
    random = np.random.default_rng(0)
    scenes = np.repeat(np.arange(30), 6)
    z = (random.normal(size=(30, 64))[scenes] + 0.01 * random.normal(size=(180, 64))).astype(np.float32)
    y = random.permutation(np.arange(30) % 2)[scenes]
    assert best_strength(z, y) == STRENGTHS[-1]
    assert best_strength(z, y, scenes) == STRENGTHS[0]
    assert best_strength(z, y, np.arange(180)[::-1]) == best_strength(z, y)


def test_a_class_of_one_group_leaves_the_strength_in_the_middle() -> None:
    z = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    assert best_strength(z, np.repeat([0, 1], 6), np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3])) == 10.0
