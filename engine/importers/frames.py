"""The frames of one file as images of their own: animations, TIFF pages and videos.

An import takes the first frame of an animation or a TIFF and says so. Where a person asks for more, `frames_of` gives
them one by one; they are not independent of each other, so they belong into one group, named by their file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from engine.errors import ConfigError, DecodeError
from engine.images.pool import ChildLimits, DecodePool

MOST_FRAMES = 10_000
_AHEAD = 4  # frames in a batch: as few lie on the disk before their turn
_LIMITS = ChildLimits(seconds=120.0)  # the frames that are passed over between two taken ones are decoded too


def frames_of(
    source: bytes | Path,
    every: int = 1,
    *,
    unit: Literal["frames", "seconds"] = "frames",
    most: int = MOST_FRAMES,
    folder: Path | None = None,
    limits: ChildLimits = _LIMITS,
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
        folder: where the files in between lie; the system's place for such files if None.
        limits: what the child may use, and seconds for one frame.

    Raises:
        ConfigError: `every` or `most` is below 1, or there is no such unit.
        DecodeError: not an image or a video, damaged (after the frames before the damage), more than `most` frames
            (before the first of them where the file says how many it has), or its plug-in is not installed.
    """
    if every < 1 or most < 1:
        raise ConfigError("The frames to take are counted from 1 on", value=min(every, most))
    if unit not in ("frames", "seconds"):
        raise ConfigError("Frames are counted in “frames” or “seconds”", value=unit)
    return _frames(source, every, unit, most, folder, limits)


def _frames(
    source: bytes | Path, every: int, unit: str, most: int, folder: Path | None, limits: ChildLimits
) -> Iterator[tuple[int, bytes]]:
    with (
        tempfile.TemporaryDirectory(prefix=".tmp-frames-", dir=folder) as made,
        DecodePool(1, limits, batch=_AHEAD) as pool,
    ):
        place = Path(made)
        if isinstance(source, bytes):
            (place / "source").write_bytes(source)
            source = place / "source"
        for job, answer in pool.run(islice(_jobs(source, every, unit, most, place), most + 1)):
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
