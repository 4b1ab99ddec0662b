"""The modules' route serves what Starling started with, at an address made of its content, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app.components import modules, mount
from app.routes import table as routes
from app.server.access import Access
from app.server.gate import Gate
from app.server.sessions import Sessions

COMPONENTS = sorted(path.split("/")[0] for path in modules.SOURCES if path.endswith("/index.js"))


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=routes.ROUTES), base_url="http://127.0.0.1:8501")


def test_all_components_are_there() -> None:
    assert COMPONENTS == ["map_canvas", "review_grid", "review_surface", "upload_box", "who_box"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_module_a_component_needs_is_served_for_ever(client: TestClient, component: str) -> None:
    entry, ahead = _loaded(component)
    assert entry == modules.address(f"{component}/index.js")
    assert modules.address("common/dom.js") in ahead
    for path in [entry, *ahead]:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.text == (modules.HERE / path.removeprefix(f"{modules.ROOT}/{modules.VERSION}/")).read_text(
            "utf-8"
        )


def test_streamlit_gets_a_loader_and_no_code_of_the_component() -> None:
    text = mount.script("review_surface")
    assert "import(new URL(" in text
    assert "createSession" not in text


def test_another_versions_modules_are_never_served(client: TestClient) -> None:
    answer = client.get(f"{modules.ROOT}/0123456789abcdef/common/dom.js")
    assert answer.status_code == 404
    assert "reload" in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "common/base.css",
        "common/wire.d.ts",
        "modules.py",
        "package.json",
        "none.js",
        "",
        "../server.py",
        "%2e%2e/server.py",
    ],
)
def test_only_modules_are_served(client: TestClient, path: str) -> None:
    assert client.get(f"{modules.ROOT}/{modules.VERSION}/{path}").status_code == 404


def test_modules_lie_behind_the_gate(tmp_path: Path) -> None:
    gate = Middleware(Gate, token="sesame", reached=Access(), sessions=Sessions(tmp_path))
    guarded = Starlette(routes=routes.ROUTES, middleware=[gate])
    client = TestClient(guarded, base_url="http://127.0.0.1:8501")
    path = modules.address("common/dom.js")
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"authorization": "Bearer sesame"}).status_code == 200


def _loaded(component: str) -> tuple[str, list[str]]:
    found = re.search(r"export default componentAt\((.*), (\[.*\])\);", mount.script(component))
    assert found is not None
    return json.loads(found[1]), json.loads(found[2])
