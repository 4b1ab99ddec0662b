"""The grid before any round: like images together, by the live model's features or the pixels of the map."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, RoundError
from engine.importers.scan import ImportSource
from engine.jobs import features, fixed_map
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.grid import LIKENESS
from engine.project.review.likeness import APART
from engine.project.review.ref import QueueRef
from engine.records.labels import Decision
from tests.made_features import make_features
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey, write_zip

IMAGES = 48
HEAPS = 4
SHADES = grey(8, {f"{number:02}.png": 5 * number for number in range(IMAGES)})


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """48 images without a label and no class."""
    with Project.open(ready.copy(SHADES, tmp_path / "shades")) as opened:
        yield opened


def heap(image_id: int) -> int:
    return image_id % HEAPS


def values(ids: list[int]) -> np.ndarray:
    """Features that lie in four heaps, an image's by its id: (n, 4)."""
    return np.random.default_rng(0).normal(0, 0.01, (len(ids), HEAPS)) + np.eye(HEAPS)[[heap(i) for i in ids]]


def described(project: Project) -> list[int]:
    ids = [item.id for item in project.workspace.items()]
    make_features(project, values(ids))
    return ids


def test_images_of_a_group_lie_together_before_any_round_and_nothing_is_predicted(project: Project) -> None:
    assert not project.likeness.possible
    ids = described(project)
    assert project.likeness.possible
    table = project.grid.table(sort=LIKENESS)
    assert sorted(table.image_ids.tolist()) == ids
    assert table.round is None
    assert set(table.predicted.tolist()) == {-1}
    assert np.isnan(table.confidence).all()
    runs = [heap(image) for image in table.image_ids.tolist()]
    assert sum(here != before for before, here in pairwise(runs)) == HEAPS - 1
    assert table.group is not None
    for group in set(table.group.tolist()):
        assert len({heap(i) for i in table.image_ids[table.group == group].tolist()}) == 1


def test_order_is_the_same_each_time_and_in_another_process_until_the_features_are_others(project: Project) -> None:
    ids = described(project)
    order = project.grid.table(sort=LIKENESS).image_ids.tolist()
    assert project.grid.table(sort=LIKENESS).image_ids.tolist() == order
    with Project.open(project.root, read_only=True) as other:
        assert other.grid.table(sort=LIKENESS).image_ids.tolist() == order
    make_features(project, np.roll(values(ids), 1, axis=0) + 0.1 * np.eye(HEAPS)[[i // 12 % HEAPS for i in ids]])
    assert project.grid.table(sort=LIKENESS).image_ids.tolist() != order


def test_groups_are_kept_as_long_as_the_features_are(project: Project) -> None:
    described(project)
    ids = project.store.label_table().image_ids
    project.likeness.of(ids)
    kept = project.likeness._kept
    project.likeness.of(ids[:3])
    assert project.likeness._kept is kept


def test_images_that_came_later_without_features_stand_at_the_end(project: Project) -> None:
    ids = [item.id for item in project.workspace.items()]
    old, new = ids[3:], ids[:3]
    make_features(project, values(old), old)
    table = project.grid.table(sort=LIKENESS)
    assert table.image_ids[-3:].tolist() == new
    assert table.group is not None
    assert table.group[-3:].tolist() == [APART] * 3
    assert APART not in table.group[:-3]


def test_what_is_decided_leaves_the_grid_and_the_order_of_the_others_stays(project: Project) -> None:
    described(project)
    project.labels.add_class("tea")
    before = project.grid.table(sort=LIKENESS)
    first = int(before.image_ids[0])
    project.labels.decide([Decision(new_uid(), first, 0, "label", "tea")])
    assert project.grid.table(sort=LIKENESS).image_ids.tolist() == before.image_ids[1:].tolist()
    labeled = project.grid.table(ref=QueueRef.parse("labeled"), sort=LIKENESS)
    assert (labeled.image_ids.tolist(), labeled.label.tolist(), labeled.classes) == ([first], ["tea"], ("tea",))


def test_with_a_round_like_images_lie_together_whatever_their_class_with_its_predictions(project: Project) -> None:
    ids = described(project)
    for name in ("a", "b"):
        project.labels.add_class(name)
    order = project.grid.table(sort=LIKENESS).image_ids.tolist()
    of_a = np.linspace(0.1, 0.9, IMAGES)
    make_round(project, np.stack([of_a, 1 - of_a], 1))
    table = project.grid.table(sort=LIKENESS)
    assert table.image_ids.tolist() == order
    assert table.round == 1
    rows = np.searchsorted(ids, table.image_ids)
    assert table.value == pytest.approx(np.maximum(of_a, 1 - of_a)[rows], abs=1e-5)
    assert project.grid.table().group is None


def test_an_image_that_came_after_the_round_is_still_undecided_once_the_grid_was_shown(
    project: Project, tmp_path: Path
) -> None:
    described(project)
    for name in ("a", "b"):
        project.labels.add_class(name)
    make_round(project, np.full((IMAGES, 2), 0.5))
    later = write_zip(tmp_path / "later.zip", grey(8, {"later.png": 255}))
    project.imports.commit(project.imports.scan(ImportSource("zip", later)))
    assert len(project.grid.table(sort=LIKENESS).image_ids) == IMAGES
    assert project.store.label_table().undecided.sum() == IMAGES + 1


def test_without_features_the_pixels_of_the_map_are_compared_and_without_a_map_nothing(
    project: Project, jobs_here: None
) -> None:
    with pytest.raises(ConfigError, match="no features"):
        project.grid.table(sort=LIKENESS)
    with pytest.raises(RoundError, match="no round is in force"):
        project.grid.table()
    items = project.workspace.items()
    fixed_map.start(project.root, items, project.workspace.array_spec())
    assert project.likeness.possible
    table = project.grid.table(sort=LIKENESS)
    assert len(table.image_ids) == IMAGES
    assert table.group is not None
    assert 1 < len(set(table.group.tolist())) < IMAGES


def test_features_that_cannot_be_read_count_as_none(project: Project) -> None:
    described(project)
    (features.folder_of(project.root) / "made.npz").write_bytes(b"x")
    with pytest.raises(ConfigError, match="no features"):
        project.grid.table(sort=LIKENESS)
    shutil.rmtree(features.folder_of(project.root))
    assert not project.likeness.possible
