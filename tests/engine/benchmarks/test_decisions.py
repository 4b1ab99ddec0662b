from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.benchmarks import command, data, decisions_study, overrides
from engine.benchmarks.decision_rounds import RoundPredictions, Rounds, SetRounds, joined
from engine.benchmarks.decisions import Game, share_first, simulate
from engine.benchmarks.decisions_study import FIRST, SET, DecisionSettings, training_rows
from engine.benchmarks.options import Options
from engine.errors import ConfigError

TRUTH = np.arange(100) % 2
IDS = np.arange(1000, 1100)
WRONG = np.zeros(100, np.bool_)
WRONG[[10, 20, 30, 41]] = True


def said(wrong: NDArray[np.bool_], sure: float = 0.9, unsure: float = 0.6) -> RoundPredictions:
    """A model that is wrong, and unsure, exactly where told."""
    confidence = np.where(wrong, unsure, sure)
    predicted = np.where(wrong, 1 - TRUTH, TRUTH)
    probabilities = np.empty((100, 2), np.float32)
    probabilities[np.arange(100), predicted] = confidence
    probabilities[np.arange(100), 1 - predicted] = 1 - confidence
    return RoundPredictions(probabilities, np.eye(100, 3, dtype=np.float32))


class Trainer:
    """Says the same in every round but for `later`, and keeps what it was given."""

    def __init__(self, first: RoundPredictions, later: RoundPredictions | None = None) -> None:
        self.first, self.later = first, later or first
        self.given: list[tuple[list[int], list[int], int, dict[str, Any]]] = []

    def __call__(self, rows: NDArray[Any], y: NDArray[Any], number: int, state: Mapping[str, Any]) -> RoundPredictions:
        self.given.append((rows.tolist(), y.tolist(), number, dict(state)))
        return self.later if number else self.first


def wrong_without_a_label(seed: int, labels: int = 2) -> NDArray[np.bool_]:
    """Four wrong images, none of them among the first labels."""
    first = data.choose_labels(torch.from_numpy(TRUTH), labels, seed).numpy()
    wrong = np.zeros(100, np.bool_)
    wrong[np.setdiff1d(np.flatnonzero(TRUTH == 0), first)[:4]] = True
    return wrong


def test_a_queue_with_the_wrong_images_first_puts_one_right_with_each_answer() -> None:
    curve = simulate(TRUTH, IDS, "least_confidence", Game(2, 100, 6, 1.0), Trainer(said(wrong_without_a_label(3))), 3)
    assert curve.right.tolist() == pytest.approx([0.96, 0.97, 0.98, 0.99, 1.0, 1.0, 1.0])
    assert curve.needed == 4
    assert curve.rounds == (0,)


def test_images_that_have_a_label_are_right_whatever_the_model_says() -> None:
    trainer = Trainer(said(np.ones(100, np.bool_)))
    curve = simulate(TRUTH, IDS, "random", Game(10, 5, 5, 1.0), trainer, 0)
    assert curve.right.tolist() == pytest.approx([0.10, 0.11, 0.12, 0.13, 0.14, 0.15])
    assert curve.needed is None


def test_each_round_gets_every_label_so_far_and_the_state_of_the_one_before() -> None:
    wrong = wrong_without_a_label(0)
    model = said(wrong)
    trainer = Trainer(RoundPredictions(model.probabilities, model.features, state={"weights": 7}))
    curve = simulate(TRUTH, IDS, "least_confidence", Game(2, 2, 5, 1.0), trainer, 0)
    assert [len(given[0]) for given in trainer.given] == [2, 4]  # after four answers all is right: no more rounds
    assert curve.rounds == (0, 2)
    rows, y, number, state = trainer.given[1]
    assert set(np.flatnonzero(wrong)[:2]) < set(rows)
    assert y == TRUTH[rows].tolist()
    assert (number, state) == (1, {"weights": 7})
    assert trainer.given[0][3] == {}
    assert len(curve.right) == 6


def test_the_set_is_that_of_the_newest_round_and_a_last_round_follows_the_last_answer() -> None:
    wrong = wrong_without_a_label(0)
    trainer = Trainer(said(wrong), said(np.zeros(100, np.bool_)))
    curve = simulate(TRUTH, IDS, "least_confidence", Game(2, 2, 2, 1.0), trainer, 0)
    assert curve.right.tolist() == pytest.approx([0.96, 0.97, 1.0])
    assert (curve.needed, curve.rounds) == (2, (0, 2))


def test_a_round_that_makes_it_worse_is_told_as_such() -> None:
    more = wrong_without_a_label(0)
    fewer = more.copy()
    fewer[np.flatnonzero(more)[2:]] = False
    curve = simulate(TRUTH, IDS, "least_confidence", Game(2, 1, 2, 1.0), Trainer(said(fewer), said(more)), 0)
    assert curve.right.tolist() == pytest.approx([0.98, 0.97, 0.98])  # 0.99 after the answer, 0.97 after the round


def test_a_first_model_that_is_right_enough_needs_no_decision() -> None:
    curve = simulate(TRUTH, IDS, "random", Game(2, 5, 0, 0.9), Trainer(said(WRONG)), 0)
    assert (curve.needed, curve.right.shape, curve.rounds) == (0, (1,), (0,))


def test_the_budget_ends_with_the_images() -> None:
    curve = simulate(TRUTH, IDS, "random", Game(90, 50, 50, 1.0), Trainer(said(np.ones(100, np.bool_))), 0)
    assert len(curve.right) == 11
    assert curve.needed == 10


@pytest.mark.parametrize("wrong", [{"labels": 0}, {"per_round": 0}, {"budget": -1}, {"target": 0.0}, {"target": 1.1}])
def test_rules_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="rules"):
        Game(**wrong)


def test_the_first_round_is_trained_once_for_all_strategies() -> None:
    trainer = Trainer(said(WRONG))
    shared = share_first(trainer)
    for _ in range(3):
        simulate(TRUTH, IDS, "random", Game(2, 1, 2, 1.0), shared, 0)
    assert [given[2] for given in trainer.given] == [0, 1, 2, 1, 2, 1, 2]


QUICK = (
    "images=300", "labels=20", "per_round=10", "budget=20", "steps_per_epoch=15", "later_steps=5", "batch_size=16",
    "unlabeled_ratio=1", "precision=float32", "threads=1",
)  # fmt: skip


def small_images() -> tuple[torch.Tensor, NDArray[np.int64]]:
    images, truth, _ = data.subset("digits", Path(), 300, 0)
    return images, truth


def rounds(warm_start: bool, heldout: float = 0.0) -> Rounds:
    images, _ = small_images()
    pairs = [pair for pair in QUICK if pair.split("=")[0] in ("batch_size", "unlabeled_ratio", "precision")]
    (first,) = overrides.apply((FIRST,), pairs)
    rows = training_rows(DecisionSettings(later_steps=1, later_rate=0.0, heldout=heldout), first)
    rows[0].train.update(steps_per_epoch=10)  # type: ignore[attr-defined]
    return Rounds(images, 10, rows, torch.device("cpu"), 0, warm_start=warm_start)


def test_a_warm_start_goes_on_from_the_weights_before_and_a_cold_one_does_not() -> None:
    _, truth = small_images()
    rows = np.arange(40)
    for warm in (True, False):
        made = rounds(warm)
        first = made.train(rows, truth[rows], 0, {})
        second = made.train(rows, truth[rows], 1, first.state)  # one step at a rate of 0
        assert (np.abs(first.probabilities - second.probabilities).max() < 0.05) == warm


def test_labels_held_out_give_the_temperature_and_are_not_trained_on() -> None:
    _, truth = small_images()
    rows = np.concatenate([np.flatnonzero(truth == digit)[:6] for digit in range(10)])
    found = rounds(False, heldout=0.2).train(rows, truth[rows], 0, {})
    assert len(found.heldout) == 12
    assert set(found.heldout) < set(rows)
    assert found.temperature != 1.0
    scaled = torch.softmax(found.logits / found.temperature, 1).numpy()
    assert np.allclose(found.probabilities, scaled)
    assert rounds(False).train(rows, truth[rows], 0, {}).temperature == 1.0


def as_set(network_in: tuple[int, ...] = ()) -> SetRounds:
    images, _ = small_images()
    train = {**SET.train, "epochs": 1, "steps_per_epoch": 20, "threads": 1, "precision": "float32"}
    row = dataclasses.replace(SET, train=train)
    return SetRounds(images, 10, row, torch.device("cpu"), 0, network_in=network_in)


def test_a_set_is_labeled_anew_from_more_labels_and_a_round_depends_on_its_labels_alone() -> None:
    _, truth = small_images()
    few = np.sort(np.concatenate([np.flatnonzero(truth == digit)[:1] for digit in range(10)]))
    many = np.sort(np.concatenate([np.flatnonzero(truth == digit)[:6] for digit in range(10)]))
    made = as_set()
    first, later = made.train(few, truth[few], 0, {}), made.train(many, truth[many], 1, {})
    assert first.probabilities.shape == (300, 10)
    assert first.features.shape[0] == 300
    right = [float((one.probabilities.argmax(1) == truth).mean()) for one in (first, later)]
    assert right[1] > right[0] > 0.7
    assert np.array_equal(made.train(few, truth[few], 2, later.state).probabilities, first.probabilities)


def test_networks_are_trained_in_the_rounds_named_and_kept_for_those_after() -> None:
    _, truth = small_images()
    rows = np.sort(np.concatenate([np.flatnonzero(truth == digit)[:2] for digit in range(10)]))
    made, plain = as_set((1, 2)), as_set().train(rows, truth[rows], 0, {})
    before = made.train(rows, truth[rows], 0, {})
    assert np.array_equal(before.probabilities, plain.probabilities)
    once = made.train(rows, truth[rows], 1, before.state)
    twice = made.train(rows, truth[rows], 2, once.state)
    assert [one.shape for one in twice.state["said"]] == [(300, 10), (300, 10)]
    assert torch.equal(twice.state["said"][0], once.state["said"][0])
    assert torch.equal(twice.logits, joined(plain.logits, twice.state["said"]))
    assert np.array_equal(made.train(rows, truth[rows], 3, twice.state).probabilities, twice.probabilities)


def test_the_model_is_as_sure_as_networks_agree_with_it() -> None:
    model = torch.tensor([[50.0, 0.0], [50.0, 0.0], [50.0, 0.0], [50.0, 0.0]]).log_softmax(1)
    network = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]).log()
    found = joined(model, [network]).softmax(1)
    odds = 3 * network[:, 0].exp() / network[:, 1].exp()  # three of four agree, so the model says 3 : 1
    assert torch.allclose(found[:, 0], odds / (1 + odds), atol=1e-4)
    assert torch.equal(joined(model, []), model)
    apart = torch.tensor([[0.99, 0.01]] * 3 + [[0.04, 0.96]]).log()
    mean = joined(model, [network, apart])
    assert torch.allclose(mean, joined(model, [(network + apart) / 2]))


def test_the_command_replays_the_model_that_labels_a_set(opened: list[str], tmp_path: Path) -> None:
    texts = ("images=300", "labels=10", "per_round=5", "budget=10", "strategies=least_sure", "model=transductive")
    shown = command.run(Options("decisions", tmp_path, "1", "cpu", tmp_path / "set.json", texts))
    (run,) = json.loads((tmp_path / "set.json").read_text())["runs"]
    assert run["rounds"][:2] == [0, 5]
    assert run["right"][-1] > 0.9
    assert "least_sure" in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [("model=oracle", "fixmatch or transductive"), ("network_at=7", "multiples"), ("network_at=soon", "0,50,100")],
)
def test_a_model_or_times_of_the_network_that_cannot_be_are_refused(text: str, told: str, tmp_path: Path) -> None:
    texts = ("model=transductive", "per_round=5", text)
    with pytest.raises(ConfigError, match=told):
        decisions_study.run(Options("decisions", tmp_path, "1", "cpu", None, texts), lambda line: None)


def options(tmp_path: Path, **more: Any) -> Options:
    return Options("decisions", tmp_path, "3", "cpu", tmp_path / "out.json", QUICK, **more)


def test_the_command_keeps_each_replay_and_goes_on_where_it_stopped(opened: list[str], tmp_path: Path) -> None:
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command.run(options(tmp_path), stop)
    before = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert [(run["row"], run["seed"]) for run in before] == [
        ("least_sure", 0), ("random", 0), ("least_sure", 1), ("random", 1),
    ]  # fmt: skip
    shown = command.run(options(tmp_path, resume=True), lines.append)
    after = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert after[:4] == before
    assert len(after) == 6
    assert [line.endswith("kept from the file") for line in lines[4:]] == [True] * 4 + [False] * 2
    for seed in (0, 1, 2):
        firsts = {run["right"][0] for run in after if run["seed"] == seed}
        assert len(firsts) == 1  # one first round for all
    assert all(len(run["right"]) == 21 and run["rounds"][0] == 0 for run in after)
    for key in ("least_sure", "random", "% at 0"):
        assert key in shown
    assert "300 of MNIST's training images" in shown


def test_an_unknown_strategy_or_setting_is_refused(tmp_path: Path) -> None:
    for pair in ("strategies=astrology", "stars=5", "images=many"):
        with pytest.raises(ConfigError):
            decisions_study.run(Options("decisions", tmp_path, "1", "cpu", None, (pair,)), lambda line: None)


def test_the_list_names_the_studies() -> None:
    shown = command.listing()
    for name in ("decisions", "audit", "calibration", "label-issues", "mnist-1000"):
        assert name in shown


def test_settings_of_the_training_hold_for_both_rows_and_later_rounds_have_steps_of_their_own() -> None:
    texts = ("later_steps=7", "later_rate=0.01", "steps_per_epoch=9", "train.momentum=0.5")
    settings, rows = overrides.apply_with(DecisionSettings, (FIRST,), texts)
    first, later = training_rows(settings, *rows)
    assert (first.train["steps_per_epoch"], later.train["steps_per_epoch"]) == (9, 7)
    assert (first.train["learning_rate"], later.train["learning_rate"]) == (0.05, 0.01)
    assert first.train["momentum"] == later.train["momentum"]
    assert first.config == later.config
