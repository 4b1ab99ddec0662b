"""Small map scenes, and how to read the pictures made of them."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from engine.exporters.pictures.scene import Scene

SMALL = (400, 320)
SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
NASTY = (
    "<script>alert(1)</script>", "]]>&amp;\"'", "Größe", "猫\nneko", "a\u202eb", "nul\x00l\ufffe", "half \ud800",
    "@@data@@", "%{x} <b>bold</b>", "x" * 3000,
)  # fmt: skip


def a_scene(n: int = 12, stops: int = 3, classes: int = 3, **changes: Any) -> Scene:
    """Every third image is labeled; pseudo-labels go round with the epoch, confidences rise with it."""
    rng = np.random.default_rng(5)
    label = np.where(np.arange(n) % 3 == 0, np.arange(n) % max(1, classes), -1).astype(np.int16)
    pseudo = (np.arange(n)[None] + np.arange(stops)[:, None]) % max(1, classes)
    confidence = np.broadcast_to(np.linspace(0.3, 1, max(1, stops))[:stops, None], (stops, n))
    values: dict[str, Any] = {
        "title": "Pets", "classes": tuple(f"class {k}" for k in range(classes)),
        "xy": rng.normal(size=(n, 2)).astype(np.float32), "label": label,
        "pseudo": np.where(label >= 0, -1, pseudo).astype(np.int16), "confidence": confidence.astype(np.float32),
        "epochs": tuple(range(1, stops + 1)), "accuracy": tuple(min(1.0, 0.5 + 0.1 * e) for e in range(stops)) or None,
    }  # fmt: skip
    return Scene(**(values | changes))


def two_points(**changes: Any) -> Scene:
    """A labeled point of class 0 at the left, an unlabeled one of class 1 at the right."""
    values: dict[str, Any] = {
        "title": "two", "classes": ("a", "b"), "xy": np.array([[-1, 0], [1, 0]], np.float32),
        "label": np.array([0, -1], np.int16), "pseudo": np.array([[-1, 1]], np.int16),
        "confidence": np.ones((1, 2), np.float32), "epochs": (4,),
    }  # fmt: skip
    return Scene(**(values | changes))


def moving(n: int = 1, stops: int = 3) -> Scene:
    """Unlabeled points that step from left to right; a labeled one at each end keeps the scale."""
    ends = np.array([[0, 0], [stops - 1, 0]])
    xy = np.stack([np.vstack([ends, np.full((n, 2), [e, 0.0])]) for e in range(stops)]).astype(np.float32)
    return Scene(
        title="moving", classes=("a", "b"), xy=xy, label=np.array([0, 0] + [-1] * n, np.int16),
        pseudo=np.tile(np.array([-1, -1] + [1] * n, np.int16), (stops, 1)),
        confidence=np.ones((stops, n + 2), np.float32), epochs=tuple(range(stops)),
    )  # fmt: skip


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def colour_at(image: Image.Image, place: np.ndarray) -> tuple[int, ...]:
    found = image.convert("RGB").getpixel((round(place[0] - 0.5), round(place[1] - 0.5)))
    assert isinstance(found, tuple)
    return found


def near(found: tuple[int, ...], wanted: str, away: int = 10) -> bool:
    return max(abs(a - b) for a, b in zip(found, ImageColor.getrgb(wanted), strict=True)) <= away


def page_data(page: bytes) -> dict[str, Any]:
    found = re.search(rb'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)
