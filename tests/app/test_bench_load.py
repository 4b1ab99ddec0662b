"""The bench of the load: clients that speak as browsers do, against the app in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.benchmarks.load import LoadSettings, run
from engine.errors import ConfigError
from engine.importers.scan import ImportSource
from engine.project.opened import Project


def test_clients_decide_at_once_and_the_figures_say_what_that_takes(tmp_path: Path) -> None:
    root = tmp_path / "digits"
    with Project.create(root, "Digits") as project:
        source = ImportSource("torchvision", Path(), name="digits", labels_kept=200)
        project.imports.commit(project.imports.scan(source))
    said: list[str] = []
    settings = LoadSettings(clients="3", seconds=3, pace=0.2, rounds="without", project=root)
    figures = run(tmp_path, settings, tmp_path / "load.json", said.append)
    assert json.loads((tmp_path / "load.json").read_text()) == figures
    found = figures["3 clients, without a round"]
    assert found["errors"] == {}
    assert set(found["answers"]) == {"saved"}, "each client has its own images, and knows their versions"
    with Project.open(root) as project:
        by = {entry.actor for entry in project.store.entries() if entry.action == "label"}
        assert by == {"client 0", "client 1", "client 2"}
        assert sum(entry.action == "label" for entry in project.store.entries()) >= found["answers"]["saved"]
    for kind in ("decision", "image", "queue"):
        assert 0 < found[f"{kind} ms"]["p50"] <= found[f"{kind} ms"]["p95"]
    assert found["CPU ms a decision, with its image and queue"] > 0
    assert found["CPU ms a decision alone"] > 0
    assert found["app MB"] > 50
    assert len(said) == 1


@pytest.mark.parametrize("setting", [{"clients": "0"}, {"clients": "many"}, {"seconds": 0}, {"rounds": "maybe"}])
def test_settings_that_make_no_load_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LoadSettings(**setting)  # type: ignore[arg-type]
