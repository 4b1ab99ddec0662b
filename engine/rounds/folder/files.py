"""The names of the files in a round's folder."""

from __future__ import annotations

from pathlib import Path

from engine.files import PARTIAL

CONFIG = "config.json"
LABELS = "labels.parquet"
EVENTS = "events.jsonl"
REPORT = "report.json"
BASELINE = "baseline.json"
ABLATION = "ablation.json"
CANCEL = "control/cancel"
LOCK = "worker.lock"
LOG = "worker.log"
FINAL = "predictions/final.parquet"
FINAL_FEATURES = "features/final.npy"
SIGNALS = "predictions/signals.parquet"
TRACKED_IDS = "features/ids.npy"
MOVING = "moving"
"""The folder of the moving map, in which another process than the round's worker writes."""
RESUME = "Resume the round; it continues from its last checkpoint."
"""The way out told with every end that a resume can mend."""


def sweep_partial(folder: Path) -> int:
    """Remove what writes that were cut off left behind; return how many files."""
    left = [path for path in folder.rglob(f"*{PARTIAL}") if path.parent.name != MOVING]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)
