"""Starts the process that computes what the live model needs of a project's images, and reads what it has written.

It lies in `<project>/cache/set`: where the images lie by their features, and each one's neighbours. There is one at a
time, of the images there were when the process started; features themselves are kept by image, see
`engine.rounds.worker.feature_cache`, so that a new image costs one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.files import read_json, write_atomic
from engine.images.array_cache import ArraySpec
from engine.jobs import features_work, parent
from engine.jobs.folder import JOB
from engine.jobs.parent import JobState
from engine.live.model import ImageSet
from engine.live.stored import load_set
from engine.records.labels import ImageItem

MODULE = "engine.jobs.features_work"
NONE = JobState()
VOTES_GRADIENTS, VOTES = 8.0, 4.0


def folder_of(root: Path) -> Path:
    """Return the folder of the job of the project at `root`."""
    return root / "cache" / "set"


def start(root: Path, items: Sequence[ImageItem], spec: ArraySpec) -> JobState:
    """Start the process unless it runs or is done for these images; return where it stands.

    Args:
        root: the project's folder.
        items: the images, ascending by id.
        spec: size and channels at which the project's images are compared.
    """
    folder, version = folder_of(root), _version(items)

    def plan() -> dict[str, Any]:
        columns = {"image_id": [one.id for one in items], "sha256": [one.sha256 for one in items]}
        table = pa.table(columns)
        write_atomic(folder / features_work.IMAGES, lambda aside: pq.write_table(table, aside))
        return {"version": version, "spec": {"size": spec.size, "channels": spec.channels}}

    parent.start(folder, MODULE, plan, due=lambda status: status != "ready" or _planned(folder) != version)
    return state(root, items)


def state(root: Path, items: Sequence[ImageItem]) -> JobState:
    """Return where the job of these images stands: "none" where what is there is of others and nothing runs."""
    folder = folder_of(root)
    job = parent.state(folder)
    return job if job.status == "running" or _planned(folder) == _version(items) else NONE


def discard(root: Path) -> None:
    """Forget what the process has written, so that it is written again; features computed so far stay."""
    for name in (JOB, features_work.SET):
        (folder_of(root) / name).unlink(missing_ok=True)


def cancel(root: Path) -> bool:
    """Ask the process to end; features computed so far stay. Return whether one ran."""
    return parent.cancel(folder_of(root))


def _planned(folder: Path) -> str:
    try:
        return str(read_json(folder / JOB).get("version", ""))
    except (FileNotFoundError, ValueError):
        return ""


def _version(items: Sequence[ImageItem]) -> str:
    digest = hashlib.sha256(features_work.VERSION.encode())
    for item in items:
        digest.update(f"{item.id}:{item.sha256}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class DescribedSet:
    """Images as the live model knows them, in the order of their hashes. net: where the features come from, "" for
    gradients of small grey images."""

    images: ImageSet
    shas: tuple[str, ...]
    net: str

    @property
    def votes(self) -> float:
        """λ of these features: gradients have neighbours that are nearly always of their class."""
        return VOTES if self.net else VOTES_GRADIENTS


def read(root: Path) -> DescribedSet:
    """Return what the process has written.

    Raises:
        FileNotFoundError: it has written nothing yet.
        CheckpointCorrupt: the file is damaged.
    """
    images, shas = load_set(folder_of(root) / features_work.SET)
    return DescribedSet(images, shas, str(read_json(folder_of(root) / features_work.SOURCE)["net"]))


def there(root: Path) -> bool:
    """Return whether the process has written something, of whichever images."""
    return (folder_of(root) / features_work.SET).is_file()
