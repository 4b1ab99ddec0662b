"""What a format may look at of a source whose files are staged: names, and what the files beside the images say."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from engine.errors import ImportRefused
from engine.importers.name_index import NameIndex
from engine.importers.names import shown

Made = TypeVar("Made")
SIDE_ENDINGS = (
    ".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".xml", ".xlsx", ".parquet", ".manifest", ".yaml",
    ".yml", ".names", ".cls", ".arrow", ".psv", ".xlsm", ".xls", ".xlsb", ".ods", ".numbers", ".md",
)  # fmt: skip
"""Endings of files that may say what the images beside them are; they are kept until the import is decided."""


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
    """

    images: tuple[str, ...]
    names: frozenset[str]
    files: Mapping[str, Path] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

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
        """Return what a JSON file holds; None where it is no JSON, which detection takes for “not mine”."""

        def parse() -> Any:
            try:
                return json.loads(self.text(name))
            except (ImportRefused, ValueError, RecursionError):
                return None

        return self.once(f"json {name}", parse)

    def once(self, what: str, make: Callable[[], Made]) -> Made:
        """Return what `make` made the first time that `what` was asked for."""
        if what not in self._made:
            self._made[what] = make()
        return cast("Made", self._made[what])

    @cached_property
    def _made(self) -> dict[str, Any]:
        return {}


def folder_of(name: str) -> str:
    """Return the folder a file lies in, "" at the top."""
    return name.rpartition("/")[0]
