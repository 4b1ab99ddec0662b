"""`starling bench review`: what the review costs at full size: queues, what stands beside images, grid, batches, keys.

A project of MNIST's 60,000 training images, or of some of them, with a short round; every step goes through the project
as a page's request does, and the batches through the ledger on disk. Last, live labels are switched on and images are
answered one by one at a person's pace, while the model is fitted anew beside it in the same process.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from app.benchmarks.map import check_counts, counts, make_project, mnist
from engine.errors import ConfigError
from engine.importers.scan import ImportSource
from engine.project.labels import new_uid
from engine.project.live import LiveThread
from engine.project.opened import Project
from engine.project.workspace import is_project
from engine.records.labels import Decision
from engine.records.review import GridTable, ReviewItem

Say = Callable[[str], None]
Figures = dict[str, Any]
SHOWN = 40
"""Items a page asks for at once."""
AGAIN = 5
PAUSE = 0.1


@dataclass(frozen=True)
class ReviewSettings:
    """Settings of the benchmark, each by `--set name=value`.

    Attributes:
        images: the project is made of so many of MNIST's training images, 0: of all.
        labels, epochs, steps: labels and epochs of the project's round, and steps of an epoch.
        batch: the number of images of a page that is accepted.
        keys, pace: how many images are answered beside live labels, and seconds from one to the next.
        threads: CPU threads.
        project: the folder of the project to make, or of one that an earlier run made; a temporary one when None.

    Raises:
        ConfigError: a number is below 0.
    """

    images: int = 0
    labels: int = 1000
    epochs: int = 3
    steps: int = 60
    batch: int = 500
    keys: int = 200
    pace: float = 0.25
    threads: int = 2
    project: Path | None = None

    def __post_init__(self) -> None:
        check_counts(self)


def run(data: Path, settings: ReviewSettings, out: Path | None, say: Say) -> Figures:
    """Measure everything and return the figures, in seconds.

    Args:
        data: where torchvision's MNIST lies.
        settings: see there.
        out: a JSON file.
        say: called with each result in words.
    """
    os.environ["OMP_NUM_THREADS"] = str(settings.threads)
    figures: Figures = {"settings": counts(settings), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    with tempfile.TemporaryDirectory() as folder:
        root = settings.project or Path(folder) / "mnist"
        if settings.images and not is_project(root):
            import_some(root, data, settings.images, settings.labels)
        figures["round"] = make_project(root, data, settings.labels, settings.epochs, settings.steps)
        with Project.open(root) as opened:
            for part, measure in (("queues", queues), ("surface", surface), ("grid", grids)):
                figures[part] = measure(opened)
                say(f"{part}: {json.dumps(figures[part])}")
            for size in (settings.batch, opened.store.counts().unlabeled):
                figures[f"batch of {size}"] = batches(opened, size)
                say(f"batch of {size}: {json.dumps(figures[f'batch of {size}'])}")
            figures["live labels"] = live_keys(opened, settings.keys, settings.pace)
            say(f"live labels: {json.dumps(figures['live labels'])}")
    if out is not None:
        out.write_text(json.dumps(figures, indent=1))
    return figures


def import_some(root: Path, data: Path, count: int, labels: int) -> None:
    """Make a project of `count` of MNIST's training images, picked at random; `labels` of them keep theirs.

    Raises:
        ConfigError: there are not so many.
    """
    images, digits = mnist(data)
    if count > len(images):
        raise ConfigError("MNIST has fewer training images", value=count, way_out=f"Give at most {len(images)}.")
    with tempfile.TemporaryDirectory() as folder:
        for digit in range(10):
            (Path(folder) / str(digit)).mkdir()
        for number, (pixels, digit) in enumerate(zip(images[:count, 0], digits[:count].tolist(), strict=True)):
            Image.fromarray(pixels).save(Path(folder) / str(digit) / f"{number:05d}.png", compress_level=1)
        with Project.create(root, "MNIST") as project:
            source = ImportSource("folder", Path(folder), name="MNIST", labels_kept=labels)
            project.imports.commit(project.imports.scan(source))


def queues(project: Project) -> Figures:
    """Time the first items of each query strategy that the round allows, with nothing kept from before."""
    usable = [key for key, reason in project.queue.strategies().items() if not reason]
    project.signals.context([1], project.results.predictions())  # reads the features once, as the first look does
    seconds = {}
    for key in usable:
        project.queue.forget_plan()
        seconds[key] = timed(lambda key=key: project.queue.next(key, SHOWN))  # type: ignore[misc]
    return seconds


def surface(project: Project) -> Figures:
    """Time the next items of a queue that is on its way, and what stands beside 20 images."""
    items, _ = project.queue.next("least_sure", SHOWN)
    ids = [item.image_id for item in items]
    return {
        "next items": least(lambda: project.queue.next("least_sure", SHOWN, exclude=ids)),
        "beside 20 images": least(lambda: project.signals.context(ids[:20], project.results.predictions())),
    }


def grids(project: Project) -> Figures:
    """Time the whole grid, and how large it is on its way to the browser."""
    from app.routes.review import packed

    body = packed(project.grid.table())
    return {
        "whole grid": least(lambda: packed(project.grid.table())),
        "by most changes": least(lambda: packed(project.grid.table(sort="flips"))),
        "megabytes before compression": round(len(body) / 1e6, 2),
    }


def batches(project: Project, size: int) -> Figures:
    """Accept the surest predictions as one batch, take it back by one undo, and time both."""
    table, batch = project.grid.table(sort="confident"), new_uid()
    chosen = np.argsort(-table.confidence, kind="stable")[:size]
    decisions = [_accepted(table, int(row)) for row in chosen]
    begun = time.perf_counter()
    acks = project.labels.decide(decisions, batch)
    accepted = time.perf_counter() - begun
    begun = time.perf_counter()
    back = project.store.undo(new_uid(), "local", batch)
    return {
        "saved": sum(ack.status == "saved" for ack in acks), "accept": round(accepted, 3),
        "taken back": sum(ack.status == "saved" for ack in back), "undo": round(time.perf_counter() - begun, 3),
    }  # fmt: skip


def live_keys(project: Project, keys: int, pace: float) -> Figures:
    """Answer images one by one while live labels follow; return milliseconds of a key and of the queue after a refit.

    A key is a decision, on the disk when it ends. Answers are the truth that the import has hidden, and its label of
    an image that it did label: the measured set is drawn from all images.
    """
    answers = true_labels(project)
    project.live.turn(True)
    thread, begun = LiveThread(project.live), time.perf_counter()
    thread.start()
    try:
        while (state := project.live.state()).status != "on":
            if state.status == "failed":
                raise RuntimeError(state.words)
            time.sleep(PAUSE)
        ready = time.perf_counter() - begun
        refits = state.refits
        pressed: list[float] = []
        asked: list[float] = []
        items: list[ReviewItem] = []
        version = ""
        while len(pressed) < keys:
            if version != project.live.version or not items:
                version, began = project.live.version, time.perf_counter()
                items = list(project.queue.next("least_sure", SHOWN)[0])
                asked.append(1000 * (time.perf_counter() - began))
            item = items.pop(0)
            blind = {item.image_id} if item.blind else set()
            began = time.perf_counter()
            decision = Decision(new_uid(), item.image_id, item.version, "label", answers[item.image_id], seconds=pace)
            assert all(ack.status == "saved" for ack in project.labels.decide([decision], blind=blind))
            project.live.tell()
            pressed.append(1000 * (time.perf_counter() - began))
            time.sleep(max(0.0, pace - pressed[-1] / 1000))
        fitted = project.live.state()
    finally:
        thread.stop()
    return {
        "features, neighbours and first fit s": round(ready, 1), "refits": fitted.refits - refits,
        "last refit ms": round(1000 * fitted.seconds), "keys ms": spread(pressed), "queue ms": spread(asked),
        "memory MB": round(psutil.Process().memory_info().rss / 2**20),
    }  # fmt: skip


def true_labels(project: Project) -> dict[int, str]:
    """Return the true label of each image: its import's, or the one that the import has hidden."""
    imported = {entry.image_id: entry.label for entry in project.store.entries() if entry.source == "imported"}
    return {image_id: label for image_id, label in imported.items() if label} | project.store.truth()


def spread(values: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum."""
    return {name: round(float(np.percentile(values, at)), 1) for name, at in (("p50", 50), ("p95", 95), ("max", 100))}


def _accepted(table: GridTable, row: int) -> Decision:
    label = table.classes[int(table.predicted[row])]
    return Decision(
        new_uid(), int(table.image_ids[row]), int(table.version[row]), "accept", label, round=table.round,
        confidence=float(table.confidence[row]),
    )  # fmt: skip


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 3)


def least(work: Callable[[], object]) -> float:
    """Return the least seconds of some calls: what it takes when nothing else wants the machine."""
    return min(timed(work) for _ in range(AGAIN))
