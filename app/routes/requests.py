"""What all routes share: reading numbers and JSON of a request, and how answers are cached."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from engine.errors import ConfigError

MOST_ID = 2**63 - 1
IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
FRESH = {"Cache-Control": "no-store"}


def number_of(request: Request, name: str) -> int | None:
    """Return a whole number of the address, None where it is missing.

    Raises:
        ConfigError: it is something else.
    """
    value = request.query_params.get(name)
    if value in {None, "", "null"}:
        return None
    try:
        return int(value or "")
    except ValueError:
        raise ConfigError("A whole number is needed", value=f"{name}={value}") from None


async def request_body(request: Request) -> dict[str, Any]:
    """Return the JSON object a request carries.

    Raises:
        ConfigError: it carries something else.
    """
    try:
        body = json.loads(await request.body())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("The request is not JSON", value=error) from error
    if not isinstance(body, dict):
        raise ConfigError("The request must be a JSON object")
    return body
