"""Live labels: the model fitted anew after every few answers, in milliseconds.

What a fit says depends on the labels in force alone, not on the fits before: those only save time.
- Spreading is linear in the labels, Z = Σ over labeled images i of (A eᵢ) yᵢ, and A eᵢ, what the image would pass on
  whatever its label, can be computed while a person looks at it (`LiveModel.prepare`). A fit then adds the new labels'
  columns to the Z before.
- The regressions start from the weights before and end at the same minimum.
- Balancing and rounds are cheap beside it and made in full. To go on from the probabilities before by three rounds
  costs the same labels up to 15 % of the first classes on photos, which have several fixed points.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.live.graph import STEPS, Floats, Ints, passed_on, shared
from engine.live.guess import say_of_guess, with_guess
from engine.live.model import (
    LEAST_CLASSES,
    ImageSet,
    Labeled,
    Prior,
    clamped,
    class_shares,
    log_prior,
    refined,
    say_of,
)
from engine.live.regression import Regression, best_strength, both_proba, fit_regression

GROWN = 1.2
"""The confidence's C is chosen anew when the labels are so many times as many as at the last choice."""


@dataclass(frozen=True)
class LiveRefit:
    """What a fit says of the M images, by the K classes that have a label; with a guess by those of the guess, of which
    the ones without a label have nothing where the guess is overruled.

    Attributes:
        probabilities: (M, K) float32, for the order of the queue and the first class; labeled images have their label.
            Far too sure of themselves.
        cautious: (M, K) float32, of the regression on the labels alone with C by cross-validation; even where a guess
            is all there is, since nothing says how good it is.
        confidence: (M,) float32, what `cautious` gives to the first class of `probabilities`: what thresholds and
            exports go by; 1 for labeled images.
        prior: what the labels said before the images adapted; None where a guess is all there is.
        warm: whether it went on from the fit before.
        seconds: it took.
        guess_say: w, how much a guess counted; 0 without one or where the labels overrule it.
    """

    probabilities: Floats
    cautious: Floats
    confidence: Floats
    prior: Prior | None
    warm: bool
    seconds: float
    guess_say: float = 0.0


@dataclass(frozen=True)
class _Last:
    """What a fit leaves for the next one; reached: Z (M, K)."""

    labeled: Labeled
    reached: Floats
    regression: Regression
    cautious: Regression


class LiveModel:
    """The model of a set of images. Not thread-safe.

    Args:
        images: see `engine.live.model`.
        votes: λ, 8 for digit-like images and 4 for pretrained features.
        strength: C of the regression in the model.
        rounds: how many times classes and images adapt to each other.

    Attributes:
        images: of the next fit, see `replace_images`.
        chosen_from: how many labels the confidence's C was chosen from.
    """

    def __init__(self, images: ImageSet, votes: float = 4.0, strength: float = 30.0, rounds: int = 8) -> None:
        self.images = images
        self._votes, self._strength, self._rounds = votes, strength, rounds
        self._last: _Last | None = None
        self._ahead: Mapping[int, Floats] = {}
        self._cautious_strength, self.chosen_from = 0.0, 0

    def replace_images(self, images: ImageSet) -> None:
        """Go on with other images, for example with added ones; the next fit is a cold one."""
        self.images, self._last, self._ahead = images, None, {}

    def prepare(self, rows: Ints) -> None:
        """Compute ahead what images (n,) pass on to their neighbours, so that a fit with their labels is quick.

        Those prepared before and not among the rows are forgotten. Takes as long as the spreading of a cold fit for
        every 10 rows or so, and 4 M bytes for each.
        """
        missing = np.array([row for row in rows.tolist() if row not in self._ahead], np.int64)
        found = _passed_on(self.images, missing, np.arange(len(missing)), len(missing))
        fresh = dict(zip(missing.tolist(), np.ascontiguousarray(found.T), strict=True))
        self._ahead = {row: fresh[row] if row in fresh else self._ahead[row] for row in rows.tolist()}

    def refit(self, labeled: Labeled, guess: Floats | None = None, *, warm: bool = True) -> LiveRefit:
        """Fit the labels in force.

        Goes on from the fit before where `warm` is not False, it was of the same images and classes, and no label of it
        was changed or taken back.

        Args:
            labeled: with a guess, labels of any number of classes, none included; else of at least one.
            guess: (M, C) log-probabilities of all classes, those with a label first; see `engine.live.guess`.
            warm: False fits from nothing.
        """
        began = time.perf_counter()
        trust = 0.0 if guess is None else say_of_guess(guess, labeled)
        if guess is not None and len(labeled.drawn) < LEAST_CLASSES:
            return self._guessed(labeled, guess, trust, began)
        rows, labels = labeled.rows, labeled.labels
        last = self._last if warm and self._goes_on(labeled) else None
        counts = np.bincount(labels)
        shares, shift = class_shares(labeled.drawn, counts)
        reached = self._reached(labeled, len(counts), last)
        z = self.images.z[rows]
        before, cautious_before = (None, None) if last is None else (last.regression, last.cautious)
        regression = fit_regression(z, labels, self._strength, before)
        cautious = fit_regression(z, labels, self._confidence_strength(z, labeled), cautious_before)
        predicted, sure = both_proba(regression, cautious, self.images.z)
        spreading, say = shared(reached, shares), say_of(len(rows), len(shares))
        prior = Prior(spreading, regression, cautious, say, shift, log_prior(spreading, predicted, say) + shift)
        start = with_guess(prior.logits, guess, trust) if guess is not None and trust else prior.logits
        logits = self._refined(start, labeled)
        self._last = _Last(labeled, reached, regression, cautious)
        probabilities = clamped(logits, labeled)
        if guess is not None:
            probabilities, sure = (_widened(one, guess.shape[1]) for one in (probabilities, sure))
        confidence = sure[np.arange(len(sure)), probabilities.argmax(1)]
        confidence[rows] = 1
        seconds = time.perf_counter() - began
        return LiveRefit(probabilities, sure, confidence, prior, last is not None, seconds, trust)

    def _guessed(self, labeled: Labeled, guess: Floats, say: float, began: float) -> LiveRefit:
        """Return what a guess alone says, smoothed over the images, where fewer than two classes have a label."""
        logits = self._refined(with_guess(np.empty((len(guess), 0), np.float32), guess, say), labeled)
        even = np.full(guess.shape, 1 / guess.shape[1], np.float32)
        confidence = even[:, 0].copy()
        confidence[labeled.rows] = 1
        return LiveRefit(clamped(logits, labeled), even, confidence, None, False, time.perf_counter() - began, say)

    def _refined(self, start: Floats, labeled: Labeled) -> Floats:
        """Return the logits (M, K) after all rounds from log p⁰ (M, K)."""
        logits = start
        for _ in range(self._rounds):
            logits = refined(self.images, start, logits, labeled, self._votes)
        return logits

    def _goes_on(self, labeled: Labeled) -> bool:
        """Whether all labels of the last fit are still in force, and the classes the same."""
        if self._last is None:
            return False
        before = self._last.labeled
        now = np.full(len(self.images.z), -1)
        now[labeled.rows] = labeled.labels
        return bool(labeled.labels.max() == before.labels.max() and (now[before.rows] == before.labels).all())

    def _reached(self, labeled: Labeled, classes: int, last: _Last | None) -> Floats:
        """Return Z (M, K)."""
        rows, labels = labeled.rows, labeled.labels
        if last is None:
            return _passed_on(self.images, rows, labels, classes)
        reached, fresh = last.reached.copy(), ~np.isin(rows, last.labeled.rows)
        ahead = np.array([row in self._ahead for row in rows.tolist()])
        for row, label in zip(rows[fresh & ahead].tolist(), labels[fresh & ahead].tolist(), strict=True):
            reached[:, label] += self._ahead[row]
        rows, labels = rows[fresh & ~ahead], labels[fresh & ~ahead]
        if len(rows):
            columns, places = np.unique(labels, return_inverse=True)
            reached[:, columns] += _passed_on(self.images, rows, places, len(columns))
        return reached

    def _confidence_strength(self, z: Floats, labeled: Labeled) -> float:
        """Return C of the cautious regression, chosen anew where the labels have become more by a fifth, or fewer."""
        if not self.chosen_from <= len(z) < GROWN * self.chosen_from:
            self._cautious_strength = best_strength(z, labeled.labels, labeled.groups)
            self.chosen_from = len(z)
        return self._cautious_strength


def _widened(values: Floats, count: int) -> Floats:
    """Return values (M, K) with further columns of zeros, `count` in all."""
    return np.pad(values, ((0, 0), (0, count - values.shape[1])))


def _passed_on(images: ImageSet, rows: Ints, columns: Ints, count: int) -> Floats:
    """Return what rows (n,) pass on to all images, in these of `count` columns: (M, count)."""
    start = np.zeros((len(images.z), count), np.float32)
    start[rows, columns] = 1
    return passed_on(images.graph, start, rows, columns, STEPS)
