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
from app.routes.requests import FRESH, Fields
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
    fields = Fields.of_address(request)
    number, first = fields.needed("round"), fields.number("from") or 0
    body = await run_in_threadpool(map_wire.epochs, opened, _source(request), number, first)
    return await run_in_threadpool(binary, request, body)


async def frames(request: Request, opened: OpenProject) -> Response:
    """The moving map of a round, as far as it is laid out."""
    body = await run_in_threadpool(map_wire.frames, opened, Fields.of_address(request).needed("round"))
    return await run_in_threadpool(binary, request, body)


async def moving(request: Request, opened: OpenProject) -> Response:
    """Start, start anew or cancel laying out a round's epochs."""
    body = await Fields.of_body(request)
    number, action = body.needed("round"), body.choice("action", ("start", "fresh", "cancel"))
    maps = opened.project.maps
    if action == "cancel":
        await run_in_threadpool(maps.cancel_moving, number)
    else:
        await run_in_threadpool(lambda: maps.start_moving(number, fresh=action == "fresh"))
    return JSONResponse(asdict(maps.moving_state(number)), headers=FRESH)


async def neighbours(request: Request, opened: OpenProject) -> Response:
    """The images most like one, nearest first, with their distance in feature space."""
    fields = Fields.of_address(request)
    image, count = fields.needed("image"), fields.number("k", 1, MOST_NEIGHBOURS) or 12
    maps = opened.project.maps
    ids, distances = await run_in_threadpool(maps.neighbours, image, _source(request), count)
    return JSONResponse({"ids": ids.tolist(), "distances": _rounded(distances)}, headers=FRESH)


async def regions(request: Request, opened: OpenProject) -> Response:
    """The regions of the map that labels do not cover."""
    number = Fields.of_address(request).number("round")
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
    body = await Fields.of_body(request)
    if "ids" not in body:
        raise ConfigError("“ids” must be a list of image ids", way_out="Give an empty one for no images.")
    ids = await run_in_threadpool(body.ids, "ids", MOST_SELECTED)
    opened.selection = tuple(dict.fromkeys(ids))
    return JSONResponse({"count": len(opened.selection)}, headers=FRESH)


async def picture(request: Request, opened: OpenProject) -> Response:
    """A still or an animation of the map, as a file."""
    fields, project = Fields.of_address(request), opened.project
    wanted = map_pictures.Wanted(
        kind=fields.text("kind") or "png", layout=fields.text("layout") or "fixed", source=_source(request),
        number=fields.number("round"), epoch=fields.number("epoch"), dark=fields.flag("dark"),
    )  # fmt: skip
    made = await run_in_threadpool(map_pictures.make, project.workspace, project.results, project.maps, wanted)
    headers = FRESH | {"Content-Disposition": f'attachment; filename="{made.name}"'}
    headers |= {"X-Content-Type-Options": "nosniff"}
    return Response(made.data, media_type=made.media_type, headers=headers)


def _source(request: Request) -> str:
    return Fields.of_address(request).text("source") or "pixels"


def _rounded(values: np.ndarray[Any, Any]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _share(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
