"""Rounds that run come before a better set of features than the one in force."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from engine.errors import ConfigError
from engine.importers.scan import ImportSource
from engine.jobs import features, features_work
from engine.nets.views import view_of
from engine.project.opened import Project
from engine.rounds.folder import files
from engine.rounds.folder.plan import round_folder
from engine.rounds.worker import feature_cache

IMAGES = 24


@pytest.fixture
def root(tmp_path: Path, jobs_here: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of photos twice as wide as high, with a round that has just been planned."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no weights but those that come with the program"))
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        Image.fromarray(rng.integers(0, 256, (40, 80, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    with Project.create(tmp_path / "project", "Noise") as opened:
        opened.imports.commit(opened.imports.scan(ImportSource("folder", tmp_path / "photos")))
        folder = round_folder(opened.workspace.root, 1)
        folder.mkdir(parents=True)
        (folder / files.CONFIG).write_text("{}")
        return opened.workspace.root


def describe(root: Path) -> None:
    with Project.open(root) as opened:
        workspace = opened.workspace
        features.start(root, workspace.items(), workspace.array_spec(), np.full(IMAGES, -1))
        job = features.state(root, workspace.items())
    assert (job.status, job.error) == ("ready", "")


def test_a_person_chooses_the_network_that_describes_the_images(root: Path) -> None:
    (round_folder(root, 1) / files.EVENTS).write_text('{"type": "finished"}\n')
    describe(root)
    before = features.net(root)
    features.choose_net(root, "hog")
    with Project.open(root) as opened:
        assert features.state(root, opened.workspace.items()).status == "none", "what is there is by another network"
        assert not features.written(root, opened.workspace.items())
    describe(root)
    assert features.net(root).startswith("frozen:hog")
    features.choose_net(root, "")
    describe(root)
    assert features.net(root) == before
    with pytest.raises(ConfigError, match=r"not on this machine.*mobilenet_v2"):
        features.choose_net(root, "hog+mobilenet_v2")
    with pytest.raises(ConfigError):
        features.choose_net(root, "no_such_network")
    assert features.chosen_net(root) == ""


def test_whole_photos_wait_for_a_round(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = []

    def sleep(seconds: float) -> None:
        views.append(view_of(features.net(root)))
        with open(root / "cache" / feature_cache.LOCK, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the round may need features, too
        kind = "finished" if len(views) == 3 else "heartbeat"
        with open(round_folder(root, 1) / files.EVENTS, "a") as events:
            events.write(json.dumps({"type": kind}) + "\n")

    monkeypatch.setattr(features_work, "time", SimpleNamespace(sleep=sleep))  # others sleep, too
    describe(root)
    assert views == ["centre"] * 3, "the first set is not held up, the second waits until the round is over"
    assert view_of(features.net(root)) == "both"


def test_a_long_round_is_not_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(features_work, "time", SimpleNamespace(sleep=waits.append))
    describe(root)
    assert sum(waits) == features_work.MOST_PATIENCE
    assert view_of(features.net(root)) == "both"
