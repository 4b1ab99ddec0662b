"""Small files: written whole also where the system takes less at a time, and read whole whatever their length."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.images.small_file import read_small, write_small


@pytest.mark.parametrize("length", [0, 1, 300, 1 << 20, (1 << 21) + 7])
def test_what_is_written_is_read(tmp_path: Path, length: int) -> None:
    path, data = tmp_path / "file", os.urandom(length)
    path.write_bytes(b"longer than what comes" * 1000)
    write_small(str(path), data)
    assert path.read_bytes() == read_small(str(path)) == data


def test_a_write_that_takes_less_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Callable[[int, memoryview], int] = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: whole(handle, data[:7]))
    write_small(str(tmp_path / "file"), b"more than seven bytes")
    assert (tmp_path / "file").read_bytes() == b"more than seven bytes"


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, status = tmp_path / "file", os.fstat
    path.write_bytes(b"begun")

    def grown(handle: int) -> os.stat_result:
        found = status(handle)
        with path.open("ab") as file:
            file.write(b" and ended")
        return found

    monkeypatch.setattr(os, "fstat", grown)
    assert read_small(str(path)) == b"begun and ended"


def test_what_is_not_there_is_told_as_open_tells_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_small(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        write_small(str(tmp_path / "none" / "file"), b"x")
