"""Which view of the images serves best, for example the centre square or the whole image: asked of the labels.

Compared is what a regression on each view's features says of labels it has not seen. Labels that a queue picked because
a model was unsure of them are the hard ones: give those drawn otherwise where there are enough.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

FOLDS = 5
LEAST_LABELS = 5
"""Labels a class on average from which on views are compared."""
MOST_LABELS = 1000
STRENGTH = 30.0


def choose_view(features: Mapping[str, NDArray[Any]], labels: NDArray[np.int64]) -> str:
    """Return the view whose features tell the labels best.

    The first is taken unless another is better by more than one standard error of the paired difference: few labels
    otherwise choose by chance.

    Args:
        features: (n, D) of the labeled images by view, the one to take without reason for another first; D may differ.
        labels: (n,) class numbers.

    Source: the one-standard-error rule of Breiman et al., Classification and Regression Trees, 1984.
    """
    first, *others = features
    right = compare_views(features, labels)
    if not right:
        return first
    gains = {first: 1.0}
    for view in others:
        better = int((right[view] & ~right[first]).sum())
        worse = int((right[first] & ~right[view]).sum())
        gains[view] = (better - worse) / max(better + worse, 1) ** 0.5
    return max(gains, key=lambda view: gains[view])


def compare_views(features: Mapping[str, NDArray[Any]], labels: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Return by view which labels a regression on the other folds' labels gets right (m,); nothing with few labels.

    Of more than 1,000 labels as many are drawn; each class is spread over the 5 folds as evenly as can be.

    Args:
        features: (n, D) of the labeled images by view.
        labels: (n,) class numbers.
    """
    classes = len(np.unique(labels))
    if classes < 2 or len(labels) < LEAST_LABELS * classes:
        return {}
    drawn = np.random.default_rng(0).permutation(len(labels))[:MOST_LABELS]
    ordered = drawn[np.argsort(labels[drawn], kind="stable")]
    fold = np.arange(len(ordered)) % FOLDS
    return {view: _right(_coordinates(rows[ordered]), labels[ordered], fold) for view, rows in features.items()}


def _coordinates(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows (n, D) of length 1, centred, scaled to mean squared norm 1, in the at most n axes they span."""
    rows = rows.astype(np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    rows -= rows.mean(0)
    left, lengths, _ = np.linalg.svd(rows, full_matrices=False)
    spanned = left * lengths
    return np.asarray(spanned / max(float(np.sqrt((spanned**2).sum(1).mean())), 1e-12), np.float32)


def _right(z: NDArray[np.float32], labels: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.bool_]:
    right = np.zeros(len(labels), bool)
    for number in range(FOLDS):
        test = fold == number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression = LogisticRegression(C=STRENGTH, max_iter=300).fit(z[~test], labels[~test])
        right[test] = regression.predict(z[test]) == labels[test]
    return right
