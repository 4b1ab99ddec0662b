from __future__ import annotations

import json
from typing import Any

from engine.records.rounds import AblationFigures, HeldoutFigures, RoundReport, Verdict

HELDOUT = {"n": 8, "correct": 6, "accuracy": 0.75, "low": 0.35, "high": 0.97, "method": "exact", "images": 0}
WRITTEN: dict[str, Any] = {
    "algorithm": "meta_pseudo_labels",
    "classes": ["cat", "dog"],
    "heldout": HELDOUT,
    "baseline": HELDOUT | {"correct": 5, "accuracy": 0.625},
    "passed_over": HELDOUT | {"correct": 4, "accuracy": 0.5},
    "ablation": HELDOUT | {"both_right": 5, "only_main": 1, "only_ablation": 1, "p_value": 1.0},
    "calibration": {"temperature": 1.3, "ece_before": 0.1, "ece_after": 0.05, "n": 8},
    "confusion": [[3, 1], [1, 3]],
    "counts": {"train": 10, "heldout": 8, "unlabeled": 30},
    "histogram": [14, 16],
    "predictions": {"file": "predictions/final.parquet", "sha256": "aa"},
    "signals": {"disagreement": 48, "bald": 0, "notes": ["no dropout"]},
    "seconds": 12.5,
    "seconds_per_epoch": 3.1,
    "device": "cpu",
    "peak_memory_mb": 300.0,
    "peak_device_memory_mb": None,
    "epochs": 4,
    "checkpoint": {"file": "checkpoints/main/epoch-00004.ckpt", "sha256": "bb"},
    "recoveries": ["memory ran out"],
    "attempts": 2,
    "verdict": {"promoted": False, "reason": "Held back."},
}


def test_a_report_is_written_as_it_was_read() -> None:
    report = RoundReport.from_json(json.loads(json.dumps(WRITTEN)))
    assert report.to_json() == WRITTEN
    assert list(report.to_json()) == list(WRITTEN)
    assert report.heldout == HeldoutFigures(8, 6, 0.75, 0.35, 0.97, "exact")
    assert report.ablation == AblationFigures(report.heldout, 5, 1, 1, 1.0)


def test_what_a_report_lacks_is_as_if_nothing_was_measured() -> None:
    report = RoundReport.from_json({"verdict": {"promoted": False, "reason": "worse"}})
    assert report == RoundReport(verdict=Verdict(False, "worse"))
    assert (report.heldout.n, report.heldout.low, report.heldout.high) == (0, 0.0, 1.0)
    assert RoundReport.from_json(report.to_json()) == report


def test_a_comparison_that_was_not_trained_stays_none() -> None:
    report = RoundReport.from_json(WRITTEN | {"baseline": None, "ablation": None})
    assert (report.baseline, report.ablation) == (None, None)
    assert report.to_json()["ablation"] is None
