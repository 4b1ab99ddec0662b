"""The review's routes: the queue, what is shown beside an image, the grid, decisions and undo."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.routes.requests import FRESH, MOST_ID, number_of, request_body
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.project.labels import new_uid
from engine.project.review.queue import DEFAULT
from engine.project.review.ref import QueueRef
from engine.records.labels import Decision
from engine.records.review import GridTable

ACTOR = "local"
WHO = "starling_who"
"""The cookie in which a browser keeps the name under which its decisions are recorded."""
MOST_DECISIONS = 100_000
MOST_CONTEXT = 100
MOST_NAME = 60
OTHER_CLASS = -2
"""In place of the index of a label whose class the round does not know."""


def actor_of(cookies: Any) -> str:
    """Return the name a browser gave for its decisions, "local" without one."""
    name = unquote(str(cookies.get(WHO) or "")).strip()
    return name[:MOST_NAME] if name.isprintable() and name else ACTOR


async def queue(request: Request, opened: OpenProject) -> Response:
    """The next images to review. POST takes the same fields as JSON: a long `exclude` does not fit an address."""
    asked = _queue_fields(await request_body(request)) if request.method == "POST" else _queue_query(request)
    limit, project = min(asked["limit"] or 20, 500), opened.project
    ref = QueueRef.parse(asked["only"] or "unreviewed")
    live = opened.project.live.version if opened.project.live.orders(ref, asked["round"]) else None
    items, total = await run_in_threadpool(
        lambda: project.queue.next(
            asked["strategy"] or DEFAULT, limit,
            number=asked["round"], ref=ref, exclude=asked["exclude"], among=_among(opened, ref),
            actor=actor_of(request.cookies),
        )
    )  # fmt: skip
    shown, names = [asdict(item) for item in items], list(project.store.classes())
    return JSONResponse({"items": shown, "total": total, "classes": names, "live": live}, headers=FRESH)


def _among(opened: OpenProject, ref: QueueRef) -> tuple[int, ...] | None:
    """The images handed over from the map, where only those are asked for; None for all."""
    return opened.selection if ref.kind == "selection" else None


def _queue_query(request: Request) -> dict[str, Any]:
    query = request.query_params
    exclude = {int(part) for part in query.get("exclude", "").split(",") if part.isdecimal() and len(part) < 19}
    return {
        "strategy": query.get("strategy"), "only": query.get("only"), "exclude": exclude,
        "limit": number_of(request, "limit"), "round": number_of(request, "round"),
    }  # fmt: skip


def _queue_fields(body: dict[str, Any]) -> dict[str, Any]:
    kinds = {"strategy": str, "only": str, "limit": int, "round": int}
    for name, kind in kinds.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ConfigError("A field of the queue has the wrong type", value=f"{name}={value!r}"[:200])
    exclude = body.get("exclude") or []
    if not isinstance(exclude, list) or not all(type(i) is int and 0 <= i <= MOST_ID for i in exclude):
        raise ConfigError("“exclude” must be a list of image ids")
    return {name: body.get(name) for name in kinds} | {"exclude": set(exclude)}


async def item(request: Request, opened: OpenProject) -> Response:
    """One image as the review page shows it."""
    shown = await run_in_threadpool(
        opened.project.queue.item, request.path_params["image_id"], number_of(request, "round")
    )
    return JSONResponse(asdict(shown), headers=FRESH)


async def figures(request: Request, opened: OpenProject) -> Response:
    """What a round says now of the images named by {"ids": […], "round": …}, and how that is written."""
    ids, number = _images_of_a_round(await request_body(request))
    shown = await run_in_threadpool(opened.project.queue.figures, ids, number)
    return JSONResponse({"items": [asdict(one) for one in shown]}, headers=FRESH)


def _images_of_a_round(body: dict[str, Any]) -> tuple[list[int], int | None]:
    ids, number = body.get("ids"), body.get("round")
    if not isinstance(ids, list) or not all(type(i) is int and 0 <= i <= MOST_ID for i in ids):
        raise ConfigError("“ids” must be a list of image ids")
    if len(ids) > MOST_CONTEXT or not (number is None or type(number) is int):
        raise ConfigError(f"At most {MOST_CONTEXT} images at once, of a round by its number", value=len(ids))
    return ids, number


async def context(request: Request, opened: OpenProject) -> Response:
    """Neighbours and trajectories of the images named by {"ids": […], "round": …}."""
    ids, number = _images_of_a_round(await request_body(request))
    project = opened.project
    contexts = await run_in_threadpool(lambda: project.signals.context(ids, project.results.predictions(number)))
    return JSONResponse({"contexts": [asdict(one) for one in contexts]}, headers=FRESH)


async def grid(request: Request, opened: OpenProject) -> Response:
    """The whole grid as flat arrays of equal length, grouped by predicted class, or by likeness."""
    ref = QueueRef.parse(request.query_params.get("only") or "unreviewed")
    sort, number = request.query_params.get("sort") or "confidence", number_of(request, "round")
    table = await run_in_threadpool(opened.project.grid.table, number, ref, sort, _among(opened, ref))
    return await run_in_threadpool(_sent, request, table)


def packed(table: GridTable) -> bytes:
    """Return a grid as JSON: classes by index, a label as -1 where there is none, OTHER_CLASS where it is unknown.

    A share that is not known is null, and so is `group` where images are grouped by class.
    """
    place = {name: at for at, name in enumerate(table.classes)}
    columns = {
        "round": table.round, "classes": list(table.classes), "sort": table.sort, "total": len(table.image_ids),
        "ids": table.image_ids.tolist(), "predicted": table.predicted.tolist(),
        "confidence": _numbers(table.confidence), "scale": asdict(table.scale), "step": table.step.tolist(),
        "value": _numbers(table.value), "version": table.version.tolist(),
        "group": None if table.group is None else table.group.tolist(),
        "label": [-1 if name is None else place.get(name, OTHER_CLASS) for name in table.label],
    }  # fmt: skip
    return json.dumps(columns, separators=(",", ":")).encode()


def _numbers(values: NDArray[np.float32]) -> list[float | None]:
    """Return them as JSON has them, which knows no NaN."""
    rounded: list[float | None] = np.round(values.astype(float), 4).tolist()
    return [None if value != value else value for value in rounded] if np.isnan(values).any() else rounded


def _sent(request: Request, table: GridTable) -> Response:
    body, headers = packed(table), dict(FRESH)
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers = gzip.compress(body, compresslevel=2, mtime=0), headers | {"Content-Encoding": "gzip"}
    return Response(body, media_type="application/json", headers=headers)


FIELDS = {
    "uid": str, "image_id": int, "base_version": int, "action": str, "label": str, "round": int,
    "confidence": (int, float), "batch": str, "seconds": (int, float), "seen_seconds": (int, float),
}  # fmt: skip
NEEDED = ("uid", "image_id", "base_version", "action")


def parse_decision(fields: Any, actor: str = ACTOR) -> Decision:
    """Make a decision of untrusted JSON.

    Raises:
        ConfigError: a field is missing or of the wrong type.
    """
    if not isinstance(fields, dict) or any(fields.get(name) is None for name in NEEDED):
        raise ConfigError("A decision needs uid, image_id, base_version and action", value=str(fields)[:200])
    given = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    for name, value in given.items():
        if not isinstance(value, FIELDS[name]) or isinstance(value, bool):  # type: ignore[arg-type]
            raise ConfigError("A field of a decision has the wrong type", value=f"{name}={value!r}")
    if len(given["uid"]) > 100 or given["action"] in {"import", "undo"}:
        raise ConfigError("A decision has a bad uid or action", value=str(fields)[:200])
    return Decision(actor=actor, **given)


async def decisions(request: Request, opened: OpenProject) -> Response:
    """Record decisions; the answer comes after the commit."""
    given = (await request_body(request)).get("decisions")
    if not isinstance(given, list) or len(given) > MOST_DECISIONS:
        raise ConfigError("“decisions” must be a list", way_out=f"At most {MOST_DECISIONS} at a time.")
    actor = actor_of(request.cookies)
    parsed = [parse_decision(one, actor) for one in given]
    batches = {one.batch for one in parsed}
    batch = batches.pop() if len(batches) == 1 else None
    pairs = list(zip(parsed, given, strict=True))
    asked = {one.image_id: fields["asked"] for one, fields in pairs if isinstance(fields.get("asked"), str)}
    blind = {one.image_id for one, fields in pairs if fields.get("blind") is True and one.image_id not in asked}
    acks = await run_in_threadpool(lambda: opened.project.labels.decide(parsed, batch, blind=blind, asked=asked))
    opened.project.live.tell()
    shown = [asdict(ack) for ack in acks]
    return JSONResponse({"acks": shown, "live": opened.project.live.version}, headers=FRESH)


async def undo(request: Request, opened: OpenProject) -> Response:
    """Take back the last decision, or the one named."""
    body = await request_body(request)
    uid, target = str(body.get("uid") or new_uid()), body.get("target")
    acks = await run_in_threadpool(
        opened.project.store.undo, uid, actor_of(request.cookies), str(target) if target else None
    )
    shown = None
    if len(acks) == 1 and acks[0].state is not None:
        shown = asdict(await run_in_threadpool(opened.project.queue.item, acks[0].state.image_id))
    return JSONResponse({"acks": [asdict(ack) for ack in acks], "image": shown}, headers=FRESH)


async def classes(request: Request, opened: OpenProject) -> Response:
    """Add a class."""
    name = str((await request_body(request)).get("name") or "")
    names = await run_in_threadpool(opened.project.labels.add_class, name)
    return JSONResponse({"classes": list(names)}, headers=FRESH)
