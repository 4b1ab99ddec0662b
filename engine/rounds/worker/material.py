"""Loads what a round trains on: images or their frozen features, the pinned split, the tracked sample, the device."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine import whole
from engine.errors import ProjectCorrupt
from engine.groups import some_shared
from engine.images.array_cache import ArraySpec, build_arrays
from engine.records.progress import Progress
from engine.rounds.folder import files
from engine.rounds.folder.digests import FROM_BACKUP, ROUND
from engine.rounds.folder.plan import ROLES, RoundPlan, project_root
from engine.rounds.tracked import tracked_rows
from engine.rounds.worker import feature_cache
from engine.training.config import TrainConfig
from engine.training.pools import Pools
from engine.training.settings import settings_from


@dataclass(frozen=True)
class Material:
    """One round's data. Rows of `pools.images`, `ids` and `roles` agree; `tracked` are row numbers, ascending;
    `described` (N, D) are the features that `TrainConfig.start` names, None where it names none."""

    ids: NDArray[np.int64]
    roles: NDArray[np.object_]
    pools: Pools
    tracked: NDArray[np.int64]
    described: torch.Tensor | None = None


def load(folder: Path, plan: RoundPlan, where: torch.device, progress: Progress) -> Material:
    """Read labels.parquet and the images: their arrays, or for a frozen network their features.

    Args:
        folder: the round's folder.
        plan: its plan.
        where: the device that computes features.
        progress: told while images are prepared; may raise to stop.

    Raises:
        DecodeError: an original can no longer be read.
        ProjectCorrupt: the labels are not those that the round was planned with.
        ConfigError: a frozen network's weights are not on this machine and cannot be downloaded.
    """
    content = ROUND.content(folder, files.LABELS)
    if plan.labels_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise ProjectCorrupt(
            "The labels of a round are not those that it was planned with", value=folder / files.LABELS,
            way_out=FROM_BACKUP,
        )  # fmt: skip
    frame = whole.table_in(content)
    shas = frame["sha256"].tolist()
    roles = frame["role"].to_numpy(object)
    label = frame["label"].to_numpy(np.int64)
    ids = frame["image_id"].to_numpy(np.int64)
    root, train = project_root(folder), settings_from(TrainConfig, plan.train)
    images = _images(root, plan, shas, where, progress)
    described = None
    if train.start:
        described = feature_cache.project_features(root, shas, replace(train, net=train.start), where, progress)
    drawn = frame["drawn"].to_numpy(bool) if "drawn" in frame else None  # rounds of earlier versions do not say
    groups = frame["group"].to_numpy(np.int64) if "group" in frame else None
    pools = make_pools(images, roles, label, len(plan.classes), drawn, groups)
    tracked = _tracked_before(folder, ids)
    if tracked is None:
        tracked = tracked_rows(shas, roles, label, frame["stratum"].to_numpy(np.int64))
    return Material(ids, roles, pools, tracked, described)


def _tracked_before(folder: Path, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the rows that an earlier attempt recorded, so that its epochs and those to come are of the same images."""
    try:
        tracked = np.load(io.BytesIO(ROUND.content(folder, files.TRACKED_IDS)))
    except (OSError, ValueError, EOFError):
        return None
    rows = np.flatnonzero(np.isin(ids, tracked))
    return rows if np.array_equal(ids[rows], tracked) else None


def _images(root: Path, plan: RoundPlan, shas: Sequence[str], where: torch.device, progress: Progress) -> torch.Tensor:
    train = settings_from(TrainConfig, plan.train)
    if feature_cache.is_frozen(train.net):
        return feature_cache.project_features(root, shas, train, where, progress)
    spec = ArraySpec(size=plan.spec["size"], channels=plan.spec["channels"])
    return torch.from_numpy(np.asarray(build_arrays(root, shas, spec, progress)))


def make_pools(
    images: torch.Tensor,
    roles: NDArray[np.object_],
    label: NDArray[np.int64],
    classes: int,
    drawn: NDArray[np.bool_] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Pools:
    """Return the three pools; each image is in exactly the one its role names.

    drawn: (N,) whether an image belongs to a random sample; None: no image does. groups: (N,) number of each image's
    group; None: each image is by itself.
    """
    train, heldout, unlabeled = (np.flatnonzero(roles == role) for role in ROLES)
    grouped = groups if groups is not None and some_shared(groups) else np.empty(0, np.int64)
    behind = np.isin(roles, ("heldout", "aside")).sum() if len(grouped) else 0
    return Pools(
        images=images,
        train_idx=torch.from_numpy(train),
        train_y=torch.from_numpy(label[train]),
        heldout_idx=torch.from_numpy(heldout),
        heldout_y=torch.from_numpy(label[heldout]),
        unlabeled_idx=torch.from_numpy(unlabeled),
        num_classes=classes,
        random_idx=torch.from_numpy(np.flatnonzero((roles == "train") & (False if drawn is None else drawn))),
        groups=torch.from_numpy(grouped.copy()),
        heldout_images=int(behind),
    )
