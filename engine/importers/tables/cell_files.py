"""Finds the image that a cell of a table means: a path, a bare name with or without ending, or an address."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from urllib.parse import unquote

from engine.importers.labeling import split_of
from engine.importers.name_index import MISSING, SEVERAL, NameIndex
from engine.importers.names import name_key
from engine.importers.source_view import SIDE_ENDINGS

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL_FILE = re.compile(r"[?&]d=([^&]+)")
_UPLOADED = re.compile(r"[0-9a-f]{6,8}-(.+)")
_DECIMAL = re.compile(r"(\d{1,18})\.0+")
_MARKS = re.compile(r"[\s_+\-.()\[\]]+")
_IMAGE = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|heic|heif|jp2|jxl|dcm|ppm|pgm)$", re.IGNORECASE)

NAME, PREFIXED, STEM, OTHER_ENDING, NUMBER = "name", "prefixed", "stem", "other ending", "number"
DECIMAL, OTHER_MARKS = "decimal", "other marks"
"""How a cell named a file: in full; behind a prefix that an upload put before it; without its ending; with another
ending of images; by its number, without the zeros before it; by its number, with zeros behind a point; with other
marks between the words."""


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
        found = self._find(path, folder)
        if found[0] is None and path != path.strip():
            path = path.strip()
            found = self._find(path, folder)
        if found[2] == MISSING and "%" in path and (plain := unquote(path)) != path:
            found = self._find(plain, folder)
        return found

    def _find(self, path: str, folder: str) -> tuple[str | None, str, str]:
        name, why = self._index.find(path, folder)
        if name is not None:
            return name, NAME, ""
        if why != MISSING:
            return None, "", why or MISSING
        for how, stem in ((STEM, path), (OTHER_ENDING, _without_ending(path))):
            found, why = self._by_stem.find(stem, folder) if stem else (None, MISSING)
            if found is not None:
                alike = self._stems[found]
                return (alike[0], how, "") if len(alike) == 1 else (None, "", SEVERAL)
            if why != MISSING:
                return None, "", why or MISSING
        if (uploaded := _UPLOADED.fullmatch(path.replace("\\", "/").rpartition("/")[2])) is not None:
            name, why = self._index.find(uploaded[1], "")
            if name is not None or why != MISSING:
                return (name, PREFIXED, "") if name is not None else (None, "", why or MISSING)
        name = self._below(path)
        if name is not None:
            return name, NAME, ""
        for how, alike in self._alike(path, folder):
            if alike:
                return (alike[0], how, "") if len(alike) == 1 else (None, "", SEVERAL)
        return None, "", MISSING

    def _alike(self, path: str, folder: str) -> Iterator[tuple[str, list[str]]]:
        """Yield how a cell could still be meant, and the files that it would mean then, the likeliest first."""
        if number := _number(path):
            yield NUMBER, self._by_number.get(int(number), [])
        if (whole := _DECIMAL.fullmatch(path)) is not None:  # as a table of numbers with a gap is written
            name, _, why = self._find(whole[1], folder)
            yield DECIMAL, [name] if name is not None else ["", ""] if why == SEVERAL else []
        above, _, base = path.replace("\\", "/").rpartition("/")
        if key := _words(_without_ending(base) or base):
            own = name_key(above.rpartition("/")[2])
            alike = self._by_words.get(key, [])
            yield OTHER_MARKS, [one for one in alike if not own or f"/{name_key(one)}".split("/")[-2] == own]

    def _below(self, path: str) -> str | None:
        """Return the file whose whole path is the end of this one, which begins further up than the source does."""
        parts = path.replace("\\", "/").split("/")
        if ".." in parts:
            return None
        for start in range(1, len(parts)):
            name, _ = self._index.find("./" + "/".join(parts[start:]), "")
            if name is not None and name_key(name) == name_key("/".join(parts[start:])):
                return name
        return None

    def is_folder(self, cell: str) -> bool:
        """Return whether a cell is the name or the path of a folder of the source."""
        return name_key(cell.replace("\\", "/").strip(" /")) in self._folders

    def images_in(self, cell: str, folder: str) -> Sequence[str]:
        """Return the files in the only folder that a cell names, and in those below it, sorted; none where it names no
        folder or several.

        Args:
            cell: its name or path; of a number the zeros before it may be missing.
            folder: the table's own, "" at the top.
        """
        path = cell.replace("\\", "/").strip().strip("/")
        name, why = self._folder_index.find(path, folder) if path else (None, MISSING)
        if name is None and why == MISSING and (number := _number(path)):
            alike = self._folders_by_number.get(int(number), [])
            name = alike[0] if len(alike) == 1 else None
        return () if name is None else self._inside[name]

    def folders_of(self, split: str) -> tuple[str, ...]:
        """Return the paths of the folders that are called after a split, sorted."""
        return self._split_folders.get(split, ())

    @cached_property
    def images(self) -> int:
        """How many files are there that are not beside the images to describe them."""
        return sum(not name.lower().endswith(SIDE_ENDINGS) for name in self.names)

    @cached_property
    def _inside(self) -> dict[str, list[str]]:
        inside: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.names):
            if not name.lower().endswith(SIDE_ENDINGS):
                parts = name.split("/")[:-1]
                for end in range(1, len(parts) + 1):
                    inside["/".join(parts[:end])].append(name)
        return inside

    @cached_property
    def _folder_index(self) -> NameIndex:
        return NameIndex(self._inside)

    @cached_property
    def _folders_by_number(self) -> dict[int, list[str]]:
        numbers: dict[int, list[str]] = defaultdict(list)
        for folder in self._inside:
            if number := _number(folder.rpartition("/")[2]):
                numbers[int(number)].append(folder)
        return numbers

    @cached_property
    def _split_folders(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = defaultdict(set)
        for folder in {name.rpartition("/")[0] for name in self.names}:
            parts = folder.split("/")
            for end, part in enumerate(parts, start=1):
                if split := split_of(part):
                    found[split].add("/".join(parts[:end]))
        return {split: tuple(sorted(folders)) for split, folders in found.items()}

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            if not name.lower().endswith(SIDE_ENDINGS):
                folder, slash, base = name.rpartition("/")
                stems[f"{folder}{slash}{base.rpartition('.')[0] or base}"].append(name)
        return stems

    @cached_property
    def _by_number(self) -> dict[int, list[str]]:
        numbers: dict[int, list[str]] = defaultdict(list)
        for stem, names in self._stems.items():
            if number := _number(stem.rpartition("/")[2]):
                numbers[int(number)] += names
        return numbers

    @cached_property
    def _by_words(self) -> dict[str, list[str]]:
        words: dict[str, list[str]] = defaultdict(list)
        for stem, names in self._stems.items():
            if key := _words(stem.rpartition("/")[2]):
                words[key] += names
        return words

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


def _number(path: str) -> str:
    """Return the digits of a name that has nothing else but an ending of images, "" for any other."""
    stem = _without_ending(path) or path
    return stem if stem.isascii() and stem.isdigit() and len(stem) < 20 else ""


def _words(stem: str) -> str:
    """Return what names share that differ only in the marks between their words; "" for one without such a mark."""
    parts = [part for part in _MARKS.split(name_key(stem)) if part]
    return " ".join(parts) if len(parts) > 1 else ""


def _without_ending(path: str) -> str:
    """Return a path that ends as an image's without its ending, "" for any other."""
    return path.rpartition(".")[0] if looks_like_image(path) else ""


def _path(cell: str) -> str:
    """A cell as a path; of an address what follows the host, of which the longest ending that exists counts."""
    if "://" in cell and (address := _ADDRESS.match(cell.strip())):
        rest = cell.strip()[address.end() :]
        return "/" + unquote(rest.partition("?")[0].partition("#")[0])
    if "?d=" in cell and (local := _LOCAL_FILE.search(cell)):
        return "/" + unquote(local[1]).lstrip("/")
    return cell


Answer = tuple[str | None, str]


def settled(found: Mapping[str, Answer]) -> tuple[dict[str, Answer], dict[str, str]]:
    """Return what cells mean when they are looked at together, and those that were found by the name alone.

    Of several paths to one file those that have most folders in common with it count, and none where that leaves
    several that all say another folder. A path that says another folder than that of its file counts only where no more
    than half of the others say the right one.

    Nor does one whose folders say another split than those of its file.

    Args:
        found: by cell (name of the file, "") or (None, why there is none).
    """
    answers = dict(found)
    fits = {cell: _fit(cell, name) for cell, (name, _) in found.items() if name is not None}
    loose = {cell for cell, (same, said, whole) in fits.items() if same < said and same < whole}
    paths: dict[str, list[str]] = defaultdict(list)
    for cell in fits:
        paths[found[cell][0] or ""].append(cell)
    for cells in paths.values():
        best = max(fits[cell][0] for cell in cells)
        first = [cell for cell in cells if fits[cell][0] == best]
        tails = {_plain(cell) for cell in first if fits[cell][1] > best}
        for cell in cells:
            if cell not in first and fits[cell][1] > fits[cell][0]:
                answers[cell] = (None, "another row names the only file of this name with its folder")
            elif len(tails) > 1 and fits[cell][1] > best:
                answers[cell] = (None, "several paths could mean the only file of this name")
    for cell in loose:
        if answers[cell][0] is not None and (2 * len(loose) < len(fits) or _of_other_split(cell, found[cell][0] or "")):
            answers[cell] = (None, "the only file of this name lies in another folder")
    return answers, {cell: name for cell in loose if (name := answers[cell][0]) is not None}


def _of_other_split(cell: str, name: str) -> bool:
    said, whole = ({split_of(part) for part in path.split("/")[:-1]} - {""} for path in (_plain(cell), name))
    return bool(said and whole) and not said & whole


def _plain(cell: str) -> str:
    return name_key(_path(cell).replace("\\", "/").strip().removeprefix("./"))


def _fit(cell: str, name: str) -> tuple[int, int, int]:
    """Return how many parts a cell and its file have in common at the end, and how many each has. The last part is
    always one of them: it may lack the ending, or have an upload's prefix."""
    if "/" not in name and "/" not in cell and "\\" not in cell:
        return 1, 1, 1
    plain, whole = _plain(cell), name_key(name).split("/")
    if (unquoted := unquote(plain)) != plain:  # the file may have either name
        return max(_common(plain, whole), _common(unquoted, whole))
    return _common(plain, whole)


def _common(path: str, whole: list[str]) -> tuple[int, int, int]:
    said = [part for part in path.split("/") if part]
    same = 1
    while same < min(len(said), len(whole)) and said[-same - 1] == whole[-same - 1]:
        same += 1
    if _UPLOADED.fullmatch(said[-1] if said else "") and whole[-1] != said[-1]:
        return 1, 1, len(whole)
    return same, max(1, len(said)), len(whole)
