"""Writes the curated set in formats other tools read.

To add one: one file, one line in EXPORTERS, one test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.exporters import imagefolder_zip, tables
from engine.exporters.rows import ExportRow
from engine.records.labels import LedgerEntry
from engine.records.progress import Progress

__all__ = ["EXPORTERS", "ExportRow", "Exporter"]


class Write(Protocol):
    """Writes an export."""

    def __call__(
        self,
        rows: Sequence[ExportRow],
        root: Path,
        target: Path,
        manifest: Mapping[str, Any],
        entries: Sequence[LedgerEntry],
        progress: Progress,
        evidence: Mapping[str, bytes] = ...,
    ) -> None:
        """Leave the complete target or, with ExportError, nothing.

        Args:
            rows: what is exported.
            root: the project's folder.
            target: the file to write.
            manifest: what the project says of the export.
            entries: the ledger, oldest first.
            progress: told how far it is.
            evidence: of an audit of these labels, by file name; see `engine.exporters.evidence`.
        """


@dataclass(frozen=True, slots=True)
class Exporter:
    """One export format: `title` and `summary` are shown to the person, `suffix` ends the file name."""

    key: str
    title: str
    summary: str
    suffix: str
    write: Write


_ALL = (
    Exporter(
        "imagefolder_zip",
        "Image folders (zip)",
        "train/<class>/<image> with the original files, a table, a manifest and the whole label history.",
        ".zip",
        imagefolder_zip.write,
    ),
    Exporter(
        "csv",
        "CSV table",
        "One row an image: name, label, where it comes from, who saw it, what it was accepted with.",
        ".csv",
        tables.write_csv,
    ),
    Exporter("parquet", "Parquet table", "The CSV table with its types kept.", ".parquet", tables.write_parquet),
)

EXPORTERS: dict[str, Exporter] = {exporter.key: exporter for exporter in _ALL}
