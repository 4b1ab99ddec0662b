"""A served project of six small images, for the tests of the routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import table as routes
from app.server import workbench
from tests.ready_project import ReadyProjects, grey

FOLDERS = ["left", "left", "right", "right", "_unlabeled", "_unlabeled"]
SPOTS = grey(12, {f"{folder}/{number}.png": 40 * number for number, folder in enumerate(FOLDERS)})


@pytest.fixture
def client(ready: ReadyProjects, tmp_path: Path) -> Iterator[TestClient]:
    """Six 12×12 images: two labeled “left”, two “right”, two unlabeled."""
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    opened = bench.open(ready.copy(SPOTS, bench.home / "spots"))
    yield TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    bench.close()
    workbench._current = None
