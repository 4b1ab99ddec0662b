"""What a format may look at of a source whose files are staged: names, and what the files beside the images say."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from engine import garbage
from engine.errors import ImportRefused
from engine.importers.name_index import MISSING, NameIndex
from engine.importers.names import MAX_NAME_BYTES, shown

Made = TypeVar("Made")
SIDE_ENDINGS = (
    ".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".xml", ".xlsx", ".parquet", ".manifest", ".yaml",
    ".yml", ".names", ".cls", ".arrow", ".psv", ".xlsm", ".xls", ".xlsb", ".ods", ".numbers", ".md", ".lst", ".list",
)  # fmt: skip
"""Endings of files that may say what the images beside them are; they are kept until the import is decided."""
MOST_OBJECTS, MOST_VALUES = 10_000_000, 40_000_000
"""How many lists and objects, and how many values a JSON file may hold: some 2 GB of memory."""
_DEEPEST = 64
_PICTURE = "imageData"
"""Key under which LabelMe keeps the whole image as text, which would fill the memory."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A file with one JSON value a line: (line number, value), and the numbers of the lines that cannot be read."""

    records: tuple[tuple[int, Any], ...]
    damaged: tuple[int, ...]


@dataclass(frozen=True)
class SourceView:
    """A staged source.

    Attributes:
        images: names of the images that can be imported, sorted; a content that came under several names is there under
            each of them.
        names: names of all files, refused ones too.
        files: staged path of each file beside the images that may say what they are, by name.
        folders: names of all folders of the source that are known, empty ones too; at least those of `names`.
        records: by image name, what the container it came in says of it (`engine.importers.containers`).
        frames: by name of an image of which several frames are taken, their names; what is said of it holds for each.
    """

    images: tuple[str, ...]
    names: frozenset[str]
    files: Mapping[str, Path] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    frames: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def count(self, names: Iterable[str]) -> int:
        """Return how many images these names of `images` give."""
        return sum(len(self.frames.get(name, (name,))) for name in names)

    @cached_property
    def index(self) -> NameIndex:
        """Finds files by what a cell or a key calls them."""
        return NameIndex(self.names)

    @cached_property
    def taken(self) -> frozenset[str]:
        """The names of `images`."""
        return frozenset(self.images)

    def ending(self, *endings: str) -> list[str]:
        """Return the names of the files beside the images with one of these endings, sorted."""
        return sorted(name for name in self.files if name.lower().endswith(endings))

    def called(self, *bases: str) -> list[str]:
        """Return the names of the files beside the images that have one of these base names, case aside, sorted."""
        return sorted(name for name in self.files if name.rpartition("/")[2].casefold() in bases)

    def data(self, name: str) -> bytes:
        """Return the bytes of a file beside the images."""
        return self.files[name].read_bytes()

    def text(self, name: str) -> str:
        """Return a file's text: UTF-8 with or without a mark, or UTF-16 with one.

        Raises:
            ImportRefused: it is in another encoding.
        """
        data = self.data(name)
        marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        try:
            return data.decode("utf-16" if marked else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise ImportRefused(
                "A file is neither UTF-8 nor UTF-16 with a byte order mark", value=shown(name),
                way_out="Save it as UTF-8 and import again.",
            ) from error  # fmt: skip

    def json(self, name: str) -> Any:
        """Return what a JSON file holds; None where it is no JSON, which detection takes for “not mine”.

        Why it is none is in `unparsed` from then on.
        """

        def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            made = dict(pairs)
            made.pop(_PICTURE, None)
            if len({key for key, _ in pairs}) != len(pairs):
                counts = Counter(key for key, _ in pairs)
                self.repeated.setdefault(name, []).extend(key for key, count in counts.items() if count > 1)
            return made

        def parse() -> Any:
            try:
                with garbage.put_off():
                    return json.loads(self._text_of_json(name), object_pairs_hook=once_each)
            except ImportRefused as error:
                self.unparsed[name] = f"{error.cause[:1].lower()}{error.cause[1:]}"
            except json.JSONDecodeError as error:
                self.unparsed[name] = f"it is damaged JSON at line {error.lineno:,}, column {error.colno:,}"
            except (ValueError, RecursionError) as error:
                self.unparsed[name] = _unreadable(error)
            return None

        return self.once(f"json {name}", parse)

    def json_lines(self, name: str) -> JsonLines | None:
        """Return what a file holds that has one JSON value a line; None where its first line is none.

        Lines that cannot be read are in `unparsed` from then on, by the file's name.
        """

        def parse() -> JsonLines | None:
            try:
                lines = self._text_of_json(name).split("\n")
            except ImportRefused as error:
                self.unparsed[name] = f"{error.cause[:1].lower()}{error.cause[1:]}"
                return None
            records, damaged = [], []
            for number, line in enumerate(lines, start=1):
                if not line or line.isspace():
                    continue
                try:
                    records.append((number, json.loads(line)))
                except (ValueError, RecursionError):
                    damaged.append(number)
                    if not records:
                        self.unparsed.setdefault(name, f"line {number:,} is no JSON")
                        return None
            self.unparsed.pop(name, None)
            if damaged:
                self.unparsed[name] = f"damaged JSON in {len(damaged):,} lines, the first is line {damaged[0]:,}"
            return JsonLines(tuple(records), tuple(damaged))

        return self.once(f"jsonl {name}", parse)

    def _text_of_json(self, name: str) -> str:
        data = self.data(name)
        if data.count(b"{") + data.count(b"[") > MOST_OBJECTS or data.count(b",") > MOST_VALUES:
            raise ImportRefused(
                f"It holds more than {MOST_OBJECTS:,} objects or {MOST_VALUES:,} values", value=shown(name),
                way_out="Split it, and import in parts.",
            )  # fmt: skip
        return self.text(name)

    @cached_property
    def unparsed(self) -> dict[str, str]:
        """By name of a file beside the images that was looked at as JSON: why it, or some of it, cannot be read."""
        return {}

    @cached_property
    def repeated(self) -> dict[str, list[str]]:
        """By name of a JSON file that was looked at: the keys that stand several times in one object, where the last
        counts."""
        return {}

    def match(
        self, path: str, folder: str = "", *, under: Sequence[str] = (), stem: bool = False
    ) -> tuple[str | None, str]:
        """Return (name, "") of the image that a record means, or (None, why not).

        Args:
            path: as the record says it: relative, absolute or a URL (also percent-encoded, with a query, or Label
                Studio's `?d=`).
            folder: the record's own folder, "" at the top. A relative path counts from it, then from those above it,
                then from anywhere if only one file ends so.
            under: folders that a relative path may count from, each taken before the place itself.
            stem: the path lacks the file's ending, or else has it.
        """
        beside = f"{folder}/{path}" if folder else path
        if not under and beside in self.taken:
            return beside, ""
        if len(path) > MAX_NAME_BYTES or path.count("/") > _DEEPEST:
            return None, "the file name is too long"
        reason = ""
        for spelled in _spellings(path):
            for inside in under if not spelled.startswith("/") else ():
                name, _ = self._look_up(f"{inside}/{spelled}", folder, stem)
                if name is not None:
                    return self._if_taken(name)
            name, why = self._look_up(spelled, folder, stem)
            if name is not None:
                return self._if_taken(name)
            reason = why if reason in ("", MISSING) else reason
        return None, reason

    def _look_up(self, path: str, folder: str, stem: bool) -> tuple[str | None, str]:
        if not stem:
            name, why = self.index.find(path, folder)
            return name, why or ""
        index, names = self._stems
        found, without = index.find(path, folder)
        if found is not None:
            return (names[found][0], "") if len(names[found]) == 1 else (None, "several files have this name")
        name, why = self.index.find(path, folder)
        return name, (without if why == MISSING else why) or ""

    def _if_taken(self, name: str) -> tuple[str | None, str]:
        return (name, "") if name in self.taken else (None, "its image was refused")

    @cached_property
    def _stems(self) -> tuple[NameIndex, Mapping[str, list[str]]]:
        names: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.names - self.files.keys()):
            path, dot, ending = name.rpartition(".")
            names[path if dot and "/" not in ending else name].append(name)
        return NameIndex(names.keys()), names

    def once(self, what: str, make: Callable[[], Made]) -> Made:
        """Return what `make` made the first time that `what` was asked for."""
        if what not in self._made:
            self._made[what] = make()
        return cast("Made", self._made[what])

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}


def _unreadable(error: ValueError | RecursionError) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it holds a number of too many digits"


def _spellings(path: str) -> Iterator[str]:
    """The ways to read a path or URL as a path, the most literal first."""
    yield path
    plain, mark, query = path.partition("?")
    for part in query.split("&") if mark else ():
        if part.startswith("d="):
            yield f"/{unquote(part[2:]).lstrip('/')}"
    scheme = _SCHEME.match(path)
    whole = path
    if scheme:
        whole = plain[scheme.end() :]
        yield f"/{path[scheme.end() :]}"
        if mark:
            yield f"/{whole}"
    if "%" in whole:
        decoded = unquote(whole)
        yield f"/{decoded}" if scheme else decoded


def folder_of(name: str) -> str:
    """Return the folder a file lies in, "" at the top."""
    return name.rpartition("/")[0]
