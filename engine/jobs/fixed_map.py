"""Starts the process that computes a project's fixed map, and reads what it has written so far.

A map belongs to one source of features and one set of images. It lies in `<project>/map/<source>-<version>`, where the
version is a hash of both, so new images or another final model ask for a new map. New images are placed among those of
the newest finished map of the same features. While that is done, the newest older map of the source stays readable.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine import whole
from engine.errors import MapError, ProjectCorrupt
from engine.files import read_json, write_atomic
from engine.images.array_cache import ArraySpec
from engine.jobs import fixed_map_sources, fixed_map_work, parent
from engine.jobs.fixed_map_sources import PIXELS
from engine.jobs.folder import JOB
from engine.records.labels import ImageItem
from engine.records.rounds import MapState

PARAMETERS = "3"
"""Raised when the parameters of the map change, so that older maps are computed again."""
MODULE = "engine.jobs.fixed_map_work"
_TRIES, _PAUSE = 5, 0.05
"""How often a picture is looked for while a newer one takes its place, and how many seconds apart."""


def version_of(items: Sequence[ImageItem], identity: str = PIXELS) -> str:
    """Return the version of the map of exactly these images; `identity` as in `fixed_map_sources.identity`."""
    digest = hashlib.sha256(PARAMETERS.encode())
    if identity != PIXELS:
        digest.update(f"{identity}\n".encode())
    for item in items:
        digest.update(f"{item.id}:{item.sha256}\n".encode())
    return digest.hexdigest()[:16]


def start(
    root: Path, items: Sequence[ImageItem], spec: ArraySpec, source: str = PIXELS, *, fresh: bool = False
) -> MapState:
    """Start the map's process unless it runs or is done; return where it stands.

    Args:
        root: the project's folder.
        items: the images.
        spec: size and channels of the pixels to compare.
        source: what the features come from; see `fixed_map_sources`.
        fresh: lay all images out anew, also where there is a map already or one to place new images on.

    Raises:
        ConfigError: there is no such source.
        MapError: there are no images, or the round has no features of its own.
    """
    identity = fixed_map_sources.identity(root, source)
    if not items:
        raise MapError("There are no images to map", way_out="Import a set first.")
    folder = _folder(root, items, source, identity)

    def plan() -> dict[str, Any]:
        if damage(folder) is not None:
            (folder / fixed_map_work.MAP).unlink(missing_ok=True)  # it would be shown until the new one is done
            (folder / fixed_map_sources.BASIS).unlink(missing_ok=True)
        if fresh:
            (folder / fixed_map_sources.BASIS).unlink(missing_ok=True)
        _write_images(folder, items)
        features = {
            "source": source,
            "identity": identity,
            "parameters": PARAMETERS,
            "spec": {"size": spec.size, "channels": spec.channels},
        }
        previous = None if fresh else _previous(root, items, features)
        return {**features, "previous": previous, "fresh": fresh, "seed": 0}

    parent.start(folder, MODULE, plan, due=lambda status: fresh or status != "ready" or damage(folder) is not None)
    return state(root, items, source)


def cancel(root: Path, items: Sequence[ImageItem], source: str = PIXELS) -> bool:
    """Ask the map's process to end; what picture there is stays. Return whether one ran."""
    folder = folder_of(root, items, source)
    return folder is not None and parent.cancel(folder)


def state(root: Path, items: Sequence[ImageItem], source: str = PIXELS) -> MapState:
    """Return where the map of these images stands.

    Raises:
        ConfigError: there is no such source.
    """
    try:
        identity = fixed_map_sources.identity(root, source)
    except MapError as refused:
        return MapState("none", error=str(refused), source=source)
    folder = _folder(root, items, source, identity)
    job = parent.state(folder)
    flaw = damage(folder) if job.status == "ready" else None
    return MapState(
        job.status if flaw is None else "failed",
        stage=job.stage,
        fraction=job.fraction,
        points=job.counts.get("points", 0),
        version=version_of(items, identity),
        error=job.error if flaw is None else flaw,
        source=source,
        placed=job.counts.get("placed", 0),
    )


def damage(folder: Path) -> str | None:
    """Return which file of a map differs from what was written, and what to do, in words; None when none does.

    What was found sound is looked at again when it has changed.
    """
    return next(iter(fixed_map_sources.DIGESTS.find_flaws(folder)), None)


def points(
    root: Path, items: Sequence[ImageItem], source: str = PIXELS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (N,) and positions (N, 2) of the best picture of these images there is, or of an older set.

    Raises:
        ConfigError: there is no such source.
        MapError: there is no picture yet.
        ProjectCorrupt: it is not what was written.
    """
    frame = _picture(root, items, source)[1]
    return frame["image_id"].to_numpy(np.int64), frame[["x", "y"]].to_numpy(np.float32)


def placed(root: Path, items: Sequence[ImageItem], source: str = PIXELS) -> int:
    """Return how many images of the picture that `points` gives came after its layout; 0 without one."""
    try:
        return int(_picture(root, items, source)[1]["placed"].sum())
    except (MapError, ProjectCorrupt):
        return 0


def stamp(root: Path, items: Sequence[ImageItem], source: str = PIXELS) -> str:
    """Return what changes with the picture that `points` gives; "" without one."""
    try:
        path = _picture_folder(root, items, source) / fixed_map_work.MAP
        return f"{path.parent.name}:{path.stat().st_mtime_ns}"
    except (MapError, FileNotFoundError):
        return ""


def features(
    root: Path, items: Sequence[ImageItem], source: str = PIXELS
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (N,) and features (N, k <= 50), memory-mapped, of the picture that `points` gives.

    Raises:
        ConfigError: there is no such source.
        MapError: there is no picture yet, or its features are gone.
    """
    ids, _, features = laid_out(root, items, source)
    return ids, features


def laid_out(
    root: Path, items: Sequence[ImageItem], source: str = PIXELS
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return ids (N,), positions (N, 2) and features (N, k) of one picture; see `points` and `features`."""
    folder, frame = _picture(root, items, source)
    parts = fixed_map_sources.read_components(folder)
    if parts is None or len(parts.features) != len(frame):
        raise MapError("The features of this map are gone", value=source, way_out="Compute the map anew.")
    return frame["image_id"].to_numpy(np.int64), frame[["x", "y"]].to_numpy(np.float32), parts.features


def _picture(root: Path, items: Sequence[ImageItem], source: str) -> tuple[Path, pd.DataFrame]:
    for tries_left in reversed(range(_TRIES)):
        folder = _picture_folder(root, items, source)
        try:
            return folder, whole.table_in(fixed_map_sources.DIGESTS.content(folder, fixed_map_work.MAP))
        except FileNotFoundError:  # the folder went as a newer picture came
            if not tries_left:
                break
        except ProjectCorrupt:  # or a newer picture and its digests came one after the other
            if not tries_left:
                raise
            time.sleep(_PAUSE)
    raise MapError("There is no map yet", value=source, way_out="Start it on the map page.")


def _picture_folder(root: Path, items: Sequence[ImageItem], source: str) -> Path:
    own = folder_of(root, items, source)
    for folder in [*([] if own is None else [own]), *_drawn(root, source)]:
        if (folder / fixed_map_work.MAP).is_file():
            return folder
    raise MapError("There is no map yet", value=source, way_out="Start it on the map page.")


def _previous(root: Path, items: Sequence[ImageItem], features: dict[str, Any]) -> str | None:
    """Return the name of the newest finished map of the same features whose images are some of these."""
    present = {(item.id, item.sha256) for item in items}
    same = ("identity", "parameters", *(("spec",) if features["source"] == PIXELS else ()))
    for folder in _drawn(root, features["source"]):
        try:
            job = read_json(folder / JOB)
            frame = whole.table(folder / fixed_map_work.IMAGES)
        except (OSError, ValueError):
            continue
        mapped = set(zip(frame["image_id"].tolist(), frame["sha256"].tolist(), strict=True))
        alike = all(job.get(name) == features[name] for name in same)
        if alike and mapped < present and parent.state(folder).status == "ready":
            return folder.name
    return None


def _drawn(root: Path, source: str) -> Iterator[Path]:
    """Yield the folders of a source that hold a picture, the one with the newest first."""
    named = re.compile(rf"{re.escape(source)}-[0-9a-f]{{16}}")
    pictures = [
        path for path in (root / "map").glob(f"{source}-*/{fixed_map_work.MAP}") if named.fullmatch(path.parent.name)
    ]
    yield from (path.parent for path in sorted(pictures, key=lambda path: path.stat().st_mtime_ns, reverse=True))


def drawn(root: Path, source: str) -> bool:
    """Return whether there is a picture of this source, of these images or of fewer."""
    return next(_drawn(root, source), None) is not None


def _write_images(folder: Path, items: Sequence[ImageItem]) -> None:
    frame = pd.DataFrame(
        {"image_id": np.array([item.id for item in items], np.int64), "sha256": [item.sha256 for item in items]}
    )
    write_atomic(folder / fixed_map_work.IMAGES, frame.to_parquet)


def _folder(root: Path, items: Sequence[ImageItem], source: str, identity: str) -> Path:
    return root / "map" / f"{source}-{version_of(items, identity)}"


def folder_of(root: Path, items: Sequence[ImageItem], source: str) -> Path | None:
    """Return where the map of these images lies, or would; None where a round has no features any more.

    Raises:
        ConfigError: there is no such source.
    """
    try:
        return _folder(root, items, source, fixed_map_sources.identity(root, source))
    except MapError:
        return None


def seal(folder: Path) -> None:
    """Give a finished map digests of what its files are. Raises OSError where that cannot be written."""
    fixed_map_sources.DIGESTS.seal(folder, fixed_map_work.FILES)


def folders(root: Path) -> list[Path]:
    """Return the folders of the project's maps."""
    return sorted(path for path in (root / "map").glob("*") if (path / JOB).is_file())
