from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.benchmarks import review
from app.benchmarks.review import live_keys, true_labels
from engine.errors import ConfigError
from engine.importers.scan import ImportSource
from engine.project.opened import Project


def test_keys_are_timed_beside_live_labels(tmp_path: Path, jobs_here: None) -> None:
    with Project.create(tmp_path / "digits", "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=20)
        project.imports.commit(project.imports.scan(source))
        figures = live_keys(project, 25, 0.02)
        entries = [entry for entry in project.store.entries() if entry.source == "human"]
        assert len(entries) == 25
        assert len(project.store.measured().image_ids) == 5, "one in five measures"
        truth = true_labels(project)
        assert len(truth) == 1797
        assert all(truth[entry.image_id] == entry.label for entry in project.store.entries() if entry.source == "human")
    assert figures["refits"] >= 1
    assert figures["keys ms"]["p50"] <= figures["keys ms"]["p95"] <= figures["keys ms"]["max"]
    assert figures["queue ms"]["p50"] > 0


def test_a_project_of_some_images_hides_all_but_the_labels_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, 1, 28, 28), np.uint8)
    monkeypatch.setattr(review, "mnist", lambda data: (images, np.arange(60) % 10))
    review.import_some(tmp_path / "mnist", tmp_path, 40, 20)
    with Project.open(tmp_path / "mnist") as project:
        counts = project.store.counts()
        assert (counts.images, counts.labeled, len(project.store.truth())) == (40, 20, 20)
        assert set(counts.per_class.values()) == {2}
    with pytest.raises(ConfigError, match="fewer training images: 61"):
        review.import_some(tmp_path / "more", tmp_path, 61, 20)
