"""The desk of groups: images that are not independent, as the person chose, else near-equal photos that were found."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from engine.jobs.features import DescribedSet
from engine.live.near import near_groups
from engine.nets.net_name import NetName
from engine.project.workspace import Workspace

log = logging.getLogger("starling.groups")

NEAR = "near-duplicates"
SETTING = "near_duplicates"
"""In the project's settings: "off" where near-duplicates are not to be grouped."""
LEAST_LEFT = 10
"""Fewer groups than this are not recorded: features that find hardly any difference between images say nothing."""


class Groups:
    """The groups of one project's images. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._store = workspace, workspace.store

    @property
    def finds_near(self) -> bool:
        """Whether near-duplicates are grouped: unless switched off, or groups came about in any other way."""
        ways = {entry.how for entry in self._store.groups_set()}
        return not self._store.read_only and self._store.meta(SETTING) != "off" and ways <= {NEAR}

    def turn(self, on: bool) -> None:
        """Group near-duplicates from now on, or no longer and forget those that were found."""
        if not on and self.finds_near:
            self._store.set_groups(dict.fromkeys(self._store.group_names()), NEAR)
        self._store.set_meta(SETTING, "on" if on else "off")

    def find_near(self, ids: NDArray[np.int64], described: DescribedSet) -> int:
        """Put near-equal photos into groups where no others are known; return how many images changed.

        Args:
            ids: (M,) of the images, in the order of the set.
            described: as the live model knows them. Features that are gradients of characters find nothing: the same
                character twice is no copy.
        """
        if not self.finds_near or NetName.parse(described.net).has_gradients:
            return 0
        first = near_groups(described.images)
        several = np.bincount(first, minlength=len(first))[first] > 1
        if len(np.unique(first)) < LEAST_LEFT:
            log.info("near-duplicates of %s: nearly all images look the same to the features", self._workspace.root)
            return 0
        names = {
            image_id: f"{NEAR} of {described.shas[row][:16]}" if alike else None
            for image_id, row, alike in zip(ids.tolist(), first.tolist(), several.tolist(), strict=True)
        }
        return self._store.set_groups(names, NEAR)

    def words(self) -> str:
        """Return in a sentence how many groups there are and where they come from; "" without any."""
        groups = self._store.groups()
        counts = np.unique(groups, return_counts=True)[1]
        several = counts[counts > 1]
        if not len(several):
            return ""
        ways = ", ".join(dict.fromkeys(entry.how for entry in self._store.groups_set() if entry.groups))
        return (
            f"{int(several.sum()):,} of the {len(groups):,} images are in {len(several):,} groups that are not "
            f"independent ({ways}). A group is never trained on and measured with at the same time, and counts once."
        )
