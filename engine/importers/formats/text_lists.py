"""What label lists in plain text share: class names a line, files named without their folder or ending, splits."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import ImportRefused
from engine.importers.containers import PICTURES, class_names
from engine.importers.contents import MEGABYTE
from engine.importers.labeling import split_of
from engine.importers.name_index import MISSING
from engine.importers.names import label_flaw, name_key, shown
from engine.importers.source_view import SourceView, folder_of

_CLASS_LIST = re.compile(
    r"(classes|class[-_]?(names?|list|labels?)|categories|labels?|label[-_]?(names?|map)|synsets?|names|obj|dataset_infos?)"
    r"([-_].*)?\.(txt|names|json)"
)
MAX_BYTES = 64 * MEGABYTE
MOST_CLASSES = 100_000
_NUMBERED = re.compile(r"(\d{1,9})\s*[ \t,:;]\s*(\S.*)")
_SYNSET = re.compile(r"n\d{8}[ \t]+(\S.*)")
_NUMBER_LAST = re.compile(r"(\S.*?)\s*[ \t,:;]\s*(\d{1,9})")
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


def declared_names(source: SourceView, name: str) -> tuple[dict[int, str], str]:
    """Return the class names by the number that stands for them, of the list nearest to a file, and the list's name.

    A list is called classes, labels, categories or so, and is a class a line, counted from 0, or has the number before
    or after each; or it is JSON: a list, or by number, or as `datasets` describes a ClassLabel. Of two of one name JSON
    counts: it has no comments. Nothing is ({}, "").
    """
    folder = folder_of(name)
    endings = source.ending(".txt", ".names", ".json")
    lists = [one for one in endings if one != name and _CLASS_LIST.fullmatch(_base(one))]
    near = [one for one in lists if not folder_of(one) or f"{folder}/".startswith(f"{folder_of(one)}/")]
    for one in sorted(near, key=lambda one: (-len(folder_of(one)), len(_stem(one)), _stem(one), not _is_json(one))):
        names = numbered_names(source, one)
        if names:
            return names, one
    return {}, ""


def numbered_names(source: SourceView, name: str) -> dict[int, str]:
    """Return the class names that a list holds, by number; none where it is no such list."""

    def read() -> dict[int, str]:
        if _is_json(name):
            return _from_json(source.json(name))
        try:
            lines = _classes_of(text_of(source, name))
        except ImportRefused:
            return {}
        if len(lines) > MOST_CLASSES:
            return {}
        synsets = [_SYNSET.fullmatch(line) for line in lines]
        if lines and all(synsets):
            first = [match[1].partition(",")[0].strip() for match in synsets if match is not None]
            return dict(enumerate(first if len(set(first)) == len(first) else lines))
        if sum(source.index.find(line, folder_of(name))[0] is not None for line in lines[:20]):
            return {}  # a list of files
        for pattern, number, label in ((_NUMBERED, 1, 2), (_NUMBER_LAST, 2, 1)):
            matches = [match for line in lines if (match := pattern.fullmatch(line)) is not None]
            names = {int(match[number]): match[label].strip() for match in matches}
            if len(names) != len(lines) or not names:
                continue
            if pattern is _NUMBER_LAST and _are_files(source, name, names):
                return {}
            if pattern is _NUMBERED or max(names) - min(names) < len(names):
                return names
        return dict(enumerate(lines))

    names = source.once(f"class names {name}", read)
    distinct = len(set(names.values())) == len(names)  # a label an image repeats, a list of classes does not
    return names if distinct and all(label_flaw(label) is None for label in names.values()) else {}


def _classes_of(text: str) -> list[str]:
    """The lines of a list that are not blank; those at its top that start with “#” are comments, later ones classes."""
    lines = [line for one in text.split("\n") if (line := one.strip("\r\n\ufeff ").strip())]
    return list(itertools.dropwhile(lambda line: line.startswith("#"), lines)) or lines


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json")


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _are_files(source: SourceView, name: str, names: Mapping[int, str]) -> bool:
    return any(source.index.find(one, folder_of(name))[0] is not None for one in list(names.values())[:20])


def _from_json(held: Any) -> dict[int, str]:
    if isinstance(held, list) and held and len(held) <= MOST_CLASSES and all(isinstance(one, str) for one in held):
        return dict(enumerate(held))
    if not isinstance(held, dict):
        return {}
    if len(held) == 1 and isinstance(only := next(iter(held.values())), dict) and "features" in only:
        held = only  # dataset_infos.json: by configuration
    named = class_names(held.get("features"))
    if len(named) == 1:
        return dict(enumerate(next(iter(named.values()))))
    if isinstance(held.get("names"), list | dict):
        return _from_json(held["names"])
    if held and all(isinstance(one, str) for one in held.values()) and all(_whole(key) for key in held):
        return {int(key): one for key, one in held.items()}
    if held and all(isinstance(one, int) for one in held.values()) and len(set(held.values())) == len(held):
        return {number: key for key, number in held.items()}
    return {}


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _base(name: str) -> str:
    return name.rpartition("/")[2].casefold()


def split_in(name: str) -> str:
    """Return the split that a file's name or one of its folders says: of “data/train-00000-of-00004”, "train"."""
    for part in reversed(name.split("/")):
        match = _SPLIT_START.match(part)
        if match is not None and (split := split_of(match[1]) or split_of(part.rpartition(".")[0] or part)):
            return split
    return ""
