"""The table of Starling's own routes.

All lie behind the gate of app.server. Errors the engine raises on purpose come back as JSON {"message": …}.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.routes import map as map_routes
from app.routes import modules as module_routes
from app.routes import review as review_routes
from app.routes.pictures import image, staged, thumb
from app.routes.requests import FRESH
from app.routes.uploads import UPLOAD_CAP, download, upload
from app.server import workbench
from app.server.workbench import OpenProject
from engine import __version__
from engine.errors import LedgerError, MapError, NotAProject, ProjectReadOnly, StarlingError

Endpoint = Callable[[Request, OpenProject], Awaitable[Response]]


LOCKED = 423
"""Status of an answer that nothing can be saved: what a browser could not send it keeps until it can."""


def _guarded(endpoint: Endpoint, *, writes: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """Find the project of the path; turn intended errors into their message."""

    @functools.wraps(endpoint)
    async def call(request: Request) -> Response:
        opened = workbench.current().get(request.path_params["key"])
        try:
            if opened is None:
                raise NotAProject("This project is not open here", way_out="Open it in Starling and reload the page.")
            if writes and opened.read_only:
                raise ProjectReadOnly(
                    f"The project is open read-only: {opened.read_only.rstrip('.')}",
                    way_out="Open it where its folder can be written, without --read-only.",
                )
            return await endpoint(request, opened)
        except StarlingError as error:
            status = 404 if isinstance(error, NotAProject | MapError) else 400
            if isinstance(error, LedgerError):
                status = 409
            elif isinstance(error, ProjectReadOnly):
                status = LOCKED
            words = str(error).encode(errors="backslashreplace").decode()  # what was refused may hold half a character
            return JSONResponse({"message": words}, status_code=status, headers=FRESH)

    return call


async def health(request: Request) -> Response:
    """Say that Starling, and not just any page, answers."""
    keys = [opened.key for opened in workbench.current().opened()]
    return JSONResponse({"starling": __version__, "projects": keys}, headers=FRESH)


def _route(path: str, endpoint: Endpoint, *methods: str, writes: bool = False) -> Route:
    guarded = _guarded(endpoint, writes=writes)
    return Route("/starling/p/{key}" + path, guarded, methods=list(methods or ("GET",)))


LARGE = [
    ("/starling/p/[^/]+/upload", UPLOAD_CAP),
    ("/starling/p/[^/]+/decisions", 40 * 1024**2),  # MOST_DECISIONS of 400 bytes
    ("/starling/p/[^/]+/(queue|map/selection)", 20 * 1024**2),  # a million ids
]
"""Where a body may be large, and how many bytes it may have; see app.server.limits."""
ROUTES = [
    Route("/starling/health", health),
    Route(module_routes.PATH, module_routes.module),
    _route("/thumb/{image_id}", thumb),
    _route("/image/{image_id}", image),
    _route("/staged/{scan}/{sha256}", staged),
    _route("/item/{image_id}", review_routes.item),
    _route("/queue", review_routes.queue, "GET", "POST"),
    _route("/figures", review_routes.figures, "POST"),
    _route("/decisions", review_routes.decisions, "POST", writes=True),
    _route("/undo", review_routes.undo, "POST", writes=True),
    _route("/classes", review_routes.classes, "POST", writes=True),
    _route("/context", review_routes.context, "POST"),
    _route("/grid", review_routes.grid),
    _route("/map/points", map_routes.points),
    _route("/map/epochs", map_routes.epochs),
    _route("/map/frames", map_routes.frames),
    _route("/map/moving", map_routes.moving, "POST", writes=True),
    _route("/map/neighbours", map_routes.neighbours),
    _route("/map/regions", map_routes.regions),
    _route("/map/selection", map_routes.selection, "POST"),
    _route("/map/picture", map_routes.picture),
    _route("/upload", upload, "POST", writes=True),
    _route("/exports/{file}", download),
]


def below(base_path: str) -> list[Route]:
    """Return the routes of an app that lies below a path of its host, such as "/lab"."""
    return [Route(base_path + one.path, one.endpoint, methods=sorted(one.methods or ())) for one in ROUTES]
