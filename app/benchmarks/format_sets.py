"""The sets that `starling bench formats` sends round: digits, photos, images of odd names, and very many classes.

Each becomes a project with labeled and unlabeled images, a copy under another name, and a class that has no image and
stands where sorting would not put it, so that an order of classes can be told from a sorted one.
"""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.benchmarks.photos import sets_in
from engine.errors import SourceMissing
from engine.importers.scan import ImportSource
from engine.project.opened import Project

SPLITS = ("train", "train", "train", "val", "test")
PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp"})
UNLABELED_IN = 10
"""One image in so many has no label."""
LAST_CLASS = "0 none of these"
"""A class without an image, made last though it sorts first."""
ODD_CLASSES = (
    "cat", "Cat", "CAT ", "étude", unicodedata.normalize("NFD", "élan"), "猫", "日本 語", "Größe", "ﬁn", "🐦", "👩🏽‍🚀",
    "a/b", "a_b", "a:b", "a\\b", "a|b", "xy.", "xy", "..", ".", ".hidden", "two  spaces", "CON", "nul", "com1.x",
    "_unlabeled", "unlabeled", "no_label", "__MACOSX", "train", "val", "test", "images", "data", "007", "7", "7.0",
    "1e3", "0", "-1", "true", "nan", "NaN", "None", "null", "NA", "n/a", "-", "?", "=1+1", "+1", "@sum", "#1", "# 2",
    "//", "a,b", "semi;colon", "q\"uote", "o'clock", "`tick`", "<b>", "&amp;", "%s", "100%", "%20",
    "[x]*", "{y}", "(z)", "$HOME", "~", "--help", "_x0041_", "cat.png", "labels.csv", "2024-05-01", "1 dog", "2 owl",
    "l" * 200, "ß" * 200, "n01440764 tench", "cat|dog",
)  # fmt: skip
"""Class names that must keep apart and come back the same."""
ODD_FILES = (
    "same.png", "Same.PNG", "SAME.png", "same.png.png", "a.b.c.png", "é.png", unicodedata.normalize("NFD", "é.png"),
    "猫 1.png", "🐦.png", "two  spaces.png", "100%.png", "%20.png", "a+b&c=d.png", "[x]{y}.png", "q'uote.png",
    'q"uote.png', "com,ma.png", "semi;colon.png", "007.png", "7.png", "nan.png", "con.png", "#1.png", "=1+1.png",
    "-x.png", "n" * 200 + ".png", "no ending",
)  # fmt: skip
"""File names; several of a folder collide where case or accents do not count, or without their ending."""

Row = tuple[str, bytes, str, str]
"""Path, data, label ("" for none) and split ("" for none) of an image."""


def digits(count: int) -> Iterator[Row]:
    """Yield scikit-learn's handwritten digits as PNGs of 16 × 16, in splits: Ultralytics wants at least 10 × 10."""
    from sklearn.datasets import load_digits

    held = load_digits()
    for number, (pixels, label) in enumerate(zip(held.images[:count], held.target[:count], strict=True)):
        split = SPLITS[number % len(SPLITS)]
        unlabeled = number % UNLABELED_IN == 9
        data = _png((pixels * 15).astype(np.uint8).repeat(2, 0).repeat(2, 1))
        yield f"{split}/{number:04}.png", data, "" if unlabeled else str(label), split


def photos(folder: Path, count: int) -> Iterator[Row]:
    """Yield photos of a folder of class folders, drawn evenly, in no splits.

    Raises:
        SourceMissing: it has no class folder with images.
    """
    found = {
        path.name: sorted(one for one in path.rglob("*") if one.suffix.lower() in PHOTOS)
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.is_dir()
    }
    found = {name: files for name, files in found.items() if files}
    if not found:
        raise SourceMissing(
            "There are no folders of photos, one a class", value=folder, way_out="Give such a folder with --data."
        )
    drawn = [(name, file) for name, files in found.items() for file in files[: -(-count // len(found))]][:count]
    for number, (name, file) in enumerate(drawn):
        unlabeled = number % UNLABELED_IN == 9
        yield file.relative_to(folder).as_posix(), file.read_bytes(), "" if unlabeled else name, ""


def odd() -> Iterator[Row]:
    """Yield small images of odd class names and odd, colliding file names, two of each class, in splits."""
    for number in range(2 * len(ODD_CLASSES) + len(ODD_CLASSES) // UNLABELED_IN):
        label = ODD_CLASSES[number // 2] if number < 2 * len(ODD_CLASSES) else ""
        folder = ("", "dir/", "Dir/", "dir/deep/", "per cent %25/")[number % 5]
        name = ODD_FILES[number // 5 % len(ODD_FILES)]
        again = f"{number // 5 // len(ODD_FILES)}/" if number // 5 >= len(ODD_FILES) else ""
        yield f"{folder}{again}{name}", _numbered(number), label, SPLITS[number % len(SPLITS)]


def many(classes: int, unlabeled: int) -> Iterator[Row]:
    """Yield small images, each of a class of its own, and as many unlabeled ones as wanted."""
    for number in range(classes + unlabeled):
        yield f"{number % 100:02}/{number:06}.png", _numbered(number), _many_name(number, classes), ""


def _many_name(number: int, classes: int) -> str:
    return "" if number >= classes else f"{'Genus' if number % 2 else '属'} {number // 50}/species {number}"


def sets(
    names: Iterable[str], data: Path | None, images: tuple[int, int, int, int]
) -> dict[str, Callable[[], Iterable[Row]]]:
    """Return what makes the rows of each set, by what it is called.

    Args:
        names: of "digits", "photos", "odd" and "many".
        data: a folder of class folders of photos, or a folder of such; None leaves out the photos.
        images: how many digits, photos of a folder, classes of many, and unlabeled ones of these.
    """
    found: dict[str, Callable[[], Iterable[Row]]] = {}
    for name in names:
        if name == "digits":
            found["digits"] = partial(digits, images[0])
        elif name == "photos":
            for folder in sets_in(data) if data is not None else ():
                found[f"photos of {folder.name}"] = partial(photos, folder, images[1])
        elif name == "odd":
            found["odd names"] = odd
        elif name == "many":
            found[f"{images[2]:,} classes"] = partial(many, images[2], images[3])
    return found


def project_of(rows: Sequence[Row], root: Path) -> None:
    """Make a project of the rows at a folder, which is made: they come in as a zip with a COCO file for each split."""
    classes = list(dict.fromkeys(label for _, _, label, _ in rows if label))
    number = {label: at for at, label in enumerate(classes)}
    pack = root.with_suffix(".zip")
    with zipfile.ZipFile(pack, "w") as archive:
        for path, data, _, _ in rows:
            archive.writestr(path, data)
        archive.writestr(f"copies/{Path(rows[0][0]).name}", rows[0][1])
        for split in sorted({split for *_, split in rows}):
            mine = [(at, path, label) for at, (path, _, label, own) in enumerate(rows) if own == split]
            about = {
                "images": [{"id": at, "file_name": path} for at, path, _ in mine],
                "annotations": [{"image_id": at, "category_id": number[label]} for at, _, label in mine if label],
                "categories": [{"id": at, "name": label} for label, at in number.items()],
            }
            archive.writestr(f"labels/{split or 'all'}.json", json.dumps(about))
    with Project.create(root, root.name) as project:
        project.imports.commit(project.imports.scan(ImportSource("zip", pack)))
        project.labels.add_class(LAST_CLASS)
    pack.unlink()


def _numbered(number: int) -> bytes:
    """A different small image for each number."""
    return _png(np.full((12, 12, 3), (number % 256, number // 256, 7), np.uint8))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
