"""The rows that repeat a public document have that document's conditions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.algorithms.pseudo_label import PseudoLabel, PseudoLabelConfig, alpha
from engine.benchmarks import BENCHMARKS, Context
from engine.benchmarks.mnist import article_rows
from engine.benchmarks.run import train_config
from engine.training.optim import cosine, make_optimizer
from engine.training.pools import Pools

CPU = torch.device("cpu")
CONTEXT = Context(Path("nowhere"), CPU)


def mnist_sized() -> Pools:
    """1,000 labeled and 59,000 unlabeled places of 28×28; their pixels are not looked at."""
    images = torch.zeros(1, 1, 28, 28, dtype=torch.uint8).expand(60_000, -1, -1, -1)
    rows = torch.arange(60_000)
    return Pools(images, rows[:1000], rows[:1000] % 10, rows[:0], rows[:0], rows[1000:], 10)


def test_the_article_has_100_labeled_passes_then_150_unlabeled_ones_at_a_constant_rate() -> None:
    alone, row = article_rows(150, CONTEXT)
    assert alone.epochs_run * train_config(alone, 0, CPU).steps_per_epoch == 100 * 32  # 1,000 in batches of 32
    train = train_config(row, 0, CPU)
    config = PseudoLabelConfig(**row.config)
    run = PseudoLabel(config, train, mnist_sized(), CPU)
    assert config.t2 == 700
    steps = [run._schedule.at(step, run.total) for step in range(row.epochs_run * run.steps_per_epoch)]
    first = next(number for number, (_, unlabeled, _) in enumerate(steps) if unlabeled)
    assert 3200 <= first < 3200 + run.steps_per_epoch
    assert sum(unlabeled for _, unlabeled, _ in steps) == 150 * 250  # 231 batches in whole cycles of 50
    labeled_passes = sum(labeled for labeled, _, _ in steps[first:]) / 32
    assert labeled_passes == 750
    assert max(alpha(t, config) for _, _, t in steps) == 3.0
    assert cosine(len(steps), run.total) > 0.999
    optimizer = make_optimizer(torch.nn.Linear(2, 2), train)
    assert {(g["lr"], g["momentum"], g["weight_decay"], g["nesterov"]) for g in optimizer.param_groups} == {
        (0.1, 0.0, 0.0, False)
    }


def test_fewer_passes_have_the_ramp_in_the_same_share_of_them() -> None:
    (_, whole), (_, short) = article_rows(150, CONTEXT), article_rows(5, CONTEXT)
    assert [row.config["t2"] - row.config["t1"] for row in (whole, short)] == [600, 20]


def test_the_failures_have_every_method_in_every_condition() -> None:
    labels = [row.label for row in BENCHMARKS["failures"].rows(CONTEXT)]
    for condition in ("10 labels", "20 labels", "50 labels", "1,000 labels, no 7"):
        for method in ("labels alone", "Pseudo-Label", "FixMatch"):
            assert f"{condition}: {method}" in labels


def test_the_options_differ_from_the_first_row_in_what_they_name_alone() -> None:
    _, plain, *others = BENCHMARKS["pseudo-label-options"].rows(CONTEXT)
    changed = {row.label: {k for k in row.config if row.config[k] != plain.config.get(k)} for row in others}
    assert changed == {
        "squared error of the probabilities": {"loss"},
        "α constant": {"t1", "t2"},
        "labels made each epoch": {"refresh"},
        "every 3 epochs": {"refresh", "refresh_every"},
        "once, never again": {"refresh"},
        "unlabeled images alone from T1": {"schedule"},
        "alone, labels made once": {"schedule", "refresh"},
    }
    assert all(row.train == plain.train and row.data == plain.data for row in others)


@pytest.mark.parametrize("label", ["supervised, Adam", "threshold self-training, Adam", "pseudo-label, Adam"])
def test_the_small_cifar_rows_train_with_adam(label: str) -> None:
    (row,) = [row for row in BENCHMARKS["cifar10-simple"].rows(CONTEXT) if row.label == label]
    train = train_config(row, 0, CPU)
    assert isinstance(make_optimizer(torch.nn.Linear(2, 2), train), torch.optim.AdamW)
    assert (train.net, row.data["labels"]) == ("simple_cnn", 1000)
