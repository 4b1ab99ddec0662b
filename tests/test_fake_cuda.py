"""Every algorithm on a CUDA device, as far as a machine without one can tell: see `tests.fake_cuda`.

Gradients are made up there: what autograd does on a GPU, and the optimisers' fused steps, are not seen.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.benchmarks import gpu_check, throughput
from engine.benchmarks.smoke import CASES, NETS, no_waits, pools, smoke, train_config
from engine.training import checkpoint, device
from engine.training.feed import Feed, place_images
from tests.fake_cuda import GPU, MEMORY, HostWaits, fake_cuda

pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # torch's deepcopy does
ON_CPU = ("classical_self_training", "transductive", "regression")
"""Algorithms that compute on the CPU whatever the device, but for a network that they train at the end."""
TOO_SMALL = 1000


@pytest.mark.parametrize("memory", [MEMORY, TOO_SMALL], ids=["on the device", "too large for it"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("key", "config"), CASES)
def test_every_algorithm_trains_predicts_saves_and_loads_on_cuda(
    key: str, config: dict[str, Any], net: str, memory: int, tmp_path: Path
) -> None:
    on_cpu = key in ON_CPU and config.get("network") != "on"
    with fake_cuda(memory):
        run = smoke(key, config, net, device.resolve("cuda"), tmp_path)
        assert next(run.eval_model().parameters()).device == (torch.device("cpu") if on_cpu else GPU)


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("supervised", {}),
        ("fixmatch", {}),
        ("pseudo_label", {}),
        ("meta_pseudo_labels", {"mode": "exact", "student_wait": 0.0}),
        ("vat", {}),
        ("transductive", {"rounds": 1, "network": "on"}),
    ],
)
def test_the_last_blocks_of_a_pretrained_network_train_on_cuda(
    key: str, config: dict[str, Any], tmp_path: Path
) -> None:
    with fake_cuda():
        run = smoke(key, config, "tuned:efficientnet_lite0", device.resolve("cuda"), tmp_path)
        assert next(run.eval_model().parameters()).device == GPU


@pytest.mark.parametrize("key", ["supervised", "fixmatch", "uda", "meta_pseudo_labels", "pi_model"])
def test_compiled_code_is_given_operands_of_one_device(key: str) -> None:
    data, spec = pools("simple_cnn"), ALGORITHMS[key]
    with fake_cuda():
        compiled = dataclasses.replace(train_config("simple_cnn"), compile="on")
        steps = spec.build(spec.config(), compiled, data, GPU).steps(0)
        next(steps)
        with no_waits(GPU):
            assert next(steps)["loss"].device == GPU  # type: ignore[union-attr]


def test_every_algorithm_is_tried() -> None:
    assert {key for key, _ in CASES} == set(ALGORITHMS)


def test_images_that_fit_lie_on_the_device_once_and_others_are_pinned_batch_by_batch() -> None:
    data, config = pools("simple_cnn"), train_config("simple_cnn")
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


def test_views_are_made_on_a_stream_of_their_own_that_waits_for_the_training_only_where_it_must() -> None:
    made = [("main", "side"), ("free", "main")]
    with fake_cuda() as gpu:
        feed = Feed(train_config("simple_cnn"), pools("simple_cnn"), GPU)
        assert gpu.waits == [("side", "main")]  # for the images
        gpu.waits.clear()
        step = next(feed.epoch(1))
        feed.weak(step.x), feed.strong(step.u)
        assert gpu.waits == made * 4
        gpu.waits.clear()
        feed.weak(step.u[:2])
        assert gpu.waits == [("side", "main"), *made]
        gpu.waits.clear()
        plain = dataclasses.replace(train_config("simple_cnn"), compile="off")
        Feed(plain, pools("simple_cnn"), GPU).weak(step.u)
        assert gpu.waits == []


def test_gpu_check_times_plain_and_compiled_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "TRAIN", {**throughput.TRAIN, "net": "simple_cnn", "batch_size": 4})
    told: list[dict[str, Any]] = []
    with fake_cuda():
        gpu_check.PARTS["fixmatch"](gpu_check.Ask(GPU, Path(), time.time() + 4, told.append))
    assert list(told[-1]) == ["target", "compile off", "compile on"]
    for way in ("compile off", "compile on"):
        assert told[-1][way]["steps/s"] > 0
        assert told[-1][way]["TFLOP/s"] > 0
        assert told[-1][way]["peak MiB"] == 1.0


def test_the_fake_device_is_as_strict_as_a_real_one() -> None:
    with fake_cuda():
        there, here = torch.ones(3).to("cuda"), torch.ones(3)
        with pytest.raises(RuntimeError, match="cannot pin"):
            there.pin_memory()
        with pytest.raises(RuntimeError, match="device"):
            there + here
        for made, wanted in ((torch.Generator(), "cuda"), (torch.Generator("cuda"), "cpu")):
            with pytest.raises(RuntimeError, match=f"Expected a {wanted} device type for generator"):
                torch.rand(3, generator=made, device=wanted)
        assert there.cpu().tolist() == [0.0] * 3  # computes nothing
        for read in (lambda: float(there.sum()), there.cpu, lambda: there[torch.tensor([1])]):
            with no_waits(GPU), pytest.raises(HostWaits):
                read()
        with no_waits(GPU), pytest.raises(RuntimeError):
            there.nonzero()


def test_a_run_of_the_cpu_and_one_of_cuda_read_each_others_checkpoints(tmp_path: Path) -> None:
    data, config = pools("frozen:mobilenet_v2"), train_config("frozen:mobilenet_v2")
    spec = ALGORITHMS["vat"]
    on_cpu = spec.build(spec.config(), dataclasses.replace(config, device="cpu"), data, torch.device("cpu"))
    digest = checkpoint.save(tmp_path / "a.pt", on_cpu, 0, {})
    with fake_cuda():
        on_cuda = spec.build(spec.config(), config, data, device.resolve("cuda"))
        assert checkpoint.load(tmp_path / "a.pt", digest, on_cuda)[0] == 0
        digest = checkpoint.save(tmp_path / "b.pt", on_cuda, 1, {})
    assert checkpoint.load(tmp_path / "b.pt", digest, on_cpu)[0] == 1
    assert next(iter(on_cpu.steps(1)))["loss"] is not None
