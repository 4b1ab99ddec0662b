"""A served project of six small images, for the tests of the routes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import table as routes
from app.server import workbench
from engine.importers.scan import ImportSource


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    opened = bench.create("Spots")
    opened.project.imports.commit(opened.project.imports.scan(ImportSource("zip", _spots(tmp_path / "spots.zip"))))
    yield TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    bench.close()
    workbench._current = None


def _spots(path: Path) -> Path:
    """Six 12×12 images: two labeled “left”, two “right”, two unlabeled."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, folder in enumerate(["left", "left", "right", "right", "_unlabeled", "_unlabeled"]):
            pixels = np.full((12, 12), 40 * number, np.uint8)
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG")
            archive.writestr(f"{folder}/{number}.png", out.getvalue())
    return path
