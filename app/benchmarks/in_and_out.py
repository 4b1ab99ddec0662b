"""`starling bench io`: how fast small images come in and curated sets go out, and how much memory that takes.

Images of noise, each in the folder of its class, come in from a zip and from a folder, as the import page takes them:
looked at, decoded in limited children, placed, and written to the project. The project of the zip is then exported in
each format asked for. Memory is the most that the process and its children hold together, sampled.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from app.benchmarks.map import check_counts, counts
from engine.errors import ConfigError
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.importers.scan import ImportSource
from engine.project.opened import Project

Say = Callable[[str], None]
Figures = dict[str, Any]
CLASSES = 10
SAMPLED = 0.05
"""Seconds between two looks at the memory."""
DATUMARO = """
import sys, time
from datumaro.components.dataset import Dataset
begun = time.perf_counter()
dataset = Dataset.import_from(sys.argv[1], "imagenet")
for item in dataset:
    item.media.data
read = time.perf_counter()
dataset.export(sys.argv[2], "datumaro", save_media=True)
print(read - begun, time.perf_counter() - read)
"""


@dataclass(frozen=True)
class IoSettings:
    """Settings of the benchmark, each by `--set name=value`.

    Attributes:
        images: how many there are.
        side: their width and height, pixels.
        formats: export formats, with commas.
        datumaro: a Python that has datumaro, which then does the same job; none when empty.

    Raises:
        ConfigError: a number is below 0, or there is no such format.
    """

    images: int = 20_000
    side: int = 28
    formats: str = "imagefolder_zip,csv,parquet"
    datumaro: str = ""

    def __post_init__(self) -> None:
        check_counts(self)
        for name in self.formats.split(","):
            if name not in EXPORTERS:
                raise ConfigError("There is no such format", value=name, way_out=f"Use {', '.join(EXPORTERS)}.")


def run(data: Path, settings: IoSettings, out: Path | None, say: Say) -> Figures:
    """Measure everything and return the figures: images or rows a second, and megabytes at most.

    Args:
        data: not used; images are made.
        settings: see there.
        out: a JSON file.
        say: called with each result in words.
    """
    figures: Figures = {"settings": counts(settings), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory() as place:
        folder, archive = Path(place) / "set", Path(place) / "set.zip"
        make_images(folder, settings.images, settings.side)
        pack(folder, archive)
        for kind, path in (("folder", folder), ("zip", archive)):
            source = ImportSource("zip" if kind == "zip" else "folder", path)
            figures[f"import of a {kind}"] = imported(Path(place) / kind, source, settings.images)
            say(f"import of a {kind}: {json.dumps(figures[f'import of a {kind}'])}")
        for name in settings.formats.split(","):
            figures[f"export as {name}"] = exported(Path(place) / "zip", Path(place), name, settings.images)
            say(f"export as {name}: {json.dumps(figures[f'export as {name}'])}")
        if settings.datumaro:
            figures["datumaro"] = by_datumaro(settings.datumaro, folder, Path(place) / "datumaro", settings.images)
            say(f"datumaro: {json.dumps(figures['datumaro'])}")
    if out is not None:
        out.write_text(json.dumps(figures, indent=1))
    return figures


def make_images(folder: Path, count: int, side: int) -> None:
    """Write so many PNGs of noise into folders of CLASSES classes."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (side, side), np.uint8)
        Image.fromarray(pixels).save(folder / str(number % CLASSES) / f"{number:07d}.png", compress_level=1)


def pack(folder: Path, archive: Path) -> None:
    """Write the folder's files into a zip, as they are."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for path in sorted(folder.rglob("*.png")):
            target.write(path, path.relative_to(folder).as_posix())


def imported(root: Path, source: ImportSource, count: int) -> Figures:
    """Import a source into a new project; return images a second in all, and the seconds of its parts."""
    with Project.create(root, root.name) as project, most_memory() as memory:
        begun = time.perf_counter()
        preview = project.imports.scan(source)
        looked = time.perf_counter()
        result = project.imports.commit(preview)
        ended = time.perf_counter()
    if result.added != count or result.labels_added != count:
        raise AssertionError(f"{result.added} of {count} images, {result.labels_added} labels")
    return {
        "images a second": round(count / (ended - begun)), "scan s": round(looked - begun, 2),
        "commit s": round(ended - looked, 2), **memory,
    }  # fmt: skip


def exported(root: Path, place: Path, name: str, count: int) -> Figures:
    """Export the project; return rows a second."""
    target = place / f"out{EXPORTERS[name].suffix}"
    with Project.open(root) as project, most_memory() as memory:
        begun = time.perf_counter()
        project.exports.write(ExportOptions(name), target=target)
        seconds = time.perf_counter() - begun
    size = target.stat().st_size
    target.unlink()
    return {
        "rows a second": round(count / seconds),
        "s": round(seconds, 2),
        "MB written": round(size / 2**20),
        **memory,
    }


def by_datumaro(python: str, folder: Path, target: Path, count: int) -> Figures:
    """Have datumaro read the folder as ImageNet's layout, decode each image, and write its own format."""
    command = [python, "-c", DATUMARO, str(folder), str(target)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise ConfigError("datumaro could not do it", value=found.stderr.strip()[-300:], way_out="Check that Python.")
    read, written = map(float, found.stdout.split()[-2:])
    return {"images read a second": round(count / read), "rows written a second": round(count / written)}


@contextmanager
def most_memory() -> Iterator[Figures]:
    """Yield a dictionary that gets “most memory MB” of this process and its children, once the block ends.

    It is what two looks in a row have seen: a child that was just forked counts as large as its parent, for a moment.
    """
    figures: Figures = {}
    process, ended = psutil.Process(), threading.Event()
    most = before = float(process.memory_info().rss)

    def look() -> None:
        nonlocal most, before
        while not ended.wait(SAMPLED):
            now = sum(map(_resident, [process, *process.children(recursive=True)]))
            most, before = max(most, min(before, now)), now

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()
        figures["most memory MB"] = round(most / 2**20)


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0
