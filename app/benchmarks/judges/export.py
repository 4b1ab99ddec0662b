"""An export, as a tool gets it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from openpyxl.utils.escape import unescape

from engine.exporters.bundle import MANIFEST
from engine.exporters.evidence import open_export

Said = dict[str, tuple[str | None, str]]
"""By SHA-256 of an image: its label, None without one, and its split, "" where the tool knows of none."""


@dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
        file: the file that the exporter wrote.
        folder: where it is unpacked; of a table, where it lies.
    """

    file: Path
    folder: Path

    @cached_property
    def class_of(self) -> Mapping[str, str]:
        """The class by its folder, as the manifest says."""
        with open_export(self.file) as files:
            about = json.loads(files.read(MANIFEST) or b"{}")
        return {folder: name for name, folder in about["class_folders"].items()}


def unpacked(file: Path, folder: Path) -> Export:
    """Return an export that is unpacked into a folder, which is made; a table is left where it lies."""
    if file.suffix != ".zip":
        return Export(file, file.parent)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return Export(file, folder)


def sha(data: bytes | Path) -> str:
    """Return the SHA-256 of bytes, or of a file's."""
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


def unescaped(cell: Any) -> Any:
    """Return a cell of a workbook as Excel shows it: libraries give texts as they are written, _x0041_ for an A."""
    return unescape(cell) if isinstance(cell, str) else cell


def only(labels: Iterable[str]) -> str | None:
    """Return the only one of at most one label.

    Raises:
        ValueError: there are several.
    """
    several = list(labels)
    if len(several) > 1:
        raise ValueError(f"an image has several labels: {several}")
    return several[0] if several else None
