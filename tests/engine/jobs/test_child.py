import json
import os
import signal
import subprocess
import sys

import pytest

from engine.errors import MapError
from engine.jobs import child, parent
from engine.jobs.child import Cancelled, JobProgress


@pytest.mark.parametrize(("cores", "expected"), [(12, 6), (40, 8), (1, 1), (None, 1)])
def test_where_the_system_has_no_affinity_the_cores_are_counted(monkeypatch, cores, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert child.threads() == expected


def test_only_the_cores_this_process_may_use_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert child.threads() == 2


def test_the_share_done_never_falls_from_one_kind_of_work_to_the_next(tmp_path):
    progress = JobProgress(tmp_path)
    reading = progress.part(0.0, 0.2)
    shares = []
    for stage, done in [("Reading", 0), ("Reading", 10), ("Looking", 0), ("Looking", 10)]:
        progress.written = 0.0
        reading(stage, done, 10)
        shares.append(progress.fraction)
    assert shares == [0.0, 0.2, 0.2, 0.2]
    assert progress.stage == "Looking"


def test_the_time_left_is_told_once_enough_is_done(tmp_path):
    assert child.left(0.25, 10.0) == 30.0
    assert child.left(0.01, 10.0) is None
    assert child.left(0.5, 1.0) is None
    progress = JobProgress(tmp_path)
    progress.begun -= 30.0
    progress.running("Half", 0.5)
    assert json.loads((tmp_path / "progress.json").read_text())["seconds_left"] == pytest.approx(30.0, abs=1.0)
    progress.write("ready", "Ready", 1.0)
    assert json.loads((tmp_path / "progress.json").read_text())["seconds_left"] is None


def test_work_of_unknown_length_stays_at_its_beginning(tmp_path):
    progress = JobProgress(tmp_path)
    progress.part(0.5, 1.0)("Reading", 0, 0)
    assert progress.fraction == 0.5


def ending(error):
    """Return work that gets half way and then raises."""

    def work(folder, progress):
        progress.counts["points"] = 7
        progress.running("Half", 0.5)
        if error is not None:
            raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (None, 0, ("ready", "Ready", 1.0, "")),
        (Cancelled(), 143, ("cancelled", "Cancelled", 0.5, "")),
        (MapError("No images", way_out="Import."), 1, ("failed", "Half", 0.5, "No images. Import.")),
        (ValueError("three"), 1, ("failed", "Half", 0.5, "ValueError: three")),
    ],
)
def test_every_end_is_told_with_its_exit_status(tmp_path, error, code, told):
    assert child.run(tmp_path, ending(error)) == code
    job = parent.state(tmp_path)
    assert (job.status, job.stage, job.fraction, job.error) == told
    assert job.counts == {"points": 7}


MODULE = """
import sys, time
from engine.jobs import child
def work(folder, progress):
    progress.running("At work", 0.3)
    time.sleep(60)
child.main(work)
"""


def test_a_process_asked_to_end_says_that_it_did(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", MODULE, str(tmp_path)])
    while parent.state(tmp_path).stage != "At work":
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert json.loads((tmp_path / "progress.json").read_text())["fraction"] == 0.3
    assert parent.state(tmp_path).status == "cancelled"
