"""The map over the epochs as an animated GIF.

Frames are drawn, reduced to one palette and written one after the other; no more than three are in memory. Pillow's own
writer keeps all of them until the end, so the blocks around its compressed frames are written here (GIF89a).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from engine.errors import MapError
from engine.exporters.pictures.layout import Layout, Theme
from engine.exporters.pictures.png import Painter
from engine.exporters.pictures.scene import CLASS_COLOURS, OTHER, OTHER_COLOUR, Scene

SIZE = (800, 640)
HOLD = 2.0
"""How long the last frame stays, in seconds."""
_ZOOM = 2
_UNCHANGED = 255
"""The palette's last place: a pixel that stays as it was in the frame before."""
_HEAD, _DESCRIPTOR = 13, 10
"""Bytes before the first colour table, and of a frame's descriptor."""


def gif(
    scene: Scene,
    size: tuple[int, int] = SIZE,
    seconds_per_epoch: float = 0.4,
    tween: int = 3,
    most_frames: int = 150,
    first_seconds: float = 0.0,
    report: Callable[[float], None] = lambda share: None,
) -> bytes:
    """Return an endless GIF, one step for each epoch.

    Args:
        scene: what is shown.
        size: width and height in pixels.
        seconds_per_epoch: 0.02 or more.
        tween: how many frames lie between two epochs when positions move.
        most_frames: with more, frames between epochs are left out first, then epochs, evenly; never the last one.
        first_seconds: how long the first frame stays besides.
        report: called with the finished share, 0..1.

    Raises:
        MapError: a size, time or number out of range.
    """
    _check(seconds_per_epoch, tween, most_frames)
    layout = Layout(scene, size)
    painter, palette = Painter(layout, _ZOOM), make_palette(scene, layout.theme)
    places = nearest_places(palette)
    plan = moments(scene, tween, most_frames)
    target = io.BytesIO()
    _write_head(target, size, palette)
    before: NDArray[np.uint8] | None = None
    for number, moment in enumerate(plan):
        now = places[_cells(np.asarray(painter.paint(int(moment), moment)))]
        wait = _wait(plan, number, seconds_per_epoch) + (0 if number else round(100 * first_seconds))
        _write_frame(target, now, before, wait, palette)
        before = now
        report((number + 1) / len(plan))
    target.write(b"\x3b")
    return target.getvalue()


def _check(seconds_per_epoch: float, tween: int, most_frames: int) -> None:
    if not 0.02 <= seconds_per_epoch <= 60:
        raise MapError("The time for an epoch is out of range", value=seconds_per_epoch, way_out="Use 0.02 to 60 s.")
    if tween < 0 or most_frames < 1:
        way_out = "Use 0 or more frames between epochs, and 1 or more in all."
        raise MapError("The number of frames is out of range", value=(tween, most_frames), way_out=way_out)


def moments(scene: Scene, tween: int, most: int) -> list[float]:
    """Return the frames to draw; 2.5 lies midway between the third and the fourth epoch."""
    last = scene.frames - 1
    if scene.frames > most:
        return [last] if most == 1 else np.unique(np.rint(np.linspace(0, last, most))).tolist()
    between = min(tween, (most - 1) // last - 1) if scene.moves and last else 0
    return [step / (between + 1) for step in range(last * (between + 1) + 1)]


def _wait(plan: list[float], number: int, seconds_per_epoch: float) -> int:
    """Hundredths of a second that a frame stays; less than 2 is not kept to by common viewers."""
    if number == len(plan) - 1:
        return round(100 * HOLD)
    step = min(1.0, plan[number + 1] - plan[number])
    return min(65535, max(2, round(100 * seconds_per_epoch * step)))


def make_palette(scene: Scene, theme: Theme) -> NDArray[np.uint8]:
    """Return the colours (256, 3) of all frames: each in use, its steps towards the ground and the outline."""
    used = [CLASS_COLOURS[slot] for slot in np.unique(scene.slots()).tolist() if slot != OTHER]
    ground, ink = np.array(ImageColor.getrgb(theme.ground)), np.array(ImageColor.getrgb(theme.ink))
    colours = [theme.ground, theme.ink, theme.faint, theme.line, theme.accent]
    mixed = [np.array(ImageColor.getrgb(colour)) for colour in colours]
    for colour, steps in ((theme.ink, 10), (theme.faint, 6), (theme.line, 2), (theme.accent, 5)):
        mixed += _steps(colour, ground, steps)
    shades = (_UNCHANGED - len(mixed)) // (len(used) + 1)
    outlines = min(3, shades // 4)
    for colour in [*used, OTHER_COLOUR]:
        mixed += [np.array(ImageColor.getrgb(colour)), *_steps(colour, ground, shades - outlines - 1)]
        mixed += _steps(colour, ink, outlines)
    table = np.full((_UNCHANGED + 1, 3), mixed[0], np.float64)
    table[: len(mixed)] = mixed
    return np.rint(table).astype(np.uint8)


def nearest_places(palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the palette's place (32768,) nearest to each cell of the colour cube, 32 steps a side.

    A cell with a palette colour in it has that one's place, the first one's with several: the ground stays the ground.
    """
    step = np.arange(4, 256, 8)
    centres = np.stack(np.meshgrid(step, step, step, indexing="ij"), axis=-1).reshape(-1, 3)
    colours = palette[:_UNCHANGED].astype(np.float32)
    places = np.argmin((colours**2).sum(axis=1) - 2 * centres.astype(np.float32) @ colours.T, axis=1).astype(np.uint8)
    places[_cells(palette[:_UNCHANGED])[::-1]] = np.arange(_UNCHANGED, dtype=np.uint8)[::-1]
    return np.asarray(places, np.uint8)


def _cells(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    part = (colours >> 3).astype(np.int32)
    return np.asarray(part[..., 0] << 10 | part[..., 1] << 5 | part[..., 2], np.int32)


def _steps(colour: str, towards: NDArray[np.int64], steps: int) -> list[NDArray[np.float64]]:
    begin = np.array(ImageColor.getrgb(colour), np.float64)
    return [begin + (towards - begin) * k / (steps + 1) for k in range(1, steps + 1)]


def _write_head(target: IO[bytes], size: tuple[int, int], palette: NDArray[np.uint8]) -> None:
    target.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0xF7, 0, 0))
    target.write(palette.tobytes())
    target.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", 0) + b"\x00")


def _write_frame(
    target: IO[bytes], now: NDArray[np.uint8], before: NDArray[np.uint8] | None, wait: int, palette: NDArray[np.uint8]
) -> None:
    """Write the part of a frame that differs from the one before, over which it is laid."""
    top, left, part = 0, 0, now
    if before is not None:
        changed = now != before
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        box = (slice(0, 1), slice(0, 1))
        if len(rows):
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        top, left = box[0].start, box[1].start
        part = np.where(changed[box], now[box], np.uint8(_UNCHANGED))
    target.write(b"\x21\xf9\x04" + struct.pack("<BHB", 0x05, wait, _UNCHANGED) + b"\x00")
    height, width = part.shape
    target.write(b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0))
    target.write(_compressed(part, palette))


def _compressed(part: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Return the code size and the compressed blocks of a picture, cut out of a GIF that Pillow writes."""
    image = Image.frombytes("P", (part.shape[1], part.shape[0]), np.ascontiguousarray(part).tobytes())
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "GIF", optimize=False, interlace=False)
    data = file.getvalue()
    at = _HEAD + _table_bytes(data[10])
    while data[at] == 0x21:  # an extension: its kind, then blocks that begin with their length, then a zero
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    return data[at + _DESCRIPTOR + _table_bytes(data[at + _DESCRIPTOR - 1]) : -1]


def _table_bytes(flags: int) -> int:
    """Return the length of the colour table that a header or a frame announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
