"""Starling's own routes: pictures, the review queue, decisions, map arrays, uploads and downloads.

All lie behind the gate of app.server. Errors the engine raises on purpose come back as JSON {"message": …}.
"""

from __future__ import annotations

import functools
import json
import struct
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from app import workbench
from app.workbench import OpenProject
from engine import __version__
from engine.errors import ConfigError, LedgerError, MapError, NotAProject, StarlingError
from engine.project import as_json
from engine.records import COMPLETE_STATES, Decision

ACTOR = "local"
UPLOAD_CAP = 64 * 1024**3
MOST_DECISIONS = 100_000
MOST_ID = 2**63 - 1
IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
FRESH = {"Cache-Control": "no-store"}
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


def _number(request: Request, name: str) -> int | None:
    value = request.query_params.get(name)
    if value in {None, "", "null"}:
        return None
    try:
        return int(value or "")
    except ValueError:
        raise ConfigError("A whole number is needed", value=f"{name}={value}") from None


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("The request is not JSON", value=error) from error
    if not isinstance(found, dict):
        raise ConfigError("The request must be a JSON object")
    return found


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
    asked = _queue_fields(await _body(request)) if request.method == "POST" else _queue_query(request)
    limit, project = min(asked["limit"] or 20, 500), opened.project
    items, total = await run_in_threadpool(
        lambda: project.review_queue(
            asked["strategy"] or "least_confidence", limit,
            number=asked["round"], only=asked["only"] or "unreviewed", exclude=asked["exclude"],
        )
    )  # fmt: skip
    body = {"items": [as_json(item) for item in items], "total": total, "classes": list(project.classes())}
    return JSONResponse(body, headers=FRESH)


def _queue_query(request: Request) -> dict[str, Any]:
    query = request.query_params
    exclude = {int(part) for part in query.get("exclude", "").split(",") if part.isdecimal() and len(part) < 19}
    return {
        "strategy": query.get("strategy"), "only": query.get("only"), "exclude": exclude,
        "limit": _number(request, "limit"), "round": _number(request, "round"),
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
        opened.project.review_item, request.path_params["image_id"], _number(request, "round")
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
    given = (await _body(request)).get("decisions")
    if not isinstance(given, list) or len(given) > MOST_DECISIONS:
        raise ConfigError("“decisions” must be a list", way_out=f"At most {MOST_DECISIONS} at a time.")
    parsed = [parse_decision(one) for one in given]
    batches = {one.batch for one in parsed}
    batch = batches.pop() if len(batches) == 1 else None
    acks = await run_in_threadpool(opened.project.decide, parsed, batch)
    return JSONResponse({"acks": [as_json(ack) for ack in acks]}, headers=FRESH)


async def undo(request: Request, opened: OpenProject) -> Response:
    """Take back the last decision, or the one named."""
    found = await _body(request)
    uid, target = str(found.get("uid") or uuid.uuid4().hex), found.get("target")
    acks = await run_in_threadpool(opened.project.undo, uid, ACTOR, str(target) if target else None)
    shown = None
    if len(acks) == 1 and acks[0].state is not None:
        shown = as_json(await run_in_threadpool(opened.project.review_item, acks[0].state.image_id))
    return JSONResponse({"acks": [as_json(ack) for ack in acks], "image": shown}, headers=FRESH)


async def classes(request: Request, opened: OpenProject) -> Response:
    """Add a class."""
    name = str((await _body(request)).get("name") or "")
    found = await run_in_threadpool(opened.project.add_class, name)
    return JSONResponse({"classes": list(found)}, headers=FRESH)


def pack(header: dict[str, Any], *arrays: np.ndarray[Any, Any]) -> bytes:
    """Return uint32 header length, JSON header, padding to 4 bytes, then the arrays as they lie in memory."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


async def map_points(request: Request, opened: OpenProject) -> Response:
    """Ids, versions, positions, labels and flags of all mapped images, binary."""
    state = await run_in_threadpool(opened.project.map_state)
    try:
        body = await run_in_threadpool(_points, opened, state.version)
    except MapError as error:
        message = state.error or (state.stage if state.status == "running" else str(error))
        about = {"message": message, "status": state.status, "fraction": state.fraction}
        return JSONResponse(about, status_code=409 if state.status == "running" else 404, headers=FRESH)
    return Response(body, media_type="application/octet-stream", headers=FRESH)


def _points(opened: OpenProject, version: str) -> bytes:
    project = opened.project
    ids, xy = project.map_points()
    table, names = project.label_table(), project.classes()
    index = {name: k for k, name in enumerate(names)}
    rows = np.searchsorted(table.image_ids, ids)
    labels = np.array([-1 if label is None else index[label] for label in table.label], np.int16)[rows]
    marked = np.array([mark is not None for mark in table.mark], dtype=bool)[rows]
    flags = (labels >= 0) * 1 + table.reviewed[rows].astype(bool) * 2 + marked * 4
    centred = xy - (xy.max(0) + xy.min(0)) / 2
    scale = 32767.0 / max(float(np.abs(centred).max()), 1e-9)
    placed = np.round(centred * scale).astype(np.int16)
    rounds = [
        {
            "number": one.number,
            "epochs": project.epochs(one.number),
            "algorithm": one.algorithm,
            "state": one.state,
        }
        for one in project.rounds()
        if one.state in COMPLETE_STATES or project.epochs(one.number)
    ]
    header = {"n": len(ids), "classes": list(names), "version": version, "rounds": rounds}
    versions = table.version[rows].astype(np.int32)
    x, y = placed[:, 0].copy(), placed[:, 1].copy()
    return pack(header, ids.astype(np.int32), versions, x, y, labels, flags.astype(np.uint8))


async def map_epochs(request: Request, opened: OpenProject) -> Response:
    """Pseudo-label and confidence of every mapped image at every recorded epoch of a round, binary.

    Classes are int16, -1 where there is none; the confidences after them are uint8, in steps of 1/255.
    """
    number = _number(request, "round")
    if number is None:
        raise ConfigError("A round is needed", way_out="Add ?round=N.")
    body = await run_in_threadpool(_epochs, opened, number)
    return Response(body, media_type="application/octet-stream", headers=FRESH)


def _epochs(opened: OpenProject, number: int) -> bytes:
    project = opened.project
    ids, _ = project.map_points()
    epochs = project.epochs(number)
    index = {name: k for k, name in enumerate(project.classes())}
    columns = np.array([index[name] for name in project.round_classes(number)], np.int16) if epochs else None
    predicted = np.full((len(epochs), len(ids)), -1, np.int16)
    confidence = np.zeros((len(epochs), len(ids)), np.uint8)
    order = np.argsort(ids, kind="stable")
    for e, epoch in enumerate(epochs):
        image_ids, best, p1 = project.epoch_predictions(number, epoch)
        at = np.minimum(np.searchsorted(ids[order], image_ids), len(ids) - 1)
        there = ids[order][at] == image_ids
        rows = order[at[there]]
        if columns is not None:
            predicted[e, rows] = columns[best[there]]
        confidence[e, rows] = np.round(p1[there] * 255).astype(np.uint8)
    return pack({"n": len(ids), "epochs": epochs}, predicted, confidence)


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
    _route("/map/points", map_points),
    _route("/map/epochs", map_epochs),
    _route("/upload", upload, "POST"),
    _route("/exports/{file}", download),
]
