"""What a query strategy sees of the undecided images, and what it gives back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError


@dataclass(frozen=True)
class Pool:
    """The images to choose from, one row each, checked when it is made.

    Attributes:
        ids: (N,) distinct image ids, in any order.
        probabilities: (N, K) in 0..1, K >= 1; uniform before any round.
        features: (N, D) finite numbers, or those of more images, (M, D), where `feature_rows` says which are whose;
            None when there are none.
        labeled_features: (L, D) of the images with a label in force, same features; None when there are none.
        flips: (N,) how often the pseudo-label changed over the epochs; -1 unknown.
        disagreement: (N,) Jensen–Shannon divergence of teacher and student in nats; NaN unknown.
        bald: (N,) mutual information of prediction and weights by MC dropout in nats; NaN unknown.
        classes: K class names, the columns of `probabilities`.
        trained: whether the probabilities come from a round.
        teacher: (N,) class index the teacher predicts; -1 unknown.
        young: whether there are so few labels that typical images come before doubtful ones in the recommended order.
        sureness: (N,) how sure a live model is of its first class, for an order alone; None where there is no such.
        feature_rows: (N,) row of each image in `features`, which most orders of many images never read; None where row
            n is that of image n.

    Raises:
        ConfigError: shapes that do not fit together, ids that repeat, or numbers that are not finite; features with
            `feature_rows` are looked at when they are read.
    """

    ids: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    features: NDArray[Any] | None = None
    labeled_features: NDArray[Any] | None = None
    flips: NDArray[Any] | None = None
    disagreement: NDArray[Any] | None = None
    bald: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    trained: bool = True
    teacher: NDArray[Any] | None = None
    sureness: NDArray[Any] | None = None
    young: bool = False
    feature_rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        _check_probabilities(self.ids, self.probabilities, self.classes)
        _check_features(self)
        for name in _PER_IMAGE:
            values = getattr(self, name)
            if values is not None:
                _fits(values.shape == self.ids.shape, f"{name} must have one value an image", values.shape)
                _fits(not np.isinf(values).any(), f"{name} must not be infinite", None)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the most probable class; of equal ones the first."""
        best: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return best

    def described(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[Any]:
        """Return the features (R, D) of these rows, of all by default.

        Raises:
            ConfigError: there are none, or one is not finite.
        """
        if self.features is None:
            raise ConfigError("There are no features of these images", way_out="Choose another order.")
        if self.feature_rows is None:
            return self.features[rows]
        values = self.features[self.feature_rows[rows]]
        _check_finite("features", values)
        return values

    def subset(self, rows: NDArray[np.int64]) -> Pool:
        """Return the pool of these rows, in their order; what is known of the labeled images stays."""
        taken: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in _PER_IMAGE
        }
        if self.features is not None:
            taken["feature_rows"] = rows if self.feature_rows is None else self.feature_rows[rows]
        return replace(self, ids=self.ids[rows], probabilities=self.probabilities[rows], **taken)

    def without(self, exclude: Collection[int]) -> NDArray[np.int64]:
        """Return the rows that are not excluded, by ascending id; unknown ids are ignored."""
        rows = np.argsort(self.ids, kind="stable")
        if exclude:
            rows = rows[~np.isin(self.ids[rows], np.fromiter(exclude, np.int64, len(exclude)))]
        return rows


_PER_IMAGE = ("flips", "disagreement", "bald", "teacher", "sureness")


@dataclass(frozen=True)
class Picks:
    """The images to look at, first one first.

    Attributes:
        rows: (M,) rows of the pool.
        scores: (M,) the value shown beside each; what it means is told by the strategy.
        why: M lines in plain words.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    why: tuple[str, ...]


def picks(rows: NDArray[np.int64], scores: NDArray[Any], why: Collection[str]) -> Picks:
    """Put picks together."""
    return Picks(np.asarray(rows, np.int64), np.asarray(scores, np.float64), tuple(why))


def _check_probabilities(ids: NDArray[Any], probabilities: NDArray[Any], classes: tuple[str, ...]) -> None:
    _fits(
        probabilities.ndim == 2 and probabilities.shape[1] > 0 and ids.shape == (len(probabilities),),
        "Probabilities must be (N, K) with one image id a row",
        f"{probabilities.shape} and {ids.shape}",
    )
    in_order = np.sort(ids)  # several times as fast as np.unique
    _fits((in_order[1:] != in_order[:-1]).all(), "An image is in the pool twice", None)
    _fits(
        len(classes) == probabilities.shape[1],
        "Probabilities and class names differ in number",
        f"{probabilities.shape[1]} and {len(classes)}",
    )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # False for NaN too
        raise ConfigError(
            "A probability is not a number between 0 and 1",
            way_out="The round's predictions are damaged: run the round again.",
        )


def _check_features(pool: Pool) -> None:
    width = None
    at = pool.feature_rows
    if at is not None and pool.features is not None:
        inside = at.shape == pool.ids.shape and (not len(at) or 0 <= at.min() <= at.max() < len(pool.features))
        _fits(inside, "feature_rows must have one row of the features an image", at.shape)
    for name, rows in (("features", len(pool.ids) if at is None else None), ("labeled_features", None)):
        values = getattr(pool, name)
        if values is None:
            continue
        fits = values.ndim == 2 and rows in (None, len(values)) and width in (None, values.shape[1])
        _fits(fits, f"{name} must have one row an image and as many columns as the others", values.shape)
        width = values.shape[1]
        if name != "features" or at is None:
            _check_finite(name, values)


def _check_finite(name: str, values: NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        raise ConfigError(
            f"A number in {name} is not finite", way_out="The round's features are damaged: run the round again."
        )


def _fits(condition: object, cause: str, value: object) -> None:
    if not condition:
        raise ConfigError(cause, value=value, way_out="Pass rows, ids, features and names of the same round.")
