"""The limited child: decodes foreign images with a cap on memory, so that a hostile file costs one process.

`python -m engine.images.child MEMORY_MB` reads one JSON list of jobs a line from stdin and answers one JSON
object a job, a line each, in order. Jobs:

    {"op": "inspect", "path": …, "thumb": … or null, "sha256": … of the image}
        → {"format", "width", "height", "channels", "notices", "taken", "framed": has more frames or pages}
    {"op": "row", "path", "sha256", "size", "channels", "whole", "resample", "out", "offset"}  → {"ok": true}
        (the pixels are written into the file `out` at the byte `offset`)
    {"op": "show", "path", "sha256", "longest", "out"}  → {"ok": true}
        (the image, its longest side at most `longest`, is written into the file `out` as PNG)
    {"op": "frame", "path", "every", "unit", "most", "index", "out"}  → {"number": n} or {"end": true}
        (the frame is written into the file `out`; see engine.images.frame_reader)
    any     → {"error": the reason, for a person}

It ends when stdin does. engine.images.pool starts it.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import warnings
from typing import TYPE_CHECKING, Any

from engine.errors import DecodeError
from engine.images.decode import inspect_bytes, open_reduced
from engine.images.kinds import FRAMED, SEVERAL
from engine.images.shrink import encode_thumbnail, fit
from engine.images.small_file import read_small, write_small
from engine.images.thumb_file import sealed

if TYPE_CHECKING:
    from engine.images.frame_reader import FrameReader

MEGABYTE = 1 << 20


def main(memory_mb: int) -> None:
    """Serve jobs until stdin ends."""
    _limit(resource.RLIMIT_AS, memory_mb * MEGABYTE)
    _limit(resource.RLIMIT_CORE, 0)
    warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # a library that prints must not break the protocol
    for line in sys.stdin:
        for job in json.loads(line):
            answers.write(json.dumps(_answer(job)) + "\n")
            answers.flush()


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return _OPERATIONS[job["op"]](job)
    except DecodeError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "Decoding it needs more memory than is allowed for one image."}


def _inspect(job: dict[str, Any]) -> dict[str, Any]:
    decoded = inspect_bytes(read_small(job["path"]))
    if job["thumb"] is not None:
        write_small(job["thumb"], sealed(encode_thumbnail(decoded.image), job["sha256"]))
    return {
        "format": decoded.format,
        "width": decoded.width,
        "height": decoded.height,
        "channels": decoded.channels,
        "notices": list(decoded.notices),
        "taken": decoded.taken,
        "framed": SEVERAL in decoded.notices and decoded.format in FRAMED,
    }


def _row(job: dict[str, Any]) -> dict[str, Any]:
    from engine.images.array_row import array_row

    image = open_reduced(_read_original(job), job["size"])
    row = array_row(image, job["size"], job["channels"], whole=job["whole"], resample=job["resample"])
    target = os.open(job["out"], os.O_WRONLY)
    try:
        os.pwrite(target, row.tobytes(), job["offset"])
    finally:
        os.close(target)
    return {"ok": True}


def _show(job: dict[str, Any]) -> dict[str, Any]:
    image = fit(open_reduced(_read_original(job), job["longest"]), job["longest"])
    image.save(job["out"], "PNG", compress_level=1)
    return {"ok": True}


def _frame(job: dict[str, Any]) -> dict[str, Any]:
    from engine.images.frame_reader import FrameReader

    asked = (job["path"], job["every"], job["unit"], job["most"])
    if _Frames.asked != asked or job["index"] == 0:
        _Frames.asked, _Frames.reader = asked, FrameReader(*asked)
    assert _Frames.reader is not None
    return _Frames.reader.write(job["index"], job["out"])


class _Frames:
    """The file whose frames are being asked for: each job takes the next one."""

    asked: tuple[str, int, str, int] | None = None
    reader: FrameReader | None = None


_OPERATIONS = {"inspect": _inspect, "row": _row, "show": _show, "frame": _frame}


def _read_original(job: dict[str, Any]) -> bytes:
    try:
        data = read_small(job["path"])
    except OSError as error:
        raise DecodeError(f"An original image cannot be read ({error.strerror})", value=job["sha256"]) from error
    if hashlib.sha256(data).hexdigest() != job["sha256"]:
        raise DecodeError("An original image was changed after the import", value=job["sha256"])
    return data


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(what, (ceiling, ceiling))
    except (ValueError, OSError) as error:  # some systems (macOS) have no such limit to set
        print(f"limit {what} not set: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]))
