"""Where a fixed map's features come from: the pixels, a pretrained network, or the final model of a round.

Sources are written "pixels", "pretrained-<torchvision name>" and "round-<number>". A round that trained on frozen
features has no features of its own; its map is made of the frozen ones. torch is loaded only where features of a
network are computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engine import whole
from engine.digests import Digests
from engine.errors import ConfigError, MapError, ProjectCorrupt
from engine.files import write_atomic
from engine.images.array_cache import ArraySpec, build_arrays
from engine.maps.features import Basis
from engine.nets.net_name import NetName
from engine.records.progress import Progress
from engine.rounds.folder import results
from engine.rounds.folder.plan import read_config, round_folder

if TYPE_CHECKING:
    from engine.training.config import TrainConfig

PIXELS = "pixels"
FEATURES = "features.npy"
BASIS = "basis.npz"
DIGESTS = Digests("the map", "Compute the map anew.")
"""Of a finished map; while one is computed it has none."""
LABEL = "Looking with the round's model"
_PATTERN = re.compile(r"pixels|pretrained-[a-z0-9_]+|round-[1-9][0-9]{0,8}")
_CLASSICAL = "classical_self_training"
_AT_ONCE = 1024


def check(source: str) -> None:
    """Raise ConfigError unless this is the name of a source."""
    if not _PATTERN.fullmatch(source):
        raise ConfigError(
            "Unknown source of map features",
            value=source,
            way_out='Use "pixels", "pretrained-<torchvision network>" or "round-<number>".',
        )


def round_number(source: str) -> int | None:
    """Return the round a source stands for, None when it is no round."""
    return int(source.removeprefix("round-")) if source.startswith("round-") else None


def identity(root: Path, source: str) -> str:
    """Return what tells this source's features from those of the same name at another time.

    Raises:
        ConfigError: there is no such source.
        MapError: the round is not complete, or its algorithm trains no network.
    """
    check(source)
    folder = _round_folder(root, source)
    if folder is None:
        return source
    try:
        plan, report = read_config(folder), results.read_report(folder)
    except FileNotFoundError as error:
        raise MapError(
            "The features of a round are those of its final model, and this one has none yet",
            value=source,
            way_out="Let the round finish, or resume it.",
        ) from error
    if report.algorithm == _CLASSICAL and not NetName.parse(_net(plan)).is_frozen:
        raise MapError(
            "Classical self-training trains no network, so it has no features of its own",
            value=source,
            way_out='Use "pixels", which is what it looked at, or a round that trains a network.',
        )
    return f"{source} {report.checkpoint.sha256}"


def stamp(root: Path, source: str, spec: ArraySpec) -> str:
    """Return what the numbers of the features depend on besides the images; may fetch a network's weights.

    Args:
        root: the project's folder.
        source: what the features come from.
        spec: size and channels of pixels that are compared.

    Raises:
        ConfigError: no such source or network, or its weights are not to be had.
        MapError: as in `identity`.
    """
    known = identity(root, source)
    if known == PIXELS:
        return f"{known} {spec.size} {spec.channels}"
    train = _frozen(root, source)
    if train is None:
        return known
    from engine.rounds.worker import feature_cache

    return f"{known} {feature_cache.weights_stamp(train.net)}"


def features(root: Path, source: str, spec: ArraySpec, shas: Sequence[str], progress: Progress) -> NDArray[Any]:
    """Return the source's features of images of the project, one row (N, D) each; pixels are read from the disk.

    Args:
        root: the project's folder.
        source: what the features come from.
        spec: size and channels of pixels that are compared.
        shas: (N,) SHA-256 of each image.
        progress: told while images are prepared and looked at; may raise to stop.

    Raises:
        ConfigError: no such source or network, or its weights are not to be had.
        MapError: the round is not complete or has no features.
        DecodeError: an original is gone, changed or unreadable.
    """
    if identity(root, source) == PIXELS:
        return build_arrays(root, shas, spec, progress).reshape(len(shas), -1)
    train, folder = _frozen(root, source), _round_folder(root, source)
    if train is None and folder is not None:
        return _round_features(root, folder, shas, progress)
    assert train is not None
    from engine.rounds.worker import feature_cache
    from engine.training import device

    where = device.resolve("cpu" if train.device == "cpu" else "auto")
    return np.asarray(feature_cache.project_features(root, shas, train, where, progress).numpy())


@dataclass(frozen=True)
class Components:
    """What a map was laid out by: features (N, k) float32, the basis that gives them, and the stamps they belong to;
    `previous` names the map whose basis it is, "" when it is the map's own."""

    features: NDArray[np.float32]
    basis: Basis
    stamp: str
    previous: str = ""

    def write(self, folder: Path) -> None:
        """Write features.npy and basis.npz; the second counts only with the first, so it is written last."""
        (folder / BASIS).unlink(missing_ok=True)

        def fill_features(path: Path) -> None:
            with open(path, "wb") as handle:
                np.save(handle, self.features)

        def fill_basis(path: Path) -> None:
            with open(path, "wb") as handle:
                np.savez(
                    handle, mean=self.basis.mean, axes=self.basis.axes, scale=np.array(self.basis.scale),
                    stamp=np.array(self.stamp), previous=np.array(self.previous),
                )  # fmt: skip

        write_atomic(folder / FEATURES, fill_features)
        write_atomic(folder / BASIS, fill_basis)


def read_components(folder: Path) -> Components | None:
    """Return what was written into a map's folder, the features memory-mapped; None when it is not all there, or not
    what was written."""
    try:
        for name in (BASIS, FEATURES):
            DIGESTS.check(folder, name)
        with open(folder / BASIS, "rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            basis = Basis(arrays["mean"], arrays["axes"], float(arrays["scale"]))
            stamp, previous = str(arrays["stamp"]), str(arrays["previous"])
        rows = whole.mapped(folder / FEATURES)
    except (ProjectCorrupt, OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    return Components(rows, basis, stamp, previous)


def _round_features(root: Path, folder: Path, shas: Sequence[str], progress: Progress) -> NDArray[np.float32]:
    """Penultimate features (N, D) under the model that the round's report measures."""
    import torch

    from engine.rounds.worker import apply
    from engine.training import device, evaluate

    plan = read_config(folder)
    where = device.resolve("cpu" if plan["train"].get("device") == "cpu" else "auto")
    model = apply.final_run(folder, where, progress)[0].eval_model()
    images = torch.from_numpy(build_arrays(root, shas, ArraySpec(**plan["spec"]), progress))
    batches = []
    for start in range(0, len(shas), _AT_ONCE):
        progress(LABEL, start, len(shas))
        rows = torch.arange(start, min(start + _AT_ONCE, len(shas)))
        batches.append(evaluate.features(model, images, rows, where))
    return np.asarray(torch.cat(batches).numpy())


def _frozen(root: Path, source: str) -> TrainConfig | None:
    """Settings that name the pretrained network whose features these are; None when they are a round's own."""
    from engine.training.config import TrainConfig, settings_from

    folder = _round_folder(root, source)
    if folder is None:
        return TrainConfig(net=str(NetName("frozen", source.removeprefix("pretrained-"))))
    plan = read_config(folder)
    return settings_from(TrainConfig, plan["train"]) if NetName.parse(_net(plan)).is_frozen else None


def _net(plan: Mapping[str, Any]) -> str:
    return str(plan["train"].get("net", ""))


def _round_folder(root: Path, source: str) -> Path | None:
    number = round_number(source)
    return None if number is None else round_folder(root, number)
