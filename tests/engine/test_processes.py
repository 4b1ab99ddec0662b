from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from engine import processes

IDLE = "import time; print(flush=True); time.sleep(60)"


def test_a_process_is_known_by_the_folder_in_its_command_line_or_by_when_it_was_created(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", IDLE, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        child.stdout.readline()  # before its first word the system may not show its command line
        created = psutil.Process(child.pid).create_time()
        assert processes.alive(child.pid, tmp_path)
        assert processes.alive(child.pid, tmp_path / "other", created)
        assert not processes.alive(child.pid, tmp_path / "other", created - 3600)
        assert not processes.alive(child.pid, tmp_path / "other")
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert not processes.alive(child.pid, tmp_path, created)


def test_a_zombie_is_the_same_process_and_does_not_live(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    created = psutil.Process(child.pid).create_time()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.works_on(child.pid, tmp_path, created)
    assert not processes.alive(child.pid, tmp_path, created)
    child.wait()


def test_a_number_that_is_no_process_does_not_live(tmp_path: Path) -> None:
    assert not processes.alive(-1, tmp_path)
    assert not processes.alive(0, tmp_path)


def test_a_clock_that_is_set_makes_no_process_another(tmp_path: Path) -> None:
    """The system counts a creation time from the boot, whose time moves with the clock."""
    child = subprocess.Popen([sys.executable, "-c", IDLE, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        before = psutil.Process(child.pid).create_time() - 86_400
        assert processes.alive(child.pid, tmp_path, before)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
