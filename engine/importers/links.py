"""Symbolic links in a folder: which are followed, and under which name a file is taken that has several.

A link is followed to what lies inside the source, never out of it. A linked folder is listed as if it lay there, but
links to folders inside it are not followed, which ends every cycle.

A file that is visible under its own name is taken once: under its own name, or under those of the links where these
sort such files into more folders than they lie in, as a class tree of links to one store does. A file that only links
show, as those of git-annex and DVC do, has their names; those that a linked folder gives count where no link leads to
the file itself. One with links in several classes keeps all of them: the import tells the contradiction.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import PurePath

from engine.importers.contents import Entry, Listing
from engine.importers.names import shown

OUTSIDE = "a symbolic link out of the folder"
_OWN_NAME = "symbolic links to files that are taken under their own names"
_LINKED_TOO = "names by way of linked folders, of files that have links of their own"


class Links:
    """The links of one folder, `root`, a real path."""

    def __init__(self, root: str) -> None:
        self._root = PurePath(root)
        self._names: dict[str, list[str]] = defaultdict(list)
        self._by_folder: dict[str, list[str]] = defaultdict(list)
        self._out = 0

    def target(self, path: str) -> tuple[str, str | None]:
        """Return the real path that a link leads to, and why it is not followed, None if it is."""
        try:
            target = os.path.realpath(path, strict=True)
        except FileNotFoundError:
            return "", "a symbolic link to nothing"
        except OSError as error:
            return "", f"a symbolic link that cannot be followed ({error.strerror})"
        if not PurePath(target).is_relative_to(self._root):
            self._out += 1
            return "", OUTSIDE
        if not os.path.isfile(target) and not os.path.isdir(target):
            return "", "a symbolic link to what is not an ordinary file"
        return target, None

    def folder_flaw(self, path: str, target: str, linked: bool) -> str | None:
        """Return why a link at this real path to a folder is not followed, None if it is.

        `linked`: the link itself was reached by way of another.
        """
        if PurePath(path).is_relative_to(target):
            return "a symbolic link to a folder that it lies in"
        return "a symbolic link to a folder, inside a folder that is linked itself" if linked else None

    def add_file(self, name: str, target: str, linked: bool) -> None:
        """Take a file's real path and the name that a link gives it; `linked`: it is one to a folder above it."""
        names = self._by_folder if linked else self._names
        names[PurePath(target).relative_to(self._root).as_posix()].append(name)

    def settle(self, listing: Listing) -> list[str]:
        """Add the linked files to the listing's entries, each once under its own name or under its links'.

        Returns the names that are not taken because their files have others.
        """
        dropped = []
        for real, names in self._by_folder.items():
            if real in self._names:
                dropped += names
            else:
                self._names[real] = names
        if dropped:
            listing.left_out[_LINKED_TOO] = len(dropped)
            listing.notices.append(
                f"{len(dropped):,} names by way of linked folders are left out, their files have links of their own "
                f"(such as {shown(dropped[0], 80)})"
            )
        own = {entry.name for entry in listing.entries}
        doubled = {real: names for real, names in self._names.items() if real in own}
        hidden = {real: names for real, names in self._names.items() if real not in own}
        if hidden:
            listing.entries.extend(Entry(name, real) for real, names in hidden.items() for name in names)
            followed = sum(map(len, hidden.values()))
            listing.notices.append(f"{_links(followed)} followed to files inside the folder")
        if doubled:
            dropped += self._settle_doubled(listing, doubled)
        if self._out:
            listing.notices.append(
                f"{_links(self._out)} not followed, out of the folder; to take in what they lead to, copy the folder "
                "with its links resolved (cp -rL), or import a folder that holds both"
            )
        return dropped

    def _settle_doubled(self, listing: Listing, doubled: dict[str, list[str]]) -> list[str]:
        """Choose between the files' own names and those of the links; return the names that are not taken."""
        links = [name for names in doubled.values() for name in names]
        lie_in = {real.rpartition("/")[0] for real in doubled}
        sorted_into = {name.rpartition("/")[0] for name in links}
        real, names = next(iter(doubled.items()))
        if len(sorted_into) > len(lie_in):
            listing.entries = [entry for entry in listing.entries if entry.token not in doubled]
            listing.entries.extend(Entry(name, real) for real, names in doubled.items() for name in names)
            listing.notices.append(
                f"{_links(len(links))} followed to files inside the folder; these are taken under the links' names, "
                f"which sort them into {len(sorted_into):,} folders (such as {shown(names[0], 80)}, not "
                f"{shown(real, 80)})"
            )
            return list(doubled)
        listing.left_out[_OWN_NAME] = len(links)
        listing.notices.append(
            f"{_links(len(links))} left out, to files that are taken under their own names (such as "
            f"{shown(real, 80)}, not {shown(names[0], 80)})"
        )
        return links


def _links(count: int) -> str:
    return "1 symbolic link is" if count == 1 else f"{count:,} symbolic links are"
