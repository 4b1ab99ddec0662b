"""Small things the tables share: the clock, chunks of a long id list, clean text, plain JSON."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import RowMapping

from engine.records.labels import is_reserved

CHUNK = 5_000  # well under every database's limit on bound values
INTEGER_MAX = 2**31 - 1
TEXT_MAX = 200

T = TypeVar("T")
Row = Mapping[str, Any] | RowMapping


def now() -> str:
    """Return the time in UTC as ISO 8601 text with microseconds; sorts as it runs."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items in pieces small enough for one IN (...)."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def text_flaw(text: object) -> str | None:
    """Return what keeps a text from being an id or a class name; None when it is fine."""
    if not isinstance(text, str):
        return "is not text"
    if not text.strip():
        return "is empty"
    if len(text) > TEXT_MAX:
        return f"is longer than {TEXT_MAX} characters"
    if text.isprintable():
        return None
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        return "contains a control character"
    return None


def actor_flaw(actor: object) -> str | None:
    """Return what keeps a text from being the name of a person who decides; None when it is fine."""
    flaw = text_flaw(actor)
    return "is a name that nobody can have" if flaw is None and is_reserved(str(actor)) else flaw


def nfc(text: str) -> str:
    """Return the text with accents in their one composed form, so that a class is not there twice."""
    return unicodedata.normalize("NFC", text)


def plain(value: Any) -> Any:
    """Return the value as plain JSON: NumPy scalars as numbers, tuples as lists, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
