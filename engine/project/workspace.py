"""The workspace of an open project: its folder, its database, its locks, its list of images."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import threading
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from engine.errors import NotAProject, ProjectCorrupt, ProjectExists, ProjectReadOnly
from engine.files import read_json
from engine.images import thumbnails
from engine.images.array_cache import ArraySpec, recommend_spec
from engine.project import lock
from engine.records.labels import ImageItem
from engine.rounds.folder.plan import round_folder
from engine.store import Store

DATABASE = "project.db"
DATABASE_URL = "database.url"
THUMBNAILS = "thumbnails"
"""Key of the version that a project's thumbnails were made by."""
DELIVERY = "delivery-"
"""How the names of files in `staging` begin that are kept until a person decides about them."""
RESTORING = "restoring.json"
"""There while a restore replaces files: `backup` and `aside`, the paths it puts back and moves what was there to."""
FOLDERS = ("images", "thumbs", "cache", "staging", "rounds", "map", "exports", "backups")


def quiet(label: str, done: int, total: int) -> None:
    """Report progress to nobody."""


class Workspace:
    """One project folder and its open database: what every desk works on. Thread-safe. Close it when done.

    Attributes:
        root: the project's folder.
        store: its database.
        uid: an id no other project has.
    """

    def __init__(self, root: Path, store: Store, held: int | None) -> None:
        self.root = root
        self._held = held
        self.store = store
        self.uid = store.meta("uid") or ""
        self._lock = threading.Lock()
        self._items: list[ImageItem] = []
        self._leftovers: IO[str] | None = None

    @classmethod
    def create(cls, root: Path, name: str | None = None, *, url: str | None = None) -> Self:
        """Make an empty project in `root` and open it.

        Args:
            root: a folder that does not exist yet or is empty.
            name: shown to people; the folder's name when None.
            url: database URL when it is not the SQLite file inside `root`.

        Raises:
            ProjectExists: `root` holds a project, or other files.
            ProjectReadOnly: the folder cannot be written.
        """
        root = root.expanduser().resolve()
        if is_project(root):
            raise ProjectExists(
                "There is already a project here", value=root, way_out="Open it, or choose another folder."
            )
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise ProjectExists(
                "The folder for a new project must be empty", value=root, way_out="Choose another folder."
            )
        try:
            for folder in FOLDERS:
                (root / folder).mkdir(parents=True, exist_ok=True)
            if url is not None:
                (root / DATABASE_URL).write_text(url)
                (root / DATABASE_URL).chmod(0o600)
        except OSError as error:
            raise ProjectReadOnly(
                f"The project's folder cannot be written ({error.strerror})",
                value=root,
                way_out="Choose another folder.",
            ) from error
        with _held(root, read_only=False) as held:
            store = Store.create(url or f"sqlite:///{root / DATABASE}", name or root.name)
            store.set_meta("uid", uuid.uuid4().hex)
            store.set_meta(THUMBNAILS, thumbnails.VERSION)
            return cls(root, store, held)

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False, accept_loss: bool = False) -> Self:
        """Open the project in `root`.

        Raises:
            EntriesLost: the end of its ledger was lost, and `accept_loss` is False.
            NotAProject: the folder does not exist or holds no project.
            ProjectInUse: it is being restored from a backup.
            SchemaTooNew, ProjectCorrupt, ProjectReadOnly: see there.
        """
        root = root.expanduser().resolve()
        if not is_project(root):
            raise NotAProject(
                "There is no project in this folder",
                value=root,
                way_out="Import a set with “starling import PROJECT PATH”, or try “starling demo”.",
            )
        with _held(root, read_only=read_only) as held:
            _refuse_half_restored(root)
            url_file = root / DATABASE_URL
            url = url_file.read_text().strip() if url_file.is_file() else f"sqlite:///{root / DATABASE}"
            store = Store.open(url, read_only=read_only, accept_loss=accept_loss)
            if not read_only:
                for folder in FOLDERS:
                    (root / folder).mkdir(exist_ok=True)
                if store.meta(THUMBNAILS) != thumbnails.VERSION:  # another rule showed deep values
                    thumbnails.drop_deep(root, store.images())
                    store.set_meta(THUMBNAILS, thumbnails.VERSION)
            return cls(root, store, held)

    def need_writable(self) -> None:
        """Refuse what would write into the project's folder where it is open read-only.

        Raises:
            ProjectReadOnly: it is; nothing was begun.
        """
        if self.store.read_only:
            raise ProjectReadOnly(
                "The project is open read-only, so nothing can be saved or computed in it",
                value=self.root,
                way_out="Open it where its folder can be written, without --read-only.",
            )

    def close(self) -> None:
        """Flush and close the database."""
        if self._leftovers is not None:
            self._leftovers.close()
        self.store.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def items(self) -> list[ImageItem]:
        """Return all images, ascending by id; a shared list, read again when there are more."""
        with self._lock:
            newest = self._items[-1].id if self._items else 0
            if newest != self.store.newest_image():  # images are only ever added
                self._items = self.store.images()
            return self._items

    def array_spec(self) -> ArraySpec:
        """Return the size and channels at which the project's images are compared and trained on."""
        return recommend_spec(self.items())

    def round_folder(self, number: int) -> Path:
        """Return the folder of a round."""
        return round_folder(self.root, number)

    def sweep(self) -> None:
        """Remove what imports and exports that were cut off have left, unless one runs in any process. What was handed
        over to be imported stays: see DELIVERY. Does nothing where the project is open read-only."""
        if self.store.read_only:
            return
        with open(self.root / "staging.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
            staged = [one for one in (self.root / "staging").iterdir() if not one.name.startswith(DELIVERY)]
            for leftover in [*staged, *(self.root / "exports").glob(".*.partial")]:
                shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)

    def hold_leftovers(self) -> None:
        """Keep other processes from sweeping what this one stages, until the project is closed; one that is open
        read-only stages nothing."""
        with self._lock:
            if self._leftovers is None and not self.store.read_only:
                self._leftovers = open(self.root / "staging.lock", "a")  # noqa: SIM115 - held until close
                fcntl.flock(self._leftovers, fcntl.LOCK_SH)


def is_writable(root: Path) -> bool:
    """Return whether a project's folder and its database can be written; one that is not there counts as writable."""
    return all(os.access(path, os.W_OK) for path in (root, root / DATABASE) if path.exists())


def is_project(root: Path) -> bool:
    """Return whether a folder holds a project."""
    return any((root / name).is_file() for name in (DATABASE, DATABASE_URL, RESTORING))


@contextmanager
def _held(root: Path, *, read_only: bool) -> Iterator[int | None]:
    """Share the project's lock; an error within the block lets go of it, else it is the caller's."""
    held = lock.share(root, read_only=read_only)
    try:
        yield held
    except BaseException:
        if held is not None:
            os.close(held)
        raise


def _refuse_half_restored(root: Path) -> None:
    if not (root / RESTORING).is_file():
        return
    cut_off = read_json(root / RESTORING)
    raise ProjectCorrupt(
        "A restore of this project was cut off",
        value=root,
        way_out=f"Do it again: starling restore {shlex.quote(str(root))} {shlex.quote(cut_off['backup'])}. What was "
        f"there before lies in {cut_off['aside']}.",
    )


def slug(name: str) -> str:
    """Return a name fit for a folder and a URL: lower-case letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60]
