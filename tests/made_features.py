"""Features of a project's images as their job writes them, of given values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.files import write_json
from engine.jobs import features, features_work
from engine.live.model import ImageSet
from engine.live.stored import save_set
from engine.project.opened import Project


def make_features(project: Project, values: NDArray[np.float32], ids: Sequence[int] | None = None) -> None:
    """Write features (M, D) of the project's images, or of these alone, M ≥ 2."""
    by_id = {item.id: item.sha256 for item in project.workspace.items()}
    shas = [by_id[image] for image in (by_id if ids is None else ids)]
    folder = features.folder_of(project.root)
    save_set(folder / "made.npz", ImageSet.of(np.asarray(values, np.float32)), shas)
    write_json(folder / features_work.SOURCE, {"version": "made", "net": "frozen:gradients", "set": "made.npz"})
