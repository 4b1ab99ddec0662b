"""Starting the map's process, and what a killed one leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.errors import ConfigError, MapError, ProjectCorrupt
from engine.images.array_cache import ArraySpec
from engine.jobs import fixed_map, fixed_map_sources, parent
from engine.maps.features import fit_basis
from engine.records.labels import ImageItem
from tests.engine.jobs.test_fixed_map_sources import a_round

ITEMS = [ImageItem(number, f"{number:064x}", f"{number}.png", "PNG", 8, 8, 1, 100) for number in (1, 2)]
MORE = [*ITEMS, *(ImageItem(number, f"{number:064x}", f"{number}.png", "PNG", 8, 8, 1, 100) for number in (3, 4))]
SPEC = ArraySpec(8, 1)
IDLE = "import time; time.sleep(60)"
FAILS = """
import sys
from engine.jobs import child
def work(folder, progress):
    raise MemoryError("no memory")
child.main(work)
"""
Started = list["subprocess.Popen[bytes]"]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run other code in place of the map's own."""
    started: Started = []
    real = subprocess.Popen

    def use(code: str) -> Started:
        def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
            process = real([sys.executable, "-c", code, command[-1]], **options)
            started.append(process)
            return process

        monkeypatch.setattr(parent.subprocess, "Popen", popen)
        return started

    yield use
    for process in started:
        process.kill()
        process.wait()


def _leave(root: Path, status: str) -> Path:
    """Write what a process that is gone has left."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    progress = root / "map" / f"pixels-{fixed_map.version_of(ITEMS)}" / "progress.json"
    progress.parent.mkdir(parents=True)
    progress.write_text(json.dumps({"status": status, "stage": "Layout", "fraction": 0.4, "pid": gone.pid}))
    return progress


@pytest.mark.parametrize("status", ["running", "failed", "cancelled"])
def test_what_an_ended_process_left_does_not_stand_for_the_new_one(tmp_path: Path, stand_in: Any, status: str) -> None:
    progress = _leave(tmp_path, status)
    assert fixed_map.state(tmp_path, ITEMS).status != "running"
    started = stand_in(IDLE)
    found = fixed_map.start(tmp_path, ITEMS, ArraySpec(8, 1))
    assert (found.status, found.stage, found.fraction, found.error) == ("running", "Starting", 0.0, "")
    assert json.loads(progress.read_text())["pid"] == started[0].pid


def test_a_running_map_is_not_started_twice(tmp_path: Path, stand_in: Any) -> None:
    started = stand_in(IDLE)
    for _ in range(2):
        assert fixed_map.start(tmp_path, ITEMS, ArraySpec(8, 1)).status == "running"
    assert len(started) == 1


def test_what_the_new_process_wrote_already_is_kept(tmp_path: Path, stand_in: Any) -> None:
    _leave(tmp_path, "running")
    started = stand_in(FAILS)
    fixed_map.start(tmp_path, ITEMS, ArraySpec(8, 1))
    started[0].wait(30)
    found = fixed_map.state(tmp_path, ITEMS)
    assert (found.status, found.error) == ("failed", "MemoryError: no memory")


def finished(root: Path, items: Sequence[ImageItem], source: str = "pixels", at: float = 0.0, **changes: Any) -> Path:
    """Write what a finished map leaves: image i lies at (i, at); the map is from `at` seconds after an hour ago."""
    identity = fixed_map_sources.identity(root, source)
    folder = root / "map" / f"{source}-{fixed_map.version_of(items, identity)}"
    folder.mkdir(parents=True)
    ids = [item.id for item in items]
    pd.DataFrame({"image_id": ids, "sha256": [item.sha256 for item in items]}).to_parquet(folder / "images.parquet")
    plan = {"identity": identity, "parameters": fixed_map.PARAMETERS, "spec": {"size": 8, "channels": 1}}
    (folder / "job.json").write_text(json.dumps(plan | changes))
    x, y = np.array(ids, np.float32), np.full(len(ids), at, np.float32)
    picture = pd.DataFrame({"image_id": ids, "x": x, "y": y, "placed": np.arange(len(ids)) > 1})
    picture.to_parquet(folder / "map.parquet")
    os.utime(folder / "map.parquet", (time.time() - 3600 + at,) * 2)
    rows = np.eye(len(ids), 3)
    fixed_map_sources.Components(rows.astype(np.float32), fit_basis(rows), "pixels 8 1").write(folder)
    (folder / "progress.json").write_text(json.dumps({"status": "ready", "placed": int(picture["placed"].sum())}))
    return folder


def planned(root: Path, items: Sequence[ImageItem], source: str = "pixels") -> dict[str, Any]:
    """Return job.json of the map of these images."""
    identity = fixed_map_sources.identity(root, source)
    folder = root / "map" / f"{source}-{fixed_map.version_of(items, identity)}"
    found: dict[str, Any] = json.loads((folder / "job.json").read_text())
    return found


def test_new_images_ask_for_the_newest_finished_map_of_some_of_them(tmp_path: Path, stand_in: Any) -> None:
    stand_in(IDLE)
    newest = finished(tmp_path, ITEMS, at=5)
    finished(tmp_path, ITEMS[:1], at=4)
    finished(tmp_path, [*ITEMS, ImageItem(9, "9" * 64, "9.png", "PNG", 8, 8, 1, 1)], at=6)  # has an image that is gone
    found = fixed_map.start(tmp_path, MORE, SPEC)
    assert (found.status, found.source) == ("running", "pixels")
    job = planned(tmp_path, MORE)
    assert (job["previous"], job["fresh"], job["source"]) == (newest.name, False, "pixels")
    assert str(tmp_path) not in json.dumps(job)


@pytest.mark.parametrize("changes", [{"spec": {"size": 16, "channels": 1}}, {"parameters": "1"}, {"identity": "else"}])
def test_a_map_of_other_features_is_none_to_place_images_on(tmp_path: Path, stand_in: Any, changes: Any) -> None:
    stand_in(IDLE)
    finished(tmp_path, ITEMS, **changes)
    fixed_map.start(tmp_path, MORE, SPEC)
    assert planned(tmp_path, MORE)["previous"] is None


@pytest.mark.parametrize("status", ["running", "failed", "cancelled"])
def test_an_unfinished_map_is_none_to_place_images_on(tmp_path: Path, stand_in: Any, status: str) -> None:
    stand_in(IDLE)
    (finished(tmp_path, ITEMS) / "progress.json").write_text(json.dumps({"status": status, "pid": 0}))
    fixed_map.start(tmp_path, MORE, SPEC)
    assert planned(tmp_path, MORE)["previous"] is None


def test_laying_out_anew_starts_a_finished_map_again_and_takes_none_before(tmp_path: Path, stand_in: Any) -> None:
    started = stand_in(IDLE)
    finished(tmp_path, ITEMS)
    own = finished(tmp_path, MORE)
    assert fixed_map.start(tmp_path, MORE, SPEC).status == "ready"
    assert not started
    assert fixed_map.start(tmp_path, MORE, SPEC, fresh=True).status == "running"
    assert len(started) == 1
    assert (planned(tmp_path, MORE)["previous"], planned(tmp_path, MORE)["fresh"]) == (None, True)
    assert fixed_map_sources.read_components(own) is None  # what an attempt that was cut off left does not count


def test_each_source_has_its_own_map(tmp_path: Path, stand_in: Any) -> None:
    stand_in(IDLE)
    a_round(tmp_path / "rounds" / "0003")
    finished(tmp_path, ITEMS, "round-3", at=1)
    finished(tmp_path, MORE[1:], at=2)
    assert fixed_map.state(tmp_path, ITEMS, "round-3").status == "ready"
    assert fixed_map.state(tmp_path, ITEMS).status == "none"
    assert fixed_map.points(tmp_path, ITEMS, "round-3")[1].tolist() == [[1, 1], [2, 1]]
    assert fixed_map.points(tmp_path, ITEMS)[0].tolist() == [2, 3, 4]
    with pytest.raises(MapError, match="no map yet: pretrained-resnet18"):
        fixed_map.points(tmp_path, ITEMS, "pretrained-resnet18")
    fixed_map.start(tmp_path, MORE, SPEC, "round-3")
    assert planned(tmp_path, MORE, "round-3")["previous"] is not None


def test_a_round_trained_anew_has_another_map(tmp_path: Path, stand_in: Any) -> None:
    stand_in(IDLE)
    folder = a_round(tmp_path / "rounds" / "0003")
    finished(tmp_path, ITEMS, "round-3")
    (folder / "report.json").write_text(json.dumps({"checkpoint": {"sha256": "beef"}}))
    assert fixed_map.state(tmp_path, ITEMS, "round-3").status == "none"
    fixed_map.start(tmp_path, MORE, SPEC, "round-3")
    assert planned(tmp_path, MORE, "round-3")["previous"] is None


def test_a_round_without_features_is_refused_at_once_and_its_state_says_why(tmp_path: Path) -> None:
    a_round(tmp_path / "rounds" / "0003", "classical_self_training")
    with pytest.raises(MapError, match="trains no network"):
        fixed_map.start(tmp_path, ITEMS, SPEC, "round-3")
    found = fixed_map.state(tmp_path, ITEMS, "round-3")
    assert found.status == "none"
    assert "trains no network" in found.error
    assert not fixed_map.cancel(tmp_path, ITEMS, "round-3")
    with pytest.raises(MapError, match="no map yet"):
        fixed_map.points(tmp_path, ITEMS, "round-3")


@pytest.mark.parametrize("use", ["state", "points", "placed", "features", "cancel"])
def test_a_source_that_is_none_is_refused_everywhere(tmp_path: Path, use: str) -> None:
    with pytest.raises(ConfigError, match="Unknown source"):
        getattr(fixed_map, use)(tmp_path, ITEMS, "wishes")
    with pytest.raises(ConfigError, match="Unknown source"):
        fixed_map.start(tmp_path, ITEMS, SPEC, "wishes")


def test_no_images_make_no_map(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="no images"):
        fixed_map.start(tmp_path, [], SPEC)


def test_maps_from_before_there_were_sources_are_not_looked_at(tmp_path: Path) -> None:
    folder = finished(tmp_path, ITEMS)
    folder.rename(folder.with_name(folder.name.removeprefix("pixels-")))
    assert fixed_map.placed(tmp_path, ITEMS) == 0
    with pytest.raises(MapError, match="no map yet"):
        fixed_map.points(tmp_path, ITEMS)


def test_the_number_placed_and_the_features_are_those_of_the_picture_on_screen(tmp_path: Path) -> None:
    older = finished(tmp_path, MORE)
    everything = [*MORE, ImageItem(5, "5" * 64, "5.png", "PNG", 8, 8, 1, 1)]
    assert fixed_map.placed(tmp_path, everything) == 2
    assert fixed_map.state(tmp_path, MORE).placed == 2
    ids, features = fixed_map.features(tmp_path, everything)
    assert ids.tolist() == [1, 2, 3, 4]
    assert isinstance(features, np.memmap)
    np.testing.assert_array_equal(features, np.eye(4, 3))
    (older / "features.npy").unlink()
    with pytest.raises(MapError, match="features of this map are gone"):
        fixed_map.features(tmp_path, everything)


@pytest.mark.parametrize("name", ["map.parquet", "features.npy", "basis.npz"])
def test_a_map_that_was_changed_is_told_not_shown_and_computed_anew(tmp_path: Path, stand_in: Any, name: str) -> None:
    stand_in(IDLE)
    folder = finished(tmp_path, ITEMS)
    fixed_map.seal(folder)
    assert fixed_map.start(tmp_path, ITEMS, SPEC).status == "ready"
    data = bytearray((folder / name).read_bytes())
    data[-9] ^= 1
    (folder / name).write_bytes(data)
    found = fixed_map.state(tmp_path, ITEMS)
    assert found.status == "failed"
    assert f"not what the map wrote: {folder / name}. Compute the map anew" in found.error
    with pytest.raises((ProjectCorrupt, MapError)):
        fixed_map.laid_out(tmp_path, ITEMS)
    assert fixed_map.start(tmp_path, ITEMS, SPEC).status == "running"
    assert not (folder / "map.parquet").exists(), "what is damaged would be shown meanwhile"
    assert not (folder / "basis.npz").exists(), "it would be laid out by damaged features"


def test_cancel_ends_the_process_even_before_it_can_say_so(tmp_path: Path, stand_in: Any) -> None:
    started = stand_in(IDLE)
    fixed_map.start(tmp_path, ITEMS, SPEC)
    assert fixed_map.cancel(tmp_path, ITEMS)
    started[0].wait(30)
    found = fixed_map.state(tmp_path, ITEMS)
    assert (found.status, found.stage, found.error) == ("cancelled", "Cancelled", "")
    assert not fixed_map.cancel(tmp_path, ITEMS)
    assert fixed_map.start(tmp_path, ITEMS, SPEC).stage == "Starting"
    assert len(started) == 2
    started[1].kill()
    started[1].wait(30)
    assert fixed_map.state(tmp_path, ITEMS).status == "failed"  # of this one nobody asked the end


def test_cancel_leaves_a_process_alone_that_only_has_the_same_number(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", IDLE])
    try:
        progress = _leave(tmp_path, "running")
        progress.write_text(json.dumps({"status": "running", "pid": other.pid}))
        assert not fixed_map.cancel(tmp_path, ITEMS)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
