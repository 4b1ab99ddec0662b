"""File and folder names that every common system accepts, distinct also where case is ignored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable

_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_NOT_CLASSES = frozenset(
    {"unlabeled", "unlabelled", "nolabel", "nolabels", "notlabeled", "notlabelled", "unannotated", "withoutlabel"}
    | {"withoutlabels", "nichtgelabelt", "ohnelabel", "sinetiqueta", "sansétiquette", "macosx"}
)
"""Folders that importers skip or read as “no label”, casefolded, without marks between words."""
_LONGEST = 180  # bytes of UTF-8; leaves room for a collision's suffix below the usual 255

SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG XL": (".jxl",),
    "DICOM": (".dcm", ".dicom"),
}
"""Suffixes of each format; the first is given to a file that has none of them."""

_IMAGE_SUFFIXES = frozenset(suffix for group in SUFFIXES.values() for suffix in group) | {
    ".jpe",
    ".jfif",
    ".dib",
    ".apng",
}


def collision_key(name: str) -> str:
    """Return what two names share where a file system ignores case or Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def stem_key(name: str) -> str:
    """Return the collision key of a file name without its suffix, for formats that name an image by its stem."""
    return collision_key(_parted(name)[0])


def folder_name(text: str) -> str:
    """Return a folder name for a class or split.

    Forbidden and control characters, a leading dot and each trailing dot or space become "_"; a device name
    (CON) and a name that importers skip or read as "no label" get "_" at the end.
    """
    name = _shortened(_plain(text), _LONGEST)
    stem = name.rstrip(". ")
    name = stem + "_" * (len(name) - len(stem))
    if re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name).casefold()) in _NOT_CLASSES:
        name += "_"
    return _not_a_device(_visible(name))


def file_name(path: str, image_format: str) -> str:
    """Return the last part of an original path as a file name with a suffix of its true format.

    A suffix that already fits is kept as it is written; another image suffix is replaced; anything else after
    a dot belongs to the name and the suffix is added.
    """
    base = _visible(_plain(path.replace("\\", "/").rsplit("/", 1)[-1]).rstrip(". "))
    fitting = SUFFIXES.get(image_format.upper(), ())
    stem, dot, end = base.rpartition(".")
    suffix = f".{end}" if dot and stem else ""
    if not suffix or suffix.lower() not in _IMAGE_SUFFIXES:
        stem, suffix = base, ""
    if fitting and suffix.lower() not in fitting:
        suffix = fitting[0]
    stem = _shortened(stem, _LONGEST - len(suffix.encode()))
    return _not_a_device(stem + suffix)


def class_folders(classes: Iterable[str]) -> dict[str, str]:
    """Return a distinct folder name for each class.

    Classes whose name is a valid folder name keep it; the others yield, with "-2", "-3" … where they collide.
    The result depends on the set of classes, not on their order.
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(classes), key=lambda name: (folder_name(name) != name, name)):
        folders[name] = distinct(folder_name(name), taken)
        taken.add(collision_key(folders[name]))
    return folders


def distinct(name: str, taken: Collection[str], first: str = "2", key: Callable[[str], str] = collision_key) -> str:
    """Return `name` or, if its key is in `taken`, the first of its variants whose key is not.

    Variants: `name-<first>`, then `name-<first>-2`, `-3` …; when first is "2" plainly `name-2`, `name-3` ….
    The addition goes before the suffix of a file name.
    """
    if key(name) not in taken:
        return name
    stem, suffix = _parted(name)
    candidate, turn = f"{stem}-{first}{suffix}", 2
    while key(candidate) in taken:
        tail = f"{first}-{turn}" if first != "2" else str(turn + 1)
        candidate, turn = f"{stem}-{tail}{suffix}", turn + 1
    return candidate


def _parted(name: str) -> tuple[str, str]:
    """The stem of a file name and the suffix of an image; "" where it has none."""
    stem, dot, end = name.rpartition(".")
    return (stem, f".{end}") if dot and f".{end}".lower() in _IMAGE_SUFFIXES else (name, "")


def _plain(text: str) -> str:
    return "".join("_" if c in _FORBIDDEN or unicodedata.category(c) in {"Cc", "Cs"} else c for c in text)


def _visible(name: str) -> str:
    if not name:
        return "_"
    return "_" + name[1:] if name.startswith(".") else name


def _not_a_device(name: str) -> str:
    stem, dot, rest = name.partition(".")
    return f"{stem}_{dot}{rest}" if stem.rstrip(" ").lower() in _DEVICES else name


def _shortened(name: str, limit: int) -> str:
    return name.encode()[:limit].decode(errors="ignore")
