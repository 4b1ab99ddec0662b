"""The process that checks labels or looks for duplicates, seen from outside: a small project of digits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from engine import processes
from engine.algorithms import out_of_fold
from engine.errors import ConfigError, RoundBlocked
from engine.files import PARTIAL, write_json
from engine.images.files import original_path
from engine.jobs import check, parent
from engine.jobs.folder import LOG, read_progress
from engine.records.quality import CheckState
from engine.rounds.folder import files
from engine.rounds.worker import feature_cache
from tests.integration.conftest import make_project, write_project

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT = 120.0
RED_GREEN_FADED = ([200, 0, 0], [0, 102, 0], [190, 0, 0])
"""Of about the same grey, by ITU-R 601: 0.299 · 200 = 0.587 · 102."""
SETTINGS = {"size": 8, "channels": 1, "ledger_seq": 17, "train": {"device": "cpu", "batch_size": 16}}


class Checked:
    """A project of digits with all labels, of which some are wrong."""

    def __init__(self, root: Path, images: int) -> None:
        self.root = root
        store = make_project(root, images, images)
        self.items = [(item.id, item.sha256) for item in store.images()]
        self.classes = store.classes()
        store.close()
        digits = load_digits().target[:images]
        self.truth = {image: str(digits[row]) for row, (image, _) in enumerate(sorted(self.items))}
        self.labels = dict(self.truth)

    def start(self, kind: str = "labels", **changes: Any) -> CheckState:
        arguments = {"items": self.items, "labels": self.labels, "classes": self.classes, "settings": SETTINGS}
        return check.start(self.root, kind, **(arguments | changes))

    def state(self, kind: str = "labels") -> CheckState:
        return check.state(self.root, kind, check.stamp_of(kind, self.items, self.labels))

    def wait(self, kind: str = "labels", until: Callable[[CheckState], bool] | None = None) -> list[CheckState]:
        """Return what was told until it is no longer running, or until `until` holds."""
        seen: list[CheckState] = []
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            now = self.state(kind)
            if not seen or seen[-1] != now:
                seen.append(now)
            if now.status != "running" or (until is not None and until(now)):
                return seen
            time.sleep(0.02)
        raise AssertionError(f"no end within {LIMIT} s; last: {seen[-1]}")

    def folder(self, kind: str = "labels") -> Path:
        return self.root / "checks" / kind

    def pid(self, kind: str = "labels") -> int:
        return int(read_progress(self.folder(kind))["pid"])

    def log(self, kind: str = "labels") -> str:
        return (self.folder(kind) / LOG).read_text()[-2000:]


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[Callable[..., Checked]]:
    """Return a function that makes a project; its processes are ended after the test."""
    made: list[Checked] = []

    def _checked(images: int = 300) -> Checked:
        made.append(Checked(tmp_path / "project", images))
        return made[-1]

    yield _checked
    for one in made:
        for kind in ("labels", "duplicates"):
            pid = int(read_progress(one.folder(kind)).get("pid", 0))
            if pid and processes.alive(pid, one.folder(kind)):
                os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while parent._children and time.monotonic() < end:
        parent.reap()
        time.sleep(0.02)


def test_wrong_labels_are_contradicted_by_networks_that_have_not_seen_them(checked: Callable[..., Checked]) -> None:
    project = checked(600)
    wrong = [image for image, _ in sorted(project.items)][10:200:10]
    project.labels |= {image: str((int(project.truth[image]) + 3) % 10) for image in wrong}
    unlabeled = [image for image, _ in sorted(project.items)][-20:]
    for image in unlabeled:
        del project.labels[image]
    assert project.state().status == "none"
    assert check.read_labels(project.root) is None
    assert project.start().status == "running"
    assert str(project.root) not in (project.folder() / "job.json").read_text()
    seen = project.wait()
    assert seen[-1].status == "ready", project.log()
    fractions = [one.fraction for one in seen]
    assert fractions == sorted(fractions)
    assert len(fractions) > 5
    assert not seen[-1].stale
    found = check.read_labels(project.root)
    assert found is not None
    assert found.image_ids.tolist() == sorted(project.labels)
    assert found.labels.tolist() == [project.labels[image] for image in found.image_ids.tolist()]
    assert found.classes == tuple(project.classes)
    assert [found.classes[k] for k in found.given] == found.labels.tolist()
    assert found.ledger_seq == 17
    assert found.probabilities.shape == (580, 10)
    assert found.probabilities.dtype == np.float32
    said = dict(zip(found.image_ids.tolist(), found.probabilities.argmax(1).tolist(), strict=True))
    assert sum(found.classes[said[image]] == project.truth[image] for image in wrong) >= 0.8 * len(wrong)
    agreement = float((found.probabilities.argmax(1) == found.given).mean())
    assert found.facts["accuracy"] == pytest.approx(agreement)
    assert agreement > 0.8
    assert (found.facts["folds"], found.facts["steps"], found.facts["images"]) == (5, 300, 580)
    assert found.facts["net"] == "article_convnet"
    assert seen[-1].made == found.made
    assert seen[-1].facts == found.facts
    _a_change_of_labels_makes_it_stale_and_nothing_else_does(project)


def _a_change_of_labels_makes_it_stale_and_nothing_else_does(project: Checked) -> None:
    made = check.read_labels(project.root)
    assert project.start().status == "ready"  # nothing changed: not done again
    image = next(iter(project.labels))
    project.labels[image] = "0" if project.labels[image] != "0" else "1"
    assert project.state().stale
    assert project.start().status == "running"
    project.wait(until=lambda now: now.fraction > 0.1)
    assert check.cancel(project.root, "labels")
    last = project.wait()[-1]
    assert (last.status, last.stale, last.made) == ("cancelled", True, made.made)  # type: ignore[union-attr]


def test_a_check_that_is_cancelled_ends_within_seconds_and_leaves_no_result(checked: Callable[..., Checked]) -> None:
    project = checked()
    project.start()
    project.wait(until=lambda now: now.fraction > 0.15)
    pid = project.pid()
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    began = time.monotonic()
    assert check.cancel(project.root, "labels")
    assert project.wait()[-1].status == "cancelled"
    while processes.alive(pid, project.folder()):
        assert time.monotonic() - began < 10  # said within moments; the libraries take theirs to be put away
        time.sleep(0.02)
    assert check.read_labels(project.root) is None
    assert not check.cancel(project.root, "labels")
    assert not list(project.folder().glob(f"*{PARTIAL}"))
    assert project.start().status == "running"  # and can be started again


def test_a_killed_check_is_told_as_failed_with_its_log(checked: Callable[..., Checked]) -> None:
    project = checked()
    project.start()
    project.wait(until=lambda now: now.fraction > 0.1)
    assert project.start().status == "running"  # a second start does not make a second process
    pid = project.pid()
    os.kill(pid, signal.SIGKILL)
    last = project.wait()[-1]
    assert last.status == "failed"
    assert LOG in last.error
    assert project.start().status == "running"


@pytest.fixture
def at_once(jobs_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do checks in this process, with few steps, before `start` returns."""
    monkeypatch.setattr(out_of_fold, "LEAST_STEPS", 5)


def test_a_missing_original_is_told_in_words(checked: Callable[..., Checked], at_once: None) -> None:
    project = checked()
    sha = project.items[5][1]
    original_path(project.root, sha).unlink()
    project.start()
    last = project.wait()[-1]
    assert last.status == "failed"
    assert "can no longer be read" in last.error
    assert sha in last.error


def test_a_class_with_a_single_label_is_left_out_and_named(checked: Callable[..., Checked], at_once: None) -> None:
    project = checked(200)
    ids = [image for image, _ in sorted(project.items)]
    project.labels = {image: str(int(image % 2)) for image in ids[:20]} | {ids[30]: "7"}
    assert project.start().status == "ready"
    found = check.read_labels(project.root)
    assert found is not None
    assert found.classes == ("0", "1")
    assert found.image_ids.tolist() == ids[:20]
    assert found.labels.tolist() == [project.labels[image] for image in ids[:20]]
    assert found.facts["left_out"] == ["7"]


def test_the_same_labels_give_the_same_result_and_another_seed_another(
    checked: Callable[..., Checked], at_once: None
) -> None:
    project = checked(100)
    found = []
    for seed in (1, 1, 2):
        assert project.start(settings=SETTINGS | {"seed": seed}).status == "ready"
        found.append(check.read_labels(project.root).probabilities)  # type: ignore[union-attr]
        (project.folder() / "result.npz").unlink()
        assert project.state().status == "none"
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[1] != found[2]).any()


def test_after_a_quick_round_frozen_features_are_learned_from(
    checked: Callable[..., Checked], at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = checked(60)
    folder = project.root / "rounds" / "0001"
    folder.mkdir(parents=True)
    write_json(folder / files.CONFIG, {"train": {"net": "frozen:mobilenet_v2", "noise": 0.0}})
    write_json(folder / files.REPORT, {})
    ordered = sorted(project.items)
    labeled = ordered[::2]
    project.labels = {image: project.truth[image] for image, _ in labeled}
    asked = []

    def features(root: Path, shas: list[str], train: Any, where: Any, progress: Any) -> torch.Tensor:
        asked.append((root, shas, train.net))
        column = {sha: float(project.truth[image]) for image, sha in ordered}
        return torch.eye(10)[[int(column[sha]) for sha in shas]]

    monkeypatch.setattr(feature_cache, "project_features", features)
    last = project.start()
    assert last.status == "ready", last.error
    assert asked == [(project.root, [sha for _, sha in labeled], "frozen:mobilenet_v2")]
    assert last.facts["accuracy"] > 0.9
    assert last.facts["net"] == "frozen:mobilenet_v2"


def test_too_few_labels_are_refused_before_a_process_starts(checked: Callable[..., Checked]) -> None:
    project = checked(100)
    first = project.items[0][0]
    with pytest.raises(RoundBlocked, match="Label at least 2 images"):
        project.start(labels={first: "3"})
    with pytest.raises(RoundBlocked, match="no images"):
        project.start(items=[])
    with pytest.raises(ConfigError, match="no such check"):
        project.start("colours")
    assert not project.folder().exists()


def test_the_newest_complete_round_decides_between_frozen_features_and_a_network(tmp_path: Path) -> None:
    assert check.train_settings(tmp_path)["net"] == "auto"
    quick = {"net": "frozen:mobilenet_v2", "learning_rate": 0.01, "noise": 0.5, "augment": "shift_flip"}
    for number, train, complete in ((1, quick, True), (2, {"net": "wrn_28_2"}, False)):
        folder = tmp_path / "rounds" / f"{number:04d}"
        folder.mkdir(parents=True)
        write_json(folder / files.CONFIG, {"train": train})
        if complete:
            write_json(folder / files.REPORT, {})
    found = check.train_settings(tmp_path)
    assert {name: found[name] for name in quick} == quick
    write_json(tmp_path / "rounds" / "0002" / files.REPORT, {})
    found = check.train_settings(tmp_path)
    assert (found["net"], found.get("augment")) == ("auto", None)


def test_identical_images_are_found(checked: Callable[..., Checked]) -> None:
    project = checked(60)
    (first, sha), (second, _), *rest = sorted(project.items)
    project.items = [(first, sha), (second, sha), *rest]
    assert project.start("duplicates").status == "running"
    last = project.wait("duplicates")[-1]
    assert last.status == "ready", project.log("duplicates")
    found = check.read_duplicates(project.root)
    assert found is not None
    assert [group[2] for group in found.groups if set(group[0]) >= {first, second}] == [True]
    assert found.facts["images"] == 60
    assert not last.stale
    project.labels = {}
    assert not project.state("duplicates").stale  # labels do not matter to it
    project.items = project.items[1:]
    assert project.state("duplicates").stale


def test_shapes_of_other_colours_are_no_copies(tmp_path: Path, at_once: None) -> None:
    shape = np.zeros((32, 32), bool)
    shape[8:24, 12:20] = shape[10:14, 4:28] = True
    red, green, faded = ((shape[..., None] * np.array(colour)).astype(np.uint8) for colour in RED_GREEN_FADED)
    store = write_project(tmp_path, [(pixels, None) for pixels in (red, green, faded)])
    items = [(item.id, item.sha256) for item in store.images()]
    store.close()
    first, _, third = (image for image, _ in items)
    settings = {"size": 32, "channels": 3}
    assert check.start(tmp_path, "duplicates", items, {}, (), settings).status == "ready"
    found = check.read_duplicates(tmp_path)
    assert found is not None
    assert [(group[0], group[2]) for group in found.groups] == [((first, third), False)]


def test_the_exit_status_tells_a_failure_too(checked: Callable[..., Checked]) -> None:
    folder = checked(20).folder()
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", check.MODULE, str(folder)]
    ended = subprocess.run(command, cwd=REPOSITORY, timeout=LIMIT, check=False, stderr=subprocess.PIPE)
    assert ended.returncode == 1
    assert read_progress(folder)["status"] == "failed"
    assert b"job.json" in ended.stderr
