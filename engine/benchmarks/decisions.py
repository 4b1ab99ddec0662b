"""Decisions against the true error rate of the exported set: a labeled set is replayed, its truth answers for a person.

The seed draws the first labels, as many of each class. A round is trained on all labels in force, a strategy orders the
images without one, and an oracle answers the first `per_round` of them; then the next round. The exported set is every
label in force, all right, and the newest round's pseudo-label of every other image; its share of right labels is looked
at after each answer. The oracle's answers are the decisions; the first labels are not counted. After the last answer a
last round is trained.

Unlike a person with a project: the first round of a seed is shared by all strategies, and once the target is reached no
further round is trained: answers go on in the last round's order up to the budget.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.benchmarks.data import choose_labels
from engine.benchmarks.decision_rounds import RoundPredictions
from engine.errors import ConfigError
from engine.query.pick import pick
from engine.query.pool import Pool

Trainer = Callable[[NDArray[np.int64], NDArray[np.int64], int, Mapping[str, Any]], RoundPredictions]
"""Called with rows with a label in ascending order, their classes, the round counted from 0, and the
`RoundPredictions.state` of the round before; returns what the round predicts of all images."""


@dataclass(frozen=True)
class Game:
    """The rules of a replay: first labels, answers between two rounds, most answers, share of right labels to reach.

    Raises:
        ConfigError: a value is outside its range.
    """

    labels: int = 100
    per_round: int = 100
    budget: int = 300
    target: float = 0.995

    def __post_init__(self) -> None:
        if min(self.labels, self.per_round) < 1 or self.budget < 0 or not 0 < self.target <= 1:
            raise ConfigError(
                "The rules of the replay are out of range",
                value=", ".join(f"{name}={value}" for name, value in dataclasses.asdict(self).items()),
                way_out="First labels and answers a round are 1 or more, the budget 0 or more, the target above 0 and "
                "at most 1.",
            )


@dataclass(frozen=True)
class Curve:
    """What one replay gave.

    Attributes:
        right: (answers + 1,) float64, the share of right labels in the exported set after 0, 1, … answers.
        needed: the first number of answers at which the target was reached, None where it was not.
        rounds: the number of answers before each round, from 0.
    """

    right: NDArray[np.float64]
    needed: int | None
    rounds: tuple[int, ...]


def share_first(trainer: Trainer) -> Trainer:
    """Return a trainer that trains its first round once, and gives the same to everyone who asks for it."""
    first: list[RoundPredictions] = []

    def train(rows: NDArray[np.int64], y: NDArray[np.int64], number: int, state: Mapping[str, Any]) -> RoundPredictions:
        if number:
            return trainer(rows, y, number, state)
        if not first:
            first.append(trainer(rows, y, number, state))
        return first[0]

    return train


def simulate(
    truth: NDArray[np.int64], ids: NDArray[np.int64], strategy: str, game: Game, trainer: Trainer, seed: int
) -> Curve:
    """Replay one strategy.

    Args:
        truth: (N,) class of every image, known to the oracle and the curve alone.
        ids: (N,) distinct numbers of the images, which the random order goes by.
        strategy: a key of QUERY_STRATEGIES.
        game: the rules.
        trainer: trains a round.
        seed: draws the first labels, the same for every strategy.
    """
    decided = np.zeros(len(truth), np.bool_)
    decided[choose_labels(torch.from_numpy(truth), game.labels, seed).numpy()] = True
    budget = min(game.budget, int((~decided).sum()))
    right: list[float] = []
    rounds: list[int] = []
    predicted: RoundPredictions | None = None
    while predicted is None or rounds[-1] < budget:
        answered = max(len(right) - 1, 0)
        if predicted is None or _reached(right, game.target) is None:
            rows = np.flatnonzero(decided)
            predicted = trainer(rows, truth[rows], len(rounds), {} if predicted is None else predicted.state)
            rounds.append(answered)
        elif answered == budget:
            break
        wrong = predicted.probabilities.argmax(1) != truth
        right[answered:] = [_share_right(wrong, decided)]  # of the newest round: a round costs no decision
        undecided = np.flatnonzero(~decided)
        picks = pick(
            strategy, pool_of(predicted, ids, truth, decided), min(game.per_round, budget - answered), seed=seed
        )
        for row in undecided[picks.rows]:
            decided[row] = True
            right.append(_share_right(wrong, decided))
    return Curve(np.array(right), _reached(right, game.target), tuple(rounds))


def pool_of(
    predicted: RoundPredictions, ids: NDArray[np.int64], truth: NDArray[np.int64], decided: NDArray[np.bool_]
) -> Pool:
    """Return the pool a strategy picks from: every image without a label, in the order of the rows; of `truth` (N,)
    only the labels in force are read."""
    classes = predicted.probabilities.shape[1]
    return Pool(
        ids=ids[~decided],
        probabilities=predicted.probabilities[~decided],
        features=predicted.features[~decided],
        labeled_features=predicted.features[decided],
        classes=tuple(map(str, range(classes))),
    )


def _share_right(wrong: NDArray[np.bool_], decided: NDArray[np.bool_]) -> float:
    """Return the share of right labels in the exported set: images with a label are right."""
    return 1.0 - float(np.count_nonzero(wrong & ~decided)) / len(wrong)


def _reached(right: list[float], target: float) -> int | None:
    """Return the first number of answers with at least the target."""
    return next((answers for answers, share in enumerate(right) if share >= target), None)
