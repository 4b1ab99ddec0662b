"""Imported projects, made once a test run and copied: an import decodes every image in processes of its own."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.importers.scan import ImportSource
from engine.project.opened import Project

Pictures = Mapping[str, NDArray[np.uint8]]


class ReadyProjects:
    """Projects in a folder that all workers of a test run share, by what they hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, pictures: Pictures, target: Path) -> Path:
        """Put a project of these pictures into `target`, named like it, and return `target`.

        Args:
            pictures: path in the imported zip → pixels (H, W) or (H, W, 3); the folder is the label, or says none.
            target: a folder that does not exist.
        """
        ready = self._folder / _key(target.name, pictures)
        if not ready.exists():
            self._make(target.name, pictures, ready)
        shutil.copytree(ready, target)
        return target

    def _make(self, name: str, pictures: Pictures, ready: Path) -> None:
        self._folder.mkdir(exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=self._folder))
        with Project.create(aside / name) as project:
            source = ImportSource("zip", write_zip(aside / "pictures.zip", pictures))
            project.imports.commit(project.imports.scan(source))
        try:
            (aside / name).rename(ready)
        except OSError:
            assert ready.exists()  # another worker was first
        shutil.rmtree(aside)


def write_zip(path: Path, pictures: Pictures) -> Path:
    """Write the pictures as PNG, in their order."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, pixels in pictures.items():
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG")
            archive.writestr(name, out.getvalue())
    return path


def grey(side: int, shades: Mapping[str, int]) -> dict[str, NDArray[np.uint8]]:
    """Square pictures of one shade each."""
    return {name: np.full((side, side), shade, np.uint8) for name, shade in shades.items()}


def noisy_pets(labeled: int, free: int, classes: tuple[str, str]) -> dict[str, NDArray[np.uint8]]:
    """8×8 pictures of noise: labeled ones of either class in turn, then those without a label."""
    folders = [*(classes[number % 2] for number in range(labeled)), *["no_label"] * free]
    return {
        f"{folder}/{number:03}.png": np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
        for number, folder in enumerate(folders)
    }


def _key(name: str, pictures: Pictures) -> str:
    digest = hashlib.sha256(name.encode())
    for path, pixels in pictures.items():
        digest.update(f"{path} {pixels.shape} ".encode() + pixels.tobytes())
    return digest.hexdigest()[:16]
