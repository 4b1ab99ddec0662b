"""A still of the map as a PNG. Drawn larger and scaled down, which makes the edges smooth."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from engine.exporters.pictures.layout import Frame, Layout, Line, Mark, Shape, Text, Theme, star_corners
from engine.exporters.pictures.scene import COLOURS, LEVELS, Scene
from engine.exporters.pictures.words import font_for

SIZE = (1600, 1200)
_FINE = 8
"""How much larger than needed a point's shape is traced."""
_LARGE = 4_000_000
_REPORTS = 5000

Sprite = tuple[Image.Image, Image.Image]
"""Colours and coverage of one point."""


def png(
    scene: Scene, frame: int = -1, size: tuple[int, int] = SIZE, report: Callable[[float], None] = lambda share: None
) -> bytes:
    """Return a PNG of one frame.

    Args:
        scene: what is shown.
        frame: from 0, or -1 for the last one.
        size: width and height in pixels.
        report: called with the finished share, 0..1.

    Raises:
        MapError: no such frame, or a size out of range.
    """
    number = scene.frame_number(frame)
    layout = Layout(scene, size)
    painter = Painter(layout, 3 if size[0] * size[1] < _LARGE else 2)
    picture = painter.paint(number, report=lambda share: report(0.8 * share))
    target = io.BytesIO()
    picture.save(target, "PNG", compress_level=6)
    report(1.0)
    return target.getvalue()


class Painter:
    """Draws frames of one layout, `zoom` times larger than they are returned."""

    def __init__(self, layout: Layout, zoom: int) -> None:
        self._layout, self._zoom = layout, zoom
        self._order = layout.scene.order()
        self._labeled = layout.scene.label[self._order] >= 0
        self._sprites: dict[int, Sprite] = {}

    def paint(
        self, frame: int, moment: float | None = None, report: Callable[[float], None] = lambda share: None
    ) -> Image.Image:
        """Return an RGB picture: colours and words of a frame, positions of a moment (the frame's own when None)."""
        width, height = self._layout.size
        ground = ImageColor.getrgb(self._layout.theme.ground)
        image = Image.new("RGB", (width * self._zoom, height * self._zoom), ground)
        self._stamp(image, frame, frame if moment is None else moment, report)
        draw = ImageDraw.Draw(image)
        for mark in (*self._layout.rings(frame if moment is None else moment), *self._layout.marks(frame)):
            draw_mark(draw, mark, self._zoom)
        return image.reduce(self._zoom)

    def _stamp(self, image: Image.Image, frame: int, moment: float, report: Callable[[float], None]) -> None:
        scene = self._layout.scene
        places = self._layout.project(scene.places(moment))[self._order] * self._zoom
        slots = scene.slot_of(frame)[self._order].astype(np.int64)
        keys = (slots * len(LEVELS) + scene.levels(frame)[self._order]) * 2 + self._labeled
        for key in np.unique(keys).tolist():
            if key not in self._sprites:
                self._sprites[key] = self._sprite(key)
        half = {key: sprite[1].width / 2 for key, sprite in self._sprites.items()}
        corner = np.rint(places - np.array([half[key] for key in keys.tolist()])[:, None]).astype(np.int64)
        sprites, paste = self._sprites, image.paste
        for number, (key, at) in enumerate(zip(keys.tolist(), map(tuple, corner.tolist()), strict=True)):
            colours, coverage = sprites[key]
            paste(colours, at, coverage)
            if number % _REPORTS == 0:
                report(number / scene.n)

    def _sprite(self, key: int) -> Sprite:
        rest, labeled = divmod(key, 2)
        slot, level = divmod(rest, len(LEVELS))
        radius = self._layout.labeled_radius if labeled else self._layout.radius
        return trace_point(
            bool(labeled), radius * self._zoom, COLOURS[slot], LEVELS[level],
            self._layout.theme,
        )  # fmt: skip


def trace_point(labeled: bool, radius: float, colour: str, opacity: float, theme: Theme) -> Sprite:
    """Return the shape of a point: an outlined circle when labeled, else a star."""
    reach = int(np.ceil(1.35 * radius)) + 1
    side = (2 * reach + 1) * _FINE
    colours, coverage = Image.new("RGB", (side, side), colour), Image.new("L", (side, side), 0)
    centre = side / 2
    if labeled:
        outer, inner = (1.22 * radius) * _FINE, (0.9 * radius) * _FINE
        ImageDraw.Draw(coverage).ellipse((centre - outer, centre - outer, centre + outer, centre + outer), fill=255)
        ImageDraw.Draw(colours).rectangle((0, 0, side, side), fill=theme.ink)
        ImageDraw.Draw(colours).ellipse((centre - inner, centre - inner, centre + inner, centre + inner), fill=colour)
    else:
        corners = [(centre + x, centre + y) for x, y in star_corners(radius * _FINE)]
        ImageDraw.Draw(coverage).polygon(corners, fill=255)
    faded = coverage.reduce(_FINE).point([round(value * opacity) for value in range(256)])
    return colours.reduce(_FINE), faded


def draw_mark(draw: ImageDraw.ImageDraw, mark: Mark, zoom: int) -> None:
    """Draw one mark, `zoom` times larger."""
    if isinstance(mark, Text):
        place = (mark.x * zoom, mark.y * zoom)
        anchor = {"start": "ls", "end": "rs"}[mark.anchor]
        draw.text(place, mark.text, fill=mark.colour, font=font_for(mark.text, mark.size * zoom), anchor=anchor)
    elif isinstance(mark, Line):
        width = max(1, round(mark.width * zoom))
        draw.line([(x * zoom, y * zoom) for x, y in mark.points], fill=mark.colour, width=width, joint="curve")
    elif isinstance(mark, Frame):
        box = tuple(side * zoom for side in mark.box)
        width = max(1, round(mark.width * zoom))
        draw.rounded_rectangle(box, mark.radius * zoom, outline=mark.colour, width=width)
    else:
        _draw_shape(draw, mark, zoom)


def _draw_shape(draw: ImageDraw.ImageDraw, shape: Shape, zoom: int) -> None:
    x, y, radius = shape.x * zoom, shape.y * zoom, shape.radius * zoom

    def around(reach: float) -> tuple[float, float, float, float]:
        return x - reach, y - reach, x + reach, y + reach

    if shape.kind == "star":
        draw.polygon([(x + dx, y + dy) for dx, dy in star_corners(1.1 * radius)], fill=shape.colour)
    elif shape.kind == "ring":
        draw.ellipse(around(radius), outline=shape.colour, width=max(1, round(0.25 * radius)))
    elif shape.kind == "square":
        draw.rounded_rectangle(around(radius), 0.4 * radius, fill=shape.colour)
    else:
        if shape.edge:
            draw.ellipse(around(1.3 * radius), fill=shape.edge)
        draw.ellipse(around(radius), fill=shape.colour)
