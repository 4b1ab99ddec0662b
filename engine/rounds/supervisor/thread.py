"""The background engine thread of one project: starts a worker for each queued round and watches it.

It lives in the app's process (or the command line's). It never trains, never calls the page, and never ends a
worker because it itself ends: the worker goes on, and the next engine thread takes over from the round's
folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import RoundState
from engine.records.rounds import RoundRecord
from engine.rounds.folder import files
from engine.rounds.folder.failure import failure, own_words
from engine.rounds.folder.lock import WorkerBusy
from engine.rounds.folder.plan import round_folder
from engine.rounds.supervisor import process
from engine.rounds.supervisor.prepare import write_plan
from engine.rounds.supervisor.process import Worker
from engine.rounds.supervisor.verdict import Compare, judge
from engine.rounds.supervisor.watch import Patience, Watch, started_worker

if TYPE_CHECKING:
    from engine.store import Store

log = logging.getLogger("starling.rounds")
BUSY_SECONDS = 0.2
IDLE_SECONDS = 1.0
ENGINE_LOCK = "engine.lock"


class EngineThread:
    """Runs a project's rounds, one at a time.

    Of all engine threads of a project, in whatever processes, only the holder of `<root>/engine.lock` acts;
    the others wait and take over when it ends.

    Args:
        store: the open project.
        root: its folder.
        patience: the waits for a worker.
        compare: how two rounds do on the measured set; None where nothing is to be measured.
    """

    def __init__(
        self, store: Store, root: Path, *, patience: Patience | None = None, compare: Compare | None = None
    ) -> None:
        self._compare = compare
        self.store = store
        self.root = root
        self.patience = patience or Patience()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._lock: int | None = None
        self._watch: Watch | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def holds_lock(self) -> bool:
        """Whether this is the engine thread that acts for the project."""
        return self._lock is not None

    def start(self) -> bool:
        """Start the thread (once) and return whether it is the one that acts for the project now."""
        if self.alive:
            return self.holds_lock
        self._stop.clear()
        held = self._take_lock()
        self._thread = threading.Thread(target=self._run, name=f"engine-{self.root.name}", daemon=True)
        self._thread.start()
        return held

    def stop(self) -> None:
        """End the thread and give the lock back. A running worker goes on."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
        self._give_lock()

    def wake(self) -> None:
        """Look for work now instead of at the next turn."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self._turn()
            except Exception:
                log.exception("engine thread of %s: a turn failed; it goes on", self.root)
                busy = False
            self._wake.wait(BUSY_SECONDS if busy else IDLE_SECONDS)
            self._wake.clear()

    def _turn(self) -> bool:
        """Do what is due; return whether a round is under way."""
        if self._lock is None and not self._take_lock():
            return False
        if self._watch is None:
            self._judge_finished()
            record = self.store.active_round()
            self._watch = None if record is None else self._attach(record)
            if record is not None and self._watch is None:
                return True
        if self._watch is not None and self._watch.step():
            self._watch = None
            return True
        return self._watch is not None

    def _judge_finished(self) -> None:
        """Give a verdict to a round whose watcher ended between its end and its verdict."""
        for record in self.store.rounds():
            if record.state == "finished":
                judge(self.store, record, self._compare)

    def _attach(self, record: RoundRecord) -> Watch | None:
        """Return a watch on the active round, starting its worker if it is queued; None when there is none to
        watch."""
        folder = round_folder(self.root, record.number)
        if record.state == "queued":
            return self._launch(record, folder)
        worker = started_worker(folder, record.token)
        if worker is None and record.pid is not None and record.pid_created is not None:
            worker = Worker(record.pid, record.pid_created)
        return Watch(self.store, record, folder, worker, self.patience, self._compare)

    def _launch(self, record: RoundRecord, folder: Path) -> Watch | None:
        orphan = started_worker(folder, record.token)
        if orphan is not None and orphan.alive(folder):
            return self._now_running(record, folder, orphan)
        try:
            write_plan(self.store, record, self.root)
            (folder / files.CANCEL).unlink(missing_ok=True)
            worker = process.start(folder)
        except WorkerBusy:
            self._end_fenced_worker(record, folder)
            return None
        except Exception as error:
            self._fail(record, error)
            return None
        return self._now_running(record, folder, worker)

    def _now_running(self, record: RoundRecord, folder: Path, worker: Worker) -> Watch | None:
        try:
            running = self.store.transition(
                record.number, "running", token=record.token, pid=worker.pid, pid_created=worker.created
            )
        except RoundState:
            log.info("round %d was withdrawn while its worker started", record.number)
            process.kill_group(worker, folder)
            process.reap(worker)
            return None
        return Watch(self.store, running, folder, worker, self.patience, self._compare)

    def _end_fenced_worker(self, record: RoundRecord, folder: Path) -> None:
        """End a living worker of an attempt that was given up; one that has not spoken yet is waited for."""
        if started_worker(folder, record.token) is None:
            old = started_worker(folder, None)
            if old is not None and old.alive(folder):
                log.warning("round %d: a worker of an older attempt still ran and was ended", record.number)
                process.kill_group(old, folder)
                process.reap(old)

    def _fail(self, record: RoundRecord, error: Exception) -> None:
        log.warning("round %d could not start", record.number, exc_info=error)
        failed = failure(error, own_words(error))
        self.store.transition(record.number, "failed", token=record.token, error=failed)

    def _take_lock(self) -> bool:
        handle = os.open(self.root / ENGINE_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def _give_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
