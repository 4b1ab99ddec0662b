"""Images that are not independent, such as frames of one scene, as groups: what must not be torn apart by a split.

Group numbers (n,) are any whole numbers; images of one group share theirs. Where every image has a number of its own,
all of this is as if there were no groups: units are then the images, in their order.

Source: Roberts et al., Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
structure, Ecography 40 (2017) 913–929: what is dependent must lie on one side of a split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FEW_GROUPS = 30
"""Below so many groups a share right is said with its interval alone: no curve is drawn and nothing is said to be
better."""


@dataclass(frozen=True)
class Units:
    """What a split moves as a whole: the groups of n images, in the order of their first images.

    of: (n,) the unit of each image. first: (g,) the row of each unit's first image. label: (g,) its most frequent
    class, of equally frequent ones the first.
    """

    of: Ints
    first: Ints
    label: Ints

    def __len__(self) -> int:
        return len(self.first)


def units(groups: Ints | None, classes: NDArray[np.integer]) -> Units:
    """Return the units of n images; each image is one where there are no groups.

    Args:
        groups: (n,) number of each image's group, or None.
        classes: (n,) class number of each image.
    """
    labels = np.asarray(classes, np.int64)
    rows = np.arange(len(labels))
    if groups is None or len(np.unique(groups)) == len(labels):
        return Units(rows, rows, labels)
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    of = place[number]
    names, compact = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(order), len(names)), np.int64)
    np.add.at(counts, (of, compact), 1)
    return Units(of, first[order], names[counts.argmax(1)])


def some_shared(groups: Ints) -> bool:
    """Return whether any two images are of one group."""
    return len(np.unique(groups)) < len(groups)


def first_of_each(groups: Ints, order: NDArray[np.floating]) -> Ints:
    """Return the rows, ascending, of the image of each group that comes first in an order.

    Args:
        groups: (n,) number of each image's group.
        order: (n,) the images are ordered by it, ascending; ties by row.
    """
    along = np.argsort(order, kind="stable")
    _, places = np.unique(groups[along], return_index=True)
    return np.sort(along[places])
