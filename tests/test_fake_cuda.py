"""Every algorithm on a CUDA device, as far as a machine without one can tell: see `tests.fake_cuda`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.training import checkpoint, device, uncertainty
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_all
from engine.training.feed import Feed, place_images
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools
from tests.fake_cuda import GPU, MEMORY, FakeCuda, HostWaits, fake_cuda

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # torch's deepcopy does
ON_CPU = ("classical_self_training",)
"""Algorithms that compute on the CPU whatever the device."""
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((key, {}) for key in ALGORITHMS),
    ("pseudo_label", {"t1": 0.0, "t2": 0.0, "refresh": "epoch", "hard": False}),
    ("pseudo_label", {"schedule": "interleaved", "labeled_epoch_every": 2, "unlabeled_batches": 4}),
    ("fixmatch", {"align": "prior", "hard": False}),
    ("fixmatch", {"rule": "flexmatch"}),
    ("fixmatch", {"rule": "freematch", "align": "uniform"}),
    ("fixmatch", {"rule": "softmatch", "align": "uniform"}),
    ("meta_pseudo_labels", {"mode": "exact", "student_wait": 0.0}),
    ("meta_pseudo_labels", {"target": "argmax", "ablate": True}),
    ("threshold_self_training", {"threshold": 0.0, "filter": True}),
]
SHORT = {"finetune_steps": 2}
"""Where an algorithm has such a setting."""
NETS = ("simple_cnn", "frozen:mobilenet_v2")
TOO_SMALL = 1000


def pools(net: str) -> Pools:
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(44)
    images = torch.randint(0, 255, (44, 3, 8, 8), generator=generator, dtype=torch.uint8)
    values = torch.randn(44, 16, generator=generator) if net.startswith("frozen:") else images
    return Pools(values, rows[:12], rows[:12] % 4, rows[12:20], rows[12:20] % 4, rows[20:], 4)


def settings(net: str) -> TrainConfig:
    return TrainConfig(
        device="cuda", epochs=2, steps_per_epoch=2, batch_size=4, unlabeled_ratio=2, net=net, dropout=0.3
    )  # fmt: skip


def epoch_without_reads(gpu: FakeCuda, algorithm: Any, epoch: int) -> None:
    """Train one epoch, whose first step alone may read from the device: an epoch may begin with new labels."""
    steps = algorithm.steps(epoch)
    assert next(steps)["loss"].device == GPU
    with gpu.no_reads():
        assert [metrics["loss"].device for metrics in steps] == [GPU] * (algorithm.steps_in(epoch) - 1)


@pytest.mark.parametrize("memory", [MEMORY, TOO_SMALL], ids=["on the device", "too large for it"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("key", "config"), SETTINGS)
def test_every_algorithm_trains_predicts_saves_and_loads_on_cuda(
    key: str, config: dict[str, Any], net: str, memory: int, tmp_path: Path
) -> None:
    data, spec = pools(net), ALGORITHMS[key]
    with fake_cuda(memory) as gpu:
        where = device.resolve("cuda")

        def build() -> Any:
            known = {field.name for field in dataclasses.fields(spec.config)}
            short = {name: value for name, value in SHORT.items() if name in known}
            return spec.build(spec.config(**short | config), settings(net), data, where)

        algorithm = build()
        if key not in ON_CPU:
            epoch_without_reads(gpu, algorithm, 0)
            epoch_without_reads(gpu, algorithm, 1)
        seen = train(algorithm, data, start_epoch=1, tracked=np.arange(30), precision="auto")
        events = [event for event in seen if isinstance(event, EpochEvent)]
        assert len(events) == algorithm.epochs - 1
        assert events[-1].probabilities.shape == (24, 4)
        assert events[-1].features is not None
        weights = next(algorithm.eval_model().parameters())
        assert weights.device == (torch.device("cpu") if key in ON_CPU else GPU)
        path = tmp_path / "epoch-001.pt"
        digest = checkpoint.save(path, algorithm, 1, {})
        resumed = build()
        assert checkpoint.load(path, digest, resumed)[0] == 1
        assert next(iter(resumed.steps(1)))["loss"] is not None
        assert next(resumed.eval_model().parameters()).device == weights.device
        logits, _ = predict_all(algorithm.eval_model(), data.images, most_bytes=10**6)
        assert logits.shape == (44, 4)
        if key not in ON_CPU:
            assert uncertainty.mc_dropout(algorithm.eval_model(), data.images, torch.arange(5), passes=2) is not None


def test_images_that_fit_lie_on_the_device_once_and_others_are_pinned_batch_by_batch() -> None:
    data, config = pools("simple_cnn"), settings("simple_cnn")
    with fake_cuda() as gpu:
        feed = Feed(config, data, torch.device("cuda"))
        assert feed.images.device == GPU
        assert place_images(data.images, torch.device("cuda")) is feed.images
        fetched = feed.fetch(torch.arange(3))
        assert (fetched.device, fetched.shape) == (GPU, (3, 3, 8, 8))
    with fake_cuda(TOO_SMALL) as gpu:
        feed = Feed(config, pools("simple_cnn"), torch.device("cuda"))
        assert feed.images.device.type == "cpu"
        before = gpu.pinned
        assert feed.fetch(torch.arange(3)).device == GPU
        assert gpu.pinned == before + 1


def test_the_fake_device_is_as_strict_as_a_real_one() -> None:
    with fake_cuda() as gpu:
        there, here = torch.ones(3).to("cuda"), torch.ones(3)
        with pytest.raises(RuntimeError, match="cannot pin"):
            there.pin_memory()
        with pytest.raises(RuntimeError, match="device"):
            there + here
        assert there.cpu().tolist() == [0.0] * 3  # computes nothing
        for read in (lambda: float(there.sum()), there.cpu, lambda: there[torch.tensor([1])]):
            with gpu.no_reads(), pytest.raises(HostWaits):
                read()
        with gpu.no_reads(), pytest.raises(RuntimeError):
            there.nonzero()


def test_a_run_of_the_cpu_and_one_of_cuda_read_each_others_checkpoints(tmp_path: Path) -> None:
    data, config = pools("frozen:mobilenet_v2"), settings("frozen:mobilenet_v2")
    spec = ALGORITHMS["vat"]
    on_cpu = spec.build(spec.config(), dataclasses.replace(config, device="cpu"), data, torch.device("cpu"))
    digest = checkpoint.save(tmp_path / "a.pt", on_cpu, 0, {})
    with fake_cuda():
        on_cuda = spec.build(spec.config(), config, data, device.resolve("cuda"))
        assert checkpoint.load(tmp_path / "a.pt", digest, on_cuda)[0] == 0
        digest = checkpoint.save(tmp_path / "b.pt", on_cuda, 1, {})
    assert checkpoint.load(tmp_path / "b.pt", digest, on_cpu)[0] == 1
    assert next(iter(on_cpu.steps(1)))["loss"] is not None
