"""A process that records decisions, with all it wrote and synced; and what a power cut may leave of that.

Until a file is synced a disk may hold any part of what was written to it since, whatever the order: so after a cut each
file is what it was at its last sync, and any of the sectors written later. What is traced are the system calls of the
real writer, so that nothing is taken for synced that only the program believes to be.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from tests.engine.store.store_samples import REPOSITORY

STRACE = shutil.which("strace")
SECTOR = 4096
WRITER = """
import os, sys, threading
from engine.records.labels import Decision
from engine.store import Store, sqlite, writer
from engine.errors import StarlingError
url, synchronous, count = sys.argv[1:]
opener = sqlite._opener
sqlite._opener = lambda uri, pragmas: opener(uri, [one.replace("=FULL", "=" + synchronous) for one in pragmas])
writer.IDLE_SECONDS = 0.05
store = Store.open(url)
pauses = threading.Event()

def record(image_id):
    for turn in range(int(count)):
        if turn % 4 == 3:
            pauses.wait(0.1)  # idle for long enough that the log is brought into the database
        version = next((state.version for state in store.states([image_id])), 0)
        uid = f"{image_id}-{turn}"
        try:
            [ack] = store.record([Decision(uid, image_id, version, "label", "fox")])
        except StarlingError as error:
            os.write(2, f"{type(error).__name__}: {error}\\n".encode())
            continue
        os.write(1, f"ack {uid} {ack.status}\\n".encode())

threads = [threading.Thread(target=record, args=(image_id,)) for image_id in (3, 4, 5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
store.close()
"""
"""Takes the database's URL, SQLite's `synchronous`, and how many decisions each of three threads makes."""


@dataclass(frozen=True)
class Event:
    """One system call in the order of their ends. text: of what was printed; size: what a file was cut to."""

    kind: Literal["write", "sync", "cut", "gone", "printed"]
    path: str = ""
    offset: int = 0
    content: bytes = b""
    size: int = 0


@dataclass
class Disk:
    """Files after some events: what is sure of each, and what was written since, in order."""

    sure: dict[str, bytes]
    unsure: dict[str, list[Event]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        if event.kind in ("write", "cut", "gone"):
            self.unsure.setdefault(event.path, []).append(event)
        elif event.kind == "sync":
            later = self.unsure.pop(event.path, [])
            if later:
                self.sure[event.path] = _after(self.sure.get(event.path, b""), later)

    def left(self, rng: np.random.Generator | None) -> dict[str, bytes]:
        """Return the files after a power cut: of what was not synced nothing, or by `rng` half of its sectors."""
        files = dict(self.sure)
        for path, events in self.unsure.items() if rng is not None else ():
            kept = [part for event in events for part in _sectors(event) if rng.random() < 0.5]
            if kept:
                files[path] = _after(files.get(path, b""), kept)
        return files


def _sectors(event: Event) -> Iterator[Event]:
    """The event, and a write as those of its sectors."""
    if event.kind != "write":
        yield event
        return
    start, end = event.offset, event.offset + len(event.content)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield Event("write", event.path, start, event.content[start - event.offset : stop - event.offset])
        start = stop


def _after(content: bytes, events: Sequence[Event]) -> bytes:
    now = bytearray(content)
    for event in events:
        if event.kind == "write":
            now.extend(b"\0" * (event.offset + len(event.content) - len(now)))
            now[event.offset : event.offset + len(event.content)] = event.content
        else:
            now[event.size :] = b"\0" * max(0, event.size - len(now))
    return bytes(now)


def run(database: Path, *, synchronous: str = "FULL", count: int = 12, inject: str = "") -> tuple[list[Event], str]:
    """Record decisions in a process that is traced; return what it did to the database's files, and its errors.

    Args:
        database: made before; its files are found by their beginning.
        synchronous: SQLite's.
        count: decisions of each of three threads.
        inject: a fault, as strace's option of that name takes it, for the database's files alone.
    """
    log = database.parent / "trace"
    beside = [f"{database}{ending}" for ending in ("", "-wal", "-head")]
    only = [part for path in beside for part in ("-P", path)] if inject else []
    command = [
        str(STRACE), "-f", "-y", "-xx", "-s", str(1 << 24), "-o", str(log), "--seccomp-bpf", *only,
        "-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink", *(["-e", f"inject={inject}"] if inject else []),
        sys.executable, "-c", WRITER, f"sqlite:///{database}", synchronous, str(count),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    events = list(_events(log.read_text(), str(database)))
    if inject:  # what it prints is not traced then
        events += [Event("printed", content=line.encode()) for line in done.stdout.splitlines()]
    return events, done.stderr


_CALL = re.compile(
    r"^(\d+) +(\w+)\((?:(\d+)<([^>]*)>|\"([^\"]*)\")(.*?)(?:\) += (-?\d+)| <unfinished \.\.\.>)", re.DOTALL
)
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+)")


def _events(trace: str, database: str) -> Iterator[Event]:
    """The events of a trace; a write counts from its beginning, a sync and a cut from their end."""
    begun: dict[str, Event] = {}
    for line in trace.splitlines():
        if (resumed := _RESUMED.match(line)) is not None:
            event = begun.pop(resumed[1], None)
            if event is not None and int(resumed[3]) >= 0:
                yield event
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        process, name, _, path, unlinked, rest, result = call.groups()
        event = _event(name, _plain(path or unlinked or "").decode(), rest, database)
        if event is None:
            continue
        if result is None and event.kind != "write":
            begun[process] = event
        elif result is None or int(result) >= 0:
            yield event


def _event(name: str, path: str, rest: str, database: str) -> Event | None:
    quoted = rest.split('"')
    if name == "write" and path.startswith("pipe:"):
        content = _plain(quoted[1])
        return Event("printed", content=content) if content.startswith(b"ack ") else None
    if not path.startswith(database) or path.endswith("-shm"):
        return None
    if name == "pwrite64":
        return Event("write", path, int(quoted[2].split(",")[2]), _plain(quoted[1]))
    if name == "ftruncate":
        return Event("cut", path, size=int(rest.strip(", ")))
    if name == "unlink":
        return Event("gone", path)
    return Event("sync", path) if name in ("fsync", "fdatasync") else None


def _plain(escaped: str) -> bytes:
    r"""The bytes that a trace writes as \x2f\x61."""
    return bytes.fromhex(escaped.replace("\\x", "")) if escaped.startswith("\\x") else escaped.encode()
