"""Computes a project's fixed map: `python -m engine.jobs.fixed_map_work <project>/map/<name>`.

Reads job.json {source, identity, parameters, spec {size, channels}, previous, fresh, seed} and images.parquet
(image_id, sha256). Writes features.npy and basis.npz (see `fixed_map_sources.Components`) and map.parquet (image_id, x,
y, placed), each whole or not at all. map.parquet holds the first picture within seconds and is replaced as the layout
gets better; its positions are final when the job is ready. With `previous`, the name of a finished map of some of the
images beside this one, those stay exactly where they are and only the others are placed. In the end digests.json
says what the files are. Never touches the database.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ProjectCorrupt
from engine.files import read_json, write_atomic
from engine.jobs import child
from engine.jobs.child import JobProgress
from engine.jobs.folder import JOB

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.array_cache import ArraySpec
    from engine.jobs.fixed_map_sources import Components

IMAGES = "images.parquet"
MAP = "map.parquet"
FILES = (IMAGES, "features.npy", "basis.npz", MAP)
SOURCE_SHARE, FEATURES_SHARE = 0.2, 0.25


@dataclass(frozen=True)
class MapTask:
    """What is to be mapped: the project, the source of the features and its pixels' size, and the images (N,)."""

    root: Path
    source: str
    spec: ArraySpec
    seed: int
    previous: str | None
    stamp: str
    """What tells these features from others."""
    ids: NDArray[np.int64]
    shas: list[str]


@dataclass(frozen=True)
class MapBefore:
    """A finished map of some of the images: its name, its features and basis, and of its images the `rows` among all
    (N,), the positions (N, 2) and whether each was placed later (N,)."""

    name: str
    parts: Components
    rows: NDArray[np.int64]
    xy: NDArray[np.float32]
    placed: NDArray[np.bool_]


@dataclass
class MapWriter:
    """Writes map.parquet and the progress; a picture that is `held` back leaves the one there was in place."""

    folder: Path
    progress: JobProgress
    ids: NDArray[np.int64]
    held: bool = False

    def picture(self, stage: str, fraction: float, xy: NDArray[np.float32], placed: NDArray[np.bool_]) -> None:
        """Replace the picture by positions (N, 2); `placed` (N,) marks the images that came after the layout."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.held:
            columns = {"image_id": self.ids, "x": xy[:, 0], "y": xy[:, 1], "placed": placed}
            table = pa.table({name: pa.array(values) for name, values in columns.items()})
            write_atomic(self.folder / MAP, lambda aside: pq.write_table(table, aside))
            self.progress.counts["placed"] = int(placed.sum())
        self.progress.running(stage, FEATURES_SHARE + (1 - FEATURES_SHARE) * fraction)


def work(folder: Path, progress: JobProgress) -> None:
    """Compute the map of a job folder."""
    from engine.jobs.fixed_map_sources import DIGESTS

    job = read_json(folder / JOB)
    DIGESTS.unseal(folder)
    task = _task(folder, job, progress)
    # Where all images are laid out anew, the map there was stays until the new one is done.
    writer = MapWriter(folder, progress, task.ids, held=bool(job.get("fresh")) and (folder / MAP).exists())
    before = _before(folder, task)
    if before is None:
        _lay_out(task, writer)
    else:
        _place(task, before, writer)
    DIGESTS.seal(folder, FILES)


def _task(folder: Path, job: dict[str, Any], progress: JobProgress) -> MapTask:
    import numpy as np
    import pyarrow.parquet as pq

    from engine.images.array_cache import ArraySpec
    from engine.jobs import fixed_map_sources

    table = pq.read_table(folder / IMAGES, columns=["image_id", "sha256"])
    progress.counts |= {"points": table.num_rows, "placed": 0}
    root, source, spec = folder.parents[1], str(job["source"]), ArraySpec(**job["spec"])
    if source.startswith("pretrained-"):
        progress.running("Reading the network's weights", 0.0)
    return MapTask(
        root=root,
        source=source,
        spec=spec,
        seed=int(job["seed"]),
        previous=job.get("previous"),
        stamp=fixed_map_sources.stamp(root, source, spec),
        ids=table.column("image_id").to_numpy().astype(np.int64),
        shas=table.column("sha256").to_pylist(),
    )


def _lay_out(task: MapTask, writer: MapWriter) -> None:
    """Lay all images out anew."""
    import numpy as np

    from engine.jobs import fixed_map_sources
    from engine.maps.features import fit_basis
    from engine.maps.fixed_map import fixed_map

    parts = _left(writer.folder, task, "")
    if parts is None:
        features = _features(task, task.shas, writer.progress)
        basis = fit_basis(features)
        parts = fixed_map_sources.Components(basis.apply(features), basis, task.stamp)
        parts.write(writer.folder)
    placed = np.zeros(len(task.ids), bool)

    def report(stage: str, fraction: float, xy: NDArray[Any]) -> None:
        writer.held &= fraction < 1
        writer.picture(stage, fraction, xy, placed)

    fixed_map(parts.features, seed=task.seed, report=report, threads=child.threads())


def _place(task: MapTask, before: MapBefore, writer: MapWriter) -> None:
    """Keep every image of the map before where it is and place the others among them."""
    import numpy as np

    from engine.jobs import fixed_map_sources
    from engine.maps.fixed_map import place

    placed = np.ones(len(task.ids), bool)
    placed[before.rows] = False
    new = np.flatnonzero(placed)
    parts = _left(writer.folder, task, before.name)
    if parts is None:
        features = _features(task, [task.shas[row] for row in new], writer.progress)
        every = np.empty((len(task.ids), before.parts.features.shape[1]), np.float32)
        every[before.rows], every[new] = before.parts.features, before.parts.basis.apply(features)
        parts = fixed_map_sources.Components(every, before.parts.basis, task.stamp, before.name)
        parts.write(writer.folder)
    placed[before.rows] = before.placed
    xy = np.empty((len(task.ids), 2), np.float32)
    xy[before.rows] = before.xy
    stage = f"Placing {len(new):,} new images among {len(before.rows):,}"

    def report(fraction: float, positions: NDArray[Any]) -> None:
        xy[new] = positions
        writer.picture(stage, fraction, xy, placed)

    reference, threads = np.asarray(before.parts.features), child.threads()
    place(reference, before.xy, parts.features[new], seed=task.seed, threads=threads, report=report)


def _features(task: MapTask, shas: list[str], progress: JobProgress) -> NDArray[Any]:
    from engine.jobs import fixed_map_sources

    features = fixed_map_sources.features(task.root, task.source, task.spec, shas, progress.part(0.0, SOURCE_SHARE))
    progress.running("Comparing images", SOURCE_SHARE)
    return features


def _left(folder: Path, task: MapTask, previous: str) -> Components | None:
    """Return the features that an attempt that was cut off has left, if they are those that are needed."""
    from engine.jobs import fixed_map_sources

    parts = fixed_map_sources.read_components(folder)
    if parts is None or (parts.stamp, parts.previous) != (task.stamp, previous):
        return None
    return parts if len(parts.features) == len(task.ids) else None


def _before(folder: Path, task: MapTask) -> MapBefore | None:
    """Return the map to place new images on; None where there is none to be trusted with it: lay all out anew."""
    import numpy as np
    import pyarrow.parquet as pq

    from engine.jobs import fixed_map_sources
    from engine.maps.fixed_map import can_place

    if task.previous is None:
        return None
    older = folder.parent / task.previous
    parts = fixed_map_sources.read_components(older)
    try:
        content = fixed_map_sources.DIGESTS.content(older, MAP)
        table = pq.read_table(io.BytesIO(content), columns=["image_id", "x", "y", "placed"])
    except (ProjectCorrupt, OSError, ValueError, KeyError):  # pyarrow's own errors are of these kinds
        return None
    ids = table.column("image_id").to_numpy()
    place_of = {image: row for row, image in enumerate(task.ids.tolist())}
    fits = parts is not None and parts.stamp == task.stamp and len(parts.features) == len(ids)
    if parts is None or not fits or not can_place(parts.features) or not set(ids.tolist()) < set(place_of):
        return None
    xy = np.stack([table.column(name).to_numpy() for name in ("x", "y")], axis=1)
    rows = np.array([place_of[image] for image in ids.tolist()], np.int64)
    return MapBefore(older.name, parts, rows, xy, table.column("placed").to_numpy())


if __name__ == "__main__":
    child.main(work)
