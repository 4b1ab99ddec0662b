"""A guess of each image's class as a prior: what it is worth before any label, and when the labels overrule it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from engine.live.guess import FADING, LEAST_SAY, agreement, say_of_guess, with_guess
from engine.live.model import ImageSet, Labeled, clamped, log_prior, refined
from engine.live.refit import LiveModel

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
NONE = Labeled(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, Ints]:
    found = load_digits()
    return ImageSet.of(found.data.astype(np.float32)), found.target


def guess_of(first: Ints, classes: int, sure: float = 0.6) -> Floats:
    """Log-probabilities of which the guessed class has `sure`, the others the rest evenly."""
    guess = np.full((len(first), classes), np.log((1 - sure) / (classes - 1)), np.float32)
    guess[np.arange(len(first)), first] = np.log(sure)
    return guess


def noisy(y: Ints, right: float, seed: int = 0) -> Ints:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(y)) < right, y, (y + rng.integers(1, 10, len(y))) % 10)


def drawn_labels(y: Ints, count: int, seed: int = 0) -> tuple[Labeled, Ints]:
    """Labels of so many random images, and the classes with a label, before those without one."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(y))[:count])
    present, compact = np.unique(y[rows], return_inverse=True)
    order = np.concatenate([present, np.setdiff1d(np.arange(10), present)])
    return Labeled(rows, compact, np.zeros(len(present), np.int64)), order


def right(images: ImageSet, y: Ints, first: Ints | None, count: int) -> float:
    """The share of images without a label that is right after so many random answers, with a guess or without."""
    labeled, order = drawn_labels(y, count)
    refit = LiveModel(images).refit(labeled, None if first is None else guess_of(first, 10)[:, order])
    rest = np.setdiff1d(np.arange(len(y)), labeled.rows)
    return float((order[refit.probabilities.argmax(1)] == y)[rest].mean())


def test_agreement_is_1_for_hits_and_0_for_chance_and_for_one_class_named_always() -> None:
    rows = np.arange(4)
    labels = np.array([0, 0, 1, 1])
    assert agreement(labels, rows, labels) == 1
    assert agreement(np.array([0, 1, 0, 1]), rows, labels) == 0
    assert agreement(np.zeros(4, np.int64), rows, labels) == 0
    assert agreement(1 - labels, rows, labels) == -1
    assert agreement(np.zeros(4, np.int64), rows[:2], labels[:2]) == 0, "one class, always guessed and always right"
    assert agreement(labels, rows[:0], labels[:0]) == 0


def test_the_say_begins_at_a_half_follows_the_hits_and_fades_with_labels() -> None:
    y = np.arange(400) % 4
    of_all = guess_of(y, 4)
    assert say_of_guess(of_all, NONE) == 0.5
    eight = Labeled(np.arange(8), y[:8], np.zeros(4, np.int64))
    assert say_of_guess(of_all, eight) == pytest.approx((1 + 8) / (2 + 8) / (1 + 8 / (FADING * 4)))
    many = Labeled(np.arange(80), y[:80], np.zeros(4, np.int64))
    assert say_of_guess(of_all, many) == pytest.approx((1 + 80) / (2 + 80) / 2)


def test_a_guess_that_fails_the_answers_is_left_out_but_not_before_two_classes_have_labels() -> None:
    y = np.arange(400) % 4
    turned = guess_of((y + 1) % 4, 4)
    assert say_of_guess(turned, Labeled(np.arange(8), y[:8], np.zeros(4, np.int64))) == 0
    one_class = Labeled(np.arange(0, 32, 4), np.zeros(8, np.int64), np.zeros(1, np.int64))
    assert say_of_guess(turned, one_class) == LEAST_SAY


def test_classes_with_a_label_share_what_they_would_have_had_each_and_the_others_stay_possible() -> None:
    labels_say = np.log(np.array([[0.9, 0.1]], np.float32))
    even = np.full((1, 4), np.log(0.25), np.float32)
    np.testing.assert_allclose(np.exp(with_guess(labels_say, even, 0.5)), [[0.45, 0.05, 0.25, 0.25]], atol=1e-5)
    guess = np.log(np.array([[0.1, 0.1, 0.1, 0.7]], np.float32))
    expected = np.array([0.45, 0.05, 0.25, 0.25]) * np.sqrt([0.1, 0.1, 0.1, 0.7])
    np.testing.assert_allclose(np.exp(with_guess(labels_say, guess, 0.5))[0], expected / expected.sum(), rtol=1e-4)
    nothing = np.empty((1, 0), np.float32)
    np.testing.assert_allclose(np.exp(with_guess(nothing, guess, 1.0)), np.exp(guess), rtol=1e-4)


def test_without_a_guess_a_fit_is_what_the_labels_say(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    model = LiveModel(images)
    for count in (15, 25, 60):
        labeled, _ = drawn_labels(y, count)
        refit = model.refit(labeled)
        prior = refit.prior
        assert prior is not None
        assert refit.guess_say == 0
        say = min(1, count / (20 * len(labeled.drawn)))
        start = log_prior(prior.spreading, prior.regression.predict_proba(images.z), say) + prior.shift
        # not to the last bit: some processors round a product of other blocks otherwise
        np.testing.assert_allclose(prior.logits, start, rtol=1e-5, atol=1e-5)
        logits = start
        for _ in range(8):
            logits = refined(images, start, logits, labeled, 4.0)
        np.testing.assert_allclose(refit.probabilities, clamped(logits, labeled), atol=1e-4)


def test_an_overruled_guess_changes_no_bit(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    labeled, order = drawn_labels(y, 25)
    wrong = guess_of((y + 3) % 10, 10)[:, order]
    with_it, without = LiveModel(images).refit(labeled, wrong), LiveModel(images).refit(labeled)
    known = len(labeled.drawn)
    assert with_it.guess_say == 0
    assert with_it.probabilities.shape == (len(y), 10)
    np.testing.assert_array_equal(with_it.probabilities[:, :known], without.probabilities)
    np.testing.assert_array_equal(with_it.confidence, without.confidence)
    assert (with_it.probabilities[:, known:] == 0).all()
    assert (with_it.cautious[:, known:] == 0).all()


def test_a_good_guess_helps_from_no_label_on(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    first = noisy(y, 0.7)
    assert right(images, y, first, 0) > 0.85, "neighbours correct the guess"
    for count in (5, 10, 20):
        assert right(images, y, first, count) > right(images, y, None, count) + 0.05


@pytest.mark.parametrize("seed", range(3))
def test_a_guess_at_chance_costs_less_than_a_point_after_20_answers(digits: tuple[ImageSet, Ints], seed: int) -> None:
    images, y = digits
    by_chance = np.random.default_rng(seed).integers(0, 10, len(y))
    assert right(images, y, by_chance, 20) > right(images, y, None, 20) - 0.01


def test_a_guess_that_is_good_but_names_other_classes_is_overruled_after_20_answers(
    digits: tuple[ImageSet, Ints],
) -> None:
    images, y = digits
    permuted = (noisy(y, 0.7) + 1) % 10
    assert right(images, y, permuted, 0) < 0.1
    assert right(images, y, permuted, 20) > right(images, y, None, 20) - 0.01


def test_of_a_guess_alone_only_the_order_is_told(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    refit = LiveModel(images).refit(NONE, guess_of(noisy(y, 0.7), 10))
    assert refit.prior is None
    assert refit.guess_say == 0.5
    np.testing.assert_allclose(refit.confidence, 0.1)
    np.testing.assert_allclose(refit.cautious, 0.1)
    assert np.ptp(refit.probabilities.max(1)) > 0.1, "the queue has an order"


def test_labels_of_one_class_hold_beside_the_guess(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    rows = np.flatnonzero(y == 7)[:3]
    order = np.array([7, *(k for k in range(10) if k != 7)])
    labeled = Labeled(rows, np.zeros(3, np.int64), np.zeros(1, np.int64))
    refit = LiveModel(images).refit(labeled, guess_of(noisy(y, 0.7), 10)[:, order])
    assert (refit.probabilities[rows, 0] == 1).all()
    assert (refit.confidence[rows] == 1).all()
    assert (order[refit.probabilities.argmax(1)] == y).mean() > 0.85


def test_a_class_without_a_label_keeps_what_the_guess_gives_it_and_no_confidence(
    digits: tuple[ImageSet, Ints],
) -> None:
    images, y = digits
    labeled_rows = np.concatenate([np.flatnonzero(y == k)[:2] for k in range(8)])
    labeled = Labeled(labeled_rows, y[labeled_rows], np.zeros(8, np.int64))
    refit = LiveModel(images).refit(labeled, guess_of(noisy(y, 0.7), 10))
    first = refit.probabilities.argmax(1)
    assert (first == y)[y >= 8].mean() > 0.8
    assert (refit.confidence[first >= 8] == 0).all()
