"""Finds the file a table's cell means, and rather none than a wrong one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

from engine.importers.names import name_key

MISSING = "there is no such file"
SEVERAL = "several files have this name"
MANY = 200
_DRIVE = re.compile(r"[A-Za-z]:/")


class NameIndex:
    """Looks up file names of one source: exactly first, then without regard to case and accent form."""

    def __init__(self, names: Collection[str]) -> None:
        self._exact = frozenset(names)
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_key[name_key(name)].append(name)
            self._by_base[name_key(name.rpartition("/")[2])].append(name)

    def find(self, path: str, folder: str) -> tuple[str | None, str | None]:
        """Return (name, None) of the file meant, or (None, why not).

        Args:
            path: as the table says it; backslashes count as slashes.
            folder: the table's own folder, "" at the top.
        """
        plain = path.replace("\\", "/")
        while plain.startswith("./"):
            plain = plain[2:]
        if not plain:
            return None, "the file name is empty"
        if ".." in plain.split("/"):
            return None, "the path points outside the source (“..”)"
        parts = plain.lstrip("/").split("/")
        absolute = plain.startswith("/") or _DRIVE.match(plain) is not None
        same = self._by_base.get(name_key(parts[-1]), [])
        if len(same) < 2:  # the common case, where no folder needs to be looked at
            found = same and (absolute or name_key(f"/{same[0]}").endswith(name_key(f"/{plain}")))
            return (same[0], None) if found else (None, MISSING)
        if not absolute:
            match = self._at(plain, folder)
            return (match, None) if match is not None else self._ending(plain, folder)
        for start in range(len(parts)):
            match = self._at("/".join(parts[start:]), folder)
            if match is not None:
                return match, None
        return self._ending(parts[-1], folder)

    def _at(self, path: str, folder: str) -> str | None:
        """Return the file at a path relative to the table's folder or any folder above it."""
        parts = folder.split("/") if folder else []
        for depth in range(len(parts), -1, -1):
            candidate = "/".join((*parts[:depth], path))
            if candidate in self._exact:
                return candidate
            same = self._by_key.get(name_key(candidate), [])
            if len(same) == 1:
                return same[0]
        return None

    def _ending(self, path: str, folder: str) -> tuple[str | None, str | None]:
        """Return the file whose path ends with this one: the only one anywhere, or the only one in the table's folder
        and those below it, or so in the nearest folder above that has one."""
        same = self._by_base.get(name_key(path.rpartition("/")[2]), [])
        if len(same) > MANY:
            return None, SEVERAL
        ending = f"/{path}"
        exact = [name for name in same if f"/{name}".endswith(ending)]
        alike = exact or [name for name in same if name_key(f"/{name}").endswith(name_key(ending))]
        while folder and len(alike) > 1:
            near = [name for name in alike if name.startswith(f"{folder}/")]
            alike = near or alike
            folder = "" if near else folder.rpartition("/")[0]
        if len(alike) == 1:
            return alike[0], None
        return None, SEVERAL if alike else MISSING
