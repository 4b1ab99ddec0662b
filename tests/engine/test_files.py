from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from engine import files
from engine.files import PARTIAL, read_json, replacing, syncing, write_atomic, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_json(target, {"old": 1})

    def fill(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, fill)
    assert read_json(target) == {"old": 1}
    assert names(tmp_path) == ["report.json"]


def test_a_write_that_is_not_whole_yet_is_seen_under_another_name_alone(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.json") as aside:
        aside.write_text("{}")
        assert names(tmp_path) == [aside.name]
        assert aside.name.endswith(PARTIAL)
    assert names(tmp_path) == ["a.json"]


def test_two_writers_of_one_file_do_not_share_the_file_aside(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a").read_text() == "first"  # the one that ended last


def test_the_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda handle: (steps.append("sync"), sync(handle)))
    monkeypatch.setattr(files.os, "replace", lambda one, other: (steps.append("replace"), replace(one, other)))
    write_json(tmp_path / "a", {})
    assert steps == ["sync", "replace", "sync"]
    with replacing(tmp_path / "a", durable=False) as aside:
        aside.touch()
    assert steps == ["sync", "replace", "sync", "replace"]


def test_a_folder_that_was_removed_with_the_one_above_does_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_json(tmp_path / "rounds" / "0001" / "report.json", {})
    assert names(tmp_path) == []


def test_what_is_written_meanwhile_is_brought_to_the_disk_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    synced = threading.Event()
    monkeypatch.setattr(os, "sync", synced.set)
    with syncing(0.001):
        assert synced.wait(30)
        thread = next(one for one in threading.enumerate() if one.name == "sync")
    thread.join(30)
    assert not thread.is_alive()
