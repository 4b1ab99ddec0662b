"""The simulated audits: the rules hold in them, the controls fail, and the study keeps what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from engine.benchmarks import command
from engine.benchmarks.audit_costs import cost, fixed_size
from engine.benchmarks.audit_study import COSTS
from engine.benchmarks.fixed_audit import upper_bound
from engine.benchmarks.options import Options
from engine.benchmarks.simulated_audits import WORLDS, Audits, Outcome, Pool, Runs, constant
from engine.errors import ConfigError
from engine.quality.betting import MORE, ConfidenceSequence

FAILING = {
    "groups": ["whole groups as independent answers"],
    "looks": ["the same, looks ignored"],
    "classes": ["table of 10 class bounds, each at 20"],
    "sources": ["answers of source queues as random ones of all"],
    "orders": ["an order shared with a class queue"],
    "restarts": ["12 audits, begun anew, each at 20"],
    "passed": ["30 % of wrong ones passed, U − W"],
    "model changes": ["a model changes 80 labels, U − W"],
}
"""Controls that are to fail more often than promised."""


def world(runs: int, answers: int, seed: int = 0) -> Runs:
    return Runs(runs, answers, np.random.default_rng(seed))


@pytest.mark.parametrize("name", [*WORLDS])
def test_rules_hold_in_their_world_and_controls_fail(name: str) -> None:
    runs = 150
    outcomes = {one.rule: one for one in WORLDS[name](world(runs, 500 if name != "restarts" else 700))}
    for one in outcomes.values():
        if one.promised is not None:
            assert one.failed <= one.promised + 3 * np.sqrt(one.promised * (1 - one.promised) / runs), one
    for rule in FAILING.get(name, []):
        assert outcomes[rule].failed > 0.07, outcomes[rule]


def test_clopper_pearson_watched_at_each_answer_fails() -> None:
    outcomes = {one.rule: one for one in WORLDS["single images"](world(150, 500))}
    assert outcomes["Clopper–Pearson at each answer, 5 % wrong"].failed > 0.1
    assert outcomes["Clopper–Pearson at each answer, 20 % wrong"].failed > 0.15


def test_runs_side_by_side_are_the_bound_of_the_product() -> None:
    """Random answers, looks and groups in three runs, watched at the bound of each and one above it."""
    rng = np.random.default_rng(2)
    sequences = [ConfidenceSequence(400) for _ in range(3)]
    steps = []
    for n in range(60):
        kind, wrong, size = int(rng.integers(3)), rng.integers(0, 2, 3).astype(float), np.ones(3)
        if kind == 1:
            size = rng.integers(1, 4, 3).astype(float)
            wrong = np.floor(rng.random(3) * (size + 1)) / size
        steps.append((kind, wrong, size))
        for run, sequence in enumerate(sequences):
            sequence.add(n, "look" if kind == 2 else "random", int(size[run]), float(wrong[run]))
    bounds = np.array([[sequence.upper, sequence.upper + 1.0] for sequence in sequences])
    audits = Audits(400, bounds)
    for kind, wrong, size in steps:
        if kind == 2:
            audits.look(wrong)
        else:
            audits.bet(wrong, size=size)
    assert not audits.failed(column=0).any()
    assert audits.failed(column=1).all()
    assert audits.bound() == pytest.approx(float(bounds[:, 0].mean()) / 400)


def test_the_lower_side_bets_on_more() -> None:
    audits = Audits(100, constant(world(2, 4), 2.0), MORE)
    for _ in range(2):
        audits.bet(np.array([1.0, 0.0]))
    assert audits.failed().tolist() == [True, False]


def test_a_run_that_is_off_keeps_its_money_and_its_images() -> None:
    audits = Audits(100, constant(world(2, 4), 50.0))
    audits.bet(np.zeros(2), np.array([True, False]))
    assert audits.looked.tolist() == [1.0, 0.0]
    assert audits.peak[0, 0] > audits.peak[1, 0] == 0.0


def test_images_are_drawn_in_proportion_and_never_twice() -> None:
    runs = world(4000, 4)
    pool = Pool(runs.runs, np.array([30, 10]), np.array([15, 1]))
    stratum, y = pool.draw(runs)
    assert float((stratum == 0).mean()) == pytest.approx(0.75, abs=0.03)
    assert float(y[stratum == 0].mean()) == pytest.approx(0.5, abs=0.04)
    found = y.sum() + sum(pool.draw(runs)[1].sum() for _ in range(39))
    assert found == 16 * 4000
    assert (pool.left(0) == 0).all()
    assert pool.draw(runs)[1].sum() == 0.0


def test_an_order_of_one_queue_takes_only_its_own() -> None:
    runs = world(50, 4)
    pool = Pool(50, np.array([30, 10]), np.array([15, 1]))
    on = np.arange(50) < 20
    stratum, _ = pool.draw(runs, np.array([[False, True]]).repeat(50, 0), on)
    assert (stratum == 1).all()
    assert (pool.left(1) == np.where(on, 9, 10)).all()


@pytest.mark.parametrize(("part", "size"), [(0.0, 299), (0.2, 628), (0.4, 1182), (0.6, 3137)])
def test_fixed_size_is_the_least_with_the_power_asked_for(part: float, size: int) -> None:
    rate = part * 0.01
    assert fixed_size(0.01, rate) == size
    most = max(wrong for wrong in range(60) if upper_bound(wrong, size) <= 0.01)
    assert binom.cdf(most, size, rate) >= 0.8
    assert most == 0 or binom.cdf(most - 1, size - 1, rate) < 0.8


def test_without_a_wrong_label_every_audit_takes_the_same_answers() -> None:
    costs = cost(world(20, 4), 0.05, 0.0)
    assert (costs.median, costs.eighty, costs.fixed) == (70.0, 70.0, 59)
    assert costs.mended == 69.0


def test_answers_to_a_goal_are_within_reach_of_a_size_fixed_in_hindsight() -> None:
    costs = cost(world(200, 4), 0.05, 0.01)
    assert costs.median <= 1.3 * costs.fixed
    assert costs.median < costs.eighty <= 2.4 * costs.fixed


def test_study_runs_keeps_its_runs_and_shows_both_tables(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    sets = ("runs=8", "answers=8", "worlds=groups, restarts, goal 5 %")
    shown = command.run(Options("audit", None, "2", "cpu", out, sets))
    runs = json.loads(out.read_text())["runs"]
    assert [(run["row"], run["seed"]) for run in runs] == [
        (name, seed) for seed in (0, 1) for name in ("groups", "restarts", "goal 5 %")
    ]
    for part in ("whole groups, share wrong", "begun anew", "promised, %", "median / fixed", "put right"):
        assert part in shown
    assert command.run(Options("audit", None, "2", "cpu", out, sets, resume=True)) == shown
    assert len(json.loads(out.read_text())["runs"]) == 6


def test_an_outcome_that_fails_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORLDS, "groups", lambda runs: [Outcome("a rule", 0.05, 0.123, 0.02, 0.04)])
    shown = command.run(Options("audit", set=("runs=1", "worlds=groups")))
    assert shown.splitlines()[-1].split()[-4:] == ["12.3", "5", "2.00", "4.00"]


@pytest.mark.parametrize("wrong", ["worlds=moons", "runs=0", "answers=1", "net=mlp"])
def test_settings_that_cannot_be_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError):
        command.run(Options("audit", set=(wrong,)))
    assert "goal 1 %" in COSTS
