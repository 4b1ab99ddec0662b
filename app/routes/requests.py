"""What all routes share: how answers are cached, and the one reader of what a request says, in its address or as JSON.

Each field is what it must be, or refused in words; nothing that a browser sends reaches the engine in another way.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from engine.errors import ConfigError

IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
FRESH = {"Cache-Control": "no-store"}
SMALL = 4_096
"""Bytes of a body that are parsed in 0.1 ms, which is less than the way to another thread and back takes."""
MOST_ID = 2**63 - 1
"""The largest number that the database holds."""
MOST_TEXT = 200
MOST_DECIMAL = 1e300
"""No larger number is meant by anybody, and infinity by none."""
_DIGITS = 19
_SHOWN = 80
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)


def shown(value: object) -> str:
    """Return a value as an error message can carry it: short, on one line, in letters that every encoding has."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class Fields:
    """The named fields of a request. A field that is missing, or null, is None.

    Args:
        values: by name; texts where they come from an address, else what JSON holds.
        written: they come from an address, where a number is written in digits and a list with commas.
    """

    def __init__(self, values: Mapping[str, Any], *, written: bool = False) -> None:
        self._values, self._written = values, written

    @classmethod
    def of_address(cls, request: Request) -> Fields:
        """Read what stands behind the question mark, where "" and "null" mean that a field is missing."""
        return cls({k: v for k, v in request.query_params.items() if v not in {"", "null"}}, written=True)

    @classmethod
    async def of_body(cls, request: Request) -> Fields:
        """Read the JSON object that a request carries; a large one beside the event loop.

        Raises:
            ConfigError: it carries something else.
        """
        body = await request.body()
        return cls(parsed(body) if len(body) <= SMALL else await run_in_threadpool(parsed, body))

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def number(self, name: str, least: int = 0, most: int = MOST_ID) -> int | None:
        """Return a whole number.

        Raises:
            ConfigError: it is something else, or outside least..most.
        """
        value = self._values.get(name)
        if value is None:
            return None
        if self._written:
            value = int(value) if _WHOLE.fullmatch(value) else value
        if type(value) is not int or not least <= value <= most:
            raise ConfigError(f"“{name}” must be a whole number", value=shown(value), way_out=f"Use {least} to {most}.")
        return value

    def needed(self, name: str, least: int = 0, most: int = MOST_ID) -> int:
        """Return a whole number that must be there; else as `number`."""
        value = self.number(name, least, most)
        if value is None:
            raise ConfigError("A number is missing", value=name, way_out=f"Give “{name}”, {least} to {most}.")
        return value

    def decimal(self, name: str, most: float = math.inf) -> float | None:
        """Return a number from 0 up.

        Raises:
            ConfigError: it is something else, not finite, or above `most`.
        """
        value = self._values.get(name)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= min(most, MOST_DECIMAL):
            raise ConfigError(f"“{name}” must be a number from 0 up", value=shown(value))
        return float(value)

    def text(self, name: str, most: int = MOST_TEXT) -> str | None:
        """Return a text.

        Raises:
            ConfigError: it is something else, longer than `most` characters, or holds half a character.
        """
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise ConfigError(f"“{name}” must be a text", value=shown(value))
        if len(value) > most:
            raise ConfigError(f"“{name}” is too long", value=shown(value), way_out=f"Use at most {most} characters.")
        if not value.isascii() and not _encodable(value):
            raise ConfigError(f"“{name}” holds half a character", value=shown(value))
        return value

    def choice(self, name: str, options: Sequence[str]) -> str:
        """Return a text that is one of `options`.

        Raises:
            ConfigError: it is missing or none of them.
        """
        value = self.text(name)
        if value is None or value not in options:
            raise ConfigError(f"There is no such {name}", value=shown(value), way_out=f"Use {', '.join(options)}.")
        return value

    def flag(self, name: str) -> bool:
        """Return whether something is so; missing says no.

        Raises:
            ConfigError: it says neither yes nor no.
        """
        value = self._values.get(name)
        if self._written and value in {"0", "1"}:
            return bool(value == "1")
        if value is not None and not isinstance(value, bool):
            raise ConfigError(f"“{name}” must say yes or no", value=shown(value))
        return bool(value)

    def ids(self, name: str, most: int) -> list[int]:
        """Return a list of image ids; missing is empty.

        Raises:
            ConfigError: it is something else, or has more than `most` of them.
        """
        value = self._values.get(name)
        if value is None:
            return []
        if self._written:
            value = [int(one) if _WHOLE.fullmatch(one) else one for one in value.split(",") if one]
        if not isinstance(value, list):
            raise ConfigError(f"“{name}” must be a list of image ids", value=shown(value))
        if len(value) > most:
            raise ConfigError(f"“{name}” holds too many images", value=len(value), way_out=f"Give at most {most}.")
        for one in value:
            if type(one) is not int or not 0 <= one <= MOST_ID:
                raise ConfigError(f"“{name}” must be a list of image ids", value=shown(one))
        return value

    def each(self, name: str, most: int) -> list[Fields]:
        """Return the objects of a list, each with fields of its own.

        Raises:
            ConfigError: it is no list of objects, or has more than `most`.
        """
        value = self._values.get(name)
        if not isinstance(value, list):
            raise ConfigError(f"“{name}” must be a list", value=shown(value))
        if len(value) > most:
            raise ConfigError(f"“{name}” is too long", value=len(value), way_out=f"Send at most {most} at a time.")
        for one in value:
            if not isinstance(one, dict):
                raise ConfigError(f"“{name}” must hold objects", value=shown(one))
        return [Fields(one) for one in value]


def path_number(request: Request, name: str) -> int:
    """Return a whole number of the path.

    Raises:
        ConfigError: it is something else.
    """
    return Fields(request.path_params, written=True).needed(name)


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object that `body` holds, in UTF-8.

    The parser is called back for each object and number, so that other threads get their turn in between.

    Raises:
        ConfigError: it is no JSON, no object, nested too deeply, names a field twice, or holds a number that is none.
    """
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_number
        )  # fmt: skip
    except RecursionError:
        raise ConfigError("The request is nested too deeply", way_out="Send one object with lists.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("The request is not JSON", value=shown(str(error))) from error
    if not isinstance(value, dict):
        raise ConfigError("The request must be a JSON object", value=shown(value))
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError("A field stands in an object twice", value=shown(twice), way_out="Give it once.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS + 1:  # and a sign
        raise ConfigError("A number is too large", value=shown(digits), way_out=f"Use at most {_DIGITS} digits.")
    return int(digits)


def _no_number(name: str) -> float:
    raise ConfigError("JSON has no such number", value=name, way_out="Leave the field out.")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
