"""A CUDA device that computes nothing, so that a machine without one runs what a CUDA run would run.

Host and device are kept apart as they are on a real machine: CPU tensors are real and compute, tensors on "cuda" are
torch's fake ones, which know shape, type and device alone. Operands of different devices raise (torch's FakeTensorMode
checks that), as do a generator of the other device and pinning a tensor that lies on the device.

Patched, since torch asks the driver there, which does not exist:
- queries of the device (`torch.cuda.*`) and its generator, which stands on a CPU one;
- `pin_memory`, which allocates by the driver: the tensor itself, and torch's own error for a device tensor;
- events, and streams, which note which stream waited for which: nothing runs, so nothing waits;
- `torch.compile`, which makes code for a device it can ask: the network stays as it is;
- `backward` and `autograd.grad`, whose engine asks the driver for streams: every leaf of the graph gets a gradient
  like itself. The formulas of the backward pass are torch's; this code has none of its own;
- threads of a pool, as torch's modes hold in one thread alone: their work is done at once;
- `save` and `load`, which write and read nothing while a fake mode is on: a device tensor is written as zeros.

A copy to the host gives real zeros. In torch's sync debug mode "error" every such copy, every read of a number and
every index from the host raises, as there: the host would wait for the device.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
Generator = torch.Generator
MEMORY = 80 * 2**30


class HostWaits(AssertionError):
    """A step made the host wait for the device."""


class FakeCuda(TorchDispatchMode):
    """Sends operations on CPU tensors to torch as they are, and those on the device to its FakeTensorMode."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.pinned = 0
        self.waits: list[tuple[str, str]] = []
        self.generators: list[torch.Generator] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        there = any(map(_there, leaves))
        for leaf in leaves:
            if isinstance(leaf, Generator) and there != any(leaf._cdata == mine._cdata for mine in self.generators):
                raise RuntimeError(f"Expected a {'cuda' if there else 'cpu'} device type for generator")
        if not there:
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if torch.is_inference_mode_enabled() and func.namespace == "aten":  # composite operations come here whole
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if func is torch.ops.aten._to_copy.default and _real(args[0]):
            return torch.empty_strided(
                args[0].size(), args[0].stride(), dtype=kwargs.get("dtype", args[0].dtype), device=kwargs["device"]
            )
        if func.name().startswith("aten::_fused_"):  # an optimizer's step: it has no fake kernel
            assert all(leaf.device == GPU for leaf in leaves if isinstance(leaf, Tensor))
            return None
        if func in (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default):
            self._waits(func)
            with unset_fake_temporarily():
                return torch.zeros((), dtype=args[0].dtype).item()
        if func is torch.ops.aten.index.Tensor and any(_real(leaf) for leaf in leaves):
            self._waits(func)
        return tree_map(self._to_host, func(*args, **kwargs))

    def set_sync_debug_mode(self, mode: str) -> None:
        """Raise HostWaits where the host would wait for the device, in mode "error"."""
        self.reads = mode != "error"

    def _to_host(self, out: Any) -> Any:
        if not isinstance(out, FakeTensor) or out.device.type != "cpu":
            return out
        self._waits("a copy to the host")
        with unset_fake_temporarily():
            return torch.zeros(out.shape, dtype=out.dtype)

    def _waits(self, what: Any) -> None:
        if not self.reads:
            raise HostWaits(str(what))


class FakeStream:
    """A stream by its name that notes in the mode's `waits` whom it waited for."""

    def __init__(self, name: str, mode: FakeCuda) -> None:
        self.name, self._mode = name, mode

    def wait_stream(self, other: FakeStream) -> None:
        self._mode.waits.append((self.name, other.name))


class FakeEvent:
    """An event that happens when it is recorded."""

    def __init__(self, enable_timing: bool) -> None:
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, later: FakeEvent) -> float:
        return 1000 * (later.at - self.at)


@contextlib.contextmanager
def fake_cuda(memory: int = MEMORY) -> Iterator[FakeCuda]:
    """Put a fake CUDA device with so many free bytes in this machine."""
    mode = FakeCuda()

    def pin(tensor: Tensor) -> Tensor:
        if isinstance(tensor, FakeTensor):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        mode.pinned += 1
        return tensor

    def generator(device: Any = "cpu") -> torch.Generator:
        made = Generator()
        if torch.device(device).type == "cuda":
            mode.generators.append(made)
        return made

    with pytest.MonkeyPatch.context() as patch, FakeTensorMode(allow_non_fake_inputs=True), mode:
        for name, answer in _answers(memory).items():
            patch.setattr(torch.cuda, name, answer)
        patch.setattr(FakeTensorMode, "avoid_device_init", True)  # it would ask is_available, which says yes
        patch.setattr(torch, "Generator", generator)
        patch.setattr(Tensor, "pin_memory", pin)
        patch.setattr(Tensor, "record_stream", lambda tensor, stream: mode.waits.append(("free", stream.name)))
        patch.setattr(torch.cuda, "set_sync_debug_mode", mode.set_sync_debug_mode)
        patch.setattr(torch.cuda, "Stream", lambda device: FakeStream("side", mode))
        patch.setattr(torch.cuda, "current_stream", lambda device: FakeStream("main", mode))
        patch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        patch.setattr(torch, "compile", lambda model, **options: model)
        patch.setattr(torch.autograd, "backward", _backward)
        patch.setattr(torch.autograd, "grad", _grad)
        patch.setattr(ThreadPoolExecutor, "submit", _at_once)
        for name in ("save", "load"):
            patch.setattr(torch, name, _outside(getattr(torch, name)))
        patch.setattr(FakeTensor, "__reduce_ex__", lambda fake, how: _zeros(fake).__reduce_ex__(how))
        yield mode


def _answers(memory: int) -> dict[str, Any]:
    state = torch.Generator().get_state()
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *args: True,
        "is_current_stream_capturing": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_capability": lambda device=None: (9, 0),
        "get_device_name": lambda device=None: "Fake",
        "mem_get_info": lambda device=None: (memory, memory),
        "manual_seed_all": lambda seed: None,
        "get_rng_state": lambda device=None: state,
        "set_rng_state": lambda state, device=None: None,
        "get_rng_state_all": lambda: [state],
        "set_rng_state_all": lambda states: None,
        "synchronize": lambda device=None: None,
        "max_memory_allocated": lambda device=None: 2**20,
        "Event": FakeEvent,
    }


def _outside(work: Any) -> Any:
    def done(*args: Any, **kwargs: Any) -> Any:
        with _disable_current_modes():
            return work(*args, **kwargs)

    return done


def _at_once(executor: Any, work: Any, *args: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(work(*args))
    return done


def _zeros(fake: Tensor) -> Tensor:
    with unset_fake_temporarily():
        return torch.zeros(fake.shape, dtype=fake.dtype)


def _there(leaf: Any) -> bool:
    return isinstance(leaf, FakeTensor) or (isinstance(leaf, torch.device) and leaf.type == "cuda")


def _real(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and not isinstance(leaf, FakeTensor)


def _backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for leaf in _leaves(roots):
        leaf.grad = torch.empty_like(leaf) if leaf.grad is None else leaf.grad + torch.empty_like(leaf)


def _grad(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    return tuple(torch.empty_like(one).detach() for one in wanted)


def _leaves(roots: list[Tensor]) -> list[Tensor]:
    """Return the leaves that the graph of the roots ends in."""
    waiting, seen, leaves = [root.grad_fn for root in roots], set(), []
    assert all(waiting), "nothing here asks for a gradient"
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        waiting += [before for before, _ in node.next_functions]
    return leaves
