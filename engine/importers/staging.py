"""Stages a source's files under their SHA-256 and has each checked in a limited child."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import DecodeError, ImportRefused
from engine.images.kinds import is_video
from engine.images.pool import DecodePool, Job
from engine.images.small_file import write_small
from engine.importers.contents import MEGABYTE, Contents, Limits, Listing, with_parents
from engine.importers.name_index import NameIndex
from engine.importers.names import shown
from engine.importers.source_view import SIDE_ENDINGS
from engine.importers.unpacking import Unpacked, Unpacker
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
_HEAD = 1024
_LABEL = "Reading and checking images"


@dataclass
class Staged:
    """What was read.

    Attributes:
        names: by SHA-256 of an image file the names it came under, in order.
        sizes: by SHA-256 its length.
        answers: by SHA-256 what the child said of it.
        files: by name of a file that may say what the images are where it lies.
        videos: by SHA-256 where a video lies; its names are in `video_names`.
        unpacked: what became of archives and tables.
        refused: what was not taken.
    """

    names: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)
    video_names: dict[str, list[str]] = field(default_factory=dict)
    unpacked: Unpacked = field(default_factory=Unpacked)
    refused: list[Refusal] = field(default_factory=list)


def stage(contents: Contents, staging: Path, limits: Limits, pool: DecodePool, progress: Progress) -> Staged:
    """Read every file once, write it to staging/images, check it, and write its thumbnail to staging/thumbs; keep files
    that may say something in staging/files, and videos in staging/videos.

    Raises:
        ImportRefused: the source as a whole is refused, or the disk is full.
    """
    for number in range(256):
        for folder in ("images", "thumbs"):
            (staging / folder / f"{number:02x}").mkdir(parents=True)
    for folder in ("files", "videos"):
        (staging / folder).mkdir()
    unpacker = Unpacker(contents, staging / "files", limits)
    staged = Staged(unpacked=unpacker.unpacked)
    total = len(contents.listing.entries)
    progress(_LABEL, 0, total)
    said: dict[str, dict[str, Any]] = {}  # most images are of one size and kind: what is said of them is kept once
    with full_disk_told():
        for done, (job, answer) in enumerate(pool.run(_jobs(unpacker, staging, limits, staged)), start=1):
            staged.answers[job["sha256"]] = said.setdefault(repr(answer), answer)
            if done % 64 == 0:
                known = total + len(staged.unpacked.members)
                progress(_LABEL, min(done, known), known)
    staged.refused += staged.unpacked.refused
    _refuse_undecodable(staged)
    _leave_out_unpacked(contents.listing, staged)
    _point(contents, staged)
    _tell(contents.listing, staged.unpacked)
    progress(_LABEL, total, total)
    return staged


def stage_image(staging: Path, data: bytes, sha256: str) -> Job:
    """Write an image file to where it is staged; return the job that checks it and writes its thumbnail."""
    path = _path_of(f"{staging}/images", sha256)  # texts: a path object costs as much as a write
    write_small(path, data)
    return {
        "op": "inspect", "path": path, "thumb": f"{_path_of(f'{staging}/thumbs', sha256)}.webp", "sha256": sha256,
    }  # fmt: skip


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Say in words that the disk is full where a write fails for it.

    Raises:
        ImportRefused: it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise disk_full() from error


def _jobs(unpacker: Unpacker, staging: Path, limits: Limits, staged: Staged) -> Iterator[Job]:
    for number, (name, data) in enumerate(unpacker.files()):
        if number % _CHECKED_EVERY == 0:
            check_free(staging, limits)
        if not isinstance(data, bytes) or is_video(data[:_HEAD]):
            _keep_video(staging, name, iter((data,)) if isinstance(data, bytes) else data, limits, staged)
            continue
        if name.lower().endswith(SIDE_ENDINGS) and not data.startswith(_IMAGE_STARTS):
            staged.files[name] = _keep(staging, len(staged.files), data)
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in staged.names:
            staged.names[sha256].append(name)
            continue
        staged.names[sha256] = [name]
        staged.sizes[sha256] = len(data)
        yield stage_image(staging, data, sha256)


def _keep_video(staging: Path, name: str, pieces: Iterator[bytes], limits: Limits, staged: Staged) -> None:
    path = staging / "videos" / f"{len(staged.videos):06d}"
    digest = hashlib.sha256()
    written = 0
    try:
        with path.open("wb") as file:
            for piece in pieces:
                if written % (64 * MEGABYTE) == 0:
                    check_free(staging, limits)
                file.write(piece)
                digest.update(piece)
                written += len(piece)
    except DecodeError as error:
        path.unlink()
        staged.refused.append(Refusal(shown(name), str(error)))
        return
    sha256 = digest.hexdigest()
    staged.video_names.setdefault(sha256, []).append(name)
    if sha256 in staged.videos:
        path.unlink()
    else:
        staged.videos[sha256] = path


def check_free(staging: Path, limits: Limits) -> None:
    """Raise ImportRefused where the disk is nearly full."""
    if shutil.disk_usage(staging).free < limits.free_bytes:
        raise disk_full()


def _path_of(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256[:2]}/{sha256}"


def _leave_out_unpacked(listing: Listing, staged: Staged) -> None:
    """Take a file once that an archive holds and that lies unpacked beside it, too: under the name it has there."""
    places = staged.unpacked.places
    left: Counter[str] = Counter()
    for by_content in (staged.names, staged.video_names):
        for names in by_content.values():
            if len(names) > 1:
                here = set(names)
                twice = [name for name in names if any(one in here and one != name for one in places.get(name, ()))]
                _forget(staged.unpacked, twice, left)
                names[:] = [name for name in names if name not in twice]
    for name in [*staged.files]:
        path = staged.files[name]
        beside = [staged.files[one] for one in places.get(name, ()) if one in staged.files and one != name]
        if any(filecmp.cmp(path, one, shallow=False) for one in beside):
            _forget(staged.unpacked, [name], left)
            del staged.files[name]
    holding = set(with_parents(name.rpartition("/")[0] for name in staged.unpacked.members))
    staged.unpacked.folders = {
        one for one in staged.unpacked.folders if one in holding or staged.unpacked.container_of(f"{one}/") not in left
    }
    for container, count in sorted(left.items()):
        files = "1 file" if count == 1 else f"{count:,} files"
        listing.left_out[f"{shown(container)}, unpacked beside it"] = count
        listing.notices.append(
            f"{shown(container, 80)}: {files} of it also lie unpacked beside it and are taken from there"
        )


def _forget(unpacked: Unpacked, names: Iterable[str], left: Counter[str]) -> None:
    """Forget members of archives, and count them by the archive of the source."""
    for name in names:
        unpacked.members.discard(name)
        unpacked.records.pop(name, None)
        left[unpacked.container_of(name)] += 1


def _point(contents: Contents, staged: Staged) -> None:
    """Give what a table says of files beside it to these files."""
    unpacked = staged.unpacked
    if not unpacked.pointed:
        return
    index = NameIndex([entry.name for entry in contents.listing.entries])
    for container, path, record in unpacked.pointed:
        name, missing = index.find(path, container.rpartition("/")[0])
        if name is None:
            reason = f"the table has no image of it, and {missing}"
            staged.refused.append(Refusal(f"{shown(container)}: {shown(path, 200)}", reason))
        elif name in unpacked.records:
            unpacked.records[name] = _together(unpacked.records[name], record)
        else:
            unpacked.records[name] = record


def _tell(listing: Listing, unpacked: Unpacked) -> None:
    """Add what is known of containers, and what was left out of them, to what is known of the files beside them."""
    inside = Listing()
    unpacked.left_out.write(inside)
    for what, count in inside.left_out.items():
        listing.left_out[what] = listing.left_out.get(what, 0) + count
    listing.notices += [*unpacked.notices, *inside.notices]


def _together(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return one record of two about the same image: a column in which they differ has the values of both."""
    row = {**second["row"], **first["row"]}
    for key in first["row"].keys() & second["row"].keys():
        values = [
            one
            for value in (first["row"][key], second["row"][key])
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]
        distinct = list(dict.fromkeys(values))
        row[key] = distinct[0] if len(distinct) == 1 else distinct or None
    return {**first, "row": row}


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
        have = "1 name has" if len(misnamed) == 1 else f"{len(misnamed):,} names have"
        notices.append(f"{have} an ending of another format; the content counts (such as {shown(misnamed[0], 80)})")
    copies = [names for names in staged.names.values() if len(names) > 1]
    if copies:
        more = sum(len(names) - 1 for names in copies)
        example = ", ".join(shown(name, 80) for name in copies[0][:3])
        have = (
            "1 file has the same content as another and is"
            if more == 1
            else (f"{more:,} files have the same content as another and are")
        )
        notices.append(f"{have} taken once (such as {example})")
    return notices


def _misnamed(name: str, answer: dict[str, Any]) -> bool:
    named = _ENDINGS.get(PurePosixPath(name).suffix.lower())
    return named is not None and named != answer["format"]


def disk_full() -> ImportRefused:
    """Return what a scan ends with where the disk is full."""
    return ImportRefused("The disk is full; nothing was imported", way_out="Free some space and import again.")
