from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.rounds.worker import failures

MESSAGES = (
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call, so the "
    "stacktrace below might be incorrect.",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "MPS backend out of memory (MPS allocated: 17.03 GB, other allocations: 1.11 GB, max allowed: 18.13 GB). Tried to "
    "allocate 256.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for memory "
    "allocations (may cause system failure).",
    "[enforce fail at alloc_cpu.cpp:124] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.",
)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_way_torch_says_that_memory_ran_out_is_understood(message: str, tmp_path: Path) -> None:
    assert failures.is_out_of_memory(RuntimeError(message))
    told = failures.describe(RuntimeError(message), tmp_path)
    assert told["kind"] == "OutOfMemory"
    assert "smaller" in told["way_out"]


def test_torchs_own_errors_are_understood() -> None:
    assert failures.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert failures.is_out_of_memory(torch.AcceleratorError("CUDA error: out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)
    assert failures.is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: an illegal memory access was encountered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`",
    ],
)
def test_other_failures_of_the_device_are_none_of_memory(message: str, tmp_path: Path) -> None:
    assert not failures.is_out_of_memory(RuntimeError(message))
    assert failures.describe(RuntimeError(message), tmp_path)["kind"] == "DeviceError"
