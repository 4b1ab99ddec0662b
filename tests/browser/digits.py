"""A zip of scikit-learn's digits as a person would make it: some in class folders, the rest without a label."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def digits_zip(path: Path, *, images: int = 600, labeled_each: int = 10) -> dict[str, int]:
    """Write `images` digits, the first `labeled_each` of every class labeled; return the true digit by file name."""
    data = load_digits()
    seen: dict[int, int] = {}
    truth = {}
    with zipfile.ZipFile(path, "w") as archive:
        for number, (pixels, digit) in enumerate(zip(data.images[:images], data.target[:images], strict=True)):
            seen[digit] = seen.get(digit, 0) + 1
            name = f"{number:04d}.png"
            folder = str(digit) if seen[digit] <= labeled_each else "_unlabeled"
            out = io.BytesIO()
            Image.fromarray(np.round(pixels * 255 / 16).astype(np.uint8)).save(out, "PNG")
            archive.writestr(f"{folder}/{name}", out.getvalue())
            truth[name] = int(digit)
    return truth
