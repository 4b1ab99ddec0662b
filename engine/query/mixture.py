"""The default: uncertainty × diversity × class balance.

The aim is the fewest decisions until labels and predictions together are right. A decision helps most where the
prediction is likely wrong, and where it teaches the next round something that no other decision of the batch does.
No image of it is drawn at random: those that are measure, and come between these (`engine.quality.measured_set`).

1. Doubt. d = 1 − (p₁ − p₂). What the images most like it are said to be has no part in it: on photos that cost
   decisions, on digits it saved none.
2. Class quotas, over the m + max(m / 4, 30) images with the highest d, m the picks: few to spare, since of the
   images further down fewer and fewer are wrong. Class c gets a share of m in proportion to s_c Σ d over those
   predicted as c, where s_c = √((1 + mean labels a class) / (1 + labels of c)), kept within ½ and 2; rounded by
   largest remainders, never more than the class has candidates.
3. Diversity. The candidates of a class are put into as many groups as its quota, by k-means on the features weighted
   by d; the image of each group with the highest d is taken, so near-duplicates compete for one place. Without features
   the most doubtful images of the class are taken.
4. The picks come by falling d.

Before any round there is no d: typical images of every group (TypiClust) take the place of all that, and without
features the random order does. So it is of a young pool, in which a live model knows too few labels.

The steps follow known recipes: margin (Settles 2009), candidates of β times the batch and weighted k-means (Zhdanov,
"Diverse mini-batch Active Learning", 2019, section 3; there β = 10).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.query.chance import choose_random
from engine.query.clusters import centred, k_means_groups
from engine.query.cold_start import typiclust
from engine.query.order import highest
from engine.query.pool import Picks, Pool, picks
from engine.query.signals import by_probability
from engine.query.uncertainty import least_confidence, margin, why_least_confidence, why_margin

_SPARE, _LEAST_SPARE = 4, 30
_SCARCITY = (0.5, 2.0)


def choose_mixture(pool: Pool, limit: int, seed: int) -> Picks:
    """Take doubtful, varied, class-balanced images. Scores: d in 0..1; before any round as `_first_images`."""
    return _first_images(pool, limit, seed) if _is_cold(pool) else _uncertain(pool, limit, seed)


def choose_least_sure(pool: Pool, limit: int, seed: int) -> Picks:
    """Take the images of the lowest confidence.

    For a model that is fitted anew after a few answers: the next batch need not be varied, since the answers change it.
    A live model's own sureness goes before the probabilities that are shown. Scores: 1 − p₁; before any round as
    `_first_images`.
    """
    return _first_images(pool, limit, seed) if _is_cold(pool) else _least_sure(pool, limit, seed)


def _is_cold(pool: Pool) -> bool:
    """Whether doubt means nothing yet."""
    return pool.young or not pool.trained


def _first_images(pool: Pool, limit: int, seed: int) -> Picks:
    """Take typical images, scored by typicality; without features random ones, scored by their place."""
    choose = choose_random if pool.features is None else typiclust
    return choose(pool, limit, seed)


def _least_sure(pool: Pool, limit: int, seed: int) -> Picks:
    if pool.sureness is None:
        return by_probability(least_confidence, why_least_confidence)(pool, limit, seed)
    doubt = 1.0 - pool.sureness.astype(np.float64)
    rows = highest(doubt, pool.ids, limit)
    why = [why_least_confidence(pool.probabilities[row], pool.classes) for row in rows]
    return picks(rows, doubt[rows], why)


def quotas(weights: NDArray[np.float64], capacity: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Split `total` in proportion to the weights by largest remainders; no share exceeds its capacity.

    What a full class cannot take goes to the others in proportion; ties go to the first class.

    Returns:
        (K,) whole numbers, their sum min(total, sum of capacity).
    """
    given = np.zeros(len(weights), np.int64)
    left = min(total, int(capacity.sum()))
    while left > 0:
        free = given < capacity
        share = np.where(free, weights, 0.0)
        share = share if share.sum() > 0 else free.astype(np.float64)
        exact = left * share / share.sum()
        part = np.floor(exact).astype(np.int64)
        extra = np.lexsort((np.arange(len(weights)), part - exact, ~free))[: left - int(part.sum())]
        part[extra] += 1
        part = np.minimum(part, capacity - given)
        given += part
        left -= int(part.sum())
    return given


def scarcity(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (K,) √((1 + mean count) / (1 + count)), kept within ½ and 2: more for classes with few labels."""
    factor: NDArray[np.float64] = np.sqrt((1.0 + counts.mean()) / (1.0 + counts))
    return np.clip(factor, *_SCARCITY)


def _uncertain(pool: Pool, wanted: int, seed: int) -> Picks:
    """Steps 1 to 4 of the module's docstring."""
    every = margin(pool.probabilities, pool.ids)
    candidates = highest(every, pool.ids, wanted + max(wanted // _SPARE, _LEAST_SPARE))
    doubt = every[candidates]
    classes = pool.predicted[candidates]
    count = pool.probabilities.shape[1]
    weights = scarcity(pool.counts) * np.bincount(classes, doubt, minlength=count)
    shares = quotas(weights, np.bincount(classes, minlength=count), wanted)
    stands_for: dict[int, int] = {}  # place among the candidates -> images it stands for
    for number, share in enumerate(shares.tolist()):
        if share:
            stands_for |= _spread(pool, candidates, np.flatnonzero(classes == number), doubt, share, seed)
    at = np.array(sorted(stands_for), np.int64)  # candidates come by falling doubt
    why = [_why(pool, int(candidates[place]), stands_for[place]) for place in at.tolist()]
    return picks(candidates[at], doubt[at], why)


def _spread(
    pool: Pool,
    candidates: NDArray[np.int64],
    places: NDArray[np.int64],
    doubt: NDArray[np.float64],
    share: int,
    seed: int,
) -> dict[int, int]:
    """Return `share` of these places among the candidates, the most doubtful of its group each, with the group's size.

    Args:
        pool: what is picked from.
        candidates: (S,) rows of the pool, by falling doubt.
        places: (P,) places among the candidates.
        doubt: (S,) of the candidates.
        share: how many to return, at most P.
        seed: of the groups.
    """
    if pool.features is None or share == len(places):
        return dict.fromkeys(places[:share].tolist(), 1)
    own, _ = centred(pool.described(candidates[places]))
    group, _ = k_means_groups(own, share, seed, weights=doubt[places])
    first = np.unique(group, return_index=True)[1]  # places come by falling doubt
    size = np.bincount(group)
    stands_for = {int(places[at]): int(size[group[at]]) for at in first}
    for place in places.tolist():  # groups that equal images left empty
        if len(stands_for) == share:
            break
        stands_for.setdefault(place, 1)
    return stands_for


def _why(pool: Pool, row: int, size: int) -> str:
    text = why_margin(pool.probabilities[row], pool.classes)
    return text if size < 2 else f"{text}; stands for {size} doubtful images like it"
