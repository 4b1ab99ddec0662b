"""Pictures for the browser: always re-encoded from pixels, without metadata, never the original bytes."""

from __future__ import annotations

import hashlib
import io
import logging
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from PIL import Image

from engine.errors import DecodeError, ProjectCorrupt
from engine.images.decode import light, open_reduced
from engine.images.files import original_path, thumb_path, write_whole
from engine.images.pool import DecodePool
from engine.images.shrink import THUMBNAIL_SIDE, encode_thumbnail, fit
from engine.images.thumb_file import picture_in, sealed, undigested
from engine.records.labels import ImageItem

VERSION = "2"
"""Raise it when images of more than 8 bits a value come to look otherwise: their thumbnails are then made again."""
_PNG_SIDE = 256
_BIT_DEPTH_AT = 24  # in the header of a PNG
log = logging.getLogger("starling.images")
_DECODING = threading.BoundedSemaphore(2)  # a large photo takes hundreds of megabytes while it is decoded


def thumbnail_bytes(root: Path, sha256: str) -> bytes:
    """Return an image's thumbnail (WebP), made at import; made again here when it is gone, damaged or of another image.

    Raises:
        ProjectCorrupt: it is gone and so is the original, or the original is not what was imported.
    """
    path = thumb_path(root, sha256)
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        stored = b""
    except OSError as error:
        log.warning("thumbnail %s cannot be read (%s); it is made anew", path, error.strerror)
        stored = b""
    else:
        if (picture := picture_in(stored, sha256)) is not None:
            return picture
        why = "has no digest" if undigested(stored) else "is damaged or of another image"
        log.warning("thumbnail %s %s; it is made anew", path, why)
    return make_thumbnail(root, sha256)


def make_thumbnail(root: Path, sha256: str) -> bytes:
    """Make an image's thumbnail from its original, keep it, and return it. Raises as `thumbnail_bytes`."""
    picture = encode_thumbnail(_pixels(root, sha256, THUMBNAIL_SIDE))
    try:
        write_whole(thumb_path(root, sha256), sealed(picture, sha256))
    except OSError:  # a read-only or full disk: the picture can be shown all the same
        return picture
    return picture


def thumbnail_flaw(root: Path, sha256: str) -> Literal["", "missing", "undigested", "damaged"]:
    """Return what is wrong with an image's thumbnail: "undigested" is one that an earlier version made."""
    try:
        stored = thumb_path(root, sha256).read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    if picture_in(stored, sha256) is not None:
        return ""
    return "undigested" if undigested(stored) else "damaged"


def drop_deep(root: Path, images: Iterable[ImageItem]) -> int:
    """Remove the thumbnails of images that may have more than 8 bits a value, and return how many these were. They are
    made again when they are looked at.

    Args:
        root: the project's folder.
        images: of the project; a PNG is deep if its header says so, a TIFF may be.
    """
    dropped = 0
    for image in images:
        if image.format == "TIFF" or (image.format == "PNG" and _is_deep_png(original_path(root, image.sha256))):
            thumb_path(root, image.sha256).unlink(missing_ok=True)
            dropped += 1
    return dropped


def _is_deep_png(path: Path) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_BIT_DEPTH_AT + 1)[_BIT_DEPTH_AT:] == b"\x10"
    except OSError:
        return False  # what cannot be read has no better thumbnail than the one there is


def display_bytes(root: Path, sha256: str, longest: int = 1024) -> bytes:
    """Return an image re-encoded with its longest side at most `longest` px: PNG up to 256 px, WebP above.

    Raises:
        ProjectCorrupt: the original is gone or not what was imported.
    """
    image = fit(_pixels(root, sha256, longest), longest)
    out = io.BytesIO()
    if max(image.size) <= _PNG_SIDE:
        image.save(out, "PNG")
    else:
        image.save(out, "WEBP", quality=90, method=2)
    return out.getvalue()


def verify_original(root: Path, sha256: str) -> str | None:
    """Return what is wrong with an original's bytes, None when they are what was imported."""
    path = original_path(root, sha256)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "the original file is missing"
    except OSError as error:
        return f"the original file cannot be read ({error.strerror})"
    return None if digest == sha256 else "the original file was changed after the import"


def read_original(root: Path, sha256: str) -> bytes:
    """Return an original's bytes, checked against its SHA-256.

    Raises:
        ProjectCorrupt: it is gone, unreadable, or not what was imported.
    """
    try:
        data = original_path(root, sha256).read_bytes()
    except OSError as error:
        raise ProjectCorrupt(
            f"An original image cannot be read ({error.strerror})", value=sha256, way_out="Import it again."
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ProjectCorrupt("An original image was changed after the import", value=sha256, way_out="Import it again.")
    return data


def _pixels(root: Path, sha256: str, longest: int) -> Image.Image:
    data = read_original(root, sha256)
    try:
        with _DECODING:
            return open_reduced(data, longest) if light(data) else _pixels_by_child(root, sha256, longest)
    except DecodeError as error:
        raise ProjectCorrupt(
            f"An original image can no longer be decoded ({error.cause})", value=sha256, way_out=error.way_out
        ) from error


def _pixels_by_child(root: Path, sha256: str, longest: int) -> Image.Image:
    """Decode an image that needs a plug-in or much memory: neither belongs into this process.

    Raises:
        DecodeError: it can no longer be read.
    """
    with tempfile.TemporaryDirectory(prefix="starling-show-") as folder, DecodePool(1) as pool:
        out = Path(folder) / "shown.png"
        job = {
            "op": "show",
            "path": str(original_path(root, sha256)),
            "sha256": sha256,
            "longest": longest,
            "out": str(out),
        }
        answer = next(pool.run([job]))[1]
        if "error" in answer:
            raise DecodeError(str(answer["error"]).rstrip("."))
        with Image.open(out, formats=("PNG",)) as opened:
            return opened.copy()
