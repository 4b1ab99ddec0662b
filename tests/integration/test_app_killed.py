"""The real app process killed in the middle of a round: nothing is lost, the round goes on or can be resumed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.browser.digits import digit_pictures
from tests.ready_project import ReadyProjects

LONG = {
    "device": "cpu", "threads": 1, "batch_size": 16, "epochs": 2000, "steps_per_epoch": 40,
    "run_baseline": False,
}  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def call(project: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app.cli", "ui", str(project), "--home", str(tmp_path), "--port", "0"]
        environment = {**os.environ, "COLUMNS": "300", "PYTHONUNBUFFERED": "1"}
        log = tmp_path / f"app-{len(running)}.log"
        with open(log, "wb") as out:
            running.append(subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True))
        _until(lambda: re.search(rb"token=", log.read_bytes()) is not None or running[-1].poll() is not None, 60)
        assert running[-1].poll() is None, log.read_text()
        return running[-1]

    yield call
    for process in running:
        process.kill()
        process.wait(10)


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    opened = Project.open(ready.copy(digit_pictures(images=300, labeled_each=8), tmp_path / "digits"))
    yield opened
    for pid in _workers(opened):
        os.kill(pid, signal.SIGKILL)
    opened.close()


def _until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def _workers(project: Project) -> list[int]:
    """Processes that train on this project."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        zombie = process.info["status"] == psutil.STATUS_ZOMBIE
        if "engine.rounds.worker" in line and str(project.root) in line and not zombie:
            found.append(process.pid)
    return found


def _decide(project: Project, count: int) -> list[str]:
    items, _ = project.queue.next("random", count)
    uids = [new_uid() for _ in items]
    acks = project.labels.decide(
        [Decision(uid, item.image_id, item.version, "label", "3") for uid, item in zip(uids, items, strict=True)]
    )
    assert [ack.status for ack in acks] == ["saved"] * count
    return uids


def _trains(project: Project, number: int) -> bool:
    return bool(project.results.epochs(number)) and project.store.round(number).state == "running"


def test_killed_app_leaves_the_round_running_and_the_next_app_takes_it_over(
    project: Project, start: Callable[[Path], Any]
) -> None:
    app = start(project.root)
    number = project.training.queue("pseudo_label", {}, LONG).number
    _until(lambda: _trains(project, number), 90)
    uids = _decide(project, 5)
    (worker,) = _workers(project)
    app.kill()
    app.wait(10)
    seen = project.results.epochs(number)
    _until(lambda: len(project.results.epochs(number)) > len(seen), 60)
    assert _workers(project) == [worker]
    start(project.root)
    epoch = project.store.round(number).progress.get("epoch") or 0  # none yet where the first app was killed early
    _until(lambda: (project.store.round(number).progress.get("epoch") or 0) > epoch, 60)
    assert project.store.round(number).pid == worker
    assert {entry.uid for entry in project.store.history(limit=20)} >= set(uids)
    project.training.cancel(number)
    _until(lambda: project.store.round(number).state == "cancelled", 20)
    assert _workers(project) == []
    assert project.upkeep.doctor().problems == ()


def test_app_and_worker_killed_together_are_found_by_the_next_app_where_the_round_resumes(
    project: Project, start: Callable[[Path], Any]
) -> None:
    app = start(project.root)
    number = project.training.queue("pseudo_label", {}, {**LONG, "epochs": 4, "steps_per_epoch": 100}).number
    _until(lambda: _trains(project, number), 90)
    uids = _decide(project, 3)
    (worker,) = _workers(project)
    app.kill()
    os.kill(worker, signal.SIGKILL)
    app.wait(10)
    assert project.store.round(number).state == "running"
    start(project.root)
    _until(lambda: project.store.round(number).state == "interrupted", 30)
    assert _workers(project) == []
    assert project.store.round(number).error["way_out"]
    assert {entry.uid for entry in project.store.history(limit=20)} >= set(uids)
    project.training.resume(number)
    _until(lambda: project.store.round(number).state in {"promoted", "held_back"}, 120)
    assert project.store.round(number).attempt == 2
    assert project.results.epochs(number) == [1, 2, 3, 4]
    assert project.upkeep.doctor().problems == ()
