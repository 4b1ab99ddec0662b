"""What a person who chooses a round is shown of the own project: facts, sizes to be timed, views of the images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from engine.errors import ConfigError
from engine.images import feature_parts
from engine.nets import packaged
from engine.nets.net_name import FeatureSource
from engine.project import advice, preview
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.ready_project import ReadyProjects, grey


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """Grey images of 12×12 pixels: ten “left”, five “right”, 25 unlabeled; each of one value of its own."""
    folders = [*["left"] * 10, *["right"] * 5, *["_unlabeled"] * 25]
    spots = grey(12, {f"{folder}/{number:02d}.png": 6 * number for number, folder in enumerate(folders)})
    with Project.open(ready.copy(spots, tmp_path / "spots")) as opened:
        yield opened


def _facts(project: Project) -> advice.DataFacts:
    return advice.facts(project.workspace)


def test_facts_count_images_and_labels_by_class_also_of_a_class_without_any(project: Project) -> None:
    project.labels.add_class("none")
    found = _facts(project)
    assert (found.images, found.side, found.channels, found.one_size) == (40, 12, 1, True)
    assert found.labels == {"left": 10, "right": 5, "none": 0}
    assert (found.labeled, found.unlabeled) == (15, 25)


def test_rejected_images_do_not_count(project: Project) -> None:
    image = next(item for item in project.workspace.items() if item.name.startswith("left"))
    version = next(state.version for state in project.store.states([image.id]))
    project.labels.decide([Decision(new_uid(), image.id, version, "reject")])
    found = _facts(project)
    assert found.images == 39
    assert found.labels["left"] == 9


def test_weights_count_when_their_file_is_in_torchs_cache(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    both = {"net": "frozen:efficientnet_lite0+mobilenet_v2"}
    assert _facts(project).weights == {"efficientnet_lite0"}
    assert not advice.weights_missing({"net": "frozen:efficientnet_lite0@whole"})
    assert advice.weights_missing(both)
    assert advice.weights_missing({"net": "torchvision:mobilenet_v2", "weights": "DEFAULT"})
    assert advice.weights_missing({"net": "tuned:mobilenet_v2"})
    assert not advice.weights_missing({"net": "tuned:efficientnet_lite0"})
    url = torchvision.models.get_model_weights("mobilenet_v2").DEFAULT.url
    path = tmp_path / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert _facts(project).weights == {"efficientnet_lite0", "mobilenet_v2"}
    assert not advice.weights_missing(both)
    monkeypatch.setattr(packaged, "MODULE", "no_such_module_of_weights")
    assert _facts(project).weights == {"mobilenet_v2"}


def test_job_has_the_sizes_of_the_pools_and_of_the_training_arrays(project: Project) -> None:
    def job(train: dict[str, object]) -> advice.timing.Job:
        found = advice.timing_job(project.workspace, "supervised", {}, train)
        assert found is not None
        return found

    assert job({}).counts == (15, 0, 25, 2)  # of the two classes only one has more than five labels
    for image in [item.id for item in project.workspace.items() if item.name.startswith("_unlabeled")][:5]:
        project.labels.decide([Decision(new_uid(), image, 0, "label", "right")])
    assert job({}).counts == (16, 4, 20, 2)
    assert job({}).shape == (1, 12, 12)
    assert job({"image_size": 8, "heldout_fraction": 0.4}).shape == (1, 8, 8)
    assert job({"net": "tuned:efficientnet_lite0"}).shape == (1, 224, 224)
    assert not job({"net": "tuned:efficientnet_lite0"}).features_kept
    assert job({"image_size": 8, "heldout_fraction": 0.4}).counts == (12, 8, 20, 2)
    assert not job({"net": "frozen:resnet18"}).features_kept
    folder = feature_parts.folder_of(project.root, FeatureSource("resnet18"), "weights")
    feature_parts.mark_used(folder)
    assert not job({"net": "frozen:resnet18"}).features_kept
    (folder / "part-1.npz").write_bytes(b"")
    assert job({"net": "frozen:resnet18"}).features_kept
    for other in ("mobilenet_v2", "resnet18@whole", "resnet18+mobilenet_v2"):
        assert not job({"net": f"frozen:{other}"}).features_kept


@pytest.mark.parametrize(("count", "rounded"), [(0, 0), (7, 7), (99, 99), (104, 100), (1797, 1800), (59_014, 59_000)])
def test_counts_are_rounded_to_two_digits(count: int, rounded: int) -> None:
    assert advice._rounded(count) == rounded


def test_nothing_is_timed_where_nothing_could_be_trained(project: Project) -> None:
    states = project.store.states()
    left = [state for state in states if state.label == "left"]
    project.labels.decide([Decision(new_uid(), one.image_id, one.version, "reject") for one in left[1:]])
    assert advice.timing_job(project.workspace, "supervised", {}, {}) is not None
    rest = [state for state in states if state not in left[1:]]
    project.labels.decide([Decision(new_uid(), one.image_id, one.version, "reject") for one in rest])
    assert advice.timing_job(project.workspace, "supervised", {}, {}) is None
    timing = project.training.time("supervised", {}, {})
    assert timing.done
    assert timing.seconds is None


def test_examples_are_labeled_ones_of_all_classes_first_and_another_draw_gives_others(project: Project) -> None:
    first = preview.examples(project.workspace.items(), project.store.label_table(), 6, 0)
    assert sorted(item.name.split("/")[0] for item in first) == ["left"] * 3 + ["right"] * 3
    assert len({item.id for item in first}) == 6
    assert [item.id for item in first] == [
        item.id for item in preview.examples(project.workspace.items(), project.store.label_table(), 6, 0)
    ]
    second = preview.examples(project.workspace.items(), project.store.label_table(), 6, 1)
    assert {item.id for item in first} != {item.id for item in second}
    assert any(
        "_unlabeled" in item.name
        for item in preview.examples(project.workspace.items(), project.store.label_table(), 16, 0)
    )


def test_preview_shows_the_projects_images_and_their_views_in_rows_that_line_up(project: Project) -> None:
    found = preview.augmentation_preview(project.workspace, {"augment": "none"}, count=3, copies=2, seed=4)
    pictures = [np.asarray(Image.open(io.BytesIO(data))) for data in (found.original, found.weak, found.strong)]
    assert tuple(picture.shape[1] for picture in pictures) == found.widths
    assert len({picture.shape[0] for picture in pictures}) == 1
    shown = preview.examples(project.workspace.items(), project.store.label_table(), 3, 4)
    values = [6 * int(item.name.split("/")[1][:2]) for item in shown]
    step = pictures[0].shape[0] // 3
    for original_or_weak in pictures[:2]:
        corners = [original_or_weak[row * step, 0].tolist() for row in range(3)]
        assert corners == [[value, value, value, 255] for value in values]


def test_preview_of_a_project_without_images_is_refused(tmp_path: Path) -> None:
    with Project.create(tmp_path / "empty") as empty, pytest.raises(ConfigError, match="no images"):
        preview.augmentation_preview(empty.workspace, {})


def test_project_without_images_has_no_recommendation(tmp_path: Path) -> None:
    with Project.create(tmp_path / "empty") as empty:
        assert empty.training.recommendation() is None


def test_what_labels_a_set_is_not_timed_and_says_about_how_long_it_takes(project: Project) -> None:
    asked = project.training.time("transductive", {}, {})
    assert asked.done
    assert asked.seconds is None
    assert "seconds for thousands of images" in asked.how
