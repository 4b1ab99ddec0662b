"""What a round recorded beside its predictions, when it is damaged or comes from a map: queues go on, and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.jobs import fixed_map
from engine.project.opened import Project
from engine.rounds.folder import files
from tests.engine.pets import FREE, LABELED, ids_of, make_pets, said_of
from tests.made_round import make_round
from tests.ready_project import ReadyProjects

EPOCH = "predictions/epoch-002.parquet"


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with make_pets(ready, tmp_path) as opened:
        yield opened


def shorter(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def infinite(path: Path) -> None:
    np.save(path, np.full_like(np.load(path), np.inf))


def garbage(path: Path) -> None:
    path.write_bytes(b"PAR1 this is no table")


def without_a_column(path: Path) -> None:
    pd.read_parquet(path).drop(columns="bald").to_parquet(path, index=False)


def a_row_less(path: Path) -> None:
    pd.read_parquet(path).iloc[:-1].to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        (files.SIGNALS, garbage),
        (files.SIGNALS, without_a_column),
        (files.SIGNALS, a_row_less),
        (files.FINAL_FEATURES, garbage),
        (files.FINAL_FEATURES, shorter),
        (files.FINAL_FEATURES, infinite),
        (EPOCH, garbage),
    ],
)
def test_a_damaged_file_beside_the_predictions_is_told_and_every_queue_goes_on(
    project: Project, name: str, harm: Callable[[Path], None]
) -> None:
    p = said_of(0.7)
    features = np.random.default_rng(0).normal(size=(LABELED + FREE, 3))
    number = make_round(project, p, epochs=[p, p], features=features, signals={"flips": 1})
    harm(project.workspace.round_folder(number) / name)
    queue, last = project.queue, ids_of(project)[-1]
    assert len(queue.next("least_sure", FREE)[0]) == FREE
    assert queue.strategies()["least_sure"] == ""
    context = project.signals.context([last], project.results.predictions())[0]
    assert bool(context.neighbours) == (name != files.FINAL_FEATURES)
    assert bool(context.epochs) == (name != EPOCH)
    assert len(project.grid.table().image_ids) == FREE
    assert bool(queue.strategies()["flips"]) == (name == files.SIGNALS)
    assert bool(queue.strategies()["core_set"]) == (name == files.FINAL_FEATURES)
    [notice] = project.signals.notices
    assert notice.startswith(f"Round {number}: ")
    assert Path(name).name in notice
    assert "Train another round; predictions are not affected." in notice


def test_an_old_round_with_a_damaged_epoch_has_no_flips_and_no_path(project: Project) -> None:
    p = said_of(0.9)
    number = make_round(project, p, epochs=[p, p])
    garbage(project.workspace.round_folder(number) / EPOCH)
    assert len(project.queue.next("least_sure", 3)[0]) == 3
    assert project.queue.strategies()["flips"] != ""
    assert project.signals.context([ids_of(project)[-1]], project.results.predictions())[0].epochs == ()
    assert project.signals.notices
    assert all("epoch-002.parquet" in notice for notice in project.signals.notices)


def test_a_round_that_recorded_nothing_beside_its_predictions_is_no_damage(project: Project) -> None:
    make_round(project, said_of(0.9))
    project.queue.next("least_sure", 3)
    project.signals.context(ids_of(project)[-1:], project.results.predictions())
    assert project.signals.notices == ()


def test_a_map_made_later_with_more_images_takes_the_place_of_an_older_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_round(project, said_of(0.9))
    ids, mapped = np.array(ids_of(project)), [6]

    def features(*_: object) -> tuple[np.ndarray, np.ndarray]:
        return ids[: mapped[0]], np.arange(mapped[0])[:, None].astype(np.float32)

    monkeypatch.setattr(fixed_map, "features", features)
    assert project.signals.context(ids[-1:], project.results.predictions())[0].neighbours == ()
    mapped[0] = len(ids)
    assert (
        project.signals.context(ids[-1:], project.results.predictions())[0].neighbours[0].image_id == ids[LABELED - 1]
    )
