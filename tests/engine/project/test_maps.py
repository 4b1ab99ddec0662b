"""What a project's maps say of regions, sources and tracked images; the computing has tests of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError, RoundError
from engine.importers.scan import ImportSource
from engine.jobs import fixed_map
from engine.project.opened import Project
from engine.project.results import Results
from engine.records.rounds import Predictions
from engine.rounds.folder import results
from engine.store import LabelTable, Store
from tests.engine.importers.import_samples import png

N = 240


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as found:
        yield found


@pytest.fixture
def laid(project: Project, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """240 images in four groups on the map, each with labels but the last; the round calls those the first class."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), N // 4)
    ids = np.arange(1, N + 1)
    features = (10 * np.eye(4)[group] + rng.normal(0, 0.5, (N, 4))).astype(np.float32)
    corners = np.array([[0, 0], [0, 50], [50, 0], [50, 50]])[group]
    given = {"xy": (corners + rng.normal(0, 2, (N, 2))).astype(np.float32), "stamp": "a", "asked": 0}
    label = np.full(N, None, dtype=object)
    for k in range(3):
        label[group == k] = np.where(rng.random(N // 4) < 0.5, "abc"[k], None)
    code = np.array([-1 if name is None else "abc".index(name) for name in label], np.int32)
    table = LabelTable(
        image_ids=ids, version=np.ones(N, np.int64), label_code=code, source_code=np.minimum(code, 0).astype(np.int8),
        mark_code=np.full(N, -1, np.int8), reviewed=np.zeros(N, bool), round=np.full(N, -1), confidence=np.zeros(N),
        names=("a", "b", "c"),
    )  # fmt: skip
    best = np.where(group == 3, 0, group)

    def laid_out(*arguments: Any) -> Any:
        given["asked"] += 1
        return ids, given["xy"], features

    def epoch(self: Results, number: int, epoch: int) -> Any:
        unlabeled = np.array([one is None for one in label])
        sure = np.where(group == 3, 0.3 if epoch == 1 else 0.99, 0.99)[unlabeled]
        order = rng.permutation(unlabeled.sum())
        return ids[unlabeled][order], best[unlabeled][order].astype(np.int16), sure[order].astype(np.float32)

    monkeypatch.setattr(fixed_map, "laid_out", laid_out)
    monkeypatch.setattr(fixed_map, "stamp", lambda *arguments: given["stamp"])
    monkeypatch.setattr(Store, "label_table", lambda self: table)
    monkeypatch.setattr(Results, "complete", lambda self: [type("R", (), {"number": 1})])
    found = Predictions(1, ids, np.eye(3, dtype=np.float32)[best], ("a", "b", "c"))
    monkeypatch.setattr(Results, "predictions", lambda self, number=None: found)
    monkeypatch.setattr(Results, "epochs", lambda self, number: [1, 2])
    monkeypatch.setattr(Results, "epoch_predictions", epoch)
    return given


def test_group_without_labels_is_flagged_with_its_mean_confidence_over_the_epochs(
    project: Project, laid: dict[str, Any]
) -> None:
    ((region, ids),) = project.maps.regions("pixels", 1)
    assert set(ids) == set(range(181, 241))
    assert region.confidence == pytest.approx((0.3 + 0.99) / 2, abs=1e-6)
    assert region.called[0][0] == 0


def test_regions_are_found_anew_when_the_layout_changes_and_only_then(project: Project, laid: dict[str, Any]) -> None:
    first = project.maps.regions("pixels", 1)
    assert project.maps.regions("pixels", 1)[0][0] is first[0][0]
    laid["stamp"] = "b"
    assert project.maps.regions("pixels", 1)[0][0] is not first[0][0]


def test_round_without_epochs_or_unlabeled_images_looks_at_labels_alone(
    project: Project, laid: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int16), np.zeros(0, np.float32)
    monkeypatch.setattr(Results, "epoch_predictions", lambda self, number, epoch: nothing)
    ((region, _),) = project.maps.regions("pixels", 1)
    assert np.isnan(region.confidence)
    monkeypatch.setattr(Results, "epochs", lambda self, number: [])
    laid["stamp"] = "c"
    assert len(project.maps.regions("pixels", 1)) == 1


def test_photos_start_with_pretrained_features_and_drawings_with_pixels(project: Project, tmp_path: Path) -> None:
    assert [one.key for one in project.maps.sources()] == ["pixels", "pretrained-efficientnet_lite0"]
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(number))
    project.imports.commit(project.imports.scan(ImportSource("folder", folder)))
    colours = project.workspace.items()[0].channels == 3
    assert (project.maps.sources()[0].key == "pixels") is not colours


def test_source_that_is_not_there_is_refused_by_name(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"round-9.*Use pixels"):
        project.maps.start("round-9")


def test_tracked_images_come_as_class_and_confidence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    student = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)

    def tracked(folder: Path, epoch: int) -> Any:
        if epoch > 2:
            raise RoundError("none")
        return np.array([1, 2]), student, student[::-1] if epoch == 1 else None

    monkeypatch.setattr(results, "tracked_predictions", tracked)
    said, teacher = project.maps.tracked(1, [1])
    assert said is not None
    assert teacher is not None
    assert (said.best.tolist(), teacher.best.tolist()) == ([[0, 1]], [[1, 0]])
    assert said.confidence[0] == pytest.approx([0.9, 0.8])
    both = project.maps.tracked(1, [1, 2])
    assert both[0] is not None
    assert both[1] is None  # a teacher that not every epoch has
    assert project.maps.tracked(1, [1, 3]) == (None, None)
