"""Stages a source's files under their SHA-256 and has each checked in a limited child."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import DecodeError, ImportRefused
from engine.images.files import original_path, thumb_path
from engine.images.pool import DecodePool, Job
from engine.importers.contents import Contents, Entry, Limits
from engine.importers.names import shown
from engine.importers.source_view import SIDE_ENDINGS
from engine.records.imports import Refusal
from engine.records.progress import Progress

_CHECKED_EVERY = 256
_ENDINGS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **{".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF"},
}
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*")
"""Of images that may be called as what lies beside images: the content counts."""
_LABEL = "Reading and checking images"


@dataclass
class Staged:
    """What was read: per SHA-256 the names it came under (in order), its size and what the child said of it; by name
    where the files lie that may say what the images are; by image name what its container says of it."""

    names: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


def stage(contents: Contents, staging: Path, limits: Limits, pool: DecodePool, progress: Progress) -> Staged:
    """Read every file once, write it to staging/images, check it, and write its thumbnail to staging/thumbs.

    Raises:
        ImportRefused: the source as a whole is refused, or the disk is full.
    """
    staged = Staged()
    total = len(contents.listing.entries)
    for number in range(256):
        for folder in ("images", "thumbs"):
            (staging / folder / f"{number:02x}").mkdir(parents=True)
    (staging / "files").mkdir()
    progress(_LABEL, 0, total)
    try:
        for done, (job, answer) in enumerate(pool.run(_jobs(contents, staging, limits, staged)), start=1):
            staged.answers[job["sha256"]] = answer
            if done % 64 == 0:
                progress(_LABEL, min(done, total), total)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full() from error
    _refuse_undecodable(staged)
    progress(_LABEL, total, total)
    return staged


def _jobs(contents: Contents, staging: Path, limits: Limits, staged: Staged) -> Iterator[Job]:
    for number, entry in enumerate(contents.listing.entries):
        if number % _CHECKED_EVERY == 0 and shutil.disk_usage(staging).free < limits.free_bytes:
            raise _disk_full()
        data = _read(contents, entry, staged)
        if data is None:
            continue
        if entry.name.lower().endswith(SIDE_ENDINGS) and not data.startswith(_IMAGE_STARTS):
            staged.files[entry.name] = _keep(staging, len(staged.files), data)
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in staged.names:
            staged.names[sha256].append(entry.name)
            continue
        staged.names[sha256] = [entry.name]
        staged.sizes[sha256] = len(data)
        path = original_path(staging, sha256)
        path.write_bytes(data)
        yield {"op": "inspect", "path": str(path), "thumb": str(thumb_path(staging, sha256)), "sha256": sha256}


def _read(contents: Contents, entry: Entry, staged: Staged) -> bytes | None:
    try:
        return contents.read(entry)
    except DecodeError as error:
        staged.refused.append(Refusal(shown(entry.name), str(error)))
        return None


def _keep(staging: Path, number: int, data: bytes) -> Path:
    path = staging / "files" / f"{number:06d}"
    path.write_bytes(data)
    return path


def _refuse_undecodable(staged: Staged) -> None:
    for sha256, answer in staged.answers.items():
        if "error" in answer:
            staged.refused.extend(Refusal(shown(name), str(answer["error"])) for name in staged.names[sha256])
            del staged.names[sha256]


def summed_notices(staged: Staged) -> list[str]:
    """Return how many images each remark of the decoder is about, and how many files are copies."""
    remarks = Counter(remark for sha256 in staged.names for remark in staged.answers[sha256].get("notices", ()))
    notices = [
        f"{count:,} {'image' if count == 1 else 'images'}: {remark}" for remark, count in sorted(remarks.items())
    ]
    misnamed = [names[0] for sha256, names in staged.names.items() if _misnamed(names[0], staged.answers[sha256])]
    if misnamed:
        notices.append(
            f"{len(misnamed):,} names have an ending of another format; the content counts "
            f"(such as {shown(misnamed[0], 80)})"
        )
    copies = [names for names in staged.names.values() if len(names) > 1]
    if copies:
        more = sum(len(names) - 1 for names in copies)
        example = ", ".join(shown(name, 80) for name in copies[0][:3])
        notices.append(f"{more:,} files have the same content as another and are taken once (such as {example})")
    return notices


def _misnamed(name: str, answer: dict[str, Any]) -> bool:
    named = _ENDINGS.get(PurePosixPath(name).suffix.lower())
    return named is not None and named != answer["format"]


def _disk_full() -> ImportRefused:
    return ImportRefused("The disk is full; nothing was imported", way_out="Free some space and import again.")
