"""What the map canvas draws, packed for the wire: positions once, then what changes from epoch to epoch.

A body is a uint32 header length, a JSON header padded to 4 bytes, and arrays as they lie in memory, little-endian.
Rows that resemble the row before are sent as the difference to it, which the transport's gzip then makes small.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.server.workbench import OpenProject
from engine.errors import MapError, RoundError
from engine.ids import rows_of
from engine.project.maps import TrackedPredictions
from engine.quality import scale
from engine.records.quality import Scale
from engine.records.rounds import MapState

MOST_POINTS = 60_000
"""Above this the browser gets a fixed sample of the points, and a density grid of all of them."""
GRID = 192
REACH = 32767.0


@dataclass(frozen=True)
class MapImages:
    """The images on the map, in the order every array is sent in.

    ids (n,) int64; xy (n, 2) float32 in -32767..32767, None without a layout; total: images in all; grid (GRID, GRID)
    uint8 of all images, logarithmic, None where all are shown.
    """

    ids: NDArray[np.int64]
    xy: NDArray[np.float32] | None
    total: int
    grid: NDArray[np.uint8] | None
    state: MapState

    @property
    def mark(self) -> int:
        """A number that differs when the ids do, so that arrays of two moments are never mixed."""
        return zlib.crc32(self.ids.tobytes())


def shown(opened: OpenProject, source: str) -> MapImages:
    """Return the images on the map of a source; all images, without positions, before there is a layout."""
    maps = opened.project.maps
    state = maps.state(source)
    try:
        ids, xy = maps.points(source)
    except MapError:
        every = opened.project.store.label_table().image_ids
        rows = _sample(every)
        return MapImages(every[rows], None, len(every), None, state)
    rows = _sample(ids)
    placed = scaled(xy)
    grid = None if len(rows) == len(ids) else _grid(placed)
    return MapImages(ids[rows], placed[rows], len(ids), grid, state)


def scaled(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre positions (…, 2) and scale them to -32767..32767, with one scale for both axes."""
    flat = xy.reshape(-1, 2)
    centred = xy - (flat.max(0) + flat.min(0)) / 2
    return np.asarray(np.round(centred * (REACH / max(float(np.abs(centred).max()), 1e-9))), np.float32)


def _sample(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ascending rows of at most MOST_POINTS images, the same ones whatever else is in the project."""
    if len(ids) <= MOST_POINTS:
        return np.arange(len(ids))
    mixed = (ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
    return np.sort(np.argsort(mixed, kind="stable")[:MOST_POINTS])


def _grid(xy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Count the points of each cell, bottom row first, on a logarithmic scale to 255."""
    cells = np.minimum(((xy + REACH) / (2 * REACH) * GRID).astype(np.int64), GRID - 1)
    counts = np.bincount(cells[:, 1] * GRID + cells[:, 0], minlength=GRID * GRID)
    logs = np.log1p(counts)
    return np.round(logs * (255 / max(float(logs.max()), 1e-9))).astype(np.uint8).reshape(GRID, GRID)


def pack(header: dict[str, Any], *arrays: NDArray[Any]) -> bytes:
    """Return uint32 header length, JSON header, padding to 4 bytes, then the arrays as they lie in memory."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def points(opened: OpenProject, source: str) -> bytes:
    """int32 id[n], int32 version[n], int16 x[n], y[n], label[n], truth[n] (-1 none), uint8 flags[n], uint8 grid."""
    project, version = opened.project, opened.project.maps.stamp(source)
    images = shown(opened, source)  # after the stamp: what comes in between is fetched once more, never missed
    table, names = project.store.label_table(), project.store.classes()
    index = {name: k for k, name in enumerate(names)}
    rows = table.rows(images.ids)
    labels = table.class_index(names)[rows].astype(np.int16)
    flags = (labels >= 0) * 1 + table.reviewed[rows] * 2 + table.marked[rows] * 4
    hidden = project.store.truth()
    truth = np.array([index.get(hidden.get(int(i), ""), -1) for i in images.ids], np.int16) if hidden else None
    xy = np.zeros((len(images.ids), 2)) if images.xy is None else images.xy
    state = images.state
    header = {
        "n": len(images.ids), "total": images.total, "mark": images.mark, "classes": list(names), "source": source,
        "positions": images.xy is not None, "truth": truth is not None, "placed": state.placed,
        "grid": 0 if images.grid is None else GRID, "version": version,
        "status": state.status, "stage": state.stage, "fraction": state.fraction, "error": state.error,
        "hidden_classes": sorted(set(hidden.values()) - set(names)),
    }  # fmt: skip
    arrays: list[NDArray[Any]] = [
        images.ids.astype(np.int32), table.version[rows].astype(np.int32),
        xy[:, 0].astype(np.int16), xy[:, 1].astype(np.int16), labels,
        *([] if truth is None else [truth]), flags.astype(np.uint8), *([] if images.grid is None else [images.grid]),
    ]  # fmt: skip
    return pack(header, *arrays)


def epochs(opened: OpenProject, source: str, number: int, first: int) -> bytes:
    """Pseudo-label [E][n], then confidence [E][n] in steps of 1/255, of the recorded epochs from the `first`-th on.

    Classes are uint8 with 255 for none, or uint16 with 65535 above 254 classes. Every row but the first is sent as
    the exclusive or with (classes) or the difference modulo 256 to (confidences) the row before. At the end uint8
    step[n]: how the round's confidence is written where its pseudo-label is that of the last epoch, else NOT_WRITTEN.
    """
    project = opened.project
    ids = shown(opened, source).ids
    every = project.results.epochs(number)
    wanted = every[first:]
    columns = project.results.class_columns(number) if wanted else np.zeros(0, np.int64)
    none, kind = _none(len(project.store.classes()))
    predicted = np.full((len(wanted), len(ids)), none, kind)
    confidence = np.zeros((len(wanted), len(ids)), np.uint8)
    order = np.argsort(ids, kind="stable")
    for e, epoch in enumerate(wanted):
        image_ids, best, p1 = project.results.epoch_predictions(number, epoch)
        rows, there = rows_of(image_ids, ids[order])
        at = order[rows[there]]
        predicted[e, at] = columns[best[there]]
        confidence[e, at] = np.round(p1[there] * 255).astype(np.uint8)
    right, labels = project.maps.heldout_right(number), project.maps.labels_by_epoch(number)
    written, step = _written(opened, number, ids, every)
    header = {
        "n": len(ids), "mark": zlib.crc32(ids.tobytes()), "round": number, "epochs": wanted, "first": first,
        "all": len(every), "wide": kind is np.uint16, "heldout": [right.get(epoch) for epoch in every],
        "labels": [labels.get(epoch) for epoch in every],
        "scale": None if written is None else asdict(written),
    }  # fmt: skip
    return pack(header, _exclusive(predicted), _difference(confidence), step)


def _written(
    opened: OpenProject, number: int, ids: NDArray[np.int64], epochs: list[int]
) -> tuple[Scale | None, NDArray[np.uint8]]:
    """How a round's confidences are written, None while it is not complete, and the step of each image (n,)."""
    project, step = opened.project, np.full(len(ids), scale.NOT_WRITTEN, np.uint8)
    if not epochs or number not in {one.number for one in project.results.complete()}:
        return None, step
    predictions, written = project.results.needed(number), project.measured.scale(number)
    image_ids, last, _ = project.results.epoch_predictions(number, epochs[-1])
    rows, there = rows_of(ids, predictions.image_ids)
    at, recorded = rows_of(ids, image_ids)
    best = predictions.probabilities.argmax(1)[rows]
    same = there & recorded & (best == last[at])
    step[same] = scale.steps(written, predictions.probabilities[rows[same]].max(1))
    return written, step


def frames(opened: OpenProject, number: int) -> bytes:
    """The moving map: int32 id[T], int16 x[E][T], y[E][T] as differences, then class and confidence of student and
    teacher [E][T] where the round recorded them, coded as in `epochs`."""
    maps = opened.project.maps
    state = maps.moving_state(number)
    about = {"status": state.status, "stage": state.stage, "fraction": state.fraction, "error": state.error}
    about |= {"version": state.version, "round": number}
    try:
        course = maps.frames(number)
        student, teacher = maps.tracked(number, course.epochs)
    except (MapError, RoundError):
        return pack(about | {"t": 0, "epochs": [], "student": False, "teacher": False})
    placed = scaled(course.xy).astype(np.int16)
    header = about | {
        "t": len(course.ids), "epochs": list(course.epochs), "repeated": course.repeated.tolist(),
        "reasons": list(course.reasons), "recall": _numbers(course.recall), "moves": _numbers(course.moves),
        "smoothed": course.smoothed, "student": student is not None, "teacher": teacher is not None,
        "wide": _none(len(opened.project.store.classes()))[1] is np.uint16,
    }  # fmt: skip
    arrays: list[NDArray[Any]] = [
        course.ids.astype(np.int32),
        _difference(placed[..., 0]),
        _difference(placed[..., 1]),
    ]
    recorded = [one for one in (student, teacher) if one is not None]
    codes = [_coded(opened, number, one) for one in recorded]
    return pack(header, *arrays, *[part for code in codes for part in code])


def _coded(opened: OpenProject, number: int, tracked: TrackedPredictions) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    _, kind = _none(len(opened.project.store.classes()))
    best = opened.project.results.class_columns(number)[tracked.best].astype(kind)
    sure = np.round(np.clip(tracked.confidence, 0, 1) * 255).astype(np.uint8)
    return _exclusive(best), _difference(sure)


def _none(classes: int) -> tuple[int, type[np.uint8] | type[np.uint16]]:
    """Return the code of "no class" and the type that holds all codes."""
    return (255, np.uint8) if classes <= 254 else (65535, np.uint16)


def _exclusive(rows: NDArray[Any]) -> NDArray[Any]:
    out = rows.copy()
    out[1:] ^= rows[:-1]
    return out


def _difference(rows: NDArray[Any]) -> NDArray[Any]:
    out = rows.copy()
    out[1:] -= rows[:-1]  # wraps around, and back again in the browser
    return out


def _numbers(values: NDArray[np.float32]) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
