"""Pictures of the map. To add a format: one file, one line in MAP_PICTURES, one test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.exporters.map_gif import gif
from engine.exporters.map_html import html
from engine.exporters.map_png import png
from engine.exporters.map_scene import Scene
from engine.exporters.map_svg import svg

__all__ = ["MAP_PICTURES", "MapPicture"]


class MapPicture(Protocol):
    """Draws a scene as a file: the last frame for a still, all of them for an animation."""

    def __call__(self, scene: Scene, *, report: Callable[[float], None] = ...) -> bytes:
        """Return the file's content; `report` is called with the finished share, 0..1."""
        ...


MAP_PICTURES: dict[str, MapPicture] = {"png": png, "svg": svg, "gif": gif, "html": html}
