from __future__ import annotations

import torch
from sklearn.cluster import KMeans

from engine.benchmarks.two_moons import two_moons


def test_three_labels_a_moon_and_every_other_point_unlabeled() -> None:
    pools, _, _ = two_moons()
    assert pools.vectors
    assert torch.bincount(pools.train_y).tolist() == [3, 3]
    assert len(pools.unlabeled_idx) == 1994
    assert len(pools.heldout_idx) == 0


def test_the_test_points_are_of_another_draw_and_half_of_each_moon() -> None:
    pools, x, y = two_moons()
    assert x.shape == (2000, 2)
    assert torch.bincount(y).tolist() == [1000, 1000]
    assert not (x[:, None] == pools.images).all(2).any()


def test_a_seed_gives_the_same_points_and_labels_and_another_others() -> None:
    first, again, other = (two_moons(n=50, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.train_idx, again.train_idx)
    assert not torch.equal(first.images, other.images)
    assert not torch.equal(first.train_idx, other.train_idx)


def test_labels_are_of_the_moon_the_point_lies_on() -> None:
    pools, _, _ = two_moons(noise=0.0)
    upper = pools.images[pools.train_idx[pools.train_y == 0]]
    assert torch.allclose(upper.norm(dim=1), torch.ones(3))


def test_typical_labels_are_the_points_nearest_to_the_centres_of_kmeans() -> None:
    pools, x, _ = two_moons(typical=True)
    random, other_x, _ = two_moons()
    assert torch.equal(x, other_x)
    assert torch.equal(pools.images, random.images)
    centres = KMeans(6, n_init=10, random_state=0).fit(pools.images.double().numpy()).cluster_centers_
    nearest = [int(((pools.images - torch.from_numpy(centre)) ** 2).sum(1).argmin()) for centre in centres]
    assert sorted(pools.train_idx.tolist()) == sorted(nearest)
    assert len(set(nearest) & set(pools.unlabeled_idx.tolist())) == 0
    upper = pools.images[pools.train_idx, 1] > 0.25
    assert (pools.train_y[upper] == 0).all()
    assert (pools.train_y[~upper] == 1).all()
