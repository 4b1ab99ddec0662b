"""The review's routes: the queue, what is shown beside an image, the grid, decisions and undo."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from typing import Any, cast
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.routes.requests import FRESH, MOST_TEXT, Fields, path_number, shown
from app.server import workbench
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.project.labels import new_uid
from engine.project.review.queue import DEFAULT
from engine.project.review.ref import QueueRef
from engine.records.labels import ACTIONS_OF_PEOPLE, Ack, Action, Decision, is_reserved
from engine.records.review import GridTable

ACTOR = "local"
WHO = "starling_who"
"""The cookie in which a browser keeps the name under which its decisions are recorded."""
MOST_DECISIONS = 100_000
MOST_HELD = 1_000_000
"""Images that one browser says it has already."""
MOST_QUEUE = 500
MOST_CONTEXT = 100
MOST_NAME = 60
MOST_UID = 100
OTHER_CLASS = -2
"""In place of the index of a label whose class the round does not know."""


def actor_of(cookies: Any) -> str:
    """Return the name a browser gave for its decisions, "local" without one."""
    name = unquote(str(cookies.get(WHO) or "")).strip()
    return name[:MOST_NAME] if name.isprintable() and name else ACTOR


def stamped(fields: Fields, otherwise: str) -> str:
    """Return under whose name something is recorded: who was set when the key was pressed, where the browser says it.

    Raises:
        ConfigError: it is no name that a person can have.
    """
    name = (fields.text("actor", MOST_NAME) or otherwise).strip()
    if not name or not name.isprintable() or is_reserved(name):
        raise ConfigError(
            "Nobody's decisions can be recorded under this name", value=shown(name), way_out="Set another name."
        )
    return name


async def queue(request: Request, opened: OpenProject) -> Response:
    """The next images to review. POST takes the same fields as JSON: a long `exclude` does not fit an address."""
    asked = await Fields.of_body(request) if request.method == "POST" else Fields.of_address(request)
    limit, number, project = asked.number("limit", 1, MOST_QUEUE) or 20, asked.number("round"), opened.project
    strategy, ref = asked.text("strategy") or DEFAULT, _ref(asked)
    exclude = set(await run_in_threadpool(asked.ids, "exclude", MOST_HELD))
    live = opened.project.live.version if opened.project.live.orders(ref, number) else None
    items, total = await run_in_threadpool(
        lambda: project.queue.next(
            strategy, limit, number=number, ref=ref, exclude=exclude, among=_among(opened, ref),
            actor=actor_of(request.cookies),
        )
    )  # fmt: skip
    names = list(project.store.classes())
    return JSONResponse(
        {"items": [asdict(item) for item in items], "total": total, "classes": names, "live": live}, headers=FRESH
    )


def _ref(fields: Fields) -> QueueRef:
    return QueueRef.parse(fields.text("only", 2 * MOST_TEXT) or "unreviewed")


def _among(opened: OpenProject, ref: QueueRef) -> tuple[int, ...] | None:
    """The images handed over from the map, where only those are asked for; None for all."""
    return opened.selection if ref.kind == "selection" else None


async def item(request: Request, opened: OpenProject) -> Response:
    """One image as the review page shows it."""
    image_id, number = path_number(request, "image_id"), Fields.of_address(request).number("round")
    found = await run_in_threadpool(opened.project.queue.item, image_id, number)
    return JSONResponse(asdict(found), headers=FRESH)


async def figures(request: Request, opened: OpenProject) -> Response:
    """What a round says now of the images named by {"ids": […], "round": …}, and how that is written."""
    ids, number = _images_of_a_round(await Fields.of_body(request))
    said = await run_in_threadpool(opened.project.queue.figures, ids, number)
    return JSONResponse({"items": [asdict(one) for one in said]}, headers=FRESH)


def _images_of_a_round(body: Fields) -> tuple[list[int], int | None]:
    if "ids" not in body:
        raise ConfigError("“ids” must be a list of image ids", way_out=f"Give at most {MOST_CONTEXT}.")
    return body.ids("ids", MOST_CONTEXT), body.number("round")


async def context(request: Request, opened: OpenProject) -> Response:
    """Neighbours and trajectories of the images named by {"ids": […], "round": …}."""
    ids, number = _images_of_a_round(await Fields.of_body(request))
    project = opened.project
    contexts = await run_in_threadpool(lambda: project.signals.context(ids, project.results.predictions(number)))
    return JSONResponse({"contexts": [asdict(one) for one in contexts]}, headers=FRESH)


async def grid(request: Request, opened: OpenProject) -> Response:
    """The whole grid as flat arrays of equal length, grouped by predicted class, or by likeness."""
    fields = Fields.of_address(request)
    ref, sort, number = _ref(fields), fields.text("sort") or "confidence", fields.number("round")
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


def parse_decision(fields: Fields, actor: str = ACTOR) -> Decision:
    """Make a decision of untrusted fields.

    Args:
        fields: of one decision.
        actor: who is recorded where the decision itself does not say it.

    Raises:
        ConfigError: a field is missing or is not what it must be.
    """
    uid = fields.text("uid", MOST_UID)
    if not uid:
        raise ConfigError("A decision needs a uid", value=shown(uid), way_out="Reload the page and decide again.")
    return Decision(
        uid=uid,
        image_id=fields.needed("image_id"),
        base_version=fields.needed("base_version"),
        action=cast(Action, fields.choice("action", ACTIONS_OF_PEOPLE)),
        label=fields.text("label"),
        actor=stamped(fields, actor),
        round=fields.number("round"),
        confidence=fields.decimal("confidence", 1.0),
        batch=fields.text("batch"),
        seconds=fields.decimal("seconds"),
        seen_seconds=fields.decimal("seen_seconds"),
    )


async def decisions(request: Request, opened: OpenProject) -> Response:
    """Record decisions; the answer comes after the commit."""
    body, actor = await Fields.of_body(request), actor_of(request.cookies)
    acks = await run_in_threadpool(_decide, opened, body.each("decisions", MOST_DECISIONS), actor)
    opened.project.live.tell()
    shown_acks = [asdict(ack) for ack in acks]
    return JSONResponse({"acks": shown_acks, "live": opened.project.live.version}, headers=FRESH)


def _decide(opened: OpenProject, given: list[Fields], actor: str) -> list[Ack]:
    parsed = [parse_decision(one, actor) for one in given]
    batches = {one.batch for one in parsed}
    batch = batches.pop() if len(batches) == 1 else None
    asked: dict[int, str] = {}
    blind: set[int] = set()
    for decision, fields in zip(parsed, given, strict=True):
        text, measures = fields.text("asked", 2 * MOST_TEXT), fields.flag("blind")
        if text is not None:
            asked[decision.image_id] = text
        elif measures:
            blind.add(decision.image_id)
    return opened.project.labels.decide(parsed, batch, blind=blind - set(asked), asked=asked)


async def undo(request: Request, opened: OpenProject) -> Response:
    """Take back the last decision, or the one named."""
    body = await Fields.of_body(request)
    uid, target = body.text("uid", MOST_UID) or new_uid(), body.text("target")
    actor = stamped(body, actor_of(request.cookies))
    anyones = actor in workbench.current().reviewers
    acks = await run_in_threadpool(lambda: opened.project.store.undo(uid, actor, target, anyones=anyones))
    image = None
    if len(acks) == 1 and acks[0].state is not None:
        image = asdict(await run_in_threadpool(opened.project.queue.item, acks[0].state.image_id))
    return JSONResponse({"acks": [asdict(ack) for ack in acks], "image": image}, headers=FRESH)


async def classes(request: Request, opened: OpenProject) -> Response:
    """Add a class."""
    name = (await Fields.of_body(request)).text("name") or ""
    names = await run_in_threadpool(opened.project.labels.add_class, name)
    return JSONResponse({"classes": list(names)}, headers=FRESH)
