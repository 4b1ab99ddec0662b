"""Photos without a label as a person would bring them: pieces of two of scikit-learn's, cut at four places.

STARLING_PHOTOS names folders of class folders to try the tests on besides, separated by colons.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from engine.importers.scan import ImportSource
from engine.project.opened import Project

MORE_PHOTOS = [Path(one) for one in os.environ.get("STARLING_PHOTOS", "").split(":") if one]
IMAGES = 300
PLACES = {"roof": (0, (0, 60, 640, 250)), "stairs": (0, (0, 250, 640, 427)),
          "petals": (1, (150, 80, 480, 350)), "leaves": (1, (0, 0, 190, 427))}  # fmt: skip
"""Where the pieces of a class are cut: the photo, and left, top, right, bottom in it."""


def cut(folder: Path) -> dict[str, str]:
    """Write pieces of two photos, turned, mirrored and lit at random; return the class of each by its file name."""
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng, truth = np.random.default_rng(0), {}
    folder.mkdir()
    for number in range(IMAGES):
        name = list(PLACES)[number % len(PLACES)]
        which, (left, top, right, bottom) = PLACES[name]
        side = int(rng.integers(70, 130))
        x, y = int(rng.integers(left, right - side)), int(rng.integers(top, bottom - side))
        piece = photos[which].crop((x, y, x + side, y + side)).rotate(float(rng.uniform(-15, 15)))
        pixels = np.clip(np.asarray(piece) * rng.uniform(0.6, 1.3), 0, 255).astype(np.uint8)
        truth[f"{number:04d}.png"] = name
        Image.fromarray(pixels[:, :: int(rng.choice([-1, 1]))]).save(folder / f"{number:04d}.png")
    return truth


def drawn(classes: Path, folder: Path) -> dict[str, str]:
    """Copy photos drawn at random from the class folders in `classes`; return the class of each by its file name."""
    files = sorted(path for path in classes.glob("*/*") if path.is_file())
    truth = {}
    folder.mkdir()
    for number, which in enumerate(np.random.default_rng(0).permutation(len(files))[:IMAGES]):
        name = f"{number:04d}{files[which].suffix}"
        truth[name] = files[which].parent.name
        shutil.copy(files[which], folder / name)
    return truth


def photo_project(folder: Path, classes: Path | None = None) -> tuple[Path, dict[str, str]]:
    """Import such photos, or some of `classes`, without a label; return the project's folder and the class by name."""
    truth = drawn(classes, folder / "photos") if classes else cut(folder / "photos")
    root = folder / "home" / "photos"
    root.parent.mkdir()
    with Project.create(root, "Photos") as project:
        project.imports.commit(project.imports.scan(ImportSource("folder", folder / "photos")))
    return root, truth
