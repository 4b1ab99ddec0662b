"""Pictures of a few of the project's images, as they are and as training would change them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engine.errors import ConfigError
from engine.images.array_cache import ArraySpec, stream_arrays
from engine.project.advice import shapes
from engine.project.workspace import Workspace
from engine.records.labels import ImageItem
from engine.rounds.supervisor.prepare import array_spec
from engine.store import LabelTable
from engine.training.config import TrainConfig
from engine.training.settings import settings_from

CELL = 48
"""Least side in pixels of an image in a preview; smaller ones are enlarged by a whole number."""


LARGEST = 128
"""Pixels a side of a view in the preview's pictures, at most."""


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
    workspace: Workspace, train: Mapping[str, Any], count: int = 6, copies: int = 3, seed: int = 0
) -> AugmentationPreview:
    """Return the views that the settings ask for, of some images of the project.

    Args:
        workspace: the project's.
        train: the shared settings.
        count: how many images, labeled ones of different classes first.
        copies: views of each image and kind.
        seed: another one draws other images and other views.

    Raises:
        ConfigError: a setting is outside its range, or there are no images.
        DecodeError: an original is gone or changed.
    """
    from engine.augment.preview import preview

    items, table = workspace.items(), workspace.store.label_table()
    if not items:
        raise ConfigError("There are no images to show", way_out="Import some first.")
    settings = settings_from(TrainConfig, train)
    spec = array_spec(shapes(workspace.root, items).spec, settings)
    shown = tuple(item.sha256 for item in examples(items, table, count, seed))
    images = _pixels(workspace.root, shown, spec)
    views = preview(
        torch.from_numpy(images),
        weak=settings.augment,
        strong=settings.strong,
        ops=settings.rand_ops,
        magnitude=settings.rand_magnitude,
        copies=copies,
        seed=seed,
    ).numpy()
    parts = views[:, :1], views[:, 1 : 1 + copies], views[:, 1 + copies :]
    original, weak, strong = (_sheet(part) for part in parts)
    widths = original.width, weak.width, strong.width
    return AugmentationPreview(_png(original), _png(weak), _png(strong), widths)


_last_pixels: dict[tuple[Path, tuple[str, ...], ArraySpec], NDArray[np.uint8]] = {}


def _pixels(root: Path, shas: tuple[str, ...], spec: ArraySpec) -> NDArray[np.uint8]:
    """Return a few images (n, C, size, size) uint8; the last ones asked for are kept."""
    key = (root, shas, spec)
    pixels = _last_pixels.get(key)
    if pixels is None:
        try:
            pixels = np.concatenate([part.copy() for part in stream_arrays(root, shas, spec, len(shas), workers=1)])
        except OSError as error:
            raise ConfigError(
                "The preview could not be made",
                value=error.strerror,
                way_out="Free some space on the project's disk, and see that it can be written.",
            ) from error
        while len(_last_pixels) >= 4:
            _last_pixels.pop(next(iter(_last_pixels)), None)
        _last_pixels[key] = pixels
    return pixels


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
