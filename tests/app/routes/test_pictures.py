"""Pictures of images: their address says by which rule they look so, since a browser keeps them for ever."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from app.components import modules
from app.components.quality.gallery import Tile, tiles_html
from engine.images import thumbnails

PICTURES = "common/pictures.js"
_ADDRESS = re.compile(r"/(thumb|image)/(?!\w+:)[${]")


def test_the_address_of_a_picture_changes_with_the_rule_by_which_it_looks_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f'LOOK = "{thumbnails.VERSION}";' in modules.SOURCES[PICTURES].decode(), f"{PICTURES} has another VERSION"
    before = tiles_html("/p", [Tile(7)])
    monkeypatch.setattr(thumbnails, "VERSION", "another")
    assert tiles_html("/p", [Tile(7)]) == before.replace("look=2", "look=another") != before


def test_one_module_alone_spells_the_address_of_a_picture() -> None:
    assert [path for path, text in modules.SOURCES.items() if _ADDRESS.search(text.decode())] == [PICTURES]


@pytest.mark.parametrize("kind", ["thumb", "image"])
def test_a_browser_keeps_a_picture_of_the_present_look_alone(client: TestClient, kind: str) -> None:
    kept = client.get(f"{kind}/1?look={thumbnails.VERSION}").headers["cache-control"]
    assert "immutable" in kept
    for other in ("", "?look=1"):
        assert client.get(f"{kind}/1{other}").headers["cache-control"] == "no-store"
