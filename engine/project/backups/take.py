"""Taking a backup of a whole project while people label and rounds run.

The database comes first, as one snapshot: what it points to lies on the disk before it says so, and files are only ever
added or replaced as a whole, so those copied after it are at least as new.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from engine.errors import ConfigError, LedgerError
from engine.files import PARTIAL, sha256_of
from engine.images.files import original_path
from engine.project.backups import contents
from engine.project.backups.folder import BackupFolder, Entry, Manifest, read
from engine.project.workspace import DATABASE, Workspace, quiet
from engine.records.labels import ImageItem
from engine.records.progress import Progress
from engine.rounds.folder import files as round_files
from engine.rounds.folder.digests import ROUND
from engine.rounds.folder.plan import ROUNDS
from engine.store import Store

TRIES = 20
"""How often a round's folder is copied anew because a live round was fitted meanwhile."""
_SETTLED_NS = 2_000_000_000
"""A file that was written less than this before the last backup began may have changed since with the same time."""


@dataclass(frozen=True)
class Taken:
    """A backup that was taken.

    Attributes:
        path: its manifest.
        files, size: how many files it names, and their bytes.
        new_files, new_bytes: how many of them were copied now.
        flaws: originals that are missing or were changed, so that it does not have them, and files of rounds that are
            not what the round wrote; a sentence each.
    """

    path: Path
    files: int
    size: int
    new_files: int
    new_bytes: int
    flaws: tuple[str, ...]


def take(workspace: Workspace, target: Path, progress: Progress = quiet, *, keep: int | None = None) -> Taken:
    """Add a backup of the project to the folder `target`, which is made if it is not there.

    Contents that it has already are not copied again. Nothing of it counts before all of it is on the disk.

    Args:
        workspace: the open project; also one that is open read-only.
        target: outside the project.
        progress: told of the files looked at.
        keep: how many backups stay, this one among them, 1 and up; all when None.

    Raises:
        ConfigError: `target` lies in the project or holds something else, or `keep` is below 1.
        ProjectInUse: another backup is being written there.
        ProjectCorrupt: the database is not sound; the backups that are there stay as they were.
        LedgerError: it could not be written; likewise.
        ProjectError: the database is no file and has its own tool for backups.
    """
    target = target.expanduser().resolve()
    if target == workspace.root or workspace.root in target.parents or target in workspace.root.parents:
        raise ConfigError(
            "A backup of the whole project needs a folder of its own outside the project",
            value=target,
            way_out="Give one, best on another disk: starling backup PROJECT FOLDER.",
        )
    if keep is not None and keep < 1:
        raise ConfigError("How many backups stay must be 1 or more", value=keep)
    folder = BackupFolder(target)
    try:
        with folder.writing(workspace.uid, workspace.store.name):
            return _Taking(workspace, folder, progress).run(keep)
    except OSError as error:
        raise LedgerError(
            "The backup could not be written", value=error, way_out="Look at the disk, or choose another folder."
        ) from error


@dataclass
class _Taking:
    """One backup being taken: `kept` is what the last one knew of each path, `trusted` the contents it names."""

    workspace: Workspace
    folder: BackupFolder
    progress: Progress
    entries: list[Entry] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)
    new_files: int = 0
    new_bytes: int = 0

    def __post_init__(self) -> None:
        self.began_ns = time.time_ns()
        older = self.folder.manifests()
        last = read(older[-1]) if older else None
        self.trusted = {entry.sha256 for entry in last.files} if last is not None else set[str]()
        self.kept = {entry.path: entry for entry in last.files} if last is not None else {}
        self.settled_ns = 0 if last is None else last.began_ns - _SETTLED_NS

    def run(self, keep: int | None) -> Taken:
        ledger_seq = self._database()
        root = self.workspace.root
        if not self.workspace.store.read_only:
            self.workspace.store.finish()  # images that the copy is still to take in, after a restore, are copied too
        single = [*(root / name for name in contents.SINGLE), *contents.files_below(root / "thumbs")]
        work = [
            *(partial(self._original, item) for item in self.workspace.store.images()),
            *(partial(self._single, path) for path in single),
            *(partial(self._unit, unit) for unit in contents.units(root)),
        ]
        for done, look in enumerate(work):
            if done % 100 == 0:
                self.progress("Copying files", done, len(work))
            look()
        self.progress("Bringing them to the disk", 0, 0)
        made = datetime.fromtimestamp(self.began_ns / 1e9, UTC).isoformat(timespec="microseconds")
        path = self.folder.write(Manifest(made, self.began_ns, ledger_seq, tuple(self.entries)))
        if keep is not None:
            self.folder.prune(keep)
        size = sum(entry.size for entry in self.entries)
        return Taken(path, len(self.entries), size, self.new_files, self.new_bytes, tuple(self.flaws))

    def _database(self) -> int:
        """Copy a snapshot of the database, checked by the store; return its last ledger entry."""
        self.progress("Copying the database", 0, 0)
        aside = self.folder.root / f".{DATABASE}{PARTIAL}"
        aside.unlink(missing_ok=True)  # of a backup that was cut off
        try:
            self.workspace.store.backup(aside)
            with Store.open(f"sqlite:///{aside}", read_only=True) as copy:
                ledger_seq = copy.head_seq()
            self.entries.append(self._copied(DATABASE, aside, self.began_ns))
        finally:
            aside.unlink(missing_ok=True)
        return ledger_seq

    def _original(self, item: ImageItem) -> None:
        """Note an original: it never changes, so one that a backup has is not read again."""
        path = original_path(self.workspace.root, item.sha256)
        name = path.relative_to(self.workspace.root).as_posix()
        if (kept := self.kept.get(name)) is not None and self.folder.has(item.sha256, kept.size):
            self.entries.append(kept)
            return
        try:
            found = path.stat()
            digest, size = self.folder.put(path)
        except OSError as error:
            self.flaws.append(f"image {item.id} ({item.name}): the original cannot be read ({error.strerror})")
            return
        if digest != item.sha256:
            self.flaws.append(f"image {item.id} ({item.name}): the original was changed after the import")
            return
        self._count(size)
        self.entries.append(Entry(name, digest, size, found.st_mtime_ns))

    def _single(self, path: Path) -> None:
        """Note a file that stands for itself; one that is gone can be made again, or is yet to come."""
        with contextlib.suppress(FileNotFoundError):
            self.entries.append(self._entry(path))

    def _unit(self, unit: str) -> None:
        """Note the files of one round, map or check as they belong together.

        A live round removes the predictions of older fits while it writes new ones and then its report: where a file
        goes or the report changes meanwhile, all is looked at again. Of a round that was damaged since the last backup,
        which had it whole, that one's files stay.
        """
        if unit.startswith(f"{ROUNDS}/") and (flaws := ROUND.find_flaws(self.workspace.root / unit)):
            whole = self._whole_before(unit)
            stays = " The backup keeps the files that it had." if whole else ""
            self.flaws += [f"{unit}: {flaw}{stays}" for flaw in flaws]
            if whole:
                self.entries += whole
                return
        for _ in range(TRIES):
            report = self.workspace.root / unit / round_files.REPORT
            before = _stamp(report)
            try:
                entries = [self._entry(path) for path in contents.files_below(self.workspace.root / unit)]
            except FileNotFoundError:
                continue
            if _stamp(report) == before:
                self.entries += entries
                return
        raise LedgerError(
            "The backup could not be taken: files change all the time",
            value=unit,
            way_out="Take it again when fewer labels are given.",
        )

    def _whole_before(self, unit: str) -> list[Entry]:
        """What the last backup has of a round, as it ended; [] where that is not the round as it is to be."""
        kept = [entry for name, entry in self.kept.items() if name.startswith(f"{unit}/")]
        sealed = self.kept.get(f"{unit}/{round_files.DIGESTS}")
        digests = self.workspace.root / unit / round_files.DIGESTS
        if sealed is None or not digests.is_file() or sha256_of(digests) != sealed.sha256:
            return []
        return kept if all(self.folder.has(entry.sha256, entry.size) for entry in kept) else []

    def _entry(self, path: Path) -> Entry:
        """Note a file, copying its content unless the last backup has it; raises FileNotFoundError if it goes."""
        name, found = path.relative_to(self.workspace.root).as_posix(), path.stat()
        kept = self.kept.get(name)
        if (
            kept is not None
            and (kept.size, kept.mtime_ns) == (found.st_size, found.st_mtime_ns)
            and found.st_mtime_ns < self.settled_ns
            and self.folder.has(kept.sha256, kept.size)
        ):
            return kept
        return self._copied(name, path, found.st_mtime_ns)

    def _copied(self, name: str, path: Path, mtime_ns: int) -> Entry:
        digest, size = self.folder.put(path)
        if digest not in self.trusted:
            self._count(size)
        return Entry(name, digest, size, mtime_ns)

    def _count(self, size: int) -> None:
        self.new_files += 1
        self.new_bytes += size


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
