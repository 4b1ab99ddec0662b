"""The transductive model's parts: where the images of a set lie, the prior, the class Gaussians, the confidence.

Symbols and sources as in `engine.algorithms.transductive`: M images of a set, n of them labeled, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import chisquare  # type: ignore[import-untyped]

from engine.live.graph import Floats, Graph, Ints, edge_weights, furthest, nearest_others, nearest_rows, spread
from engine.live.regression import Regression, best_strength, fit_regression
from engine.live.rows import log_rows, softmax_rows
from engine.live.space import SAMPLE, Space, evenly

FLOOR = 1e-4
"""Least probability in either factor of the prior."""
FULL_SAY = 20
"""Labels a class from which on the regression counts as much as the graph."""
GAUSSIANS_SAY = 20.0
LEAST_CLASSES = 2
"""Classes that must have a label before the labels tell anything apart."""
VOTES_GRADIENTS, VOTES = 8.0, 4.0
"""λ for gradients of small grey images, alone or joined with a network, whose neighbours are nearly always of their
class; and for pretrained features alone."""
SHRUNK = 0.3
"""Share of the Gaussians' variance that is its mean over the coordinates."""
LEAST_DRAWN, REJECTED = 8, 0.01
"""From so many labels drawn at random they may reject equal shares, at this p-value."""
SHIFT = 0.5
MOST_TEMPERATURE, HALVINGS = 1e4, 40
MOST_ADDED = 0.1
"""Share of images added to those that coordinates and graph were made from, above which both are made anew."""
_AT_ONCE = 4000
_TINY = 1e-12


@dataclass(frozen=True)
class ImageSet:
    """Where the images of a set lie, whatever their labels.

    z (M, 256), u (M, 128), whitened (M, 128): coordinates of `space`. graph: of the M images. built: how many of them
    it was built from, the others were added.
    """

    space: Space
    z: Floats
    u: Floats
    whitened: Floats
    graph: Graph
    built: int

    @classmethod
    def of(cls, features: Floats, seed: int = 0, threads: int = 1) -> ImageSet:
        """Find coordinates and neighbours of features (M, D), M ≥ 2."""
        space = Space.fit(features[evenly(len(features), SAMPLE)], seed)
        parts = (features[start : start + _AT_ONCE] for start in range(0, len(features), _AT_ONCE))
        return cls.located(space, parts, seed=seed, threads=threads)

    @classmethod
    def located(
        cls, space: Space, parts: Iterable[Floats], graph: Graph | None = None, seed: int = 0, threads: int = 1
    ) -> ImageSet:
        """Compute the coordinates and, unless it is given, the graph of features that come in parts (m, D)."""
        z, u = (np.concatenate(side) for side in zip(*map(space.coordinates, parts), strict=True))
        graph = graph or Graph.of(*nearest_others(u, seed=seed, threads=threads))
        return cls(space, z, u, space.whitened(z), graph, len(z))

    @cached_property
    def squared(self) -> Floats:
        """Sums (128,) of the squares of `whitened`."""
        return np.asarray(np.einsum("md,md->d", self.whitened, self.whitened))

    @property
    def outgrown(self) -> bool:
        """Whether so many images were added that coordinates and graph are to be made anew, by `of`."""
        return len(self.z) > (1 + MOST_ADDED) * self.built

    def with_added(self, features: Floats) -> ImageSet:
        """Return the set with further images, features (m, D), after the others; the space stays as it is."""
        z, u = (
            np.concatenate([old, new])
            for old, new in zip((self.z, self.u), self.space.coordinates(features), strict=True)
        )
        return replace(self, z=z, u=u, whitened=self.space.whitened(z), graph=self.graph.with_rows(u))


@dataclass(frozen=True)
class Labeled:
    """The labeled images of a set: rows (n,) of it, labels (n,) 0..K-1, each class at least once.

    drawn: (K,) how many labels of each class are of images that were drawn at random. groups: (n,) number of each
    one's group, which cross-validation does not tear apart; None where each is by itself.
    """

    rows: Ints
    labels: Ints
    drawn: Ints
    groups: Ints | None = None


@dataclass(frozen=True)
class Prior:
    """What the labels say of a set before its images adapt.

    spreading: G (M, K). regression: L. cautious: L with the C that cross-validation chooses, for the confidence. say:
    a. shift: (K,) moves every logit where labels drawn at random show other shares than the labels have. logits:
    log p⁰ + shift (M, K), without a guess (`engine.live.guess`) that a fit may add.
    """

    spreading: Floats
    regression: Regression
    cautious: Regression
    say: float
    shift: Floats
    logits: Floats


def make_prior(images: ImageSet, labeled: Labeled, strength: float) -> Prior:
    """Return the prior of a set of which some images are labeled; strength is the regression's C."""
    rows, labels = labeled.rows, labeled.labels
    shares, shift = class_shares(labeled.drawn, np.bincount(labels))
    z = images.z[rows]
    chosen = best_strength(z, labels, labeled.groups)
    regression, cautious = (fit_regression(z, labels, c) for c in (strength, chosen))
    spreading = spread(images.graph, rows, labels, shares)
    say = say_of(len(rows), len(shares))
    logits = log_prior(spreading, regression.predict_proba(images.z), say) + shift
    return Prior(spreading, regression, cautious, say, shift, logits)


def say_of(labels: int, classes: int) -> float:
    """Return a = min(1, n / 20K): how much the regression on n labels counts beside the graph."""
    return min(1.0, labels / (FULL_SAY * classes))


def log_prior(spreading: Floats, predicted: Floats, say: float) -> Floats:
    """Return log p⁰ = log G + a·log L (m, K), normalised, from spreading G (m, K) and what the regression says, L.

    Both factors are no less than 1e-4 before they are normalised.
    """
    joined = log_floored(spreading) + np.float32(say) * log_floored(predicted)
    return log_rows(softmax_rows(joined))


def class_shares(drawn: Ints, labeled: Ints) -> tuple[Floats, Floats]:
    """Return the classes' shares (K,) and by how much each class's logits are moved (K,).

    Equal shares and no move, unless labels drawn at random, at least 8 and as many as classes, reject equal shares (χ²,
    p < .01): then (count + 1)/(m + K) of the m drawn, and half of log share − log share among the labels.

    Args:
        drawn: (K,) labels of each class among the images drawn at random.
        labeled: (K,) all labels of each class, none 0.

    Source: Menon et al., Long-tail Learning via Logit Adjustment, arXiv 2007.07314, section 4, for the move.
    """
    classes, m = len(drawn), int(drawn.sum())
    if m < max(LEAST_DRAWN, classes) or chisquare(drawn).pvalue >= REJECTED:
        return np.full(classes, 1 / classes, np.float32), np.zeros(classes, np.float32)
    shares = (drawn + 1) / (m + classes)
    shift = SHIFT * (np.log(shares) - np.log(labeled / labeled.sum()))
    return shares.astype(np.float32), shift.astype(np.float32)


def refined(images: ImageSet, start: Floats, logits: Floats, labeled: Labeled, votes: float) -> Floats:
    """Return the logits (M, K) after one round from those before it: likelihood + log p⁰ + λ·P p, p⁰ = start and
    λ = votes."""
    beliefs = clamped(logits, labeled)
    refined = images.graph.averaging @ beliefs
    refined *= np.float32(votes)
    refined += log_likelihood(images.whitened, *fitted_gaussians(images.whitened, beliefs, images.squared))
    refined += start
    return np.asarray(refined)


def fitted(images: ImageSet, labeled: Labeled, strength: float, rounds: int, votes: float) -> tuple[Prior, Floats]:
    """Return the prior and the logits (M, K) after all rounds."""
    prior = make_prior(images, labeled, strength)
    logits = prior.logits
    for _ in range(rounds):
        logits = refined(images, prior.logits, logits, labeled, votes)
    return prior, logits


def of_others(images: ImageSet, prior: Prior, beliefs: Floats, features: Floats, votes: float) -> Floats:
    """Return the logits (B, K) of images that are not in the set, features (B, D), from beliefs (M, K) in it.

    The same sum, with the prior's G and the votes averaged over the nearest images of the set.
    """
    z, u = images.space.coordinates(features)
    near, squares = nearest_rows(u, images.u, images.graph.near.shape[1])
    weights = edge_weights(squares, furthest(squares)[:, None], furthest(images.graph.squares)[near])
    weights /= weights.sum(1, keepdims=True)
    spreading, voted = ((weights[:, :, None] * values[near]).sum(1) for values in (prior.spreading, beliefs))
    gaussians = fitted_gaussians(images.whitened, beliefs, images.squared)
    joined = log_prior(spreading, prior.regression.predict_proba(z), prior.say) + prior.shift
    return np.asarray(log_likelihood(images.space.whitened(z), *gaussians) + joined + votes * voted, np.float32)


def clamped(logits: Floats, labeled: Labeled) -> Floats:
    """Return the beliefs (M, K) of logits (M, K), where labeled images have their labels."""
    beliefs = softmax_rows(logits)
    beliefs[labeled.rows] = 0
    beliefs[labeled.rows, labeled.labels] = 1
    return beliefs


def fitted_gaussians(x: Floats, beliefs: Floats, squared: Floats) -> tuple[Floats, Floats]:
    """Return the classes' means (K, d) and their one diagonal variance (d,).

    Args:
        x: (M, d). beliefs: (M, K). squared: (d,) sums of x².
    """
    counts = np.maximum(beliefs.sum(0), _TINY)[:, None]
    means = beliefs.T @ x / counts
    variance = (squared - (counts * means * means).sum(0)) / len(x)  # each row of beliefs sums to 1
    variance = (1 - SHRUNK) * variance + SHRUNK * variance.mean()
    return means, np.maximum(variance, _TINY)


def log_likelihood(x: Floats, means: Floats, variance: Floats) -> Floats:
    """Return 20/d times the log-density (m, K) of x (m, d), but for what all classes have in common: Σx²/v."""
    scaled = means / variance
    return np.asarray(GAUSSIANS_SAY / x.shape[1] * (x @ scaled.T - (scaled * means).sum(1) / 2))


def cautious_temperature(logits: Floats, reference: Floats) -> float:
    """Return T ≥ 1 such that the mean confidence of softmax(logits / T) is the mean probability that a more cautious
    model gives to the same classes; 1 without images.

    Args:
        logits: (m, K), too sure of themselves.
        reference: (m, K) probabilities of the cautious model.
    """
    if not len(logits):
        return 1.0
    wanted = reference[np.arange(len(logits)), logits.argmax(1)].mean()
    low, high = 0.0, math.log(MOST_TEMPERATURE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        confidence = softmax_rows(logits / math.exp(middle)).max(1).mean()
        low, high = (middle, high) if confidence > wanted else (low, middle)
    return math.exp(high) if low else 1.0


def log_floored(probabilities: Floats) -> Floats:
    """Return the logarithms of probabilities (m, K) that are brought to no less than 1e-4 and normalised."""
    return log_rows(np.maximum(probabilities, np.float32(FLOOR)))
