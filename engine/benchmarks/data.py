"""The data of a run: training images with exactly as many labels as asked for, and a test set kept shut."""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.benchmarks.spec import Row
from engine.benchmarks.two_moons import two_moons
from engine.errors import ConfigError, SourceMissing
from engine.live.space import evenly
from engine.nets import frozen
from engine.nets.net_name import WHOLE, NetName
from engine.training.evaluate import chunks
from engine.training.pools import Pools

OF_TORCHVISION = ("MNIST", "CIFAR10")
"""Sets that lie in a folder."""


@dataclass(frozen=True)
class Problem:
    """What a run trains on, and a function that opens the test set: (images or vectors, labels (N,) int64).

    Call `test` once, when the training has ended: nothing is chosen by it. `unlabeled_y`, where it is known, gives the
    classes (U,) of the unlabeled images, to be called then too: a model that labels a set is judged by that set.
    """

    pools: Pools
    test: Callable[[], tuple[Tensor, Tensor]]
    unlabeled_y: Callable[[], Tensor] | None = None


def load_problem(data: Mapping[str, Any], root: Path, seed: int) -> Problem:
    """Return the problem that a row's `data` describes.

    Args:
        data: "set" is MNIST, CIFAR10, two_moons or random; "labels" how many labels; "missing" classes without any;
            "images" how many training images the seed draws, all where it is absent (random: 50,000), "drawn" another
            seed for that alone; "features" a name such as "frozen:hog": they are given as vectors of it; "test" how
            many of the test images, evenly spaced; "typical" of two_moons, see there.
        root: the folder torchvision's sets lie in.
        seed: draws the labels.

    Raises:
        ConfigError: no such set, or more labels than images.
        SourceMissing: the set does not lie under `root`.
    """
    name = str(data["set"])
    labels = int(data["labels"])
    if name == "two_moons":
        pools, test_x, test_y = two_moons(labeled=labels, seed=seed, typical=bool(data.get("typical")))
        return Problem(pools, lambda: (test_x, test_y))
    if name == "random":
        images, y = random_images(int(data.get("images", 50_000)), seed)
        return Problem(pools_of(images, y, choose_labels(y, labels, seed)), lambda: (images, y))
    if name not in OF_TORCHVISION:
        raise ConfigError("There is no set of this name", value=name, way_out="Choose MNIST, CIFAR10 or two_moons.")
    images, y = training(name, root)
    if "images" in data:
        images, classes, _ = subset(name, root, int(data["images"]), int(data.get("drawn", seed)))
        y = torch.from_numpy(classes)
    train = choose_labels(y, labels, seed, tuple(data.get("missing", ())))
    features = str(data.get("features", ""))
    pools = pools_of(described(images, features), y, train)

    def test() -> tuple[Tensor, Tensor]:
        images, y = read_split(name, root, train=False)
        rows = evenly(len(images), int(data.get("test", len(images))))
        return described(images[rows], features), y[rows]

    return Problem(pools, test, lambda: y[pools.unlabeled_idx])


def find_sets(rows: Iterable[Row], root: Path) -> None:
    """Read the sets of these rows, so that one that is missing is told before the first run and not after hours.

    Raises:
        SourceMissing: a set does not lie under `root`.
    """
    for name in {str(row.data["set"]) for row in rows} & set(OF_TORCHVISION):
        training(name, root)


def described(images: Tensor, net: str) -> Tensor:
    """Return the features (n, D) float32 that a "frozen:" name has of images (n, C, H, W); without one the images."""
    return joined([array_features(images, source.name) for source in NetName.parse(net).sources]) if net else images


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return the features (n, D₁ + D₂ + …) of several networks, each row of each brought to length 1; one stays."""
    return torch.cat([torch.nn.functional.normalize(part) for part in parts], 1) if len(parts) > 1 else parts[0]


def array_features(images: Tensor, name: str) -> Tensor:
    """Return the features (n, D) float32 that a network, or "hog", has of images (n, C, H, W) uint8; computed once for
    all rows and seeds with the same images."""
    key = name, images.shape, hashlib.sha256(images.numpy().tobytes()).hexdigest()
    if key not in _described:
        device = torch.device("cpu")
        _described[key] = frozen.features_of(frozen.load_frozen(name, device), images, device)
    return _described[key]


_described: dict[tuple[str, torch.Size, str], Tensor] = {}


def choose_labels(y: Tensor, labels: int, seed: int, missing: tuple[int, ...] = ()) -> Tensor:
    """Return (labels,) int64 rows in ascending order, drawn by the seed: as many of each class, none of `missing`.

    Where the classes do not divide the number, the first classes have one more: the total is exact.

    Raises:
        ConfigError: a class has fewer images than labels are asked for, or there are no classes.
    """
    classes = [k for k in sorted(set(y.tolist())) if k not in missing]
    if not classes:
        raise ConfigError("No class is left to label", value=f"missing {missing}")
    each, more = divmod(labels, len(classes))
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for place, k in enumerate(classes):
        rows = (y == k).nonzero().flatten()
        wanted = each + (place < more)
        if wanted > len(rows):
            raise ConfigError(
                f"Class {k} has fewer images than labels are asked for",
                value=f"{wanted} of {len(rows)}",
                way_out="Ask for fewer labels.",
            )
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:wanted]])
    return torch.cat(chosen).sort().values


def subset(name: str, root: Path, count: int, seed: int) -> tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Return images (n, C, H, W) uint8, their classes (n,) and their rows in the training set (n,), ascending.

    Args:
        name: MNIST, CIFAR10, or digits for scikit-learn's 1,797, which need no folder.
        root: where torchvision's sets lie.
        count: how many images the seed draws; 0, or more than there are, takes all.
        seed: of the draw, which is not that of labels chosen by `choose_labels`.
    """
    images, y = _digits() if name == "digits" else training(name, root)
    drawn = np.random.default_rng([seed, 10]).permutation(len(images))[: count or None]
    rows = np.sort(drawn).astype(np.int64)
    return images[rows], y[rows].numpy(), rows


@functools.lru_cache(maxsize=8)
def photo_features(root: Path, net: str) -> tuple[Tensor, Tensor]:
    """Return the features (n, D) float32 that a pretrained network has of the photos in the folders under `root`, one a
    class, and their classes (n,) in the order of the folders' names; computed once for all rows and seeds.

    Args:
        root: the folders' folder.
        net: as in `FeatureSource`, with "@whole" where it is shown whole photos squeezed to its square.

    Raises:
        SourceMissing: there are no folders with images.
        ConfigError: the network's weights are not on this machine and cannot be downloaded.
    """
    device = torch.device("cpu")
    trunk = frozen.load_frozen(net.removesuffix(WHOLE), device)
    photos = _photos(root, trunk.side, whole=net.endswith(WHOLE))
    size = frozen.batch_size(device, light=trunk.light)
    features = [
        frozen.features_of(trunk, torch.stack([photos[at][0] for at in rows]), device)
        for rows in chunks(torch.arange(len(photos)), size)
    ]
    return torch.cat(features), torch.tensor(photos.targets)


@functools.lru_cache(maxsize=1)
def photo_arrays(root: Path, net: str) -> tuple[Tensor, Tensor]:
    """Return the photos (n, 3, side, side) uint8 that `photo_features` shows a network, and their classes (n,).

    Raises:
        SourceMissing: there are no folders with images.
        ConfigError: there is no network of that name.
    """
    photos = _photos(root, frozen.backbone(net).side, whole=False)
    return torch.stack([photos[at][0] for at in range(len(photos))]), torch.tensor(photos.targets)


def squeezed_photos(root: Path, side: int) -> Tensor:
    """Return the photos (n, 3, side, side) uint8 in the folders under `root`, one a class, each squeezed to a square.

    Raises:
        SourceMissing: there are no folders with images.
    """
    photos = _photos(root, side, whole=True)
    return torch.stack([photos[at][0] for at in range(len(photos))])


def _photos(root: Path, side: int, *, whole: bool) -> Any:
    """Return torchvision's data set of the photos under `root`, squeezed to a square or its centre, as uint8."""
    from torchvision import datasets, transforms

    squeezed = transforms.Resize((side, side))
    shown = [squeezed] if whole else [transforms.Resize(side), transforms.CenterCrop(side)]
    try:
        return datasets.ImageFolder(str(root), transform=transforms.Compose([*shown, transforms.PILToTensor()]))
    except FileNotFoundError as error:
        raise SourceMissing(
            "No folders of photos, one a class, were found here", value=root, way_out="Name their folder with --data."
        ) from error


def pools_of(images: Tensor, y: Tensor, train: Tensor) -> Pools:
    """Return pools with labels at the rows `train`, all other rows unlabeled, and no held-out set."""
    rest = torch.ones(len(images), dtype=torch.bool)
    rest[train] = False
    none = torch.empty(0, dtype=torch.int64)
    return Pools(images, train, y[train], none, none, rest.nonzero().flatten(), int(y.max()) + 1)


def random_images(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return n random colour images (n, 3, 32, 32) uint8 of ten classes in turn, to time steps with."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8), torch.arange(n) % 10


def read_split(name: str, root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Read the training or the test split: images (N, C, H, W) uint8, labels (N,) int64.

    Raises:
        SourceMissing: its files do not lie under `root` as torchvision lays them out.
    """
    from torchvision import datasets

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy remarks on the pickles CIFAR was published in
            split = getattr(datasets, name)(str(root), train=train, download=False)
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        raise SourceMissing(
            f"{name} was not found in this folder",
            value=root,
            way_out="Get it with python -c "
            f"\"from torchvision.datasets import {name}; {name}('{root}', download=True)\", or give the folder it "
            "lies in with --data or in STARLING_DATA.",
        ) from error
    images = torch.as_tensor(split.data)
    shaped = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    return shaped, torch.from_numpy(np.asarray(split.targets, dtype=np.int64))


def _digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))
    return images[:, None], torch.from_numpy(digits.target.astype(np.int64))


@functools.lru_cache(maxsize=2)
def training(name: str, root: Path) -> tuple[Tensor, Tensor]:
    """Return the training split, read once for all seeds."""
    return read_split(name, root, train=True)
