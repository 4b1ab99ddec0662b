"""`starling bench live`: what live labels cost at 1,000, 10,000 and 60,000 images: refits, the queue, an added image.

With --data FOLDER the features are a pretrained network's, of the photos in the class folders there, repeated with
noise up to the number of images; without it they are Gaussian, ten classes. A person is replayed: 10 labels a class at
random, then refits with 10 answers each on the images the queue asks about. With photos, what the network takes for an
image, on noise of its own size. Times are of the CPU, on one thread.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from engine.algorithms.transductive import one_thread
from engine.benchmarks import overrides, results
from engine.benchmarks.options import Options, parse_seeds
from engine.benchmarks.photos import net_features, sets_in
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.live.graph import Floats, Ints
from engine.live.model import ImageSet, Labeled
from engine.live.refit import LiveModel, LiveRefit
from engine.live.stored import load_set, save_set
from engine.nets import frozen
from engine.query.pick import pick
from engine.query.pool import Pool
from engine.training import device as devices

T = TypeVar("T")
GAUSSIAN_CLASSES, GAUSSIAN_WIDTH, GAUSSIAN_APART = 10, 512, 0.25
ADDED = 10
WARM_TARGETS = {1_000: 40, 10_000: 50, 60_000: 250}
COLD_TARGETS = {1_000: 40, 10_000: 150, 60_000: 1_000}
EXTRACTION_TARGET = 10
EXTRACTED = 128
"""Images that a network is timed with, after a pass of as many."""


@dataclass(frozen=True)
class LiveSettings:
    """Settings of the command.

    Attributes:
        sizes: numbers of images, with commas between them.
        labels: labels a class at the start.
        refits: warm refits, of `answers` answers each.
        backbone: the network of the photos' features, as in `photos`.
        noise: standard deviation of what is added to a repeated feature, in those of the feature itself.
    """

    sizes: str = "1000,10000,60000"
    labels: int = 10
    refits: int = 10
    answers: int = 10
    backbone: str = "mobilenet_v2"
    noise: float = 0.3


def run(options: Options, say: Say) -> str:
    """Measure each size with each seed and return the table; `say` hears a line after each run.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images in the folder given.
    """
    settings, _ = overrides.apply_with(LiveSettings, (), options.set)
    sizes = [int(part) for part in settings.sizes.split(",") if part.strip().isdigit()]
    if not sizes or min(sizes) < 200 or settings.refits < 1:
        raise ConfigError("This cannot be measured", value=settings.sizes, way_out="Give sizes of 200 images or more.")
    devices.set_threads(1)
    device = devices.resolve("cpu")
    file, runs = RunFile(options, device), []
    for seed in parse_seeds(options.seeds or "1"):
        for root in [None] if options.data is None else sets_in(options.data):
            for size in sizes:
                row = f"{'Gaussian' if root is None else root.name}, {size:,}"
                asked = {**dataclasses.asdict(settings), "sizes": size}
                done = file.find(row, seed, asked)
                one = done or file.add({"row": row, "seed": seed, **_one(root, size, settings, seed)}, asked)
                runs.append(one)
                say(f"live, {row}, seed {seed}: {one['seconds']:.0f} s" + (", kept from the file" if done else ""))
    return _table(runs, devices.describe(device))


def many_features(root: Path | None, net: str, size: int, noise: float, seed: int) -> tuple[Floats, Ints]:
    """Return features (size, D) and classes (size,): those of the photos under `root` again and again, the repeated
    ones with noise and none negative, or Gaussian ones."""
    rng = np.random.default_rng(seed)
    if root is None:
        truth = np.arange(size) % GAUSSIAN_CLASSES
        middles = rng.normal(size=(GAUSSIAN_CLASSES, GAUSSIAN_WIDTH)).astype(np.float32)
        return GAUSSIAN_APART * middles[truth] + rng.standard_normal((size, GAUSSIAN_WIDTH), np.float32), truth
    tensor, truth = net_features(root, net)
    features = tensor.numpy()
    rows = np.concatenate([rng.permutation(len(features)) for _ in range(-(-size // len(features)))])[:size]
    many, spread = features[rows], np.float32(noise) * features.std(0)
    for start in range(len(features), size, len(features)):
        part = many[start : start + len(features)]
        part += spread * rng.standard_normal(part.shape, np.float32)
        np.maximum(part, 0, out=part)
    return many, truth[rows]


def _one(root: Path | None, size: int, settings: LiveSettings, seed: int) -> results.Run:
    """Measure one size."""
    began = time.perf_counter()
    features, truth = many_features(root, settings.backbone, size + ADDED, settings.noise, seed)
    with one_thread():
        build_ms, images = _timed(lambda: ImageSet.of(features[:size], seed))
        more = {"build s": build_ms / 1000, **_refits(images, truth[:size], settings, seed)}
        if root is not None:
            more["network, ms an image"] = extraction_ms(settings.backbone)
        more["add 1 ms"] = _timed(lambda: images.with_added(features[size : size + 1]))[0]
        more[f"add {ADDED} ms"] = _timed(lambda: images.with_added(features[size:]))[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "set.npz"
            more["save ms"] = _timed(lambda: save_set(path, images, ["00" * 32] * size))[0]
            more["load ms"] = _timed(lambda: load_set(path))[0]
    return {"value": more["warm ms"], "more": more, "seconds": time.perf_counter() - began}


def extraction_ms(backbone: str) -> float:
    """Return the CPU time in milliseconds that a pretrained network takes for an image.

    Raises:
        ConfigError: no network of that name, or weights that are not to be had.
    """
    device = torch.device("cpu")
    trunk = frozen.load_frozen(backbone, device)
    shape = (EXTRACTED, trunk.channels, trunk.side, trunk.side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frozen.features_of(trunk, images, device)
    return _timed(lambda: frozen.features_of(trunk, images, device))[0] / EXTRACTED


def _refits(images: ImageSet, truth: Ints, settings: LiveSettings, seed: int) -> dict[str, float]:
    """Replay a run of refits, each warm one beside a cold one of the same labels."""
    classes = int(truth.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(truth == k))[: settings.labels] for k in range(classes)]
    rows, none = np.concatenate(drawn), np.zeros(classes, np.int64)
    warm, other = LiveModel(images), LiveModel(images)
    warm.refit(Labeled(rows, truth[rows], none))
    times: dict[str, list[float]] = {}
    same = []
    for number in range(settings.refits + 1):
        labeled = Labeled(rows, truth[rows], none)
        chosen = warm.chosen_from
        warm_ms, refit = _timed(lambda: warm.refit(labeled))  # noqa: B023 - called at once
        times.setdefault("warm ms" if warm.chosen_from == chosen else "warm, C chosen ms", []).append(warm_ms)
        cold_ms, cold = _timed(lambda: other.refit(labeled, warm=False))  # noqa: B023
        times.setdefault("cold, C chosen ms" if other.chosen_from == len(rows) else "cold ms", []).append(cold_ms)
        same.append(float((refit.probabilities.argmax(1) == cold.probabilities.argmax(1)).mean()))
        queue_ms, asked = _timed(lambda: _queue(refit, rows, settings.answers))  # noqa: B023
        times.setdefault("queue ms", []).append(queue_ms)
        if number % 4 < 3:
            times.setdefault("prepare ms", []).append(_timed(lambda: warm.prepare(asked))[0])  # noqa: B023
        rows = np.concatenate([rows, asked])
    medians = {name: statistics.median(values) for name, values in times.items()}
    held = (images.z, images.u, images.whitened, images.graph.near, images.graph.squares)
    sparse = (images.graph.symmetric.data, images.graph.symmetric.indices, images.graph.averaging.data)
    return {
        **medians,
        "same %, least": 100 * min(same),
        "set MB": sum(array.nbytes for array in (*held, *sparse)) / 1e6,
    }


def _queue(refit: LiveRefit, rows: Ints, count: int) -> Ints:
    """Return the rows that the queue asks about next."""
    decided = np.zeros(len(refit.confidence), np.bool_)
    decided[rows] = True
    undecided = np.flatnonzero(~decided)
    probabilities = np.clip(refit.probabilities[undecided], 0, 1)
    pool = Pool(undecided, probabilities, classes=tuple(map(str, range(probabilities.shape[1]))))
    return undecided[pick("least_sure", pool, count).rows]


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return the CPU time of a call in milliseconds, and what it returns."""
    began = time.process_time()
    given = work()
    return 1000 * (time.process_time() - began), given


def _table(runs: Sequence[results.Run], device: str) -> str:
    names = list(dict.fromkeys(name for run in runs for name in run["more"]))
    lines = [["", *names]]
    for row in dict.fromkeys(run["row"] for run in runs):
        mine = [run["more"] for run in runs if run["row"] == row]
        lines.append([row, *(_mean([one[name] for one in mine if name in one]) for name in names)])
    targets = ", ".join(f"{size:,} images {WARM_TARGETS[size]} and {COLD_TARGETS[size]}" for size in WARM_TARGETS)
    note = f"CPU time on one thread, medians over the refits; targets warm and cold, ms: {targets}; "
    note += f"of a network, ms an image: {EXTRACTION_TARGET}."
    return "\n".join([f"live labels on {device}", "", *results.aligned(lines), note])


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.1f}" if values else "–"


LIVE = Study(
    "live labels of 1,000 to 60,000 images, Gaussian or photos repeated with noise: refits, queue, an added image",
    run,
)
