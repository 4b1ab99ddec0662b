"""The map's process: from originals on the disk to positions, seen from outside."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from engine.jobs import child, fixed_map_work

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT = 120.0


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a project of n digits and a job folder for its map."""

    def _job(n: int, **changes: Any) -> Path:
        root = tmp_path / "project"
        shas = [_store(root, image) for image in load_digits().images[:n]]
        folder = root / "map" / "v1"
        folder.mkdir(parents=True)
        ids = np.arange(n, dtype=np.int64) * 3 + 7
        pd.DataFrame({"image_id": ids, "sha256": shas}).to_parquet(folder / "images.parquet")
        plan = {
            "source": "pixels",
            "spec": {"size": 8, "channels": 1},
            "seed": 0,
        }
        (folder / "job.json").write_text(json.dumps(plan | changes))
        return folder

    return _job


def _store(root: Path, pixels: Any) -> str:
    out = io.BytesIO()
    Image.fromarray((pixels * 15.9).astype(np.uint8)).save(out, "PNG")
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    path = root / "images" / digest[:2] / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
    return digest


def start(folder: Path) -> subprocess.Popen[bytes]:
    with open(folder / "job.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "engine.jobs.fixed_map_work", str(folder)],
            cwd=REPOSITORY,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def here(folder: Path) -> int:
    """Do the job in this process and return its exit status."""
    return child.run(folder, fixed_map_work.work)


def progress(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "progress.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def watch(
    folder: Path, process: subprocess.Popen[bytes], until: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Return what progress.json said, one item a change, until `until` holds or the process ends."""
    seen: list[dict[str, Any]] = []
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        ended = process.poll() is not None
        now = progress(folder)
        if now and (not seen or seen[-1] != now):
            seen.append(now)
        if ended or (now and until(now)):
            return seen
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"no end within {LIMIT} s; last: {seen[-1:]}")


def test_from_originals_to_positions_with_pictures_on_the_way(job: Callable[..., Path]) -> None:
    folder = job(300)
    process = start(folder)
    early = watch(folder, process, lambda now: (folder / "map.parquet").exists())
    first = pd.read_parquet(folder / "map.parquet")
    assert early[-1]["status"] == "running"
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 10
    seen = early + watch(folder, process, lambda now: False)
    assert process.wait() == 0, (folder / "job.log").read_text()
    last = seen[-1]
    assert (last["status"], last["fraction"], last["points"], last["error"]) == ("ready", 1.0, 300, "")
    assert last["pid"] == process.pid
    assert abs(last["time"] - time.time()) < 60
    fractions = [now["fraction"] for now in seen]
    assert fractions == sorted(fractions)
    assert len({now["stage"] for now in seen}) >= 4
    final = pd.read_parquet(folder / "map.parquet")
    columns = {"image_id": "int64", "x": "float32", "y": "float32", "placed": "bool"}
    assert final.dtypes.astype(str).to_dict() == columns
    assert not final["placed"].any()
    assert final["image_id"].tolist() == list(range(7, 907, 3)) == first["image_id"].tolist()
    assert np.isfinite(final[["x", "y"]].to_numpy()).all()
    assert not np.allclose(final["x"], first["x"])
    assert not list(folder.glob("*.partial*"))


def test_cancel_says_so_and_leaves_whole_files(job: Callable[..., Path]) -> None:
    folder = job(1500)
    process = start(folder)
    watch(folder, process, lambda now: "step" in now["stage"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    last = progress(folder)
    assert last["status"] == "cancelled"
    assert 0.2 < last["fraction"] < 1
    assert len(pd.read_parquet(folder / "map.parquet")) == 1500
    assert not list(folder.glob("*.partial*"))


def test_a_missing_original_fails_with_its_reason(job: Callable[..., Path]) -> None:
    folder = job(20)
    shas = pd.read_parquet(folder / "images.parquet")["sha256"]
    (folder.parents[1] / "images" / shas[4][:2] / shas[4]).unlink()
    assert here(folder) == 1
    assert progress(folder)["status"] == "failed"
    assert shas[4][:8] in progress(folder)["error"]
    assert not (folder / "map.parquet").exists()


def test_an_unknown_source_fails_with_the_way_out(job: Callable[..., Path]) -> None:
    folder = job(6, source="wishes")
    assert here(folder) == 1
    assert progress(folder)["status"] == "failed"
    assert "wishes" in progress(folder)["error"]
    assert "pixels" in progress(folder)["error"]


def test_two_images_are_enough(job: Callable[..., Path]) -> None:
    folder = job(2)
    assert here(folder) == 0
    assert len(pd.read_parquet(folder / "map.parquet")) == 2


def test_images_that_repeat_each_other_each_have_their_place(job: Callable[..., Path]) -> None:
    folder = job(10)
    images = folder / "images.parquet"
    shas = pd.read_parquet(images)["sha256"].tolist()
    pd.DataFrame({"image_id": np.arange(40), "sha256": shas * 3 + shas[:1] * 10}).to_parquet(images)
    assert here(folder) == 0
    xy = pd.read_parquet(folder / "map.parquet")[["x", "y"]].to_numpy()
    assert np.isfinite(xy).all()
    assert len(np.unique(xy, axis=0)) == 40


def test_map_laid_out_anew_keeps_the_old_picture_until_it_is_done(job: Callable[..., Path]) -> None:
    folder = job(150)
    assert here(folder) == 0
    before = (folder / "map.parquet").read_bytes()
    (folder / "basis.npz").unlink()
    plan = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(plan | {"fresh": True, "seed": 1}))
    process = start(folder)
    deadline = time.monotonic() + LIMIT
    while "Forming" not in progress(folder).get("stage", ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) != 0
    assert (folder / "map.parquet").read_bytes() == before
    assert here(folder) == 0
    assert (folder / "map.parquet").read_bytes() != before
