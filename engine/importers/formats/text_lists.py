"""What label lists in plain text share: their lines, files named without their folder or ending, splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from engine.errors import ImportRefused
from engine.importers.containers import PICTURES
from engine.importers.contents import MEGABYTE
from engine.importers.labeling import split_of
from engine.importers.name_index import MISSING
from engine.importers.names import name_key, shown
from engine.importers.source_view import SourceView

MAX_BYTES = 64 * MEGABYTE
_SPLIT_START = re.compile(r"([A-Za-z]+)(?=$|[-_.0-9])")
_FOLDERS = ("images", "img", "imgs", "data", "JPEGImages")


def text_of(source: SourceView, name: str) -> str:
    """Return the text of a list.

    Raises:
        ImportRefused: it is too large, or in an encoding that is not known.
    """
    size = source.files[name].stat().st_size
    if size > MAX_BYTES:
        raise ImportRefused(f"A list is larger than {MAX_BYTES // MEGABYTE} MB", value=shown(name), way_out="Split it.")
    return source.text(name)


def lines_of(source: SourceView, name: str) -> Iterator[tuple[int, str]]:
    """Yield line number and text of the lines that are neither blank nor start with “#”; see `text_of`."""
    for number, line in enumerate(text_of(source, name).split("\n"), start=1):
        text = line.strip("\r\n\ufeff ")
        if text.strip() and not text.startswith("#"):
            yield number, text


def find_file(source: SourceView, path: str, folder: str) -> tuple[str | None, str | None]:
    """Return (name, None) of the file that a list calls `path`, or (None, why not).

    Tried: as any table's cell is; below a folder of images beside the list; without an ending, where one image of the
    source has that name and any ending.

    Args:
        source: where the file is looked for.
        path: as the list says it.
        folder: the list's own, "" at the top.
    """
    name, missing = source.index.find(path, folder)
    if name is not None or missing == "the file name is empty" or ".." in path.replace("\\", "/").split("/"):
        return name, missing
    plain = path.replace("\\", "/").removeprefix("./").lstrip("/")
    parents = folder.split("/") if folder else []
    for depth in range(len(parents), -1, -1):
        for below in _FOLDERS:
            candidate = "/".join((*parents[:depth], below, plain))
            if candidate in source.taken:
                return candidate, None
    if missing != MISSING or plain.lower().endswith(PICTURES):
        return None, missing
    base = name_key(plain.rpartition("/")[2])
    ending = f"/{name_key(plain)}"
    alike = [
        one for one in _bases(source).get(base, ())[:1000] if _without_ending(f"/{name_key(one)}").endswith(ending)
    ]
    if len(alike) == 1:
        return alike[0], None
    return None, "several files have this name" if alike else missing


def stems_of(source: SourceView) -> Mapping[str, list[str]]:
    """Return the images by their name without its last ending."""

    def collect() -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in source.images:
            found[_without_ending(name)].append(name)
        return found

    return source.once("images without ending", collect)


def _bases(source: SourceView) -> Mapping[str, list[str]]:
    def collect() -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in source.images:
            found[name_key(_without_ending(name.rpartition("/")[2]))].append(name)
        return found

    return source.once("images by stem", collect)


def _without_ending(name: str) -> str:
    base, dot, _ = name.rpartition(".")
    return base if dot and not base.endswith("/") else name


def split_in(name: str) -> str:
    """Return the split that a file's name or one of its folders says: of “data/train-00000-of-00004”, "train"."""
    for part in reversed(name.split("/")):
        match = _SPLIT_START.match(part)
        if match is not None and (split := split_of(match[1]) or split_of(part.rpartition(".")[0] or part)):
            return split
    return ""
