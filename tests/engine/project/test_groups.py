"""Near-duplicates become groups where nothing else says which images belong together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.jobs.features import DescribedSet
from engine.live.model import ImageSet
from engine.project.groups import LEAST_LEFT, NEAR
from engine.project.opened import Project
from tests.ready_project import ReadyProjects, grey

SCENES, FRAMES = 12, 3


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    pictures = grey(8, {f"{number:02}.png": 7 * number for number in range(SCENES * FRAMES)})
    with Project.open(ready.copy(pictures, tmp_path / "frames")) as opened:
        yield opened


def described(project: Project, net: str = "frozen:mobilenet_v2", scenes: int = SCENES) -> DescribedSet:
    """Features in the order of the images' ids: three near-equal frames of each scene."""
    rng = np.random.default_rng(0)
    scene = np.arange(SCENES * FRAMES) // FRAMES % scenes
    x = rng.normal(size=(scenes, 32))[scene] + 0.02 * rng.normal(size=(len(scene), 32))
    shas = tuple(item.sha256 for item in project.workspace.items())
    return DescribedSet(ImageSet.of(x.astype(np.float32)), shas, net)


def find(project: Project, images: DescribedSet) -> int:
    return project.groups.find_near(project.store.image_ids(), images)


def test_near_duplicates_become_groups_and_say_how(project: Project) -> None:
    assert find(project, described(project)) == SCENES * FRAMES
    groups = project.store.groups()
    assert np.array_equal(groups, np.repeat(groups[::FRAMES], FRAMES))
    assert [entry.how for entry in project.store.groups_set()] == [NEAR]
    assert "36 of the 36 images are in 12 groups" in project.groups.words()
    assert find(project, described(project)) == 0
    assert len(project.store.groups_set()) == 1


def test_groups_of_another_kind_stay_as_they_are(project: Project) -> None:
    project.store.set_groups({1: "scene", 2: "scene"}, "column “scene”")
    assert not project.groups.finds_near
    assert find(project, described(project)) == 0
    assert project.store.group_names() == {1: "scene", 2: "scene"}


def test_switched_off_they_are_forgotten_and_not_found_again(project: Project) -> None:
    find(project, described(project))
    project.groups.turn(False)
    assert project.store.group_names() == {}
    assert find(project, described(project)) == 0
    project.groups.turn(True)
    assert find(project, described(project)) > 0


def test_gradients_of_characters_find_nothing(project: Project) -> None:
    assert find(project, described(project, "frozen:hog")) == 0


def test_features_to_which_nearly_all_images_are_the_same_say_nothing(project: Project) -> None:
    assert find(project, described(project, scenes=LEAST_LEFT - 1)) == 0
    assert project.groups.words() == ""


def test_the_live_thread_records_them_when_it_takes_the_features(project: Project) -> None:
    images = described(project)
    project.live._take(images)
    assert len(set(project.store.group_names().values())) == SCENES
