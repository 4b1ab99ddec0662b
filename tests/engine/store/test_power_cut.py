"""Power cuts and full disks at every place of the real writer's system calls: what it called saved is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import EntriesLost, ProjectCorrupt
from engine.store import Store
from tests.engine.store import traced_writer
from tests.engine.store.traced_writer import Disk, Event

pytestmark = pytest.mark.skipif(traced_writer.STRACE is None, reason="needs strace")
TOLD = re.compile(r"\w+: not saved: |the (note of the )?(ledger's end|log of the database) could not be ")
"""What a decision is answered, and what stands in the log of what nothing depends on."""


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Path:
    store.close()
    return tmp_path / "project.db"


def cuts(before: dict[str, bytes], events: list[Event]) -> Iterator[tuple[set[str], dict[str, bytes]]]:
    """The decisions called saved and the files that are left, for a cut after each event."""
    disk, saved, rng = Disk(dict(before)), set(), np.random.default_rng(0)
    for event in events:
        disk.take(event)
        if event.kind == "printed":
            _, uid, status = event.content.decode().split()
            saved |= {uid} if status == "saved" else set()
        if event.kind != "write":  # what lies between two of these, half of the sectors may stand for
            yield set(saved), disk.left(None)
            yield set(saved), disk.left(rng)


def lost(saved: set[str], files: dict[str, bytes], folder: Path) -> set[str]:
    """Open what a cut left as a start of the program does; return which of the saved decisions it does not hold.

    A database that the program does not open, since it sees the loss itself, holds none.
    """
    folder.mkdir()
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
    try:
        with Store.open(f"sqlite:///{folder / 'project.db'}") as opened:
            flaws, held = opened.verify(), {entry.uid for entry in opened.entries()}
    except (EntriesLost, ProjectCorrupt):
        return saved or {"a ledger that can be opened"}
    return saved - held if not flaws else saved | set(flaws)


def lost_by_cuts(database: Path, synchronous: str) -> list[set[str]]:
    before = {str(path): path.read_bytes() for path in database.parent.glob("project.db*") if path.suffix != ".db-shm"}
    events, errors = traced_writer.run(database, synchronous=synchronous)
    assert errors == ""
    assert sum(event.kind == "printed" for event in events) == 36
    of_cuts = []
    for number, (saved, files) in enumerate(cuts(before, events)):
        of_cuts.append(lost(saved, files, database.parent / f"cut-{number}"))
    assert len(of_cuts) > 2 * 36
    return of_cuts


def test_what_was_called_saved_outlives_a_power_cut_at_any_time(database: Path) -> None:
    of_cuts = lost_by_cuts(database, "FULL")
    print(f"FULL: {sum(map(bool, of_cuts))} of {len(of_cuts)} cuts lose something")
    assert not any(of_cuts)


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_writer_that_does_not_sync_loses_what_it_called_saved(database: Path, synchronous: str) -> None:
    of_cuts = lost_by_cuts(database, synchronous)
    print(f"{synchronous}: {sum(map(bool, of_cuts))} of {len(of_cuts)} cuts lose something")
    assert sum(map(bool, of_cuts)) > len(of_cuts) / 4


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_at_any_write_costs_no_saved_decision(database: Path, call: str, error: str) -> None:
    failed = 0
    for first in range(1, 40, 6):
        events, errors = traced_writer.run(database, count=2, inject=f"{call}:error={error}:when={first}..{first + 5}")
        saved = {str(event.content, "ascii").split()[1] for event in events if event.content.endswith(b" saved")}
        failed += bool(errors)
        assert all(TOLD.match(line) for line in errors.splitlines()), errors
        with Store.open(f"sqlite:///{database}") as opened:
            assert opened.verify() == []
            assert saved <= {entry.uid for entry in opened.entries()}
    assert failed
