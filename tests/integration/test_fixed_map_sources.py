"""Maps of a real small project: new images placed, a map cancelled and resumed, the features of a trained round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from engine.files import read_json, write_json
from engine.images.array_cache import ArraySpec
from engine.jobs import child, fixed_map, fixed_map_sources, fixed_map_work, parent
from engine.records.labels import ImageItem
from engine.records.rounds import MapState
from engine.rounds.folder import files
from engine.rounds.worker import apply
from tests.engine.jobs.test_fixed_map_sources import quiet
from tests.integration.conftest import RoundBench, make_project
from tests.integration.test_clear_messages import in_this_process

SPEC = ArraySpec(8, 1)


@pytest.fixture(autouse=True)
def no_process_outlives_its_test() -> Iterator[None]:
    """Take the exit status of every map's process."""
    yield
    for process in parent._children:
        process.wait(60)
    parent.reap()


def project(root: Path, count: int) -> tuple[ImageItem, ...]:
    """Write a project of digits and return its images."""
    store = make_project(root, count, 0)
    found = tuple(store.images())
    store.close()
    return found


def until(root: Path, items: Sequence[ImageItem], source: str, *states: str) -> MapState:
    """Wait until the map stands where it should."""
    end = time.monotonic() + 120
    while (found := fixed_map.state(root, items, source)).status not in states:
        assert found.status == "running", found
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def ready(root: Path, items: Sequence[ImageItem], source: str = "pixels", **how: Any) -> MapState:
    """Start the map and wait for it."""
    fixed_map.start(root, items, SPEC, source, **how)
    return until(root, items, source, "ready")


def test_new_images_are_placed_among_their_kind_and_the_others_keep_their_places(
    tmp_path: Path, jobs_here: None
) -> None:
    every = project(tmp_path, 500)
    old = [item for row, item in enumerate(every) if row % 5]  # new images lie between old ones, not only behind them
    assert ready(tmp_path, old).placed == 0
    ids, xy = fixed_map.points(tmp_path, old)
    assert fixed_map.points(tmp_path, every)[0].tolist() == ids.tolist()  # the older picture, until there is one
    found = ready(tmp_path, every)
    assert (found.points, found.placed, fixed_map.placed(tmp_path, every)) == (500, 100, 100)
    all_ids, all_xy = fixed_map.points(tmp_path, every)
    assert all_ids.tolist() == [item.id for item in every]
    new = np.arange(500) % 5 == 0
    assert all_xy[~new].tobytes() == xy.tobytes()
    y = load_digits().target[:500]
    near = NearestNeighbors(n_neighbors=1).fit(xy).kneighbors(all_xy[new], return_distance=False)[:, 0]
    assert (y[~new][near] == y[new]).mean() > 0.85
    before, after = (fixed_map.features(tmp_path, items)[1] for items in (old, every))
    assert after.shape == (500, 50)
    assert after[~new].tobytes() == np.asarray(before).tobytes()
    assert np.abs(after[new]).sum(axis=1).min() > 0
    assert ready(tmp_path, every, fresh=True).placed == 0
    assert not np.allclose(fixed_map.points(tmp_path, every)[1][~new], xy)


def test_a_cancelled_map_keeps_its_picture_and_goes_on_from_its_features(tmp_path: Path) -> None:
    items = project(tmp_path, 600)
    fixed_map.start(tmp_path, items, SPEC)
    folder = tmp_path / "map" / f"pixels-{fixed_map.version_of(items)}"
    end = time.monotonic() + 60
    while not (folder / "map.parquet").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert fixed_map.cancel(tmp_path, items)
    assert until(tmp_path, items, "pixels", "cancelled").fraction < 1
    ids, first = fixed_map.points(tmp_path, items)
    assert ids.tolist() == [item.id for item in items]
    assert len(np.unique(first, axis=0)) > 400
    written = (folder / "features.npy").stat().st_mtime_ns
    assert ready(tmp_path, items).points == 600
    assert not np.allclose(fixed_map.points(tmp_path, items)[1], first)
    assert (folder / "features.npy").stat().st_mtime_ns == written


def test_the_map_of_a_round_is_made_of_what_its_final_model_sees_in_all_images(
    bench: RoundBench, jobs_here: None
) -> None:
    number = bench.queue("supervised", epochs=2, steps_per_epoch=10, learning_rate=0.05)
    assert in_this_process(bench, number)[0] == 0
    source, items, folder = f"round-{number}", bench.store.images(), bench.folder(number)
    rows = fixed_map_sources.features(bench.root, source, ArraySpec(28, 3), [item.sha256 for item in items], quiet)
    model = apply.final_run(folder, torch.device("cpu"), quiet)[0].eval_model().eval()
    final = pd.read_parquet(folder / files.FINAL)
    with torch.inference_mode():
        assert model.head(torch.from_numpy(rows)).argmax(1).tolist() == final["class"].tolist()
    assert ready(bench.root, items[:350], source).points == 350
    xy = fixed_map.points(bench.root, items[:350], source)[1]
    assert ready(bench.root, items, source).placed == 50
    assert fixed_map.points(bench.root, items, source)[1][:350].tobytes() == xy.tobytes()
    known = fixed_map_sources.read_components(bench.root / "map" / f"{source}-{_version(bench.root, items, source)}")
    assert known is not None
    np.testing.assert_allclose(known.features, known.basis.apply(rows), atol=1e-4)


def _version(root: Path, items: Sequence[ImageItem], source: str) -> str:
    return fixed_map.version_of(items, fixed_map_sources.identity(root, source))


def test_a_map_too_small_to_place_images_on_is_laid_out_anew(tmp_path: Path, jobs_here: None) -> None:
    items = project(tmp_path, 12)
    assert ready(tmp_path, items[:1]).points == 1
    assert fixed_map.points(tmp_path, items[:1])[1].tolist() == [[0, 0]]
    found = ready(tmp_path, items)  # fewer images than the perplexity
    assert (found.points, found.placed) == (12, 0)
    assert len(np.unique(fixed_map.points(tmp_path, items)[1], axis=0)) == 12


def test_a_planned_map_is_computed_where_its_project_has_moved_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = project(tmp_path / "here", 12)
    monkeypatch.setattr(parent, "launch", lambda folder, module: None)
    fixed_map.start(tmp_path / "here", items, SPEC)
    (tmp_path / "here").rename(tmp_path / "there")
    (folder,) = (tmp_path / "there" / "map").iterdir()
    assert str(tmp_path) not in (folder / "job.json").read_text()
    assert child.run(folder, fixed_map_work.work) == 0
    assert fixed_map.points(tmp_path / "there", items)[0].tolist() == [item.id for item in items]


@pytest.fixture
def two_jobs(tmp_path: Path, jobs_here: None) -> tuple[Path, Path]:
    """A finished map of 30 digits and a job, not yet run, that places 10 more on it."""
    items = project(tmp_path, 40)
    ready(tmp_path, items[:30])
    older = next((tmp_path / "map").iterdir())
    folder = tmp_path / "map" / "pixels-job"
    folder.mkdir()
    pd.DataFrame({"image_id": [i.id for i in items], "sha256": [i.sha256 for i in items]}).to_parquet(
        folder / "images.parquet"
    )
    job = read_json(older / "job.json")
    write_json(folder / "job.json", job | {"previous": older.name})
    return older, folder


def picture(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "map.parquet")


def test_features_that_are_not_finite_end_the_map_with_their_number_and_the_way_out(
    two_jobs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    older, folder = two_jobs
    rows = np.random.default_rng(0).normal(size=(10, 64))
    rows[[4, 7], 3] = np.nan
    monkeypatch.setattr(fixed_map_sources, "features", lambda *_: rows)
    for previous in (older.name, None):
        job = read_json(folder / "job.json")
        write_json(folder / "job.json", job | {"previous": previous})
        assert child.run(folder, fixed_map_work.work) == 1
        found = read_json(folder / "progress.json")
        assert found["status"] == "failed"
        assert "in 2 of 10 rows, the first is row 4. Use another source" in found["error"]
    assert not (folder / "map.parquet").exists()


def test_only_new_images_are_looked_at_and_a_second_time_none(
    two_jobs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = two_jobs
    shas = pd.read_parquet(folder / "images.parquet")["sha256"].tolist()
    asked: list[Sequence[str]] = []
    real = fixed_map_sources.features
    monkeypatch.setattr(fixed_map_sources, "features", lambda *given: asked.append(given[3]) or real(*given))
    assert child.run(folder, fixed_map_work.work) == 0
    assert child.run(folder, fixed_map_work.work) == 0
    assert asked == [shas[30:]]
    assert picture(folder)["placed"].tolist() == [False] * 30 + [True] * 10


@pytest.mark.parametrize("what", ["stamp", "gone"])
def test_a_map_that_can_no_longer_be_trusted_is_not_placed_on(two_jobs: tuple[Path, Path], what: str) -> None:
    older, folder = two_jobs
    if what == "gone":
        (older / "map.parquet").unlink()
    else:
        known = fixed_map_sources.read_components(older)
        assert known is not None
        fixed_map_sources.Components(np.array(known.features), known.basis, "pixels of other weights").write(older)
    assert child.run(folder, fixed_map_work.work) == 0
    assert not picture(folder)["placed"].any()


def test_images_placed_on_a_map_with_placed_ones_count_together(tmp_path: Path, jobs_here: None) -> None:
    items = project(tmp_path, 60)
    ready(tmp_path, items[:40])
    ready(tmp_path, items[:50])
    xy = fixed_map.points(tmp_path, items[:50])[1]
    assert ready(tmp_path, items).placed == 20
    assert fixed_map.points(tmp_path, items)[1][:50].tobytes() == xy.tobytes()
