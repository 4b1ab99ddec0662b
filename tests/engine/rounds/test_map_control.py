"""Starting the map's process, and what a killed one leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.images.array_cache import ArraySpec
from engine.records import ImageItem
from engine.rounds import map_control

ITEMS = [ImageItem(number, f"{number:064x}", f"{number}.png", "PNG", 8, 8, 1, 100) for number in (1, 2)]
IDLE = "import time; time.sleep(60)"
FAILS = """
import json, os, sys
from pathlib import Path
record = {"status": "failed", "error": "no memory", "pid": os.getpid()}
(Path(sys.argv[1]) / "progress.json").write_text(json.dumps(record))
"""
Started = list["subprocess.Popen[bytes]"]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run other code in place of the map's own; with `wait`, until it has ended."""
    started: Started = []
    real = subprocess.Popen

    def use(code: str, wait: bool = False) -> Started:
        def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            process = real([sys.executable, "-c", code, command[-1]], **options)
            started.append(process)
            if wait:
                process.wait(30)
            return process

        monkeypatch.setattr(map_control.subprocess, "Popen", popen)
        return started

    yield use
    for process in started:
        process.kill()
        process.wait()


def _leave(root: Path, status: str) -> Path:
    """Write what a process that is gone has left."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    progress = root / "map" / map_control.version_of(ITEMS) / "progress.json"
    progress.parent.mkdir(parents=True)
    progress.write_text(json.dumps({"status": status, "stage": "Layout", "fraction": 0.4, "pid": gone.pid}))
    return progress


@pytest.mark.parametrize("status", ["running", "failed", "cancelled"])
def test_what_an_ended_process_left_does_not_stand_for_the_new_one(tmp_path: Path, stand_in: Any, status: str) -> None:
    progress = _leave(tmp_path, status)
    assert map_control.state(tmp_path, ITEMS).status != "running"
    started = stand_in(IDLE)
    found = map_control.start(tmp_path, ITEMS, ArraySpec(8, 1))
    assert (found.status, found.stage, found.fraction, found.error) == ("running", "Starting", 0.0, "")
    assert json.loads(progress.read_text())["pid"] == started[0].pid


def test_a_running_map_is_not_started_twice(tmp_path: Path, stand_in: Any) -> None:
    started = stand_in(IDLE)
    for _ in range(2):
        assert map_control.start(tmp_path, ITEMS, ArraySpec(8, 1)).status == "running"
    assert len(started) == 1


def test_what_the_new_process_wrote_already_is_kept(tmp_path: Path, stand_in: Any) -> None:
    _leave(tmp_path, "running")
    stand_in(FAILS, wait=True)
    found = map_control.start(tmp_path, ITEMS, ArraySpec(8, 1))
    assert (found.status, found.error) == ("failed", "no memory")
