import json

import pytest

from engine.rounds.folder import files
from engine.rounds.folder.events import EventTail, read_events
from engine.rounds.worker.recorder import RoundRecorder


@pytest.fixture
def path(tmp_path):
    return tmp_path / files.EVENTS


def line(**fields) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def test_a_missing_file_holds_no_events_yet(path):
    tail = EventTail(path)
    assert tail.read() == []
    path.write_bytes(line(type="started"))
    assert tail.read() == [{"type": "started"}]


def test_each_event_is_returned_once(path):
    tail = EventTail(path)
    path.write_bytes(line(type="a"))
    assert [event["type"] for event in tail.read()] == ["a"]
    with open(path, "ab") as handle:
        handle.write(line(type="b"))
    assert [event["type"] for event in tail.read()] == ["b"]
    assert tail.read() == []


def test_a_half_written_last_line_waits_for_its_rest(path):
    whole = line(type="epoch", name="größe")
    cut = whole.index("ö".encode()[:1] if "ö".encode() in whole else b"\\u") + 1
    tail = EventTail(path)
    path.write_bytes(line(type="a") + whole[:cut])
    assert [event["type"] for event in tail.read()] == ["a"]
    with open(path, "ab") as handle:
        handle.write(whole[cut:])
    assert tail.read() == [{"type": "epoch", "name": "größe"}]


def test_a_line_cut_by_a_crash_is_passed_over(path, tmp_path):
    path.write_bytes(line(type="a") + b'{"type": "epo')
    recorder = RoundRecorder(tmp_path, "second")
    recorder.event("b")
    recorder.close()
    assert [event["type"] for event in read_events(path)] == ["a", "b"]


def test_only_the_kinds_asked_for_are_returned(path):
    path.write_bytes(line(type="progress") + line(type="epoch", note='"type": "x"'))
    assert [event["type"] for event in read_events(path, {"epoch"})] == ["epoch"]


def test_lines_that_are_not_events_are_passed_over(path):
    path.write_bytes(b"[1]\n" + b"3\n" + b"{}\n" + line(type="a"))
    assert read_events(path) == [{"type": "a"}]
