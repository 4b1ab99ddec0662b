"""A still or an animation of a project's map, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.ids import rows_of
from engine.project.maps import Maps
from engine.project.results import Results
from engine.project.workspace import Workspace, slug

if TYPE_CHECKING:
    from engine.exporters.pictures.scene import Scene

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


def make(workspace: Workspace, results: Results, maps: Maps, wanted: Wanted) -> Made:
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
    scene = _scene(workspace, results, maps, wanted)
    parts = [slug(workspace.root.name) or "project", "map"]
    parts += [f"round-{wanted.number}"] if wanted.number is not None else []
    parts += [f"epoch-{scene.epochs[-1]}"] if len(scene.epochs) == 1 else []
    return Made(f"{'-'.join(parts)}.{wanted.kind}", MAP_PICTURES[wanted.kind](scene), MEDIA[wanted.kind])


def _scene(workspace: Workspace, results: Results, maps: Maps, wanted: Wanted) -> Scene:
    from engine.exporters.pictures.scene import Scene

    if wanted.layout == "moving":
        assert wanted.number is not None
        frames = maps.frames(wanted.number)
        epochs = _epochs(frames.epochs, wanted)
        ids, xy = frames.ids, frames.xy[[frames.epochs.index(epoch) for epoch in epochs]]
    else:
        ids, xy = maps.points(wanted.source)
        recorded = results.epochs(wanted.number) if wanted.number is not None else []
        epochs = _epochs(recorded, wanted)
    table, classes = workspace.store.label_table(), workspace.store.classes()
    pseudo, confidence = _pseudo_labels(results, wanted.number, epochs, ids)
    right = maps.heldout_right(wanted.number) if wanted.number is not None else {}
    shares = {epoch: count / n for epoch, (count, n) in right.items()}
    return Scene(
        title=workspace.store.name, classes=classes, xy=xy,
        label=table.class_index(classes)[table.rows(ids)].astype(np.int16),
        pseudo=pseudo, confidence=confidence, epochs=epochs,
        accuracy=tuple(shares.get(epoch) for epoch in epochs) if len(epochs) > 1 and shares else None,
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


def _pseudo_labels(
    results: Results, number: int | None, epochs: Sequence[int], ids: NDArray[np.int64]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Pseudo-labels (E, N), -1 for none, and their confidences."""
    pseudo = np.full((len(epochs), len(ids)), -1, np.int16)
    confidence = np.zeros((len(epochs), len(ids)), np.float32)
    if number is None or not epochs:
        return pseudo, confidence
    columns = results.class_columns(number)
    order = np.argsort(ids, kind="stable")
    for e, epoch in enumerate(epochs):
        image_ids, best, p1 = results.epoch_predictions(number, epoch)
        rows, there = rows_of(image_ids, ids[order])
        at = order[rows[there]]
        pseudo[e, at] = columns[best[there]]
        confidence[e, at] = p1[there]
    return pseudo, confidence
