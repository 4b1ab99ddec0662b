"""`starling bench label-issues`: wrong labels are planted, and the list of label issues held against them."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.algorithms import out_of_fold
from engine.benchmarks import data, results
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.overrides import BENCH
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.quality.label_issues import find_issues
from engine.training import device as devices
from engine.training import pairs
from engine.training.config import TrainConfig

TRAIN: dict[str, Any] = {"batch_size": 128, "learning_rate": 0.05}
"""As the product checks labels."""
NAMES = ("planted", "listed", "precision, %", "recall, %", "suggestion right, %")


@dataclass(frozen=True)
class IssueSettings:
    """How many training images of MNIST the seed draws (0: all), the share of labels to flip, and CPU threads."""

    images: int = 10_000
    share: float = 0.05
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError("The share of labels to flip must be between 0 and 1", value=self.share)


def flip(truth: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Return labels (N,) of which exactly round(share · N), drawn by the seed, are another class, each equally likely.

    Args:
        truth: (N,) classes from 0; the highest one is the last class.
        share: 0..1.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 20])
    rows = rng.permutation(len(truth))[: round(share * len(truth))]
    classes = int(truth.max()) + 1
    given = truth.copy()
    given[rows] = (given[rows] + rng.integers(1, classes, len(rows))) % classes
    return given


def figures_of(
    truth: NDArray[np.int64], given: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, float]:
    """Return how well the list at its default cut finds the wrong labels; the names are NAMES.

    Precision is the share of wrong labels in the list, recall the share of wrong labels that are listed, and a
    suggestion is right when a wrong label in the list is suggested its true class; 0 of nothing is 0.
    """
    issues = find_issues(given, probabilities)
    wrong = given != truth
    hits = wrong[issues.rows]
    right = (issues.suggested == truth[issues.rows])[hits]
    shares = (hits.sum() / max(1, len(hits)), hits.sum() / max(1, wrong.sum()), right.sum() / max(1, len(right)))
    figures = (wrong.sum(), len(hits), *(100 * share for share in shares))
    return {name: float(value) for name, value in zip(NAMES, figures, strict=True)}


def run(options: Options, say: Say) -> str:
    """Plant wrong labels with each seed, list the issues as the product does, and return the table."""
    (values,) = pairs.parse(options.set, {BENCH: IssueSettings})
    settings = IssueSettings(**values)
    devices.set_threads(settings.threads)
    device = devices.resolve(options.device)
    file, runs = RunFile(options, device), []
    asked = dataclasses.asdict(settings)
    for seed in parse_seeds(options.seeds or "3"):
        done = file.find("MNIST", seed, asked)
        if done is None:
            began = time.perf_counter()
            images, truth, _ = data.subset("MNIST", data_root(options.data), settings.images, seed)
            given = flip(truth, settings.share, seed)
            checked = out_of_fold.predict(images, given, TrainConfig(**TRAIN, seed=seed), device)
            figures = figures_of(truth, given, checked.probabilities)
            seconds = time.perf_counter() - began
            one: dict[str, Any] = {"row": "MNIST", "seed": seed, "value": figures["precision, %"], "more": figures}
            done = file.add({**one, "seconds": seconds, "steps": checked.steps}, asked)
        runs.append(done)
        say(f"label-issues, seed {seed}: {', '.join(f'{k} {v:.1f}' for k, v in done['more'].items())}")
    return _table(runs, settings, devices.describe(device))


def _table(runs: Sequence[results.Run], settings: IssueSettings, device: str) -> str:
    lines = [["", *NAMES, "s/run"]]
    lines += [[f"seed {run['seed']}", *(f"{run['more'][name]:.1f}" for name in NAMES), f"{run['seconds']:.0f}"]
              for run in runs]  # fmt: skip
    if len(runs) > 1:
        spreads = [[run["more"][name] for run in runs] for name in NAMES]
        cells = list(map(results.mean_spread, spreads))
        lines.append(["mean ± sd", *cells, f"{statistics.fmean(run['seconds'] for run in runs):.0f}"])
    images = f"{settings.images:,} of MNIST's training images" if settings.images else "MNIST's 60,000 training images"
    head = f"label issues: {100 * settings.share:g} % of the labels of {images} flipped, on {device}"
    return "\n".join([head, "", *results.aligned(lines)])


LABEL_ISSUES = Study("MNIST: precision and recall of the list of label issues, 5 % of the labels flipped", run)
