"""`starling bench photo-rounds`: what rounds make of photos when they start from the labels that the set gives itself.

A folder with one folder of photos a class, or a folder of such folders, is named with --data. Every row has the same
features, labels and photos; the share of the photos without a label that it has right is told. A round trains a linear
classifier on the features, on all labels. "From the set" is `TrainConfig.start`: it is first taught what the
set says. The ensemble is the mean of the log-probabilities of sets by one network each.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.algorithms.transductive import one_thread
from engine.benchmarks import data, overrides, results
from engine.benchmarks.decision_rounds import Rounds
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.photos import TRAIN, net_features, sets_in
from engine.benchmarks.spec import Row
from engine.benchmarks.study import RunFile, Say, Study
from engine.live.model import ImageSet, Labeled
from engine.live.refit import LiveModel
from engine.training import device as devices

FROM_THE_SET = {"start": "frozen:efficientnet_lite0"}
"""In a benchmark the features are the photos' own, whatever is named."""
MPL = {"finetune_share": 0.0}
ROUNDS = (
    Row("labels alone", "supervised", {}, train=TRAIN),
    Row("Pseudo-Label", "pseudo_label", {}, train=TRAIN),
    Row("Pseudo-Label, from the set", "pseudo_label", {}, train=TRAIN | FROM_THE_SET),
    Row("FixMatch", "fixmatch", {}, train=TRAIN),
    Row("FixMatch, from the set", "fixmatch", {}, train=TRAIN | FROM_THE_SET),
    Row("Meta Pseudo Labels", "meta_pseudo_labels", {}, MPL, TRAIN),
    Row("Meta Pseudo Labels, from the set", "meta_pseudo_labels", {}, MPL, TRAIN | FROM_THE_SET),
)
SET, ENSEMBLE = "the set alone", "the set, an ensemble of its networks"


@dataclass(frozen=True)
class PhotoRoundSettings:
    """Settings of the command besides those of the rounds.

    Attributes:
        nets: networks with "+" between them, whose features are joined.
        labels: labels a class at which all rows are compared.
    """

    nets: str = "efficientnet_lite0+mobilenet_v2"
    labels: str = "5,20"


def run(options: Options, say: Say) -> str:
    """Measure every row with every seed and return the tables; `say` hears a line after each.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images.
    """
    settings, rows = overrides.apply_with(PhotoRoundSettings, ROUNDS, options.set)
    devices.set_threads(int(rows[0].train.get("threads", 0)))
    device = devices.resolve("cpu")
    file, runs = RunFile(options, device), []
    for root in sets_in(data_root(options.data)):
        for seed in parse_seeds(options.seeds or "3"):
            for name, measure in _measures(root, settings, rows, seed).items():
                asked = dataclasses.asdict(settings) | {"rows": [dataclasses.asdict(row) for row in rows]}
                title = f"{root.name}, {name}"
                done = file.find(title, seed, asked)
                one = done or file.add({"row": title, "seed": seed, **_timed(measure, settings)}, asked)
                runs.append(one)
                say(f"photo-rounds, {title}, seed {seed}: {one['seconds']:.0f} s" + (", kept" if done else ""))
    return _table(runs, settings, devices.describe(device))


Measure = Callable[[int], float]
"""Takes labels a class, returns the share in % of the photos without a label that are right."""


def _measures(root: Path, settings: PhotoRoundSettings, rows: tuple[Row, ...], seed: int) -> dict[str, Measure]:
    """Return what measures each row."""
    features, truth = net_features(root, settings.nets)
    classes = int(truth.max()) + 1

    def right(probabilities: NDArray[Any], labeled: NDArray[np.int64]) -> float:
        rest = np.setdiff1d(np.arange(len(truth)), labeled)
        return 100 * float((probabilities.argmax(1) == truth)[rest].mean())

    def labeled(each: int) -> NDArray[np.int64]:
        return data.choose_labels(torch.from_numpy(truth), each * classes, seed).numpy()

    def by_round(row: Row) -> Measure:
        def measure(each: int) -> float:
            chosen = labeled(each)
            rounds = Rounds(features, classes, (row, row), devices.resolve("cpu"), seed)
            return right(rounds.train(chosen, truth[chosen], 0, {}).probabilities, chosen)

        return measure

    def by_set(nets: list[str]) -> Measure:
        def measure(each: int) -> float:
            chosen = labeled(each)
            with one_thread():
                said = [_said(net_features(root, net)[0].numpy(), chosen, truth[chosen], seed) for net in nets]
            return right(np.sum(said, axis=0), chosen)

        return measure

    by_name = {row.label: by_round(row) for row in rows} | {SET: by_set([settings.nets])}
    nets = settings.nets.split("+")
    return by_name | ({ENSEMBLE: by_set(nets)} if len(nets) > 1 else {})


def _said(features: NDArray[np.float32], rows: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> NDArray[Any]:
    """Return the log-probabilities (N, K) of a set by these features."""
    none = np.zeros(int(labels.max()) + 1, np.int64)
    refit = LiveModel(ImageSet.of(features, seed)).refit(Labeled(rows, labels, none))
    return np.log(np.maximum(refit.probabilities, 1e-6))


def _timed(measure: Measure, settings: PhotoRoundSettings) -> dict[str, Any]:
    began, cpu_began = time.perf_counter(), time.process_time()
    more: dict[str, float] = {f"at {each}": measure(int(each)) for each in settings.labels.split(",")}
    more["CPU s"] = time.process_time() - cpu_began
    return {"value": next(iter(more.values())), "more": more, "seconds": time.perf_counter() - began}


def _table(runs: list[results.Run], settings: PhotoRoundSettings, device: str) -> str:
    names = [f"at {each}" for each in settings.labels.split(",")] + ["CPU s"]
    lines = [["", *names]]
    for row in dict.fromkeys(run["row"] for run in runs):
        each = [[run["more"][name] for run in runs if run["row"] == row] for name in names]
        lines.append([row, *map(results.mean_spread, each)])
    head = "right of the photos without a label in %, by labels a class; mean ± deviation over the seeds"
    return "\n".join([f"photo-rounds on {device}", "", head, *results.aligned(lines)])


PHOTO_ROUNDS = Study(
    "photos in class folders under DATA: rounds that start from the labels alone and from what the set says", run
)
