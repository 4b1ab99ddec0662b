"""Starts the process that computes a project's fixed map, and reads what it has written so far.

A map belongs to one set of images: its version is a hash of their contents, so new images ask for a new map. While
that is computed, the newest older map that exists stays readable.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from numpy.typing import NDArray

from engine.errors import MapError
from engine.images.array_cache import ArraySpec
from engine.records import ImageItem, MapState

PARAMETERS = "1"
"""Raised when the parameters of the map change, so that older maps are computed again."""


def version_of(items: Sequence[ImageItem]) -> str:
    """Return the version of the map of exactly these images."""
    digest = hashlib.sha256(PARAMETERS.encode())
    for item in items:
        digest.update(f"{item.id}:{item.sha256}\n".encode())
    return digest.hexdigest()[:16]


def start(root: Path, items: Sequence[ImageItem], spec: ArraySpec) -> MapState:
    """Start the map's process unless it runs or is done; return where it stands.

    Raises:
        MapError: there are no images.
    """
    if not items:
        raise MapError("There are no images to map", way_out="Import a set first.")
    found = state(root, items)
    if found.status in {"running", "ready"}:
        return found
    job = _job_dir(root, items)
    job.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "image_id": np.array([item.id for item in items], np.int64),
            "sha256": [item.sha256 for item in items],
        }
    ).to_parquet(job / "images.parquet")
    (job / "job.json").write_text(
        json.dumps(
            {
                "project_root": str(root),
                "source": "pixels",
                "spec": {"size": spec.size, "channels": spec.channels},
                "seed": 0,
            }
        )
    )
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with open(job / "map.log", "ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.rounds.map_job", str(job)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment,
        )  # fmt: skip
    first: dict[str, Any] = {
        "status": "running",
        "stage": "Starting",
        "fraction": 0.0,
        "points": 0,
        "pid": process.pid,
    }
    temporary = job / "progress.first"
    temporary.write_text(json.dumps(first))
    if _read(job).get("pid") != process.pid:  # not written by this process: what an earlier one left
        os.replace(temporary, job / "progress.json")
    _children.append(process)
    return state(root, items)


def state(root: Path, items: Sequence[ImageItem]) -> MapState:
    """Return where the map of these images stands."""
    for process in list(_children):
        if process.poll() is not None:
            _children.remove(process)
    version = version_of(items)
    job = _job_dir(root, items)
    found = _read(job)
    if not found:
        return MapState("none", version=version)
    status = found.get("status")
    if status == "running" and not _alive(int(found.get("pid", 0)), job):
        status = "failed"
        found["error"] = f"The map's process ended unexpectedly; its log is {job / 'map.log'}."
    if status == "done":
        status = "ready"
    return MapState(
        status=status if status in {"running", "ready", "failed"} else "none",
        stage=str(found.get("stage", "")),
        fraction=float(found.get("fraction", 0.0)),
        points=int(found.get("points", 0)),
        version=version,
        error=str(found.get("error") or ""),
    )


def points(root: Path, items: Sequence[ImageItem]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (N,) and positions (N, 2) of the best picture of these images there is, or of an older set.

    Raises:
        MapError: there is no picture yet.
    """
    own = _job_dir(root, items) / "map.parquet"
    candidates = [own, *sorted((root / "map").glob("*/map.parquet"), key=lambda path: -path.stat().st_mtime)]
    for path in candidates:
        if path.is_file():
            frame = pd.read_parquet(path)
            xy = frame[["x", "y"]].to_numpy(np.float32)
            return frame["image_id"].to_numpy(np.int64), xy
    raise MapError("There is no map yet", way_out="Start it on the map page.")


def _job_dir(root: Path, items: Sequence[ImageItem]) -> Path:
    return root / "map" / version_of(items)


def _read(job: Path) -> dict[str, Any]:
    try:
        found = json.loads((job / "progress.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _alive(pid: int, job: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(job) in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        return False


_children: list[subprocess.Popen[bytes]] = []
