"""Putting a backup in the place of what a project is now, or into a new folder.

All of the backup is copied into the project and checked before anything there changes. Then what is there is moved
aside, never removed, and the copies take its place. A marker stands beside while that happens: a project whose restore
was cut off is not opened, and restoring it again ends the work.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import (
    ConfigError,
    LedgerError,
    NotAProject,
    ProjectCorrupt,
    ProjectError,
    ProjectInUse,
    StarlingError,
)
from engine.files import sha256_of, sync, write_json
from engine.project import lock
from engine.project.backups import contents
from engine.project.backups.folder import MANIFESTS, SUFFIX, BackupFolder, Entry, Manifest, read
from engine.project.workspace import DATABASE, DATABASE_URL, RESTORING, is_project, quiet
from engine.records.progress import Progress
from engine.records.rounds import COMPLETE_STATES
from engine.rounds.folder import files as round_files
from engine.rounds.folder.identity import move_strangers
from engine.rounds.folder.lock import WorkerBusy, lock_folder
from engine.rounds.folder.plan import ROUNDS, round_folders
from engine.store import BESIDE, Store, copy_database

ASIDE = "aside"
"""In a project: what restores have moved out of the way."""


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        name: of the project.
        made: when the backup was begun, ISO 8601; empty for a copy of a database alone.
        ledger_seq: the last entry of the ledger now.
        files: how many files were put in place, the database among them.
        aside: where what was there before lies; None where there was nothing.
        rounds_aside: folders of rounds that the project does not have now, where they lie.
    """

    name: str
    made: str
    ledger_seq: int
    files: int
    aside: Path | None
    rounds_aside: tuple[Path, ...]


def restore(root: Path, backup: Path, progress: Progress = quiet, *, files_only: bool = False) -> Restored:
    """Make the project in `root` what it was at a backup; see the head of this file.

    Args:
        root: the project's folder; one that is not there or empty becomes a copy of the project.
        backup: a folder of backups, whose newest is taken; a file of its manifests/; or a copy of a database, which
            replaces the database alone.
        progress: told of the files looked at.
        files_only: put back originals and thumbnails that are missing or damaged, and the files of complete rounds that
            the project has; the database stays as it is.

    Raises:
        NotAProject: there is no backup, or `root` holds something else.
        ProjectInUse: a process has the project open, or a round trains in it.
        ConfigError: it is a backup of another project.
        ProjectCorrupt, SchemaTooNew: the backup is not sound, or from a newer Starling; nothing was changed.
        LedgerError: it could not be written; nothing was changed, or the words say that it is to be done again.
    """
    root, backup = root.expanduser().resolve(), backup.expanduser().resolve()
    folder, manifest = _source(backup)
    known = is_project(root)
    _check_target(root, known, whole=manifest is not None)
    if files_only and (manifest is None or not known):
        raise ConfigError(
            "Files alone are put back from a backup of the whole project, into that project",
            value=backup,
            way_out="Leave --files-only out, or give a folder that `starling backup PROJECT FOLDER` wrote.",
        )
    if files_only and (root / RESTORING).is_file():
        raise ConfigError(
            "A restore of this project was cut off, and files alone do not end it",
            value=root,
            way_out="Restore it without --files-only first.",
        )
    made_here = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with lock.alone(root):
            _check_workers(root)
            return _Restoring(root, progress, folder, manifest, backup, files_only).run()
    except OSError as error:
        raise LedgerError(
            "The restore could not be done", value=error, way_out="Look at the disk, then restore again."
        ) from error
    finally:
        if made_here and not is_project(root):
            shutil.rmtree(root)
        elif not known and not is_project(root):
            (root / lock.LOCK).unlink(missing_ok=True)


def _source(backup: Path) -> tuple[BackupFolder, Manifest | None]:
    """Return the backup folder and the manifest; None for a copy of a database."""
    if not backup.exists():
        raise NotAProject("There is no such backup", value=backup, way_out="Check it for typing errors.")
    if backup.is_dir():
        folder = BackupFolder(backup)
        return folder, read(folder.newest())
    if backup.name.endswith(SUFFIX) and backup.parent.name == MANIFESTS:
        return BackupFolder(backup.parents[1]), read(backup)
    return BackupFolder(backup.parent), None


def _check_target(root: Path, known: bool, *, whole: bool) -> None:
    if (root / DATABASE_URL).is_file():
        raise ProjectError(
            "This project's database is not a file", value=root, way_out="Restore it with the database's own tool."
        )
    if not whole and not (known or (root / "images").is_dir()):
        raise NotAProject(
            "A copy of the database alone needs the project's folder with its images",
            value=root,
            way_out="Give that folder, or a backup of the whole project.",
        )
    if root.exists() and not root.is_dir():
        raise NotAProject("A project is a folder", value=root, way_out="Give another one.")
    headless = all((root / name).is_dir() for name in ("images", "rounds"))  # a project whose database is gone
    if whole and not (known or headless) and root.exists() and any(path.name != lock.LOCK for path in root.iterdir()):
        raise NotAProject(
            "The folder holds something else than a project", value=root, way_out="Give a project or a new folder."
        )


def _check_workers(root: Path) -> None:
    """Raise ProjectInUse while a worker trains: it would go on writing into folders that are replaced."""
    for folder in round_folders(root):
        try:
            os.close(lock_folder(folder))
        except WorkerBusy as error:
            raise ProjectInUse(
                "A round trains in this project",
                value=f"round {folder.name}",
                way_out=f"Wait for its end, or stop it: starling round PROJECT --cancel {int(folder.name)}.",
            ) from error


@dataclass
class _Restoring:
    """One restore of the project in `root`, which nobody else has open."""

    root: Path
    progress: Progress
    folder: BackupFolder
    manifest: Manifest | None
    backup: Path
    files_only: bool
    moved: int = 0
    staged: list[str] = field(default_factory=list)
    rounds_aside: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self.staging = self.root / f"restoring-{stamp}"
        self.aside = self.root / ASIDE / f"before-restore-{stamp}"

    def run(self) -> Restored:
        for left in self.root.glob("restoring-*"):  # of a restore that was cut off
            shutil.rmtree(left)
        try:
            self.staging.mkdir()
            with self._database() as store:
                self._check_identity(store)
                name, seq = store.name, store.head_seq()
                changed = self._stage_files(store)
                uids = {record.number: record.uid for record in store.rounds()}
            os.sync()
            self._replace(changed, uids)
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)
        made = "" if self.manifest is None else self.manifest.made
        return Restored(name, made, seq, len(self.staged), self.aside if self.moved else None, tuple(self.rounds_aside))

    @contextmanager
    def _database(self) -> Iterator[Store]:
        """Open the database that the project will have: a checked copy of the backup's, or the present one."""
        if self.files_only:
            with Store.open(f"sqlite:///{self.root / DATABASE}", read_only=True) as store:
                yield store
            return
        self.progress("Checking the database", 0, 0)
        source = self.backup
        if self.manifest is not None:
            entry = self._entries()[DATABASE]
            source = self.folder.content(entry.sha256)
            if not _same(source, entry):
                raise self._unsound(f"{DATABASE} is missing or damaged in it")
        target = self.staging / DATABASE
        try:
            copy_database(source, target)
            store = Store.open(f"sqlite:///{target}")  # one of an older version is upgraded here
        except (ProjectCorrupt, NotAProject) as error:
            raise self._unsound(error.value or error.cause) from error
        with store:
            if problems := store.verify():
                raise self._unsound(problems[0])
            self.staged.append(DATABASE)
            yield store

    def _check_identity(self, store: Store) -> None:
        present, uid = _present_uid(self.root), store.meta("uid")
        if self.files_only:
            uid = self.folder.identity()["uid"]
        if present and uid != present:
            raise ConfigError(
                "This is a backup of another project", value=self.backup, way_out="Restore it into a new folder."
            )

    def _unsound(self, value: object) -> ProjectCorrupt:
        older = (
            f"an older one, a file in {self.folder.root / MANIFESTS}" if self.manifest is not None else "another copy"
        )
        return ProjectCorrupt(
            "The backup is not sound; nothing was changed",
            value=value,
            way_out=f"Take {older}: starling restore PROJECT FILE.",
        )

    def _entries(self) -> Mapping[str, Entry]:
        assert self.manifest is not None
        entries = {entry.path: entry for entry in self.manifest.files}
        if DATABASE not in entries:
            raise self._unsound("it has no database")
        return entries

    def _stage_files(self, store: Store) -> list[str]:
        """Copy what differs from the project, each content checked; return the paths to put in place."""
        if self.manifest is None:
            return []
        units: dict[str, list[Entry]] = defaultdict(list)
        single = []
        for path, entry in self._entries().items():
            if (unit := contents.unit_of(path)) is not None:
                units[unit].append(entry)
            elif path != DATABASE:
                single.append(entry)
        if self.files_only:
            single = [entry for entry in single if entry.path.startswith(contents.BY_IMAGE)]
            units = {name: units[name] for name in _rounds_of(store, units)}
        changed, total = [], len(single) + len(units)
        for done, entry in enumerate(single):
            if done % 100 == 0:
                self.progress("Comparing and copying files", done, total)
            if not _same(self.root / entry.path, entry):
                self._stage(entry)
                changed.append(entry.path)
        for done, (unit, entries) in enumerate(units.items(), len(single)):
            self.progress("Comparing and copying files", done, total)
            if self._differs(unit, entries):
                for entry in entries:
                    self._stage(entry)
                changed.append(unit)
        return changed

    def _differs(self, unit: str, entries: list[Entry]) -> bool:
        there = {path.relative_to(self.root).as_posix() for path in contents.files_below(self.root / unit)}
        return there != {e.path for e in entries} or not all(_same(self.root / e.path, e) for e in entries)

    def _stage(self, entry: Entry) -> None:
        target = self.staging / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(self.folder.content(entry.sha256), target)
        except FileNotFoundError as error:
            raise self._unsound(f"{entry.path} is missing in it") from error
        if sha256_of(target) != entry.sha256:
            raise self._unsound(f"{entry.path} is damaged in it")
        os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
        self.staged.append(entry.path)

    def _replace(self, changed: list[str], uids: Mapping[int, str | None]) -> None:
        """Move what is there aside and put the copies in its place; a marker stands as long as that is not done."""
        self.progress("Putting it in place", 0, 0)
        write_json(self.root / RESTORING, {"backup": str(self.backup), "aside": str(self.aside)})
        parts = [] if self.files_only else [DATABASE + ending for ending in BESIDE]
        for path in (*parts, *changed):
            self._move_aside(path)
        for path in (*changed, *(part for part in parts if (self.staging / part).exists())):
            self._put(path)
        self.rounds_aside = move_strangers(self.root, uids) if not self.files_only else []
        os.sync()
        (self.root / RESTORING).unlink()
        sync(self.root)

    def _move_aside(self, path: str) -> None:
        if not (self.root / path).exists():
            return
        target = self.aside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.root / path, target)
        self.moved += 1

    def _put(self, path: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.staging / path, self.root / path)
        if path.startswith(f"{ROUNDS}/"):
            for name in round_files.FOLDERS:  # a backup knows files alone, and a resume needs the empty ones too
                (self.root / path / name).mkdir(exist_ok=True)


def _present_uid(root: Path) -> str | None:
    """Return the uid of the project that is there; None where its database cannot be read."""
    try:
        with Store.open(f"sqlite:///{root / DATABASE}", read_only=True) as store:
            return store.meta("uid")
    except StarlingError:
        return None


def _rounds_of(store: Store, units: Mapping[str, list[Entry]]) -> list[str]:
    """Return the folders of a backup that are those of complete rounds of the project: their predictions are."""
    found = []
    for record in store.rounds():
        unit = f"{ROUNDS}/{record.number:04d}"
        if record.state in COMPLETE_STATES and not record.live and record.report is not None:
            name = f"{unit}/{record.report.predictions.file or round_files.FINAL}"
            if any((e.path, e.sha256) == (name, record.report.predictions.sha256) for e in units.get(unit, ())):
                found.append(unit)
    return found


def _same(path: Path, entry: Entry) -> bool:
    try:
        return path.stat().st_size == entry.size and sha256_of(path) == entry.sha256
    except OSError:
        return False
