"""The process that guesses classes from their names, with a tiny text-image network; what it leaves, read again."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.jobs import child, guess, guess_work, parent
from engine.nets import clip_nets
from engine.project.opened import Project
from engine.training.config import TrainConfig
from tests.browser.digits import digit_pictures
from tests.ready_project import ReadyProjects
from tests.tiny_clip import TINY, empty_checkpoints, put, random_net

NET = "frozen:hog"


def test_a_network_that_describes_the_images_is_asked_before_others() -> None:
    here = ["clip/a/x", "clip/b/y"]
    assert guess_work.network("frozen:hog+clip/b/y@whole", here) == "clip/b/y@whole"
    assert guess_work.network("frozen:clip/gone/z", here) == "clip/a/x"
    assert guess_work.network(NET, []) == ""


def test_without_a_network_an_old_guess_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items: Any = [SimpleNamespace(id=1, sha256="aa"), SimpleNamespace(id=2, sha256="bb")]
    monkeypatch.setattr(parent, "launch", lambda folder, module: child.run(folder, import_module(module).work))
    monkeypatch.setattr(clip_nets, "names_here", list)
    folder = guess.folder_of(tmp_path)
    folder.mkdir(parents=True)
    guess_work.save(folder, TINY, ["cat", "cup"], ["aa", "bb"], np.zeros((2, 2), np.float32))
    assert guess.read(tmp_path) is not None
    guess.start(tmp_path, items, ["cat", "cup"], NET)
    assert guess.state(tmp_path).status == "ready"
    assert guess.read(tmp_path) is None


def test_a_damaged_guess_is_none(tmp_path: Path) -> None:
    folder = guess.folder_of(tmp_path)
    folder.mkdir(parents=True)
    guess_work.save(folder, TINY, ["cat", "cup"], ["aa", "bb"], np.zeros((2, 2), np.float32))
    stored = guess.read(tmp_path)
    assert stored is not None
    assert (stored.classes, stored.shas, stored.net) == (("cat", "cup"), ("aa", "bb"), TINY)
    whole = (folder / guess_work.GUESS).read_bytes()
    (folder / guess_work.GUESS).write_bytes(whole[:200])
    assert guess.read(tmp_path) is None
    guess_work.save(folder, TINY, ["cat"], ["aa", "bb"], np.zeros((2, 2), np.float32))
    assert guess.read(tmp_path) is None


def test_the_guess_is_the_softmax_of_the_cosines_and_is_made_anew_for_other_class_names(
    ready: ReadyProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs_here: None
) -> None:
    pytest.importorskip("open_clip")
    from engine.rounds.worker import feature_cache

    root = ready.copy(digit_pictures(24, 1), tmp_path / "digits")
    put(random_net_in(tmp_path / "home", monkeypatch), tmp_path / "home/hub/checkpoints/tiny-clip.made_here.pt")
    with Project.open(root) as project:
        items = project.workspace.items()
    guess.start(root, items, ["zero", "one_digit"], NET)
    assert guess.state(root).status == "ready", guess.state(root).error
    made = guess.read(root)
    assert made is not None
    assert made.net == TINY
    shas = [item.sha256 for item in items]
    assert list(made.shas) == shas
    train = TrainConfig(net=f"frozen:{TINY}")
    features = feature_cache.project_features(root, shas, train, torch.device("cpu"), lambda *_: None)
    directions, scale = clip_nets.class_directions(TINY, ["zero", "one_digit"])
    expected = (scale * F.normalize(features) @ directions.T).log_softmax(1)
    np.testing.assert_allclose(made.log_probabilities, expected.numpy(), atol=1e-4)
    written = (guess.folder_of(root) / guess_work.GUESS).stat().st_mtime_ns
    guess.start(root, items, ["zero", "one_digit"], NET)
    assert (guess.folder_of(root) / guess_work.GUESS).stat().st_mtime_ns == written, "nothing is new"
    monkeypatch.setattr(feature_cache, "_compute", None)  # the images' features are kept
    guess.start(root, items, ["zero", "three", "one_digit"], NET)
    other = guess.read(root)
    assert other is not None
    assert other.classes == ("zero", "three", "one_digit")
    np.testing.assert_allclose(
        other.of(["one_digit"]) - other.of(["zero"]), made.of(["one_digit"]) - made.of(["zero"]), atol=1e-4
    )


def random_net_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    empty_checkpoints(home, monkeypatch)
    return random_net()


def test_what_it_lacks_is_told(
    ready: ReadyProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs_here: None
) -> None:
    pytest.importorskip("open_clip")
    checkpoints = empty_checkpoints(tmp_path / "home", monkeypatch)
    (checkpoints / "tiny-clip.made_here.pt").write_bytes(b"<html>")
    root = ready.copy(digit_pictures(24, 1), tmp_path / "digits")
    with Project.open(root) as project:
        guess.start(root, project.workspace.items(), ["zero", "one"], NET)
    assert guess.state(root).status == "failed"
    assert f"does not hold the weights of {TINY}" in guess.state(root).error


def test_the_process_makes_no_outgoing_call() -> None:
    code = (
        "import os, runpy\nfrom engine.jobs import child\n"
        "child.main = lambda work: print(work.__name__, os.environ['HF_HUB_OFFLINE'])\n"
        "runpy.run_module('engine.jobs.guess_work', run_name='__main__')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "work 1"


def test_reading_a_guess_needs_no_torch() -> None:
    code = "import sys\nfrom engine.jobs import guess\nguess.possible()\nprint('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
