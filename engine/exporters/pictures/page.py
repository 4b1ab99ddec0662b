"""The map as one HTML file: zoom, hover and play the epochs in a browser, without a connection."""

from __future__ import annotations

import base64
import html as markup
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from engine.exporters.pictures.layout import FADE_KEY, STAR_KEY, star_corners
from engine.exporters.pictures.scene import COLOURS, LEVELS, Scene
from engine.exporters.pictures.words import one_line

MOST_POINTS = 20_000
"""Above this, a browser gets slow: a sample is shown."""
LEAST_UNLABELED = 2_000
"""So many unlabeled images stay in the sample however many are labeled."""
_PAGE = Path(__file__).with_name("page.html")
_STEPS = 32_000
"""Positions are whole numbers from -_STEPS to _STEPS."""


def html(scene: Scene, report: Callable[[float], None] = lambda share: None) -> bytes:
    """Return one self-contained page, UTF-8, that fetches nothing.

    Above 20,000 images it shows a fixed sample (seed 0) with all labeled ones and says so; counts are of all images.
    """
    rows = sample(scene)
    about = scene.amount_text()
    if len(rows) < scene.n:
        about += f"; points: {len(rows):,}, all labeled images and a random sample of the others"
    data = _data(scene, rows, report)
    values = {
        "theme": "dark" if scene.dark else "light",
        "title": markup.escape(one_line(scene.title)),
        "about": markup.escape(about),
        "star": "M" + " ".join(f"{x:.2f} {y:.2f}" for x, y in star_corners(6.6)) + "z",
        "unlabeled": STAR_KEY if scene.epochs else "unlabeled",
        "fade": FADE_KEY if scene.epochs and scene.fade else "",
        "plotly": get_plotlyjs(),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    page = re.sub(r"@@(\w+)@@", lambda found: values[found[1]], _PAGE.read_text(encoding="utf-8"))
    report(1.0)
    return page.encode("utf-8")


def sample(scene: Scene) -> NDArray[np.int64]:
    """Return the rows (M,) to show, rising: all, or all labeled ones and as many others as there is room for."""
    if scene.n <= MOST_POINTS:
        return np.arange(scene.n)
    labeled, others = np.flatnonzero(scene.label >= 0), np.flatnonzero(scene.label < 0)
    room = min(len(others), max(MOST_POINTS - len(labeled), LEAST_UNLABELED))
    chosen = np.random.default_rng(0).choice(others, room, replace=False)
    return np.sort(np.concatenate([labeled, chosen]))


def _data(scene: Scene, rows: NDArray[np.int64], report: Callable[[float], None]) -> dict[str, Any]:
    """Everything the page reads. Numbers of points are packed: little-endian, base64."""
    place = np.full(scene.n, -1)
    place[rows] = np.arange(len(rows))
    order = place[scene.order()]
    levels = []
    for frame in range(scene.frames):
        levels.append(scene.levels(frame)[rows])
        report(0.5 * (frame + 1) / scene.frames)
    return {
        "classes": [one_line(name) for name in scene.classes],
        "colours": COLOURS,
        "slots": scene.slots().tolist(),
        "opacities": LEVELS,
        "epochs": list(scene.epochs),
        "frames": scene.frames,
        "accuracy": list(scene.accuracy) if scene.accuracy is not None else None,
        "unknown": scene.unknown_text,
        "legend": _legend(scene),
        "order": order[order >= 0].tolist(),
        "places": _packed(_whole(scene.xy, rows), "<i2"),
        "label": _packed(scene.label[rows], "<i2"),
        "pseudo": _packed(scene.pseudo[:, rows], "<i2"),
        "levels": _packed(np.stack(levels), "u1"),
    }


def _whole(xy: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Positions of the rows kept as whole numbers; one scale for both axes and all frames."""
    flat = xy.reshape(-1, 2).astype(np.float64)
    low, high = flat.min(axis=0), flat.max(axis=0)
    reach = float(np.max(high - low)) / 2 or 1.0
    away = xy[..., rows, :].astype(np.float64) - (low + (high - low) / 2)
    return np.asarray(np.rint(away / reach * _STEPS), np.float64)


def _legend(scene: Scene) -> list[dict[str, Any]]:
    counts = np.stack([scene.counts(frame) for frame in range(scene.frames)])
    return [
        {
            "name": one_line(entry.name),
            "slot": entry.slot,
            "classes": entry.classes,
            "counts": counts[:, list(entry.classes)].sum(axis=1).tolist(),
        }
        for entry in scene.legend(0)
    ]


def _packed(numbers: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers.astype(kind)).tobytes()).decode("ascii")
