"""Stages a source's files under their SHA-256 and has each checked in a limited child."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from engine.errors import DecodeError, ImportRefused
from engine.images.pool import DecodePool, Job
from engine.importers.containers import Container, Member, container_of, is_cache, stem_of
from engine.importers.contents import MEGABYTE, Contents, Entry, Limits, Listing
from engine.importers.folder import FolderContents
from engine.importers.left_out import LeftOut
from engine.importers.name_index import NameIndex
from engine.importers.names import junk_of, name_flaw, shown
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
    where the files lie that may say what the images are; by image name what its container says of it.

    Containers (see `containers`) are expanded: `expanded` are their own names, `members` the names of the files in
    them, `pointed` what they say of files that lie beside them, as (container, path, record); `unpacked` counts bytes,
    `left_out` takes what is no part of the set.
    """

    names: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    expanded: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    pointed: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    unpacked: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)


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
                known = total + len(staged.members)
                progress(_LABEL, min(done, known), known)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _disk_full() from error
    _refuse_undecodable(staged)
    _point(contents, staged)
    _tell_left_out(contents.listing, staged)
    progress(_LABEL, total, total)
    return staged


def _jobs(contents: Contents, staging: Path, limits: Limits, staged: Staged) -> Iterator[Job]:
    images, thumbs = str(staging / "images"), str(staging / "thumbs")  # texts: a path object costs as much as a write
    for number, (name, data) in enumerate(_files(contents, limits, staged)):
        if number % _CHECKED_EVERY == 0 and shutil.disk_usage(staging).free < limits.free_bytes:
            raise _disk_full()
        if name.lower().endswith(SIDE_ENDINGS) and not data.startswith(_IMAGE_STARTS):
            staged.files[name] = _keep(staging, len(staged.files), data)
            continue
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in staged.names:
            staged.names[sha256].append(name)
            continue
        staged.names[sha256] = [name]
        staged.sizes[sha256] = len(data)
        path = _path_of(images, sha256)
        with open(path, "wb", buffering=0) as file:
            file.write(data)
        yield {"op": "inspect", "path": path, "thumb": f"{_path_of(thumbs, sha256)}.webp", "sha256": sha256}


def _path_of(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256[:2]}/{sha256}"


def _files(contents: Contents, limits: Limits, staged: Staged) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every file, those in containers too."""
    prefixes = _prefixes([entry.name for entry in contents.listing.entries])
    for entry in contents.listing.entries:
        kind = container_of(entry.name)
        if kind is None:
            data = _read(contents, entry, staged)
            if data is not None:
                yield entry.name, data
            continue
        if is_cache(entry.name):
            staged.refused.append(
                Refusal(shown(entry.name), "what datasets keeps of a computation; not part of the set")
            )
            continue
        try:
            stream = _open(contents, entry)
        except (DecodeError, OSError) as error:
            staged.refused.append(Refusal(shown(entry.name), _cause(error)))
            continue
        with stream:
            try:
                holds_images = kind.holds_images(stream)
            except DecodeError as error:
                staged.refused.append(Refusal(shown(entry.name), str(error)))
                continue
            if holds_images:
                staged.expanded.add(entry.name)
                stream.seek(0)
                yield from _members(entry.name, prefixes[entry.name], kind, stream, limits, staged)
                continue
        data = _read(contents, entry, staged)
        if data is not None:
            yield entry.name, data


def _prefixes(names: list[str]) -> dict[str, str]:
    """Return the folder that the files of each container are put into: called like it, without its ending where nothing
    else has that name."""
    containers = [name for name in names if container_of(name) is not None]
    if not containers:
        return {}
    stems = Counter(stem_of(name) for name in containers)
    folders = {name[:at] for name in names for at, character in enumerate(name) if character == "/"} | set(names)
    return {
        name: name if stems[stem_of(name)] > 1 or stem_of(name) in folders else stem_of(name) for name in containers
    }


def _open(contents: Contents, entry: Entry) -> BinaryIO:
    """Return a container as a stream: from the disk where it lies there, so that it may be of any size."""
    return contents.open(entry) if isinstance(contents, FolderContents) else io.BytesIO(contents.read(entry))


def _members(
    name: str, prefix: str, kind: Container, stream: BinaryIO, limits: Limits, staged: Staged
) -> Iterator[tuple[str, bytes]]:
    for one in kind.expand(name, stream, limits):
        if isinstance(one, Refusal):
            staged.refused.append(one)
        elif one.data is None:
            staged.pointed.append((name, one.name, one.record or {}))
        elif (junk := junk_of(full := f"{prefix}/{one.name}")) is not None:
            staged.left_out.add(full, junk)
        elif (flaw := name_flaw(full)) is not None:
            staged.refused.append(Refusal(shown(full), flaw))
        else:
            _count(one, limits, staged)
            staged.members.add(full)
            if one.record is not None:
                staged.records[full] = one.record
            yield full, one.data


def _count(member: Member, limits: Limits, staged: Staged) -> None:
    staged.unpacked += len(member.data or b"")
    if staged.unpacked > limits.total_bytes:
        raise ImportRefused(
            f"The files in archives and tables are more than {limits.total_bytes // MEGABYTE:,} MB together",
            way_out="Import them in parts.",
        )
    if len(staged.members) >= limits.folder_files:
        raise ImportRefused(
            f"There are more than {limits.folder_files:,} files in archives and tables", way_out="Import them in parts."
        )


def _point(contents: Contents, staged: Staged) -> None:
    """Give what a table says of files beside it to these files."""
    if not staged.pointed:
        return
    index = NameIndex([entry.name for entry in contents.listing.entries])
    for container, path, record in staged.pointed:
        name, missing = index.find(path, container.rpartition("/")[0])
        if name is None:
            reason = f"the table has no image of it, and {missing}"
            staged.refused.append(Refusal(f"{shown(container)}: {shown(path, 200)}", reason))
        elif name in staged.records:
            staged.records[name] = _together(staged.records[name], record)
        else:
            staged.records[name] = record


def _tell_left_out(listing: Listing, staged: Staged) -> None:
    """Add what was left out of containers to what was left out beside them."""
    inside = Listing()
    staged.left_out.write(inside)
    for what, count in inside.left_out.items():
        listing.left_out[what] = listing.left_out.get(what, 0) + count
    listing.notices += inside.notices


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


def _read(contents: Contents, entry: Entry, staged: Staged) -> bytes | None:
    try:
        return contents.read(entry)
    except DecodeError as error:
        staged.refused.append(Refusal(shown(entry.name), str(error)))
        return None


def _cause(error: Exception) -> str:
    return f"the file cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)


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


def _disk_full() -> ImportRefused:
    return ImportRefused("The disk is full; nothing was imported", way_out="Free some space and import again.")
