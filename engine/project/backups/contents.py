"""What of a project's folder belongs into a backup: all that cannot be made again, and thumbnails.

Left out are caches, what waits to be imported, exports and older backups, locks and what writes have not finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from engine.files import PARTIAL
from engine.project.given_predictions import FILE as GIVEN_PREDICTIONS
from engine.project.workspace import DATABASE
from engine.rounds.folder import files as round_files
from engine.rounds.folder.identity import ASIDE

SINGLE = (GIVEN_PREDICTIONS,)
"""Files beside the database."""
BY_IMAGE = ("images", "thumbs")
"""Folders whose files are named by their image's SHA-256 and never change."""
UNITS = ("rounds", "map", "checks")
"""Folders whose sub-folders belong together: one round, one map, one check each."""
_LEFT_OUT = frozenset({"lock", Path(round_files.LOCK).name, Path(round_files.RESERVE).name})


def belongs(path: str) -> bool:
    """Return whether a backup may hold a file of this path, with slashes: all others stay out of a restore."""
    plain = PurePosixPath(path)
    if plain.is_absolute() or ".." in plain.parts or "\\" in path or str(plain) != path:
        return False
    return path in (DATABASE, *SINGLE) or (len(plain.parts) > 1 and plain.parts[0] in (*BY_IMAGE, *UNITS))


def units(root: Path) -> list[str]:
    """Return the sub-folders of UNITS there are, as paths in the project with slashes."""
    return [
        f"{top}/{child.name}"
        for top in UNITS
        if (root / top).is_dir()
        for child in sorted((root / top).iterdir())
        if child.is_dir() and not child.name.startswith((".", ASIDE))
    ]


def unit_of(path: str) -> str | None:
    """Return the sub-folder of UNITS that a file belongs to; None for one that stands for itself."""
    top, _, rest = path.partition("/")
    return f"{top}/{rest.split('/')[0]}" if top in UNITS else None


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and those below it that belong into a backup, in a fixed order."""
    for parent, below, names in os.walk(folder):
        below.sort()
        for name in sorted(names):
            if name not in _LEFT_OUT and not name.endswith(PARTIAL) and not name.startswith(".tmp-"):
                yield Path(parent) / name
