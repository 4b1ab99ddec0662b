"""`starling bench io --set big=true`: a zip of many images and one of many bytes, each imported by the command line.

The command runs in a process of its own, so that its memory is what a person's import takes. The zips are made of
noise, stored as they are: nothing in them packs, and no two images are equal.
"""

from __future__ import annotations

import io
import math
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from app.benchmarks.memory import most_memory
from engine.errors import ConfigError
from engine.project.opened import Project

Figures = dict[str, Any]
Tell = Callable[[str, Figures], None]
CLASSES = 10
SMALL, LARGE = 28, 1300
"""Width and height of the images, pixels: 0.9 KB in grey, and 5 MB in colour."""
SPARE = 10 * 2**30
"""Bytes of the disk that are left alone."""
_IMPORTED = re.compile(r"Imported ([\d,]+) images with ([\d,]+) labels")


def measured(place: Path, images: int, gigabytes: float, tell: Tell) -> None:
    """Import a zip of so many small images, then one of so many gigabytes; tell the figures of each.

    Args:
        place: an empty folder; what is written into it is removed again.
        images: how many small ones; none are tried at 0.
        gigabytes: size of the zip of large ones, 10⁹ bytes; none are tried at 0.
        tell: called with what was done and its figures.

    Raises:
        ConfigError: the disk has no room for it, or the import did not take every image with its label.
    """
    rng = np.random.default_rng(0)
    each = len(_png(rng, (LARGE, LARGE, 3)))
    tries = [(images, (SMALL, SMALL), 9 << 10), (math.ceil(gigabytes * 1e9 / each), (LARGE, LARGE, 3), 2 * each)]
    for count, shape, on_disk in tries:
        if not count:
            continue
        room = shutil.disk_usage(place).free - SPARE
        if count * on_disk > room:
            way_out = "Free some, or set many and gigabytes to less."
            raise ConfigError("The disk has too little room", value=f"{room / 1e9:,.1f} GB", way_out=way_out)
        archive, project = place / "big.zip", place / "big"
        pack(archive, rng, count, shape)
        name = f"import of a zip of {count:,} images, {archive.stat().st_size / 1e9:.2f} GB"
        tell(name, imported(project, archive, count))
        shutil.rmtree(project)
        archive.unlink()


def pack(archive: Path, rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> None:
    """Write so many PNGs of noise into a zip, in folders of CLASSES classes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for number in range(count):
            target.writestr(f"{number % CLASSES}/{number:07d}.png", _png(rng, shape))


def _png(rng: np.random.Generator, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def imported(project: Path, archive: Path, count: int) -> Figures:
    """Import a zip by the command line into a new project; return seconds, megabytes and what the disk held."""
    command = [sys.executable, "-m", "app.cli", "import", str(project), str(archive)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process, most_memory(psutil.Process(process.pid), 0.2) as memory, least_room(project.parent) as room:
        told, _ = process.communicate()
        seconds = time.perf_counter() - begun
    found = _IMPORTED.search(told)
    if process.returncode or found is None or [int(one.replace(",", "")) for one in found.groups()] != [count, count]:
        raise ConfigError("The import did not end right", value=told.strip()[-400:], way_out="See what it says.")
    with Project.open(project) as opened:
        stored = opened.store.counts()
        if (stored.images, stored.imported) != (count, count):
            raise ConfigError("The project does not hold what was imported", value=stored)
        left = [path.name for path in (project / "staging").iterdir()]
    if left:
        raise ConfigError("The import left files behind", value=", ".join(left))
    return {"s": round(seconds, 1), "images a second": round(count / seconds), **memory, **room}


@contextmanager
def least_room(place: Path) -> Iterator[Figures]:
    """Yield a dictionary that gets what was written to the disk by the end, and what the disk held beside it for some
    time, MB; what other processes write or free meanwhile counts too."""
    figures: Figures = {}
    ended = threading.Event()
    before = least = shutil.disk_usage(place).free

    def look() -> None:
        nonlocal least
        while not ended.wait(0.5):
            least = min(least, shutil.disk_usage(place).free)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()
        after = shutil.disk_usage(place).free
        figures["disk MB"] = round((before - after) / 2**20)
        figures["disk beside it MB"] = max(0, round((after - least) / 2**20))
