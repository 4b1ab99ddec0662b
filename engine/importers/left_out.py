"""Keeps account of the files that are no part of a set, so that each is named and none is lost without a word."""

from __future__ import annotations

from collections import Counter, defaultdict

from engine.importers.contents import Listing
from engine.importers.names import Junk, shown

_IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".dcm", ".ppm", ".pgm"),
)
_LISTED = 10


class LeftOut:
    """Takes the files that are left out one by one, and writes them into the listing at the end."""

    def __init__(self) -> None:
        self._litter: Counter[str] = Counter()
        self._folders: Counter[str] = Counter()
        self._images: Counter[str] = Counter()
        self._files: list[str] = []

    def add(self, name: str, junk: Junk) -> None:
        """Take a file by its path and what names.junk_of says of it."""
        if junk.known:
            self._litter[junk.path] += 1
        elif junk.path == name:
            self._files.append(name)
        else:
            self._folders[junk.path] += 1
            self._images[junk.path] += name.lower().endswith(_IMAGES)

    def write(self, listing: Listing) -> None:
        """Fill the listing's left_out and add notices: hidden folders with images, hidden images, then the rest."""
        rest = self._litter_by_name()
        for path, count in sorted(self._folders.items()):
            listing.left_out[shown(path)] = count
            if not self._images[path]:
                rest[shown(path)] = count
        if self._files:
            example = shown(self._files[0], 80)
            hidden = example if len(self._files) == 1 else f"hidden files such as {example}"
            listing.left_out[hidden] = len(self._files)
            if not any(name.lower().endswith(_IMAGES) for name in self._files):
                rest[hidden] = len(self._files)
        listing.left_out.update(rest)
        listing.notices += self._hidden_notices()
        if rest:
            listed = [f"{what} ({_files(count)})" for what, count in list(rest.items())[:_LISTED]]
            more = f", and {len(rest) - _LISTED:,} more" if len(rest) > _LISTED else ""
            listing.notices.append(f"left out as no part of the set: {', '.join(listed)}{more}")

    def _litter_by_name(self) -> dict[str, int]:
        places: dict[str, list[str]] = defaultdict(list)
        for path in self._litter:
            base = path.rpartition("/")[2]
            places["._… of macOS" if base.startswith("._") else base.casefold()].append(path)
        summed: dict[str, int] = {}
        for kind, paths in sorted(places.items()):
            count = sum(self._litter[path] for path in paths)
            base = kind if kind.startswith("._") else shown(paths[0].rpartition("/")[2], 80)
            folders = len({path.rpartition("/")[0] for path in paths})
            what = shown(paths[0]) if len(paths) == 1 else base
            summed[f"{what} in {folders:,} folders" if folders > 1 else what] = count
        return summed

    def _hidden_notices(self) -> list[str]:
        folders = sorted(path for path, images in self._images.items() if images)
        notices = [
            f"the folder {shown(path, 80)} is hidden (its name begins with a dot) and left out, "
            f"{_files(self._folders[path])}; rename it without the dot to take it in"
            for path in folders[:_LISTED]
        ]
        if len(folders) > _LISTED:
            notices.append(f"and {len(folders) - _LISTED:,} more hidden folders with images")
        images = [name for name in self._files if name.lower().endswith(_IMAGES)]
        if images:
            are = "1 image is hidden (its name begins" if len(images) == 1 else f"{len(images):,} images are hidden ("
            are += "" if len(images) == 1 else "their names begin"
            example = "" if len(images) == 1 else "such as "
            notices.append(f"{are} with a dot) and left out: {example}{shown(images[0], 80)}")
        return notices


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"
