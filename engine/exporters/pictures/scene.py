"""What a picture of the map shows, whatever its format: places, classes, colours and how sure each pseudo-label is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError

CLASS_COLOURS = (
    "#2f7ed8", "#e8772e", "#12a084", "#d6406b", "#9467dd", "#b8930b", "#41b4e6", "#8f5b3a", "#e58fc4", "#6f9e2a",
    "#5a64c8", "#f0a95b", "#0f8a55", "#b0308a", "#7ccaa6", "#c86a5e", "#7289a8", "#b79ad6", "#3f8f95", "#a5a930",
)  # fmt: skip
"""The colours of the classes, as on the map in the app."""
OTHER_COLOUR = "#8b9099"
"""Of the classes beyond the twentieth, and of images without a pseudo-label."""
LEVELS = (0.1, 0.2, 0.32, 0.44, 0.57, 0.71, 0.85, 1.0)
"""Opacities a point can have."""
OTHER = len(CLASS_COLOURS)
COLOURS = (*CLASS_COLOURS, OTHER_COLOUR)
FULL = len(LEVELS) - 1
_UNKNOWN_LEVEL = {False: 5, True: 3}
_WAY_OUT = "Compute the map again."


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One row of the legend: a class, or several that share the grey; -1 in `classes` are points without one."""

    name: str
    slot: int
    count: int
    classes: tuple[int, ...]

    @property
    def colour(self) -> str:
        """The colour of its points, as #rrggbb."""
        return COLOURS[self.slot]


@dataclass(frozen=True)
class Scene:
    """A map over the epochs of a round, or without any round when `epochs` is empty.

    Args:
        title: written above the picture; any text.
        classes: names of the K classes; any text.
        xy: positions, (N, 2), or (E, N, 2) when they move.
        label: (N,) place in `classes`, -1 when unlabeled.
        pseudo: (E, N) place in `classes`, -1 when there is no pseudo-label.
        confidence: (E, N) of the pseudo-labels, 0..1; not read where there is none.
        epochs: the numbers of the E epochs, rising.
        accuracy: share 0..1 of held-out labels right after each epoch, None where there is none; None draws no curve.
        dark: light ink on a dark ground.
        fade: draw a point the lighter the less sure its pseudo-label is.
        ringed: (N,) bool, points with a ring around them in all frames; PNG, SVG and GIF draw it.
        ring_text: what the ring means, said beside the other signs.

    Raises:
        MapError: the arrays do not fit together, or a number is not finite or out of its range.
    """

    title: str
    classes: tuple[str, ...]
    xy: NDArray[np.float32]
    label: NDArray[np.int16]
    pseudo: NDArray[np.int16]
    confidence: NDArray[np.float32]
    epochs: tuple[int, ...]
    accuracy: tuple[float | None, ...] | None = None
    dark: bool = False
    fade: bool = True
    ringed: NDArray[np.bool_] | None = None
    ring_text: str = ""

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_numbers()

    def _check_shapes(self) -> None:
        epochs, n = len(self.epochs), len(self.label)
        places = {(n, 2), (epochs, n, 2)} if epochs else {(n, 2)}
        if n == 0:
            raise MapError("There is no image on the map", value="0 images", way_out="Import images first.")
        if self.label.shape != (n,):
            raise _misfit("labels", self.label, f"({n},)")
        if self.xy.shape not in places:
            raise _misfit("positions", self.xy, f"({n}, 2) or ({epochs}, {n}, 2)")
        for name, array in (("pseudo-labels", self.pseudo), ("confidences", self.confidence)):
            if array.shape != (epochs, n):
                raise _misfit(name, array, f"({epochs}, {n})")
        if self.ringed is not None and self.ringed.shape != (n,):
            raise _misfit("rings", self.ringed, f"({n},)")
        if any(later <= earlier for earlier, later in pairwise(self.epochs)):
            raise MapError("The epochs do not rise", value=self.epochs[:12], way_out=_WAY_OUT)
        if self.accuracy is not None and len(self.accuracy) != epochs:
            raise MapError(
                "The accuracies do not fit the epochs", value=f"{len(self.accuracy)} for {epochs}", way_out=_WAY_OUT
            )

    def _check_numbers(self) -> None:
        wrong = int(np.count_nonzero(~np.isfinite(self.xy)))
        if wrong:
            raise MapError("Positions are not finite numbers", value=f"{wrong} numbers", way_out=_WAY_OUT)
        for name, array in (("label", self.label), ("pseudo-label", self.pseudo)):
            beyond = array[(array < -1) | (array >= len(self.classes))]
            if beyond.size:
                raise MapError(f"A {name} names no class", value=int(beyond.flat[0]), way_out=_WAY_OUT)
        sure = self.confidence[self.pseudo >= 0]
        outside = sure[~((sure >= -1e-6) & (sure <= 1 + 1e-6))]  # also catches NaN
        if outside.size:
            raise MapError("A confidence is not between 0 and 1", value=float(outside[0]), way_out=_WAY_OUT)
        for share in self.accuracy or ():
            if share is not None and not 0 <= share <= 1:
                raise MapError("A share of labels right is not between 0 and 1", value=share, way_out=_WAY_OUT)

    @property
    def n(self) -> int:
        """How many images are on the map."""
        return len(self.label)

    @property
    def frames(self) -> int:
        """How many frames there are: one for each epoch, and one when there is no round."""
        return max(1, len(self.epochs))

    @property
    def moves(self) -> bool:
        """Whether positions change from epoch to epoch."""
        return self.xy.ndim == 3 and len(self.xy) > 1

    def frame_number(self, frame: int) -> int:
        """Return the frame counted from 0; -1 is the last one.

        Raises:
            MapError: there is no such frame.
        """
        if not -self.frames <= frame < self.frames:
            way_out = f"Choose one from 0 to {self.frames - 1}."
            raise MapError("There is no such frame", value=frame, way_out=way_out)
        return frame % self.frames

    def places(self, moment: float) -> NDArray[np.float64]:
        """Return positions (N, 2) at a frame, or on the straight way between two."""
        if self.xy.ndim == 2:
            return self.xy.astype(np.float64)
        before = int(np.floor(moment))
        after, share = min(before + 1, len(self.xy) - 1), moment - before
        here, there = self.xy[before].astype(np.float64), self.xy[after].astype(np.float64)
        return np.asarray(here + share * (there - here), np.float64)

    def shown(self, frame: int) -> NDArray[np.int16]:
        """Return the class (N,) each point is coloured by: its label, else its pseudo-label, else -1."""
        if not self.epochs:
            return self.label
        return np.where(self.label >= 0, self.label, self.pseudo[frame]).astype(np.int16)

    def levels(self, frame: int) -> NDArray[np.uint8]:
        """Return the place in LEVELS (N,) of each point: full for labels, by confidence for pseudo-labels."""
        levels = np.full(self.n, _UNKNOWN_LEVEL[bool(self.epochs)], np.uint8)
        if self.epochs:
            guessed = self.pseudo[frame] >= 0
            levels[guessed] = FULL
            if self.fade:
                sure = np.clip(self.confidence[frame][guessed], 0, 1)
                levels[guessed] = np.maximum(1, np.round(sure * FULL)).astype(np.uint8)
        levels[self.label >= 0] = FULL
        return levels

    def slots(self) -> NDArray[np.int16]:
        """Return the place in CLASS_COLOURS (K,) of each class, OTHER for the rarest when there are more than twenty.

        The counts of the last frame decide, so that a class has one colour in all frames.
        """
        k = len(self.classes)
        if k <= len(CLASS_COLOURS):
            return np.arange(k, dtype=np.int16)
        slots = np.full(k, OTHER, np.int16)
        common = np.argsort(-self.counts(self.frames - 1)[:k], kind="stable")[: len(CLASS_COLOURS)]
        slots[common] = np.arange(len(CLASS_COLOURS), dtype=np.int16)
        return slots

    def slot_of(self, frame: int) -> NDArray[np.int16]:
        """Return the colour's place (N,) of each point in a frame; OTHER also for points without a class."""
        table = np.append(self.slots(), np.int16(OTHER))
        return np.asarray(table[self.shown(frame)], np.int16)

    def counts(self, frame: int) -> NDArray[np.int64]:
        """Return how many points show each class in a frame (K + 1,); the last number is those without one."""
        shown = self.shown(frame).astype(np.int64)
        return np.bincount(np.where(shown < 0, len(self.classes), shown), minlength=len(self.classes) + 1)

    def order(self) -> NDArray[np.int64]:
        """Return the order (N,) in which points are drawn, the same in all frames.

        Labeled ones come last and lie on top. The others are shuffled (seed 0): in the order of import the last class
        would cover the others.
        """
        shuffled = np.random.default_rng(0).permutation(self.n)
        return shuffled[np.argsort(self.label[shuffled] >= 0, kind="stable")]

    def legend(self, frame: int, most: int = OTHER + 2) -> list[LegendEntry]:
        """Return the classes with their counts in a frame, in their own order; those in grey are one entry.

        With more than `most` entries the rarest of the last frame become one, so that all frames name the same ones.
        """
        counts, slots = self.counts(frame), self.slots()
        at_end = self.counts(self.frames - 1)
        unknown = self.ever_unknown
        named = np.flatnonzero(slots != OTHER)
        room = most - unknown - (len(named) < len(slots))
        if len(named) > room:
            room = max(1, room if len(named) < len(slots) else room - 1)
            named = np.sort(named[np.argsort(-at_end[named], kind="stable")[:room]])
        rest = np.setdiff1d(np.arange(len(slots)), named)
        rows = [LegendEntry(self.classes[k], int(slots[k]), int(counts[k]), (int(k),)) for k in named]
        if len(rest):
            name = "1 other class" if len(rest) == 1 else f"{len(rest)} other classes"
            rows.append(LegendEntry(name, OTHER, int(counts[rest].sum()), tuple(rest.tolist())))
        if unknown:
            rows.append(LegendEntry(self.unknown_text, OTHER, int(counts[-1]), (-1,)))
        return rows

    @property
    def unknown_text(self) -> str:
        """What a point without a class is, for people."""
        return "no pseudo-label" if self.epochs else "unlabeled"

    @cached_property
    def ever_unknown(self) -> bool:
        """Whether some point has no class in some frame."""
        return bool(((self.pseudo if self.epochs else self.label[None]) < 0)[:, self.label < 0].any())

    def epoch_text(self, frame: int) -> str:
        """Return which epoch a frame is, for people; empty when there is no round."""
        return f"Epoch {self.epochs[frame]}" if self.epochs else ""

    def amount_text(self) -> str:
        """Return how many images there are and how many of them are labeled, for people."""
        labeled = int(np.count_nonzero(self.label >= 0))
        return f"{self.n:,} {'image' if self.n == 1 else 'images'}, {labeled:,} labeled"


def _misfit(what: str, array: NDArray[Any], expected: str) -> MapError:
    return MapError(f"The {what} do not fit the images", value=f"{array.shape}, expected {expected}", way_out=_WAY_OUT)
