"""Frozen features of a project's images, computed once an image and network and kept in the project's cache.

Networks that a name joins are kept each on its own, see `engine.images.feature_parts`; images that several of them lack
are decoded once for all that see them alike. A part that is damaged is removed and its images are computed again.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.images.array_cache import DAMAGED, ArraySpec, stream_arrays
from engine.images.array_row import Resample, array_row
from engine.images.feature_parts import (
    KnownFeatures,
    PartWriter,
    folder_of,
    joined,
    mark_used,
    sweep_parts,
)
from engine.nets import frozen, precision
from engine.nets.hog import Gradients
from engine.nets.net_name import FeatureSource, NetName
from engine.nets.weights import quiet
from engine.records.progress import Progress
from engine.training.config import TrainConfig

LABEL = "Computing features"
WAITING = "Waiting for the features that another process computes"
LOCK, WAIT_SECONDS = "features.lock", 0.2
_LIMIT = float(np.finfo(np.float16).max)


def is_frozen(net: str) -> bool:
    """Return whether a round with this network trains on frozen features."""
    return NetName.parse(net).is_frozen


@dataclass
class _Part:
    """One of the networks joined: where its features lie, what is known of them, how it sees images.

    view: side, channels, whether the whole image, how it is resized.
    """

    source: FeatureSource
    folder: Path
    known: KnownFeatures
    view: tuple[int, int, bool, Resample]

    @property
    def light(self) -> bool:
        """Return whether computing takes less time than decoding."""
        return isinstance(frozen.source_of(self.source.name), Gradients)

    @property
    def complete(self) -> bool:
        """Return whether no image's features are missing."""
        return bool(self.known.have.all())


def project_features(
    root: Path, shas: Sequence[str], train: TrainConfig, where: torch.device, progress: Progress
) -> torch.Tensor:
    """Return the features (N, D) float32 of a project's images; only those not known yet are decoded and computed.

    What was computed is kept also when this is cut short by an exception. Features of one network are as it gives them;
    of several, each row of each has length 1.

    Args:
        root: the project's folder.
        shas: SHA-256 of each image.
        train: its `net` names the networks, its `precision` how to compute.
        where: the device.
        progress: told of a download, of waiting while another process computes features of the project, and
            ("Computing features", done, total) of the images to compute; may raise to stop.

    Raises:
        ConfigError: no such network, or its weights are not on this machine and cannot be downloaded.
        DecodeError: an original is gone, changed or unreadable.
    """
    progress("Reading the network's weights", 0, 1)
    dtype = precision.resolve(train.precision, where, inference=True)
    parts = [_part(root, source, shas, dtype, progress) for source in frozen.check(train.net)]
    if not all(part.complete for part in parts):
        with _alone(root, progress):
            for part in parts:
                part.known.read(part.folder, clean=True)  # another process may have computed them meanwhile
            for view in dict.fromkeys(part.view for part in parts if not part.complete):
                alike = [part for part in parts if part.view == view and not part.complete]
                _compute(root, shas, alike, train, where, progress)
    return torch.from_numpy(joined([part.known.matrix() for part in parts]))


def weights_stamp(net: str, progress: Progress = quiet) -> str:
    """Return what tells the features of a "frozen:" name from those with other weights; may fetch weights.

    Raises:
        ConfigError: no such network, or its weights are not to be had.
    """
    sources = frozen.check(net)
    return " ".join(f"{source} {frozen.source_of(source.name).stamp(progress)}" for source in sources)


def array_features(images: NDArray[np.uint8], train: TrainConfig, where: torch.device) -> torch.Tensor:
    """Return the features (n, D) float32 of images (n, 1 or 3, H, W) that are in no project, prepared like its own."""
    pictures = [Image.fromarray(one[0] if len(one) == 1 else one.transpose(1, 2, 0)) for one in images]
    each = []
    for source in frozen.check(train.net):
        trunk = frozen.load_frozen(source.name, where)
        size = frozen.batch_size(where, light=trunk.light)
        batches = [np.empty((0, trunk.width), np.float16)]
        for first in range(0, len(pictures), size):
            rows = [
                array_row(picture, trunk.side, trunk.channels, whole=source.whole, resample=trunk.resample)
                for picture in pictures[first : first + size]
            ]
            batches.append(_half(frozen.features_of(trunk, torch.from_numpy(np.stack(rows)), where, train.precision)))
        each.append(np.concatenate(batches).astype(np.float32))
    return torch.from_numpy(joined(each))


@contextmanager
def _alone(root: Path, progress: Progress) -> Iterator[None]:
    """Hold the project's features against other processes: two would compute the same ones, each at half the pace."""
    (root / "cache").mkdir(exist_ok=True)
    with open(root / "cache" / LOCK, "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(WAITING, 0, 1)
                time.sleep(WAIT_SECONDS)
        yield


def _part(root: Path, source: FeatureSource, shas: Sequence[str], dtype: torch.dtype, progress: Progress) -> _Part:
    """Return what is known of one network's features."""
    made_by = frozen.source_of(source.name)
    folder = folder_of(root, source, made_by.stamp(progress), made_by.side, made_by.resample, dtype)
    mark_used(folder)
    sweep_parts(folder)
    known = KnownFeatures(shas)
    if damaged := known.read(folder, clean=True):
        progress(f"{DAMAGED}: {damaged} of its files hold features of {source}, which are computed anew", 0, 1)
    return _Part(source, folder, known, (made_by.side, made_by.channels, source.whole, made_by.resample))


def _compute(
    root: Path, shas: Sequence[str], parts: Sequence[_Part], train: TrainConfig, where: torch.device, progress: Progress
) -> None:
    """Compute what networks that see images alike lack; each image is decoded once."""
    rows = np.flatnonzero(~np.all([part.known.have for part in parts], axis=0))
    lacks = [~part.known.have[rows] for part in parts]
    side, channels, whole, resample = parts[0].view
    names = [shas[row] for row in rows.tolist()]
    done = 0
    progress(LABEL, done, len(names))
    with ExitStack() as stack:
        writers = [stack.enter_context(closing(PartWriter(part.folder, part.known))) for part in parts]
        size = frozen.batch_size(where, light=all(part.light for part in parts))
        stream = stream_arrays(root, names, ArraySpec(side, channels), size, whole=whole, resample=resample)
        stack.enter_context(closing(stream))
        # importing and loading a network takes seconds; the first images are decoded meanwhile
        loader = stack.enter_context(ThreadPoolExecutor(1, "networks"))
        loading = [loader.submit(frozen.load_frozen, part.source.name, where, progress) for part in parts]
        for images in stream:
            batch = slice(done, done + len(images))
            for load, writer, lack in zip(loading, writers, lacks, strict=True):
                trunk = load.result()
                wanted = np.flatnonzero(lack[batch])
                if len(wanted):
                    pixels = torch.from_numpy(images[wanted])
                    features = frozen.features_of(trunk, pixels, where, train.precision)
                    writer.add([names[done + row] for row in wanted], _half(features))
            done += len(images)
            progress(LABEL, done, len(names))


def _half(features: torch.Tensor) -> NDArray[np.float16]:
    return features.clamp(-_LIMIT, _LIMIT).numpy().astype(np.float16)
