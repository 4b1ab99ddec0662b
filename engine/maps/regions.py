"""Regions of the map that no label covers: a class that nobody has labeled yet.

Labels drawn anyhow from all images reach every part of the map in proportion to its size. A part that got far fewer
and of which the model is unsure is likely of a class it was never shown. The map is cut into small groups, these are
joined bottom-up into a tree, and every branch is tested. The tree is built without looking at the labels, so the
number of tests is known and corrected for.

Source: Kulldorff, "A spatial scan statistic" (1997); on the branches of a tree, Kulldorff, Fang, Walsh, "A
tree-based scan statistic for database disease surveillance" (2003). The branches are Ward's (1963).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]
from scipy.stats import binom  # type: ignore[import-untyped]

from engine.errors import MapError

LEAST_ROWS = 50
SMALLEST, SMALLEST_SHARE, LARGEST_SHARE = 20, 0.002, 0.5
"""A region has at least 20 rows and 0.2 %, at most half of all."""
GROUP_ROWS, LEAST_GROUPS, MOST_GROUPS = 40, 5, 300
ALPHA, ALPHA_ALONE = 0.01, 1e-4
"""Chance of a false alarm; the second where there are no confidences to agree."""
FEW, FEW_ALONE = 0.15, 0.1
"""At most this share of the expected labels."""
UNSURE = 1.0
"""1 − confidence is at least so many times that of the middling group; easy groups that need no label stay below."""
NEAREST, ASKED, LINK = 10, 500, 0.05
"""Of 500 images of a branch the 10 nearest by features are asked; a twentieth in another branch joins the two."""
MENTIONED = 0.1
NOTICED = 1.05
"""The model is less sure of a region from so many times the doubt it has of all images."""
"""Classes called less often are not worth naming."""


@dataclass(frozen=True)
class Region:
    """A part of the map with hardly a label.

    rows (size,) int64, the most typical first; labeled of them have a label, where an even spread of all labels would
    give expected_labeled. confidence is the mean over its unlabeled images, overall_confidence over all unlabeled
    images, both NaN where nothing was predicted. called: what the model calls its unlabeled images, up to three
    (class index, share), most frequent first. centre (2,): the place of the member nearest to the middle on the map.
    p: how likely a shortage like this is anywhere on an evenly labeled map. reason: all this in words, with class
    indices; `reason_with` has names.
    """

    rows: NDArray[np.int64]
    size: int
    labeled: int
    expected_labeled: float
    confidence: float
    overall_confidence: float
    called: tuple[tuple[int, float], ...]
    centre: NDArray[np.float64]
    p: float

    @property
    def reason(self) -> str:
        """Why the region is flagged, in plain words, with class indices for names."""
        return self.reason_with(())

    def reason_with(self, names: Sequence[str]) -> str:
        """Return why the region is flagged, in plain words, with the classes' names by index."""
        labels = "label" if self.labeled == 1 else "labels"
        text = (
            f"{self.size:,} images with {self.labeled:,} {labels} where {self.expected_labeled:,.0f} would be expected"
        )
        if np.isnan(self.confidence):
            return text
        doubt, usual = 1 - self.confidence, 1 - self.overall_confidence
        sure = "unsure" if doubt >= 1.5 * usual else "less sure" if doubt >= NOTICED * usual else "as sure"
        called = [names[c] if c < len(names) else str(c) for c, share in self.called[:2] if share >= MENTIONED]
        compared = "as sure of them as of all" if sure == "as sure" else f"{sure} of them"
        mostly = f" and calls them mostly {' and '.join(called)}" if called else ""
        return f"{text}; the model is {compared}{mostly}"


@dataclass(frozen=True)
class _UsableRows:
    """The n usable rows: place in the input, features, map, labeled, call (-1 none), 1 − confidence."""

    index: NDArray[np.int64]
    features: NDArray[np.float32]
    xy: NDArray[np.float64]
    labeled: NDArray[np.bool_]
    call: NDArray[np.int64]
    unsure: NDArray[np.float64]

    @property
    def has_call(self) -> NDArray[np.bool_]:
        """Unlabeled rows with a confidence."""
        return ~self.labeled & (self.call >= 0)

    @property
    def predicted(self) -> bool:
        """Whether the confidences are enough to be asked: half of the unlabeled rows have one."""
        return bool(2 * self.has_call.sum() >= (~self.labeled).sum() > 0)


def flag_regions(
    features: NDArray[np.float32],
    xy: NDArray[np.float32],
    labeled: NDArray[np.bool_],
    predicted: NDArray[np.int16],
    confidence: NDArray[np.float32],
    *,
    seed: int = 0,
) -> list[Region]:
    """Return the regions with hardly a label of which the model is unsure, the strongest shortage first.

    A branch of the map's tree is flagged when it has at most 15 % of the labels it should have, when a shortage like
    that happens by chance in at most 1 of 100 evenly labeled maps, and when the model is no surer of it than of the
    middling part of the map: asking for labels where the model is unsure leaves sure parts empty. A branch should
    have the smaller of an even spread over all images and an even spread within each class as the model sees it, so
    that a known class with few labels raises no alarm. Where fewer than half of the unlabeled rows have a confidence,
    the shortage must be clearer: 1 in 10,000, and a tenth. With few labels even an empty part is no sign. Flagged
    branches that are neighbours are joined. The same input, seed and number of threads give the same regions.

    Args:
        features: (N, D) features of the map; rows that are not finite are in no region.
        xy: (N, 2) the finished map; on a first picture by principal components less is found.
        labeled: (N,) bool.
        predicted: (N,) class the model gives, -1 where none; those of labeled rows are not looked at.
        confidence: (N,) in 0..1; NaN or negative where none.
        seed: of the small groups.

    Returns:
        Regions without a common row; none for fewer than 50 rows or without a label.

    Raises:
        MapError: the arrays differ in length or have the wrong number of axes.
    """
    _check(features, xy, (labeled, predicted, confidence))
    index = np.flatnonzero(np.isfinite(features).all(axis=1) & np.isfinite(xy).all(axis=1))
    known = np.isfinite(confidence) & (confidence >= 0) & (confidence <= 1) & (predicted >= 0)
    rows = _UsableRows(
        index,
        features[index],
        xy[index].astype(np.float64),
        labeled[index].astype(bool),
        np.where(known, predicted, -1)[index].astype(np.int64),
        np.where(known, 1.0 - np.nan_to_num(confidence.astype(np.float64)), 0.0)[index],
    )
    if len(index) < LEAST_ROWS:
        return []
    group = _groups(rows.xy, seed)
    hits = _scan(rows, group)
    branches = [np.flatnonzero(np.isin(group, branch)) for branch, _ in hits]
    regions = [
        _region(rows, np.concatenate([branches[i] for i in together]), min(hits[i][1] for i in together))
        for together in _neighbours(rows, branches)
    ]
    return sorted(regions, key=lambda region: (region.p, -region.size))


def _check(features: NDArray[np.float32], xy: NDArray[np.float32], others: Sequence[NDArray[np.generic]]) -> None:
    shapes, n = [xy.shape, *(values.shape for values in others)], len(features)
    if features.ndim != 2 or shapes != [(n, 2), (n,), (n,), (n,)]:
        raise MapError(
            "Features, map, labels and predictions must have one row an image",
            value=f"{features.shape} and {', '.join(map(str, shapes))}",
            way_out="Compute the map again: images were added or removed since.",
        )


def _groups(xy: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Cut the map into small groups; return the group (n,) of each row, numbered from 0 without gaps."""
    from sklearn.cluster import MiniBatchKMeans  # slow to import

    centred = xy - xy.mean(axis=0)
    scaled = centred / (float(np.abs(centred).max()) or 1.0)
    wanted = int(np.clip(len(xy) // GROUP_ROWS, LEAST_GROUPS, MOST_GROUPS))
    means = MiniBatchKMeans(wanted, batch_size=4096, n_init=3, max_iter=20, random_state=seed)
    return np.unique(means.fit(scaled).labels_, return_inverse=True)[1].astype(np.int64)


def _branches(rows: _UsableRows, group: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Join the groups bottom-up; return the groups of every branch of the tree that is neither too small nor large."""
    size = np.bincount(group)
    if len(size) == 1:
        return []
    centres = np.stack([np.bincount(group, rows.xy[:, axis]) / size for axis in (0, 1)], axis=1)
    branches = [np.array([g]) for g in range(len(size))]
    for a, b, _, _ in linkage(centres, "ward"):
        branches.append(np.concatenate([branches[int(a)], branches[int(b)]]))
    least, most = max(SMALLEST, SMALLEST_SHARE * len(group)), LARGEST_SHARE * len(group)
    return [branch for branch in branches if least <= size[branch].sum() <= most]


def _scan(rows: _UsableRows, group: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], float]]:
    """Return flagged branches without a common group, and the corrected p of each, the likeliest first."""
    size, labels = np.bincount(group).astype(np.float64), np.bincount(group, rows.labeled).astype(np.float64)
    total = labels.sum()
    even, by_call = size * total / len(group), _expected_by_call(rows, group, size, labels)
    unsure = _unsure(rows, group)
    alpha, few = (ALPHA, FEW) if rows.predicted else (ALPHA_ALONE, FEW_ALONE)
    tested = [b for b in _branches(rows, group) if even[b].sum() >= -np.log(alpha)]  # below, 0 labels are no sign
    hits = []
    for branch in tested:
        have, due = labels[branch].sum(), min(even[branch].sum(), by_call[branch].sum())
        p = float(binom.cdf(have, total, due / total)) * len(tested)
        if p <= alpha and have <= few * due and _is_unsure(unsure, size, branch):
            hits.append((-_gain(have, due, total), branch, p))
    taken: set[int] = set()
    disjoint = []
    for _, branch, p in sorted(hits, key=lambda hit: hit[0]):
        if taken.isdisjoint(branch.tolist()):
            taken.update(branch.tolist())
            disjoint.append((branch, p))
    return disjoint


def _gain(have: float, due: float, total: float) -> float:
    """Kulldorff's log-likelihood ratio of a shortage inside against the same rate everywhere."""
    inside = have * np.log(have / due) if have else 0.0
    return float(inside + (total - have) * np.log((total - have) / (total - due)))


def _expected_by_call(
    rows: _UsableRows, group: NDArray[np.int64], size: NDArray[np.float64], labels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Labels (G,) due were they even within each class; a group's labels count to classes as its rows are called."""
    called = rows.has_call
    if not rows.predicted:
        return np.asarray(size * labels.sum() / len(group))
    mix = np.zeros((len(size), int(rows.call.max()) + 1))
    np.add.at(mix, (group[called], rows.call[called]), 1.0)
    mix[mix.sum(axis=1) == 0] = mix.sum(axis=0)  # nothing called in the group
    mix /= mix.sum(axis=1, keepdims=True)
    rate = (labels @ mix) / np.maximum(size @ mix, 1e-12)  # labels an image of the class has
    return np.asarray(size * (mix @ rate))


def _unsure(rows: _UsableRows, group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each group's mean of 1 − confidence over that of the middling group; NaN: none, all inf: not asked."""
    if not rows.predicted:
        return np.full(int(group.max()) + 1, np.inf)
    called = rows.has_call
    count = np.bincount(group[called], minlength=int(group.max()) + 1)
    mean = np.bincount(group[called], rows.unsure[called], minlength=len(count)) / np.where(count, count, np.nan)
    return np.asarray(mean / max(float(np.nanmedian(mean)), 1e-6))


def _is_unsure(unsure: NDArray[np.float64], size: NDArray[np.float64], branch: NDArray[np.int64]) -> bool:
    seen = branch[~np.isnan(unsure[branch])]
    return bool(2 * size[seen].sum() >= size[branch].sum() and unsure[seen] @ size[seen] >= UNSURE * size[seen].sum())


def _neighbours(rows: _UsableRows, branches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return which of the branches' rows belong together: a good share of one's nearest images lies in the other."""
    part = np.full(len(rows.index), len(branches))
    for number, members in enumerate(branches):
        part[members] = number
    linked = np.zeros((len(branches), len(branches)), dtype=bool)
    for number, members in enumerate(branches if len(branches) > 1 else []):
        asked = members[np.linspace(0, len(members) - 1, min(ASKED, len(members))).astype(int)]
        share = np.bincount(part[_nearest(rows.features, asked)].ravel(), minlength=len(branches) + 1)[:-1]
        linked[number] = share >= LINK * len(asked) * NEAREST
    count, together = connected_components(linked, directed=False)
    return [np.flatnonzero(together == number) for number in range(count)]


def _nearest(features: NDArray[np.float32], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows (a, 10) of the nearest others by features."""
    square = np.einsum("ij,ij->i", features, features)
    near = []
    for start in range(0, len(asked), 250):
        some = asked[start : start + 250]
        distance = square - 2 * (features[some] @ features.T)
        distance[np.arange(len(some)), some] = np.inf
        near.append(np.argpartition(distance, NEAREST, axis=1)[:, :NEAREST])
    return np.concatenate(near)


def _region(rows: _UsableRows, members: NDArray[np.int64], p: float) -> Region:
    called = rows.has_call
    inside = members[called[members]]
    away = ((rows.features[members].astype(np.float64) - rows.features[members].mean(axis=0)) ** 2).sum(axis=1)
    ordered = members[np.lexsort((members, away))]
    middle = ((rows.xy[members] - rows.xy[members].mean(axis=0)) ** 2).sum(axis=1).argmin()
    calls = np.bincount(rows.call[inside])
    top = sorted(np.flatnonzero(calls), key=lambda c: (-calls[c], c))[:3] if rows.predicted else []
    return Region(
        rows=rows.index[ordered],
        size=len(members),
        labeled=int(rows.labeled[members].sum()),
        expected_labeled=float(rows.labeled.sum() * len(members) / len(rows.index)),
        confidence=1.0 - float(rows.unsure[inside].mean()) if rows.predicted else float("nan"),
        overall_confidence=1.0 - float(rows.unsure[called].mean()) if rows.predicted else float("nan"),
        called=tuple((int(c), float(calls[c] / len(inside))) for c in top),
        centre=rows.xy[members[middle]],
        p=p,
    )
