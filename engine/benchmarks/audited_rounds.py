"""`starling bench audited-rounds` and `calibration`: whether bounds and confidences hold where the truth is known.

A round is trained as the product does it: of few labels a fifth is kept aside and gives the temperature. The truth of
all images without a label is hidden from training and fitting; what is stated of them is held against it.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.benchmarks import data, fixed_audit, overrides, results
from engine.benchmarks.decision_rounds import RoundPredictions, Rounds
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.spec import Row
from engine.benchmarks.study import RunFile, Say, Study
from engine.quality import audit
from engine.training import device as devices
from engine.training.calibrate import ece

HELDOUT = 0.2
LEVEL = 0.95
SIZES = (50, 100, 200)
"""Images audited."""
TRAIN: dict[str, Any] = {"epochs": 1, "steps_per_epoch": 300, "batch_size": 64, "unlabeled_ratio": 2, "dropout": 0.0}
PHOTOS: dict[str, Any] = {**TRAIN, "steps_per_epoch": 600, "augment": "shift_flip"}
AUDITED = Row("MNIST", "pseudo_label", {"set": "MNIST", "labels": 1000, "heldout": HELDOUT}, train=TRAIN)
CALIBRATED = (
    Row("digits", "pseudo_label", {"set": "digits", "labels": 90, "heldout": HELDOUT}, train=TRAIN),
    Row("MNIST", "pseudo_label", {"set": "MNIST", "labels": 500, "heldout": HELDOUT}, train=TRAIN),
    Row("CIFAR-10", "pseudo_label", {"set": "CIFAR10", "labels": 1000, "heldout": HELDOUT}, train=PHOTOS),
)


@dataclass(frozen=True)
class KnownRoundSettings:
    """Settings besides those of the training.

    Attributes:
        images: how many training images of MNIST and CIFAR-10 the seed draws; 0 takes all.
        audits: audits of each size and rule.
        target_error: expected share of errors that the rules accept up to, 0..1.
    """

    images: int = 10_000
    audits: int = 200
    target_error: float = 0.01


@dataclass(frozen=True)
class Known:
    """What a round says of the images it has no label of, probabilities (n, K) and logits (n, K), and their truth (n,).

    `temperature` was fitted on `heldout` labels.
    """

    probabilities: NDArray[np.float32]
    logits: Tensor
    truth: NDArray[np.int64]
    temperature: float
    heldout: int


Measure = Callable[[Known, KnownRoundSettings], dict[str, Any]]


def known_round(row: Row, options: Options, images: int, seed: int, device: torch.device) -> Known:
    """Train the row's round and return what it predicts of the images without a label, beside their truth.

    Raises:
        SourceMissing: the set does not lie in the folder.
    """
    pixels, truth, _ = data.subset(str(row.data["set"]), data_root(options.data), images, seed)
    labeled = data.choose_labels(torch.from_numpy(truth), int(row.data["labels"]), seed).numpy()
    rounds = Rounds(pixels, int(truth.max()) + 1, (row, row), device, seed)
    predicted: RoundPredictions = rounds.train(labeled, truth[labeled], 0, {})
    rest = np.setdiff1d(np.arange(len(truth)), labeled)
    return Known(
        predicted.probabilities[rest],
        predicted.logits[torch.from_numpy(rest)],
        truth[rest],
        predicted.temperature,
        len(predicted.heldout),
    )


def coverage(known: Known, thresholds: NDArray[np.float64], size: int, audits: int) -> dict[str, float]:
    """Simulate audits of what the thresholds (K,) accept and return how often the stated bound holds.

    Returns:
        "accepted" images, the "wrong" share among them, the mean "bound", and "holds": the share of the audits whose
        bound is at least the true share; "rest_holds": the same for the images outside the sample, whose wrong ones
        nobody has mended, and their own bound. Nothing but accepted = 0 where no image is accepted.
    """
    taken = np.flatnonzero(audit.accepted(known.probabilities, thresholds))
    if not len(taken):
        return {"accepted": 0}
    wrong = known.probabilities.argmax(1) != known.truth
    share = float(wrong[taken].mean())
    bounds, rest_holds = [], []
    for seed in range(audits):
        sample = fixed_audit.draw(taken.astype(np.int64), size, seed)
        errors, rest = int(wrong[sample].sum()), len(taken) - len(sample)
        bounds.append(fixed_audit.upper_bound(errors, len(sample), LEVEL))
        limit = fixed_audit.rest_bound(bounds[-1], len(taken), errors, rest)
        rest_holds.append(int(wrong[taken].sum()) - errors <= limit * rest + 1e-9)
    holds = statistics.fmean(bound >= share for bound in bounds)
    return {
        "accepted": len(taken), "wrong": share, "bound": statistics.fmean(bounds), "holds": holds,
        "rest_holds": statistics.fmean(rest_holds),
    }  # fmt: skip


def run_audit(options: Options, say: Say) -> str:
    """Train a round for each seed, audit what two rules accept, and return the table of how often the bound holds."""
    settings, rows = overrides.apply_with(KnownRoundSettings, (AUDITED,), options.set)
    lines = [["", "rule", "audited", "accepted", "wrong, %", "mean bound, %", "bound holds", "for the rest"]]
    for run in _runs(rows, settings, options, say, _audits):
        for case in run["cases"]:
            lines.append([f"seed {run['seed']}", *_case(case, settings.audits)])
    note = f"Bound: {100 * LEVEL:g} %, one-sided. Rules: expected errors up to {100 * settings.target_error:g} %."
    return _titled("audited-rounds: does the bound of a fixed sample hold?", lines, note, options)


def run_calibration(options: Options, say: Say) -> str:
    """Train a round for each set and seed and return the table of calibration errors before and after scaling."""
    settings, rows = overrides.apply_with(KnownRoundSettings, CALIBRATED, options.set)
    runs = _runs(rows, settings, options, say, _calibration)
    names = ("right, %", "ECE before, %", "ECE after, %", "temperature")
    lines = [["", "labels", "held out", *names]]
    for row in rows:
        mine = [run for run in runs if run["row"] == row.label]
        line = [row.label, str(row.data["labels"]), str(mine[0]["heldout"])]
        lines.append(line + [results.mean_spread([run["more"][name] for run in mine], 2) for name in names])
    note = "ECE: 15 bins, on all images without a label; temperature: fitted on the labels held out."
    return _titled("calibration: expected calibration error", lines, note, options)


def _runs(
    rows: Sequence[Row], settings: KnownRoundSettings, options: Options, say: Say, measure: Measure
) -> list[results.Run]:
    """Return a run for each row and seed: those of the file, and the others measured."""
    devices.set_threads(int(rows[0].train.get("threads", 0)))
    device = devices.resolve(options.device)
    file, runs = RunFile(options, device), []
    for seed in parse_seeds(options.seeds or "1"):
        for row in rows:
            trained = {"algorithm": row.algorithm, "data": row.data, "config": row.config, "train": row.train}
            asked = {**dataclasses.asdict(settings), **trained}
            run = file.find(row.label, seed, asked)
            if run is None:
                began = time.perf_counter()
                known = known_round(row, options, settings.images, seed, device)
                right = 100 * float((known.probabilities.argmax(1) == known.truth).mean())
                part = measure(known, settings)
                facts = {"right, %": right, "temperature": known.temperature, **part.pop("more", {})}
                run = {"row": row.label, "seed": seed, "value": right, "more": facts, "heldout": known.heldout, **part}
                run = file.add({**run, "seconds": time.perf_counter() - began}, asked)
            runs.append(run)
            shown = ", ".join(f"{name} {value:.3f}" for name, value in run["more"].items())
            say(f"{options.name}, {row.label}, seed {seed}: {shown}; {run['seconds']:.0f} s")
    return runs


def _audits(known: Known, settings: KnownRoundSettings) -> dict[str, Any]:
    target = settings.target_error
    rules = {
        "one threshold": np.full(known.probabilities.shape[1], audit.global_threshold(known.probabilities, target)),
        "one a class": audit.class_thresholds(known.probabilities, target),
        "every image": np.zeros(known.probabilities.shape[1]),
    }
    return {
        "cases": [
            {"rule": rule, "size": size, **coverage(known, thresholds, size, settings.audits)}
            for rule, thresholds in rules.items()
            for size in SIZES
        ]
    }


def _calibration(known: Known, settings: KnownRoundSettings) -> dict[str, Any]:
    truth = torch.from_numpy(known.truth)
    before, after = (ece(torch.softmax(known.logits / scale, 1), truth) for scale in (1.0, known.temperature))
    return {"more": {"ECE before, %": 100 * before, "ECE after, %": 100 * after}}


def _case(case: Mapping[str, Any], audits: int) -> list[str]:
    """Return the cells of one rule and size."""
    if not case["accepted"]:
        return [str(case["rule"]), str(case["size"]), "0", "–", "–", "–", "–"]
    held = [f"{round(case[name] * audits)} of {audits}" for name in ("holds", "rest_holds")]
    shares = [f"{100 * case[name]:.2f}" for name in ("wrong", "bound")]
    return [str(case["rule"]), str(case["size"]), f"{case['accepted']:,}", *shares, *held]


def _titled(title: str, lines: Sequence[Sequence[str]], note: str, options: Options) -> str:
    device = devices.describe(devices.resolve(options.device))
    return "\n".join([f"{title} ({device})", "", *results.aligned(lines), note])


AUDITED_ROUNDS = Study(
    "MNIST: what thresholds accept, and how often the bound of a fixed sample of it holds", run_audit
)
CALIBRATION = Study("digits, MNIST, CIFAR-10: calibration error before and after temperature scaling", run_calibration)
