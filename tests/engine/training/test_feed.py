from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.errors import RoundBlocked
from engine.training.config import TrainConfig
from engine.training.feed import Feed
from engine.training.pools import Pools

CPU = torch.device("cpu")


def numbered(labeled: int = 5, unlabeled: int = 9) -> Pools:
    """Image i is i everywhere and of class i % 2, so that every batch names its rows."""
    n = labeled + unlabeled
    rows = torch.arange(n)
    images = rows.to(torch.uint8).view(n, 1, 1, 1).expand(n, 1, 4, 4).contiguous()
    return Pools(images, rows[:labeled], rows[:labeled] % 2, rows[:0], rows[:0], rows[labeled:], 2)


def drawn(feed: Feed, steps: int) -> list[tuple[list[int], list[int], list[int]]]:
    return [(step.x[:, 0, 0, 0].tolist(), step.y.tolist(), step.u[:, 0, 0, 0].tolist()) for step in feed.epoch(steps)]


def test_a_step_holds_labeled_images_with_their_labels_and_unlabeled_ones_with_their_places() -> None:
    feed = Feed(TrainConfig(batch_size=2, unlabeled_ratio=2), numbered(), CPU)
    for step in feed.epoch(6):
        assert (step.x.shape, step.u.shape) == ((2, 1, 4, 4), (4, 1, 4, 4))
        assert torch.equal(step.x[:, 0, 0, 0] % 2, step.y)
        assert torch.equal(step.u[:, 0, 0, 0], step.places + 5)


def test_without_unlabeled_images_the_unlabeled_batch_is_empty() -> None:
    step = next(Feed(TrainConfig(batch_size=2), numbered(), CPU, unlabeled=False).epoch(1))
    assert (len(step.u), len(step.places)) == (0, 0)


def test_fetching_ahead_gives_the_same_batches_and_leaves_the_same_state(monkeypatch: pytest.MonkeyPatch) -> None:
    train = TrainConfig(batch_size=2, unlabeled_ratio=2)
    plain, ahead = Feed(train, numbered(), CPU), Feed(train, numbered(), CPU)
    monkeypatch.setattr(ahead, "_far", lambda: True)
    assert drawn(plain, 5) == drawn(ahead, 5)
    assert drawn(plain, 3) == drawn(ahead, 3)
    left, right = plain.state_dict(), ahead.state_dict()
    assert left["labeled"]["position"] == right["labeled"]["position"]
    assert torch.equal(left["unlabeled"]["order"], right["unlabeled"]["order"])


def test_a_restored_feed_goes_on_with_the_same_batches_and_views() -> None:
    train = TrainConfig(batch_size=3, unlabeled_ratio=2, strong="light")
    one, other = Feed(train, numbered(), CPU), Feed(train, numbered(), CPU)
    drawn(one, 3)
    other.load_state_dict(one.state_dict())
    assert drawn(one, 4) == drawn(other, 4)
    x = numbered().images
    assert torch.equal(one.strong(x), other.strong(x))
    assert torch.equal(one.uniform(5), other.uniform(5))


@pytest.mark.parametrize(("labeled", "unlabeled", "said"), [(0, 4, "no labeled image"), (4, 0, "no unlabeled image")])
def test_an_empty_pool_blocks_the_round(labeled: int, unlabeled: int, said: str) -> None:
    with pytest.raises(RoundBlocked, match=said):
        Feed(TrainConfig(), numbered(labeled, unlabeled), CPU)


def vectors(train: TrainConfig) -> Feed:
    rows = torch.arange(400)
    values = torch.stack([torch.linspace(-1, 1, 400), torch.linspace(100, 300, 400), torch.full((400,), 5.0)], 1)
    return Feed(train, Pools(values, rows[:40], rows[:40] % 2, rows[:0], rows[:0], rows[40:], 2), CPU)


def test_the_weak_view_of_vectors_adds_noise_in_units_of_each_dimensions_deviation() -> None:
    feed = vectors(TrainConfig(noise=0.5))
    x = feed.images
    added = feed.weak(x) - x
    deviation = x.std(0, correction=0)
    assert added[:, :2].std(0).tolist() == pytest.approx((0.5 * deviation[:2]).tolist(), rel=0.1)
    assert torch.equal(vectors(TrainConfig(noise=0.0)).weak(x), x)


def test_the_strong_view_of_vectors_also_leaves_a_quarter_of_the_values_at_their_mean() -> None:
    feed = vectors(TrainConfig(noise=0.1))
    out = feed.strong(feed.images)
    at_mean = (out[:, 1] == 200.0).float().mean()
    assert 0.18 < float(at_mean) < 0.32


@pytest.mark.parametrize("strong", ["light", "rand_augment"])
def test_the_strong_view_of_images_is_drawn_anew_each_time(strong: Any) -> None:
    feed = Feed(TrainConfig(strong=strong), numbered(), CPU)
    x = torch.randint(0, 255, (8, 1, 16, 16), dtype=torch.uint8)
    one, two = feed.strong(x), feed.strong(x)
    assert one.shape == x.shape
    assert one.dtype == torch.float32
    assert not torch.equal(one, two)
