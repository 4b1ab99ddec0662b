"""Starling's routes on a real project: pictures, decisions, undo, map arrays, uploads, downloads."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import routes, workbench
from engine.importers.scan import ImportSource


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    opened = bench.create("Spots")
    opened.project.commit_import(opened.project.scan(ImportSource("zip", _spots(tmp_path / "spots.zip"))))
    yield TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    bench.close()
    workbench._current = None


def _spots(path: Path) -> Path:
    """Six 12×12 images: two labeled “left”, two “right”, two unlabeled."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, folder in enumerate(["left", "left", "right", "right", "_unlabeled", "_unlabeled"]):
            pixels = np.full((12, 12), 40 * number, np.uint8)
            out = io.BytesIO()
            Image.fromarray(pixels).save(out, "PNG")
            archive.writestr(f"{folder}/{number}.png", out.getvalue())
    return path


def _decision(**fields: Any) -> dict[str, Any]:
    return {"uid": "u1", "image_id": 5, "base_version": 0, "action": "label", "label": "left", **fields}


def _queue(client: TestClient, **query: Any) -> dict[str, Any]:
    return client.get("queue", params=query).json()


def test_queue_offers_exactly_the_undecided_images(client: TestClient) -> None:
    found = _queue(client)
    assert found["total"] == 2
    assert sorted(item["name"] for item in found["items"]) == ["_unlabeled/4.png", "_unlabeled/5.png"]
    assert found["classes"] == ["left", "right"]
    assert all(item["prediction"] is None for item in found["items"])


def test_queue_goes_on_until_every_image_was_shown(client: TestClient) -> None:
    shown: list[int] = []
    for _ in range(6):
        found = client.post("queue", json={"only": "all", "limit": 1, "round": None, "exclude": shown}).json()
        assert found["total"] == 6
        shown += [item["image_id"] for item in found["items"]]
    assert sorted(shown) == [1, 2, 3, 4, 5, 6]
    assert client.post("queue", json={"only": "all", "exclude": shown}).json()["items"] == []
    by_query = _queue(client, only="all", exclude="1,2,x,,4")["items"]
    by_body = client.post("queue", json={"only": "all", "exclude": [1, 2, 4]}).json()["items"]
    assert by_body == by_query
    assert sorted(item["image_id"] for item in by_body) == [3, 5, 6]


def test_a_deck_of_many_thousand_images_can_be_excluded(client: TestClient) -> None:
    body = {"only": "all", "exclude": list(range(2, 100_000))}
    assert [item["image_id"] for item in client.post("queue", json=body).json()["items"]] == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"exclude": "1,2"}, {"exclude": [1, "2"]}, {"exclude": [True]}, {"exclude": [1.0]}, {"exclude": [None]},
        {"exclude": [2**63]}, {"exclude": [-1]}, {"limit": "20"}, {"round": True}, {"strategy": 1}, {"only": []},
    ],
)  # fmt: skip
def test_malformed_queue_request_is_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    answer = client.post("queue", json=wrong)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_decision_is_saved_once_and_leaves_the_queue(client: TestClient) -> None:
    image_id = _queue(client)["items"][0]["image_id"]
    body = {"decisions": [_decision(image_id=image_id)]}
    first = client.post("decisions", json=body).json()["acks"][0]
    again = client.post("decisions", json=body).json()["acks"][0]
    assert (first["status"], again["status"]) == ("saved", "duplicate")
    assert first["state"]["label"] == "left"
    assert first["state"]["source"] == "human"
    assert image_id not in [item["image_id"] for item in _queue(client)["items"]]


def test_decision_on_an_older_version_is_a_conflict_and_changes_nothing(client: TestClient) -> None:
    image_id = _queue(client)["items"][0]["image_id"]
    client.post("decisions", json={"decisions": [_decision(image_id=image_id)]})
    late = {"decisions": [_decision(uid="u2", image_id=image_id, label="right")]}
    ack = client.post("decisions", json=late).json()["acks"][0]
    assert ack["status"] == "conflict"
    assert ack["state"]["label"] == "left"


def test_batch_is_taken_back_by_one_undo(client: TestClient) -> None:
    ids = [item["image_id"] for item in _queue(client)["items"]]
    batch = [_decision(uid=f"b{i}", image_id=i, batch="both") for i in ids]
    acks = client.post("decisions", json={"decisions": batch}).json()["acks"]
    assert [ack["status"] for ack in acks] == ["saved", "saved"]
    taken = client.post("undo", json={"uid": "x", "target": "both"}).json()["acks"]
    assert [ack["state"]["label"] for ack in taken] == [None, None]
    assert _queue(client)["total"] == 2


def test_undo_shows_the_image_again(client: TestClient) -> None:
    image_id = _queue(client)["items"][0]["image_id"]
    client.post("decisions", json={"decisions": [_decision(image_id=image_id)]})
    found = client.post("undo", json={"uid": "x"}).json()
    assert found["image"]["image_id"] == image_id
    assert found["image"]["label"] is None


def test_nothing_to_undo_is_said(client: TestClient) -> None:
    answer = client.post("undo", json={"uid": "x"})
    assert answer.status_code == 409
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "wrong",
    [{"image_id": "5"}, {"action": "import"}, {"action": "undo"}, {"uid": None}, {"label": 7}, {"base_version": True}],
)
def test_malformed_decision_is_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    answer = client.post("decisions", json={"decisions": [_decision(**wrong)]})
    assert answer.status_code == 400
    assert "decision" in answer.json()["message"].lower()


def test_label_of_no_class_is_refused_by_the_ledger(client: TestClient) -> None:
    image_id = _queue(client)["items"][0]["image_id"]
    body = {"decisions": [_decision(image_id=image_id, label="up")]}
    assert client.post("decisions", json=body).json()["acks"][0]["status"] == "refused"
    assert client.post("classes", json={"name": "up"}).json()["classes"] == ["left", "right", "up"]
    body = {"decisions": [_decision(uid="u2", image_id=image_id, label="up")]}
    assert client.post("decisions", json=body).json()["acks"][0]["status"] == "saved"


def test_pictures_are_re_encoded(client: TestClient) -> None:
    opened = workbench.current().opened()[0]
    (image_id,) = [item.id for item in opened.project.images() if item.name == "left/1.png"]
    for kind in ("thumb", "image"):
        answer = client.get(f"{kind}/{image_id}")
        assert answer.headers["content-type"] in {"image/webp", "image/png"}
        with Image.open(io.BytesIO(answer.content)) as shown:
            assert shown.convert("L").getpixel((0, 0)) == pytest.approx(40, abs=3)


def test_unknown_project_and_image_are_said(client: TestClient) -> None:
    assert "not open" in client.get("../other/queue").json()["message"]
    assert client.get("thumb/99").status_code == 400


def test_map_points_lie_in_their_frame(client: TestClient) -> None:
    opened = workbench.current().opened()[0]
    assert client.get("map/points").status_code == 404
    opened.project.start_map()
    body = _wait_for_map(client)
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    n = header["n"]
    start = 4 + length
    assert start % 4 == 0
    assert n == 6
    ids = np.frombuffer(body, np.int32, n, start)
    versions = np.frombuffer(body, np.int32, n, start + 4 * n)
    xy = np.frombuffer(body, np.int16, 2 * n, start + 8 * n)
    label = np.frombuffer(body, np.int16, n, start + 12 * n)
    flags = np.frombuffer(body, np.uint8, n, start + 14 * n)
    assert len(body) == start + 15 * n
    assert ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.abs(xy.astype(int)).max() == 32767
    assert sorted(label.tolist()) == [-1, -1, 0, 0, 1, 1]
    assert ((versions > 0) == (label >= 0)).all()
    assert ((flags & 1 == 1) == (label >= 0)).all()


def test_map_epochs_hold_more_classes_than_a_byte(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"class {k}" for k in range(300)]
    project = workbench.current().opened()[0].project
    ids = np.array([6, 2, 5, 3, 1], np.int64)
    predictions = {
        1: (np.array([2, 3, 5, 99]), np.array([255, 256, 299, 7], np.int16), np.array([0.2, 1, 0.5, 1], np.float32)),
        2: (np.array([5]), np.array([0], np.int16), np.array([0.0], np.float32)),
    }
    known = ("left", *names)  # the project's order is not the round's
    monkeypatch.setattr(type(project), "classes", lambda self: known)
    monkeypatch.setattr(type(project), "round_classes", lambda self, number: tuple(names))
    monkeypatch.setattr(type(project), "map_points", lambda self: (ids, np.zeros((5, 2), np.float32)))
    monkeypatch.setattr(type(project), "epochs", lambda self, number: [1, 2])
    monkeypatch.setattr(type(project), "epoch_predictions", lambda self, number, epoch: predictions[epoch])
    body = client.get("map/epochs", params={"round": 1}).content
    (length,) = struct.unpack_from("<I", body)
    assert json.loads(body[4 : 4 + length]) == {"n": 5, "epochs": [1, 2]}
    start = 4 + length
    assert start % 4 == 0
    assert len(body) == start + 3 * 5 * 2
    classes = np.frombuffer(body, "<i2", 10, start).reshape(2, 5)
    confidence = np.frombuffer(body, np.uint8, 10, start + 20).reshape(2, 5)
    assert classes.tolist() == [[-1, 256, 300, 257, -1], [-1, -1, 1, -1, -1]]
    assert confidence.tolist() == [[0, 51, 128, 255, 0], [0, 0, 0, 0, 0]]


def _wait_for_map(client: TestClient) -> bytes:
    import time

    opened = workbench.current().opened()[0]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if opened.project.map_state().status == "ready":
            return client.get("map/points").content
        time.sleep(0.2)
    raise AssertionError(f"no map in time: {opened.project.map_state()}")


def test_upload_lies_on_disk_as_sent(client: TestClient) -> None:
    data = b"not a zip but streamed" * 1000
    found = client.post("upload?name=../../evil.zip", content=data).json()
    opened = workbench.current().opened()[0]
    path = opened.uploads[found["upload"]]
    assert path.parent == opened.project.root / "staging"
    assert path.read_bytes() == data
    assert found["name"] == "evil.zip"


def test_download_serves_exports_only(client: TestClient) -> None:
    opened = workbench.current().opened()[0]
    (opened.project.root / "exports" / "set.zip").write_bytes(b"0123456789")
    part = client.get("exports/set.zip", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert client.get("exports/..%2Fproject.db").status_code == 404
    assert client.get("exports/other.zip").status_code == 404


def test_health_says_which_projects_are_open(client: TestClient) -> None:
    assert client.get("http://testserver/starling/health").json()["projects"] == [workbench.current().opened()[0].key]
