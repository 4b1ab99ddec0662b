"""A still of the map as an SVG: sharp at any size, and its words stay words."""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from engine.exporters.pictures.layout import Frame, Layout, Line, Mark, Shape, Text, star_corners
from engine.exporters.pictures.scene import COLOURS, LEVELS, Scene
from engine.exporters.pictures.words import one_line

SIZE = (1600, 1200)
_FONT = "Inter, 'Helvetica Neue', Arial, 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
_BATCH = 5000


def svg(
    scene: Scene, frame: int = -1, size: tuple[int, int] = SIZE, report: Callable[[float], None] = lambda share: None
) -> bytes:
    """Return an SVG of one frame, UTF-8, with positions to a tenth of a pixel.

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
    width, height = size
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(one_line(scene.title))}</title>\n"
        f'<rect width="{width}" height="{height}" fill="{layout.theme.ground}"/>\n'
    ]
    parts += _points(layout, number, report)
    parts.append(f"<g font-family={quoteattr(_FONT)}>\n")
    parts += [_mark(mark) for mark in (*layout.rings(number), *layout.marks(number))]
    parts.append("</g>\n</svg>\n")
    report(1.0)
    return "".join(parts).encode("utf-8")


def _points(layout: Layout, frame: int, report: Callable[[float], None]) -> list[str]:
    """One <use> a point, in drawing order; each kind of point is defined once."""
    scene, order = layout.scene, layout.scene.order()
    places = np.round(layout.project(scene.places(frame))[order], 1)
    labeled = scene.label[order] >= 0
    keys = (scene.slot_of(frame)[order].astype(np.int64) * len(LEVELS) + scene.levels(frame)[order]) * 2 + labeled
    parts = ["<defs>\n", *(_kind(layout, key) for key in np.unique(keys).tolist()), "</defs>\n<g>\n"]
    for begin in range(0, scene.n, _BATCH):
        rows = slice(begin, begin + _BATCH)
        parts += [
            f'<use xlink:href="#p{key}" x="{x:g}" y="{y:g}"/>\n'
            for key, (x, y) in zip(keys[rows].tolist(), places[rows].tolist(), strict=True)
        ]
        report(min(1.0, (begin + _BATCH) / scene.n))
    return [*parts, "</g>\n"]


def _kind(layout: Layout, key: int) -> str:
    rest, labeled = divmod(key, 2)
    slot, level = divmod(rest, len(LEVELS))
    colour = COLOURS[slot]
    if labeled:
        radius, width = layout.labeled_radius, 0.32 * layout.labeled_radius
        return (
            f'<circle id="p{key}" r="{1.06 * radius:.2f}" fill="{colour}" stroke="{layout.theme.ink}" '
            f'stroke-width="{width:.2f}"/>\n'
        )
    return f'<path id="p{key}" d="{_star(layout.radius)}" fill="{colour}" fill-opacity="{LEVELS[level]:g}"/>\n'


def _star(radius: float, x: float = 0.0, y: float = 0.0) -> str:
    corners = " ".join(f"{x + dx:.2f} {y + dy:.2f}" for dx, dy in star_corners(radius))
    return f"M{corners}z"


def _mark(mark: Mark) -> str:
    if isinstance(mark, Text):
        end = ' text-anchor="end"' if mark.anchor == "end" else ""
        return (
            f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:.1f}" fill="{mark.colour}"{end}>'
            f"{escape(mark.text)}</text>\n"
        )
    if isinstance(mark, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
        return (
            f'<polyline points="{points}" fill="none" stroke="{mark.colour}" stroke-width="{mark.width:.2f}" '
            'stroke-linejoin="round"/>\n'
        )
    if isinstance(mark, Frame):
        left, top, right, bottom = mark.box
        return (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" '
            f'rx="{mark.radius:.1f}" fill="none" stroke="{mark.colour}" stroke-width="{mark.width:.2f}"/>\n'
        )
    return _shape(mark)


def _shape(shape: Shape) -> str:
    if shape.kind == "star":
        return f'<path d="{_star(1.1 * shape.radius, shape.x, shape.y)}" fill="{shape.colour}"/>\n'
    if shape.kind == "square":
        side = 2 * shape.radius
        return (
            f'<rect x="{shape.x - shape.radius:.1f}" y="{shape.y - shape.radius:.1f}" width="{side:.1f}" '
            f'height="{side:.1f}" rx="{0.4 * shape.radius:.1f}" fill="{shape.colour}"/>\n'
        )
    if shape.kind == "ring":
        return (
            f'<circle cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{shape.radius:.2f}" fill="none" '
            f'stroke="{shape.colour}" stroke-width="{0.25 * shape.radius:.2f}"/>\n'
        )
    edge = f' stroke="{shape.edge}" stroke-width="{0.3 * shape.radius:.2f}"' if shape.edge else ""
    radius = 1.15 * shape.radius if shape.edge else shape.radius
    return f'<circle cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{radius:.2f}" fill="{shape.colour}"{edge}/>\n'
