"""Answers to a certificate: every way ends, counts its answers, and the reference is the rule that was in force."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from engine.benchmarks import command
from engine.benchmarks.certificate import WAYS, before, by_plan, fits_after, least_size, left_at_most, no_model
from engine.benchmarks.goal_projects import GoalProject, Pool, _reached
from engine.benchmarks.options import Options
from engine.errors import ConfigError
from engine.live.model import ImageSet
from engine.quality.betting import ConfidenceSequence


def pool(images: int = 600, apart: float = 2.0) -> Pool:
    """Four classes of vectors; the further apart the easier."""
    rng = np.random.default_rng(0)
    truth = np.arange(images) % 4
    features = (apart * np.eye(12)[truth] + rng.normal(size=(images, 12))).astype(np.float32)
    none = np.zeros(0, np.int64)
    return Pool(ImageSet.of(features, 0), truth, np.arange(images), np.arange(20), none, none)


def test_the_reference_bound_is_the_binomial_limit() -> None:
    # 300 of a million, none wrong: .05 ** (1 / 300) leaves just below 1 %
    assert left_at_most(0, 299, 10**6) <= 10_000 < left_at_most(0, 298, 10**6)
    assert least_size(10_000, 10**6) == 299
    most = left_at_most(3, 200, 10**6)
    assert binom.cdf(3, 200, most / 10**6) == pytest.approx(0.05, abs=0.002)
    assert left_at_most(3, 200, 10**6, look=2) > most
    assert left_at_most(5, 50, 50) == 0
    with pytest.raises(ConfigError):
        left_at_most(3, 2, 10)


def test_the_rule_before_fits_less_often_where_thousands_of_answers_were_given() -> None:
    assert [fits_after(answers) for answers in (0, 1999, 2000, 8000)] == [25, 25, 50, 200]


def test_the_plan_ends_with_few_answers_that_are_all_counted() -> None:
    project = GoalProject(pool(apart=4.0), 0)
    assert by_plan(project, 0.05)
    assert project.answers < 400
    assert project.wrong() <= 30
    looked = int(project.looked.sum()) - 20
    assert looked <= project.answers <= looked + len(project.placed)


def test_that_people_pass_wrong_labels_is_paid_for_where_all_labels_are_audited() -> None:
    trusting, audited = (GoalProject(pool(apart=4.0), 0) for _ in range(2))
    assert by_plan(trusting, 0.05)
    assert by_plan(audited, 0.05, whole=True)
    assert audited.answers >= trusting.answers
    sequence = ConfidenceSequence(1000)
    for row in range(200):
        sequence.add(row, "random", 1, 0.0)
    for at_most in range(1, 60):
        for missed in (0.0, 0.1, 0.3):
            assert _reached(sequence, at_most, missed) == (sequence.left_wrong(missed) <= at_most), (at_most, missed)


def test_a_person_who_slips_pays_for_second_looks_and_the_set_is_still_true() -> None:
    true = GoalProject(pool(apart=4.0), 0)
    slipping = GoalProject(pool(apart=4.0), 0, slips=0.02)
    assert by_plan(true, 0.05)
    assert by_plan(slipping, 0.05, whole=True)
    assert slipping.answers > true.answers
    assert slipping.wrong() <= 30


def test_the_rule_before_ends_and_answers_whole_samples() -> None:
    project = GoalProject(pool(), 0, measured=False)
    assert before(project, 0.05)
    assert not project.placed
    undecided = int((project.label < 0).sum())
    assert undecided <= 30 or project.answers >= least_size(30, 600)
    assert project.wrong() <= 45


def test_without_a_model_all_but_the_goal_are_labeled() -> None:
    project = GoalProject(pool(), 0, measured=False)
    assert no_model(project, 0.05)
    assert project.answers == 600 - 20 - 30
    assert project.wrong() == 30


def test_every_way_is_run_and_kept(opened: list[str], tmp_path: Path) -> None:
    (tmp_path / "photos" / "set" / "cat").mkdir(parents=True)
    out = tmp_path / "out.json"
    sets = (f"photos={tmp_path / 'photos'}", "net=a", "goals=0.05", "sets=set")
    shown = command.run(Options("certificate", tmp_path, "2", "cpu", out, sets))
    runs = json.loads(out.read_text())["runs"]
    assert [run["row"] for run in runs] == 2 * [f"set, 5 %, {way}" for way in WAYS]
    for run in runs:
        assert run["more"]["images"] == 120
        assert run["more"]["reached"]
        assert run["more"]["true"] == (run["more"]["wrong, %"] <= 5)
    answers = {run["row"].split(", ", 2)[2]: run["value"] for run in runs}
    assert answers["no model"] == 120 - 20 - 6
    assert answers["plan, slips"] > answers["plan"]
    assert "2 of 2" in shown
    lines: list[str] = []
    assert command.run(Options("certificate", tmp_path, "2", "cpu", out, sets, resume=True), lines.append) == shown
    assert all("kept from the file" in line for line in lines)


@pytest.mark.parametrize("wrong", ["sets=moons", "ways=luck", "goals=one"])
def test_settings_that_cannot_be_are_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        command.run(Options("certificate", tmp_path, set=(wrong,)))
