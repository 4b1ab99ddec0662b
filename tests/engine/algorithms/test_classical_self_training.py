from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from engine.algorithms.classical_model import Coordinates, with_products
from engine.algorithms.classical_self_training import (
    CLASSIFIERS,
    ClassicalSelfTraining,
    ClassicalSelfTrainingConfig,
    draw_sizes,
)
from engine.errors import ConfigError, RoundBlocked
from engine.training.config import TrainConfig
from engine.training.evaluate import features, predict_logits
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")
MakePools = Callable[..., Pools]


def build(pools: Pools, seed: int = 0, **config: Any) -> ClassicalSelfTraining:
    return ClassicalSelfTraining(ClassicalSelfTrainingConfig(**config), TrainConfig(seed=seed), pools, CPU)


def groups(classes: tuple[int, ...], num_classes: int, each: int = 30) -> Pools:
    """Well separated groups of vectors, the k-th around 8 times the k-th axis, of class `classes[k]`; 4 labels each."""
    width = len(classes)
    generator = torch.Generator().manual_seed(1)
    place = torch.arange(each * width) % width
    x = torch.randn(each * width, width, generator=generator) + 8.0 * torch.eye(width)[place]
    y, rows = torch.tensor(classes)[place], torch.arange(each * width)
    train, rest = rows[: 4 * width], rows[4 * width :]
    none = rows[:0]
    return Pools(x, train, y[train], none, none, rest, num_classes)


def truth(pools: Pools, classes: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor(classes)[pools.unlabeled_idx % len(classes)]


@pytest.mark.parametrize(
    ("unlabeled", "rate", "ramp", "sizes"),
    [
        (100, 0.25, False, [25, 25, 25, 25]),
        (10, 0.3, False, [3, 3, 3, 1]),
        (10, 0.25, True, [1, 2, 3, 4]),
        (7, 1.0, False, [7]),
    ],
)
def test_draws_share_out_all_unlabeled_images(unlabeled: int, rate: float, ramp: bool, sizes: list[int]) -> None:
    assert draw_sizes(unlabeled, rate, ramp) == sizes


def test_the_default_makes_25_draws_of_every_size_of_pool() -> None:
    assert [len(draw_sizes(n, 0.04, False)) for n in (3, 100, 59_000)] == [25] * 3
    assert [sum(draw_sizes(n, 0.04, ramp)) for n in (3, 101, 59_000) for ramp in (False, True)] == [
        3, 3, 101, 101, 59_000, 59_000,
    ]  # fmt: skip


def test_every_unlabeled_image_is_drawn_once_and_the_last_fit_has_the_last_draw(
    make_pools: MakePools, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools, fitted = make_pools(), []
    real = CLASSIFIERS["sgd"]
    monkeypatch.setitem(CLASSIFIERS, "sgd", lambda c, images, seed: fitted.append(images) or real(c, images, seed))
    run = build(pools, sample_rate=0.25)
    assert run.epochs == 5
    for epoch in range(run.epochs):
        assert len(list(run.steps(epoch))) == run.steps_in(epoch)
    # 12 labels; 64 unlabeled in 4 draws of 16: the last fit has all of them
    assert fitted == [12, 28, 44, 60, 76]
    assert sorted(run._rows.tolist()) == pools.unlabeled_idx.tolist()


def test_a_draw_is_labeled_by_the_classifier_before_it(make_pools: MakePools) -> None:
    pools = make_pools()
    run = build(pools, sample_rate=0.25)
    for epoch in range(3):
        list(run.steps(epoch))
    said = predict_logits(run.eval_model(), pools.images, pools.unlabeled_idx, CPU).argmax(1)
    list(run.steps(3))
    newest, labels = run._rows[32:], run._labels[32:]
    expected = {int(row): int(label) for row, label in zip(pools.unlabeled_idx, said, strict=True)}
    assert labels.tolist() == [expected[int(row)] for row in newest]


@pytest.mark.parametrize("method", ["draws", "sklearn"])
@pytest.mark.parametrize("classifier", list(CLASSIFIERS))
def test_classes_3_7_9_map_back_and_classes_without_labels_stay_improbable(method: str, classifier: str) -> None:
    classes = (3, 7, 9)
    pools = groups(classes, 11)
    run = build(pools, method=method, classifier=classifier, sample_rate=0.5, sklearn_threshold=0.5)
    *_, last = train(run, pools)
    assert isinstance(last, EpochEvent)
    assert last.probabilities.shape == (78, 11)
    assert (last.probabilities.argmax(1) == truth(pools, classes).numpy()).mean() > 0.95
    assert set(run._labels.tolist()) == set(classes)
    unseen = [k for k in range(11) if k not in classes]
    assert np.isfinite(last.probabilities).all()
    assert last.probabilities[:, unseen].max() < 1e-20
    assert last.probabilities.sum(1) == pytest.approx(1.0, abs=1e-4)


def test_images_below_the_threshold_when_drawn_are_left_out(make_pools: MakePools) -> None:
    run = build(make_pools(), sample_rate=0.25, threshold=1.0, classifier="logistic", alpha=1.0)
    *_, told = (told for epoch in range(run.epochs) for told in run.steps(epoch))
    assert told["used_share"] == 0.0
    assert len(run._rows) == 0


def test_the_used_share_counts_what_was_labeled_so_far(make_pools: MakePools) -> None:
    run = build(make_pools(), sample_rate=0.25)
    shares = [list(run.steps(epoch))[-1]["used_share"] for epoch in range(run.epochs)]
    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_sklearns_own_wrapper_labels_all_sure_images_in_the_second_epoch(make_pools: MakePools) -> None:
    run = build(make_pools(), method="sklearn", sklearn_threshold=0.5)
    assert run.epochs == 2
    list(run.steps(0))
    assert len(run._rows) == 0
    list(run.steps(1))
    assert len(run._rows) > 32


def test_a_stored_state_gives_back_the_very_same_predictions(make_pools: MakePools) -> None:
    pools = make_pools()
    run = build(pools, sample_rate=0.25)
    for epoch in range(3):
        list(run.steps(epoch))
    buffer = io.BytesIO()
    torch.save(run.state_dict(), buffer)
    buffer.seek(0)
    again = build(pools, sample_rate=0.25)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    rows = torch.arange(len(pools.images))
    before, after = (predict_logits(one.eval_model(), pools.images, rows, CPU) for one in (run, again))
    assert torch.equal(before, after)


def test_coordinates_are_principal_centred_and_of_mean_square_length_one(make_pools: MakePools) -> None:
    pools = make_pools()
    found = Coordinates(pools, 64, 0).of_rows(pools.images, torch.cat([pools.train_idx, pools.unlabeled_idx]))
    assert found.dtype == np.float32
    assert found.shape == (76, 64)
    assert np.abs(found.mean(0)).max() < 1e-4
    # pca's variances divide by n - 1
    assert (found**2).sum(1).mean() == pytest.approx(75 / 76, rel=1e-3)
    covariance = found.T @ found / 76
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-4
    assert (np.diff(np.diag(covariance)) < 1e-6).all()


def test_held_out_images_do_not_enter_the_coordinates(make_pools: MakePools) -> None:
    pools = make_pools()
    before = Coordinates(pools, 5, 0).state_dict()
    pools.images[pools.heldout_idx] = 255
    after = Coordinates(pools, 5, 0).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_there_are_no_more_coordinates_than_the_images_give() -> None:
    pools = groups((0, 1, 2), 3)
    assert Coordinates(pools, 50, 0).directions.shape == (3, 3)


def test_products_join_every_pair_once() -> None:
    x = np.array([[2.0, 3.0]], np.float32)
    assert with_products(x, True).tolist() == [[2, 3, 4, 6, 9]]
    assert with_products(x, True).dtype == np.float32
    assert with_products(x, False) is x


def test_the_model_shows_its_coordinates_as_features_and_its_head_turns_them_into_logits(
    make_pools: MakePools,
) -> None:
    pools = make_pools()
    run = build(pools, dimensions=7, sample_rate=1.0)
    list(run.steps(0))
    model, rows = run.eval_model(), torch.arange(9)
    shown = features(model, pools.images, rows, CPU)
    assert shown.shape == (9, 7)
    assert shown.dtype == torch.float32
    assert next(model.parameters()).device == CPU
    head: Any = model.head
    logits = predict_logits(model, pools.images, rows, CPU)
    assert torch.equal(head(shown), logits)
    assert logits.exp().sum(1).tolist() == pytest.approx([1.0] * 9, abs=1e-4)


def test_labels_of_one_class_alone_are_refused(make_pools: MakePools) -> None:
    with pytest.raises(RoundBlocked, match="two classes"):
        build(make_pools(classes=1))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        ClassicalSelfTrainingConfig(sample_rate=0.0)
