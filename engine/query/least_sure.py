"""The default: what the model is least sure of, and before it knows anything typical images.

The aim is the fewest decisions until labels and predictions together are right, and a decision helps most where the
prediction is likely wrong. Variety among the picks and quotas for the classes have no part in it: no decisions were
saved by them. No image of it is drawn at random: those that are measure, and come between these
(`engine.quality.measured_set`).

Before any round nothing is sure or unsure: typical images of every group (TypiClust) come first, and without features
the random order does. So it is of a young pool, in which a live model knows too few labels.

Source: least confidence (Lewis and Gale 1994; Settles 2009, section 3.1).
"""

from __future__ import annotations

import numpy as np

from engine.query.chance import choose_random
from engine.query.cold_start import typiclust
from engine.query.order import highest
from engine.query.pool import Picks, Pool, picks
from engine.query.signals import by_probability
from engine.query.uncertainty import least_confidence, why_least_confidence


def choose_least_sure(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the images of the lowest confidence.

    A live model's own sureness goes before the probabilities that are shown. Scores: 1 − p₁; before any round
    typicality, and without features the place in the random order.
    """
    if pool.young or not pool.trained:
        return (choose_random if pool.features is None else typiclust)(pool, limit, seed)
    if pool.sureness is None:
        return by_probability(least_confidence, why_least_confidence)(pool, limit, seed)
    doubt = 1.0 - pool.sureness.astype(np.float64)
    rows = highest(doubt, pool.ids, limit)
    why = [why_least_confidence(pool.probabilities[row], pool.classes) for row in rows]
    return picks(rows, doubt[rows], why)
