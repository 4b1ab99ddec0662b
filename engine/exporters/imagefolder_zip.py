"""A zip of class folders with the untouched originals.

    train/<class>/<image>   labeled images (another split name where a row has one)
    _unlabeled/<image>      the rest
    metadata.csv            one row an image; `file_name` is its path here, `original_name` the one at import
    manifest.json           what this is, described by manifest.schema.json
    provenance.jsonl        the whole ledger, oldest entry first
    certificate.json, …     where the labels were audited; see `engine.exporters.evidence`

Extracted, `torchvision.datasets.ImageFolder` reads `train`. Class names that are no valid folder names are
altered on the way; the metadata hold the true ones.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.errors import ConfigError, ExportError
from engine.exporters.evidence import TABLE, add_ledger, info
from engine.exporters.names import class_folders, collision_key, distinct, file_name
from engine.exporters.rows import COLUMNS, MEANING, ExportRow, as_text, cells
from engine.exporters.target import complete_or_nothing
from engine.images.files import original_path
from engine.records.labels import LedgerEntry
from engine.records.progress import Progress

FORMAT_VERSION = 1
UNLABELED = "_unlabeled"


def write(
    rows: Sequence[ExportRow],
    root: Path,
    target: Path,
    manifest: Mapping[str, Any],
    entries: Sequence[LedgerEntry],
    progress: Progress,
    evidence: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write the zip, one image in memory at a time, each checked against its SHA-256.

    Args:
        rows: what to export; the file names depend on the image ids, not on the order of the rows.
        root: the project's folder.
        target: where the zip appears when it is complete.
        manifest: what the project says of this export; format and folder names are added.
        entries: the ledger, oldest first.
        progress: told every 500 images.
        evidence: further files, by name.

    Raises:
        ExportError: an original is missing or damaged, or the target cannot be written; nothing is left.
    """
    folders = class_folders(row.label for row in rows if row.label is not None)
    paths = _paths(rows, folders)
    with complete_or_nothing(target) as file, _zip(file) as archive:
        _add(archive, "manifest.json", _manifest_text(rows, folders, manifest))
        _add(archive, TABLE, _metadata_text(rows, paths))
        for done, (row, path) in enumerate(zip(rows, paths, strict=True)):
            if done % 500 == 0:
                progress("Writing images", done, len(rows))
            _add(archive, path, original(root, row))
        for name, data in evidence.items():
            _add(archive, name, data)
        add_ledger(archive, entries)
        progress("Writing images", len(rows), len(rows))


def original(root: Path, row: ExportRow) -> bytes:
    """Return an image's original bytes after checking them.

    Raises:
        ExportError: they are missing, unreadable, or not what was imported.
    """
    who = f"{row.name} (image {row.image_id})"
    try:
        data = original_path(root, row.sha256).read_bytes()
    except (OSError, ConfigError) as error:
        why = error.strerror if isinstance(error, OSError) else "its checksum is not one"
        raise ExportError(f"An original cannot be read, {why}", value=who, way_out=_REPAIR) from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        cause = "An original is damaged, its bytes are not those imported"
        raise ExportError(cause, value=who, way_out=_REPAIR)
    return data


_REPAIR = "Import this image again or restore it from a backup; `starling doctor` lists every damaged file."


def _split(row: ExportRow) -> str:
    return row.split or "train"


def _paths(rows: Sequence[ExportRow], folders: Mapping[str, str]) -> list[str]:
    """Paths in the zip, aligned with `rows`; of two equal names the image with the larger id is renamed."""
    taken: dict[str, set[str]] = defaultdict(set)
    splits = class_folders(_split(row) for row in rows)
    paths = [""] * len(rows)
    for position in sorted(range(len(rows)), key=lambda i: rows[i].image_id):
        row = rows[position]
        folder = UNLABELED if row.label is None else f"{splits[_split(row)]}/{folders[row.label]}"
        name = distinct(file_name(row.name, row.format), taken[folder], str(row.image_id))
        taken[folder].add(collision_key(name))
        paths[position] = f"{folder}/{name}"
    return paths


def _manifest_text(rows: Sequence[ExportRow], folders: Mapping[str, str], manifest: Mapping[str, Any]) -> bytes:
    gifs = sum(row.format.upper() == "GIF" and row.label is not None for row in rows)
    notes = []
    if gifs:
        notes.append(f"{gifs} labeled GIF images: torchvision's ImageFolder skips .gif by default.")
    full = {
        **manifest,
        "format": "starling/imagefolder",
        "format_version": FORMAT_VERSION,
        "images": len(rows),
        "columns": {**MEANING, "original_name": "the image's path as it was imported"},
        "class_folders": dict(folders),
        "notes": notes,
    }
    return json.dumps(full, ensure_ascii=False, indent=2, allow_nan=False).encode()


def _metadata_text(rows: Sequence[ExportRow], paths: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, (*COLUMNS, "original_name"))
    writer.writeheader()
    for row, path in zip(rows, paths, strict=True):
        values = cells(row, path, "" if row.label is None else _split(row))
        writer.writerow(as_text({**values, "original_name": row.name}))
    return text.getvalue().encode()


def _zip(file: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)


def _add(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    archive.writestr(info(path), data)
