"""A complete round's held-out images: what was predicted of them, and what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import whole
from engine.errors import RoundError
from engine.rounds.folder import files
from engine.rounds.folder.digests import ROUND


def ids(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids (H,) ascending of the held-out images and their classes (H,) in the round's order.

    Raises:
        RoundError: the round was not planned.
        ProjectCorrupt: its labels are not what it wrote.
    """
    try:
        frame = whole.table_in(ROUND.content(folder, files.LABELS), ["image_id", "role", "label"]).sort_values(
            "image_id"
        )
    except FileNotFoundError as error:
        raise RoundError("This round has no split yet", value=folder.name, way_out="Choose another round.") from error
    held = frame[frame["role"] == "heldout"]
    return held["image_id"].to_numpy(np.int64), held["label"].to_numpy(np.int64)


def drawn(folder: Path) -> NDArray[np.int64]:
    """Return ids (M,) of the labeled images of a planned round that chance put up; of an earlier version's, none."""
    frame = whole.table_in(ROUND.content(folder, files.LABELS))
    if "drawn" not in frame:
        return np.empty(0, np.int64)
    ids: NDArray[np.int64] = frame.loc[frame["drawn"].to_numpy(bool), "image_id"].to_numpy(np.int64)
    return ids
