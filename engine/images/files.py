"""Where a project keeps an image's files, and how one is written so that it is whole or absent."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import ConfigError
from engine.files import replacing

_SHA256 = re.compile(r"[0-9a-f]{64}")


def original_path(root: Path, sha256: str) -> Path:
    """Return the path of an original: images/ab/<sha256>.

    Raises:
        ConfigError: this is not a SHA-256 in lower-case hex.
    """
    return root / "images" / _checked(sha256)[:2] / sha256


def thumb_path(root: Path, sha256: str) -> Path:
    """Return the path of a thumbnail: thumbs/ab/<sha256>.webp.

    Raises:
        ConfigError: this is not a SHA-256 in lower-case hex.
    """
    return root / "thumbs" / _checked(sha256)[:2] / f"{sha256}.webp"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=False) as aside:
        aside.write_bytes(data)


def _checked(sha256: str) -> str:
    if _SHA256.fullmatch(sha256) is None:
        raise ConfigError("Not a SHA-256 in lower-case hex", value=ascii(sha256[:80]))
    return sha256
