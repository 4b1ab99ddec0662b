"""A file sent as it lies on the disk, whole or from where it broke off."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from engine.project.export_files import version_of

_RANGE = re.compile(r"bytes=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*", re.ASCII | re.IGNORECASE)
_HEADERS = {
    "Cache-Control": "private, no-cache, no-transform",  # not no-store: what may not be kept cannot be gone on with
    "X-Content-Type-Options": "nosniff",
}


class SentFile(FileResponse):
    """The answer that sends an open file in pieces and closes it: ranges by starlette's FileResponse, with more care.

    The file that was opened is sent, whatever takes its name meanwhile. Its ETag is its version; a part of another
    version is answered with the whole file. A Range that is none, or of a HEAD, counts as not there (RFC 9110, 14.2).

    Args:
        file: an ordinary file, open for reading.
        name: what the browser is to call it.
        version: the version that the browser has a part of, where its address says so.
    """

    def __init__(self, file: BinaryIO, name: str, version: str | None) -> None:
        found = os.fstat(file.fileno())
        self._file = file
        self._current, self._wanted = f'"{version_of(found)}"', None if version is None else f'"{version}"'
        headers = {**_HEADERS, "ETag": self._current}
        super().__init__(f"/dev/fd/{file.fileno()}", filename=name, stat_result=found, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        given = Headers(scope=scope)
        had = given.get("if-range", self._wanted or self._current)
        if scope["method"] != "GET" or had != self._current or not _RANGE.fullmatch(given.get("range", "")):
            scope = {**scope, "headers": [one for one in scope["headers"] if one[0] not in (b"range", b"if-range")]}
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
