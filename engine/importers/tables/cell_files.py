"""Finds the image that a cell of a table means: a path, a bare name with or without ending, or an address."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from urllib.parse import unquote

from engine.importers.name_index import MISSING, SEVERAL, NameIndex
from engine.importers.names import name_key
from engine.importers.source_view import SIDE_ENDINGS

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL_FILE = re.compile(r"[?&]d=([^&]+)")
_UPLOADED = re.compile(r"[0-9a-f]{6,8}-(.+)")
_IMAGE = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|heic|heif|jp2|jxl|dcm|ppm|pgm)$", re.IGNORECASE)

NAME, PREFIXED, STEM = "name", "prefixed", "stem"
"""How a cell named a file: in full; behind a prefix that an upload put before it; without its ending."""


def looks_like_image(cell: str) -> bool:
    """Return whether a cell ends as the names of images do."""
    return _IMAGE.search(cell.partition("?")[0].strip()) is not None


class CellFiles:
    """Looks up the files of one source.

    Attributes:
        names: of all files of the source.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = names
        self._index = NameIndex(names)

    def find(self, cell: str, folder: str) -> tuple[str | None, str, str]:
        """Return (name of the file, how it was named, "") or (None, "", why there is none).

        Args:
            cell: as the table says it.
            folder: the table's own, "" at the top.
        """
        path = _path(cell)
        name, why = self._index.find(path, folder)
        if name is not None:
            return name, NAME, ""
        if path != path.strip():
            path = path.strip()
            name, why = self._index.find(path, folder)
            if name is not None:
                return name, NAME, ""
        if why == MISSING:
            stem, stem_why = self._by_stem.find(path, folder)
            if stem is not None:
                alike = self._stems[stem]
                return (alike[0], STEM, "") if len(alike) == 1 else (None, "", SEVERAL)
            why = stem_why
        if why == MISSING and (uploaded := _UPLOADED.fullmatch(path.replace("\\", "/").rpartition("/")[2])):
            name, _ = self._index.find(uploaded[1], "")
            if name is not None:
                return name, PREFIXED, ""
        return None, "", why or MISSING

    def is_folder(self, cell: str) -> bool:
        """Return whether a cell is the name or the path of a folder of the source."""
        return name_key(cell.replace("\\", "/").strip(" /")) in self._folders

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            if not name.lower().endswith(SIDE_ENDINGS):
                folder, slash, base = name.rpartition("/")
                stems[f"{folder}{slash}{base.rpartition('.')[0] or base}"].append(name)
        return stems

    @cached_property
    def _by_stem(self) -> NameIndex:
        return NameIndex(self._stems)

    @cached_property
    def _folders(self) -> frozenset[str]:
        found = set()
        for folder in {name.rpartition("/")[0] for name in self.names}:
            parts = folder.split("/")[-8:]
            found |= {"/".join(parts[start:end]) for end in range(1, len(parts) + 1) for start in range(end)}
        return frozenset(map(name_key, found - {""}))


def _path(cell: str) -> str:
    """A cell as a path; of an address what follows the host, of which the longest ending that exists counts."""
    if "://" in cell and (address := _ADDRESS.match(cell.strip())):
        rest = cell.strip()[address.end() :]
        return "/" + unquote(rest.partition("?")[0].partition("#")[0])
    if "?d=" in cell and (local := _LOCAL_FILE.search(cell)):
        return "/" + unquote(local[1]).lstrip("/")
    return cell
