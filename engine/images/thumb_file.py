"""A thumbnail's file: the picture, and behind it a digest of it and of the image it is of.

So that a file that was emptied, damaged or changed for another's is told from a whole one when it is read, at the cost
of a few microseconds. What is served is the picture alone.
"""

from __future__ import annotations

import hashlib

MARK = b"starling"
_DIGEST = 24
_TAIL = len(MARK) + _DIGEST


def sealed(picture: bytes, sha256: str) -> bytes:
    """Return what is stored of a picture of the image with this SHA-256, hex."""
    return picture + MARK + _digest(picture, sha256)


def picture_in(stored: bytes, sha256: str) -> bytes | None:
    """Return the picture that was stored of this image; None where it is not whole, or of another image."""
    picture, tail = stored[:-_TAIL], stored[-_TAIL:]
    return picture if picture and tail == MARK + _digest(picture, sha256) else None


def undigested(stored: bytes) -> bool:
    """Return whether a file is a whole WebP without a digest behind it, as earlier versions wrote it."""
    return stored[:4] == b"RIFF" and len(stored) == 8 + int.from_bytes(stored[4:8], "little")


def _digest(picture: bytes, sha256: str) -> bytes:
    return hashlib.blake2b(picture, digest_size=_DIGEST, key=sha256.encode()).digest()
