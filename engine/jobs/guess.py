"""Starts the process that guesses each image's class from the class names, and reads what it wrote, without torch.

It lies in `<project>/cache/guess` and is of the images and class names there were when the process started. Other class
names make another guess; that costs little, since the images' features are kept.
"""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.files import read_json, write_atomic
from engine.jobs import guess_work, parent
from engine.jobs.folder import JOB
from engine.jobs.parent import JobState
from engine.nets.net_name import TEXT_IMAGE_MODULE
from engine.records.labels import ImageItem

MODULE = "engine.jobs.guess_work"


@dataclass(frozen=True)
class NameGuess:
    """What a text-image network makes of class names.

    Attributes:
        classes: the C names. shas: of the N images. log_probabilities: (N, C) float32. net: the network.
    """

    classes: tuple[str, ...]
    shas: tuple[str, ...]
    log_probabilities: NDArray[np.float32]
    net: str

    def of(self, classes: Sequence[str]) -> NDArray[np.float32]:
        """Return the log-probabilities (N, k) of some of its classes."""
        return self.log_probabilities[:, [self.classes.index(name) for name in classes]]


def possible() -> bool:
    """Return whether the extra is installed that text-image networks need; nothing is imported."""
    return importlib.util.find_spec(TEXT_IMAGE_MODULE) is not None


def folder_of(root: Path) -> Path:
    """Return the folder of the job of the project at `root`."""
    return root / "cache" / "guess"


def version_of(items: Sequence[ImageItem], classes: Sequence[str]) -> str:
    """Return what tells a guess from those of other images or class names."""
    digest = hashlib.sha256(guess_work.VERSION.encode())
    for item in items:
        digest.update(f"{item.id}:{item.sha256}\n".encode())
    digest.update("\n".join(classes).encode())
    return digest.hexdigest()[:16]


def start(root: Path, items: Sequence[ImageItem], classes: Sequence[str], net: str) -> None:
    """Start the process unless it runs, or has made the guess of these images and class names.

    Args:
        root: the project's folder.
        items: the images, ascending by id.
        classes: the class names.
        net: where the project's features come from, as in `TrainConfig.net`.
    """
    folder, version = folder_of(root), version_of(items, classes)

    def plan() -> dict[str, Any]:
        table = pa.table({"sha256": [one.sha256 for one in items]})
        write_atomic(folder / guess_work.IMAGES, lambda aside: pq.write_table(table, aside))
        return {"version": version, "classes": list(classes), "set": net}

    def due(status: str) -> bool:
        made = status == "ready" and (folder / guess_work.GUESS).exists()
        return not made or _planned(folder) != version

    parent.start(folder, MODULE, plan, due=due)


def state(root: Path) -> JobState:
    """Return where the job stands, whatever images and class names it is of."""
    return parent.state(folder_of(root))


def cancel(root: Path) -> bool:
    """Ask the process to end; features computed so far stay. Return whether one ran."""
    return parent.cancel(folder_of(root))


def read(root: Path) -> NameGuess | None:
    """Return the guess that was written last; None where there is none or it cannot be read."""
    try:
        with open(folder_of(root) / guess_work.GUESS, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            classes, shas = (tuple(map(str, stored[name].tolist())) for name in ("classes", "sha256s"))
            guess = NameGuess(classes, shas, np.asarray(stored["log_probabilities"], np.float32), str(stored["net"]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):  # made anew from the features
        return None
    return guess if guess.log_probabilities.shape == (len(shas), len(classes)) else None


def _planned(folder: Path) -> str:
    try:
        return str(read_json(folder / JOB).get("version", ""))
    except (FileNotFoundError, ValueError):
        return ""
