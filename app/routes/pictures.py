"""Pictures of images, small and large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.routes.requests import IMMUTABLE
from app.server.workbench import OpenProject
from engine.images.thumbnails import display_bytes, thumbnail_bytes


async def thumb(request: Request, opened: OpenProject) -> Response:
    """Small picture of an image."""
    return await _picture(request, opened, thumbnail_bytes)


async def image(request: Request, opened: OpenProject) -> Response:
    """Large picture of an image, re-encoded."""
    return await _picture(request, opened, display_bytes)


async def _picture(request: Request, opened: OpenProject, encode: Callable[[Path, str], bytes]) -> Response:
    def read() -> bytes:
        item = opened.project.store.image(request.path_params["image_id"])
        return encode(opened.project.root, item.sha256)

    data = await run_in_threadpool(read)
    media_type = "image/png" if data[:4] == b"\x89PNG" else "image/webp"
    return Response(data, media_type=media_type, headers=IMMUTABLE)
