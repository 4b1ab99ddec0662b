"""What a round has written, for the app: also while it runs, when later files are still missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.errors import ProjectCorrupt, RoundError
from engine.records import Predictions
from engine.rounds import files
from engine.rounds.events import read_events

_EPOCH_FILE = re.compile(r"epoch-(\d+)\.(?:parquet|npy)")
_FEATURES_FILE = re.compile(r"epoch-(\d+)\.npy")


def curves(folder: Path) -> dict[str, list[Any]]:
    """Return a round's metrics as a table in long form: one row an epoch and phase, equally long columns.

    The columns are "phase" ("ablation", "baseline" or "main"), "epoch" (counted from 1) and every metric that any
    epoch reported; None where an epoch did not report one. Rows are in the order of phase and epoch. An epoch that was
    trained twice, before and after an interruption, counts once. Empty lists before the first epoch.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for event in read_events(folder / files.EVENTS, {"epoch"}):
        found[(str(event["phase"]), int(event["epoch"]))] = event.get("metrics") or {}
    names = sorted({name for metrics in found.values() for name in metrics})
    keys = sorted(found)
    table: dict[str, list[Any]] = {"phase": [key[0] for key in keys], "epoch": [key[1] for key in keys]}
    return table | {name: [found[key].get(name) for key in keys] for name in names}


def epochs(folder: Path) -> list[int]:
    """Return the epochs (from 1, ascending) whose predictions are recorded."""
    return _numbers(folder / "predictions", "parquet")


def epoch_predictions(folder: Path, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.float32]]:
    """Return image ids (U,), class indices (U,) and confidences (U,) of the images unlabeled in this round.

    Raises:
        RoundError: this epoch is not recorded.
    """
    path = folder / "predictions" / f"epoch-{epoch:03d}.parquet"
    if not path.is_file():
        raise RoundError(
            "This epoch has no recorded predictions", value=f"epoch {epoch}", way_out="Choose another epoch."
        )
    frame = pd.read_parquet(path, columns=["image_id", "class", "confidence"])
    return (
        frame["image_id"].to_numpy(np.int64),
        frame["class"].to_numpy(np.int16),
        frame["confidence"].to_numpy(np.float32),
    )


def final_predictions(folder: Path) -> Predictions:
    """Return a complete round's calibrated predictions for all its images.

    Raises:
        RoundError: the round has not written them.
        ProjectCorrupt: they are not what the round wrote.
    """
    path = folder / files.FINAL
    try:
        plan = files.read_json(folder / files.CONFIG)
        report = files.read_json(folder / files.REPORT)
        digest = files.sha256_of(path)
    except FileNotFoundError as error:
        raise RoundError(
            "This round has no final predictions", value=folder.name, way_out="Let it finish, or resume it."
        ) from error
    if digest != report["predictions"]["sha256"]:
        raise ProjectCorrupt(
            "The round's predictions differ from what it wrote",
            value=path,
            way_out="Restore the file from a backup, or train another round.",
        )
    frame = pd.read_parquet(path)
    classes = tuple(plan["classes"])
    columns = [f"p_{k}" for k in range(len(classes))]
    return Predictions(
        round=int(plan["number"]),
        image_ids=frame["image_id"].to_numpy(np.int64),
        probabilities=np.ascontiguousarray(frame[columns].to_numpy(np.float32)),
        classes=classes,
    )


def roles(folder: Path) -> dict[int, str]:
    """Return each image's role in the round (train, heldout, unlabeled or excluded); empty before it was
    planned."""
    path = folder / files.LABELS
    if not path.is_file():
        return {}
    frame = pd.read_parquet(path, columns=["image_id", "role"])
    return dict(zip(frame["image_id"].tolist(), frame["role"].tolist(), strict=True))


def tracked_epochs(folder: Path) -> list[int]:
    """Return the epochs (from 1, ascending) whose features of the tracked images are recorded."""
    return _numbers(folder / "features", "npy")


def tracked_ids(folder: Path) -> NDArray[np.int64]:
    """Return the ids (T,) of the images a round tracks, ascending.

    Raises:
        RoundError: the round has recorded none.
    """
    found: NDArray[np.int64] = _load(folder / files.TRACKED_IDS, "This round tracks no images", folder.name)
    return found


def tracked_features(folder: Path, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Return ids (T,) and features (T, D) of the tracked images after an epoch.

    Raises:
        RoundError: this epoch has none.
    """
    cause, value = "This epoch has no recorded features", f"epoch {epoch}"
    base = folder / "features"
    return _load(folder / files.TRACKED_IDS, cause, value), _load(base / f"epoch-{epoch:03d}.npy", cause, value)


def tracked_predictions(
    folder: Path, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32] | None]:
    """Return ids (T,) and what is said of the tracked images, labeled ones too, after an epoch.

    Probabilities (T, K) are the evaluated model's, not calibrated, with three digits; the third entry has those of the
    teacher beside it, None where the algorithm has none.

    Raises:
        RoundError: this epoch has none; rounds of earlier versions recorded features alone.
    """
    cause, value = "This epoch has no recorded probabilities of tracked images", f"epoch {epoch}"
    base = folder / "features"
    ids = _load(folder / files.TRACKED_IDS, cause, value)
    student = _load(base / f"student-{epoch:03d}.npy", cause, value).astype(np.float32)
    path = base / f"teacher-{epoch:03d}.npy"
    return ids, student, np.load(path).astype(np.float32) if path.is_file() else None


def _numbers(folder: Path, ending: str) -> list[int]:
    """Return the numbers of the epochs that have a whole file in a folder, ascending."""
    names = (path.name for path in folder.glob(f"epoch-*.{ending}"))
    return sorted(int(match.group(1)) for name in names if (match := _EPOCH_FILE.fullmatch(name)))


def _load(path: Path, cause: str, value: str) -> NDArray[Any]:
    """Return a recorded array, or raise RoundError with this cause and value where it is not recorded."""
    try:
        found: NDArray[Any] = np.load(path)
    except FileNotFoundError as error:
        raise RoundError(cause, value=value, way_out="Choose another epoch or round.") from error
    return found
