"""An export as the route sends it: whole, from where it broke off, and nothing but finished exports."""

from __future__ import annotations

import hashlib
import os
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from app.server import workbench

DATA = bytes(range(10))


@pytest.fixture
def folder(client: TestClient) -> Path:
    found = workbench.current().opened()[0].project.root / "exports"
    (found / "set.zip").write_bytes(DATA)
    return found


def _replace(path: Path, data: bytes) -> None:
    aside = path.with_name("aside")
    aside.write_bytes(data)
    os.utime(aside, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))  # only its number on the disk is another
    aside.replace(path)


def test_whole_file_says_its_length_version_time_and_name(client: TestClient, folder: Path) -> None:
    (folder / "größe 猫 “a”.zip").write_bytes(DATA)
    answer = client.get("exports/" + quote("größe 猫 “a”.zip"))
    found = (folder / "größe 猫 “a”.zip").stat()
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["content-length"] == "10"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"a-{found.st_mtime_ns:x}-{found.st_ino:x}"'
    assert parsedate_to_datetime(answer.headers["last-modified"]).timestamp() == int(found.st_mtime)
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=utf-8''gr%C3%B6%C3%9Fe%20%E7%8C%AB%20%E2%80%9Ca%E2%80%9D.zip"
    )
    assert "no-store" not in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("asked", "content", "told"),
    [
        ("bytes=0-0", DATA[:1], "bytes 0-0/10"),
        ("bytes=2-4", DATA[2:5], "bytes 2-4/10"),
        ("bytes=-3", DATA[7:], "bytes 7-9/10"),
        ("bytes=-50", DATA, "bytes 0-9/10"),
        ("bytes=5-", DATA[5:], "bytes 5-9/10"),
        ("bytes=5-100", DATA[5:], "bytes 5-9/10"),
        ("Bytes= 9-", DATA[9:], "bytes 9-9/10"),
    ],
)
def test_one_range_is_sent_with_its_place(
    client: TestClient, folder: Path, asked: str, content: bytes, told: str
) -> None:
    answer = client.get("exports/set.zip", headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == told
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["etag"] == client.get("exports/set.zip").headers["etag"]


def test_several_ranges_come_in_parts(client: TestClient, folder: Path) -> None:
    answer = client.get("exports/set.zip", headers={"range": "bytes=0-1, 8-"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    first, second = answer.content.split(b"\r\n\r\n")[1:]
    assert first.startswith(DATA[:2] + b"\r\n--")
    assert second.startswith(DATA[8:] + b"\r\n--")
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=100-200", "bytes=-0"])
def test_range_beyond_the_end_is_refused_with_the_size(client: TestClient, folder: Path, asked: str) -> None:
    answer = client.get("exports/set.zip", headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize("asked", ["", "garbage", "bytes", "bytes=", "bytes=-", "bytes=a-b", "rows=0-1", "bytes=0-1,x"])
def test_what_is_no_range_counts_as_not_there(client: TestClient, folder: Path, asked: str) -> None:
    answer = client.get("exports/set.zip", headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_range_that_ends_before_it_begins_is_refused(client: TestClient, folder: Path) -> None:
    assert client.get("exports/set.zip", headers={"range": "bytes=5-2"}).status_code == 400


def test_head_tells_of_the_whole_file_and_sends_none_of_it(client: TestClient, folder: Path) -> None:
    answer = client.head("exports/set.zip", headers={"range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "10"
    assert answer.headers["etag"] == client.get("exports/set.zip").headers["etag"]


def test_part_of_a_replaced_file_is_answered_with_the_whole_new_one(client: TestClient, folder: Path) -> None:
    old = client.get("exports/set.zip").headers["etag"]
    rest = client.get("exports/set.zip", headers={"range": "bytes=5-", "if-range": old})
    assert (rest.status_code, rest.content) == (206, DATA[5:])
    _replace(folder / "set.zip", DATA[::-1])
    for wanted in (old, f"W/{old}", client.get("exports/set.zip").headers["last-modified"]):
        answer = client.get("exports/set.zip", headers={"range": "bytes=5-", "if-range": wanted})
        assert (answer.status_code, answer.content) == (200, DATA[::-1])


def test_version_in_the_address_does_the_same_for_who_has_no_if_range(client: TestClient, folder: Path) -> None:
    address = f"exports/set.zip?version={workbench.current().opened()[0].project.exports.finished.all()[0].version}"
    assert client.get(address, headers={"range": "bytes=5-"}).content == DATA[5:]
    _replace(folder / "set.zip", DATA[::-1])
    answer = client.get(address, headers={"range": "bytes=5-"})
    assert (answer.status_code, answer.content) == (200, DATA[::-1])


def test_nothing_but_finished_exports_is_sent(client: TestClient, folder: Path) -> None:
    (folder / "link.zip").symlink_to(folder.parent / "project.db")
    (folder / ".set.zip.abcd.partial").write_bytes(DATA)
    (folder / "unpacked").mkdir()
    os.mkfifo(folder / "pipe.zip")
    names = ["..%2Fproject.db", "%2e%2e", "link.zip", ".set.zip.abcd.partial", "unpacked", "pipe.zip", "other.zip"]
    names += ["set.zip%00", "a" * 300, "set.zip/", "%ff.zip", "..%5Cproject.db"]
    for name in names:
        assert client.get(f"exports/{name}", follow_redirects=False).status_code in (404, 307), name
    listed = [path.name for path in workbench.current().opened()[0].project.exports.files()]
    assert listed == ["set.zip"]


def test_sum_is_that_of_the_file_and_forgotten_with_it(client: TestClient, folder: Path) -> None:
    finished = workbench.current().opened()[0].project.exports.finished
    assert [one.sha256 for one in finished.all()] == [None]
    assert finished.sha256("set.zip") == hashlib.sha256(DATA).hexdigest()
    assert [one.sha256 for one in finished.all()] == [hashlib.sha256(DATA).hexdigest()]
    _replace(folder / "set.zip", DATA[::-1])
    assert [one.sha256 for one in finished.all()] == [None]
    assert finished.sha256("set.zip") == hashlib.sha256(DATA[::-1]).hexdigest()
