from __future__ import annotations

import pytest
import torch

from engine.errors import DeviceMissing
from engine.training import device


def test_auto_takes_the_cpu_where_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.resolve("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "tpu"])
def test_a_device_that_is_not_there_is_refused_with_what_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceMissing, match=f"{name}.*cpu"):
        device.resolve(name)


def test_a_device_is_resolved_with_the_index_its_tensors_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.resolve("auto") == device.resolve("cuda") == torch.device("cuda", 1)
    assert device.resolve("mps") == torch.device("mps", 0)
    assert device.resolve("cpu") == torch.device("cpu")


def test_cuda_is_named_without_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", None)
    assert device.resolve("cuda") == torch.device("cuda", 0)
    assert device.same(torch.device("cuda"), torch.device("cuda:0"))


def test_devices_are_the_same_with_or_without_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert device.same(torch.device("cuda"), torch.device("cuda:1"))
    assert not device.same(torch.device("cuda"), torch.device("cuda:0"))
    assert device.same(torch.device("cpu", 0), torch.device("cpu"))
    assert not device.same(torch.device("cpu"), torch.device("cuda:1"))


def test_the_cpu_is_chosen_without_a_look_at_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", None)
    assert device.resolve("cpu") == torch.device("cpu")


def test_threads_are_set_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.psutil, "cpu_count", lambda logical: 1)
    before = torch.get_num_threads()
    try:
        assert device.set_threads(2) == 2
        assert device.describe(torch.device("cpu")) == "CPU, 2 threads"
        assert device.set_threads(0) == 1
        assert device.describe(torch.device("cpu")) == "CPU, 1 thread"
    finally:
        torch.set_num_threads(before)
