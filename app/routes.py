"""Starling's own routes: pictures, the review queue, decisions, map arrays, uploads and downloads.

All lie behind the gate of app.server. Errors the engine raises on purpose come back as JSON {"message": …}.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app import map_routes, workbench
from app.route_helpers import FRESH, IMMUTABLE, MOST_ID, number_of, request_body
from app.workbench import OpenProject
from engine import __version__
from engine.errors import ConfigError, LedgerError, MapError, NotAProject, StarlingError
from engine.project import as_json
from engine.records import Decision

ACTOR = "local"
UPLOAD_CAP = 64 * 1024**3
MOST_DECISIONS = 100_000
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


async def queue(request: Request, opened: OpenProject) -> Response:
    """The next images to review. POST takes the same fields as JSON: a long `exclude` does not fit an address."""
    asked = _queue_fields(await request_body(request)) if request.method == "POST" else _queue_query(request)
    limit, project = min(asked["limit"] or 20, 500), opened.project
    items, total = await run_in_threadpool(
        lambda: project.review_queue(
            asked["strategy"] or "least_confidence", limit,
            number=asked["round"], only=asked["only"] or "unreviewed", exclude=asked["exclude"],
            among=opened.selection if asked["only"] == "selection" else None,
        )
    )  # fmt: skip
    body = {"items": [as_json(item) for item in items], "total": total, "classes": list(project.classes())}
    return JSONResponse(body, headers=FRESH)


def _queue_query(request: Request) -> dict[str, Any]:
    query = request.query_params
    exclude = {int(part) for part in query.get("exclude", "").split(",") if part.isdecimal() and len(part) < 19}
    return {
        "strategy": query.get("strategy"), "only": query.get("only"), "exclude": exclude,
        "limit": number_of(request, "limit"), "round": number_of(request, "round"),
    }  # fmt: skip


def _queue_fields(found: dict[str, Any]) -> dict[str, Any]:
    kinds = {"strategy": str, "only": str, "limit": int, "round": int}
    for name, kind in kinds.items():
        value = found.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ConfigError("A field of the queue has the wrong type", value=f"{name}={value!r}"[:200])
    exclude = found.get("exclude") or []
    if not isinstance(exclude, list) or not all(type(i) is int and 0 <= i <= MOST_ID for i in exclude):
        raise ConfigError("“exclude” must be a list of image ids")
    return {name: found.get(name) for name in kinds} | {"exclude": set(exclude)}


async def item(request: Request, opened: OpenProject) -> Response:
    """One image as the review page shows it."""
    found = await run_in_threadpool(
        opened.project.review_item, request.path_params["image_id"], number_of(request, "round")
    )
    return JSONResponse(as_json(found), headers=FRESH)


FIELDS = {
    "uid": str, "image_id": int, "base_version": int, "action": str, "label": str, "round": int,
    "confidence": (int, float), "batch": str, "seconds": (int, float),
}  # fmt: skip
NEEDED = ("uid", "image_id", "base_version", "action")


def parse_decision(found: Any) -> Decision:
    """Make a decision of untrusted JSON.

    Raises:
        ConfigError: a field is missing or of the wrong type.
    """
    if not isinstance(found, dict) or any(found.get(name) is None for name in NEEDED):
        raise ConfigError("A decision needs uid, image_id, base_version and action", value=str(found)[:200])
    kept = {name: found[name] for name in FIELDS if found.get(name) is not None}
    for name, value in kept.items():
        if not isinstance(value, FIELDS[name]) or isinstance(value, bool):  # type: ignore[arg-type]
            raise ConfigError("A field of a decision has the wrong type", value=f"{name}={value!r}")
    if len(kept["uid"]) > 100 or kept["action"] in {"import", "undo"}:
        raise ConfigError("A decision has a bad uid or action", value=str(found)[:200])
    return Decision(actor=ACTOR, **kept)


async def decisions(request: Request, opened: OpenProject) -> Response:
    """Record decisions; the answer comes after the commit."""
    given = (await request_body(request)).get("decisions")
    if not isinstance(given, list) or len(given) > MOST_DECISIONS:
        raise ConfigError("“decisions” must be a list", way_out=f"At most {MOST_DECISIONS} at a time.")
    parsed = [parse_decision(one) for one in given]
    batches = {one.batch for one in parsed}
    batch = batches.pop() if len(batches) == 1 else None
    acks = await run_in_threadpool(opened.project.decide, parsed, batch)
    return JSONResponse({"acks": [as_json(ack) for ack in acks]}, headers=FRESH)


async def undo(request: Request, opened: OpenProject) -> Response:
    """Take back the last decision, or the one named."""
    found = await request_body(request)
    uid, target = str(found.get("uid") or uuid.uuid4().hex), found.get("target")
    acks = await run_in_threadpool(opened.project.undo, uid, ACTOR, str(target) if target else None)
    shown = None
    if len(acks) == 1 and acks[0].state is not None:
        shown = as_json(await run_in_threadpool(opened.project.review_item, acks[0].state.image_id))
    return JSONResponse({"acks": [as_json(ack) for ack in acks], "image": shown}, headers=FRESH)


async def classes(request: Request, opened: OpenProject) -> Response:
    """Add a class."""
    name = str((await request_body(request)).get("name") or "")
    found = await run_in_threadpool(opened.project.add_class, name)
    return JSONResponse({"classes": list(found)}, headers=FRESH)


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
    _route("/item/{image_id:int}", item),
    _route("/queue", queue, "GET", "POST"),
    _route("/decisions", decisions, "POST"),
    _route("/undo", undo, "POST"),
    _route("/classes", classes, "POST"),
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
