"""An export onto the Hub: the files in the folder are those that are sent. A server here stands in for the Hub."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, ExportError
from engine.exporters.collect import ExportOptions
from engine.project.opened import Project
from tests.ready_project import ReadyProjects, noisy_pets

pytest.importorskip("huggingface_hub")


class Hub(BaseHTTPRequestHandler):
    """Takes every file as a small one, in the commit itself, and keeps what it got."""

    asked: list[tuple[str, Any]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        lines = [json.loads(line) for line in body.splitlines()]
        self.asked.append((self.path, lines))
        if self.path.endswith("/preupload/main"):
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in lines[0]["files"]]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            self._answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/datasets/ann/pets/commit/0",
                    "commitOid": "0" * 40,
                    "success": True,
                }
            )
        else:
            self._answer({"url": f"http://{self.headers['Host']}/datasets/ann/pets", "name": "ann/pets", "id": "1"})

    def do_GET(self) -> None:
        self.asked.append((self.path, None))
        self._answer({"id": "ann/pets", "sha": "0" * 40, "siblings": [], "private": True})

    def _answer(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("ThisHub", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with Project.open(ready.copy(noisy_pets(4, 2, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


def test_exactly_the_files_of_the_folder_are_sent(project: Project, tmp_path: Path, hub: type[Hub]) -> None:
    folder = tmp_path / "out"
    address = project.exports.push_to_hub(ExportOptions("csv"), "ann/pets", folder, token="secret")
    assert address.endswith("/datasets/ann/pets")
    (made,) = [lines[0] for path, lines in hub.asked if path == "/api/repos/create"]
    assert (made["name"], made["type"]) == ("pets", "dataset")
    assert made.get("private") is True or made.get("visibility") == "private"
    (commit,) = [lines for path, lines in hub.asked if "/commit/" in path]
    sent = {
        one["value"]["path"]: hashlib.sha256(base64.b64decode(one["value"]["content"])).hexdigest()
        for one in commit
        if one["key"] == "file"
    }
    there = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert sent == there
    assert {"README.md", "train/metadata.parquet", "manifest.json", "provenance.jsonl", "train/005.png"} <= set(sent)


def test_a_failed_upload_leaves_the_folder_whole(project: Project, tmp_path: Path, hub: type[Hub]) -> None:
    hub.status = 403
    with pytest.raises(ExportError, match="hf upload ann/pets"):
        project.exports.push_to_hub(ExportOptions(), "ann/pets", tmp_path / "out", token="secret")
    assert (tmp_path / "out" / "train" / "metadata.parquet").is_file()
    with pytest.raises(ConfigError, match="already"):
        project.exports.push_to_hub(ExportOptions(), "ann/pets", tmp_path / "out", token="secret")


def test_a_damaged_original_leaves_no_folder_and_nothing_is_sent(
    project: Project, tmp_path: Path, hub: type[Hub]
) -> None:
    sha = next(iter(project.store.images())).sha256
    (project.root / "images" / sha[:2] / sha).write_bytes(b"other")
    with pytest.raises(ExportError, match="damaged"):
        project.exports.push_to_hub(ExportOptions(), "ann/pets", tmp_path / "out", token="secret")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    assert hub.asked == []


def test_a_name_that_is_none_is_told(project: Project, tmp_path: Path, hub: type[Hub]) -> None:
    with pytest.raises(ConfigError, match="owner/name"):
        project.exports.push_to_hub(ExportOptions(), "a b/c//d", tmp_path / "out", token="secret")
