"""How a model errs less often with more labels: a power law, measured on what it never learned from.

Models of the first half, of the first three quarters and of all labels, in the order in which they were given, predict
the same images of the measured set. Their errors fall as L^(−e) with the number of labels L. Given how many predictions
are wrong in all, each of these is that of model k with chance L_k^(−e) / Σ L_j^(−e), if they were wrong independently;
that all predict the same images makes them differ less by chance than that, so that what the counts say is not
overstated. A normal prior keeps e where few are wrong.

Sources: Cortes, Jackel, Solla, Vapnik and Denker 1994, Learning Curves: Asymptotic Values and Rate of Convergence;
Hestness et al. 2017, Deep Learning Scaling is Predictable, Empirically (power laws of the error).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

PARTS = (0.5, 0.75, 1.0)
"""Parts of the labels that a model is fitted to."""
USUAL, SPREAD = 1.0, 0.5
"""Mean and standard deviation of the exponent before anything was measured."""
LEAST_ANSWERS = 20
"""Images of the measured set below which how a model learns is supposed, not measured."""
_GRID = np.linspace(0.0, 3.0, 301)


@dataclass(frozen=True, slots=True)
class Learning:
    """How a model goes on learning: with r times its labels it errs r^(−exponent) times as often on what is left.

    labels: that it is fitted to now. exponent: expected, with its standard deviation. measuring: share of the answers,
    0..1, that measure it and that it does not learn from. taught: by how many labels more it learns from with each
    answer; see `labels_an_answer`. measured: whether models of fewer labels told it, or it is what is usual.
    """

    labels: int
    exponent: float
    spread: float
    measuring: float
    taught: float
    measured: bool = True

    def left(self, more: int, exponent: float | None = None) -> float:
        """Return by what the share wrong among images without a label is multiplied after so many further answers,
        beside that the most doubtful of them have a label then.

        Args:
            more: answers, from 0.
            exponent: another one than the expected.
        """
        grown = 1.0 + self.taught * more / self.labels
        return float(grown ** -(self.exponent if exponent is None else exponent))

    def drawn(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return exponents (count,) that the measured answers leave possible, none below 0."""
        return np.maximum(rng.normal(self.exponent, self.spread, count), 0.0)


def labels_an_answer(measuring: float, useful: float, labels: int, groups: int) -> float:
    """Return by how many labels more a model learns from with each further answer, 0..1.

    Answers that measure take the labels of their group away; others teach nothing where the group measures already.

    Args:
        measuring: share of the answers that measure.
        useful: share of the images without a label whose group does not measure.
        labels: that the model is fitted to. groups: that do not measure, of single images too.
    """
    return max(0.0, (1.0 - measuring) * useful - measuring * labels / max(1, groups))


def learning(labels: Sequence[int], wrong: Sequence[int], measuring: float, taught: float) -> Learning:
    """Return how a model learns, by models of fewer labels and of all on the same measured images.

    Args:
        labels: (M,) of each model, ascending and from 1; the last are all.
        wrong: (M,) predictions of each that are wrong; empty where none was measured: then it is what is usual.
        measuring, taught: see `Learning`.

    Raises:
        ConfigError: the two differ in length, or a number is outside its range.
    """
    fits = len(wrong) in (0, len(labels)) and min(labels, default=0) >= 1 and min(wrong, default=0) >= 0
    if not fits or not 0.0 <= measuring < 1.0 or not 0.0 <= taught <= 1.0:
        raise ConfigError(
            "A learning curve needs labels and errors of each model",
            value=f"{list(labels)}, {list(wrong)}",
            way_out="Give as many counts of wrong predictions as of labels.",
        )
    size = np.log(np.asarray(labels, np.float64) / labels[-1])
    share = -_GRID[:, None] * size  # (G, M) logarithms of each model's errors
    counts = np.asarray(wrong if wrong else [0] * len(labels))
    log = (counts * (share - np.logaddexp.reduce(share, axis=1)[:, None])).sum(1)
    log -= ((_GRID - USUAL) / SPREAD) ** 2 / 2
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = float((weight * _GRID).sum())
    spread = float(np.sqrt((weight * (_GRID - mean) ** 2).sum()))
    return Learning(labels[-1], mean, spread, measuring, taught, measured=len(wrong) > 0)
