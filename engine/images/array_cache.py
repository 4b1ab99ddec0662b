"""The uint8 arrays that training and maps read: every image at one size, memory-mapped, made once a set.

Each time that one is opened it is compared, block by block, with the digests beside it (`block_sums`): some 50 ms for
60,000 images of 28 × 28. The images of a damaged block are decoded anew before anybody sees them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, DecodeError
from engine.files import PARTIAL, replacing
from engine.images.array_row import Resample
from engine.images.block_sums import read_sums, sums_of, sums_path, write_sums
from engine.images.files import original_path
from engine.images.pool import Answer, DecodePool, Job
from engine.records.labels import ImageItem
from engine.records.progress import Progress

VERSION = 2  # raise it when decoding or resizing changes: older caches are then made again
KEPT = 3
_LABEL = "Preparing images"
DAMAGED = "Part of the image cache is damaged"
"""How a progress begins that tells so; what is decoded anew then follows."""
log = logging.getLogger("starling.images")


@dataclass(frozen=True)
class ArraySpec:
    """Side in pixels (4..1024) and number of channels (1 grey, 3 RGB) of every image in an array."""

    size: int
    channels: int

    def __post_init__(self) -> None:
        if not 4 <= self.size <= 1024:
            raise ConfigError("The image size must be 4..1024 pixels", value=self.size)
        if self.channels not in (1, 3):
            raise ConfigError("The number of channels must be 1 or 3", value=self.channels)


def recommend_spec(items: Sequence[ImageItem]) -> ArraySpec:
    """Return the array format that fits a set of images.

    Square images all of one side in 4..64 keep it, so MNIST stays 28 and CIFAR 32. Any other set gets 32 when
    at least half of the images have a shorter side of at most 32, else 64: what a small network on a CPU can
    train on.
    One channel only if every image has one.
    """
    channels = 1 if items and all(item.channels == 1 for item in items) else 3
    sizes = {(item.width, item.height) for item in items}
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width == height and 4 <= width <= 64:
            return ArraySpec(width, channels)
    shorter = sorted(min(item.width, item.height) for item in items)
    small = bool(shorter) and shorter[(len(shorter) - 1) // 2] <= 32
    return ArraySpec(32 if small else 64, channels)


def build_arrays(
    root: Path, shas: Sequence[str], spec: ArraySpec, progress: Progress, *, workers: int = 2
) -> NDArray[np.uint8]:
    """Return the images as (N, C, size, size) uint8 in the order of `shas`; decode them only the first time.

    The shorter side is brought to `size` and the centre square taken; nothing is padded. The same originals
    always give the same bytes. The array is mapped copy-on-write: pages are read when used, and writing to it
    changes neither the cache nor another reader's array.

    Args:
        root: the project's folder; the cache lies in its cache/.
        shas: SHA-256 of each image.
        spec: size and channels.
        progress: told after every image decoded.
        workers: number of decoding children.

    Raises:
        DecodeError: an original is gone, changed or unreadable; no cache is left behind.
    """
    shape = (len(shas), spec.channels, spec.size, spec.size)
    if not shas:
        return np.empty(shape, np.uint8)
    path = _cache_path(root, shas, spec)
    cached = _open(path, shape)
    if cached is not None and _mended(path, cached, root, shas, progress, workers):
        return cast("NDArray[np.uint8]", np.load(path, mmap_mode="c"))
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    with replacing(path, durable=False) as aside:
        _fill(aside, root, shas, shape, progress, workers)
        write_sums(path, sums_of(np.load(aside, mmap_mode="r")))  # first: an array without them is made anew
    _prune(path.parent)
    return cast("NDArray[np.uint8]", np.load(path, mmap_mode="c"))


def damaged_arrays(root: Path) -> dict[Path, str]:
    """Return the cached arrays of a project that differ from their digests, or have none, and in words how."""
    found = {}
    for path in sorted((root / "cache").glob("arrays-*.npy")):
        try:
            array, sums = np.load(path, mmap_mode="r"), read_sums(path)
        except (OSError, ValueError, EOFError):
            found[path] = "it cannot be read"
            continue
        if sums is None or not array.flags.c_contiguous or not sums.fits(array):
            found[path] = "it has no digests"
        elif len(rows := sums.damaged(array)):
            found[path] = f"the blocks of {len(rows):,} images differ from their digests"
    return found


def drop_arrays(path: Path) -> None:
    """Remove a cached array and its digests; it is made again when it is needed."""
    path.unlink(missing_ok=True)
    sums_path(path).unlink(missing_ok=True)


def stream_arrays(
    root: Path,
    shas: Sequence[str],
    spec: ArraySpec,
    batch: int,
    *,
    whole: bool = False,
    resample: Resample = "bicubic",
    workers: int = 2,
) -> Generator[NDArray[np.uint8], None, None]:
    """Yield the images as (n, C, size, size) uint8 in the order of `shas`, `batch` at a time; nothing is kept.

    The next images are decoded meanwhile, into a small file in the project's cache that is removed in the end; where
    that cannot be written, in the system's folder for such files. An array is valid until the next one is drawn. The
    pixels are those of `build_arrays`, unless `whole` or `resample` ask for others, see `array_row`.

    Raises:
        DecodeError: an original is gone, changed or unreadable.
    """
    row_bytes = spec.channels * spec.size**2
    with tempfile.NamedTemporaryFile(prefix=".tmp-stream-", dir=_scratch(root)) as ring, DecodePool(workers) as pool:
        # no place is written again before its batch is done with; few images need no more room than themselves
        rows = min(batch * (1 + -(-pool.ahead // batch)), batch * max(1, -(-len(shas) // batch)))
        _reserve(Path(ring.name), rows * row_bytes)
        array = np.memmap(ring.name, np.uint8, "r", shape=(rows, spec.channels, spec.size, spec.size))
        places = (number % rows * row_bytes for number in range(len(shas)))
        jobs = (
            {**job, "whole": whole, "resample": resample} for job in _jobs(Path(ring.name), root, shas, spec, places)
        )
        for done, (job, answer) in enumerate(pool.run(jobs), start=1):
            _check(job, answer)
            if done % batch == 0 or done == len(shas):
                first = (done - 1) // batch * batch
                yield array[first % rows : first % rows + done - first]


def _scratch(root: Path) -> Path | None:
    """Return the project's cache; None, for the system's own folder, where that cannot be written."""
    if not os.access(root, os.W_OK):
        return None
    (root / "cache").mkdir(exist_ok=True)
    return root / "cache"


def sweep(folder: Path, seconds: float = 3600.0) -> None:
    """Remove what killed processes left in a cache folder; one that is being filled was changed lately."""
    alone = (path for path in folder.glob("arrays-*.sums") if not path.with_suffix(".npy").exists())
    for path in (*folder.glob(f"*{PARTIAL}"), *folder.glob(".tmp-stream-*"), *alone):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def _cache_path(root: Path, shas: Sequence[str], spec: ArraySpec) -> Path:
    digest = hashlib.sha256("\n".join((str(VERSION), *shas)).encode()).hexdigest()[:32]
    return root / "cache" / f"arrays-{spec.size}x{spec.channels}-{digest}.npy"


def _open(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Return the cached array, None when there is none or it is not whole."""
    try:
        array = cast("NDArray[np.uint8]", np.load(path, mmap_mode="c"))
    except (FileNotFoundError, ValueError, EOFError):
        return None
    if array.shape != shape or array.dtype != np.uint8 or not array.flags.c_contiguous:
        return None
    os.utime(path)
    return array


def _mended(
    path: Path, array: NDArray[np.uint8], root: Path, shas: Sequence[str], progress: Progress, workers: int
) -> bool:
    """Decode the images of damaged blocks anew, in place; return False where all must be made again."""
    sums = read_sums(path)
    if sums is None or not sums.fits(array):
        log.warning("image cache %s has no digests; it is made anew", path)
        return False
    damaged = sums.damaged(array)
    if not len(damaged):
        return True
    told = f"{DAMAGED}: {len(damaged):,} of {len(shas):,} images are decoded anew"
    log.warning("%s (%s)", told, path)
    progress(told, 0, len(damaged))
    spec = ArraySpec(size=array.shape[2], channels=array.shape[1])
    names, start, row_bytes = [shas[row] for row in damaged], _data_start(path), array.nbytes // len(array)
    jobs = _jobs(path, root, names, spec, (start + int(row) * row_bytes for row in damaged))
    with DecodePool(workers) as pool:
        for done, (job, answer) in enumerate(pool.run(jobs), start=1):
            _check(job, answer)
            progress(told, done, len(damaged))
    return not len(sums.damaged(np.load(path, mmap_mode="r")))  # else another decoder made the cache: all anew


def _data_start(path: Path) -> int:
    """Return the byte at which the pixels begin in a .npy file."""
    return int(cast("np.memmap[tuple[int, ...], np.dtype[np.uint8]]", np.load(path, mmap_mode="r")).offset)


def _fill(
    path: Path, root: Path, shas: Sequence[str], shape: tuple[int, ...], progress: Progress, workers: int
) -> None:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    start, row_bytes = array.offset, array.nbytes // shape[0]
    del array
    _reserve(path, start + len(shas) * row_bytes)
    spec = ArraySpec(size=shape[2], channels=shape[1])
    places = (start + number * row_bytes for number in range(len(shas)))
    with DecodePool(workers) as pool:
        for done, (job, answer) in enumerate(pool.run(_jobs(path, root, shas, spec, places)), start=1):
            _check(job, answer)
            if done % 64 == 0 or done == len(shas):
                progress(_LABEL, done, len(shas))


def _reserve(path: Path, size: int) -> None:
    """Give the file its whole size now, so that a full disk is told as that and not by a child that breaks."""
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _jobs(path: Path, root: Path, shas: Sequence[str], spec: ArraySpec, places: Iterable[int]) -> Iterator[Job]:
    """Yield the jobs that write each image's pixels into the file `path` at its place, a byte offset."""
    for sha256, place in zip(shas, places, strict=True):
        yield {
            "op": "row",
            "path": str(original_path(root, sha256)),
            "sha256": sha256,
            "size": spec.size,
            "channels": spec.channels,
            "whole": False,
            "resample": "bicubic",
            "out": str(path),
            "offset": place,
        }


def _check(job: Job, answer: Answer) -> None:
    """Raise DecodeError if the image was refused."""
    if "error" in answer:
        raise DecodeError(
            f"An image can no longer be read ({answer['error'].rstrip('.')})",
            value=job["sha256"],
            way_out="Import it again, or check the project with “starling doctor”.",
        )


def _prune(folder: Path) -> None:
    """Keep the arrays used last; an older one still mapped by a running round lives on until it is closed."""
    arrays = sorted(folder.glob("arrays-*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in arrays[KEPT:]:
        drop_arrays(old)
