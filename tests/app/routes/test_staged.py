"""Small pictures of a scan that nobody has imported yet."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.server import workbench
from engine.images.files import thumb_path
from engine.importers.scan import ImportSource, discard
from tests.ready_project import write_zip


def test_pictures_of_a_scan_are_served_until_it_is_discarded(client: TestClient, tmp_path: Path) -> None:
    write_zip(tmp_path / "new.zip", {"a/1.png": np.full((20, 10), 77, np.uint8)})
    project = workbench.current().opened()[0].project
    preview = project.imports.scan(ImportSource("zip", tmp_path / "new.zip"))
    place = f"staged/{preview.staging.name}/{preview.found[0].sha256}"
    answer = client.get(place)
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).size == (10, 20)
    assert client.get(f"staged/{preview.staging.name}/{'0' * 64}").status_code == 404
    thumb_path(preview.staging, preview.found[0].sha256).write_bytes(b"RIFF")
    assert "picture of an image that is to be imported is damaged" in client.get(place).json()["message"]
    discard(preview)
    assert client.get(place).status_code == 404


@pytest.mark.parametrize("scan", ["..", "%2e%2e", "import-..", "upload-1", "import-a%00", "import-%2e%2e%2fimages"])
def test_nothing_beside_scans_is_served(client: TestClient, scan: str) -> None:
    sha256 = workbench.current().opened()[0].project.store.image(1).sha256
    assert client.get(f"staged/{scan}/{sha256}").status_code in (400, 404)
    assert client.get(f"staged/import-x/{scan}").status_code in (400, 404)
