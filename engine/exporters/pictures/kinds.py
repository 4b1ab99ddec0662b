"""Pictures of the map. To add a format: one file, one line in MAP_PICTURES, one test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.exporters.pictures.gif import gif
from engine.exporters.pictures.page import html
from engine.exporters.pictures.png import png
from engine.exporters.pictures.scene import Scene
from engine.exporters.pictures.svg import svg

__all__ = ["MAP_PICTURES", "MapPicture"]


class MapPicture(Protocol):
    """Draws a scene as a file: the last frame for a still, all of them for an animation."""

    def __call__(self, scene: Scene, *, report: Callable[[float], None] = ...) -> bytes:
        """Return the file's content; `report` is called with the finished share, 0..1."""
        ...


MAP_PICTURES: dict[str, MapPicture] = {"png": png, "svg": svg, "gif": gif, "html": html}
