"""What a round has written, for the app: also while it runs, when later files are still missing."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine import whole
from engine.errors import ProjectCorrupt, RoundError
from engine.records.rounds import Predictions, RoundReport
from engine.rounds.folder import damage, files
from engine.rounds.folder.digests import FROM_BACKUP, ROUND
from engine.rounds.folder.events import read_events
from engine.rounds.folder.plan import read_config

LEARNED = ("train", "heldout")
"""Roles of images whose labels a round knew."""
TRIES, PAUSE = 5, 0.05
"""How often and how many seconds apart predictions are looked for that a report names and that are not there."""


def read_report(folder: Path) -> RoundReport:
    """Return a complete round's report.

    Raises:
        FileNotFoundError: the round is not complete.
        ProjectCorrupt: it is not what the round wrote.
    """
    return RoundReport.from_json(json.loads(ROUND.content(folder, files.REPORT)))


def curves(folder: Path) -> dict[str, list[Any]]:
    """Return a round's metrics as a table in long form: one row an epoch and phase, equally long columns.

    The columns are "phase" ("ablation", "baseline" or "main"), "epoch" (counted from 1) and every metric that any
    epoch reported; None where an epoch did not report one. Rows are in the order of phase and epoch. An epoch that was
    trained twice, before and after an interruption, counts once. Empty lists before the first epoch.

    Raises:
        ProjectCorrupt: the events are not what the round wrote.
    """
    with suppress(FileNotFoundError):
        ROUND.check(folder, files.EVENTS)
    by_epoch: dict[tuple[str, int], dict[str, Any]] = {}
    for event in read_events(folder / files.EVENTS, {"epoch"}):
        by_epoch[(str(event["phase"]), int(event["epoch"]))] = event.get("metrics") or {}
    names = sorted({name for metrics in by_epoch.values() for name in metrics})
    keys = sorted(by_epoch)
    table: dict[str, list[Any]] = {"phase": [key[0] for key in keys], "epoch": [key[1] for key in keys]}
    return table | {name: [by_epoch[key].get(name) for key in keys] for name in names}


def epochs(folder: Path) -> list[int]:
    """Return the epochs (from 1, ascending) whose predictions are recorded."""
    return files.recorded(folder, files.epoch_predictions)


def epoch_predictions(folder: Path, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.float32]]:
    """Return image ids (U,), class indices (U,) and confidences (U,) of the images unlabeled in this round.

    Raises:
        RoundError: this epoch is not recorded.
        ProjectCorrupt: its file can not be read, or is not what the round wrote.
    """
    name = files.epoch_predictions(epoch)
    with damage.told(folder / name):
        try:
            frame = whole.table_in(ROUND.content(folder, name), ["image_id", "class", "confidence"])
        except FileNotFoundError as error:
            raise RoundError(
                "This epoch has no recorded predictions", value=f"epoch {epoch}", way_out="Choose another epoch."
            ) from error
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
    for tries_left in reversed(range(TRIES)):
        try:
            plan = read_config(folder)
            report = read_report(folder)
            path = folder / (report.predictions.file or files.FINAL)
            content = path.read_bytes()
            break
        except FileNotFoundError as error:
            if not tries_left or not (folder / files.REPORT).exists():
                raise RoundError(
                    "This round has no final predictions", value=folder.name, way_out="Let it finish, or resume it."
                ) from error
            time.sleep(PAUSE)  # a live round has been fitted more than once since its report was read
    if hashlib.sha256(content).hexdigest() != report.predictions.sha256:
        raise ProjectCorrupt(
            "The round's predictions differ from what it wrote",
            value=path,
            way_out=FROM_BACKUP,
        )
    return _predictions(int(plan["number"]), report, content, tuple(plan["classes"]))


def _predictions(number: int, report: RoundReport, content: bytes, planned: tuple[str, ...]) -> Predictions:
    frame = pd.read_parquet(io.BytesIO(content))
    classes = report.classes or planned  # a live round's plan may have a class more than its last refit
    columns = [f"p_{k}" for k in range(len(classes))]
    return Predictions(
        round=number,
        image_ids=frame["image_id"].to_numpy(np.int64),
        probabilities=np.ascontiguousarray(frame[columns].to_numpy(np.float32)),
        classes=classes,
        version=report.predictions.sha256,
    )


def roles(folder: Path) -> dict[int, str]:
    """Return each image's role in the round (train, heldout, unlabeled, aside or excluded); empty before it was
    planned.

    Raises:
        ProjectCorrupt: they are not what the round wrote.
    """
    try:
        frame = whole.table_in(ROUND.content(folder, files.LABELS), ["image_id", "role"])
    except FileNotFoundError:
        return {}
    return dict(zip(frame["image_id"].tolist(), frame["role"].tolist(), strict=True))


def learned_ids(folder: Path) -> NDArray[np.int64]:
    """Return the images, ascending, whose labels the round knew: to train on, or to choose and calibrate by.

    Raises:
        ProjectCorrupt: they are not what the round wrote.
    """
    try:
        content = ROUND.content(folder, files.LABELS)
    except FileNotFoundError:
        return np.empty(0, np.int64)
    read = pq.read_table(io.BytesIO(content), columns=["image_id"], filters=[("role", "in", LEARNED)])
    return np.sort(read["image_id"].to_numpy().astype(np.int64))


def tracked_epochs(folder: Path) -> list[int]:
    """Return the epochs (from 1, ascending) whose features of the tracked images are recorded."""
    return files.recorded(folder, files.epoch_features)


def tracked_ids(folder: Path) -> NDArray[np.int64]:
    """Return the ids (T,) of the images a round tracks, ascending.

    Raises:
        RoundError: the round has recorded none.
    """
    ids: NDArray[np.int64] = _load(folder, files.TRACKED_IDS, "This round tracks no images", folder.name)
    return ids


def tracked_features(folder: Path, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Return ids (T,) and features (T, D) of the tracked images after an epoch.

    Raises:
        RoundError: this epoch has none.
    """
    cause, value = "This epoch has no recorded features", f"epoch {epoch}"
    ids = _load(folder, files.TRACKED_IDS, cause, value)
    return ids, _load(folder, files.epoch_features(epoch), cause, value)


def tracked_predictions(
    folder: Path, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32] | None]:
    """Return ids (T,) and what is said of the tracked images, labeled ones too, after an epoch.

    Probabilities (T, K) are the evaluated model's, not calibrated, with three digits; the third entry has those of the
    teacher beside it, None where the algorithm has none.

    Raises:
        RoundError: this epoch has none.
    """
    cause, value = "This epoch has no recorded probabilities of tracked images", f"epoch {epoch}"
    ids = _load(folder, files.TRACKED_IDS, cause, value)
    student = _load(folder, files.epoch_student(epoch), cause, value).astype(np.float32)
    try:
        content = ROUND.content(folder, files.epoch_teacher(epoch))
    except FileNotFoundError:
        return ids, student, None
    return ids, student, np.load(io.BytesIO(content)).astype(np.float32)


SIGNAL_COLUMNS = {
    "flips": np.int16, "disagreement": np.float32, "teacher": np.int16, "bald": np.float32, "sureness": np.float32,
}  # fmt: skip


@dataclass(frozen=True)
class RoundSignals:
    """What a round says of each of its images beside its predictions, all (N,), ids ascending.

    flips: changes of the pseudo-label between recorded epochs, -1 unknown. disagreement: Jensen-Shannon divergence of
    teacher and student in nats, 0..ln 2, NaN unknown. teacher: its class index, -1 unknown. bald: mutual information of
    prediction and dropout masks in nats, NaN unknown. sureness: how sure a live model is of its first class, 0..1, for
    an order alone, since it is far too sure; NaN unknown.
    """

    image_ids: NDArray[np.int64]
    flips: NDArray[np.int16]
    disagreement: NDArray[np.float32]
    teacher: NDArray[np.int16]
    bald: NDArray[np.float32]
    sureness: NDArray[np.float32]

    def frame(self) -> pd.DataFrame:
        """Return the table that is written."""
        return pd.DataFrame({"image_id": self.image_ids, **{name: getattr(self, name) for name in SIGNAL_COLUMNS}})


@dataclass(frozen=True)
class Trajectories:
    """Pseudo-labels over the recorded epochs: image ids (U,) ascending, epochs (E,) ascending from 1, class indices
    (E, U) and confidences (E, U), not calibrated. U and E are 0 where nothing is recorded."""

    image_ids: NDArray[np.int64]
    epochs: NDArray[np.int64]
    classes: NDArray[np.int16]
    confidences: NDArray[np.float16]


def final_features(folder: Path) -> NDArray[np.float16] | None:
    """Return penultimate features (N, D) of the evaluated model, memory-mapped, rows as in `final_predictions`.

    None where the round has none: it is not complete, or its report notes why.

    Raises:
        ProjectCorrupt: the file can not be read, or has not one row for each of the round's predictions.
    """
    path = folder / files.FINAL_FEATURES
    if not path.is_file():
        return None
    ROUND.check(folder, files.FINAL_FEATURES)
    with damage.told(path):
        features: NDArray[np.float16] = whole.mapped(path)
    if features.ndim != 2 or features.dtype.kind != "f":
        raise damage.corrupt("A file that a round wrote holds no features", path)
    damage.check_rows(folder, path, len(features))
    return features


def signals(folder: Path) -> RoundSignals:
    """Return the signals of a round's images; of a round that is not complete, only flips are known.

    Raises:
        ProjectCorrupt: the recorded epochs are not of the same images, or a file can not be read.
    """
    path = folder / files.SIGNALS
    if path.is_file():
        with damage.told(path):
            frame = whole.table_in(ROUND.content(folder, files.SIGNALS))
            ids = frame["image_id"].to_numpy(np.int64)
            if "sureness" not in frame:  # rounds of earlier versions
                frame["sureness"] = np.nan
            recorded = RoundSignals(ids, *(frame[name].to_numpy(kind) for name, kind in SIGNAL_COLUMNS.items()))
        damage.check_rows(folder, path, len(ids))
        return recorded
    seen = trajectories(folder)
    with damage.told(folder / files.LABELS):
        known = roles(folder)
    ids = np.array(sorted(known), np.int64) if known else seen.image_ids
    changes = np.full(len(ids), -1, np.int16)
    if len(seen.epochs):
        with damage.told(folder / files.LABELS):  # an image that the round is not of
            changes[np.searchsorted(ids, seen.image_ids)] = (seen.classes[1:] != seen.classes[:-1]).sum(0)
    nothing = np.full(len(ids), np.nan, np.float32)
    return RoundSignals(ids, changes, nothing, np.full(len(ids), -1, np.int16), nothing, nothing)


def flips(folder: Path, ids: NDArray[np.int64], check: Callable[[], None] = lambda: None) -> NDArray[np.int16] | None:
    """Return how often the pseudo-label of each image changed between recorded epochs (U,); None without any epoch.

    Args:
        folder: the round's folder.
        ids: (U,) the images unlabeled in the round, ascending.
        check: called between two epochs; may raise to stop.

    Raises:
        ProjectCorrupt: an epoch is of other images.
    """
    changes: NDArray[np.int16] | None = None
    before: NDArray[np.int16] | None = None
    for epoch in epochs(folder):
        check()
        classes = _epoch_columns(folder, epoch, ids, ("class",))[0].astype(np.int16)
        changes = np.zeros(len(ids), np.int16) if changes is None or before is None else changes + (classes != before)
        before = classes
    return changes


def trajectories(folder: Path) -> Trajectories:
    """Return the pseudo-labels of all recorded epochs; also of a round that runs.

    Raises:
        ProjectCorrupt: the epochs are not of the same images, or one can not be read.
    """
    ids = np.zeros(0, np.int64)
    read: list[int] = []
    classes, confidences = [np.zeros((0, 0), np.int16)], [np.zeros((0, 0), np.float16)]
    for epoch in epochs(folder):
        try:
            if not read:
                ids = epoch_predictions(folder, epoch)[0]
                classes, confidences = [], []
            labels, confidence = _epoch_columns(folder, epoch, ids, ("class", "confidence"))
        except (FileNotFoundError, RoundError):  # a recovery of the running round has begun anew
            continue
        read.append(epoch)
        classes.append(labels.astype(np.int16)[None])
        confidences.append(confidence.astype(np.float16)[None])
    return Trajectories(ids, np.array(read, np.int64), np.concatenate(classes), np.concatenate(confidences))


def _epoch_columns(folder: Path, epoch: int, ids: NDArray[np.int64], names: tuple[str, ...]) -> list[NDArray[Any]]:
    """Return columns of an epoch's predictions, which must be of these images in this order."""
    name = files.epoch_predictions(epoch)
    path = folder / name
    with damage.told(path):
        table = pq.read_table(io.BytesIO(ROUND.content(folder, name)), columns=["image_id", *names], use_threads=False)
        columns = [np.asarray(table.column(name).to_numpy()) for name in ("image_id", *names)]
    if not np.array_equal(columns[0], ids):
        raise ProjectCorrupt(
            "The recorded epochs of a round are not of the same images",
            value=path,
            way_out=FROM_BACKUP,
        )
    return columns[1:]


def _load(folder: Path, name: str, cause: str, value: str) -> NDArray[Any]:
    """Return a recorded array, or raise RoundError with this cause and value where it is not recorded."""
    try:
        array: NDArray[Any] = np.load(io.BytesIO(ROUND.content(folder, name)))
    except FileNotFoundError as error:
        raise RoundError(cause, value=value, way_out="Choose another epoch or round.") from error
    return array
