"""Where things stand on a still picture of the map: title, points, legend, curve. PNG, SVG and GIF draw these marks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import MapError
from engine.exporters.pictures.scene import LegendEntry, Scene
from engine.exporters.pictures.words import fitted, measure
from engine.percent import percent

SIDES = (320, 4000)
"""Least and most pixels of a side."""
STAR_KEY = "unlabeled, coloured by pseudo-label"
CIRCLE_KEY = "labeled"
FADE_KEY = "fainter: less sure"


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of everything but the points."""

    ground: str
    ink: str
    faint: str
    line: str
    accent: str


LIGHT = Theme("#ffffff", "#1b2330", "#667082", "#d5dae2", "#2a62c9")
DARK = Theme("#12161d", "#e6eaf0", "#98a2b3", "#353d4a", "#7ea6f4")


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `y` is the baseline."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: Literal["start", "end"] = "start"


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, in pixels."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled star, circle or square, or a ring; `edge` is the outline's colour, empty for none."""

    kind: Literal["star", "circle", "square", "ring"]
    x: float
    y: float
    radius: float
    colour: str
    edge: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """A rounded outline around the points: left, top, right, bottom."""

    box: tuple[float, float, float, float]
    radius: float
    colour: str
    width: float


Mark = Text | Line | Shape | Frame


class Layout:
    """The places of all marks on a picture of `size` = (width, height) pixels.

    Raises:
        MapError: a side is too short or too long.
    """

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        if not all(SIDES[0] <= side <= SIDES[1] for side in size):
            way_out = f"Choose sides from {SIDES[0]} to {SIDES[1]} pixels."
            raise MapError("The picture's size is out of range", value=f"{size[0]} × {size[1]}", way_out=way_out)
        self.scene, self.size = scene, size
        self.theme = DARK if scene.dark else LIGHT
        width, height = size
        self.unit = unit = max(8.0, min(width / 70, height / 52))
        margin = 1.7 * unit
        self._left, self._top, self._bottom = margin, margin + 4.3 * unit, height - margin
        self._panel = width - margin - 15.5 * unit
        self.box = (margin, self._top, self._panel - 1.9 * unit, height - margin - 2.3 * unit)
        self._fit()

    def _fit(self) -> None:
        """One scale for both axes and all frames, so that only what moves in the map moves in the picture."""
        left, top, right, bottom = self.box
        area = (right - left) * (bottom - top)
        self.radius = float(np.clip(0.235 * np.sqrt(area / self.scene.n), 0.092 * self.unit, 0.42 * self.unit))
        labeled = max(1, int(np.count_nonzero(self.scene.label >= 0)))
        few = min(0.24 * self.unit, 0.1 * float(np.sqrt(area / labeled)))
        self.labeled_radius = max(self.radius, few)
        flat = self.scene.xy.reshape(-1, 2).astype(np.float64)
        low, high = flat.min(axis=0), flat.max(axis=0)
        room = np.array([right - left, bottom - top]) - 2 * (1.3 * self.labeled_radius + 0.7 * self.unit)
        extent = np.maximum(high - low, 1e-300)
        scale = float(np.min(room / extent)) if np.any(high > low) else 0.0
        self._middle, self._scale = low + (high - low) / 2, scale
        self._centre = np.array([(left + right) / 2, (top + bottom) / 2])

    def project(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return pixels (N, 2) from the left and from the top for map positions (N, 2)."""
        away = (places - self._middle) * self._scale
        return np.asarray(self._centre + away * np.array([1.0, -1.0]), np.float64)

    def rings(self, moment: float) -> list[Mark]:
        """Return the rings around points, at their places at a frame or on the way between two."""
        if self.scene.ringed is None:
            return []
        places = self.project(self.scene.places(moment))[self.scene.ringed]
        return [Shape("ring", x, y, 1.7 * self.radius, self.theme.ink) for x, y in places.tolist()]

    def marks(self, frame: int) -> list[Mark]:
        """Return everything but the points, in drawing order."""
        y = self._top
        marks: list[Mark] = [Frame(self.box, 0.5 * self.unit, self.theme.line, max(1.0, 0.055 * self.unit))]
        marks += self._head()
        marks += self._key()
        if self.scene.epochs:
            marks.append(self._text(self._panel, y + 1.25 * self.unit, self.scene.epoch_text(frame), 1.65))
            y += 2.3 * self.unit
        if self.scene.accuracy is not None and any(share is not None for share in self.scene.accuracy):
            marks += self._curve(frame, y)
            y += 8.3 * self.unit
        return marks + self._legend(frame, y)

    def _head(self) -> list[Mark]:
        width = self.size[0] - 2 * self._left
        base = self._left + 1.5 * self.unit
        return [
            self._text(self._left, base, self.scene.title, 1.9, width=width),
            self._text(self._left, base + 1.65 * self.unit, self.scene.amount_text(), 1.0, faint=True, width=width),
        ]

    def _key(self) -> list[Mark]:
        """What the shapes mean, below the points."""
        unit, y = self.unit, self._bottom - 0.2 * self.unit
        x, colour = self._left + 0.5 * unit, self.theme.faint
        marks: list[Mark] = []
        unlabeled = STAR_KEY if self.scene.epochs else "unlabeled"
        ring = [("ring", self.scene.ring_text, "")] if self.scene.ring_text else []
        for kind, words, edge in (("star", unlabeled, ""), ("circle", CIRCLE_KEY, self.theme.ink), *ring):
            marks.append(Shape(kind, x, y - 0.31 * unit, 0.42 * unit, colour, edge))  # type: ignore[arg-type]
            marks.append(self._text(x + 0.85 * unit, y, words, 0.92, faint=True))
            x += 2.4 * unit + measure(words, 0.92 * unit)
        if self.scene.epochs and self.scene.fade:
            marks.append(self._text(x - 0.5 * unit, y, FADE_KEY, 0.92, faint=True))
        return marks

    def _curve(self, frame: int, top: float) -> list[Mark]:
        """The share of held-out labels right over the epochs, with the present epoch marked."""
        unit, theme, scene = self.unit, self.theme, self.scene
        shares = [(epoch, share) for epoch, share in zip(scene.epochs, scene.accuracy or (), strict=True)]
        known = [(epoch, share) for epoch, share in shares if share is not None]
        now = shares[frame][1]
        marks: list[Mark] = [self._text(self._panel, top + 0.75 * unit, "Held-out labels right", 0.92, faint=True)]
        right, low, high = self.size[0] - self._left, top + 5.9 * unit, top + 1.9 * unit
        least, most = min(share for _, share in known), max(share for _, share in known)
        first, last = scene.epochs[0], scene.epochs[-1]

        def place(epoch: int, share: float) -> tuple[float, float]:
            across = (epoch - first) / (last - first) if last > first else 0.5
            up = (share - least) / (most - least) if most > least else 0.5
            return self._panel + across * (right - self._panel), low + up * (high - low)

        here = place(scene.epochs[frame], least)[0]
        marks.append(Line(((self._panel, low + 0.5 * unit), (right, low + 0.5 * unit)), theme.line, 0.055 * unit))
        if last > first:
            marks += self._ends(known, right, low + 1.65 * unit)
            marks.append(Line(((here, high - 0.2 * unit), (here, low + 0.5 * unit)), theme.line, 0.1 * unit))
            marks.append(Line(tuple(place(*one) for one in known), theme.accent, 0.13 * unit))
        if now is not None:
            marks.append(Shape("circle", *place(scene.epochs[frame], now), 0.32 * unit, theme.accent, theme.ground))
            marks.append(_before(self._text(right, top + 0.75 * unit, percent(now, 1), 0.92)))
        return marks

    def _ends(self, known: list[tuple[int, float]], right: float, y: float) -> list[Mark]:
        """The first and the last value under the curve: they give its scale."""
        (first, low), (last, high) = known[0], known[-1]
        return [
            self._text(self._panel, y, f"{first}: {percent(low, 1)}", 0.8, faint=True),
            _before(self._text(right, y, f"{last}: {percent(high, 1)}", 0.8, faint=True)),
        ]

    def _legend(self, frame: int, top: float) -> list[Mark]:
        unit, step = self.unit, 1.52 * self.unit
        right = self.size[0] - self._left
        marks: list[Mark] = []
        room = max(2, int((self._bottom - top + 0.4 * unit) // step))
        for row, entry in enumerate(self.scene.legend(frame, room)):
            y = top + (row + 0.72) * step
            marks.append(Shape("square", self._panel + 0.36 * unit, y - 0.34 * unit, 0.36 * unit, entry.colour))
            marks += self._row(entry, y, right)
        return marks

    def _row(self, entry: LegendEntry, y: float, right: float) -> list[Mark]:
        count = f"{entry.count:,}"
        room = right - self._panel - 1.8 * self.unit - measure(count, self.unit)
        return [
            self._text(self._panel + 1.15 * self.unit, y, entry.name, 1.0, width=room),
            _before(self._text(right, y, count, 1.0, faint=True)),
        ]

    def _text(
        self, x: float, y: float, text: str, size: float, faint: bool = False, width: float | None = None
    ) -> Text:
        size *= self.unit
        shortened = fitted(text, size, self.size[0] if width is None else width)
        return Text(x, y, shortened, size, self.theme.faint if faint else self.theme.ink)


def _before(text: Text) -> Text:
    """Return the text so that it ends at its place."""
    return replace(text, anchor="end")


def star_corners(radius: float) -> list[tuple[float, float]]:
    """Return the ten corners of a star around (0, 0), as the app draws it."""
    spread = [(1.16 if k % 2 == 0 else 0.48) * radius for k in range(10)]
    angles = [np.pi / 5 * k - np.pi / 2 for k in range(10)]
    return [(float(np.cos(a) * r), float(np.sin(a) * r)) for a, r in zip(angles, spread, strict=True)]
