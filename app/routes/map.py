"""The map's routes: binary arrays, neighbours, regions, the selection handed to other pages, pictures."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.routes import map_wire
from app.routes.requests import FRESH, MOST_ID, number_of, request_body
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.project import map_pictures

MOST_SELECTED = 1_000_000
MOST_NEIGHBOURS = 100
_SMALL = 2000


def binary(request: Request, body: bytes) -> Response:
    """Send a packed body, compressed where the browser takes it."""
    headers = dict(FRESH)
    if len(body) > _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=2, mtime=0)
        headers |= {"Content-Encoding": "gzip"}
    return Response(body, media_type="application/octet-stream", headers=headers)


async def points(request: Request, opened: OpenProject) -> Response:
    """Ids, versions, positions, labels, flags of all mapped images, and where the map stands."""
    body = await run_in_threadpool(map_wire.points, opened, _source(request))
    return await run_in_threadpool(binary, request, body)


async def epochs(request: Request, opened: OpenProject) -> Response:
    """Pseudo-label and confidence of every mapped image at the recorded epochs of a round, from the `from`-th on."""
    number, first = _needed(request, "round"), number_of(request, "from") or 0
    if first < 0:
        raise ConfigError("“from” counts epochs from 0", value=first)
    body = await run_in_threadpool(map_wire.epochs, opened, _source(request), number, first)
    return await run_in_threadpool(binary, request, body)


async def frames(request: Request, opened: OpenProject) -> Response:
    """The moving map of a round, as far as it is laid out."""
    body = await run_in_threadpool(map_wire.frames, opened, _needed(request, "round"))
    return await run_in_threadpool(binary, request, body)


async def moving(request: Request, opened: OpenProject) -> Response:
    """Start, start anew or cancel laying out a round's epochs."""
    body = await request_body(request)
    number, action = body.get("round"), body.get("action")
    if type(number) is not int:
        raise ConfigError("A round is needed", value=number)
    maps = opened.project.maps
    if action in {"start", "fresh"}:
        await run_in_threadpool(lambda: maps.start_moving(number, fresh=action == "fresh"))
    elif action == "cancel":
        await run_in_threadpool(maps.cancel_moving, number)
    else:
        raise ConfigError("There is no such action", value=action, way_out="Use start, fresh or cancel.")
    return JSONResponse(asdict(maps.moving_state(number)), headers=FRESH)


async def neighbours(request: Request, opened: OpenProject) -> Response:
    """The images most like one, nearest first, with their distance in feature space."""
    image, count = _needed(request, "image"), number_of(request, "k") or 12
    if not 1 <= count <= MOST_NEIGHBOURS:
        raise ConfigError("“k” is out of range", value=count, way_out=f"Use 1 to {MOST_NEIGHBOURS}.")
    maps = opened.project.maps
    ids, distances = await run_in_threadpool(maps.neighbours, image, _source(request), count)
    return JSONResponse({"ids": ids.tolist(), "distances": _rounded(distances)}, headers=FRESH)


async def regions(request: Request, opened: OpenProject) -> Response:
    """The regions of the map that labels do not cover."""
    number = number_of(request, "round")
    flagged = await run_in_threadpool(opened.project.maps.regions, _source(request), number)
    names = opened.project.store.classes() if number is None else opened.project.results.classes(number)
    rows = [
        {
            "ids": ids.tolist(), "size": region.size, "labeled": region.labeled,
            "expected": round(float(region.expected_labeled), 1), "confidence": _share(region.confidence),
            "overall": _share(region.overall_confidence), "centre": [float(v) for v in region.centre],
            "called": [[names[k], round(float(share), 4)] for k, share in region.called],
            "reason": region.reason_with(names),
        }
        for region, ids in flagged
    ]  # fmt: skip
    return JSONResponse({"regions": rows}, headers=FRESH)


async def selection(request: Request, opened: OpenProject) -> Response:
    """Keep the images selected on the map for the review queue and the export."""
    ids = (await request_body(request)).get("ids")
    if not isinstance(ids, list) or not all(type(i) is int and 0 <= i <= MOST_ID for i in ids[: MOST_SELECTED + 1]):
        raise ConfigError("“ids” must be a list of image ids")
    if len(ids) > MOST_SELECTED:
        raise ConfigError("Too many images are selected", value=len(ids), way_out=f"Hand over at most {MOST_SELECTED}.")
    opened.selection = tuple(dict.fromkeys(ids))
    return JSONResponse({"count": len(opened.selection)}, headers=FRESH)


async def picture(request: Request, opened: OpenProject) -> Response:
    """A still or an animation of the map, as a file."""
    query, project = request.query_params, opened.project
    wanted = map_pictures.Wanted(
        kind=query.get("kind", "png"), layout=query.get("layout", "fixed"), source=_source(request),
        number=number_of(request, "round"), epoch=number_of(request, "epoch"), dark=query.get("dark") == "1",
    )  # fmt: skip
    made = await run_in_threadpool(map_pictures.make, project.workspace, project.results, project.maps, wanted)
    headers = FRESH | {"Content-Disposition": f'attachment; filename="{made.name}"'}
    headers |= {"X-Content-Type-Options": "nosniff"}
    return Response(made.data, media_type=made.media_type, headers=headers)


def _source(request: Request) -> str:
    return request.query_params.get("source") or "pixels"


def _needed(request: Request, name: str) -> int:
    value = number_of(request, name)
    if value is None:
        raise ConfigError("A number is missing in the address", value=name, way_out=f"Add {name}=N.")
    return value


def _rounded(values: np.ndarray[Any, Any]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _share(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
