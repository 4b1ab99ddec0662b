"""scikit-learn's digits as a person would bring them: some in class folders, the rest without a label."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from tests.ready_project import write_zip


def digit_pictures(images: int = 600, labeled_each: int = 10) -> dict[str, NDArray[np.uint8]]:
    """Return the first digits by path; the first `labeled_each` of every class lie in its folder."""
    data = load_digits()
    seen: Counter[int] = Counter()
    found = {}
    for number, (pixels, digit) in enumerate(zip(data.images[:images], data.target[:images], strict=True)):
        seen[digit] += 1
        folder = digit if seen[digit] <= labeled_each else "_unlabeled"
        found[f"{folder}/{number:04d}.png"] = np.round(pixels * 255 / 16).astype(np.uint8)
    return found


def digits_zip(path: Path, *, images: int = 600, labeled_each: int = 10) -> dict[str, int]:
    """Write the first digits as a zip; return the true digit by file name."""
    write_zip(path, digit_pictures(images, labeled_each))
    return {f"{number:04d}.png": int(digit) for number, digit in enumerate(load_digits().target[:images])}
