"""Which images of a project are alike, by the live model's features, else by the pixels of the map."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from engine.errors import StarlingError
from engine.ids import rows_of
from engine.jobs import features, fixed_map
from engine.project.workspace import Workspace
from engine.query.likeness import LikeGroups, like_groups
from engine.rounds.folder import damage

log = logging.getLogger("starling.likeness")
APART = -1
"""In place of the group of an image that has no features."""


@dataclass(frozen=True)
class _Kept:
    """The groups of images, ids (N,) ascending, by features that bear a mark."""

    mark: str
    ids: NDArray[np.int64]
    groups: LikeGroups


class Likeness:
    """The like images of one project. Thread-safe; whoever asks for groups that are not made yet waits for them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._making = threading.Lock()  # nothing else takes it: decisions go on meanwhile
        self._kept: _Kept | None = None

    @property
    def possible(self) -> bool:
        """Whether there are features to compare images by. Costs a look at one file or two."""
        return self._mark() != ""

    def of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return group (n,) and place (n,) of images in the order of like ones; None where there are no features.

        An image without features, as one that came later, has the group APART and a place behind all others.
        """
        with self._making:
            kept = self._groups()
        if kept is None:
            return None
        rows, known = rows_of(ids, kept.ids)
        group = np.where(known, kept.groups.group[rows], APART)
        return group, np.where(known, kept.groups.place[rows], len(kept.ids))

    def _groups(self) -> _Kept | None:
        mark = self._mark()
        if self._kept is not None and self._kept.mark == mark:
            return self._kept
        try:
            ids, described = self._described()
        except (StarlingError, *damage.DAMAGE) as error:  # not kept: features may come any time
            log.warning("no features to compare images by: %s", error)
            return None
        with threadpool_limits(1, "blas"):  # beside a round that trains, threads that wait for each other take longer
            self._kept = _Kept(mark, ids, like_groups(described))
        return self._kept

    def _mark(self) -> str:
        """What changes with the features that images are compared by; "" where there are none."""
        root = self._workspace.root
        return features.mark(root) or fixed_map.stamp(root, self._workspace.items())

    def _described(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids (N,) ascending, and features (N, D)."""
        root, items = self._workspace.root, self._workspace.items()
        if not features.mark(root):
            ids, pixels = fixed_map.features(root, items)
            order = np.argsort(ids)
            return ids[order], np.asarray(pixels, np.float32)[order]
        described = features.read(root)
        by_sha = {item.sha256: item.id for item in items}
        ids = np.array([by_sha[sha] for sha in described.shas], np.int64)
        order = np.argsort(ids)
        return ids[order], described.images.u[order]
