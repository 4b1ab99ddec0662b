"""`starling bench rare`: how many images of a rare class, swept into common ones, so many looks find.

scikit-learn's digits, of which one class in turn keeps so few images that it is one in a hundred; live labels from a
few labels say what the others are. Among the images predicted as another class those of the rare one are looked for, in
the order in which they lie near it (`engine.quality.rare`), by the stated confidence, least first, as accepting by a
threshold goes, by the live model's own sureness, as its queue goes, and at random.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from engine.algorithms.transductive import one_thread
from engine.benchmarks import overrides, results
from engine.benchmarks.options import Options, parse_seeds
from engine.benchmarks.study import RunFile, Say, Study
from engine.live.model import VOTES_GRADIENTS, ImageSet, Labeled
from engine.live.refit import LiveModel
from engine.live.stated import stated
from engine.nets.hog import hog_features
from engine.quality.rare import near_rare, rare_classes
from engine.training import device as devices

NEAR, CONFIDENCE, SURENESS, CHANCE = "near the rare class", "least confident", "least sure", "random"
CLASSES = 10


@dataclass(frozen=True)
class RareSettings:
    """Settings of the command.

    Attributes:
        images: of the rare class.
        labels, rare_labels: labels a common class has, and the rare one.
        looks: numbers of images that are looked at, with commas between them.
    """

    images: int = 16
    labels: int = 5
    rare_labels: int = 1
    looks: str = "20,50,100"


def run(options: Options, say: Say) -> str:
    """Measure every class as the rare one with every seed and return the table; `say` hears a line after each seed.

    Raises:
        ConfigError: a setting is unknown, or the file of results is there without `--resume`.
    """
    settings, _ = overrides.apply_with(RareSettings, (), options.set)
    device = devices.resolve("cpu")
    file, runs, asked = RunFile(options, device), [], dataclasses.asdict(settings)
    for seed in parse_seeds(options.seeds or "5"):
        done = file.find("digits", seed, asked)
        runs.append(done or file.add({"row": "digits", "seed": seed, **_one(settings, seed)}, asked))
        say(f"rare, digits, seed {seed}" + (", kept from the file" if done else ""))
    return _table(runs, settings, devices.describe(device))


def _one(settings: RareSettings, seed: int) -> results.Run:
    """Let each class be the rare one; return the shares found of all that were swept into common classes."""
    began = time.perf_counter()
    digits = load_digits()
    pixels = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]
    features, truth = hog_features(pixels).numpy(), digits.target.astype(np.int64)
    looks = [int(count) for count in settings.looks.split(",")]
    found = {name: np.zeros(len(looks)) for name in (NEAR, CONFIDENCE, SURENESS, CHANCE)}
    swept_in_all = named_rare = within_ten = at_risk = 0
    for rare in range(CLASSES):
        rng = np.random.default_rng([seed, rare])
        few = rng.permutation(np.flatnonzero(truth == rare))[: settings.images]
        kept = np.sort(np.concatenate([np.flatnonzero(truth != rare), few]))
        y = truth[kept]
        each = [settings.rare_labels if one == rare else settings.labels for one in range(CLASSES)]
        rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(y == k))[: each[k]] for k in range(CLASSES)]))
        with one_thread():
            images = ImageSet.of(features[kept], seed)
            fit = LiveModel(images, VOTES_GRADIENTS).refit(Labeled(rows, y[rows], np.zeros(CLASSES, np.int64)))
        said = stated(fit.probabilities, fit.confidence, fit.cautious)
        called = said.argmax(1)
        called[rows] = y[rows]
        named_rare += bool(rare_classes(np.bincount(called, minlength=CLASSES))[rare])
        asked = np.setdiff1d(np.flatnonzero(called != rare), rows)
        swept = asked[y[asked] == rare]
        swept_in_all += len(swept)
        near = near_rare(images.z, called, np.arange(CLASSES) == rare, asked)
        at_risk += int((near.closeness <= 1).sum())
        within_ten += int(np.isin(near.rows[near.closeness <= 1], swept).sum())
        orders = {
            NEAR: near.rows,
            CONFIDENCE: asked[np.argsort(said[asked].max(1), kind="stable")],
            SURENESS: asked[np.argsort(fit.probabilities[asked].max(1), kind="stable")],
            CHANCE: rng.permutation(asked),
        }
        for name, order in orders.items():
            found[name] += [np.isin(order[:count], swept).sum() for count in looks]
    more = {
        f"{name}, {count}": 100 * float(hits) / max(swept_in_all, 1)
        for name, counts in found.items()
        for count, hits in zip(looks, counts.tolist(), strict=True)
    }
    told = {
        "swept": swept_in_all / CLASSES, "named": named_rare / CLASSES, "at risk": at_risk / CLASSES,
        "of them swept": 100 * within_ten / max(swept_in_all, 1),
    }  # fmt: skip
    return {"value": more[f"{NEAR}, {looks[-1]}"], "more": more | told, "seconds": time.perf_counter() - began}


def _table(runs: Sequence[results.Run], settings: RareSettings, device: str) -> str:
    """Return what was found, mean ± sample deviation over the seeds."""
    looks = settings.looks.split(",")
    lines = [["", *(f"{count} looks" for count in looks)]]
    for name in (NEAR, CONFIDENCE, SURENESS, CHANCE):
        cells = [results.mean_spread([one["more"][f"{name}, {int(count)}"] for one in runs], 0) for count in looks]
        lines.append([name, *cells])
    mean = {name: statistics.fmean(one["more"][name] for one in runs) for name in ("swept", "named", "at risk")}
    caught = statistics.fmean(one["more"]["of them swept"] for one in runs)
    told = (
        f"{mean['swept']:.1f} of {settings.images - settings.rare_labels} images of the rare class are swept into "
        f"another; the rule calls it rare in {100 * mean['named']:.0f} % of cases; it is among the ten nearest of "
        f"{mean['at risk']:.0f} images predicted as another class, which are {caught:.0f} % of those swept"
    )
    title = f"rare on {device}: share of the swept images found, in %"
    return "\n".join([title, "", *results.aligned(lines), "", told])


RARE = Study("digits with a class of one image in a hundred: what looks at images near it find, needs no data", run)
