"""A zip, or another file that holds images, into the project; an export out of it."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from app.routes.requests import FRESH, Fields
from app.routes.sent_file import SentFile
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.importers.archive_kinds import STREAMED, ZIP
from engine.importers.scan import ImportSource, kind_of

UPLOAD_CAP = 64 * 1024**3
"""Bytes; what is larger is imported as a folder."""
MOST_NAME = 4096


async def upload(request: Request, opened: OpenProject) -> Response:
    """Stream an upload to disk and begin to look into it, as what the ending of its name says; the import page shows
    it, also to a browser that comes later."""
    given = Fields.of_address(request).text("name", MOST_NAME) or "upload.zip"
    name = Path(given.replace("\\", "/")).name[:200] or "upload.zip"
    ending = next((one for one in STREAMED if name.lower().endswith(one)), ZIP)
    target = opened.project.root / "staging" / f"upload-{uuid.uuid4().hex}{ending}"
    size = 0
    try:
        with open(target, "xb") as out:
            async for chunk in request.stream():
                size += len(chunk)
                await run_in_threadpool(out.write, chunk)
        source = ImportSource(kind_of(target), target, name=name)
        delivery = await run_in_threadpool(partial(opened.deliveries.begin, source, uploaded=True))
    except BaseException as error:  # also a body that was too large, or did not go on: see app.server.limits
        target.unlink(missing_ok=True)
        if isinstance(error, ClientDisconnect):
            return Response(status_code=499)
        if isinstance(error, OSError):
            raise ConfigError(
                f"The upload could not be stored ({error.strerror})", value=name, way_out="Free some disk space."
            ) from error
        raise
    return JSONResponse({"upload": delivery.id, "name": name, "bytes": size}, headers=FRESH)


async def download(request: Request, opened: OpenProject) -> Response:
    """Send an export as it lies on the disk, from where the browser wants it.

    `?version=` says, as If-Range does, of which version the browser has a part; curl and wget have no other way.
    """
    name, version = request.path_params["file"], Fields.of_address(request).text("version")
    file = await run_in_threadpool(opened.project.exports.finished.open, name)
    return SentFile(file, name, version)
