"""A project folder with originals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.exporters.rows import ExportRow
from tests.engine.exporters.export_samples import ODD_LABELS, image_bytes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "images").mkdir(parents=True)
    return folder


@pytest.fixture
def add(root: Path) -> Callable[..., ExportRow]:
    """Return a function that stores a small image of its own and returns its row; ids count from 1."""
    made: list[ExportRow] = []

    def _add(
        name: str, label: str | None = None, image_format: str = "PNG", size: tuple[int, int] = (4, 3), **fields: Any
    ) -> ExportRow:
        number = len(made) + 1
        data = image_bytes(number, image_format, size)
        digest = hashlib.sha256(data).hexdigest()
        stored = root / "images" / digest[:2] / digest
        stored.parent.mkdir(exist_ok=True)
        stored.write_bytes(data)
        source = {"label_source": "imported"} if label is not None else {}
        row = ExportRow(
            **{"image_id": number, "name": name, "sha256": digest, "format": image_format, "label": label}
            | {"width": size[0], "height": size[1]}
            | source
            | fields
        )
        made.append(row)
        return row

    return _add


@pytest.fixture
def odd(add: Callable[..., ExportRow]) -> list[ExportRow]:
    """Rows with every kind of class name, file name and origin that a format may stumble over; see ODD_LABELS."""
    rows = [
        add(f"dir {number % 2}/same.{suffix}", label, kind, split=("train", "val", "test")[number % 3])
        for number, label in enumerate(ODD_LABELS)
        for suffix, kind in (("png", "PNG"), ("jpg", "JPEG"))
    ]
    rows += [
        add(name, split=split) for name, split in (("same.png", "train"), ("b/[x] 100%.png", "test"), ("猫.png", ""))
    ]
    rows.append(add("a.b.c.png", "cat", label_source="pseudo", confidence=0.9375, round=3, model="round-3"))
    rows.append(
        add(
            "x/seen.webp", "cat", "WEBP", label_source="confirmed", confidence=0.25, round=2, model="round-2",
            reviewed=True, reviewed_by="Zoë", reviewed_at="2026-01-02T03:04:05+00:00", seen_seconds=1.5,
            group="scene 7", split="val",
        )
    )  # fmt: skip
    return rows
