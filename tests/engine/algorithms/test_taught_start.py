"""A network that begins with the labels that the set gives itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from engine.algorithms import ALGORITHMS, Algorithm
from engine.algorithms.pseudo_label import PseudoLabel, PseudoLabelConfig
from engine.algorithms.taught_start import TaughtStart, set_targets
from engine.training.config import TrainConfig
from engine.training.learner import Learner, TakesStart
from engine.training.pools import Pools
from tests.engine.algorithms.conftest import MakePools

CPU = torch.device("cpu")
TRAIN = TrainConfig(
    net="simple_cnn", start="frozen:hog", start_steps=30, epochs=1, steps_per_epoch=2, batch_size=4, strong="light",
    precision="float32", learning_rate=0.02,
)  # fmt: skip


def features(pools: Pools) -> torch.Tensor:
    """What a good network would say: the four quadrants' brightness."""
    quadrants = F.avg_pool2d(pools.images.float(), 4).flatten(1)
    return quadrants + torch.randn(quadrants.shape, generator=torch.Generator().manual_seed(0))


def truth(pools: Pools) -> torch.Tensor:
    return torch.arange(len(pools.images)) % 4


def test_the_set_labels_itself_without_the_held_out_labels(make_pools: MakePools) -> None:
    pools = make_pools()
    targets = set_targets(features(pools), pools, TRAIN)
    assert targets.shape == (len(pools.unlabeled_idx), 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
    assert torch.equal(targets.argmax(1), truth(pools)[pools.unlabeled_idx])
    others = replace(pools, heldout_y=pools.heldout_y.roll(1))
    assert torch.equal(set_targets(features(pools), others, TRAIN), targets)


def test_a_class_without_a_label_is_taught_to_none(make_pools: MakePools) -> None:
    pools = make_pools()
    three = pools.train_y < 3
    known = replace(pools, train_idx=pools.train_idx[three], train_y=pools.train_y[three])
    targets = set_targets(features(pools), known, TRAIN)
    assert (targets[:, 3] == 0).all()


def test_the_network_learns_what_the_set_says(make_pools: MakePools) -> None:
    pools = make_pools(labeled=4)
    start = TaughtStart(TRAIN, pools, CPU, features(pools))
    assert (start.epochs, start.steps_per_epoch) == (1, 30)
    losses = [float(metrics["loss"]) for metrics in start.steps(0)]
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    with torch.no_grad():
        predicted = start.eval_model()(pools.images[pools.unlabeled_idx]).argmax(1)
    assert (predicted == truth(pools)[pools.unlabeled_idx]).float().mean() > 0.9


@pytest.mark.parametrize("name", [name for name, spec in ALGORITHMS.items() if spec.takes_start])
def test_every_network_of_an_algorithm_begins_with_the_weights_given(name: str, make_pools: MakePools) -> None:
    pools, spec = make_pools(), ALGORITHMS[name]
    algorithm = spec.build(spec.config(), TRAIN, pools, CPU)
    weights = TaughtStart(replace(TRAIN, seed=5), pools, CPU, features(pools)).eval_model().state_dict()
    assert isinstance(algorithm, TakesStart)
    networks = learners(algorithm)
    assert len(networks) == (2 if name == "meta_pseudo_labels" else 1)
    for learner in networks:
        assert any(not torch.equal(weights[key], value) for key, value in learner.model.state_dict().items())
    algorithm.begin(weights, set_targets(features(pools), pools, TRAIN))
    for learner in networks:
        for model in (learner.model, learner.ema.model):
            assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    metrics = list(algorithm.steps(0))
    assert all(torch.isfinite(torch.as_tensor(step["loss"])) for step in metrics)
    after = networks[0].model.state_dict()
    assert any(not torch.equal(weights[key], value) for key, value in after.items()), "it learns on from there"


def learners(algorithm: Algorithm) -> list[Learner]:
    return [value for value in vars(algorithm).values() if isinstance(value, Learner)]


def test_pseudo_label_does_not_forget_what_the_set_says_before_its_own_labels_count(make_pools: MakePools) -> None:
    pools = make_pools(labeled=2, classes=4)  # labels of two of four classes: the labels alone would forget the others
    config = PseudoLabelConfig(t1=700.0, t2=790.0)
    train = replace(TRAIN, epochs=1, steps_per_epoch=60, dropout=0.0)
    targets = F.one_hot(truth(pools)[pools.unlabeled_idx], 4).float()
    right = {}
    for told in (True, False):
        algorithm = PseudoLabel(config, train, pools, CPU)
        if told:
            algorithm.begin(algorithm.eval_model().state_dict(), targets)
        for _ in algorithm.steps(0):
            pass
        with torch.no_grad():
            predicted = algorithm.eval_model()(pools.images[pools.unlabeled_idx]).argmax(1)
        right[told] = float((predicted == truth(pools)[pools.unlabeled_idx]).float().mean())
    assert right[True] > 0.95
    assert right[False] < 0.6
    stored = algorithm.state_dict()
    assert stored["given"] is None


def test_the_others_say_that_they_do_not(make_pools: MakePools) -> None:
    for name, spec in ALGORITHMS.items():
        if not spec.takes_start and not spec.labels_a_set:
            algorithm = spec.build(spec.config(), TRAIN, make_pools(), CPU)
            assert not isinstance(algorithm, TakesStart), name
