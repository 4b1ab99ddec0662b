"""A project folder with originals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.exporters.rows import ExportRow
from tests.engine.exporters.export_samples import image_bytes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "images").mkdir(parents=True)
    return folder


@pytest.fixture
def add(root: Path) -> Callable[..., ExportRow]:
    """Return a function that stores a small image of its own and returns its row; ids count from 1."""
    made: list[ExportRow] = []

    def _add(name: str, label: str | None = None, image_format: str = "PNG", **fields: Any) -> ExportRow:
        number = len(made) + 1
        data = image_bytes(number, image_format)
        digest = hashlib.sha256(data).hexdigest()
        stored = root / "images" / digest[:2] / digest
        stored.parent.mkdir(exist_ok=True)
        stored.write_bytes(data)
        source = {"label_source": "imported"} if label is not None else {}
        row = ExportRow(
            **{"image_id": number, "name": name, "sha256": digest, "format": image_format, "label": label}
            | source
            | fields
        )
        made.append(row)
        return row

    return _add
