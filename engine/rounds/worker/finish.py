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

from engine.algorithms import Algorithm
from engine.rounds.folder import files
from engine.rounds.folder.plan import RoundPlan
from engine.rounds.worker import guard, signals
from engine.rounds.worker.material import Material
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import Stop
from engine.training import calibrate, evaluate
from engine.training.pools import Pools


@dataclass(frozen=True)
class HeldoutBeside:
    """Held-out figures of what was trained beside the round, each None where it was not.

    They have "predicted" too, the class given to each held-out image in the order of the pools.
    """

    baseline: dict[str, Any] | None = None
    ablation: dict[str, Any] | None = None


def complete(
    plan: RoundPlan,
    recorder: RoundRecorder,
    algorithm: Algorithm,
    data: Material,
    beside: HeldoutBeside,
    facts: dict[str, Any],
    stop: Stop,
) -> dict[str, Any]:
    """Write predictions/final.parquet, the features and signals of all images, and report.json; return the report.

    Args:
        plan: the round's plan.
        recorder: writes the files.
        algorithm: trained to its end.
        data: what it was trained on.
        beside: what was trained beside it, to compare with.
        facts: what the report says of the run: seconds, device, memory, checkpoint.
        stop: looked at all the while until the first file is written.

    Raises:
        Stopped: a stop was asked for.
    """
    logits, features, notes = signals.predict(algorithm, data.pools.images, stop.check)
    measured = signals.measure(recorder.folder, algorithm, data, logits, int(plan.train.get("seed", 0)), stop.check)
    held, labels = logits[data.pools.heldout_idx], data.pools.heldout_y
    temperature = calibrate.fit_temperature(held, labels)
    probabilities = torch.softmax(logits / temperature, 1).numpy().astype(np.float32)
    digest = recorder.final_predictions(data.ids, data.roles, probabilities)
    recorder.signals(features, measured.frame(data.ids))
    guesses = probabilities[data.pools.unlabeled_idx.numpy()].argmax(1)
    report: dict[str, Any] = {
        "algorithm": plan.algorithm,
        "classes": plan.classes,
        "heldout": heldout_figures(held, labels),
        "baseline": _figures(beside.baseline),
        "ablation": compared(beside.ablation, held, labels),
        "calibration": calibration(held, labels, temperature),
        "confusion": confusion(held, labels, len(plan.classes)),
        "counts": {
            "train": len(data.pools.train_idx),
            "heldout": len(labels),
            "unlabeled": len(data.pools.unlabeled_idx),
        },
        "histogram": np.bincount(guesses, minlength=len(plan.classes)).tolist(),
        "predictions": {"file": files.FINAL, "sha256": digest},
        "signals": measured.facts() | {"notes": notes + measured.notes},
        **facts,
    }
    promoted, reason = guard.verdict(report, beside.baseline, plan.previous)
    report["verdict"] = {"promoted": promoted, "reason": reason}
    recorder.json(files.REPORT, report)
    return report


def heldout_logits(algorithm: Algorithm, pools: Pools) -> Tensor:
    """Return the averaged model's logits (H, K) float32 on the held-out images."""
    return _logits(algorithm, pools, pools.heldout_idx)


def heldout_figures(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return n, correct, accuracy and its 95 % Clopper–Pearson interval; accuracy is 0 when n is 0."""
    n = len(labels)
    correct = int((logits.argmax(1) == labels).sum()) if n else 0
    low, high = calibrate.accuracy_interval(correct, n)
    return {
        "n": n,
        "correct": correct,
        "accuracy": correct / n if n else 0.0,
        "low": low,
        "high": high,
        "method": "Clopper–Pearson 95 %",
    }


def compared(ablation: dict[str, Any] | None, logits: Tensor, labels: Tensor) -> dict[str, Any] | None:
    """Return the ablation's figures and how it and the round did on the same held-out images; None without one.

    Counts `both_right`, `only_main`, `only_ablation`, and `p_value`: how likely a difference as large as that between
    the last two is when both are equally good (exact McNemar test, two-sided; 1.0 when they never differ).

    Args:
        ablation: the figures with "predicted"; that list is left out of the result.
        logits: (H, K) of the round.
        labels: (H,).

    Source: McNemar 1947, by the exact binomial distribution.
    """
    if ablation is None:
        return None
    main = logits.argmax(1) == labels
    other = torch.tensor(ablation["predicted"], dtype=torch.int64) == labels
    only_main, only_other = int((main & ~other).sum()), int((other & ~main).sum())
    differ = only_main + only_other
    return (_figures(ablation) or {}) | {
        "both_right": int((main & other).sum()),
        "only_main": only_main,
        "only_ablation": only_other,
        "p_value": float(binomtest(only_main, differ).pvalue) if differ else 1.0,
    }


def _figures(beside: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if beside is None else {key: value for key, value in beside.items() if key != "predicted"}


def calibration(logits: Tensor, labels: Tensor, temperature: float) -> dict[str, Any]:
    """Return the temperature and the expected calibration error before and after it.

    The error after is measured on the labels the temperature was fitted to; one number is fitted, so it
    flatters little, but it does.
    """
    if not len(labels):
        return {"temperature": 1.0, "ece_before": None, "ece_after": None, "n": 0}
    return {
        "temperature": temperature,
        "ece_before": calibrate.ece(torch.softmax(logits, 1), labels),
        "ece_after": calibrate.ece(torch.softmax(logits / temperature, 1), labels),
        "n": len(labels),
    }


def confusion(logits: Tensor, labels: Tensor, classes: int) -> list[list[int]]:
    """Return counts (K, K) over the held-out images: rows are labels, columns predictions."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (labels.numpy(), logits.argmax(1).numpy()), 1)
    return [[int(cell) for cell in row] for row in table]


def peak_memory_mb() -> float:
    """Return the process's largest resident size so far in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def peak_device_memory_mb(where: torch.device) -> float | None:
    """Return the most memory taken on a CUDA device so far in MiB; None elsewhere."""
    return round(torch.cuda.max_memory_allocated(where) / 2**20, 1) if where.type == "cuda" else None


def _logits(algorithm: Algorithm, pools: Pools, rows: Tensor) -> Tensor:
    model = algorithm.eval_model()
    where = next(model.parameters()).device
    return evaluate.predict_logits(model, pools.images, rows, where).float().cpu()
