"""The open projects of this process, shared by the pages, the routes and the command line."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.server.deliveries import Deliveries
from engine.errors import ConfigError, ProjectInUse, ProjectReadOnly
from engine.jobs import timing
from engine.project.live import LiveThread
from engine.project.opened import Project
from engine.project.workspace import is_project, is_writable, slug
from engine.rounds.supervisor.thread import EngineThread


@dataclass
class OpenProject:
    """A project this process serves: its key in URLs, its engine thread, its lock; `selection` are the ids of the
    images last handed over from the map; `live` follows the answers, None where nobody asked for it; `deliveries` are
    the sources that are not imported yet; `base_path` is where the app lies on its host; `read_only` says why nothing
    can be saved, "" where it can: such a project has no lock, and its engine thread does not run."""

    key: str
    project: Project
    engine: EngineThread
    lock: IO[str] | None
    deliveries: Deliveries
    selection: tuple[int, ...] = ()
    live: LiveThread | None = None
    base_path: str = ""
    read_only: str = ""

    @property
    def base(self) -> str:
        """Start of this project's routes."""
        return f"{self.base_path}/starling/p/{self.key}"


class Workbench:
    """Opens, creates and closes projects; each is opened once and served by one app at a time.

    Args:
        home: the folder whose sub-folders are the projects offered in the app.
        live: whether live labels follow the answers to the projects that are opened.
        base_path: where the app lies on its host, "" or as "/lab".
        reviewers: names of those who may take back what others decided.
        read_only: whether all projects are opened so that nothing in them can be changed; one whose folder cannot be
            written is in any case.
    """

    def __init__(
        self,
        home: Path,
        *,
        live: bool = False,
        base_path: str = "",
        reviewers: Collection[str] = (),
        read_only: bool = False,
    ) -> None:
        self.home = home.expanduser().resolve()
        self.base_path, self.reviewers = base_path, frozenset(reviewers)
        self._live, self.read_only = live, read_only
        self.url = ""
        self._open: dict[str, OpenProject] = {}
        self._lock = threading.RLock()

    def projects(self) -> list[Path]:
        """Return the project folders in `home` and those opened from elsewhere, by name."""
        here = [path.parent for path in self.home.glob("*/project.db")] if self.home.is_dir() else []
        with self._lock:
            elsewhere = [opened.project.root for opened in self._open.values()]
        return sorted(set(here) | set(elsewhere), key=lambda path: path.name.casefold())

    def create(self, name: str) -> OpenProject:
        """Make a project of this name in `home` and open it.

        Raises:
            ConfigError: the name is empty or has no letter or digit.
            ProjectExists: there is one already.
            ProjectReadOnly: Starling was started with --read-only, or `home` cannot be written.
        """
        if self.read_only:
            raise ProjectReadOnly(
                "Starling was started with --read-only, so no project can be made", way_out="Start it without."
            )
        folder = slug(name)
        if not folder:
            raise ConfigError("A project needs a name with a letter or a digit", value=repr(name))
        Project.create(self.home / folder, name.strip()).close()
        return self.open(self.home / folder)

    def open(self, root: Path) -> OpenProject:
        """Open the project in `root`, once, and start its engine thread; without one where it is read-only.

        Raises:
            ProjectInUse: another app serves it.
            NotAProject, SchemaTooNew, ProjectCorrupt: see engine.project.opened.
        """
        root = root.expanduser().resolve()
        with self._lock:
            for other in self._open.values():
                if other.project.root == root:
                    return other
            if reason := self._why_read_only(root):
                return self._keep(self._read_only_project(root, reason))
            project = Project.open(root)
            try:
                lock = self._claim(root)
            except ProjectInUse:
                project.close()
                raise
            project.workspace.sweep()
            engine = EngineThread(project.store, root, compare=project.measured.compare)
            engine.start()
            deliveries = Deliveries(project.imports, project.root / "staging")
            opened = OpenProject(self.key_of(project), project, engine, lock, deliveries, base_path=self.base_path)
            if self._live:
                opened.live = LiveThread(project.live)
                opened.live.start()
            return self._keep(opened)

    def _keep(self, opened: OpenProject) -> OpenProject:
        self._open[opened.key] = opened
        return opened

    def _why_read_only(self, root: Path) -> str:
        """Return why a project can only be opened read-only, as a sentence; "" where it can be written."""
        if self.read_only:
            return "Starling was started with --read-only."
        if is_project(root) and not is_writable(root):
            return f"Its folder cannot be written: {root}."
        return ""

    def _read_only_project(self, root: Path, reason: str) -> OpenProject:
        project = Project.open(root, read_only=True)
        engine = EngineThread(project.store, root)  # never started: nothing is queued, and nothing could be written
        deliveries = Deliveries(project.imports, None)
        key = self.key_of(project)
        return OpenProject(key, project, engine, None, deliveries, base_path=self.base_path, read_only=reason)

    def get(self, key: str) -> OpenProject | None:
        """Return the open project with this key."""
        with self._lock:
            return self._open.get(key)

    def opened(self) -> list[OpenProject]:
        """Return the projects that are open."""
        with self._lock:
            return list(self._open.values())

    def close(self) -> None:
        """Stop the engine threads and close all projects; workers go on and are found again at the next start."""
        timing.SHARED.drop_all()
        with self._lock:
            for opened in self._open.values():
                opened.deliveries.close()
                if opened.live is not None:
                    opened.live.stop()
                opened.engine.stop()
                opened.project.close()
                if opened.lock is not None:
                    opened.lock.close()
            self._open.clear()

    @staticmethod
    def key_of(project: Project) -> str:
        """Name a project in URLs so that no other project ever has the same: browsers keep decisions under it."""
        return f"{slug(project.root.name) or 'project'}-{project.workspace.uid[:8]}"

    def _claim(self, root: Path) -> IO[str]:
        handle = open(root / "app.lock", "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the project is
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = _holder(handle.read())
            handle.close()
            raise ProjectInUse(
                "Another Starling serves this project",
                value=f"{root} ({holder})",
                way_out="Use that one, or stop it and try again.",
            ) from error
        handle.truncate(0)
        handle.write(json.dumps({"pid": os.getpid(), "url": self.url}))
        handle.flush()
        return handle


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        address = holder.get("url") or "no address yet"
        return f"process {holder['pid']}, {address}"
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "process unknown"


_current: Workbench | None = None


def use(workbench: Workbench) -> Workbench:
    """Make this the process's workbench."""
    global _current
    _current = workbench
    return workbench


def current() -> Workbench:
    """Return the process's workbench; without one, the one of the default home."""
    return _current if _current is not None else use(Workbench(default_home()))


def default_home() -> Path:
    """Return where projects live: $STARLING_HOME, else `data` in a checkout, else ~/starling."""
    if os.environ.get("STARLING_HOME"):
        return Path(os.environ["STARLING_HOME"])
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "data").is_dir():
        return checkout / "data"
    return Path.home() / "starling"
