"""The transductive model's parts: where the images of a set lie, the prior, the class Gaussians, the confidence.

Symbols and sources as in `engine.algorithms.transductive`: M images of a set, n of them labeled, K classes.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]
from scipy.stats import chisquare  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from engine.algorithms.neighbour_graph import (
    Floats,
    Graph,
    edge_weights,
    furthest,
    nearest_others,
    nearest_rows,
    spread,
)
from engine.algorithms.transductive_space import Space

Ints = NDArray[np.int64]

FLOOR = 1e-4
"""Least probability in either factor of the prior."""
FULL_SAY = 20
"""Labels a class from which on the regression counts as much as the graph."""
GAUSSIANS_SAY = 20.0
SHRUNK = 0.3
"""Share of the Gaussians' variance that is its mean over the coordinates."""
LEAST_DRAWN, REJECTED = 8, 0.01
"""From so many labels drawn at random they may reject equal shares, at this p-value."""
SHIFT = 0.5
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Values of C among which cross-validation chooses for the confidence."""
SINGLE_STRENGTH = 10.0
"""C where some class has a single label, which cannot be left out."""
FOLDS = 5
MOST_TEMPERATURE, HALVINGS = 1e4, 40
_AT_ONCE = 4000
_TINY = 1e-12


@dataclass(frozen=True)
class ImageSet:
    """Where the images of a set lie, whatever their labels.

    z (M, 256), u (M, 128), whitened (M, 128): coordinates of `space`. graph: of the M images.
    """

    space: Space
    z: Floats
    u: Tensor
    whitened: Floats
    graph: Graph

    @classmethod
    def located(cls, space: Space, inputs: Tensor, rows: Tensor, graph: Graph | None = None, seed: int = 0) -> ImageSet:
        """Compute the coordinates and, unless it is given, the graph of rows (M,) of images or vectors (N, ...)."""
        parts = [space.coordinates(inputs[part]) for part in torch.split(rows, _AT_ONCE)]
        z, u = (torch.cat(side) for side in zip(*parts, strict=True))
        return cls(space, z.numpy(), u, space.whitened(z).numpy(), graph or Graph.of(*nearest_others(u, seed=seed)))


@dataclass(frozen=True)
class Labeled:
    """The labeled images of a set: rows (n,) of it, labels (n,) 0..K-1, each class at least once.

    drawn: (K,) how many labels of each class are of images that were drawn at random.
    """

    rows: Ints
    labels: Ints
    drawn: Ints


@dataclass(frozen=True)
class Prior:
    """What the labels say of a set before its images adapt.

    spreading: G (M, K). regression: L. cautious: L with the C that cross-validation chooses, for the confidence. say:
    a. shift: (K,) moves every logit where labels drawn at random show other shares than the labels have. logits:
    log p⁰ + shift (M, K).
    """

    spreading: Floats
    regression: LogisticRegression
    cautious: LogisticRegression
    say: float
    shift: Floats
    logits: Floats


def make_prior(images: ImageSet, labeled: Labeled, strength: float) -> Prior:
    """Return the prior of a set of which some images are labeled; strength is the regression's C."""
    rows, labels = labeled.rows, labeled.labels
    shares, shift = class_shares(labeled.drawn, np.bincount(labels))
    spreading = spread(images.graph, rows, labels, shares)
    regression = fitted_regression(images.z[rows], labels, strength)
    say = min(1.0, len(rows) / (FULL_SAY * len(shares)))
    logits = log_prior(spreading, regression, images.z, say) + shift
    return Prior(spreading, regression, cautious_regression(images.z[rows], labels), say, shift, logits)


def log_prior(spreading: Floats, regression: LogisticRegression, z: Floats, say: float) -> Floats:
    """Return log p⁰ = log G + a·log L (m, K), normalised, of images with spreading G (m, K) and coordinates z (m, 256).

    Both factors are no less than 1e-4 before they are normalised.
    """
    joined = _log_floored(spreading) + say * _log_floored(regression.predict_proba(z))
    return np.asarray(log_softmax(joined, 1), np.float32)


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


def refined(images: ImageSet, prior: Prior, logits: Floats, labeled: Labeled, votes: float) -> Floats:
    """Return the logits (M, K) after one round from those before it: likelihood + log p⁰ + λ·P p, λ = votes."""
    beliefs = clamped(logits, labeled)
    likelihood = log_likelihood(images.whitened, *fitted_gaussians(images.whitened, beliefs))
    return np.asarray(likelihood + prior.logits + votes * (images.graph.averaging @ beliefs), np.float32)


def fitted(images: ImageSet, labeled: Labeled, strength: float, rounds: int, votes: float) -> tuple[Prior, Floats]:
    """Return the prior and the logits (M, K) after all rounds."""
    prior = make_prior(images, labeled, strength)
    logits = prior.logits
    for _ in range(rounds):
        logits = refined(images, prior, logits, labeled, votes)
    return prior, logits


def of_others(images: ImageSet, prior: Prior, beliefs: Floats, inputs: Tensor, votes: float) -> Floats:
    """Return the logits (B, K) of images that are not in the set, (B, ...) as stored, from beliefs (M, K) in it.

    The same sum, with the prior's G and the votes averaged over the nearest images of the set.
    """
    z, u = images.space.coordinates(inputs)
    near, squares = nearest_rows(u, images.u, images.graph.near.shape[1])
    weights = edge_weights(squares, furthest(squares)[:, None], furthest(images.graph.squares)[near])
    weights /= weights.sum(1, keepdims=True)
    spreading, voted = ((weights[:, :, None] * values[near]).sum(1) for values in (prior.spreading, beliefs))
    likelihood = log_likelihood(images.space.whitened(z).numpy(), *fitted_gaussians(images.whitened, beliefs))
    joined = log_prior(spreading, prior.regression, z.numpy(), prior.say) + prior.shift
    return np.asarray(likelihood + joined + votes * voted, np.float32)


def clamped(logits: Floats, labeled: Labeled) -> Floats:
    """Return the beliefs (M, K) of logits (M, K), where labeled images have their labels."""
    beliefs = np.asarray(softmax(logits, 1), np.float32)
    beliefs[labeled.rows] = 0
    beliefs[labeled.rows, labeled.labels] = 1
    return beliefs


def fitted_gaussians(x: Floats, beliefs: Floats) -> tuple[Floats, Floats]:
    """Return the classes' means (K, d) and their one diagonal variance (d,) from x (M, d) and beliefs (M, K)."""
    counts = np.maximum(beliefs.sum(0), _TINY)[:, None]
    means = beliefs.T @ x / counts
    variance = ((x * x).sum(0) - (counts * means * means).sum(0)) / len(x)  # each row of beliefs sums to 1
    variance = (1 - SHRUNK) * variance + SHRUNK * variance.mean()
    return means, np.maximum(variance, _TINY)


def log_likelihood(x: Floats, means: Floats, variance: Floats) -> Floats:
    """Return 20/d times the log-density (m, K) of x (m, d), but for what all classes have in common: Σx²/v."""
    scaled = means / variance
    return np.asarray(GAUSSIANS_SAY / x.shape[1] * (x @ scaled.T - (scaled * means).sum(1) / 2))


def fitted_regression(z: Floats, labels: Ints, strength: float) -> LogisticRegression:
    """Return the multinomial logistic regression of labels (n,) on z (n, 256) with C = strength."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=300).fit(z, labels)


def cautious_regression(z: Floats, labels: Ints) -> LogisticRegression:
    """Return the regression whose C has the least cross-entropy in cross-validation, of .1, 1, 10 and 100.

    Folds: 5, or as many as the smallest class has labels. With a single label in some class C is 10.
    """
    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return fitted_regression(z, labels, SINGLE_STRENGTH)
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(z, labels))
    losses = []
    for strength in STRENGTHS:
        tests = [(test, fitted_regression(z[fit], labels[fit], strength)) for fit, test in splits]
        losses.append(sum(log_loss(labels[test], L.predict_proba(z[test]), labels=L.classes_) for test, L in tests))
    return fitted_regression(z, labels, STRENGTHS[int(np.argmin(losses))])


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
        confidence = softmax(logits / math.exp(middle), 1).max(1).mean()
        low, high = (middle, high) if confidence > wanted else (low, middle)
    return math.exp(high) if low else 1.0


def _log_floored(probabilities: Floats) -> Floats:
    floored = np.maximum(probabilities, FLOOR)
    return np.asarray(np.log(floored / floored.sum(1, keepdims=True)), np.float32)
