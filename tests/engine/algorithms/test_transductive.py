from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from engine.algorithms.transductive import Transductive, TransductiveConfig, default_votes
from engine.errors import RoundBlocked
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")
NONE = torch.empty(0, dtype=torch.int64)
MakePools = Callable[..., Pools]


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1,797 written digits (n, 1, 8, 8) uint8 and their classes."""
    found = load_digits()
    return torch.from_numpy(found.images * 15.9).to(torch.uint8)[:, None], torch.from_numpy(found.target).long()


def few(images: torch.Tensor, y: torch.Tensor, each: int, seed: int = 0) -> Pools:
    """Pools with `each` labels a class, drawn by the seed; all else is unlabeled."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.permutation(np.flatnonzero(y.numpy() == c))[:each] for c in range(10)])
    labeled = torch.from_numpy(rows)
    rest = torch.from_numpy(np.setdiff1d(np.arange(len(y)), rows))
    return Pools(images, labeled, y[labeled], NONE, NONE, rest, 10)


def build(pools: Pools, settings: TrainConfig | None = None, **config: Any) -> Transductive:
    return Transductive(TransductiveConfig(**config), settings or TrainConfig(seed=1), pools, CPU)


def trained(pools: Pools, settings: TrainConfig | None = None, **config: Any) -> Transductive:
    run = build(pools, settings, **config)
    for epoch in range(run.epochs):
        list(run.steps(epoch))
    return run


def right(run: Transductive, pools: Pools, y: torch.Tensor) -> float:
    logits, _ = run.predict_rows(pools.unlabeled_idx)
    return float((logits.argmax(1) == y[pools.unlabeled_idx]).double().mean())


def test_one_label_a_class_labels_nearly_all_digits(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    accuracies = [right(trained(few(images, y, 1, seed)), few(images, y, 1, seed), y) for seed in range(3)]
    assert np.mean(accuracies) > 0.95


def test_images_outside_the_set_are_predicted_as_well(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    pools = few(images[:1200], y[:1200], 5)
    model = trained(pools).eval_model()
    logits = predict_logits(model, images, torch.arange(1200, len(images)), CPU)
    assert float((logits.argmax(1) == y[1200:]).double().mean()) > 0.9


def test_a_rejected_image_is_no_one_s_neighbour_and_still_predicted(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    whole = few(images[:600], y[:600], 3)
    rejected = whole.unlabeled_idx[::2]
    run = trained(replace(whole, unlabeled_idx=whole.unlabeled_idx[1::2]))
    others = images.clone()
    others[rejected] = 255 - others[rejected].flip(3)
    unmoved = trained(replace(whole, images=others[:600], unlabeled_idx=whole.unlabeled_idx[1::2]))
    rows = whole.unlabeled_idx[1::2]
    assert torch.equal(run.predict_rows(rows)[0], unmoved.predict_rows(rows)[0])
    logits, coordinates = run.predict_rows(torch.arange(600))
    assert logits.shape == (600, 10)
    assert coordinates.isfinite().all()
    assert float((logits[rejected].argmax(1) == y[rejected]).double().mean()) > 0.85


def test_each_round_moves_the_beliefs_and_the_loop_records_them(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    pools = few(images[:400], y[:400], 1)
    events = [event for event in train(build(pools), pools, tracked=np.arange(50)) if isinstance(event, EpochEvent)]
    assert len(events) == 9
    assert all(event.probabilities.shape == (390, 10) for event in events)
    assert all((a.probabilities != b.probabilities).any() for a, b in itertools.pairwise(events))
    assert all(event.features is not None and len(event.features) == 50 for event in events)
    assert all(np.isfinite(event.metrics["loss"]) for event in events)


def test_labels_of_held_out_images_change_nothing(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    pools = few(images[:300], y[:300], 3)
    held, rest = pools.unlabeled_idx[:50], pools.unlabeled_idx[50:]
    with_truth = replace(pools, heldout_idx=held, heldout_y=y[held], unlabeled_idx=rest)
    with_lies = replace(with_truth, heldout_y=(y[held] + 1) % 10)
    everything = torch.arange(300)
    assert torch.equal(trained(with_truth).predict_rows(everything)[0], trained(with_lies).predict_rows(everything)[0])


def test_a_class_without_a_label_is_predicted_for_no_image(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    pools = few(images[:500], y[:500], 2)
    some = pools.train_y != 4
    pools = replace(pools, train_idx=pools.train_idx[some], train_y=pools.train_y[some])
    logits, _ = trained(pools).predict_rows(pools.unlabeled_idx)
    probabilities = logits.softmax(1)
    assert (probabilities[:, 4] < 1e-6).all()
    assert set(logits.argmax(1).tolist()) == set(range(10)) - {4}


def test_confidence_is_that_of_the_cautious_regression(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    pools = few(images[:800], y[:800], 4)
    run = trained(pools)
    (located, prior), labeled = run._begun(), run._labeled
    logits, _ = run.predict_rows(pools.unlabeled_idx)
    places = np.setdiff1d(np.arange(800), labeled.rows)
    reference = prior.cautious.predict_proba(located.z[places])
    wanted = reference[np.arange(len(places)), logits.argmax(1).numpy()].mean()
    assert float(logits.softmax(1).max(1).values.mean()) == pytest.approx(float(wanted), abs=0.01)
    assert float(wanted) < right(run, pools, y)


def test_the_regression_s_say_grows_with_the_labels(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, y = digits
    for each, say in ((1, 0.05), (5, 0.25), (20, 1.0), (30, 1.0)):
        run = build(few(images[:600], y[:600], each))
        list(run.steps(0))
        assert run._begun()[1].say == pytest.approx(say)


def test_labels_drawn_at_random_teach_the_shares(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """One class makes most of the set: only the labels that are known to be random may say so."""
    images, y = digits
    many = torch.nonzero(y == 0).flatten()
    rest = torch.nonzero((y == 1) | (y == 8)).flatten()[:20]
    rows = torch.cat([many, rest])
    y3 = torch.bucketize(y[rows], torch.tensor([0, 1, 8]))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    labeled = torch.cat([order[:30], torch.nonzero(y3 == 1).flatten()[:1], torch.nonzero(y3 == 2).flatten()[:1]])
    labeled = labeled.unique()
    unlabeled = torch.tensor(sorted(set(range(len(rows))) - set(labeled.tolist())))
    pools = Pools(images[rows], labeled, y3[labeled], NONE, NONE, unlabeled, 3)
    informed = replace(pools, random_idx=order[:30])
    first = [(build(p), p) for p in (pools, informed)]
    for run, _ in first:
        list(run.steps(0))
    equal, drawn = (run._begun()[1].spreading.mean(0) for run, _ in first)
    np.testing.assert_allclose(equal, 1 / 3, atol=0.01)
    assert drawn[0] > 0.7


def test_the_network_learns_from_all_labels_and_is_what_new_images_get(
    digits: tuple[torch.Tensor, torch.Tensor],
) -> None:
    images, y = digits
    pools = few(images[:1000], y[:1000], 2)
    settings = TrainConfig(
        net="article_convnet", epochs=2, steps_per_epoch=60, batch_size=16, unlabeled_ratio=3, strong="light",
        dropout=0.0,
    )  # fmt: skip
    run = trained(pools, settings, network="on")
    assert run.epochs == 11
    assert run.eval_model() is run._student.learner.ema.model  # type: ignore[union-attr]
    alone = predict_logits(run.eval_model(), images, torch.arange(1000, len(images)), CPU)
    assert float((alone.argmax(1) == y[1000:]).double().mean()) > 0.7
    targets = run._targets()
    torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
    assert (targets.max(1).values > 0.5).all()


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 96, 96)])
def test_photos_as_pixels_are_refused_with_the_way_out(shape: tuple[int, ...]) -> None:
    images = torch.zeros(8, *shape, dtype=torch.uint8)
    pools = Pools(images, torch.arange(2), torch.arange(2), NONE, NONE, torch.arange(2, 8), 2)
    with pytest.raises(RoundBlocked, match=r"frozen:efficientnet_lite0"):
        build(pools)


def test_labels_of_one_class_are_refused(make_pools: MakePools) -> None:
    pools = make_pools()
    with pytest.raises(RoundBlocked, match="at least two classes"):
        build(replace(pools, train_y=torch.zeros_like(pools.train_y)))


def test_neighbours_say_more_where_gradients_are_among_the_features() -> None:
    images, vectors = torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.zeros(1, 5)
    assert default_votes(images, "auto") == 8
    assert [default_votes(vectors, net) for net in ("frozen:hog+efficientnet_lite0", "frozen:hog")] == [8, 8]
    assert [default_votes(vectors, net) for net in ("frozen:efficientnet_lite0", "linear")] == [4, 4]
