"""Loads what a round trains on: images or their frozen features, the pinned split, the tracked sample, the device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from engine.images.array_cache import ArraySpec, build_arrays
from engine.records import Progress
from engine.rounds import feature_cache, files
from engine.rounds.plan import ROLES, RoundPlan
from engine.training.config import TrainConfig
from engine.training.pools import Pools
from engine.training.settings import settings_from

TRACKED = 2000
"""Images whose features are recorded each epoch."""


@dataclass(frozen=True)
class Material:
    """One round's data. Rows of `pools.images`, `ids` and `roles` agree; `tracked` are row numbers,
    ascending."""

    ids: NDArray[np.int64]
    roles: NDArray[np.object_]
    pools: Pools
    tracked: NDArray[np.int64]


def load(folder: Path, plan: RoundPlan, where: torch.device, progress: Progress) -> Material:
    """Read labels.parquet and the images: their arrays, or for a frozen network their features.

    Args:
        folder: the round's folder.
        plan: its plan.
        where: the device that computes features.
        progress: told while images are prepared; may raise to stop.

    Raises:
        DecodeError: an original can no longer be read.
        ConfigError: a frozen network's weights are not on this machine and cannot be downloaded.
    """
    frame = pd.read_parquet(folder / files.LABELS)
    shas = frame["sha256"].tolist()
    roles = frame["role"].to_numpy(object)
    label = frame["label"].to_numpy(np.int64)
    pools = make_pools(_images(plan, shas, where, progress), roles, label, len(plan.classes))
    return Material(frame["image_id"].to_numpy(np.int64), roles, pools, tracked_rows(shas, roles))


def _images(plan: RoundPlan, shas: Sequence[str], where: torch.device, progress: Progress) -> torch.Tensor:
    root, train = Path(plan.project_root), settings_from(TrainConfig, plan.train)
    if feature_cache.is_frozen(train.net):
        return feature_cache.project_features(root, shas, train, where, progress)
    spec = ArraySpec(size=plan.spec["size"], channels=plan.spec["channels"])
    return torch.from_numpy(np.asarray(build_arrays(root, shas, spec, progress)))


def make_pools(images: torch.Tensor, roles: NDArray[np.object_], label: NDArray[np.int64], classes: int) -> Pools:
    """Return the three pools; each image is in exactly the one its role names."""
    train, heldout, unlabeled = (np.flatnonzero(roles == role) for role in ROLES)
    return Pools(
        images=images,
        train_idx=torch.from_numpy(train),
        train_y=torch.from_numpy(label[train]),
        heldout_idx=torch.from_numpy(heldout),
        heldout_y=torch.from_numpy(label[heldout]),
        unlabeled_idx=torch.from_numpy(unlabeled),
        num_classes=classes,
    )


def tracked_rows(shas: Sequence[str], roles: NDArray[np.object_], limit: int = TRACKED) -> NDArray[np.int64]:
    """Choose the images whose features are recorded: the labeled ones, filled up with unlabeled ones to
    `limit`.

    Within each of the two, images come in the order of a hash of their content, so that every round of a
    project tracks the same ones as far as it can.

    Args:
        shas: (N,) content hashes.
        roles: (N,) "train", "heldout", "unlabeled" or "excluded".
        limit: how many at most.

    Returns:
        (T,) row numbers, ascending.
    """
    keys = [hashlib.sha256(f"tracked:{sha}".encode()).digest() for sha in shas]
    order = sorted(range(len(shas)), key=lambda row: (roles[row] in {"unlabeled", "excluded"}, keys[row]))
    return np.sort(np.array(order[:limit], dtype=np.int64))
