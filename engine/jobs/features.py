"""Starts the process that computes what the live model needs of a project's images, and reads what it has written.

It lies in `<project>/cache/set`: where the images lie by their features, and each one's neighbours. One is in force, of
the images there were when the process started; while it runs a better one of the same images may follow, and later one
that the labels choose. Features
themselves are kept by image, see `engine.rounds.worker.feature_cache`, so that a new image costs one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.files import read_json, write_atomic, write_json
from engine.images.array_cache import ArraySpec
from engine.jobs import features_work, parent
from engine.jobs.folder import JOB
from engine.jobs.parent import JobState
from engine.live.model import VOTES, VOTES_GRADIENTS, ImageSet
from engine.live.stored import load_set
from engine.nets import frozen
from engine.nets.net_name import FROZEN, NetName
from engine.nets.views import LEAST_LABELS
from engine.records.labels import ImageItem

MODULE = "engine.jobs.features_work"
CHOSEN = "chosen.json"
"""The network that a person chose, where one was chosen."""
NONE = JobState()
AGAIN = 2
"""Times as many labels as before choose again."""
CUT_OFF, MANY = 1.1, 0.1
"""An image is longer than square by so much; so large a share of them is many."""


def folder_of(root: Path) -> Path:
    """Return the folder of the job of the project at `root`."""
    return root / "cache" / "set"


def start(
    root: Path,
    items: Sequence[ImageItem],
    spec: ArraySpec,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
) -> JobState:
    """Start the process unless it runs or is done for these images; return where it stands.

    Args:
        root: the project's folder.
        items: the images, ascending by id.
        spec: size and channels at which the project's images are compared.
        labels: (N,) each image's class, −1 without a label; see `chooses`.
        groups: (N,) number of each image's group, or None; labels of one group count as one in the choice.
    """
    folder, net = folder_of(root), chosen_net(root)
    version = _version(items, net)

    def plan() -> dict[str, Any]:
        ids, shas = [one.id for one in items], [one.sha256 for one in items]
        group = ids if groups is None else groups
        table = pa.table({"image_id": ids, "sha256": shas, "label": labels, "group": group})
        write_atomic(folder / features_work.IMAGES, lambda aside: pq.write_table(table, aside))
        spec_columns = {"size": spec.size, "channels": spec.channels}
        return {"version": version, "spec": spec_columns, "views": _views_differ(items), "net": net}

    def due(status: str) -> bool:
        return status != "ready" or _planned(folder) != version or chooses(root, labels)

    parent.start(folder, MODULE, plan, due=due)
    return state(root, items)


@dataclass(frozen=True)
class View:
    """How labels chose that photos be shown to the network: one of `engine.nets.views.VIEWS`. labels: how many."""

    view: str
    labels: int


def view(root: Path) -> View | None:
    """Return what labels chose, None before."""
    written = _read(folder_of(root) / features_work.VIEW)
    return View(str(written["view"]), int(written["labels"])) if written else None


def chooses(root: Path, labels: NDArray[np.int64]) -> bool:
    """Return whether these labels (N,), −1 for none, are to choose how photos are shown: 5 a class are there, and twice
    as many as chose before."""
    if not _read(folder_of(root) / JOB).get("views"):
        return False
    some = labels[labels >= 0]
    before = view(root)
    enough = LEAST_LABELS * max(len(np.unique(some)), 2)
    return len(some) >= max(enough, AGAIN * before.labels if before else 0)


def _views_differ(items: Sequence[ImageItem]) -> bool:
    """Return whether the centre squares leave out much of many images."""
    longer = [max(item.width, item.height) > CUT_OFF * min(item.width, item.height) for item in items]
    return sum(longer) > MANY * len(items)


def state(root: Path, items: Sequence[ImageItem]) -> JobState:
    """Return where the job of these images stands: "none" where what is there is of others and nothing runs."""
    folder = folder_of(root)
    job = parent.state(folder)
    return job if job.status == "running" or _planned(folder) == _version(items, chosen_net(root)) else NONE


def discard(root: Path) -> None:
    """Forget what the process has written, so that it is written again; features computed so far stay."""
    for name in (JOB, features_work.SOURCE):
        (folder_of(root) / name).unlink(missing_ok=True)


def cancel(root: Path) -> bool:
    """Ask the process to end; features computed so far stay. Return whether one ran."""
    return parent.cancel(folder_of(root))


def _planned(folder: Path) -> str:
    return str(_read(folder / JOB).get("version", ""))


def choose_net(root: Path, net: str) -> None:
    """Choose which pretrained network describes the images from the next start on.

    Args:
        root: the project's folder.
        net: as in `TrainConfig.net` ("frozen:a+b") or without what stands before the colon; "" for what is recommended.

    Raises:
        ConfigError: there is no such network, or its weights are not on this machine.
    """
    name = net.strip().removeprefix(FROZEN)
    if not name:
        (folder_of(root) / CHOSEN).unlink(missing_ok=True)
        return
    missing = [one.name for one in frozen.check(FROZEN + name) if not frozen.weights_here(one.name)]
    if missing:
        raise ConfigError(
            "The weights of a network are not on this machine", value=", ".join(missing),
            way_out="Train a quick round with it once, which downloads them, or put their file there as the Train page "
            "says.",
        )  # fmt: skip
    write_json(folder_of(root) / CHOSEN, {"net": FROZEN + name})


def chosen_net(root: Path) -> str:
    """Return the network that a person chose, as in `TrainConfig.net`; "" where none was chosen."""
    return str(_read(folder_of(root) / CHOSEN).get("net", ""))


def _version(items: Sequence[ImageItem], net: str) -> str:
    digest = hashlib.sha256(f"{features_work.VERSION}{net}".encode())
    for item in items:
        digest.update(f"{item.id}:{item.sha256}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class DescribedSet:
    """Images as the live model knows them, in the order of their hashes. net: where the features come from, as in
    `TrainConfig.net`."""

    images: ImageSet
    shas: tuple[str, ...]
    net: str

    @property
    def votes(self) -> float:
        """λ of these features."""
        return VOTES_GRADIENTS if NetName.parse(self.net).has_gradients else VOTES


def read(root: Path) -> DescribedSet:
    """Return what the process has written.

    Raises:
        FileNotFoundError: it has written nothing yet.
        CheckpointCorrupt: the file is damaged.
    """
    folder = folder_of(root)
    source = _read(folder / features_work.SOURCE)
    if "set" not in source:
        raise FileNotFoundError(folder / features_work.SOURCE)
    images, shas = load_set(folder / str(source["set"]))
    return DescribedSet(images, shas, str(source["net"]))


def written(root: Path, items: Sequence[ImageItem]) -> bool:
    """Return whether what the process has written is of these images."""
    return bool(_read(folder_of(root) / features_work.SOURCE).get("version") == _version(items, chosen_net(root)))


def net(root: Path) -> str:
    """Return where the features in force come from, as in `TrainConfig.net`; "" before there are any."""
    return str(_read(folder_of(root) / features_work.SOURCE).get("net", ""))


def mark(root: Path) -> str:
    """Return what changes with what the process writes; "" while it has written nothing. Costs a look at one file."""
    try:
        return str((folder_of(root) / features_work.SOURCE).stat().st_mtime_ns)
    except FileNotFoundError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
