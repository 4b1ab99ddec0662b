"""A job's process counts as running from the moment it was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import processes
from engine.jobs import parent


def test_a_new_process_is_told_of_only_once_the_system_shows_what_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, lines = subprocess.Popen, iter([[], []])
    monkeypatch.setattr(
        parent.subprocess,
        "Popen",
        lambda command, **options: real([sys.executable, "-c", "import time; time.sleep(60)", command[-1]], **options),
    )

    class Slow(processes.psutil.Process):  # type: ignore[misc]
        """A process whose arguments cannot be seen at the first two looks."""

        def cmdline(self) -> list[str]:
            shown: Any = next(lines, None)
            return list(super().cmdline()) if shown is None else shown

    monkeypatch.setattr(processes.psutil, "Process", Slow)
    parent.launch(tmp_path, "any")
    process = parent._children[-1]
    try:
        assert parent.state(tmp_path).status == "running"
    finally:
        process.kill()
        process.wait()
    assert parent.state(tmp_path).status == "failed"


def test_a_process_that_ends_at_once_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "alive", lambda *_: False)
    monkeypatch.setattr(parent, "NAMED_SECONDS", 600.0)
    parent.launch(tmp_path, "no_such_module")
    parent._children[-1].wait(30)
    assert parent.state(tmp_path).status == "failed"
