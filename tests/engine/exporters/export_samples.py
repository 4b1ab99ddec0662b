"""Sample data for the exporter tests."""

import io
from typing import Any

from PIL import Image

from engine.exporters.rows import SOURCES
from engine.records.labels import LedgerEntry

ODD_LABELS = (
    "cat", "Cat", "CON", "..", ".hidden", "_unlabeled", "no_label", "a/b", "a_b", "a:b", "007", "7", "=1+1", " lead",
    "trail ", "猫", "Größe", "Grösse", "train", "test", "NA", "null", "a,b", 'q"q', "x\\y", "a [b]*", "100%", "<&>",
    "_x0041_", "-", "o'clock",
)  # fmt: skip
"""Class names that must keep apart and come back the same."""


def image_bytes(number: int, image_format: str, size: tuple[int, int] = (4, 3)) -> bytes:
    out = io.BytesIO()
    named = {"comment": str(number)} if image_format == "JPEG" else {}  # its pixels may be those of another number
    Image.new("RGB", size, (number % 256, number // 256, 90)).save(out, image_format, **named)
    return out.getvalue()


def manifest(**fields: Any) -> dict[str, Any]:
    return {
        "project": "birds",
        "created": "2026-01-02T03:04:05+00:00",
        "starling": "0.1.0",
        "ledger_seq": 2,
        "ledger_hash": "b" * 64,
        "round": None,
        "sources": ["human", "imported"],
        "min_confidence": None,
        "classes": ["cat", "dog"],
        "counts": dict.fromkeys(SOURCES, 0) | {"imported": 2, "unlabeled": 1},
        "reviewed": 0,
        "measured": None,
        "batches": {},
    } | fields


def entry(seq: int, image_id: int, label: str) -> LedgerEntry:
    return LedgerEntry(
        seq=seq,
        uid=f"u{seq}",
        image_id=image_id,
        base_version=0,
        action="label",
        actor="Zoë",
        label=label,
        source="human",
        round=None,
        confidence=None,
        reviewed=True,
        mark=None,
        batch=None,
        undoes=None,
        seconds=1.5,
        time="2026-01-02T03:04:05+00:00",
        prev_hash="a" * 64,
        hash="b" * 64,
    )


def quiet(label: str, done: int, total: int) -> None:
    """Look at nothing."""
