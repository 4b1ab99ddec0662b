"""Starts the process that checks a project's labels or images, and reads what it found.

Each kind of check has one folder, `<project>/checks/<kind>`, and one result, of the labels and images there were when
it was started; `stamp_of` tells whether they are the same now.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.errors import ConfigError, ProjectCorrupt, RoundBlocked
from engine.files import read_json, write_atomic
from engine.jobs import check_work, parent
from engine.nets.net_name import NetName
from engine.records.quality import CheckState
from engine.rounds.folder import files
from engine.rounds.folder.plan import round_folders

MODULE = "engine.jobs.check_work"
VERSIONS = {"labels": "2", "duplicates": "3"}
"""Raised when a check's result would be another for the same labels and images."""
BATCH, RATE = 128, 0.05
_FROM_ROUND = ("augment",)
_FROM_FROZEN_ROUND = ("net", "learning_rate", "noise", "precision", "weight_decay")

Items = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class LabelCheck:
    """Out-of-fold predictions of the images with a label in force, all (n,): networks that have not seen these labels.

    image_ids ascending; labels: text given; probabilities (n, K) float32 in the order of `classes`, not calibrated;
    facts: images, folds, steps, seconds, accuracy (share of labels the networks agree with), net, device, left_out
    (classes with a single label, whose image is not among these).
    """

    image_ids: NDArray[np.int64]
    labels: NDArray[np.str_]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    ledger_seq: int
    stamp: str
    made: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def given(self) -> NDArray[np.int64]:
        """Index of each label in `classes` (n,)."""
        column = {name: index for index, name in enumerate(self.classes)}
        return np.array([column[name] for name in self.labels.tolist()], np.int64)


@dataclass(frozen=True)
class DuplicateCheck:
    """Groups of images that look the same: (image ids, least similarity 0..1, whether identical at 32 × 32)."""

    groups: tuple[tuple[tuple[int, ...], float, bool], ...]
    ledger_seq: int
    stamp: str
    made: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def stamp_of(
    kind: str, items: Items, labels: Mapping[int, str] | None = None, groups: Mapping[int, int] | None = None
) -> str:
    """Return what changes with what a check of this kind looks at: the images and, for "labels", their labels and the
    groups of those that are not by themselves."""
    _check_kind(kind)
    digest = hashlib.sha256(f"{VERSIONS[kind]} {kind}\n".encode())
    for image, sha in sorted(items):
        digest.update(f"{image}:{sha}\n".encode())
    if kind == "labels":
        for image, label in sorted((labels or {}).items()):
            digest.update(json.dumps([image, label]).encode())
        for image, group in sorted((groups or {}).items()):
            digest.update(f"{image} in {group}\n".encode())
    return digest.hexdigest()[:16]


def start(
    root: Path,
    kind: str,
    items: Items,
    labels: Mapping[int, str],
    classes: Sequence[str],
    settings: Mapping[str, Any],
    groups: Mapping[int, int] | None = None,
) -> CheckState:
    """Start the check's process unless it runs or its result is of the same labels and images; return where it stands.

    Args:
        root: the project's folder.
        kind: "labels" or "duplicates".
        items: (image id, sha256) of every image that is not rejected; for "labels" best of all images, since then the
            arrays of a round are used.
        labels: label in force of images; those of other images are not looked at.
        classes: all classes of the project.
        settings: "size" and "channels" of arrays as `array_cache.recommend_spec` gives (of "duplicates" the channels
            alone count: 3 compares colours too); "ledger_seq", "seed" and "train", settings of TrainConfig that come
            before what is chosen here, may be left out.
        groups: number of the group of each image that shares one, by image id; no network is asked about an image of a
            group that it has learned from.

    Raises:
        ConfigError: there is no such check.
        RoundBlocked: there are no images, or too few labels to check.
    """
    stamp = stamp_of(kind, items, labels, groups)
    if not items:
        raise RoundBlocked("There are no images to check", way_out="Import a set first.")
    frame = _frame(items, labels if kind == "labels" else {}, classes, groups or {})
    if kind == "labels":
        check_work.usable(frame["label"].to_numpy(np.int64), len(classes))  # before a process starts for nothing
    folder = _folder(root, kind)

    def plan() -> dict[str, Any]:
        write_atomic(folder / check_work.IMAGES, lambda aside: frame.to_parquet(aside, index=False))
        return {
            "kind": kind,
            "classes": list(classes),
            "spec": {"size": int(settings.get("size", 32)), "channels": int(settings.get("channels", 3))},
            "train": train_settings(root) | dict(settings.get("train", {})) | {"seed": int(settings.get("seed", 0))},
            "ledger_seq": int(settings.get("ledger_seq", 0)),
            "stamp": stamp,
        }

    def due(status: str) -> bool:
        return status != "ready" or _about(folder, kind).get("stamp") != stamp

    parent.start(folder, MODULE, plan, due=due)
    return state(root, kind, stamp)


def state(root: Path, kind: str, stamp: str) -> CheckState:
    """Return where a check stands; `stamp` is that of the labels and images now, see `stamp_of`.

    `made` and `facts` are those of the last result, also while another is computed or after that failed.

    Raises:
        ConfigError: there is no such check.
    """
    _check_kind(kind)
    folder = _folder(root, kind)
    job, about = parent.state(folder), _about(folder, kind)
    return CheckState(
        "none" if job.status == "ready" and not about else job.status,
        stage=job.stage,
        fraction=job.fraction,
        error=job.error,
        made=str(about.get("made", "")),
        stale=bool(about) and about.get("stamp") != stamp,
        facts=about.get("facts", {}),
    )


def cancel(root: Path, kind: str) -> bool:
    """Ask the check's process to end; an earlier result stays. Return whether one ran."""
    _check_kind(kind)
    return parent.cancel(_folder(root, kind))


def result_path(root: Path, kind: str) -> Path:
    """Return where the last result of a check lies, if there is one."""
    return _folder(root, kind) / check_work.RESULTS[kind]


def read_labels(root: Path) -> LabelCheck | None:
    """Return the last result of the check of labels; None without one, or where it is not what was
    written."""
    try:
        content = check_work.DIGESTS.content(_folder(root, "labels"), check_work.LABELS_RESULT)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            ids, labels = arrays["image_ids"], arrays["labels"]
            classes, probabilities = tuple(arrays["classes"].tolist()), arrays["probabilities"]
    except (ProjectCorrupt, OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    origin = (int(about["ledger_seq"]), str(about["stamp"]), str(about["made"]))
    return LabelCheck(ids, labels, classes, probabilities, *origin, facts=about["facts"])


def read_duplicates(root: Path) -> DuplicateCheck | None:
    """Return the last result of the search for duplicates; None without one, or where it is not what was
    written."""
    try:
        result = _duplicates(_folder(root, "duplicates"))
        groups = tuple(
            (tuple(int(image) for image in group["image_ids"]), float(group["similarity"]), bool(group["exact"]))
            for group in result["groups"]
        )
    except (ProjectCorrupt, OSError, ValueError, KeyError):
        return None
    origin = (int(result["ledger_seq"]), str(result["stamp"]), str(result["made"]))
    return DuplicateCheck(groups, *origin, facts=result["facts"])


def train_settings(root: Path) -> dict[str, Any]:
    """Return the settings of a check's training: the network for images of this kind, trained briefly.

    Where the newest complete round used frozen features, so does the check, with that round's rate and noise; of any
    round it takes over which views leave an image what it is.
    """
    chosen: dict[str, Any] = {"net": "auto", "batch_size": BATCH, "learning_rate": RATE, "run_baseline": False}
    for folder in reversed(round_folders(root)):
        try:
            train = read_json(folder / files.CONFIG)["train"]
        except (OSError, ValueError, KeyError):
            continue
        if not (folder / files.REPORT).is_file():
            continue
        frozen = NetName.parse(str(train.get("net", ""))).is_frozen
        names = (*_FROM_ROUND, *(_FROM_FROZEN_ROUND if frozen else ()))
        return chosen | {name: train[name] for name in names if name in train}
    return chosen


def _frame(items: Items, labels: Mapping[int, str], classes: Sequence[str], groups: Mapping[int, int]) -> pd.DataFrame:
    """Return image_id, sha256, label and group of the images, ids ascending as in a round."""
    column = {name: index for index, name in enumerate(classes)}
    ordered = sorted(items)
    label = [column.get(labels.get(image, ""), -1) for image, _ in ordered]
    ids = np.array([image for image, _ in ordered], np.int64)
    group = np.array([groups.get(image, image) for image, _ in ordered], np.int64)
    shas = [sha for _, sha in ordered]
    return pd.DataFrame({"image_id": ids, "sha256": shas, "label": np.array(label, np.int64), "group": group})


def _about(folder: Path, kind: str) -> dict[str, Any]:
    """Return made, stamp, ledger_seq and facts of the last result; empty without one."""
    try:
        if kind == "labels":
            content = check_work.DIGESTS.content(folder, check_work.LABELS_RESULT)
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return dict(json.loads(str(arrays["about"])))
        return _duplicates(folder)
    except (ProjectCorrupt, OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def _duplicates(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(check_work.DIGESTS.content(folder, check_work.DUPLICATES_RESULT))
    return result


def damaged(root: Path) -> list[Path]:
    """Return the results of checks that are there and cannot be read as they were written."""
    unread = {"labels": read_labels(root) is None, "duplicates": read_duplicates(root) is None}
    return [path for kind, none in unread.items() if none and (path := result_path(root, kind)).exists()]


def _check_kind(kind: str) -> None:
    if kind not in check_work.RESULTS:
        raise ConfigError("There is no such check", value=kind, way_out="Use “labels” or “duplicates”.")


def _folder(root: Path, kind: str) -> Path:
    return root / "checks" / kind
