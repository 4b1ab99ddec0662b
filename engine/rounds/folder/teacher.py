"""How the teacher's distributions on the tracked unlabeled images change while the student's progress teaches it.

Pham et al., Meta Pseudo Labels, arXiv 2003.10580, show on such images that the teacher does more than regularise, which
would only flatten its distributions: classes flip, and distributions become steeper.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.rounds.folder import files, results

STEEPER = 0.1
"""A change of the largest probability by more than this is called steeper or flatter."""
SHOWN = 6
"""Images chosen: a third each for flips, for the steepest rise and for the steepest fall."""


@dataclass(frozen=True)
class TeacherCourse:
    """The teacher's distributions at the start, the quarters and the end of the epochs in which h was measured.

    Attributes:
        epochs: (Q,) numbers, ascending, 2 to 5 of them.
        ids: (C,) images chosen to show.
        distributions: (Q, C, K) of those images, not calibrated, with three digits.
        images: how many tracked unlabeled images there are; of them
        flipped: had another most probable class at some later one of these epochs than at the one before,
        steeper, flatter: had a largest probability more than `STEEPER` higher, or lower, at the end than at the start.
    """

    epochs: tuple[int, ...]
    ids: NDArray[np.int64]
    distributions: NDArray[np.float32]
    images: int
    flipped: int
    steeper: int
    flatter: int


def teacher_course(folder: Path) -> TeacherCourse | None:
    """Return the course of a round's teacher; None where fewer than two epochs have one that h could teach.

    Args:
        folder: the round's folder.
    """
    curves = results.curves(folder)
    taught = {
        epoch
        for phase, epoch, h in zip(curves["phase"], curves["epoch"], curves.get("h", []), strict=False)
        if phase == "main" and h is not None
    }
    known = [epoch for epoch in files.recorded(folder, files.epoch_teacher) if epoch in taught]
    if len(known) < 2:
        return None
    epochs = [known[place] for place in np.unique(np.rint(np.linspace(0, len(known) - 1, 5))).astype(int)]
    roles = results.roles(folder)
    ids = results.tracked_ids(folder)
    free = np.array([roles.get(image_id) == "unlabeled" for image_id in ids.tolist()], np.bool_)
    said = [results.tracked_predictions(folder, epoch)[2] for epoch in epochs]
    distributions = np.stack([part[free] for part in said if part is not None])  # (Q, T, K)
    flips, change = flips_and_change(distributions)
    chosen = choose(flips, change)
    return TeacherCourse(
        epochs=tuple(epochs),
        ids=ids[free][chosen],
        distributions=distributions[:, chosen],
        images=int(free.sum()),
        flipped=int((flips > 0).sum()),
        steeper=int((change > STEEPER).sum()),
        flatter=int((change < -STEEPER).sum()),
    )


def flips_and_change(distributions: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return how often the most probable class changes (T,), and how much the largest probability grows (T,).

    Args:
        distributions: (Q, T, K).
    """
    classes, largest = distributions.argmax(2), distributions.max(2)
    return (classes[1:] != classes[:-1]).sum(0), np.asarray(largest[-1] - largest[0], np.float32)


def choose(flips: NDArray[np.int64], change: NDArray[np.float32], count: int = SHOWN) -> NDArray[np.int64]:
    """Return rows (C,) of images that flip most often, that become steepest, and that become flattest, in this order.

    None twice; a third of `count` each, where there are so many of a kind.
    """
    kinds = (
        (np.argsort(-flips, kind="stable"), flips > 0),
        (np.argsort(-change, kind="stable"), change > STEEPER),
        (np.argsort(change, kind="stable"), change < -STEEPER),
    )
    chosen: list[int] = []
    for order, fits in kinds:
        chosen += [row for row in order.tolist() if fits[row] and row not in chosen][: count // len(kinds)]
    return np.array(chosen, np.int64)
