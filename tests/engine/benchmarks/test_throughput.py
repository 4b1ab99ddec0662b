from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.benchmarks.throughput import Traffic, copy_ceiling, matmul_ceiling

CPU = torch.device("cpu")


def test_traffic_counts_inputs_and_outputs_once_and_views_never() -> None:
    a, b = torch.ones(10, 20), torch.ones(20, 30)
    with Traffic() as traffic:
        a @ b
    assert traffic.bytes == 4 * (10 * 20 + 20 * 30 + 10 * 30)
    with Traffic() as traffic:
        a.view(200).reshape(20, 10).t()
    assert traffic.bytes == 0
    with Traffic() as traffic:
        torch.ones(1).expand(1000).sum()
    assert traffic.bytes == 4 + 4 + 4  # one value made; the same one read, its sum written


def test_traffic_counts_the_backward_pass() -> None:
    a = torch.ones(8, 8, requires_grad=True)
    with Traffic() as forward:
        loss = (a @ a).sum()
    with Traffic() as backward:
        loss.backward()
    assert backward.bytes > 2 * 3 * 8 * 8 * 4 > 0
    assert forward.bytes == 4 * (2 * 64 + 64) + 4 * 64 + 4


def test_ceilings_are_what_such_work_takes() -> None:
    assert copy_ceiling(CPU) > 1e8
    assert matmul_ceiling(CPU, torch.float32) > 1e8


def test_a_step_of_a_known_network_has_its_operations() -> None:
    weight = torch.ones(5, 7, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        (torch.ones(3, 5) @ weight).sum().backward()
    assert counter.get_total_flops() == pytest.approx(2 * 2 * 3 * 5 * 7)
