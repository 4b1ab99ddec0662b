"""Starling's own routes: pictures, the review queue, review_routes.decisions, map arrays, uploads and downloads.

All lie behind the gate of app.server. Errors the engine raises on purpose come back as JSON {"message": …}.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app import map_routes, review_routes, workbench
from app.route_helpers import FRESH, IMMUTABLE
from app.workbench import OpenProject
from engine import __version__
from engine.errors import ConfigError, LedgerError, MapError, NotAProject, StarlingError

UPLOAD_CAP = 64 * 1024**3
Endpoint = Callable[[Request, OpenProject], Awaitable[Response]]


def _guarded(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Find the project of the path; turn intended errors into their message."""

    @functools.wraps(endpoint)
    async def call(request: Request) -> Response:
        opened = workbench.current().get(request.path_params["key"])
        try:
            if opened is None:
                raise NotAProject("This project is not open here", way_out="Open it in Starling and reload the page.")
            return await endpoint(request, opened)
        except StarlingError as error:
            status = 404 if isinstance(error, NotAProject | MapError) else 400
            if isinstance(error, LedgerError):
                status = 409
            return JSONResponse({"message": str(error)}, status_code=status, headers=FRESH)

    return call


async def health(request: Request) -> Response:
    """Say that Starling, and not just any page, answers."""
    keys = [opened.key for opened in workbench.current().opened()]
    return JSONResponse({"starling": __version__, "projects": keys}, headers=FRESH)


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


async def upload(request: Request, opened: OpenProject) -> Response:
    """Stream an upload to disk; the import page looks at it next."""
    name = Path(request.query_params.get("name", "upload.zip").replace("\\", "/")).name[:200] or "upload.zip"
    found = uuid.uuid4().hex
    target = opened.project.root / "staging" / f"upload-{found}.zip"
    size = 0
    try:
        with open(target, "xb") as out:
            async for chunk in request.stream():
                size += len(chunk)
                if size > UPLOAD_CAP:
                    raise ConfigError("The upload is too large", value=name, way_out="Import it as a folder instead.")
                await run_in_threadpool(out.write, chunk)
    except ClientDisconnect:
        target.unlink(missing_ok=True)
        return Response(status_code=499)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise ConfigError(
            f"The upload could not be stored ({error.strerror})", value=name, way_out="Free some disk space."
        ) from error
    except ConfigError:
        target.unlink(missing_ok=True)
        raise
    opened.uploads[found] = target
    return JSONResponse({"upload": found, "name": name, "bytes": size}, headers=FRESH)


async def download(request: Request, opened: OpenProject) -> Response:
    """Send an export file; ranges work."""
    name = request.path_params["file"]
    folder = opened.project.root / "exports"
    if name not in {path.name for path in folder.iterdir() if path.is_file()}:
        raise NotAProject("There is no such export", value=name, way_out="Export again.")
    return FileResponse(folder / name, filename=name, headers=FRESH)


def _route(path: str, endpoint: Endpoint, *methods: str) -> Route:
    return Route("/starling/p/{key}" + path, _guarded(endpoint), methods=list(methods or ("GET",)))


ROUTES = [
    Route("/starling/health", health),
    _route("/thumb/{image_id:int}", thumb),
    _route("/image/{image_id:int}", image),
    _route("/item/{image_id:int}", review_routes.item),
    _route("/queue", review_routes.queue, "GET", "POST"),
    _route("/decisions", review_routes.decisions, "POST"),
    _route("/undo", review_routes.undo, "POST"),
    _route("/classes", review_routes.classes, "POST"),
    _route("/context", review_routes.context, "POST"),
    _route("/grid", review_routes.grid),
    _route("/map/points", map_routes.points),
    _route("/map/epochs", map_routes.epochs),
    _route("/map/frames", map_routes.frames),
    _route("/map/moving", map_routes.moving, "POST"),
    _route("/map/neighbours", map_routes.neighbours),
    _route("/map/regions", map_routes.regions),
    _route("/map/selection", map_routes.selection, "POST"),
    _route("/map/picture", map_routes.picture),
    _route("/upload", upload, "POST"),
    _route("/exports/{file}", download),
]
