"""Pictures of images, small and large."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.routes.requests import IMMUTABLE
from app.server.workbench import OpenProject


async def thumb(request: Request, opened: OpenProject) -> Response:
    """Small picture of an image."""
    data = await run_in_threadpool(opened.project.thumbnail_bytes, request.path_params["image_id"])
    return Response(data, media_type=_media_type(data), headers=IMMUTABLE)


async def image(request: Request, opened: OpenProject) -> Response:
    """Large picture of an image, re-encoded."""
    data = await run_in_threadpool(opened.project.display_bytes, request.path_params["image_id"])
    return Response(data, media_type=_media_type(data), headers=IMMUTABLE)


def _media_type(data: bytes) -> str:
    return "image/png" if data[:4] == b"\x89PNG" else "image/webp"
