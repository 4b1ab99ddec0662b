from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.training import checkpoint
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")
TEACHERS = ("meta_pseudo_labels", "reduced_mpl")
"""Algorithms with a teacher beside the evaluated model."""
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("supervised", {}),
    ("pseudo_label", {"t1": 50.0, "t2": 400.0}),
    ("pseudo_label", {"t1": 50.0, "t2": 400.0, "refresh": "k_epochs", "refresh_every": 3, "hard": False}),
    ("pseudo_label", {"schedule": "interleaved", "labeled_epoch_every": 2, "unlabeled_batches": 4}),
    ("fixmatch", {"align": "prior", "threshold": 0.3}),
    ("fixmatch", {"rule": "flexmatch", "threshold": 0.3, "hard": False, "temperature": 0.5}),
    ("fixmatch", {"rule": "freematch", "align": "uniform", "warm_up": 0.5}),
    ("fixmatch", {"rule": "softmatch"}),
    ("fixmatch", {"rule": "adamatch"}),
    ("uda", {"threshold": 0.3}),
    ("meta_pseudo_labels", {"finetune_share": 0.3}),
    ("meta_pseudo_labels", {"finetune_share": 0.3, "mode": "exact"}),
    ("reduced_mpl", {"finetune_share": 0.3, "teacher_share": 0.8}),
    ("reduced_mpl", {"finetune_share": 0.3, "teacher_share": 0.4}),
    ("threshold_self_training", {"threshold": 0.3, "filter": True}),
    ("vat", {}),
    ("pi_model", {}),
    ("transductive", {"rounds": 4}),
    ("transductive", {"rounds": 1, "network": "on"}),
    ("classical_self_training", {"sample_rate": 0.25}),
    ("classical_self_training", {"sample_rate": 0.25, "classifier": "random_forest", "ramp": True}),
]


def flat(state: Any, path: str = "") -> dict[str, Any]:
    """Return every leaf of a nested state by its path."""
    if isinstance(state, dict):
        return {k: v for key, value in state.items() for k, v in flat(value, f"{path}/{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for i, value in enumerate(state) for k, v in flat(value, f"{path}/{i}").items()}
    return {path: state}


@pytest.mark.parametrize(("key", "config"), RUNS)
@pytest.mark.parametrize("net", ["article_convnet", "wrn_28_2"])
def test_a_resumed_run_ends_bit_identical_to_the_uninterrupted_one(
    key: str, config: dict[str, Any], net: str, make_pools: Callable[..., Pools], tmp_path: Path
) -> None:
    pools, spec = make_pools(), ALGORITHMS[key]
    settings = TrainConfig(
        epochs=4 if net == "article_convnet" else 3, steps_per_epoch=3, batch_size=4, unlabeled_ratio=2, net=net,
        dropout=0.3,
    )  # fmt: skip

    def build() -> Any:
        return spec.build(spec.config(**config), settings, pools, CPU)

    whole = build()
    path, digest, uninterrupted = tmp_path / "epoch-001.pt", "", []
    tracked = np.arange(len(pools.images))
    for event in train(whole, pools, tracked=tracked):
        if isinstance(event, EpochEvent):
            uninterrupted.append(event)
            if event.epoch == 1:
                digest = checkpoint.save(path, whole, 1, {"note": "half way"})

    torch.rand(100)
    resumed = build()
    epoch, extra = checkpoint.load(path, digest, resumed)
    assert (epoch, extra) == (1, {"note": "half way"})
    events = train(resumed, pools, start_epoch=epoch + 1, tracked=tracked)
    again = [event for event in events if isinstance(event, EpochEvent)]
    assert len(again) == len(uninterrupted) - 2 >= 1
    for a, b in zip(again, uninterrupted[2:], strict=True):
        assert (a.probabilities == b.probabilities).all()
        assert (a.student == b.student).all()
        assert (a.teacher is not None) == (b.teacher is not None) == (key in TEACHERS)
        assert a.teacher is None or (a.teacher == b.teacher).all()
        assert {k: v for k, v in a.metrics.items() if k != "seconds"} == {
            k: v for k, v in b.metrics.items() if k != "seconds"
        }
    left, right = flat(whole.state_dict()), flat(resumed.state_dict())
    assert left.keys() == right.keys()
    for name, value in left.items():
        same = torch.equal(value, right[name]) if isinstance(value, torch.Tensor) else value == right[name]
        assert same, name


@pytest.mark.parametrize("key", list(ALGORITHMS))
def test_the_same_seed_gives_the_same_run_and_another_seed_another(key: str, make_pools: Callable[..., Pools]) -> None:
    pools, spec = make_pools(), ALGORITHMS[key]

    def final(seed: int) -> Any:
        torch.rand(seed + 3)
        settings = TrainConfig(epochs=1, steps_per_epoch=3, batch_size=4, unlabeled_ratio=2, seed=seed)
        *_, last = train(spec.build(spec.config(), settings, pools, CPU), pools)
        assert isinstance(last, EpochEvent)
        return last.probabilities

    assert (final(1) == final(1)).all()
    assert not (final(1) == final(2)).all()


@pytest.mark.parametrize("key", TEACHERS)
def test_what_the_teacher_says_is_asked_without_a_trace_in_the_run(
    key: str, make_pools: Callable[..., Pools], tmp_path: Path
) -> None:
    pools, spec = make_pools(), ALGORITHMS[key]
    settings = TrainConfig(
        epochs=3, steps_per_epoch=3, batch_size=4, unlabeled_ratio=2, net="wrn_28_2", dropout=0.3
    )  # fmt: skip

    def final(tracked: Any) -> tuple[list[EpochEvent], dict[str, Any], torch.Tensor]:
        run = spec.build(spec.config(finetune_share=0.2), settings, pools, CPU)
        events = [event for event in train(run, pools, tracked=tracked) if isinstance(event, EpochEvent)]
        return events, flat(run.state_dict()), torch.get_rng_state()

    events, asked, stream = final(np.arange(40))
    assert [event.teacher is not None for event in events] == [True] * 4
    unasked = final(None)
    assert [event.teacher for event in unasked[0]] == [None] * 4
    assert torch.equal(stream, unasked[2])
    for name, value in unasked[1].items():
        assert torch.equal(value, asked[name]) if isinstance(value, torch.Tensor) else value == asked[name], name
