import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import ConfigError, ProjectCorrupt
from engine.records.labels import Decision
from engine.store import Store

Make = Callable[..., Decision]


def test_a_backup_taken_while_labels_are_recorded_is_whole(store: Store, tmp_path: Path) -> None:
    enough, stop = threading.Event(), threading.Event()
    acknowledged: list[int] = []

    def label() -> None:
        version = 0
        while not stop.is_set():
            [ack] = store.record([Decision(f"u{len(acknowledged)}", 5, version, "label", "fox")])
            assert ack.seq is not None
            version = ack.seq
            acknowledged.append(version)
            if len(acknowledged) >= 20:
                enough.set()

    thread = threading.Thread(target=label)
    thread.start()
    try:
        for number in range(3):
            assert enough.wait(60)
            before = acknowledged[-1]
            target = tmp_path / f"copy-{number}.db"
            store.backup(target)
            with Store.open(f"sqlite:///{target}") as copy:
                assert copy.verify() == []
                assert copy.head_seq() >= before
                assert copy.name == "demo"
    finally:
        stop.set()
        thread.join()
    assert store.verify() == []


def test_a_backup_replaces_an_older_one_and_leaves_nothing_beside_it(
    store: Store, decide: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    store.backup(folder / "copy.db")
    store.record([decide("u1", 5)])
    store.backup(folder / "copy.db")
    assert [path.name for path in folder.iterdir()] == ["copy.db"]
    with Store.open(f"sqlite:///{folder / 'copy.db'}", read_only=True) as copy:
        assert copy.head_seq() == 3


def test_a_backup_of_damaged_data_does_not_replace_a_good_one(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    store.backup(target)
    good = target.read_bytes()
    store._write(lambda c: c.exec_driver_sql("UPDATE annotations SET label = 'fox' WHERE seq = 1"))
    with pytest.raises(ProjectCorrupt, match="not saved: the backup is not sound"):
        store.backup(target)
    assert target.read_bytes() == good
    assert not list(tmp_path.glob(".*"))


def test_a_backup_that_fails_leaves_the_older_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.db"
    target.write_text("older")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(Exception, match=r"not saved.*No space left"):
        store.backup(target)
    assert target.read_text() == "older"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["project.db", "missing/copy.db", "folder"])
def test_a_backup_needs_a_file_of_its_own(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="backup"):
        store.backup(tmp_path / name)
    assert store.verify() == []


def test_a_project_open_read_only_can_be_backed_up(store: Store, url: str, tmp_path: Path) -> None:
    with Store.open(url, read_only=True) as reader:
        reader.backup(tmp_path / "copy.db")
    with Store.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        assert copy.verify() == []
