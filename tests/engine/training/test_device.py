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
