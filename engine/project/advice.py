"""What suits the project at hand, and what has to be timed to say how long a round would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from engine.images.array_cache import ArraySpec, recommend_spec
from engine.images.feature_parts import latest_folder
from engine.jobs import features, timing
from engine.nets import frozen
from engine.nets.net_name import NetName
from engine.project.workspace import Workspace
from engine.records.labels import ImageItem
from engine.rounds.supervisor.prepare import HELDOUT_SOURCES, array_spec
from engine.training import device
from engine.training.config import TrainConfig
from engine.training.pools import heldout_total
from engine.training.recommend import PHOTO_NETS, DataFacts
from engine.training.settings import settings_from

NO_WEIGHTS = "the network's weights are not on this machine yet; the round downloads them"


@dataclass(frozen=True)
class Shapes:
    """What the images of a project are like: median shorter side, whether all have one size, the training arrays."""

    images: int
    side: int
    one_size: bool
    spec: ArraySpec


_shapes: dict[tuple[Path, str], Shapes] = {}


def shapes(root: Path, items: Sequence[ImageItem]) -> Shapes:
    """Return what the images are like; looked at again only when there are more."""
    key = (root, items[-1].sha256 if items else "")
    cached = _shapes.get(key)
    if cached is None or cached.images != len(items):
        sides = [min(item.width, item.height) for item in items]
        one_size = len({(item.width, item.height) for item in items}) == 1
        cached = Shapes(len(items), int(median(sides)) if sides else 0, one_size, recommend_spec(items))
        _shapes[key] = cached
    return cached


def facts(workspace: Workspace) -> DataFacts:
    """Return what the rules of recommendation look at; rejected images do not count."""
    table, classes = workspace.store.label_table(), workspace.store.classes()
    images = shapes(workspace.root, workspace.items())
    usable, described = ~table.rejected, features.net(workspace.root)
    label = table.class_index(classes)[usable]
    counts = np.bincount(label[label >= 0], minlength=len(classes))
    return DataFacts(
        side=images.side,
        one_size=images.one_size,
        channels=images.spec.channels,
        images=int(usable.sum()),
        labels=dict(zip(classes, counts.tolist(), strict=True)),
        device=device.resolve("auto").type,
        cores=psutil.cpu_count(logical=False) or 1,
        weights=frozenset(name for name in PHOTO_NETS if frozen.weights_here(name)),
        described="" if NetName.parse(described).has_gradients else described,
    )


def weights_missing(train: Mapping[str, Any]) -> bool:
    """Return whether a network would have to download its weights first; an estimate never does.

    Raises:
        ConfigError: a setting is outside its range, or there is no such network.
    """
    settings = settings_from(TrainConfig, train)
    net = NetName.parse(settings.net)
    if not (net.is_frozen or net.is_tuned or settings.weights):
        return False
    names = [source.name for source in frozen.check(settings.net)] if net.is_frozen else [net.base]
    return any(not frozen.source_of(name).here for name in names)


def timing_job(
    workspace: Workspace, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]
) -> timing.Job | None:
    """Return what has to be timed for a round with these settings; None where nothing could be trained.

    The numbers of images are rounded to two digits, so that a few more labels ask for no new timing.

    Raises:
        ConfigError: a setting is outside its range.
    """
    settings = settings_from(TrainConfig, train)
    table, classes = workspace.store.label_table(), workspace.store.classes()
    labeled = table.labeled & ~table.rejected
    eligible = labeled & table.has_source(*HELDOUT_SOURCES)
    counts = np.bincount(table.class_index(classes)[eligible], minlength=len(classes))
    heldout = heldout_total(counts, settings.heldout_fraction)
    training = int(labeled.sum()) - heldout
    if training < 1 or len(classes) < 2:
        return None
    spec = array_spec(shapes(workspace.root, workspace.items()).spec, settings)
    unlabeled = int((~table.labeled & ~table.rejected).sum())
    net = NetName.parse(settings.net)
    return timing.Job(
        algorithm=algorithm,
        config=dict(config),
        train=dict(train),
        shape=(spec.channels, spec.size, spec.size),
        counts=(_rounded(training), _rounded(heldout), _rounded(unlabeled), len(classes)),
        features_kept=net.is_frozen and features_kept(workspace.root, net),
    )


def features_kept(root: Path, net: NetName) -> bool:
    """Return whether an earlier round has kept features of these networks; of later images they may be missing."""
    folders = [latest_folder(root, source) for source in net.sources]
    return all(folder is not None and any(folder.glob("part-*.npz")) for folder in folders)


def _rounded(count: int) -> int:
    step = int(10 ** max(len(str(count)) - 2, 0))
    return round(count / step) * step
