"""A backup folder: the files of one project as they were at several times, each content kept once.

backup.json                        whose backups these are: uid and name of the project
files/ab/<sha256>                  contents, named by their SHA-256
manifests/20261201T051529.123456Z.json.gz
                                   one backup: what files the project had, and their contents; written last, so that
                                   a backup is there as a whole or not at all
lock                               held while a backup is written

What no manifest names, a backup that was cut off has left; the next one overwrites it or `prune` removes it.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import ConfigError, NotAProject, ProjectCorrupt, ProjectInUse, first_line
from engine.files import by_content, keep_content, read_json, replacing, write_json
from engine.project.backups import contents

IDENTITY = "backup.json"
FILES = "files"
MANIFESTS = "manifests"
LOCK = "lock"
SUFFIX = ".json.gz"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the project.

    Attributes:
        path: in the project's folder, with slashes.
        sha256, size: of its content, hex and bytes.
        mtime_ns: when the file was last written, in nanoseconds since 1970.
    """

    path: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Manifest:
    """One backup.

    Attributes:
        made: when it was begun, ISO 8601 in UTC.
        began_ns: the same in nanoseconds since 1970.
        ledger_seq: the last entry of the ledger in it.
        files: all of them, the database among them.
    """

    made: str
    began_ns: int
    ledger_seq: int
    files: tuple[Entry, ...]


class BackupFolder:
    """A folder of backups at `root`; see the head of this file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def writing(self, uid: str, name: str) -> Iterator[None]:
        """Make the folder if it is not there, and keep other backups from it within the block.

        Raises:
            ConfigError: it holds other files, or backups of another project.
            ProjectInUse: another backup is being written into it.
        """
        if self.root.exists() and not (self.root / IDENTITY).is_file() and not _is_empty(self.root):
            raise ConfigError(
                "A backup needs a new or empty folder, or one with earlier backups of the project",
                value=self.root,
                way_out="Choose another one.",
            )
        for part in (FILES, MANIFESTS):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        with open(self.root / LOCK, "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ProjectInUse(
                    "Another backup is being written into this folder",
                    value=self.root,
                    way_out="Wait until it is done, or choose another folder.",
                ) from error
            if not (self.root / IDENTITY).exists():
                write_json(self.root / IDENTITY, {"format": _FORMAT, "uid": uid, "name": name})
            kept = self.identity()
            if kept["uid"] != uid:
                raise ConfigError(
                    "This folder holds backups of another project", value=kept["name"], way_out="Choose another one."
                )
            yield

    def identity(self) -> dict[str, str]:
        """Return `uid` and `name` of the project.

        Raises:
            NotAProject: this is no backup folder.
            ProjectCorrupt: its own description cannot be read.
        """
        try:
            kept = read_json(self.root / IDENTITY)
            return {"uid": str(kept["uid"]), "name": str(kept["name"])}
        except FileNotFoundError as error:
            raise NotAProject(
                "There is no backup in this folder",
                value=self.root,
                way_out="Give a folder that `starling backup PROJECT FOLDER` wrote, or a copy of a database.",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(self.root / IDENTITY, error) from error

    def manifests(self) -> list[Path]:
        """Return the backups, oldest first."""
        return sorted((self.root / MANIFESTS).glob(f"*{SUFFIX}"))

    def newest(self) -> Path:
        """Return the newest backup.

        Raises:
            NotAProject: there is none.
        """
        self.identity()
        if not (found := self.manifests()):
            raise NotAProject(
                "No backup in this folder was ever finished", value=self.root, way_out="Take one: starling backup."
            )
        return found[-1]

    def write(self, manifest: Manifest) -> Path:
        """Bring everything that was put to the disk, then write the manifest that makes it a backup.

        Raises:
            ProjectCorrupt: a content is not there in its length; nothing was written.
        """
        for entry in manifest.files:
            if _size(self.content(entry.sha256)) != entry.size:
                raise ProjectCorrupt(
                    "The backup is not whole: a file in it has the wrong length",
                    value=self.content(entry.sha256),
                    way_out="Take it again.",
                )
        os.sync()
        name = "".join(letter for letter in manifest.made.removesuffix("+00:00") if letter not in "-:")
        path = self.root / MANIFESTS / f"{name}Z{SUFFIX}"
        text = json.dumps(asdict(manifest), ensure_ascii=False, separators=(",", ":"))
        with replacing(path) as aside:
            aside.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))
        return path

    def content(self, sha256: str) -> Path:
        """Return where a content lies, or would."""
        return by_content(self.root / FILES, sha256)

    def has(self, sha256: str, size: int) -> bool:
        """Return whether a content is there in its length, which is enough for one that a manifest names."""
        return _size(self.content(sha256)) == size

    def put(self, source: Path) -> tuple[str, int]:
        """Copy a file into the folder; return SHA-256 and size of the copy, read back from the folder.

        It is on the disk once `write` returns.

        Raises:
            OSError: the source cannot be read or the copy not be written.
        """
        return keep_content(source, self.root / FILES)

    def prune(self, keep: int) -> int:
        """Remove all backups but the newest `keep`, and the contents that none of those names; return how many."""
        found = self.manifests()
        for path in found[: max(0, len(found) - keep)]:
            path.unlink()
        named = {entry.sha256 for path in self.manifests() for entry in read(path).files}
        loose = [path for path in (self.root / FILES).glob("*/*") if path.name not in named]
        for path in loose:
            path.unlink()
        return len(loose)


def read(path: Path) -> Manifest:
    """Read a backup's manifest.

    Raises:
        ProjectCorrupt: it cannot be read, or names a file that no backup of a project has.
    """
    try:
        value = json.loads(gzip.decompress(path.read_bytes()))
        files = tuple(Entry(**entry) for entry in value.pop("files"))
        manifest = Manifest(**value, files=files)
        for entry in files:
            if not contents.belongs(entry.path) or len(bytes.fromhex(entry.sha256)) != 32:
                raise ValueError(f"no file of a project: {entry.path!r}")
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    return manifest


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _damaged(path: Path, error: Exception) -> ProjectCorrupt:
    return ProjectCorrupt(
        "The description of a backup cannot be read",
        value=f"{path} ({first_line(error)})",
        way_out=f"Take an older one, a file in {MANIFESTS}/: starling restore PROJECT FILE.",
    )
