"""The frames of an animation, the pages of a TIFF, the frames of a video: one after the other, in the limited child.

Frames of 16- and 32-bit grey keep their values (16-bit PNG, else TIFF), so that the rule for deep images sees what the
file holds; all others are PNG pictures as engine.images.decode makes them. A file of one frame is handed on as it is.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from engine.errors import DecodeError
from engine.images import decode
from engine.images.extra_formats import register_heif
from engine.images.grey_range import range_of
from engine.images.kinds import is_video, needs, sniff

FRAMES, SECONDS = "frames", "seconds"
_SMALLER_COPY, _MASK, _SUBFILE_TAG = 1, 4, 254
_MOST_OF_IT = 0.9  # a video may count frames that are not shown: before a cut, or around a broken one
_DEMUXERS = "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpeg,mpegvideo,mpegts,flv,ogg,asf"
_QUARTER_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
Found = tuple[int, bytes]


class FrameReader:
    """Gives the frames of one file in order, each once.

    Args:
        path: the file.
        every: take the first frame and every so many frames or seconds after it, at least 1.
        unit: FRAMES or SECONDS.
        most: more frames than that are refused, before the first where the file says how many it has.
    """

    def __init__(self, path: str, every: int, unit: str, most: int) -> None:
        self._frames = _frames(Path(path), every, unit, most)
        self._given = self._taken = 0

    def write(self, index: int, out: str) -> dict[str, Any]:
        """Write the next frame into a file and return its number in the source, from 0 on; or that there is none.

        Args:
            index: how many were asked for before; tells whether this process is the one that gave them.
            out: the file to write.

        Raises:
            DecodeError: the source is damaged, has too many frames, or its reader is gone.
        """
        if index != self._given:
            raise DecodeError("The frames cannot be read on, since the decoder broke and was started anew")
        self._given += 1
        try:
            found = next(self._frames, None)
        except (DecodeError, MemoryError):
            raise
        except Exception as error:  # Pillow's plug-ins and PyAV raise almost anything on damaged files
            cause = "The file is cut off, damaged or of a kind that is not read"
            raise DecodeError(cause, value=f"after {self._taken:,} frames") from error
        self._taken += 1
        if found is None:
            return {"end": True}
        number, data = found
        with open(out, "wb") as file:
            file.write(data)
        return {"number": number}


def _frames(path: Path, every: int, unit: str, most: int) -> Iterator[Found]:
    with path.open("rb") as file:
        head = file.read(1024)
    found = _of_video(path, every, unit, most) if is_video(head) else _of_image(path, every, unit, most)
    yield from islice(found, most)
    if next(found, None) is not None:
        raise _too_many(most)


def _too_many(most: int) -> DecodeError:
    return DecodeError(
        f"The file would give more than {most:,} frames", way_out="Take fewer of them: every 10th, every 100th, …"
    )


# --- images


def _of_image(path: Path, every: int, unit: str, most: int) -> Iterator[Found]:
    data = path.read_bytes()
    kind = sniff(data)
    if kind == "HEIF":
        register_heif()
    try:
        opened = Image.open(io.BytesIO(data), formats=(kind,))
    except (UnidentifiedImageError, KeyError):  # for another reader than Pillow, or damaged: the decoder says which
        yield 0, data
        return
    with opened:
        count = int(getattr(opened, "n_frames", 1))
        if count == 1:
            yield 0, data
            return
        if unit == FRAMES and -(-count // every) > most:
            raise _too_many(most)
        for number in _numbers(opened, count, every, unit):
            opened.seek(number)
            if (decode.tag(opened, _SUBFILE_TAG) or 0) & (_SMALLER_COPY | _MASK):
                continue
            if decode.misread(opened) or decode.is_deep_colour(opened):
                raise DecodeError(
                    "Frames of several bands, or of more than 8 bits a colour, are not taken apart",
                    value=f"frame {number}",
                    way_out="Save them as one file each.",
                )
            decode.check_size(opened, kind, len(data))
            opened.load()
            yield number, _encoded(opened)


def _numbers(opened: Image.Image, count: int, every: int, unit: str) -> Iterator[int]:
    """Yield the numbers of the frames to take."""
    if unit == FRAMES:
        yield from range(0, count, every)
        return
    time, due, lasted = 0.0, 0.0, False
    for number in range(count):
        opened.seek(number)
        opened.load()
        length = float(opened.info.get("duration") or 0) / 1000
        lasted = lasted or length > 0
        if time >= due:
            yield number
            due = (time // every + 1) * every
        time += length
        if number == count - 1 and not lasted:
            raise DecodeError("The file does not say how long its frames last", way_out="Count frames instead.")


def _encoded(opened: Image.Image) -> bytes:
    """Return the frame an open file stands at as the bytes of an image file."""
    if not decode.is_deep(opened):
        return _saved(decode.plain(opened, []), "PNG")
    values = decode.values_of(opened)
    if decode.white_is_low(opened):
        shown = range_of(values)
        if shown is None:
            raise DecodeError("The frame holds no value that is a number", value=opened.tell())
        values = (shown.low + shown.high - values.astype(np.float64)).astype(values.dtype)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return _saved(Image.fromarray(values.astype(np.uint16)), "PNG")
    kind = np.float32 if values.dtype.kind == "f" else np.int32
    if values.dtype == np.uint32 and int(values.max()) > np.iinfo(np.int32).max:
        raise DecodeError("The frame holds numbers too large to be written by themselves", value=int(values.max()))
    return _saved(Image.fromarray(values.astype(kind)), "TIFF")


def _saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


# --- videos


def _of_video(path: Path, every: int, unit: str, most: int) -> Iterator[Found]:
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise needs("A video", "video") from error
    # from an open file and by named demuxers alone: a hostile file must not make the library open another one
    with path.open("rb") as file, av.open(file, options={"format_whitelist": _DEMUXERS}) as container:
        if not container.streams.video:
            raise DecodeError("The file holds no pictures, only sound")
        stream = container.streams.video[0]
        _check_video(stream, every, unit, most)
        stream.codec_context.thread_count = 1  # each thread holds frames of its own
        due = start = None
        decoded = 0
        for number, frame in enumerate(container.decode(stream)):
            decoded = number + 1
            if unit == FRAMES:
                taken = number % every == 0
            else:
                time = float(frame.time if frame.time is not None else 0.0)
                start = time if start is None else start
                taken = due is None or time - start >= due
                due = ((time - start) // every + 1) * every if taken else due
            if taken:
                turn = _QUARTER_TURNS.get(round(frame.rotation / 90) * 90 % 360)
                picture = frame.to_image()
                yield number, _saved(picture if turn is None else picture.transpose(turn), "PNG")
        if decoded < _MOST_OF_IT * stream.frames - 1:
            raise DecodeError("The video is cut off or damaged", value=f"{decoded:,} of its {stream.frames:,} frames")


def _check_video(stream: Any, every: int, unit: str, most: int) -> None:
    """Raise DecodeError if a video is too large, or says itself that it has too many frames."""
    if stream.width * stream.height > decode.REDUCE_ABOVE:
        raise DecodeError("The frames of the video are too large", value=f"{stream.width} × {stream.height}")
    count = stream.frames
    if unit == SECONDS:
        count = 0 if not stream.duration or not stream.time_base else int(stream.duration * stream.time_base)
    if count // every > most:
        raise _too_many(most)
