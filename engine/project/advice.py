"""What a person who chooses a round is shown: what suits the project, how long it takes, how images are changed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.errors import ConfigError
from engine.images.array_cache import ArraySpec, recommend_spec, stream_arrays
from engine.jobs import timing
from engine.nets.backbones import check_name
from engine.nets.net_name import NetName
from engine.records.labels import ImageItem
from engine.rounds.supervisor.prepare import HELDOUT_SOURCES
from engine.store import LabelTable
from engine.training import device
from engine.training.config import TrainConfig
from engine.training.recommend import PHOTO_NET, DataFacts, Recommendation, recommend
from engine.training.settings import settings_from

WEIGHTS = (PHOTO_NET, "resnet18", "efficientnet_b0")
"""Pretrained networks whose presence is looked for."""
CELL = 48
"""Least side in pixels of an image in a preview; smaller ones are enlarged by a whole number."""


@dataclass(frozen=True)
class Shapes:
    """What the images of a project are like: median shorter side, whether all have one size, the training arrays."""

    images: int
    side: int
    one_size: bool
    spec: ArraySpec


LARGEST = 128
"""Pixels a side of a view in the preview's pictures, at most."""
_shapes: dict[tuple[Path, str], Shapes] = {}


def shapes(root: Path, items: Sequence[ImageItem]) -> Shapes:
    """Return what the images are like; looked at again only when there are more."""
    key = (root, items[-1].sha256 if items else "")
    found = _shapes.get(key)
    if found is None or found.images != len(items):
        sides = [min(item.width, item.height) for item in items]
        one_size = len({(item.width, item.height) for item in items}) == 1
        found = Shapes(len(items), int(median(sides)) if sides else 0, one_size, recommend_spec(items))
        _shapes[key] = found
    return found


def facts(root: Path, items: Sequence[ImageItem], table: LabelTable, classes: Sequence[str]) -> DataFacts:
    """Return what the rules of recommendation look at; rejected images do not count."""
    seen = shapes(root, items)
    kept = table.label[table.mark != "reject"]
    counts = Counter(label for label in kept if label is not None)
    return DataFacts(
        side=seen.side,
        one_size=seen.one_size,
        channels=seen.spec.channels,
        images=len(kept),
        labels={name: counts.get(name, 0) for name in classes},
        device=device.resolve("auto").type,
        cores=psutil.cpu_count(logical=False) or 1,
        weights=frozenset(name for name in WEIGHTS if weights_file(name).exists()),
    )


def recommendation(
    root: Path, items: Sequence[ImageItem], table: LabelTable, classes: Sequence[str]
) -> Recommendation | None:
    """Return what to train first; None while there is no image."""
    return recommend(facts(root, items, table, classes)) if items else None


def weights_file(name: str) -> Path:
    """Return where torch keeps the pretrained weights of a torchvision network, whether or not they are there."""
    import torchvision

    url = str(torchvision.models.get_model_weights(name).DEFAULT.url)
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def time_round(
    root: Path,
    items: Sequence[ImageItem],
    table: LabelTable,
    classes: int,
    settings: tuple[str, Mapping[str, Any], Mapping[str, Any]],
) -> timing.Timing:
    """Return about how long a round takes, as far as that is known; what is not is timed in the background.

    Args:
        root: the project's folder.
        items: its images.
        table: their labels.
        classes: how many classes there are.
        settings: the algorithm's key, its settings, the shared settings.

    Raises:
        ConfigError: a setting is outside its range.
    """
    asked = job(root, items, table, classes, settings)
    if asked is None:
        return timing.Timing(how="there are not enough labels yet", done=True)
    if weights_missing(settings_from(TrainConfig, settings[2])):
        return timing.Timing(how=NO_WEIGHTS, done=True)
    return timing.SHARED.ask(asked)


NO_WEIGHTS = "the network's weights are not on this machine yet; the round downloads them"


def weights_missing(train: TrainConfig) -> bool:
    """Return whether a network would have to download its weights first; an estimate never does.

    Raises:
        ConfigError: torchvision has no such network.
    """
    name = train.net.partition(":")[2]
    if not (NetName.parse(train.net).is_frozen or train.weights):
        return False
    check_name(name)
    return not weights_file(name).exists()


def job(
    root: Path,
    items: Sequence[ImageItem],
    table: LabelTable,
    classes: int,
    settings: tuple[str, Mapping[str, Any], Mapping[str, Any]],
) -> timing.Job | None:
    """Return what has to be timed for a round with these settings; None where nothing could be trained.

    The numbers of images are rounded to two digits, so that a few more labels ask for no new timing.
    """
    algorithm, config, train = settings
    shared = settings_from(TrainConfig, train)
    kept = table.mark != "reject"
    labeled = np.array([label is not None for label in table.label], bool) & kept
    eligible = labeled & np.isin(table.source.astype(str), list(HELDOUT_SOURCES))
    heldout = round(float(eligible.sum()) * shared.heldout_fraction)
    training = int(labeled.sum()) - heldout
    if training < 1 or classes < 2:
        return None
    spec = shapes(root, items).spec
    side = shared.image_size or spec.size
    counts = (training, heldout, int((kept & ~labeled).sum()))
    net = NetName.parse(shared.net)
    known = net.is_frozen and features_kept(root, net.base)
    return timing.Job(
        algorithm=algorithm,
        config=dict(config),
        train=dict(train),
        shape=(spec.channels, side, side),
        counts=(_rounded(counts[0]), _rounded(counts[1]), _rounded(counts[2]), classes),
        features_kept=known,
    )


def features_kept(root: Path, name: str) -> bool:
    """Return whether an earlier round has kept features of this network; of later images they may be missing."""
    return name.isidentifier() and any((root / "cache").glob(f"features-{name}-*/part-*.npz"))


def _rounded(count: int) -> int:
    step = int(10 ** max(len(str(count)) - 2, 0))
    return round(count / step) * step


def examples(items: Sequence[ImageItem], table: LabelTable, count: int, draw: int) -> list[ImageItem]:
    """Return `count` images to show, labeled ones of as many classes as there are first; another draw gives others."""
    rng = np.random.default_rng(draw)
    rows = rng.permutation(len(items))
    turn: Counter[str | None] = Counter()
    order = []
    for row in rows.tolist():
        label = table.label[row] if row < len(table.label) else None
        order.append((label is None, turn[label], row))
        turn[label] += 1
    return [items[row] for _, _, row in sorted(order)[:count]]


@dataclass(frozen=True)
class AugmentationPreview:
    """Three PNG pictures of the same images, one image a row: as they are, and some weak and strong views of each.

    All have the same height; shown at widths in proportion to `widths`, rows and cells line up.
    """

    original: bytes
    weak: bytes
    strong: bytes
    widths: tuple[int, int, int]


def augmentation_preview(
    root: Path, items: Sequence[ImageItem], table: LabelTable, train: Mapping[str, Any], size: tuple[int, int, int]
) -> AugmentationPreview:
    """Return the views that the settings ask for, of some images of the project.

    Args:
        root: the project's folder.
        items: its images.
        table: their labels.
        train: the shared settings.
        size: (images, views of each image and kind, seed).

    Raises:
        ConfigError: a setting is outside its range, or there are no images.
        DecodeError: an original is gone or changed.
    """
    from engine.augment.preview import preview

    if not items:
        raise ConfigError("There are no images to show", way_out="Import some first.")
    shared = settings_from(TrainConfig, train)
    count, copies, seed = size
    spec = shapes(root, items).spec
    spec = replace(spec, size=shared.image_size or spec.size)
    images = _pixels(root, tuple(item.sha256 for item in examples(items, table, count, seed)), spec)
    views = preview(
        torch.from_numpy(images),
        weak=shared.augment,
        strong=shared.strong,
        ops=shared.rand_ops,
        magnitude=shared.rand_magnitude,
        copies=copies,
        seed=seed,
    ).numpy()
    parts = views[:, :1], views[:, 1 : 1 + copies], views[:, 1 + copies :]
    original, weak, strong = (_sheet(part) for part in parts)
    widths = original.width, weak.width, strong.width
    return AugmentationPreview(_png(original), _png(weak), _png(strong), widths)


_kept: dict[tuple[Path, tuple[str, ...], ArraySpec], NDArray[np.uint8]] = {}


def _pixels(root: Path, shas: tuple[str, ...], spec: ArraySpec) -> NDArray[np.uint8]:
    """Return a few images (n, C, size, size) uint8; the last ones asked for are kept."""
    key = (root, shas, spec)
    found = _kept.get(key)
    if found is None:
        try:
            found = np.concatenate([part.copy() for part in stream_arrays(root, shas, spec, len(shas), workers=1)])
        except OSError as error:
            raise ConfigError(
                "The preview could not be made",
                value=error.strerror,
                way_out="Free some space on the project's disk, and see that it can be written.",
            ) from error
        while len(_kept) >= 4:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = found
    return found


def _sheet(views: NDArray[np.uint8]) -> Image.Image:
    """Return a picture of views (n, m, C, H, W): n rows, m columns, transparent gaps, a wide one on the right."""
    skip = max(1, -(-views.shape[-1] // LARGEST))
    views = views[..., ::skip, ::skip]
    scale = max(1, -(-CELL // views.shape[-1]))
    large = views.repeat(scale, -1).repeat(scale, -2)
    n, m, channels, height, width = large.shape
    gap = max(height // 24, 1)
    cell_h, cell_w = height + gap, width + gap
    sheet = np.zeros((n, cell_h, m, cell_w, 4), np.uint8)
    pixels = large.transpose(0, 3, 1, 4, 2)  # (n, H, m, W, C)
    sheet[:, :height, :, :width, :3] = pixels if channels == 3 else pixels.repeat(3, -1)
    sheet[:, :height, :, :width, 3] = 255
    whole = sheet.reshape(n * cell_h, m * cell_w, 4)
    return Image.fromarray(np.pad(whole, ((0, 0), (0, 4 * gap), (0, 0))), "RGBA")


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
