"""Starts the process that computes a project's fixed map, and reads what it has written so far.

A map belongs to one source of features and one set of images. It lies in `<project>/map/<source>-<version>`, where the
version is a hash of both, so new images or another final model ask for a new map. New images are placed among those of
the newest finished map of the same features. While that is done, the newest older map of the source stays readable.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.errors import MapError
from engine.files import read_json, write_atomic, write_json
from engine.images.array_cache import ArraySpec
from engine.jobs import fixed_map_sources, fixed_map_work, parent
from engine.records.labels import ImageItem
from engine.records.rounds import MapState

PARAMETERS = "2"
"""Raised when the parameters of the map change, so that older maps are computed again."""
MODULE = "engine.jobs.fixed_map_work"
_STATES = {"running", "ready", "failed", "cancelled"}


def version_of(items: Sequence[ImageItem], identity: str = fixed_map_sources.PIXELS) -> str:
    """Return the version of the map of exactly these images; `identity` as in `map_sources.identity`."""
    digest = hashlib.sha256(PARAMETERS.encode())
    if identity != fixed_map_sources.PIXELS:
        digest.update(f"{identity}\n".encode())
    for item in items:
        digest.update(f"{item.id}:{item.sha256}\n".encode())
    return digest.hexdigest()[:16]


def start(
    root: Path,
    items: Sequence[ImageItem],
    spec: ArraySpec,
    source: str = fixed_map_sources.PIXELS,
    *,
    fresh: bool = False,
    round_dir: Path | None = None,
) -> MapState:
    """Start the map's process unless it runs or is done; return where it stands.

    Args:
        root: the project's folder.
        items: the images.
        spec: size and channels of the pixels to compare.
        source: what the features come from; see `map_sources`.
        fresh: lay all images out anew, also where there is a map already or one to place new images on.
        round_dir: the round's folder for the source "round-<n>"; by default the project's own.

    Raises:
        ConfigError: there is no such source.
        MapError: there are no images, or the round has no features of its own.
    """
    identity = fixed_map_sources.identity(source, round_dir or _round_dir(root, source))
    if not items:
        raise MapError("There are no images to map", way_out="Import a set first.")
    job = _job_dir(root, items, source, identity)
    with parent.held(job):
        found = state(root, items, source)
        if found.status == "running" or (found.status == "ready" and not fresh):
            return found
        _launch(root, items, source, identity, (spec, fresh, round_dir))
    return state(root, items, source)


def _launch(
    root: Path,
    items: Sequence[ImageItem],
    source: str,
    identity: str,
    how: tuple[ArraySpec, bool, Path | None],
) -> None:
    """Write what the process needs and start it; `how` are the arguments of `start` of these names."""
    spec, fresh, round_dir = how
    job = _job_dir(root, items, source, identity)
    if fresh:
        (job / fixed_map_sources.BASIS).unlink(missing_ok=True)
    plan: dict[str, Any] = {
        "project_root": str(root),
        "source": source,
        "identity": identity,
        "parameters": PARAMETERS,
        "round_dir": None if (folder := round_dir or _round_dir(root, source)) is None else str(folder),
        "spec": {"size": spec.size, "channels": spec.channels},
        "fresh": fresh,
        "seed": 0,
    }
    previous = None if fresh else _previous(root, items, plan)
    _write_images(job, items)
    write_json(job / fixed_map_work.JOB, plan | {"previous": None if previous is None else str(previous)})
    parent.launch(MODULE, job)


def cancel(root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS) -> bool:
    """Ask the map's process to end; what picture there is stays. Return whether one ran."""
    job = _own(root, items, source)
    if job is None or parent.state(job).get("status") != "running":
        return False
    return parent.cancel(job)


def state(root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS) -> MapState:
    """Return where the map of these images stands.

    Raises:
        ConfigError: there is no such source.
    """
    try:
        identity = fixed_map_sources.identity(source, _round_dir(root, source))
    except MapError as refused:
        return MapState("none", error=str(refused), source=source)
    job = _job_dir(root, items, source, identity)
    found = parent.state(job)
    status, error = str(found.get("status", "none")), str(found.get("error") or "")
    return MapState(
        status if status in _STATES else "none",  # type: ignore[arg-type]
        stage=str(found.get("stage", "")),
        fraction=float(found.get("fraction", 0.0)),
        points=int(found.get("points", 0)),
        version=version_of(items, identity),
        error=error,
        source=source,
        placed=int(found.get("placed", 0)),
    )


def points(
    root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (N,) and positions (N, 2) of the best picture of these images there is, or of an older set.

    Raises:
        ConfigError: there is no such source.
        MapError: there is no picture yet.
    """
    frame = _picture(root, items, source)[1]
    return frame["image_id"].to_numpy(np.int64), frame[["x", "y"]].to_numpy(np.float32)


def placed(root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS) -> int:
    """Return how many images of the picture that `points` gives came after its layout; 0 without one."""
    try:
        return int(_picture(root, items, source)[1]["placed"].sum())
    except MapError:
        return 0


def stamp(root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS) -> str:
    """Return what changes with the picture that `points` gives; "" without one."""
    try:
        path = _picture_dir(root, items, source) / fixed_map_work.MAP
        return f"{path.parent.name}:{path.stat().st_mtime_ns}"
    except (MapError, FileNotFoundError):
        return ""


def features(
    root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (N,) and features (N, k <= 50), memory-mapped, of the picture that `points` gives.

    Raises:
        ConfigError: there is no such source.
        MapError: there is no picture yet, or its features are gone.
    """
    ids, _, found = laid_out(root, items, source)
    return ids, found


def laid_out(
    root: Path, items: Sequence[ImageItem], source: str = fixed_map_sources.PIXELS
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return ids (N,), positions (N, 2) and features (N, k) of one picture; see `points` and `features`."""
    job, frame = _picture(root, items, source)
    found = fixed_map_sources.read_components(job)
    if found is None or len(found.features) != len(frame):
        raise MapError("The features of this map are gone", value=source, way_out="Compute the map anew.")
    return frame["image_id"].to_numpy(np.int64), frame[["x", "y"]].to_numpy(np.float32), found.features


def _picture(root: Path, items: Sequence[ImageItem], source: str) -> tuple[Path, pd.DataFrame]:
    job = _picture_dir(root, items, source)
    return job, pd.read_parquet(job / fixed_map_work.MAP)


def _picture_dir(root: Path, items: Sequence[ImageItem], source: str) -> Path:
    own = _own(root, items, source)
    for job in [*([] if own is None else [own]), *_jobs(root, source)]:
        if (job / fixed_map_work.MAP).is_file():
            return job
    raise MapError("There is no map yet", value=source, way_out="Start it on the map page.")


def _previous(root: Path, items: Sequence[ImageItem], plan: dict[str, Any]) -> Path | None:
    """Return the folder of the newest finished map of the same features whose images are some of these."""
    present = {(item.id, item.sha256) for item in items}
    same = ("identity", "parameters", *(("spec",) if plan["source"] == fixed_map_sources.PIXELS else ()))
    for job in _jobs(root, plan["source"]):
        try:
            other = read_json(job / fixed_map_work.JOB)
            frame = pd.read_parquet(job / fixed_map_work.IMAGES)
        except (OSError, ValueError):
            continue
        of = set(zip(frame["image_id"].tolist(), frame["sha256"].tolist(), strict=True))
        if parent.read(job).get("status") == "ready" and of < present and all(other.get(k) == plan[k] for k in same):
            return job
    return None


def _jobs(root: Path, source: str) -> Iterator[Path]:
    """Yield the folders of a source that hold a picture, the one with the newest first."""
    named = re.compile(rf"{re.escape(source)}-[0-9a-f]{{16}}")
    found = [
        path for path in (root / "map").glob(f"{source}-*/{fixed_map_work.MAP}") if named.fullmatch(path.parent.name)
    ]
    yield from (path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True))


def drawn(root: Path, source: str) -> bool:
    """Return whether there is a picture of this source, of these images or of fewer."""
    return next(_jobs(root, source), None) is not None


def _write_images(job: Path, items: Sequence[ImageItem]) -> None:
    frame = pd.DataFrame(
        {"image_id": np.array([item.id for item in items], np.int64), "sha256": [item.sha256 for item in items]}
    )
    write_atomic(job / fixed_map_work.IMAGES, frame.to_parquet)


def _own(root: Path, items: Sequence[ImageItem], source: str) -> Path | None:
    """Return the folder of the map of these images; None where a round has no features any more."""
    try:
        return _job_dir(root, items, source, fixed_map_sources.identity(source, _round_dir(root, source)))
    except MapError:
        return None


def _job_dir(root: Path, items: Sequence[ImageItem], source: str, identity: str) -> Path:
    return root / "map" / f"{source}-{version_of(items, identity)}"


def _round_dir(root: Path, source: str) -> Path | None:
    fixed_map_sources.check(source)
    number = fixed_map_sources.round_number(source)
    return None if number is None else root / "rounds" / f"{number:04d}"
