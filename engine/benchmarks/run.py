"""One run: a row trained with a seed, within its minutes, then tested once."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from engine.algorithms import ALGORITHMS, Algorithm
from engine.algorithms.taught_start import TaughtStart, set_targets
from engine.benchmarks.data import Problem, described
from engine.benchmarks.overrides import settings_class
from engine.benchmarks.spec import Row
from engine.errors import ConfigError, TrainingDiverged
from engine.training.config import TrainConfig, settings_from
from engine.training.evaluate import predict_logits
from engine.training.learner import TakesStart
from engine.training.pools import Pools
from engine.training.protocol import HasRowPredictions

SKIPPED = {"cuda": 10}
"""Steps left out of a measurement of speed, which make ready; 2 where the device is not named."""
MEASURED_SECONDS = 3.0
MEASURED_SHARE = 0.05
"""The speed is measured for so many seconds, at most this share of the budget, and for one step at least."""
RESERVE = 0.03
"""Share of the minutes kept for the test at the end."""


@dataclass(frozen=True)
class Outcome:
    """What a run gave: `value` in the benchmark's unit, further named figures, and what it took."""

    value: float
    seconds: float
    steps: int
    more: Mapping[str, float] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)


def build(row: Row, train: TrainConfig, pools: Pools, device: torch.device) -> Algorithm:
    """Return a fresh run of the row's algorithm; where `train.start` asks for it, its networks are taught the set's
    labels first. Vectors are then taken for the features it names.

    Raises:
        ConfigError: the algorithm is unknown, or one of its settings is out of range.
    """
    config = settings_from(settings_class(row), row.config)
    algorithm = ALGORITHMS[row.algorithm].build(config, train, pools, device)
    if train.start:
        assert isinstance(algorithm, TakesStart), row.algorithm
        features = pools.images if pools.vectors else described(pools.images, train.start)
        start = TaughtStart(train, pools, device, features)
        for epoch in range(start.epochs):
            run_epoch(start, epoch)
        algorithm.begin(start.eval_model().state_dict(), set_targets(features, pools, train))
    return algorithm


def train_config(row: Row, seed: int, device: torch.device) -> TrainConfig:
    """Return the settings of a run of the row with this seed."""
    return settings_from(TrainConfig, {**row.train, "seed": seed, "device": device.type})


def accuracy_run(row: Row, seed: int, problem: Problem, device: torch.device, minutes: float | None) -> Outcome:
    """Train the row, then open the test set and return the accuracy of the averaged model in %.

    `more` has the accuracy over the unlabeled images, of a model that labels a set; where some class has no label, that
    over the images of the other classes; the CPU's seconds of all threads without the test; and the metrics that the
    row wants told.

    Args:
        row: what to train.
        seed: of the run.
        problem: the data; its test set is opened once, after the last step.
        device: where to train.
        minutes: the run is made shorter to fit into them, the measurement of its speed included; None: as it is.

    Raises:
        ConfigError: the minutes are too few for one step, or a setting is out of range.
        TrainingDiverged: the loss is no longer a finite number.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    train = train_config(row, seed, device)
    if minutes is not None and row.budgeted:
        train = fit_budget(row, train, problem.pools, device, minutes * 60)
    algorithm = build(row, train, problem.pools, device)
    steps = 0
    told: dict[str, list[float | Tensor]] = {name: [] for name in row.told}
    for epoch in range(min(row.epochs_run or algorithm.epochs, algorithm.epochs)):
        steps += run_epoch(algorithm, epoch, told)
    cpu_seconds = time.process_time() - cpu_began
    model = algorithm.eval_model()
    images, y = problem.test()
    predicted = predict_logits(model, images, torch.arange(len(images)), device).argmax(1)  # (N,)
    more = _of_labeled_classes(predicted, y, problem.pools)
    more |= _of_the_pool(algorithm, problem) | {"CPU s": cpu_seconds}
    more |= {name: float(torch.tensor(values).median()) for name, values in told.items() if values}
    accuracy = 100 * float((predicted == y).double().mean())
    return Outcome(accuracy, time.perf_counter() - began, steps, more, dataclasses.asdict(train))


def fit_budget(row: Row, train: TrainConfig, pools: Pools, device: torch.device, seconds: float) -> TrainConfig:
    """Return settings with as many steps as fit into the seconds, at most those the row has; the schedule follows.

    The speed is measured in the middle of a trial run, where every loss is in force. The trial run is thrown away.

    Raises:
        ConfigError: not even one step fits.
    """
    began = time.perf_counter()
    trial = build(row, train, pools, device)
    planned = sum(trial.steps_in(epoch) for epoch in range(trial.epochs))
    rate = measure_rate(trial, device, min(MEASURED_SECONDS, MEASURED_SHARE * seconds))
    left = seconds * (1 - RESERVE) - (time.perf_counter() - began)
    possible = math.floor(rate * left)
    if possible < 1:
        raise ConfigError(
            "The budget is too small for one step",
            value=f"{seconds / 60:g} minutes",
            way_out="Give more with --minutes, or a smaller batch with --set batch_size=…",
        )
    if possible >= planned:
        return train
    if row_decides(train, trial):
        ordinary = min(train.epochs * trial.steps_per_epoch, planned)  # the others close the run, by a share of these
        possible = max(1, possible * ordinary // planned)
        epochs = min(train.epochs, max(1, possible // 10))
        return dataclasses.replace(train, epochs=epochs, steps_per_epoch=possible // epochs)
    return dataclasses.replace(train, epochs=max(1, possible // trial.steps_per_epoch))


def row_decides(train: TrainConfig, trial: Algorithm) -> bool:
    """Return whether the algorithm takes its steps per epoch from the settings, or lays out epochs of its own."""
    return not train.steps_per_epoch or trial.steps_per_epoch == train.steps_per_epoch


def measure_rate(algorithm: Algorithm, device: torch.device, seconds: float) -> float:
    """Return steps a second, from the middle epoch of a run that is thrown away afterwards."""
    steps = algorithm.steps(algorithm.epochs // 2)
    skipped = 0
    for _ in range(SKIPPED.get(device.type, 2)):
        skipped += next(steps, None) is not None
    synchronize(device)
    began, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - began < seconds:
        metrics = next(steps, None)
        if metrics is None:
            break
        done += 1
        if done % 16 == 0:
            synchronize(device)
    synchronize(device)
    return (done or skipped or 1) / max(time.perf_counter() - began, 1e-3)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def run_epoch(algorithm: Algorithm, epoch: int, told: Mapping[str, list[float | Tensor]] = MappingProxyType({})) -> int:
    """Train one epoch and return its number of steps; the loss is looked at when the epoch ends.

    Each list in `told` gets the values of the metric that it is named by.
    """
    total: float | Tensor = 0.0
    done = 0
    for metrics in algorithm.steps(epoch):
        total = total + metrics.get("loss", 0.0)
        done += 1
        for name, values in told.items():
            if name in metrics:
                values.append(metrics[name])
    if not math.isfinite(float(total)):
        raise TrainingDiverged(
            "The loss is no longer a finite number",
            value=f"epoch {epoch + 1}",
            way_out="Lower the learning rate with --set learning_rate=…",
        )
    return done


def _of_the_pool(algorithm: Algorithm, problem: Problem) -> dict[str, float]:
    """Return the accuracy in % over the unlabeled images of a model that labels a set, if their classes are known."""
    if not isinstance(algorithm, HasRowPredictions) or problem.unlabeled_y is None:
        return {}
    predicted = algorithm.predict_rows(problem.pools.unlabeled_idx)[0].argmax(1)
    return {"% of the pool": 100 * float((predicted == problem.unlabeled_y()).double().mean())}


def _of_labeled_classes(predicted: Tensor, y: Tensor, pools: Pools) -> dict[str, float]:
    known = torch.zeros(pools.num_classes, dtype=torch.bool)
    known[pools.train_y] = True
    if known.all():
        return {}
    among = known[y]
    name = f"% of the {int(known.sum())} labeled classes"
    return {name: 100 * float((predicted == y)[among].double().mean())}
