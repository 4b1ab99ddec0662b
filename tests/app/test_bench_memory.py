from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from app.benchmarks.memory import most_memory

HOLDS = "import os, subprocess, sys, time; held = bytearray(os.urandom(1)) * (100 << 20)"
FORKED = f"{HOLDS}; child = os.fork(); time.sleep(1); child and os.wait()"
STARTED = f"{HOLDS}; subprocess.run([sys.executable, '-c', {f'{HOLDS}; time.sleep(1)'!r}])"


@pytest.mark.parametrize(("code", "times"), [(FORKED, 1), (STARTED, 2)])
def test_children_count_once_they_run_a_program_of_their_own(code: str, times: int) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", code]) as process,
        most_memory(psutil.Process(process.pid), 0.02) as memory,
    ):
        process.wait()
    assert process.returncode == 0
    assert 100 <= memory["of it the process MB"] < 150
    assert 100 * times <= memory["most memory MB"] < 100 * times + 50
