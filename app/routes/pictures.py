"""Pictures of images, small and large."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.routes.requests import FRESH, IMMUTABLE, path_number, shown
from app.server.workbench import OpenProject
from engine.errors import NotAProject, ProjectCorrupt
from engine.images import thumbnails
from engine.images.files import thumb_path
from engine.images.thumb_file import picture_in
from engine.images.thumbnails import display_bytes, thumbnail_bytes

_SCAN = re.compile(r"import-\w{1,80}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


async def thumb(request: Request, opened: OpenProject) -> Response:
    """Small picture of an image."""
    return await _picture(request, opened, thumbnail_bytes)


async def image(request: Request, opened: OpenProject) -> Response:
    """Large picture of an image, re-encoded."""
    return await _picture(request, opened, display_bytes)


async def staged(request: Request, opened: OpenProject) -> Response:
    """Small picture of an image that a scan has read and that is not imported yet."""
    scan, sha256 = request.path_params["scan"], request.path_params["sha256"]
    if _SCAN.fullmatch(scan) is None or _SHA256.fullmatch(sha256) is None:
        raise _no_scan(scan)
    path = thumb_path(opened.project.root / "staging" / scan, sha256)
    try:
        stored = await run_in_threadpool(path.read_bytes)
    except OSError as error:  # the scan was discarded, at the latest while it was read
        raise _no_scan(scan) from error
    picture = picture_in(stored, sha256)
    if picture is None:
        raise ProjectCorrupt(
            "The picture of an image that is to be imported is damaged", value=sha256,
            way_out="Look at the source again.",
        )  # fmt: skip
    return Response(picture, media_type="image/webp", headers=IMMUTABLE)


def _no_scan(name: str) -> NotAProject:
    return NotAProject("This scan is not there any more", value=shown(name), way_out="Look at the source again.")


async def _picture(request: Request, opened: OpenProject, encode: Callable[[Path, str], bytes]) -> Response:
    image_id = path_number(request, "image_id")

    def read() -> bytes:
        item = opened.project.store.image(image_id)
        return encode(opened.project.root, item.sha256)

    data = await run_in_threadpool(read)
    media_type = "image/png" if data[:4] == b"\x89PNG" else "image/webp"
    kept = request.query_params.get("look") == thumbnails.VERSION  # of another look nothing is kept by a browser
    return Response(data, media_type=media_type, headers=IMMUTABLE | ({} if kept else FRESH))
