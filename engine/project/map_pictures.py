"""A still or an animation of a project's map, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.project.maps import class_columns
from engine.project.opened import slug

if TYPE_CHECKING:
    from engine.exporters.pictures.scene import Scene
    from engine.project.opened import Project

MOVES = {"gif", "html"}
"""Kinds that show all epochs; the others show one."""
MEDIA = {"png": "image/png", "svg": "image/svg+xml", "gif": "image/gif", "html": "text/html; charset=utf-8"}


@dataclass(frozen=True)
class Wanted:
    """Which picture: its kind, "fixed" or "moving" layout, the source of the fixed one, the round and the epoch (the
    last one when None), dark or light."""

    kind: str
    layout: str
    source: str
    number: int | None
    epoch: int | None
    dark: bool


@dataclass(frozen=True)
class Made:
    """A finished file: its name, its content and what kind of content that is."""

    name: str
    data: bytes
    media_type: str


def make(project: Project, wanted: Wanted) -> Made:
    """Draw the picture.

    Raises:
        ConfigError: no such kind, layout or epoch.
        MapError: there is no such map yet.
    """
    from engine.exporters.pictures.kinds import MAP_PICTURES

    if wanted.kind not in MAP_PICTURES:
        raise ConfigError("There is no such kind of picture", value=wanted.kind, way_out=f"Use {', '.join(MEDIA)}.")
    if wanted.layout not in {"fixed", "moving"} or (wanted.layout == "moving" and wanted.number is None):
        raise ConfigError("There is no such layout", value=wanted.layout, way_out="Use fixed, or moving with a round.")
    scene = _scene(project, wanted)
    parts = [slug(project.root.name) or "project", "map"]
    parts += [f"round-{wanted.number}"] if wanted.number is not None else []
    parts += [f"epoch-{scene.epochs[-1]}"] if len(scene.epochs) == 1 else []
    return Made(f"{'-'.join(parts)}.{wanted.kind}", MAP_PICTURES[wanted.kind](scene), MEDIA[wanted.kind])


def _scene(project: Project, wanted: Wanted) -> Scene:
    from engine.exporters.pictures.scene import Scene

    maps = project.maps
    if wanted.layout == "moving":
        assert wanted.number is not None
        found = maps.frames(wanted.number)
        epochs = _epochs(found.epochs, wanted)
        ids, xy = found.ids, found.xy[[found.epochs.index(epoch) for epoch in epochs]]
    else:
        ids, xy = maps.points(wanted.source)
        recorded = project.epochs(wanted.number) if wanted.number is not None else []
        epochs = _epochs(recorded, wanted)
    pseudo, confidence = _said(project, wanted.number, epochs, ids)
    accuracy = maps.accuracy(wanted.number) if wanted.number is not None else {}
    return Scene(
        title=project.name, classes=project.classes(), xy=xy, label=_labels(project, ids),
        pseudo=pseudo, confidence=confidence, epochs=epochs,
        accuracy=tuple(accuracy.get(epoch) for epoch in epochs) if len(epochs) > 1 and accuracy else None,
        dark=wanted.dark, fade=True,
    )  # fmt: skip


def _epochs(recorded: Sequence[int], wanted: Wanted) -> tuple[int, ...]:
    """Return all epochs for a picture that moves, else the one wanted."""
    if wanted.kind in MOVES or not recorded:
        return tuple(recorded)
    epoch = recorded[-1] if wanted.epoch is None else wanted.epoch
    if epoch not in recorded:
        raise ConfigError("This epoch is not on the map", value=epoch, way_out="Choose another epoch.")
    return (epoch,)


def _labels(project: Project, ids: NDArray[np.int64]) -> NDArray[np.int16]:
    table = project.label_table()
    index = {name: k for k, name in enumerate(project.classes())}
    names = table.label[np.searchsorted(table.image_ids, ids)]
    return np.array([-1 if name is None else index[name] for name in names], np.int16)


def _said(
    project: Project, number: int | None, epochs: Sequence[int], ids: NDArray[np.int64]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Pseudo-labels (E, N), -1 for none, and their confidences."""
    pseudo = np.full((len(epochs), len(ids)), -1, np.int16)
    confidence = np.zeros((len(epochs), len(ids)), np.float32)
    if number is None or not epochs:
        return pseudo, confidence
    columns = class_columns(project, number)
    order = np.argsort(ids, kind="stable")
    for e, epoch in enumerate(epochs):
        image_ids, best, p1 = project.epoch_predictions(number, epoch)
        at = np.minimum(np.searchsorted(ids[order], image_ids), len(ids) - 1)
        there = ids[order][at] == image_ids
        rows = order[at[there]]
        pseudo[e, rows] = columns[best[there]]
        confidence[e, rows] = p1[there]
    return pseudo, confidence
