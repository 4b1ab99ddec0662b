"""A first guess of each image's class, such as one from the class names, as a prior that the answers may overrule.

Symbols as in `engine.live.model`, C classes of which the first K have a label, Q the guess. The prior becomes
    log p⁰ + w·log Q,
where p⁰, of the labels, gives K/C to the classes with a label and 1/C to each other one, and
    w = clip((s·m + n·κ) / (s + n), 0, 1) / (1 + n / 20C),   s = 2, m = .5.
κ is how far the guess's hits among the n labels lie above chance, 1 where all are hits and 0 at chance: the answers are
the truth, and before the first one the guess is taken to be half right. Chance is what a guess with these shares of
classes hits of labels with theirs (Cohen, A Coefficient of Agreement for Nominal Scales, 1960), so that one that names
the same class for all images counts as chance. Below .1 the guess is left out, as if there were none.

Measured: `starling bench first-guess`.
"""

from __future__ import annotations

import numpy as np

from engine.live.graph import Floats, Ints
from engine.live.model import LEAST_CLASSES, Labeled, log_floored
from engine.live.rows import log_rows, softmax_rows

FIRST_SAY, FIRST_WORTH = 0.5, 2.0
"""m, what w is without answers, and s, how many answers that is worth."""
FADING = 20
"""Labels a class at which a guess has half the say that its hits give it."""
LEAST_SAY = 0.1


def agreement(first: Ints, rows: Ints, labels: Ints) -> float:
    """Return κ, how far a guess agrees with labels beyond chance: 1 for all, 0 at chance, below 0 for less than that.

    Args:
        first: (M,) the guessed class of each image, 0..C-1.
        rows, labels: (n,) the labeled images and their classes.
    """
    if not len(rows):
        return 0.0
    count = int(max(first.max(), labels.max())) + 1
    guessed, labeled = (np.bincount(classes, minlength=count) / len(classes) for classes in (first, labels))
    chance = float((guessed * labeled).sum())
    hits = float((first[rows] == labels).mean())
    return (hits - chance) / (1 - chance) if chance < 1 else 0.0


def say_of_guess(guess: Floats, labeled: Labeled) -> float:
    """Return w, 0..1: how much a guess counts beside the labels; 0 where these overrule it.

    While labels are of fewer than two classes there is nothing else to go by, and it is no less than .1.

    Args:
        guess: (M, C) log-probabilities, the columns with a label first.
        labeled: labels of the first K classes.
    """
    count = len(labeled.rows)
    hits = count * agreement(guess.argmax(1), labeled.rows, labeled.labels)
    earned = (FIRST_WORTH * FIRST_SAY + hits) / (FIRST_WORTH + count)
    say: float = min(max(earned, 0.0), 1.0) / (1 + count / (FADING * guess.shape[1]))
    if len(labeled.drawn) < LEAST_CLASSES:
        return max(say, LEAST_SAY)
    return say if say >= LEAST_SAY else 0.0


def with_guess(logits: Floats, guess: Floats, say: float) -> Floats:
    """Return log p⁰ (M, C) of labels and guess.

    Args:
        logits: (M, K) log p⁰ of the labels; K 0 where they say nothing.
        guess: (M, C) log-probabilities, the columns with a label first.
        say: w.
    """
    known, every = logits.shape[1], guess.shape[1]
    evidence = np.full(guess.shape, 1 / every, np.float32)
    if known:
        evidence[:, :known] = known / every * softmax_rows(logits)
    joined = log_floored(evidence) + np.float32(say) * log_floored(softmax_rows(guess))
    return log_rows(softmax_rows(joined))
