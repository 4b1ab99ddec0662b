"""How a pretrained network is best shown the images: their centre square, the whole squeezed to it, or both joined.

The labels are asked: compared is what a regression on each view's features says of labels it has not seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from engine.groups import units
from engine.nets.net_name import FROZEN, JOINED, WHOLE, NetName

VIEWS = ("both", "centre", "whole")
"""The first is taken without a reason for another: it is never far from the better one."""
FOLDS = 5
LEAST_LABELS = 5
"""Labels a class on average from which on views are compared."""
MOST_LABELS = 500
STRENGTH = 30.0
LEAST_PROBABILITY = 1e-3
"""No single label decides alone."""


def seen_as(net: str, view: str) -> str:
    """Return the name of the networks of a "frozen:" name when they are shown images in one of `VIEWS`."""
    names = list(dict.fromkeys(source.name for source in NetName.parse(net).sources))
    centre, whole = names, [name + WHOLE for name in names]
    return FROZEN + JOINED.join({"centre": centre, "whole": whole, "both": centre + whole}[view])


def view_of(net: str) -> str:
    """Return in which of `VIEWS` the networks of a "frozen:" name are shown images."""
    whole = [source.whole for source in NetName.parse(net).sources]
    return "whole" if all(whole) else "both" if any(whole) else "centre"


def choose_view(
    features: Mapping[str, NDArray[Any]], labels: NDArray[np.int64], groups: NDArray[np.int64] | None = None
) -> str:
    """Return the view whose features tell the labels best.

    The first is taken unless another's log-likelihood is higher by more than one standard error of the paired
    difference: few labels otherwise choose by chance.

    Args:
        features: (n, D) of the labeled images by view, the one to take without reason for another first; D may differ.
        labels: (n,) class numbers.
        groups: (n,) number of each image's group, or None; each group then counts as one label.

    Source: the one-standard-error rule of Breiman et al., Classification and Regression Trees, 1984.
    """
    first, *others = features
    likelihoods = compare_views(features, labels, groups)
    if not likelihoods:
        return first
    leads = {first: 1.0}
    for view in others:
        differences = likelihoods[view] - likelihoods[first]
        error = float(differences.std(ddof=1)) / len(differences) ** 0.5
        leads[view] = float(differences.mean()) / max(error, 1e-9)
    return max(leads, key=lambda view: leads[view])


def compare_views(
    features: Mapping[str, NDArray[Any]], labels: NDArray[np.int64], groups: NDArray[np.int64] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return by view the log-probability (m,) of each label by a regression on the other folds' labels; nothing with
    few labels. With groups the mean of each one's labels (m,).

    Of more than 500 labels as many are drawn; each class is spread over the 5 folds as evenly as can be. A label whose
    class is in no other fold has the least probability, 0.001, in every view.

    Args:
        features: (n, D) of the labeled images by view.
        labels: (n,) class numbers.
        groups: (n,) number of each image's group, or None. A group is in one fold and counts as one label.
    """
    classes = len(np.unique(labels))
    if classes < 2 or len(labels) < LEAST_LABELS * classes:
        return {}
    drawn = np.random.default_rng(0).permutation(len(labels))[:MOST_LABELS]
    grouped = units(None if groups is None else groups[drawn], labels[drawn])
    if len(grouped) < LEAST_LABELS * classes:
        return {}
    fold_of_unit = np.empty(len(grouped), np.int64)
    fold_of_unit[np.argsort(grouped.label, kind="stable")] = np.arange(len(grouped)) % FOLDS
    along = np.argsort(labels[drawn], kind="stable")
    ordered, of = drawn[along], grouped.of[along]
    fold = fold_of_unit[of]
    each = {view: _likelihoods(_coordinates(rows[ordered]), labels[ordered], fold) for view, rows in features.items()}
    if len(grouped) == len(ordered):
        return each
    return {view: np.bincount(of, values) / np.bincount(of) for view, values in each.items()}


def _coordinates(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows (n, D) of length 1, centred, scaled to mean squared norm 1, in the at most n axes they span."""
    rows = rows.astype(np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    rows -= rows.mean(0)
    left, lengths, _ = np.linalg.svd(rows, full_matrices=False)
    spanned = left * lengths
    return np.asarray(spanned / max(float(np.sqrt((spanned**2).sum(1).mean())), 1e-12), np.float32)


def _likelihoods(z: NDArray[np.float32], labels: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    probability = np.zeros(len(labels))
    for number in range(FOLDS):
        test = np.flatnonzero(fold == number)
        if len(np.unique(labels[fold != number])) < 2:  # all of another class are in this fold
            probability[test] = labels[test] == labels[fold != number][0]
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression = LogisticRegression(C=STRENGTH, max_iter=300).fit(z[fold != number], labels[fold != number])
        hits = labels[test, None] == regression.classes_
        probability[test] = (regression.predict_proba(z[test]) * hits).sum(1)
    return np.log(np.maximum(probability, LEAST_PROBABILITY))
