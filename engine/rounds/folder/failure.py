"""How a failed attempt is told, in its last event and with the round in the store."""

from __future__ import annotations

import traceback
from typing import Any

from engine.errors import StarlingError

Words = tuple[str, str, str]
"""Of a failure: its kind, its cause and the way out."""


def own_words(error: BaseException) -> Words:
    """Return what an error says of itself; one that was not raised on purpose knows no way out."""
    if not isinstance(error, StarlingError):
        return type(error).__name__, str(error), ""
    value = "" if error.value is None else f": {error.value}"
    return type(error).__name__, f"{error.cause}{value}", error.way_out


def failure(error: BaseException, words: Words) -> dict[str, Any]:
    """Return kind, cause, way_out and traceback."""
    kind, cause, way_out = words
    return {
        "kind": kind,
        "cause": cause,
        "way_out": way_out,
        "traceback": "".join(traceback.format_exception(error)),
    }
