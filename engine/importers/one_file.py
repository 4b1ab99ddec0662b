"""A single file that holds images, as a source: a folder with this file alone."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ImportRefused, SourceMissing
from engine.importers.archive_kinds import VIDEOS
from engine.importers.containers import CONTAINERS, container_of
from engine.importers.contents import Entry, Limits, Listing
from engine.importers.folder import FolderContents, OpenFolder
from engine.importers.names import name_flaw, shown


def is_one_file(name: str) -> bool:
    """Return whether a file of this name can be a source by itself; a zip is another kind of source."""
    return container_of(name) is not None or name.lower().endswith(VIDEOS)


class OneFileContents(FolderContents):
    """An archive, an Arrow or a Parquet table, or a video; see contents.Contents and `containers`.

    Args:
        path: the file.
        limits: caps on files and bytes.
        name: what it is called where its path does not say so, as that of an upload.

    Raises:
        SourceMissing: there is no such file.
        ImportRefused: it is of another kind.
    """

    def __init__(self, path: Path, limits: Limits, name: str = "") -> None:
        if not path.is_file():
            raise SourceMissing("There is no such file", value=shown(str(path)), way_out="Check the path.")
        if not is_one_file(path.name) or name_flaw(path.name) is not None:
            raise ImportRefused(
                "This file holds no images that can be read", value=shown(str(path)),
                way_out=f"Choose a folder, a zip, or a file that ends in {', '.join((*CONTAINERS, *VIDEOS))}.",
            )  # fmt: skip
        real = path.resolve()
        self._root = str(real.parent)
        self._last = OpenFolder(self._root)
        self._limits = limits
        self._total = 0
        fits = name and name_flaw(name) is None and container_of(name) is container_of(path.name)
        called = name if fits else path.name
        self.listing = Listing([Entry(called, real.name)])
