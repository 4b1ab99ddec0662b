"""Frames of one scene in a round: what is shown must be true of new scenes, where there is nothing to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.files import write_json
from engine.project.opened import Project
from engine.records.quality import Estimate
from engine.rounds.folder import files, results
from engine.rounds.folder.plan import read_plan
from engine.rounds.supervisor import prepare
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.session import Session
from engine.rounds.worker.stop import Stop
from engine.store import Store
from tests.integration.conftest import write_project
from tests.measuring import answer_measured

SCENES, FRAMES, NEW = 60, 6, 10
ANSWERS = 40


def scenes(seed: int) -> list[tuple[np.ndarray, str | None]]:
    """60 scenes of 6 frames of noise that differ by a little, classes drawn at random, and 10 scenes without one."""
    random = np.random.default_rng(seed)
    still = random.integers(0, 256, (SCENES + NEW, 12, 12))
    classes = random.permutation(np.arange(SCENES) % 2)
    pictures = []
    for number, scene in enumerate(still):
        label = "ab"[classes[number]] if number < SCENES else None
        frames = scene + random.integers(-6, 7, (FRAMES, 12, 12))
        pictures += [(np.clip(frame, 0, 255).astype(np.uint8), label) for frame in frames]
    return pictures


def held_out(root: Path, seed: int, grouped: bool):
    """Run a supervised round in this process; return its report and the course of its held-out accuracy."""
    root.mkdir()
    with write_project(root, scenes(seed)) as store:
        assert isinstance(store, Store)
        if grouped:
            names = {image_id: f"scene {place // FRAMES}" for place, image_id in enumerate(store.image_ids().tolist())}
            store.set_groups(names, "by number")
        folder = trained(store, root, seed)
    return results.read_report(folder), results.curves(folder)


def trained(store: Store, root: Path, seed: int) -> Path:
    """Run a supervised round in this process and return its folder."""
    train = {
        "device": "cpu", "threads": 1, "epochs": 6, "steps_per_epoch": 60, "batch_size": 32, "seed": seed,
        "augment": "none",
    }  # fmt: skip
    record = store.queue_round("supervised", {"algorithm": {}, "train": train})
    folder = prepare.write_plan(store, record, root)
    plan = read_plan(folder)
    write_json(folder / files.CONFIG, vars(plan))
    recorder = RoundRecorder(folder, plan.token)
    try:
        Session(folder, plan, recorder, Stop(folder)).run()
    finally:
        recorder.close()
    return folder


def measured(root: Path, seed: int, grouped: bool) -> Estimate:
    """Answer 40 random images blind, run a round on what is left, and return the accuracy that its pages show."""
    root.mkdir()
    pictures = scenes(seed)
    random = np.random.default_rng(seed + 100)
    new = dict(zip(range(SCENES, SCENES + NEW), random.permutation(np.arange(NEW) % 2).tolist(), strict=True))
    with write_project(root, pictures) as store:
        if grouped:
            names = {image_id: f"scene {place // FRAMES}" for place, image_id in enumerate(store.image_ids().tolist())}
            store.set_groups(names, "by number")
    with Project.open(root) as project:
        places = {image_id: place for place, image_id in enumerate(project.store.image_ids().tolist())}
        answer_measured(
            project, ANSWERS, lambda image_id: pictures[places[image_id]][1] or "ab"[new[places[image_id] // FRAMES]]
        )
        report = results.read_report(trained(project.store, root, seed)).to_json()
        for step in ("running", "finished", "promoted"):
            project.store.transition(1, step, **({"report": report} if step == "finished" else {}))
        return project.measured.accuracy(1)


def test_the_measured_accuracy_that_is_shown_contains_what_new_scenes_get(tmp_path: Path) -> None:
    """Of six intervals at 95 % two may miss by luck: three do in one of a thousand runs of this test."""
    found = [measured(tmp_path / f"scenes {seed}", seed, grouped=True) for seed in range(6)]
    assert {(one.n, one.images) for one in found} == {(ANSWERS, FRAMES * ANSWERS)}
    assert sum(one.low <= 0.5 <= one.high for one in found) >= 4


def test_frame_by_frame_the_measured_set_would_claim_what_is_not_so(tmp_path: Path) -> None:
    estimate = measured(tmp_path / "frames", 0, grouped=False)
    assert estimate.n == ANSWERS
    assert estimate.low > 0.6


@pytest.mark.parametrize("seed", range(6))
def test_the_interval_that_is_shown_contains_what_new_scenes_get(tmp_path: Path, seed: int) -> None:
    report, curves = held_out(tmp_path / "scenes", seed, grouped=True)
    figures = report.heldout
    assert (figures.n, figures.images) == (12, 72)
    assert figures.low <= 0.5 <= figures.high
    assert "heldout_accuracy" not in curves
    assert "of 12 held-out scenes right (one image of each" in report.verdict.reason


def test_frame_by_frame_the_same_round_claims_what_is_not_so(tmp_path: Path) -> None:
    report, curves = held_out(tmp_path / "frames", 0, grouped=False)
    assert report.heldout.n == 72
    assert report.heldout.low > 0.9
    assert "heldout_accuracy" in curves
