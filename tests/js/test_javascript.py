"""The components' JavaScript: its types hold together, its tests pass, and it reads what Starling packs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.components import modules
from app.routes import map_wire
from app.routes import table as routes
from app.server import workbench
from tests.app.conftest import SPOTS
from tests.made_round import make_round
from tests.ready_project import ReadyProjects

HERE = Path(__file__).parent
NODE = shutil.which("node")
COMPILER = HERE / "node_modules" / "typescript" / "bin" / "tsc"
CLASSES = 300
"""More than a byte counts, for the wide form of the epochs."""


def run(*command: str | Path, **environment: str) -> None:
    done = subprocess.run(
        [*map(str, command)], cwd=HERE, env=os.environ | environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.skipif(not COMPILER.exists(), reason="typescript is not installed: run `npm install` in tests/js")
def test_the_types_hold_together() -> None:
    run(NODE or "", COMPILER, "--project", HERE)


def test_no_type_finding_is_silenced() -> None:
    silenced = re.compile(r"@ts-(ignore|expect-error|nocheck)|\{(any|\*)\}")
    assert [path for path, text in modules.SOURCES.items() if silenced.search(text.decode())] == []


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_modules_do_what_they_promise(packed: Path) -> None:
    run(NODE or "", "--test", "--test-reporter=spec", *sorted(HERE.glob("*.test.js")), STARLING_PACKED=str(packed))


def test_modules_import_each_other_in_no_circle() -> None:
    for path in modules.SOURCES:
        assert path not in {one for other in modules.imports(path) for one in [other, *modules.needed(other)]}, path


def test_every_module_is_needed_by_a_component() -> None:
    entries = [path for path in modules.SOURCES if path.endswith("/index.js")]
    needed = {path for entry in entries for path in [entry, *modules.needed(entry)]}
    assert set(modules.SOURCES) - needed == {"loader.js"}


@pytest.fixture
def packed(ready: ReadyProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Bodies as the routes send them, each beside what it should be read as."""
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    folder = tmp_path / "packed"
    folder.mkdir()
    try:
        opened = bench.open(ready.copy(SPOTS, bench.home / "spots"))
        opened.engine.stop()  # the rounds are made, not trained
        _pack(opened, folder, monkeypatch)
        yield folder
    finally:
        bench.close()
        workbench._current = None


def _pack(opened: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = opened.project
    client = TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")

    def write(name: str, path: str, **expected: Any) -> None:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        (folder / f"{name}.bin").write_bytes(answer.content)
        (folder / f"{name}.json").write_text(json.dumps(expected))

    project.maps.start("pixels")
    deadline = time.monotonic() + 60
    while project.maps.state("pixels").status != "ready":
        assert time.monotonic() < deadline, "there is no map in time"
        time.sleep(0.1)
    _pack_points(project, write)
    with monkeypatch.context() as patch:
        patch.setattr(map_wire, "MOST_POINTS", 4)
        write("sampled", "map/points")
    _pack_frames(project, write, monkeypatch)
    _pack_epochs(project, write, "epochs")
    write("epochs_later", "map/epochs?round=1&from=1")
    for k in range(CLASSES):
        project.store.add_class(f"class {k}")
    _pack_epochs(project, write, "epochs_wide")


def _pack_points(project: Any, write: Any) -> None:
    table = project.store.label_table()
    labeled = [label is not None for label in table.label]
    write(
        "points", "map/points", ids=table.image_ids.tolist(), versions=table.version.tolist(),
        labels=list(table.label), flags=[int(one) for one in labeled],
    )  # fmt: skip


def _pack_epochs(project: Any, write: Any, name: str) -> None:
    """A round of two epochs in which each unlabeled image has a class of its own, the last one among them."""
    table, names = project.store.label_table(), project.store.classes()
    rng = np.random.default_rng(len(names))
    epochs = [rng.dirichlet(np.full(len(names), 0.1), len(table.image_ids)) for _ in range(2)]
    free = np.array([label is None for label in table.label])
    epochs[1][np.flatnonzero(free)[-1]] = np.eye(len(names))[-1]
    number = make_round(project, epochs[-1], epochs=epochs)
    best = [np.where(free, one.argmax(1), -1).tolist() for one in epochs]
    sure = [np.where(free, one.max(1), 0).tolist() for one in epochs]
    write(name, f"map/epochs?round={number}", epochs=[1, 2], classes=best, confidences=sure)


def _pack_frames(project: Any, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tracked images that cross over at the second of three epochs."""
    xy = np.array([[[0, 0], [1, 0]], [[0, 0.5], [-1, 0]], [[0, 0.5], [1, 0.25]]], np.float32)
    frames = SimpleNamespace(
        ids=np.array([3, 1]), epochs=(1, 2, 4), xy=xy, repeated=np.array([False, True, False]), reasons=("", "no", ""),
        recall=np.array([0.5, np.nan, 1], np.float32), moves=np.zeros(3, np.float32), smoothed=True,
    )  # fmt: skip
    sure = np.array([[1, 0.6], [0.25, 0], [0.5, 1]], np.float32)
    student = SimpleNamespace(best=np.array([[0, 1], [1, 1], [0, 0]]), confidence=sure)
    teacher = SimpleNamespace(best=np.array([[1, 1], [1, 0], [1, 1]]), confidence=sure)
    maps = type(project.maps)
    with monkeypatch.context() as patch:
        patch.setattr(maps, "frames", lambda self, number: frames)
        patch.setattr(maps, "tracked", lambda self, number, epochs: (student, teacher))
        patch.setattr(type(project.results), "classes", lambda self, number: project.store.classes())
        placed = map_wire.scaled(xy).astype(int)
        write(
            "frames", "map/frames?round=1", ids=[3, 1], x=placed[..., 0].tolist(), y=placed[..., 1].tolist(),
            student=student.best.tolist(), teacher=teacher.best.tolist(), sure=sure.tolist(), recall=[0.5, None, 1.0],
        )  # fmt: skip
