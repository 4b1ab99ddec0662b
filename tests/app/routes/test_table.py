"""Starling's routes on a real project: pictures, decisions, undo, map arrays, uploads, downloads."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.server import workbench


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
    by_query = _queue(client, only="all", exclude="1,2,4")["items"]
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
    assert next(iter(wrong)) in answer.json()["message"]


def test_label_of_no_class_is_refused_by_the_ledger(client: TestClient) -> None:
    image_id = _queue(client)["items"][0]["image_id"]
    body = {"decisions": [_decision(image_id=image_id, label="up")]}
    assert client.post("decisions", json=body).json()["acks"][0]["status"] == "refused"
    assert client.post("classes", json={"name": "up"}).json()["classes"] == ["left", "right", "up"]
    body = {"decisions": [_decision(uid="u2", image_id=image_id, label="up")]}
    assert client.post("decisions", json=body).json()["acks"][0]["status"] == "saved"


def test_pictures_are_re_encoded(client: TestClient) -> None:
    opened = workbench.current().opened()[0]
    (image_id,) = [item.id for item in opened.project.workspace.items() if item.name == "left/1.png"]
    for kind in ("thumb", "image"):
        answer = client.get(f"{kind}/{image_id}")
        assert answer.headers["content-type"] in {"image/webp", "image/png"}
        with Image.open(io.BytesIO(answer.content)) as shown:
            assert shown.convert("L").getpixel((0, 0)) == pytest.approx(40, abs=3)


def test_unknown_project_and_image_are_said(client: TestClient) -> None:
    assert "not open" in client.get("../other/queue").json()["message"]
    assert client.get("thumb/99").status_code == 400


def test_upload_lies_on_disk_as_sent(client: TestClient) -> None:
    data = b"not a zip but streamed" * 1000
    found = client.post("upload?name=../../evil.zip", content=data).json()
    opened = workbench.current().opened()[0]
    delivery = opened.deliveries.get(found["upload"])
    assert delivery is not None
    path = delivery.source.path
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
