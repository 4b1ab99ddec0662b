"""Frozen features of a project's images, computed once an image and network and kept in the project's cache.

`<project>/cache/features-<network>-<key>/part-<digest>.npz` holds `shas` (n,) and `features` (n, D) float16. The key
covers the weights' content and how images are prepared, so that two networks, or the same one with other weights,
lie side by side. Parts are only ever added: new images make a new part, a part that is damaged is removed and its
images are computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.files import PARTIAL, sha256_of, write_atomic
from engine.images.array_cache import ArraySpec, stream_arrays, sweep
from engine.images.array_row import array_row
from engine.nets import frozen, precision
from engine.nets.net_name import NetName
from engine.records.progress import Progress
from engine.training.config import TrainConfig

VERSION = 2  # raise it when decoding, resizing or the features' numbers change: all are then computed again
LABEL = "Computing features"
PART_SECONDS = 20.0
"""After so long a part is written, so that a killed worker loses little."""
PART_IMAGES = 4096
LEFTOVER_SECONDS = 3600.0
_LIMIT = float(np.finfo(np.float16).max)


def is_frozen(net: str) -> bool:
    """Return whether a round with this network trains on frozen features."""
    return NetName.parse(net).is_frozen


def project_features(
    root: Path, shas: Sequence[str], train: TrainConfig, where: torch.device, progress: Progress
) -> torch.Tensor:
    """Return the features (N, D) float32 of a project's images; only those not known yet are decoded and computed.

    What was computed is kept also when this is cut short by an exception.

    Args:
        root: the project's folder.
        shas: SHA-256 of each image.
        train: its `net` names the network, its `precision` how to compute.
        where: the device.
        progress: told ("Computing features", done, total) of the images to compute; may raise to stop.

    Raises:
        ConfigError: the network's weights are not on this machine and cannot be downloaded.
        DecodeError: an original is gone, changed or unreadable.
    """
    name = NetName.parse(train.net).base
    progress("Reading the network's weights", 0, 1)
    folder = _folder(root, name, precision.resolve(train.precision, where, inference=True))
    _sweep(folder)
    known = _KnownFeatures(shas)
    for path in sorted(folder.glob("part-*.npz")):
        part = _read(path)
        if part is None:
            path.unlink(missing_ok=True)
        else:
            known.add(*part)
    missing = known.missing()
    if missing:
        trunk = frozen.load_frozen(name, where)
        writer = _PartWriter(folder, known)
        size = frozen.batch_size(where)
        progress(LABEL, 0, len(missing))
        with closing(stream_arrays(root, missing, ArraySpec(trunk.side, 3), size)) as batches, closing(writer):
            for images in batches:
                features = frozen.features_of(trunk, torch.from_numpy(images.copy()), where, train.precision)
                writer.add(missing[writer.count :][: len(images)], _half(features))
                progress(LABEL, writer.count, len(missing))
    return torch.from_numpy(known.matrix())


def array_features(images: NDArray[np.uint8], train: TrainConfig, where: torch.device) -> torch.Tensor:
    """Return the features (n, D) float32 of images (n, 1 or 3, H, W) that are in no project, prepared like its own."""
    trunk = frozen.load_frozen(NetName.parse(train.net).base, where)
    size = frozen.batch_size(where)
    batches = [np.empty((0, trunk.width), np.float16)]
    for first in range(0, len(images), size):
        pictures = [
            Image.fromarray(one[0] if len(one) == 1 else one.transpose(1, 2, 0)) for one in images[first:][:size]
        ]
        rows = np.stack([array_row(picture, trunk.side, 3) for picture in pictures])
        batches.append(_half(frozen.features_of(trunk, torch.from_numpy(rows), where, train.precision)))
    return torch.from_numpy(np.concatenate(batches).astype(np.float32))


class _KnownFeatures:
    """The features of the images asked for, as far as they are known."""

    def __init__(self, shas: Sequence[str]) -> None:
        self._place = {sha: row for row, sha in enumerate(shas)}
        self._shas = shas
        self._have = np.zeros(len(shas), bool)
        self._values: NDArray[np.float32] = np.empty((len(shas), 0), np.float32)

    def add(self, shas: Sequence[str], features: NDArray[np.float16]) -> None:
        """Take over the rows of a part that were asked for."""
        pairs = [(self._place[sha], row) for row, sha in enumerate(shas) if sha in self._place]
        if not pairs:
            return
        if not self._values.shape[1]:
            self._values = np.zeros((len(self._shas), features.shape[1]), np.float32)
        rows, taken = (list(side) for side in zip(*pairs, strict=True))
        self._values[rows] = features[taken]
        self._have[rows] = True

    def missing(self) -> list[str]:
        """Return the images whose features are not known."""
        return [sha for sha, have in zip(self._shas, self._have, strict=True) if not have]

    def matrix(self) -> NDArray[np.float32]:
        """Return the features (N, D)."""
        return self._values


class _PartWriter:
    """Gathers computed features and writes them, a part at a time; `close` writes the rest.

    Args:
        folder: where the parts go.
        known: takes over what is added.
    """

    def __init__(self, folder: Path, known: _KnownFeatures) -> None:
        self.count = 0
        self._folder, self._known = folder, known
        self._shas: list[str] = []
        self._features: list[NDArray[np.float16]] = []
        self._began = time.monotonic()

    def add(self, shas: Sequence[str], features: NDArray[np.float16]) -> None:
        """Take computed features over; write a part when it is large or old enough."""
        self._known.add(shas, features)
        self._shas += shas
        self._features.append(features)
        self.count += len(shas)
        if len(self._shas) >= PART_IMAGES or time.monotonic() - self._began >= PART_SECONDS:
            self.close()

    def close(self) -> None:
        """Write what has been gathered since the last part."""
        if not self._shas:
            return
        shas, features = self._shas, np.concatenate(self._features)
        self._shas, self._features, self._began = [], [], time.monotonic()
        digest = hashlib.sha256("\n".join(shas).encode()).hexdigest()[:32]

        def fill(temporary: Path) -> None:
            with open(temporary, "wb") as handle:
                np.savez(handle, shas=np.array(shas, "S64"), features=features)

        write_atomic(self._folder / f"part-{digest}.npz", fill)


def _read(path: Path) -> tuple[list[str], NDArray[np.float16]] | None:
    """Return (shas, features) of a part; None when it is damaged, which the checksums of the zip format show."""
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            shas, features = arrays["shas"], arrays["features"]
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    except OSError as error:
        if error.errno is not None:  # the machine's trouble, not damage: the part may be good
            raise
        return None
    except Exception:  # damage makes errors of many kinds, and a cache can always be made again
        return None
    if shas.ndim != 1 or features.ndim != 2 or len(shas) != len(features) or features.dtype != np.float16:
        return None
    return [sha.decode() for sha in shas.tolist()], features


def _folder(root: Path, name: str, dtype: torch.dtype) -> Path:
    """Return where the features of a network lie: by its name, its weights' content, how images are prepared and
    the precision."""
    digest = sha256_of(frozen.weights_of(name))
    key = hashlib.sha256(f"{VERSION} {name} {digest} {frozen.side_of(name)} {dtype}".encode()).hexdigest()[:16]
    return root / "cache" / f"features-{name}-{key}"


def _sweep(folder: Path) -> None:
    """Remove what killed workers left behind long ago."""
    sweep(folder.parent, LEFTOVER_SECONDS)
    for path in folder.glob(f"*{PARTIAL}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()


def _half(features: torch.Tensor) -> NDArray[np.float16]:
    return features.clamp(-_LIMIT, _LIMIT).numpy().astype(np.float16)
