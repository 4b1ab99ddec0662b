"""Speed of training steps, beside what the machine can do at most: WRN-28-2 on random images of CIFAR-10's shape.

No data set is needed.

- Steps a second: timed over many steps after a warm-up, waiting for the device only at both ends.
- TFLOP/s: floating-point operations of one step, counted by torch.utils.flop_counter (matrix products and
  convolutions, forward and backward), times steps a second.
- GB/s, an estimate: every operation of one step is taken to read each of its inputs once from memory and write each of
  its outputs once; views move nothing. Caches make the true traffic smaller, retried reads larger, and code fused by
  torch.compile is counted as if it were not.
- Ceilings: a large copy on the device (read and written bytes), and a large square matrix product in the number format
  that the run computes in.
"""

from __future__ import annotations

import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from engine.benchmarks.data import Problem
from engine.benchmarks.run import SKIPPED, Outcome, build, synchronize, train_config
from engine.benchmarks.spec import Benchmark, Context, Row
from engine.errors import ConfigError
from engine.nets import precision
from engine.training.protocol import Metrics

REPEATS = 5
TRAIN: dict[str, Any] = {"net": "wrn_28_2", "batch_size": 128, "augment": "shift_flip"}
DATA: dict[str, Any] = {"set": "random", "labels": 4000}


ALLOCATIONS = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "as_strided_", "resize_")
"""Operations that are no views and compute nothing."""


def launches(work: Callable[[], object]) -> int:
    """Return how many operations a call on the CPU takes, by torch.profiler: about a launch each.

    The outermost of nested ones counts, none that is a view or allocates, and of compiled code each fused kernel where
    `torch._inductor.config.cpp.enable_kernel_profile` is on.
    """
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    return sum(_launches(event) for event in seen.events() if event.cpu_parent is None)


def _launches(event: Any) -> int:
    """Return how many launches an event of the profiler stands for, with those inside it."""
    if "cpp_fused" in event.name:
        return 1
    own, mixed = _computes(event.name)
    if own and not (mixed and any(inner.name == event.name for inner in event.cpu_children)):
        return int(event.name.removeprefix("aten::") not in ALLOCATIONS)
    return sum(_launches(inner) for inner in event.cpu_children)


@functools.cache
def _computes(name: str) -> tuple[bool, bool]:
    """Return whether an event of this name is an operation that is no view and not made of others ("composite"), and
    whether that depends on its overload. A composite one is seen again in what it is made of."""
    space, _, operation = name.partition("::")
    packet = getattr(torch.ops.aten, operation, None) if space == "aten" else None
    overloads = [getattr(packet, one) for one in packet.overloads()] if packet is not None else []
    overloads = [one for one in overloads if "out" not in one._overloadname.split("_")]
    if any(one.is_view for one in overloads):
        return False, False
    known = set(torch._C._dispatch_get_all_op_names())
    names = {one.name().removesuffix(".default") for one in overloads} & known
    composite = [torch._C._dispatch_has_kernel_for_dispatch_key(one, "CompositeImplicitAutograd") for one in names]
    return not all(composite), any(composite) and not all(composite)


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts in `count` operations on a kind of device, none that is a view or allocates: as `launches`, but of what is
    done on the host only the copies to and from the device.

    Args:
        kind: of the device, as in `torch.device.type`; copies to it and from it count.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self._kind = 0, kind

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it."""
        out = func(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs or {}, out)) if isinstance(one, Tensor)]
        computes = not func.is_view and func._schema.name.removeprefix("aten::") not in ALLOCATIONS
        self.count += computes and any(one.device.type == self._kind for one in tensors)
        return out


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums in `bytes` what the operations inside it read and write, by the rule in the file's head."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and add its inputs and outputs."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.bytes += sum(_size(one) for one in tree_leaves((args, kwargs or {}, out)) if isinstance(one, Tensor))
        return out


def throughput_run(row: Row, seed: int, problem: Problem, device: torch.device, minutes: float | None) -> Outcome:
    """Return the steps a second of the row; `more` has images/s, TFLOP/s and GB/s with their shares of the ceilings.

    A third of the minutes goes to the timed steps; 10 seconds where there is no limit.

    Raises:
        ConfigError: a setting is out of range, or the run is too short to time.
    """
    began = time.perf_counter()
    train = dataclasses.replace(train_config(row, seed, device), epochs=2, steps_per_epoch=100_000)
    algorithm = build(row, train, problem.pools, device)
    steps = algorithm.steps(1)  # the second epoch: past every waiting time and warm-up
    for _ in range(SKIPPED.get(device.type, 2)):
        next(steps)
    done, seconds = _timed(steps, device, 10.0 if minutes is None else minutes * 20)
    flops, moved = _probe(build(row, dataclasses.replace(train, compile="off"), problem.pools, device).steps(1))
    rate = done / seconds
    dtype = precision.resolve(train.precision, device)
    ceiling_bytes, ceiling_flops = copy_ceiling(device), matmul_ceiling(device, dtype)
    more = {
        "images/s": rate * train.batch_size * (1 + train.unlabeled_ratio),
        "TFLOP/s": rate * flops / 1e12,
        "% of product": 100 * rate * flops / ceiling_flops,
        "GB/s": rate * moved / 1e9,
        "% of copy": 100 * rate * moved / ceiling_bytes,
        "product TFLOP/s": ceiling_flops / 1e12,
        "copy GB/s": ceiling_bytes / 1e9,
    }
    return Outcome(rate, time.perf_counter() - began, done, more, dataclasses.asdict(train))


def _timed(steps: Iterator[Metrics], device: torch.device, seconds: float) -> tuple[int, float]:
    """Return (steps, seconds) of a block of steps without a wait in it; its length is estimated from a short one."""
    synchronize(device)
    began = time.perf_counter()
    next(steps)
    next(steps)
    synchronize(device)
    wanted = max(2, int(seconds / max((time.perf_counter() - began) / 2, 1e-4)))
    wanted = min(wanted, 50_000)
    on_gpu = device.type == "cuda"
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if on_gpu else []  # type: ignore[no-untyped-call]
    began = time.perf_counter()
    for mark in marks[:1]:
        mark.record()
    for _ in range(wanted):
        if next(steps, None) is None:
            raise ConfigError("The run ended before it was timed", value=f"{wanted} steps")
    for mark in marks[1:]:
        mark.record()
    synchronize(device)
    if marks:
        return wanted, float(marks[0].elapsed_time(marks[1])) / 1000
    return wanted, time.perf_counter() - began


def _probe(steps: Iterator[Metrics]) -> tuple[int, int]:
    """Return (operations, bytes) of one step each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with FlopCounterMode(display=False) as counter:
            next(steps)
        with Traffic() as traffic:
            next(steps)
    return counter.get_total_flops(), traffic.bytes


def copy_ceiling(device: torch.device) -> float:
    """Return the bytes a second, read and written, of copying a large tensor on the device."""
    size = 2**30 if device.type == "cuda" else 2**27
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _best(lambda: target.copy_(source), device)


def matmul_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations a second of a large square matrix product in this format."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.ones(n, n, dtype=dtype, device=device) for _ in range(2))
    return 2 * n**3 / _best(lambda: a @ b, device)


def _best(work: Callable[[], Any], device: torch.device) -> float:
    """Return the least seconds of several repeats after one that does not count; never 0."""
    seconds = []
    for _ in range(REPEATS + 1):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - began)
    return max(min(seconds[1:]), 1e-9)


def _size(tensor: Tensor) -> int:
    """Return the bytes a tensor stands on: an expanded one no more than its storage has."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _rows(algorithm: str, ratio: int, target: float, context: Context) -> tuple[Row, ...]:
    cuda = context.device.type == "cuda"
    data = {**DATA, "images": 50_000 if cuda else 5_000}
    train = {**TRAIN, "unlabeled_ratio": ratio}
    plain = Row(algorithm, algorithm, data, {}, {**train, "compile": "off"}, target=target)
    compiled = Row(f"{algorithm}, compiled", algorithm, data, {}, {**train, "compile": "on"}, target=target)
    return (plain, compiled) if cuda else (plain,)


def _benchmark(title: str, algorithm: str, ratio: int, target: float) -> Benchmark:
    return Benchmark(
        f"Steps a second of {title}, WRN-28-2, 128 labeled and {128 * ratio} unlabeled images, and the machine's share",
        functools.partial(_rows, algorithm, ratio, target),
        measure="throughput",
        seeds=1,
        minutes=0.5,
        note="GB/s and TFLOP/s beside what a large copy and a large matrix product reach on the same device. The "
        "targets are for one H200.",
    )


MPL_THROUGHPUT = _benchmark("Meta Pseudo Labels", "meta_pseudo_labels", 7, 45.0)
FIXMATCH_THROUGHPUT = _benchmark("FixMatch", "fixmatch", 4, 120.0)
