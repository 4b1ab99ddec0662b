"""The frames of one file as images of their own: animations, TIFF pages and videos.

An import takes the first frame of an animation or a TIFF and says so. Where a person asks for more, `frames_of` gives
them one by one; they are not independent of each other, so they belong into one group, named by their file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from engine.errors import ConfigError, DecodeError
from engine.images.pool import ChildLimits, DecodePool

MOST_FRAMES = 10_000
_ANY = 1 << 62
_AHEAD = 4  # frames in a batch: as few lie on the disk before their turn
_LIMITS = ChildLimits(seconds=120.0)  # the frames that are passed over between two taken ones are decoded too


def frames_of(
    source: bytes | Path,
    every: int = 1,
    *,
    unit: Literal["frames", "seconds"] = "frames",
    most: int = MOST_FRAMES,
    only: int | None = None,
    folder: Path | None = None,
    limits: ChildLimits = _LIMITS,
    pool: DecodePool | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield a file's frames in order: each one's number in the file, from 0 on, and an image file's bytes.

    GIF, WebP, PNG, AVIF and HEIC animations or sequences, pages of a TIFF (smaller copies and masks of a page are no
    frames), and videos (extra `video`). A file of one picture, and any other image, is yielded as frame 0 with the
    bytes that it came with. Frames are PNG as the decoder would show them, upright; pages of 16- or 32-bit grey keep
    their values, as PNG or TIFF. The same file always gives the same bytes.

    It is decoded in a limited child process; at most a dozen frames lie on the disk at a time, and one in memory.
    Closing the iterator ends the child.

    Args:
        source: the file, or its bytes.
        every: the first frame is taken and every so many frames or seconds after it, at least 1.
        unit: what `every` counts. Seconds are those that a video or animation is played at.
        most: how many frames may be taken, at least 1.
        only: end after so many without a word about the rest, at least 1; None for all.
        folder: where the files in between lie; the system's place for such files if None.
        limits: what the child may use, and seconds for one frame.
        pool: from `frames_pool`, for many files one after the other, each to its end; a child of its own if None.

    Raises:
        ConfigError: `every` or `most` is below 1, or there is no such unit.
        DecodeError: not an image or a video, damaged (after the frames before the damage), more than `most` frames
            (before the first of them where the file says how many it has), or its plug-in is not installed.
    """
    if min(every, most, only or 1) < 1:
        raise ConfigError("The frames to take are counted from 1 on", value=min(every, most, only or 1))
    if unit not in ("frames", "seconds"):
        raise ConfigError("Frames are counted in “frames” or “seconds”", value=unit)
    wanted = (most + 1, most) if only is None else (min(only, most), _ANY)
    return _frames(source, every, unit, wanted, folder, frames_pool(limits) if pool is None else nullcontext(pool))


def frames_pool(limits: ChildLimits = _LIMITS) -> DecodePool:
    """Return a pool for `frames_of`: one child, for the frames of a file come from one process."""
    return DecodePool(1, limits, batch=_AHEAD)


def _frames(
    source: bytes | Path, every: int, unit: str, wanted: tuple[int, int], folder: Path | None,
    made_pool: AbstractContextManager[DecodePool],
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    """Yield the frames; wanted: how many to ask for, and how many there may be at most."""
    with tempfile.TemporaryDirectory(prefix=".tmp-frames-", dir=folder) as made, made_pool as pool:
        place, (jobs, most) = Path(made), wanted
        if isinstance(source, bytes):
            (place / "source").write_bytes(source)
            source = place / "source"
        for job, answer in pool.run(islice(_jobs(source, every, unit, most, place), jobs)):
            if "error" in answer:
                raise DecodeError(str(answer["error"]).rstrip("."))
            if "end" in answer:
                return
            out = Path(job["out"])
            data = out.read_bytes()
            out.unlink()
            yield answer["number"], data


def _jobs(source: Path, every: int, unit: str, most: int, place: Path) -> Iterator[dict[str, Any]]:
    """Yield without end the jobs that ask a child for one frame after the other."""
    asked = {"op": "frame", "path": str(source), "every": every, "unit": unit, "most": most}
    index = 0
    while True:
        yield {**asked, "index": index, "out": str(place / f"{index}")}
        index += 1
