"""A single file that holds images, as a source: a folder with this file alone."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ImportRefused, SourceMissing
from engine.importers.containers import CONTAINERS, container_of
from engine.importers.contents import Entry, Limits, Listing
from engine.importers.folder import FolderContents
from engine.importers.names import name_flaw, shown


class OneFileContents(FolderContents):
    """A tar archive, an Arrow or a Parquet table; see contents.Contents and `containers`.

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
        if container_of(path.name) is None or name_flaw(path.name) is not None:
            raise ImportRefused(
                "This file holds no images that can be read", value=shown(str(path)),
                way_out=f"Choose a folder, a zip, or a file that ends in {', '.join(CONTAINERS)}.",
            )  # fmt: skip
        real = path.resolve()
        self._root = str(real.parent)
        self._limits = limits
        self._total = 0
        called = name if name_flaw(name or "/") is None and container_of(name) is container_of(path.name) else path.name
        self.listing = Listing([Entry(called, real.name)])
