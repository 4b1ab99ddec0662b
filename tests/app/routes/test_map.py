"""The map's routes: what is packed for the canvas, read back as the canvas does."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from app.routes import map_wire
from app.routes.map_wire import REACH, MapImages
from app.server import workbench
from engine.jobs import fixed_map_sources, fixed_map_work
from engine.jobs.moving_map import Frames
from engine.project.maps import Maps, TrackedPredictions
from engine.project.opened import Project
from engine.project.results import Results
from engine.quality import scale
from engine.records.rounds import MapState
from engine.store import Store
from tests.engine.test_whole import replaced

pytestmark = pytest.mark.usefixtures("jobs_here")


def header_of(body: bytes) -> tuple[dict[str, Any], int]:
    """Return the header and where the arrays begin."""
    (length,) = struct.unpack_from("<I", body)
    assert (4 + length) % 4 == 0
    return json.loads(body[4 : 4 + length]), 4 + length


def sums(rows: np.ndarray) -> np.ndarray:
    """Undo the differences between rows."""
    return np.cumsum(rows, axis=0, dtype=rows.dtype)


def ors(rows: np.ndarray) -> np.ndarray:
    """Undo the exclusive or between rows."""
    return np.bitwise_xor.accumulate(rows, axis=0)


def project() -> Project:
    return workbench.current().opened()[0].project


def test_points_come_without_positions_before_there_is_a_map_and_with_them_after(client: TestClient) -> None:
    header, _ = header_of(client.get("map/points").content)
    assert (header["n"], header["positions"], header["status"]) == (6, False, "none")
    project().maps.start("pixels")
    wait(lambda: project().maps.state("pixels").status == "ready")
    body = client.get("map/points").content
    header, start = header_of(body)
    n = header["n"]
    assert (n, header["total"], header["positions"], header["truth"], header["grid"]) == (6, 6, True, False, 0)
    ids, versions = np.frombuffer(body, "<i4", 2 * n, start).reshape(2, n)
    x, y, label = np.frombuffer(body, "<i2", 3 * n, start + 8 * n).reshape(3, n)
    flags = np.frombuffer(body, np.uint8, n, start + 14 * n)
    assert len(body) == start + 15 * n
    assert ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert max(np.abs(x.astype(int)).max(), np.abs(y.astype(int)).max()) == 32767
    assert sorted(label.tolist()) == [-1, -1, 0, 0, 1, 1]
    assert ((versions > 0) == (label >= 0)).all()
    assert ((flags & 1 == 1) == (label >= 0)).all()


def test_bodies_are_compressed_for_those_who_take_it(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_wire, "points", lambda opened, source: b"\0" * 50_000)
    packed = client.get("map/points", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == b"\0" * 50_000
    assert int(packed.headers["content-length"]) < 1000
    assert "content-encoding" not in client.get("map/points", headers={"Accept-Encoding": "identity"}).headers


@pytest.fixture
def shown(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.array([6, 2, 5, 3, 1], np.int64)
    found = MapImages(ids, np.zeros((5, 2), np.float32), 5, None, MapState("ready"))
    monkeypatch.setattr(map_wire, "shown", lambda opened, source: found)


@pytest.fixture
def epochs(shown: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Predictions of two epochs of a round whose classes the project lists in another order."""

    def set_up(count: int) -> None:
        names = [f"class {k}" for k in range(count)]
        last = count - 1
        predictions = {
            1: (np.array([2, 3, 5, 99]), np.array([0, 1, last, 1], np.int16), np.array([0.2, 1, 0.5, 1], np.float32)),
            2: (np.array([5]), np.array([0], np.int16), np.array([0.0], np.float32)),
        }
        monkeypatch.setattr(Store, "classes", lambda self: ("left", *names))
        monkeypatch.setattr(Results, "classes", lambda self, number: tuple(names))
        monkeypatch.setattr(Results, "epochs", lambda self, number: [1, 2])
        monkeypatch.setattr(Results, "epoch_predictions", lambda self, number, epoch: predictions[epoch])
        monkeypatch.setattr(Maps, "heldout_right", lambda self, number: {2: (18, 24)})
        monkeypatch.setattr(Maps, "labels_by_epoch", lambda self, number: {1: 10, 2: 20})

    return set_up


@pytest.mark.parametrize(("count", "kind", "none"), [(9, np.uint8, 255), (300, np.uint16, 65535)])
def test_epochs_come_as_differences_in_the_projects_class_order(
    client: TestClient, epochs: Any, count: int, kind: Any, none: int
) -> None:
    epochs(count)
    body = client.get("map/epochs", params={"round": 1}).content
    header, start = header_of(body)
    assert (header["n"], header["epochs"], header["heldout"]) == (5, [1, 2], [None, [18, 24]])
    assert header["labels"] == [10, 20]
    assert header["wide"] is (kind is np.uint16)
    size = 10 * np.dtype(kind).itemsize
    classes = ors(np.frombuffer(body, kind, 10, start).reshape(2, 5))
    confidence = sums(np.frombuffer(body, np.uint8, 10, start + size).reshape(2, 5))
    assert len(body) == start + size + 10 + 5
    assert (header["scale"], set(body[-5:])) == (None, {scale.NOT_WRITTEN})  # the round is not complete
    assert classes.tolist() == [[none, 1, count, 2, none], [none, none, 1, none, none]]
    assert confidence.tolist() == [[0, 51, 128, 255, 0], [0, 0, 0, 0, 0]]


def test_only_epochs_that_are_not_known_yet_are_sent(client: TestClient, epochs: Any) -> None:
    epochs(9)
    body = client.get("map/epochs", params={"round": 1, "from": 1}).content
    header, start = header_of(body)
    assert (header["epochs"], header["first"], header["all"]) == ([2], 1, 2)
    assert np.frombuffer(body, np.uint8, 5, start).tolist() == [255, 255, 1, 255, 255]
    nothing, start = header_of(client.get("map/epochs", params={"round": 1, "from": 2}).content)
    assert nothing["epochs"] == []
    assert client.get("map/epochs", params={"round": 1, "from": -1}).status_code == 400
    assert "missing" in client.get("map/epochs").json()["message"]


def test_points_and_epochs_of_the_same_images_carry_the_same_mark(
    client: TestClient, epochs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs(9)
    monkeypatch.setattr(Store, "classes", lambda self: ("left", "right", *(f"class {k}" for k in range(9))))
    marks = {header_of(client.get(path).content)[0]["mark"] for path in ("map/points", "map/epochs?round=1")}
    assert len(marks) == 1


def test_beyond_the_limit_a_fixed_sample_and_the_density_of_all_are_sent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_wire, "MOST_POINTS", 4)
    xy = np.array([[0, 0], [0, 0], [0, 0], [0, 0], [4, 2], [-4, -2]], np.float32)
    monkeypatch.setattr(Maps, "points", lambda self, source: (np.arange(1, 7), xy))
    monkeypatch.setattr(Results, "epochs", lambda self, number: [])
    body = client.get("map/points").content
    header, start = header_of(body)
    assert (header["n"], header["total"], header["grid"]) == (4, 6, map_wire.GRID)
    ids = np.frombuffer(body, "<i4", 4, start)
    assert len(set(ids.tolist())) == 4
    grid = np.frombuffer(body, np.uint8, map_wire.GRID**2, start + 15 * 4).reshape(map_wire.GRID, -1)
    middle = map_wire.GRID // 2
    assert len(body) == start + 60 + grid.size
    assert grid[middle, middle] == 255
    assert (grid > 0).sum() == 3
    assert grid[int((0.5 + 0.25) * map_wire.GRID) - 1 :, -1].any()  # the one at (4, 2)
    again, _ = header_of(client.get("map/epochs?round=1").content)
    assert again["mark"] == header["mark"]


def test_sample_stays_when_images_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_wire, "MOST_POINTS", 500)
    before = set(np.arange(1, 1001)[map_wire._sample(np.arange(1, 1001))].tolist())
    after = set(np.arange(1, 1101)[map_wire._sample(np.arange(1, 1101))].tolist())
    assert len(before) == len(after) == 500
    assert len(before & after) > 430


def test_frames_come_as_differences_with_what_student_and_teacher_said(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    xy = np.array([[[0, 0], [1, 0]], [[0, 0.5], [-1, 0]], [[0, 0.5], [1, 0.25]]], np.float32)
    frames = Frames(
        ids=np.array([3, 1]), epochs=(1, 2, 4), xy=xy, repeated=np.array([False, True, False]),
        reasons=("", "no", ""), recall=np.array([0.5, np.nan, 1], np.float32), moves=np.zeros(3, np.float32),
        smoothed=True,
    )  # fmt: skip
    student = TrackedPredictions(np.array([[0, 1]] * 3), np.array([[1, 0.6]] * 3, np.float32))
    teacher = TrackedPredictions(np.array([[1, 1]] * 3), np.array([[1, 0.6]] * 3, np.float32))
    monkeypatch.setattr(Maps, "frames", lambda self, number: frames)
    monkeypatch.setattr(Maps, "moving_state", lambda self, number: MapState("ready"))
    monkeypatch.setattr(Maps, "tracked", lambda self, number, epochs: (student, teacher))
    monkeypatch.setattr(Results, "classes", lambda self, number: ("right", "left"))
    body = client.get("map/frames", params={"round": 1}).content
    header, start = header_of(body)
    assert (header["t"], header["epochs"], header["recall"]) == (2, [1, 2, 4], [0.5, None, 1.0])
    assert (header["student"], header["teacher"], header["reasons"][1]) == (True, True, "no")
    assert np.frombuffer(body, "<i4", 2, start).tolist() == [3, 1]
    x = sums(np.frombuffer(body, "<i2", 6, start + 8).reshape(3, 2))
    y = sums(np.frombuffer(body, "<i2", 6, start + 20).reshape(3, 2))
    assert x.tolist() == [[0, REACH], [0, -REACH], [0, REACH]]
    assert (y[2] - y[0]).tolist() == [round(REACH / 2), round(REACH / 4)]
    said = np.frombuffer(body, np.uint8, 24, start + 32).reshape(4, 3, 2)
    assert ors(said[0]).tolist() == [[1, 0]] * 3  # “right” is the project's class 1
    assert sums(said[1]).tolist() == [[255, 153]] * 3
    assert ors(said[2]).tolist() == [[0, 0]] * 3


def test_round_without_frames_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = header_of(client.get("map/frames", params={"round": 1}).content)
    assert (header["t"], header["status"]) == (0, "none")
    told: list[Any] = []
    monkeypatch.setattr(Maps, "cancel_moving", lambda self, number: told.append(number))
    assert client.post("map/moving", json={"round": 1, "action": "cancel"}).json()["status"] == "none"
    assert told == [1]
    assert "no features" in client.post("map/moving", json={"round": 1, "action": "start"}).json()["message"]
    assert client.post("map/moving", json={"round": 1, "action": "jump"}).status_code == 400
    assert client.post("map/moving", json={"round": True, "action": "start"}).status_code == 400


def test_selection_becomes_the_review_queue_and_can_be_exported(client: TestClient) -> None:
    from engine.exporters.collect import ExportOptions

    assert client.post("map/selection", json={"ids": [5, 1, 5]}).json() == {"count": 2}
    queue = client.get("queue", params={"only": "selection"}).json()
    assert (sorted(item["image_id"] for item in queue["items"]), queue["total"]) == ([1, 5], 2)
    chosen = frozenset(workbench.current().opened()[0].selection)
    counts = project().exports.counts(ExportOptions("csv", images=chosen))
    assert (counts["imported"], counts["unlabeled"]) == (1, 1)
    path = project().exports.write(ExportOptions("csv", images=chosen))
    assert len(path.read_text().splitlines()) == 3
    for wrong in ({"ids": "1"}, {"ids": [True]}, {"ids": [-1]}, {}):
        assert client.post("map/selection", json=wrong).status_code == 400


def test_neighbours_are_the_nearest_by_features(client: TestClient) -> None:
    assert client.get("map/neighbours", params={"image": 1}).status_code == 404
    project().maps.start("pixels")
    wait(lambda: project().maps.state("pixels").status == "ready")
    (middle,) = [item.id for item in project().workspace.items() if item.name == "right/2.png"]
    found = client.get("map/neighbours", params={"image": middle, "k": 2}).json()
    names = {item.id: item.name for item in project().workspace.items()}
    assert {names[i] for i in found["ids"]} == {"left/1.png", "right/3.png"}  # grey 80 is between 40 and 120
    assert found["distances"] == sorted(found["distances"])
    assert client.get("map/neighbours", params={"image": 99}).status_code == 404
    assert client.get("map/neighbours", params={"image": middle, "k": 0, "source": "pixels"}).status_code == 400
    assert client.get("map/neighbours", params={"image": middle, "k": 1000}).status_code == 400


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("gif", b"GIF8"), ("html", b"<")])
def test_pictures_are_files_of_their_kind(client: TestClient, kind: str, begins: bytes) -> None:
    project().maps.start("pixels")
    wait(lambda: project().maps.state("pixels").status == "ready")
    answer = client.get("map/picture", params={"kind": kind})
    assert answer.status_code == 200, answer.text
    assert answer.content.lstrip().startswith(begins)
    assert answer.headers["content-disposition"] == f'attachment; filename="spots-map.{kind}"'


def test_wrong_pictures_are_refused_in_words(client: TestClient) -> None:
    assert "kind" in client.get("map/picture", params={"kind": "exe"}).json()["message"]
    assert "layout" in client.get("map/picture", params={"layout": "moving"}).json()["message"]
    assert client.get("map/picture").status_code == 404


def wait(holds: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_map_that_is_drawn_anew_all_the_time_is_always_sent_whole(client: TestClient) -> None:
    project().maps.start("pixels")
    wait(lambda: project().maps.state("pixels").status == "ready")
    (path,) = (project().workspace.root / "map").glob(f"pixels-*/{fixed_map_work.MAP}")
    frame = pd.read_parquet(path)
    wide, narrow = path.with_name("wide"), path.with_name("narrow")
    frame.assign(**{f"more_{n}": "x" * 5000 for n in range(20)}).to_parquet(wide)
    frame.to_parquet(narrow, compression=None)
    fixed_map_sources.DIGESTS.unseal(path.parent)  # as the process does that draws it anew
    with replaced(path, [wide, narrow]):
        for _ in range(100):
            answer = client.get("map/points")
            assert answer.status_code == 200
            assert header_of(answer.content)[0]["positions"]
