"""Features of a project's images as its cache keeps them; numpy alone, so that any process can read them.

`<project>/cache/features-<network>-<version>.<key>/part-<digest>.npz` holds `shas` (n,), `features` (n, D) float16 and
`digest`, over both and the folder's name: a part of another network's is not taken for one of this.
The key covers the weights' content, how images are prepared and the precision, so that features made in different ways
lie side by side; the folder used last is the one in force. Parts are only ever added: new images make a new part.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.files import PARTIAL, write_atomic
from engine.images.array_cache import sweep
from engine.nets.net_name import FeatureSource, NetName

VERSION = 4  # raise it when decoding, resizing or the features' numbers change: all are then computed again
PART_SECONDS = 20.0
"""After so long a part is written, so that a killed process loses little."""
PART_IMAGES = 4096
LEFTOVER_SECONDS = 3600.0
log = logging.getLogger("starling.images")


def known_features(root: Path, net: str, shas: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the features (N, D) of a project's images as far as they are kept, and which images have them (N,).

    Those of a single network are as it gives them; those of several are joined, see `joined`. Rows of images without
    features are 0. D is 0 while a network has none at all.

    Args:
        root: the project's folder.
        net: a name such as "frozen:efficientnet_lite0+mobilenet_v2".
        shas: (N,) SHA-256 of each image.
    """
    each = []
    have = np.ones(len(shas), bool)
    for source in NetName.parse(net).sources:
        known = KnownFeatures(shas)
        folder = latest_folder(root, source)
        if folder is not None:
            known.read(folder)
        each.append(known.matrix())
        have &= known.have
    if not each or not all(features.shape[1] for features in each):
        return np.empty((len(shas), 0), np.float32), np.zeros(len(shas), bool)
    features = joined(each)
    features[~have] = 0
    return features, have


def joined(each: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the features (N, D₁ + D₂ + …) of several networks, each row of each brought to length 1; one stays."""
    if len(each) == 1:
        return each[0]
    lengths = [np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12) for features in each]
    return np.concatenate([features / length for features, length in zip(each, lengths, strict=True)], axis=1)


def folder_of(root: Path, source: FeatureSource, *made_by: object) -> Path:
    """Return where the features of a source lie that were made by these weights, this preparation, this precision."""
    key = hashlib.sha256(" ".join(map(str, (VERSION, source, *made_by))).encode()).hexdigest()[:16]
    return root / "cache" / f"{_prefix(source)}{key}"


def latest_folder(root: Path, source: FeatureSource) -> Path | None:
    """Return the folder of a source that was used last, None when there is none."""
    folders = [(path.stat().st_mtime_ns, path) for path in (root / "cache").glob(f"{_prefix(source)}*")]
    return max(folders)[1] if folders else None


def mark_used(folder: Path) -> None:
    """Make this the folder of its source that was used last."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)


def _prefix(source: FeatureSource) -> str:
    return f"features-{re.sub(r'[^A-Za-z0-9_.]', '_', str(source))}-{VERSION}."


class KnownFeatures:
    """The features of the images asked for, as far as they are known. `have` (N,): which ones."""

    def __init__(self, shas: Sequence[str]) -> None:
        self._place = {sha: row for row, sha in enumerate(shas)}
        self._shas = shas
        self.have = np.zeros(len(shas), bool)
        self._values: NDArray[np.float32] = np.empty((len(shas), 0), np.float32)

    def read(self, folder: Path, *, clean: bool = False) -> int:
        """Take over what a folder holds; return how many parts are damaged, which `clean` removes, so that they are
        made again."""
        damaged = 0
        for path in sorted(folder.glob("part-*.npz")):
            part = read_part(path)
            if part is not None and self._values.shape[1] in (0, part[1].shape[1]):
                self.add(*part)
            elif path.exists():
                log.warning("part of the features is damaged: %s", path)
                damaged += 1
                if clean:
                    path.unlink(missing_ok=True)
        return damaged

    def add(self, shas: Sequence[str], features: NDArray[np.float16]) -> None:
        """Take over the rows of a part that were asked for."""
        pairs = [(self._place[sha], row) for row, sha in enumerate(shas) if sha in self._place]
        if not pairs:
            return
        if not self._values.shape[1]:
            self._values = np.zeros((len(self._shas), features.shape[1]), np.float32)
        rows, taken = (list(side) for side in zip(*pairs, strict=True))
        self._values[rows] = features[taken]
        self.have[rows] = True

    def matrix(self) -> NDArray[np.float32]:
        """Return the features (N, D)."""
        return self._values


class PartWriter:
    """Gathers computed features and writes them, a part at a time; `close` writes the rest.

    Args:
        folder: where the parts go.
        known: takes over what is added.
    """

    def __init__(self, folder: Path, known: KnownFeatures) -> None:
        self._folder, self._known = folder, known
        self._shas: list[str] = []
        self._features: list[NDArray[np.float16]] = []
        self._began = time.monotonic()

    def add(self, shas: Sequence[str], features: NDArray[np.float16]) -> None:
        """Take computed features over; write a part when it is large or old enough."""
        self._known.add(shas, features)
        self._shas += shas
        self._features.append(features)
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
                kept = np.array(shas, "S64")
                np.savez(handle, shas=kept, features=features, digest=_digest(self._folder, kept, features))

        write_atomic(self._folder / f"part-{digest}.npz", fill)


def read_part(path: Path) -> tuple[list[str], NDArray[np.float16]] | None:
    """Return (shas, features) of a part; None when it is damaged or of other features.

    The checksums of the zip format show damage, its digest that it is of others; parts of earlier versions have none.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            shas, features = arrays["shas"], arrays["features"]
            digest = bytes(arrays["digest"]) if "digest" in arrays else None
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
    if digest is not None and digest != _digest(path.parent, shas, features).tobytes():
        return None
    return [sha.decode() for sha in shas.tolist()], features


def damaged_parts(root: Path) -> list[Path]:
    """Return the parts of a project's features that cannot be read as they were written."""
    return [path for path in sorted((root / "cache").glob("features-*/part-*.npz")) if read_part(path) is None]


def _digest(folder: Path, shas: NDArray[np.bytes_], features: NDArray[np.float16]) -> NDArray[np.uint8]:
    digest = hashlib.sha256(folder.name.encode())
    digest.update(np.ascontiguousarray(shas).data)
    digest.update(np.ascontiguousarray(features).data)
    return np.frombuffer(digest.digest(), np.uint8)


def sweep_parts(folder: Path) -> None:
    """Remove what killed processes left of parts, and beside their folder, long ago."""
    sweep(folder.parent, LEFTOVER_SECONDS)
    for path in folder.glob(f"*{PARTIAL}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()
