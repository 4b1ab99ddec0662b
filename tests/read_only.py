"""A folder that nothing can be written into, also by root, whom permissions do not bind: a file system of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only_copy(source: Path, place: Path) -> Iterator[Path]:
    """Give a copy of a folder on a disk that is mounted read-only; skips the test where this machine allows none.

    Args:
        source: the folder.
        place: where the disk is mounted; it does not exist yet. The copy is in it, named like `source`.
    """
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(source, place / source.name)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place / source.name
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
