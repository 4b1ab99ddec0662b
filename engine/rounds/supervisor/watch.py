"""Supervises the worker of one round: its events go to the store, a cancel goes to it, its end settles the
round."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import RoundState
from engine.files import read_json
from engine.records.rounds import RoundRecord
from engine.rounds.folder import files
from engine.rounds.folder.events import ENDINGS, Event, EventTail
from engine.rounds.folder.files import RESUME
from engine.rounds.supervisor import process
from engine.rounds.supervisor.process import Worker
from engine.rounds.supervisor.verdict import Compare, judge

if TYPE_CHECKING:
    from engine.store import Store

log = logging.getLogger("starling.rounds")
NEWS = frozenset({"progress", "heartbeat", "epoch", "checkpoint", "recovery", "started"})
RETRIES = 2
"""How often a round whose worker asked for a fresh process is queued again by itself."""


@dataclass(frozen=True)
class Patience:
    """Seconds the watch waits. `silence` counts from the last event, `first_word` from the start to the
    first."""

    terminate: float = 5.0
    kill: float = 10.0
    silence: float = 20.0
    first_word: float = 120.0
    leave: float = 10.0
    write_every: float = 0.5


class Watch:
    """One round under supervision.

    Call `step` a few times a second until it returns True; nothing else is done in between. Dropping the
    watch leaves the worker running; another watch can take over from the events file alone.

    Args:
        store: the open project.
        record: the round, in state running or cancelling.
        folder: its folder.
        worker: its process, dead or alive; None when none was ever known.
        patience: the waits.
        compare: see `engine.rounds.supervisor.verdict`.
    """

    def __init__(
        self,
        store: Store,
        record: RoundRecord,
        folder: Path,
        worker: Worker | None,
        patience: Patience,
        compare: Compare | None = None,
    ) -> None:
        self._compare = compare
        self.store = store
        self.number = record.number
        self.token = record.token
        self.folder = folder
        self.worker = worker
        self.patience = patience
        self._tail = EventTail(folder / files.EVENTS)
        self._progress: dict[str, Any] = dict(record.progress)
        self._dirty = False
        self._written = -1e9
        self._heard: float | None = None
        self._begun = time.monotonic()
        self._cancel_at: float | None = None
        self._terminated = False
        self._ending: Event | None = None
        self._ended_at = 0.0
        self._exit_code: int | None = None

    def step(self) -> bool:
        """Do what is due now; return True when the round is settled and the watch can be dropped."""
        now = time.monotonic()
        alive = self.worker is not None and self.worker.alive(self.folder)
        self._listen(now)
        record = self.store.round(self.number)
        if record.token != self.token or record.state not in {"running", "cancelling"}:
            self._end_worker()
            return True
        if alive and record.state == "cancelling":
            self._pass_cancel_on(now)
        if alive and not self._overdue(now):
            self._write(now)
            return False
        silent = alive and self._ending is None and self._cancel_at is None
        self._end_worker()
        self._listen(now)
        self._write(now, force=True)
        self._settle(self.store.round(self.number), silent)
        return True

    def _listen(self, now: float) -> None:
        for event in self._tail.read():
            if event.get("token") != self.token:
                continue
            self._heard = now
            if event["type"] in ENDINGS:
                self._ending, self._ended_at = event, now
            elif event["type"] in NEWS:
                self._progress = _merge(self._progress, event)
                self._dirty = True

    def _write(self, now: float, *, force: bool = False) -> None:
        if not self._dirty or (now - self._written < self.patience.write_every and not force):
            return
        try:
            self.store.update_progress(self.number, self._progress, token=self.token)
        except RoundState:
            log.info("round %d: progress of a fenced-off attempt dropped", self.number)
        self._dirty = False
        self._written = now

    def _overdue(self, now: float) -> bool:
        """Return whether a living worker has had all the time it gets."""
        if self._ending is not None:
            return now - self._ended_at > self.patience.leave
        if self._cancel_at is not None:
            return now - self._cancel_at > self.patience.kill
        if self._heard is None:
            return now - self._begun > self.patience.first_word
        return now - self._heard > self.patience.silence

    def _pass_cancel_on(self, now: float) -> None:
        if self._cancel_at is None:
            self._cancel_at = now
            flag = self.folder / files.CANCEL
            if self.folder.is_dir():
                flag.parent.mkdir(exist_ok=True)
                flag.touch()
        elif now - self._cancel_at > self.patience.terminate and not self._terminated and self.worker is not None:
            self._terminated = True
            process.terminate(self.worker, self.folder)

    def _end_worker(self) -> None:
        """Leave no process of the worker's group behind."""
        if self.worker is not None:
            process.kill_group(self.worker, self.folder)
            self._exit_code = process.reap(self.worker)

    def _settle(self, record: RoundRecord, silent: bool) -> None:
        kind = self._ending["type"] if self._ending is not None else None
        if kind == "finished":
            self._finish()
        elif kind == "failed":
            assert self._ending is not None
            error = {key: self._ending.get(key) for key in ("kind", "cause", "way_out", "traceback")}
            failed = self.store.transition(self.number, "failed", token=self.token, error=error)
            if self._ending.get("retry") and failed.attempt <= RETRIES:
                self.store.transition(self.number, "queued", token=self.token)
        elif record.state == "cancelling" or kind == "cancelled":
            if record.state == "running":
                self.store.transition(self.number, "cancelling", token=self.token)
            self.store.transition(self.number, "cancelled", token=self.token)
        else:
            error = self._interruption(silent, kind)
            self.store.transition(self.number, "interrupted", token=self.token, error=error)

    def _finish(self) -> None:
        try:
            report = read_json(self.folder / files.REPORT)
        except (OSError, ValueError) as error:
            lost = {
                "kind": "ReportMissing",
                "cause": f"The round's report cannot be read ({error})",
                "way_out": RESUME,
            }
            self.store.transition(self.number, "failed", token=self.token, error=lost)
            return
        record = self.store.transition(self.number, "finished", token=self.token, report=report)
        judge(self.store, record, self._compare)

    def _interruption(self, silent: bool, kind: str | None) -> dict[str, Any]:
        code = self._exit_code
        if kind == "interrupted":
            cause = "The worker was asked to end by the system"
        elif silent:
            cause = f"The worker gave no sign of life for {self.patience.silence:g} seconds and was ended"
        elif code is not None and code == -9:
            cause = "The worker was killed (signal 9), by a person or because memory ran out"
        elif code is not None and code < 0:
            cause = f"The worker was ended by signal {-code}"
        else:
            cause = "The worker ended without a result" + ("" if code is None else f" (exit status {code})")
        return {
            "kind": "Interrupted",
            "cause": cause,
            "way_out": f"{RESUME} Its log is {self.folder / files.LOG}.",
        }


def started_worker(folder: Path, token: str | None) -> Worker | None:
    """Return the process that the events say runs this attempt, dead or alive; None before its first word.

    Args:
        folder: the round's folder.
        token: the attempt's token; None for the last attempt, whichever it was.
    """
    events = EventTail(folder / files.EVENTS, {"started"}).read()
    words = [event for event in events if token is None or event.get("token") == token]
    if not words:
        return None
    return Worker(int(words[-1]["pid"]), float(words[-1]["pid_created"]))


def _merge(progress: dict[str, Any], event: Event) -> dict[str, Any]:
    """Return the progress after one more event; the result holds JSON values only.

    Within a phase a metric stays until a newer value of it comes: a step does not report what an epoch does.
    """
    kind = event["type"]
    merged = {**progress, "heartbeat": event.get("time")}
    if kind in {"progress", "epoch"}:
        before = progress.get("metrics") if event.get("phase") == progress.get("phase") else None
        metrics = {**(before or {}), **(event.get("metrics") or {})}
        fields = set(event) - {"type", "time", "token"} if kind == "progress" else {"phase", "epoch"}
        merged |= {key: event.get(key) for key in fields} | {"metrics": metrics}
    elif kind == "checkpoint":
        merged["checkpoint"] = {key: event.get(key) for key in ("phase", "epoch", "file", "sha256")}
    elif kind == "recovery":
        merged["message"] = event.get("message", "")
    return json.loads(json.dumps(merged))  # type: ignore[no-any-return]
