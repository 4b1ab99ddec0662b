"""`starling bench map`: what the maps cost and keep, on MNIST, from the arrays to the browser.

Layouts are measured beside scikit-learn's t-SNE on the same rows; then a project of 60,000 images with a round of 20
epochs goes through the product itself: fixed map, moving map, and the page in a headless Chromium.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

Say = Callable[[str], None]
Figures = dict[str, Any]
SAMPLE = 2000
"""Rows whose neighbours are compared: enough for a standard error below 0.005."""


@dataclass(frozen=True)
class MapSettings:
    """Settings of the benchmark, each by `--set name=value`.

    Attributes:
        points, compared: rows laid out by the product alone, and beside scikit-learn; 0 leaves that part out.
        labels, epochs, steps: labels and epochs of the project's round, and steps of an epoch; 0 epochs leaves the
            project out.
        threads: CPU threads.
        project: the folder of the project to make, or of one that an earlier run made; a temporary one when None.

    Raises:
        ConfigError: a number is below 0.
    """

    points: int = 60_000
    compared: int = 20_000
    labels: int = 1000
    epochs: int = 20
    steps: int = 60
    threads: int = 1
    project: Path | None = None

    def __post_init__(self) -> None:
        check_counts(self)


def check_counts(settings: Any) -> None:
    """Raise ConfigError where a number among the settings, a dataclass, is below 0."""
    below = [f"{name}={value}" for name, value in counts(settings).items() if value < 0]
    if below:
        raise ConfigError("A setting must be 0 or more", value=", ".join(below))


def counts(settings: Any) -> dict[str, int]:
    """Return the numbers among the settings, a dataclass."""
    return {name: value for name, value in dataclasses.asdict(settings).items() if isinstance(value, int)}


def run(data: Path, settings: MapSettings, out: Path | None, say: Say) -> Figures:
    """Measure everything and return the figures; they are saved after each part.

    Args:
        data: where torchvision's MNIST lies.
        settings: see there.
        out: a JSON file.
        say: called with each result in words.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(settings.threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    figures: Figures = {"settings": counts(settings), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}

    def save(part: str, measured: Any) -> None:
        figures[part] = measured
        say(f"{part}: {json.dumps(measured)}")
        if out is not None:
            out.write_text(json.dumps(figures, indent=1))

    images, digits = mnist(data)
    parts = (("compared", settings.compared, (ours, sklearns)), ("all", settings.points, (ours,)))
    for part, count, layouts in parts:
        if count:
            save(part, {layout.__name__: measure_layout(layout, images[:count], digits[:count]) for layout in layouts})
    if settings.epochs:
        with tempfile.TemporaryDirectory() as folder:
            root = settings.project or Path(folder) / "mnist"
            save("round", make_project(root, data, settings.labels, settings.epochs, settings.steps))
            save("fixed map", measure_fixed(root))
            save("moving map", measure_moving(root))
            from app.benchmarks.map_browser import measure_browser

            save("browser", measure_browser(root))
    return figures


def mnist(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the training images (60000, 1, 28, 28) and digits in a fixed random order.

    Raises:
        SourceMissing: they do not lie in the folder.
    """
    from engine.benchmarks.data import read_split

    images, digits = read_split("MNIST", data, train=True)
    order = np.random.default_rng(0).permutation(len(digits))
    return images.numpy()[order], digits.numpy()[order]


def ours(features: NDArray[np.float32], drawn: Callable[[], None]) -> NDArray[np.float32]:
    """Lay rows out as the product does."""
    from engine.maps.fixed_map import fixed_map

    return fixed_map(features, seed=0, report=lambda *_: drawn(), threads=int(os.environ["OMP_NUM_THREADS"]))


def sklearns(features: NDArray[np.float32], drawn: Callable[[], None]) -> NDArray[np.float32]:
    """Lay rows out by scikit-learn's Barnes-Hut t-SNE with the same perplexity; it has no picture before its last."""
    from sklearn.manifold import TSNE

    xy = TSNE(perplexity=30, init="pca", learning_rate="auto", random_state=0).fit_transform(features)
    drawn()
    return np.asarray(xy, np.float32)


def measure_layout(layout: Callable[..., NDArray[np.float32]], images: NDArray[np.uint8], digits: Any) -> Figures:
    """Return seconds to the first and the final picture, from images in memory, and what the map keeps."""
    from engine.maps.features import pixels

    began, first = time.perf_counter(), []
    features = pixels(images)
    xy = layout(features, lambda: first.append(time.perf_counter() - began))
    seconds = time.perf_counter() - began
    return {"first picture s": round(first[0], 2), "final s": round(seconds, 1), **preserved(features, xy, digits)}


def preserved(features: NDArray[Any], xy: NDArray[np.float32], classes: Any) -> Figures:
    """Return the 10-nearest-neighbour recall and the leave-one-out 1-nearest-neighbour accuracy of a map."""
    from engine.maps.neighbours import one_nn_accuracy, recall

    sample = SAMPLE if len(xy) > SAMPLE else None
    return {
        "10-NN recall": round(recall(features, xy, 10, sample), 4),
        "1-NN accuracy": round(one_nn_accuracy(xy, np.asarray(classes)), 4),
    }


def make_project(root: Path, data: Path, labels: int, epochs: int, steps: int) -> Figures:
    """Import MNIST and train a Pseudo-Label round by the command line, unless that was done."""
    if not (root / "project.db").exists():
        starling("import", root, "--torchvision", "MNIST", "--root", data, "--labels", labels)
    from engine.project.opened import Project

    with Project.open(root, read_only=True) as project:
        done = [one for one in project.store.rounds() if one.report]
    if not done:
        sets = f"--set=epochs={epochs}", f"--set=steps_per_epoch={steps}"
        starling("round", root, "--algorithm", "pseudo_label", *sets)
    with Project.open(root, read_only=True) as project:
        record = [one for one in project.store.rounds() if one.report][-1]
        recorded, truth = project.results.epochs(record.number), project.results.true_accuracy(record.number)
    seconds = None if record.report is None else record.report.seconds
    share = None if truth is None else round(truth.accuracy, 4)
    return {"epochs": len(recorded), "seconds": seconds, "right of the hidden": share}


def starling(*arguments: object) -> None:
    """Run the command line.

    Raises:
        subprocess.CalledProcessError: it ended with an error.
    """
    command = [sys.executable, "-m", "app.cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure_fixed(root: Path) -> Figures:
    """Compute the fixed map in its own process, as the map page does, and time its pictures."""
    from engine.project.opened import Project

    with Project.open(root) as project:
        for folder in (root / "map").glob("pixels-*"):
            shutil.rmtree(folder)
        began, started = time.perf_counter(), time.time()
        project.maps.start("pixels", fresh=True)
        seen: dict[str, float] = {}
        while True:
            state = project.maps.state("pixels")
            drawn = [path.stat().st_mtime for path in (root / "map").glob("pixels-*/map.parquet")]
            if max(drawn, default=0.0) > started:
                seen.setdefault("first picture s", round(time.perf_counter() - began, 2))
            if state.status != "running":
                break
            time.sleep(0.05)
        if state.status != "ready":
            raise RuntimeError(state.error)
        seconds = round(time.perf_counter() - began, 1)
        return {**seen, "final s": seconds, "points": len(project.maps.points("pixels")[0])}


def measure_moving(root: Path) -> Figures:
    """Lay the last round's epochs out in their own process; compare each frame with a map made for it alone."""
    from engine.jobs import moving_map_work
    from engine.project.opened import Project
    from engine.rounds.folder import results

    with Project.open(root) as project:
        number = [one for one in project.store.rounds() if one.report][-1].number
        folder = project.workspace.round_folder(number)
        began, first, live = time.perf_counter(), 0.0, 0.0
        project.maps.start_moving(number, fresh=True)
        while (state := project.maps.moving_state(number)).status == "running":
            now = time.perf_counter() - began
            if not first and (folder / "moving" / moving_map_work.FRAMES).exists():
                first = now
            if state.stage.startswith("Smoothing"):
                live = live or now
            time.sleep(0.05)
        if state.status != "ready":
            raise RuntimeError(state.error)
        seconds = time.perf_counter() - began
        frames = project.maps.frames(number)
        features = [results.tracked_features(folder, epoch)[1].astype(np.float32) for epoch in frames.epochs]
    count = len(frames.epochs)
    return {
        "points": len(frames.ids), "epochs": count, "first frame s": round(first, 2),
        "live s an epoch": round((live - first) / max(1, count - 1), 3),
        "smoothing s an epoch": round((seconds - live) / count, 3), "all s": round(seconds, 1),
        **against_unaligned(features, frames.xy),
    }  # fmt: skip


def against_unaligned(features: list[NDArray[np.float32]], xy: NDArray[np.float32]) -> Figures:
    """Compare frames with t-SNE maps of the same features, each made alone and only turned onto the one before.

    Unchanged points are those that keep at least half of their 10 nearest neighbours in the features between two
    epochs; moves are means over them, as shares of the last frame's root mean square radius.
    """
    from engine.maps.fixed_map import fixed_map
    from engine.maps.neighbours import overlap, recall

    alone: list[NDArray[np.float64]] = []
    for rows in features:
        own = fixed_map(rows, seed=0, report=lambda *_: None).astype(np.float64)
        alone.append(turned(own, alone[-1]) if alone else own - own.mean(0))
    ratios = [
        recall(rows, frame, 10) / recall(rows, own.astype(np.float32), 10)
        for rows, frame, own in zip(features, xy, alone, strict=True)
    ]
    calm = [overlap(a, b, 10) >= 0.5 for a, b in itertools.pairwise(features)]
    moved, jumped = mean_moves(list(xy), calm), mean_moves(alone, calm)
    return {
        "recall share of unaligned, mean": round(float(np.mean(ratios)), 4),
        "recall share of unaligned, least": round(float(np.min(ratios)), 4),
        "unchanged points' move": round(moved, 4), "the same unaligned": round(jumped, 4),
        "times smaller": round(jumped / max(moved, 1e-9), 1),
        "unchanged": round(float(np.mean([rows.mean() for rows in calm])), 3),
    }  # fmt: skip


def turned(xy: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre a map and turn it, mirrored if need be, to lie as near to another as it can (orthogonal Procrustes)."""
    centred = xy - xy.mean(0)
    left, _, right = np.linalg.svd(centred.T @ (onto - onto.mean(0)))
    return np.asarray(centred @ (left @ right))


def mean_moves(frames: list[Any], calm: list[NDArray[np.bool_]]) -> float:
    """Return the mean move between frames of the points that did not change, in radii of the last frame."""
    last = np.asarray(frames[-1], np.float64)
    radius = float(np.sqrt(((last - last.mean(0)) ** 2).sum(1).mean()))
    steps = zip(frames, frames[1:], calm, strict=False)
    moves = [np.linalg.norm(b - a, axis=1)[rows] for a, b, rows in steps]
    return float(np.concatenate(moves).mean() / radius)
