"""The route of the components' JavaScript modules."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.components import modules
from app.routes.requests import FRESH, IMMUTABLE

PATH = modules.ROOT + "/{version}/{path:path}"


async def module(request: Request) -> Response:
    """One module; never one of another version than the page that asks was made for."""
    path = request.path_params["path"]
    if request.path_params["version"] != modules.VERSION:
        return PlainTextResponse("This page is of another version of Starling: reload it.", 404, FRESH)
    if path not in modules.SOURCES:
        return PlainTextResponse("There is no such module.", 404, FRESH)
    return Response(modules.SOURCES[path], media_type="text/javascript", headers=IMMUTABLE)
