"""`starling bench first-guess`: what a guess of each photo's class is worth to live labels until answers overrule it.

The guess is made up: noise on the truth, since no text-image weights come with this program. A folder with one folder
of photos a class, or a folder of such folders, is named with --data. Guesses, each beside live labels without any:
- right for a share of photos, the others wrong one by one, or whole groups of alike photos wrong together;
- at chance, one by one or by groups;
- the first of them with the classes' names in another order.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans

from engine.algorithms.transductive import one_thread
from engine.benchmarks import overrides, results
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.photos import net_features, sets_in
from engine.benchmarks.study import RunFile, Say, Study
from engine.live.graph import Floats, Ints
from engine.live.model import ImageSet, Labeled
from engine.live.refit import LiveModel
from engine.live.rows import log_rows, softmax_rows
from engine.training import device as devices

NONE, RIGHT, GROUPS, CHANCE, CHANCE_GROUPS, PERMUTED = (
    "no guess", "right for a share", "wrong by groups", "chance", "chance by groups", "classes permuted",
)  # fmt: skip
GUESSES = (NONE, RIGHT, GROUPS, CHANCE, CHANCE_GROUPS, PERMUTED)
GROUP_COUNT = 60
SURE = 3.0
"""Mean logit of the guessed class; those of the others are normal around 0."""


@dataclass(frozen=True)
class FirstGuessSettings:
    """Settings of the command.

    Attributes:
        backbone: the network of the features, as in `photos`.
        right: share of photos that a good guess has right, 0..1.
        labels: labels a class at which the accuracy is measured.
        answers: numbers of answers about photos picked at random, at which it is measured too.
    """

    backbone: str = "efficientnet_lite0"
    right: float = 0.7
    labels: str = "0,1,2,5"
    answers: str = "5,20"


def run(options: Options, say: Say) -> str:
    """Measure each guess with every seed and return the table; `say` hears a line after each run.

    Raises:
        ConfigError: a setting is unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images.
    """
    settings, _ = overrides.apply_with(FirstGuessSettings, (), options.set)
    device = devices.resolve("cpu")
    file, runs, asked = RunFile(options, device), [], dataclasses.asdict(settings)
    for root in sets_in(data_root(options.data)):
        for seed in parse_seeds(options.seeds or "3"):
            for guess in GUESSES:
                row = f"{root.name}, {guess}"
                done = file.find(row, seed, asked)
                one = done or file.add({"row": row, "seed": seed, **_one(root, guess, settings, seed)}, asked)
                runs.append(one)
                say(f"first-guess, {row}, seed {seed}" + (", kept from the file" if done else ""))
    return _table(runs, devices.describe(device))


def guess_of(kind: str, images: ImageSet, truth: Ints, right: float, seed: int) -> Floats:
    """Return log-probabilities (M, C) of a made-up guess of a kind among `GUESSES`; right: share a good one hits."""
    rng = np.random.default_rng([seed, 7])
    count, classes = len(truth), int(truth.max()) + 1
    first = truth.copy()
    if kind in (GROUPS, CHANCE_GROUPS):
        group = KMeans(GROUP_COUNT, n_init=1, random_state=seed).fit_predict(images.u)
        named = rng.integers(0, classes, GROUP_COUNT)
        wrong = np.ones(count, np.bool_)
        if kind == GROUPS:
            mostly = np.array([np.bincount(truth[group == one]).argmax() for one in range(GROUP_COUNT)])
            named = (mostly + rng.integers(1, classes, GROUP_COUNT)) % classes
            turn = rng.permutation(GROUP_COUNT)
            sizes = np.cumsum(np.bincount(group, minlength=GROUP_COUNT)[turn])
            wrong = np.isin(group, turn[: int(np.searchsorted(sizes, (1 - right) * count))])
        first[wrong] = named[group[wrong]]
    elif kind == CHANCE:
        first = rng.integers(0, classes, count)
    else:
        wrong = rng.random(count) >= right
        first[wrong] = (truth[wrong] + rng.integers(1, classes, int(wrong.sum()))) % classes
        first = (first + (kind == PERMUTED)) % classes
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), first] = np.maximum(logits.max(1) + 0.01, rng.normal(SURE, 1, count))
    return log_rows(softmax_rows(logits.astype(np.float32)))


def _one(root: Path, kind: str, settings: FirstGuessSettings, seed: int) -> results.Run:
    """Measure one guess with one seed."""
    began = time.perf_counter()
    features, truth = net_features(root, settings.backbone)
    rng = np.random.default_rng(seed)
    more: dict[str, float | None] = {}
    with one_thread():
        images = ImageSet.of(features.numpy(), seed)
        guess = None if kind == NONE else guess_of(kind, images, truth, settings.right, seed)
        for each in map(int, settings.labels.split(",")):
            rows = [rng.permutation(np.flatnonzero(truth == k))[:each] for k in range(int(truth.max()) + 1)]
            more |= _measured(f"{each} a class", images, truth, np.sort(np.concatenate(rows)), guess)
        for answers in map(int, settings.answers.split(",")):
            rows = [rng.permutation(len(truth))[:answers]]
            more |= _measured(f"{answers} answers", images, truth, np.sort(np.concatenate(rows)), guess)
    return {"value": more.get("0 a class"), "more": more, "seconds": time.perf_counter() - began}


def _measured(name: str, images: ImageSet, truth: Ints, rows: Ints, guess: Floats | None) -> dict[str, float | None]:
    """Return the accuracy in % over the photos without a label and the say of the guess; nothing where there is neither
    a label nor a guess."""
    if guess is None and not len(rows):
        return {name: None, f"{name}, say": None}
    present, places = np.unique(truth[rows], return_inverse=True)
    classes = np.concatenate([present, np.setdiff1d(np.arange(int(truth.max()) + 1), present)])
    labeled = Labeled(rows, places, np.zeros(len(present), np.int64))
    refit = LiveModel(images).refit(labeled, None if guess is None else guess[:, classes])
    rest = np.setdiff1d(np.arange(len(truth)), rows)
    hits = (classes[refit.probabilities.argmax(1)] == truth)[rest]
    return {name: 100 * float(hits.mean()), f"{name}, say": refit.guess_say}


def _table(runs: Sequence[results.Run], device: str) -> str:
    """Return accuracies, mean ± sample deviation over the seeds, and behind them the mean say of the guess."""
    names = [name for name in runs[0]["more"] if not name.endswith(", say")]
    lines = [["", *names]]
    for row in dict.fromkeys(run["row"] for run in runs):
        mine = [run["more"] for run in runs if run["row"] == row]
        lines.append(
            [row, *(_cell([one[name] for one in mine], [one[f"{name}, say"] for one in mine]) for name in names)]
        )
    title = f"first-guess on {device}: accuracy over the photos without a label in %, and what the guess counted"
    return "\n".join([title, "", *results.aligned(lines)])


def _cell(values: Sequence[float | None], says: Sequence[float | None]) -> str:
    known, weights = [one for one in values if one is not None], [one for one in says if one is not None]
    if not known:
        return "–"
    return f"{results.mean_spread(known)} ({statistics.fmean(weights):.2f})"


FIRST_GUESS = Study(
    "a made-up guess of each photo's class beside live labels: accuracy from no label to 5 a class, and after 20 "
    "answers when the guess is at chance or wrong",
    run,
)
