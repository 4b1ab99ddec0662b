"""The end of a round: calibrated probabilities for every image, the held-out report, the verdict."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest  # type: ignore[import-untyped]
from torch import Tensor

from engine.algorithms import ALGORITHMS, Algorithm
from engine.records.rounds import (
    AblationFigures,
    CalibrationFigures,
    HeldoutFigures,
    PoolCounts,
    RoundReport,
    WrittenFile,
)
from engine.rounds.folder import files
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.worker import guard, signals
from engine.rounds.worker.material import Material
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import Stop
from engine.training import calibrate, evaluate
from engine.training.pools import Pools

Reached = tuple[HeldoutFigures, list[int]]
"""What a phase reached on the held-out images, and the class (H,) it gave to each, in the order of the pools."""


@dataclass(frozen=True)
class Phases:
    """What the phases of a round came to.

    main: the round's own algorithm. baseline, ablation: what was trained beside it, each None where it was not.
    used: share of the unlabeled images whose pseudo-label counted in the round's own algorithm, by epoch; () where it
    reports none.
    """

    main: Reached
    baseline: Reached | None = None
    ablation: Reached | None = None
    used: tuple[float, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether the baseline's model is the round's result."""
        return guard.better_alone(self.main[0], None if self.baseline is None else self.baseline[0])


def complete(
    plan: RoundPlan,
    recorder: RoundRecorder,
    algorithm: Algorithm,
    data: Material,
    phases: Phases,
    facts: dict[str, Any],
    stop: Stop,
) -> RoundReport:
    """Write predictions/final.parquet, the features and signals of all images, and report.json; return the report.

    Args:
        plan: the round's plan.
        recorder: writes the files.
        algorithm: the round's result, trained to its end: the round's own, or its baseline where `phases.alone`.
        data: what it was trained on.
        phases: what the round's algorithm reached, and what was trained beside it.
        facts: fields of the report on the run: seconds, device, memory, checkpoint and so on.
        stop: looked at all the while until the first file is written.

    Raises:
        Stopped: a stop was asked for.
    """
    logits, features, notes = signals.predict(algorithm, data.pools.images, stop.check)
    seed = int(plan.train.get("seed", 0))
    measured, left_out = signals.measure(recorder.folder, algorithm, data, logits, seed, stop.check)
    held, labels = logits[data.pools.heldout_idx], data.pools.heldout_y
    temperature = calibrate.fit_temperature(held, labels)
    probabilities = torch.softmax(logits / temperature, 1).numpy().astype(np.float32)
    digest = recorder.final_predictions(data.ids, data.roles, probabilities, calibrated=len(labels) > 0)
    recorder.signals(features, measured.frame())
    guesses = probabilities[data.pools.unlabeled_idx.numpy()].argmax(1)
    own = heldout_figures(held, labels, data.pools.heldout_images)
    baseline = None if phases.baseline is None else phases.baseline[0]
    passed_over = phases.main[0] if phases.alone else None
    histogram = tuple(np.bincount(guesses, minlength=len(plan.classes)).tolist())
    judged = guard.Judged(plan.classes, *label_counts(data.pools), histogram, phases.used)
    report = RoundReport(
        algorithm=ALGORITHMS[plan.algorithm].baseline if phases.alone else plan.algorithm,
        classes=tuple(plan.classes),
        heldout=own,
        baseline=baseline,
        passed_over=passed_over,
        ablation=None if phases.ablation is None else compared(*phases.ablation, phases.main[1], labels),
        calibration=calibration(held, labels, temperature),
        confusion=confusion(held, labels, len(plan.classes)),
        counts=PoolCounts(len(data.pools.train_idx), len(labels), len(data.pools.unlabeled_idx)),
        histogram=histogram,
        predictions=WrittenFile(files.FINAL, digest),
        signals=signals.counts(measured) | {"notes": notes + left_out},
        verdict=guard.verdict(own, baseline, plan.previous, judged, passed_over),
        **facts,
    )
    recorder.json(files.REPORT, report.to_json())
    return report


def reached(algorithm: Algorithm, pools: Pools) -> Reached:
    """Return how many held-out images the averaged model has right, and the class (H,) it gives to each."""
    logits = _logits(algorithm, pools, pools.heldout_idx)
    return heldout_figures(logits, pools.heldout_y, pools.heldout_images), logits.argmax(1).tolist()


def label_counts(pools: Pools) -> tuple[list[int], list[int]]:
    """Return the labels by class (K,): all of them, and those held out."""
    held = torch.bincount(pools.heldout_y, minlength=pools.num_classes)
    return (held + torch.bincount(pools.train_y, minlength=pools.num_classes)).tolist(), held.tolist()


def heldout_figures(logits: Tensor, labels: Tensor, images: int = 0) -> HeldoutFigures:
    """Return how many are right and the 95 % Clopper–Pearson interval of the share; accuracy is 0 when n is 0.

    Args:
        logits: (n, K), of one image a group.
        labels: (n,).
        images: how many labeled images these groups have; 0 without groups.
    """
    n = len(labels)
    correct = int((logits.argmax(1) == labels).sum()) if n else 0
    low, high = calibrate.accuracy_interval(correct, n)
    return HeldoutFigures(n, correct, correct / n if n else 0.0, low, high, "Clopper–Pearson 95 %", images)


def compared(figures: HeldoutFigures, predicted: list[int], own: list[int], labels: Tensor) -> AblationFigures:
    """Return how the ablation and the round did on the same held-out images.

    The p-value says how likely a difference as large as that between `only_main` and `only_ablation` is when both are
    equally good (exact McNemar test, two-sided; 1.0 when they never differ).

    Args:
        figures: what the ablation reached.
        predicted: the class (H,) it gave to each held-out image.
        own: the class (H,) that the round's own algorithm gave to each.
        labels: (H,).

    Source: McNemar 1947, by the exact binomial distribution.
    """
    main = torch.tensor(own, dtype=torch.int64) == labels
    other = torch.tensor(predicted, dtype=torch.int64) == labels
    only_main, only_other = int((main & ~other).sum()), int((other & ~main).sum())
    differ = only_main + only_other
    p_value = float(binomtest(only_main, differ).pvalue) if differ else 1.0
    return AblationFigures(figures, int((main & other).sum()), only_main, only_other, p_value)


def calibration(logits: Tensor, labels: Tensor, temperature: float) -> CalibrationFigures:
    """Return the temperature and the expected calibration error before and after it.

    The error after is measured on the labels the temperature was fitted to; one number is fitted, so it
    flatters little, but it does.
    """
    if not len(labels):
        return CalibrationFigures()
    before, after = (calibrate.ece(torch.softmax(logits / t, 1), labels) for t in (1.0, temperature))
    return CalibrationFigures(temperature, before, after, len(labels))


def confusion(logits: Tensor, labels: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return counts (K, K) over the held-out images: rows are labels, columns predictions."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels.numpy(), logits.argmax(1).numpy()), 1)
    return tuple(tuple(row) for row in table.tolist())


def peak_memory_mb() -> float:
    """Return the process's largest resident size so far in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def peak_device_memory_mb(where: torch.device) -> float | None:
    """Return the most memory taken on a CUDA device so far in MiB; None elsewhere."""
    return round(torch.cuda.max_memory_allocated(where) / 2**20, 1) if where.type == "cuda" else None


def _logits(algorithm: Algorithm, pools: Pools, rows: Tensor) -> Tensor:
    return evaluate.predict_run(algorithm, pools.images, rows).logits
