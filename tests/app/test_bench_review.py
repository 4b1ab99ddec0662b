from __future__ import annotations

from pathlib import Path

from app.benchmarks.review import live_keys
from engine.importers.scan import ImportSource
from engine.project.opened import Project


def test_keys_are_timed_beside_live_labels(tmp_path: Path, jobs_here: None) -> None:
    with Project.create(tmp_path / "digits", "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=20)
        project.imports.commit(project.imports.scan(source))
        figures = live_keys(project, 25, 0.02)
        assert project.store.counts().human == 25
        truth = project.store.truth()
        assert all(truth[entry.image_id] == entry.label for entry in project.store.entries() if entry.source == "human")
    assert figures["refits"] >= 1
    assert figures["keys ms"]["p50"] <= figures["keys ms"]["p95"] <= figures["keys ms"]["max"]
    assert figures["queue ms"]["p50"] > 0
