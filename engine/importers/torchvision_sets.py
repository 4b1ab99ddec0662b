"""Well-known sets by name, as torchvision lays them out on disk, and scikit-learn's bundled digits.

Each image becomes a PNG and then takes the same way as any other file. Only the train split is taken: the test
split stays untouched for honest figures.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.errors import ConfigError, SourceMissing
from engine.importers.contents import Entry, Listing
from engine.importers.names import shown

Split = Literal["train", "test"]


@dataclass(frozen=True)
class LoadedSet:
    """Images (N, H, W) or (N, H, W, 3) uint8, labels (N,) int, and the K class names."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


class SetContents:
    """One well-known set; see contents.Contents. Its files are named train/00000.png and so on.

    Raises:
        ConfigError: no set of this name is known.
        SourceMissing: its files do not lie under `root`.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._set = load_set(name, root, "train")
        count = len(self._set.labels)
        width = len(str(max(count - 1, 10_000)))
        self.listing = Listing([Entry(f"train/{number:0{width}}.png", number) for number in range(count)])

    def labels(self) -> dict[str, str]:
        """Return the class name of every file."""
        names, labels = self._set.classes, self._set.labels.tolist()
        return {entry.name: names[label] for entry, label in zip(self.listing.entries, labels, strict=True)}

    def read(self, entry: Entry) -> bytes:
        """Return an image as PNG."""
        out = io.BytesIO()
        Image.fromarray(self._set.images[cast("int", entry.token)]).save(out, "PNG", compress_level=1)
        return out.getvalue()

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield an image as PNG."""
        yield self.read(entry)

    def packed(self, entry: Entry) -> int:
        """Return 0: an image is no file of its own here."""
        return 0

    def close(self) -> None:
        """Do nothing: no file stays open."""


def load_set(name: str, root: Path, split: Split) -> LoadedSet:
    """Read one split of a well-known set.

    Raises:
        ConfigError: no set of this name is known, or it has no such split.
        SourceMissing: its files do not lie under `root`.
    """
    load = SETS.get(name)
    if load is None:
        raise ConfigError("There is no set of this name", value=name, way_out=f"Choose one of {', '.join(SETS)}.")
    return load(root, split)


def _torchvision(name: str, root: Path, **options: Any) -> Any:
    """Return torchvision's data set; it checks the files against the published md5s, but for the MNIST family."""
    from torchvision import datasets

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy remarks on the pickles CIFAR was published in
            return getattr(datasets, name)(str(root), download=False, **options)
    except (RuntimeError, OSError, ValueError, AssertionError, EOFError, IndexError) as error:
        raise SourceMissing(
            f"{name} was not found here, or is damaged",
            value=shown(str(root)),
            way_out=f'Get it with python -c "from torchvision.datasets import {name}; {name}(FOLDER, download=True)" '
            "and give that folder.",
        ) from error


def _mnist(name: str) -> Callable[[Path, Split], LoadedSet]:
    def load(root: Path, split: Split) -> LoadedSet:
        dataset = _torchvision(name, root, train=split == "train")
        names = _DIGITS if name == "MNIST" else tuple(dataset.classes)
        return LoadedSet(dataset.data.numpy(), _ints(dataset.targets.numpy()), names)

    return load


def _cifar10(root: Path, split: Split) -> LoadedSet:
    dataset = _torchvision("CIFAR10", root, train=split == "train")
    return LoadedSet(dataset.data, _ints(dataset.targets), tuple(dataset.classes))


def _svhn(root: Path, split: Split) -> LoadedSet:
    dataset = _torchvision("SVHN", root, split=split)
    return LoadedSet(_channels_last(dataset.data), _ints(dataset.labels), _DIGITS)


def _stl10(root: Path, split: Split) -> LoadedSet:
    dataset = _torchvision("STL10", root, split=split)
    return LoadedSet(_channels_last(dataset.data), _ints(dataset.labels), tuple(dataset.classes))


def _digits(root: Path, split: Split) -> LoadedSet:
    if split == "test":
        raise ConfigError("scikit-learn's digits have no test split", way_out="Their hidden labels serve instead.")
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)
    return LoadedSet(images, _ints(digits.target), _DIGITS)


def _ints(values: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)


def _channels_last(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


_DIGITS = tuple("0123456789")
SETS: dict[str, Callable[[Path, Split], LoadedSet]] = {
    "MNIST": _mnist("MNIST"),
    "FashionMNIST": _mnist("FashionMNIST"),
    "CIFAR10": _cifar10,
    "SVHN": _svhn,
    "STL10": _stl10,
    "digits": _digits,
}
