"""`starling bench photos`: what a person's photos get from few labels, and the decisions until all are right.

A folder with one folder of photos a class, or a folder of such folders, is named with --data. Measured for each:
- accuracy over the photos without a label at 5, 10 and 20 labels a class, and of those whose confidence is at least .95
  how many there are and how many are right;
- decisions to 95, 98 and 99 % right labels in the exported set, from 5 labels a class and from class names alone; none
  is to an image drawn at random unless `one_random_in` or `measured` asks for some, which count like the others.
Rows: today's quick round, a logistic regression, and live labels, the last two on each network. Features are those of
the centre square of each photo, for live labels also of the whole photo, computed once for all rows and seeds; their
time is told apart.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.algorithms.transductive import one_thread
from engine.benchmarks import data, overrides, results
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.photo_decisions import Labeler, Live, LogisticRegression, QuickRounds, Seen, replay
from engine.benchmarks.spec import Row
from engine.benchmarks.study import RunFile, Say, Study
from engine.errors import ConfigError
from engine.live.model import ImageSet
from engine.nets.net_name import FROZEN
from engine.nets.views import VIEWS, seen_as
from engine.query import QUERY_STRATEGIES
from engine.training import device as devices
from engine.training.recommend import QUICK_TRAIN

TRAIN = {**QUICK_TRAIN, "epochs": 30, "steps_per_epoch": 30}
"""Of the linear classifier, 900 steps as the recommendation's standard length."""
QUICK = Row("quick round", "supervised", {"heldout": 0.2}, train=TRAIN)
METHODS = ("quick", "regression", "live")
CHOSEN = "chosen"
TARGETS = (0.95, 0.98, 0.99)
SURE = 0.95


@dataclass(frozen=True)
class PhotoSettings:
    """Settings of the command besides those of the quick round's training, which `--set` takes too.

    Attributes:
        nets: networks with commas between them, of which "a+b" is two joined. Quick rounds are on the first.
        methods: of "quick", "regression" and "live".
        labels: labels a class at which the accuracy is measured.
        starts: labels a class at the start of the decisions; 0 is from class names alone, which quick rounds cannot.
        views: how live labels are shown the photos: "chosen" as the labels choose, or "both", "centre", "whole".
        measured: whether decisions hold answers to a measured set, of which nothing is learned, as in the app.
        one_random_in: one decision in so many is to an image drawn at random, learned from like the others; 0: none.
        queue, rounds_queue: in which order live labels and quick rounds ask, keys of `engine.query.QUERY_STRATEGIES`.
        per_fit, budget: answers between two fits of live labels and of the regression; most answers.
        per_round: answers between two quick rounds.
    """

    nets: str = "mobilenet_v2,efficientnet_lite0+mobilenet_v2"
    methods: str = ",".join(METHODS)
    labels: str = "5,10,20"
    starts: str = "5,0"
    views: str = CHOSEN
    queue: str = "least_sure"
    rounds_queue: str = "least_sure"
    per_fit: int = 10
    per_round: int = 50
    budget: int = 800
    measured: bool = False
    one_random_in: int = 0


def run(options: Options, say: Say) -> str:
    """Measure every row with every seed and return the tables; `say` hears a line after each run.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images.
    """
    settings, (quick,) = overrides.apply_with(PhotoSettings, (QUICK,), options.set)
    methods, nets = _words(settings.methods), _words(settings.nets)
    if not methods or not set(methods) <= set(METHODS) or not nets:
        raise ConfigError("There is no such row", value=settings.methods, way_out=f"Choose among {', '.join(METHODS)}.")
    if settings.views not in (CHOSEN, *VIEWS):
        raise ConfigError("There is no such view", value=settings.views, way_out=f"{CHOSEN}, {', '.join(VIEWS)}.")
    for queue in (settings.queue, settings.rounds_queue):
        if queue not in QUERY_STRATEGIES:
            known = ", ".join(QUERY_STRATEGIES)
            raise ConfigError("There is no such query strategy", value=queue, way_out=f"Use {known}.")
    devices.set_threads(int(quick.train.get("threads", 0)))
    device = devices.resolve("cpu")
    file, runs = RunFile(options, device), []
    for root in sets_in(data_root(options.data)):
        for seed in parse_seeds(options.seeds or "3"):
            for net in nets:
                for method in methods if net == nets[0] else [one for one in methods if one != "quick"]:
                    asked = {**dataclasses.asdict(settings), "train": quick.train, "config": quick.config}
                    asked = {name: value for name, value in asked.items() if name not in ("nets", "methods")}
                    row = f"{root.name}, {method}, {net}"
                    done = file.find(row, seed, asked)
                    one = done or file.add(
                        {"row": row, "seed": seed, **_one(root, net, method, settings, quick, seed)}, asked
                    )
                    runs.append(one)
                    say(
                        f"photos, {row}, seed {seed}: {one['seconds']:.0f} s" + (", kept from the file" if done else "")
                    )
    return _tables(runs, settings, devices.describe(device))


def sets_in(root: Path) -> list[Path]:
    """Return the folders under `root` that hold folders of photos, or `root` itself where it holds them."""
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    sets = [path for path in folders if any(child.is_dir() for child in path.iterdir())]
    return sets or [root]


def net_features(root: Path, net: str) -> tuple[Tensor, NDArray[np.int64]]:
    """Return features (N, D) float32 of the photos under `root` and their classes (N,).

    Args:
        root: one folder a class.
        net: a network, or several joined by "+": each one's features are brought to length 1; with "@whole" after
            its name it is shown whole photos.
    """
    parts = [data.photo_features(root, name) for name in net.split("+")]
    return data.joined([features for features, _ in parts]), parts[0][1].numpy()


def _one(root: Path, net: str, method: str, settings: PhotoSettings, quick: Row, seed: int) -> results.Run:
    """Measure one row with one seed."""
    began, cpu_began = time.perf_counter(), time.process_time()
    features, truth = net_features(root, net)
    shown = {}
    if method == "live":
        names = VIEWS if settings.views == CHOSEN else (settings.views,)
        shown = {name: net_features(root, _seen_as(net, name))[0].numpy() for name in names}
    features_cpu = time.process_time() - cpu_began
    more: dict[str, float | None] = {}
    cpu_began = time.process_time()
    with one_thread():
        seen = {name: Seen(rows, ImageSet.of(rows, seed)) for name, rows in shown.items()}
        z = ImageSet.of(features.numpy(), seed).z if method == "regression" else features.numpy()
    more["graph, CPU s"] = time.process_time() - cpu_began
    classes = int(truth.max()) + 1

    def labeler() -> Labeler:
        if method == "quick":
            return QuickRounds(features, classes, quick, seed, settings.rounds_queue)
        return Live(seen, classes, settings.queue) if method == "live" else LogisticRegression(z, classes)

    for each in map(int, _words(settings.labels)):
        more |= _accuracy(labeler(), truth, each, seed)
    curves = {}
    for start in map(int, _words(settings.starts)):
        if start or method != "quick":
            per_fit = settings.per_round if method == "quick" else settings.per_fit
            played = replay(
                labeler(), truth, _first(truth, start, seed) if start else np.zeros(0, np.int64), per_fit=per_fit,
                budget=settings.budget, target=TARGETS[-1], seed=seed, measured=settings.measured,
                one_random_in=settings.one_random_in,
            )  # fmt: skip
            name = f"from {start} a class" if start else "from zero"
            more |= {f"{name}, {100 * target:.0f} %": played.needed(target) for target in TARGETS}
            more[f"{name}, refit ms"] = played.median_milliseconds()
            curves[name] = [round(float(share), 5) for share in played.right]
    more["CPU s"] = time.process_time() - cpu_began
    return {
        "value": more.get("from 5 a class, 98 %"), "more": more, "seconds": time.perf_counter() - began,
        "right": curves, "features, CPU s": features_cpu,
    }  # fmt: skip


def _seen_as(net: str, view: str) -> str:
    return seen_as(FROZEN + net, view).removeprefix(FROZEN)


def _accuracy(labeler: Labeler, truth: NDArray[np.int64], each: int, seed: int) -> dict[str, float | None]:
    """Return the accuracy in % over the photos without a label, and what the confident ones are worth."""
    rows = _first(truth, each, seed)
    probabilities = labeler.fit(rows, truth[rows], np.zeros(len(rows), np.bool_))
    rest = np.setdiff1d(np.arange(len(truth)), rows)
    first = probabilities[rest].argmax(1)
    right = first == truth[rest]
    confidence = labeler.cautious if isinstance(labeler, Live) else probabilities
    sure = confidence[rest, first] >= SURE
    return {
        f"accuracy at {each}": 100 * float(right.mean()),
        f"≥ .95 at {each}": 100 * float(sure.mean()),
        f"right of them at {each}": 100 * float(right[sure].mean()) if sure.any() else None,
    }


def _first(truth: NDArray[np.int64], each: int, seed: int) -> NDArray[np.int64]:
    """Return rows with `each` labels a class, drawn by the seed, ascending."""
    return data.choose_labels(torch.from_numpy(truth), each * (int(truth.max()) + 1), seed).numpy()


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _tables(runs: Sequence[results.Run], settings: PhotoSettings, device: str) -> str:
    """Return a table of accuracies and one of decisions, mean ± sample deviation over the seeds."""
    each = _words(settings.labels)
    accuracy = [f"{name} at {labels}" for labels in each for name in ("accuracy", "≥ .95", "right of them")]
    starts = [f"from {start} a class" if start != "0" else "from zero" for start in _words(settings.starts)]
    decisions = [f"{start}, {100 * target:.0f} %" for start in starts for target in TARGETS]
    costs = [f"{start}, refit ms" for start in starts] + ["graph, CPU s", "CPU s"]
    parts = [
        (
            "accuracy over the photos without a label; how many are ≥ .95 sure, how many of these are right; all in %",
            accuracy,
            1,
        ),
        (f"decisions, {settings.budget} at most", decisions, 0),
        ("CPU time: median of a refit, the graph, and all but the features", costs, 1),
    ]
    shown = [f"photos on {device}"]
    for title, names, places in parts:
        lines = [["", *names]]
        for row in dict.fromkeys(run["row"] for run in runs):
            mine = [run["more"] for run in runs if run["row"] == row]
            lines.append([row, *(_spread([one.get(name) for one in mine], places) for name in names)])
        shown += ["", title, *results.aligned(lines)]
    return "\n".join(shown)


def _spread(values: Sequence[float | None], places: int) -> str:
    """Return mean ± deviation of the runs that have a value, and how many these are where some have none."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    of = f" ({len(known)} of {len(values)})" if len(known) < len(values) else ""
    return results.mean_spread(known, places) + of


PHOTOS = Study(
    "photos in class folders under DATA: accuracy at 5, 10 and 20 labels a class and decisions until nearly all are "
    "right, by quick rounds, a logistic regression and live labels",
    run,
)
