"""The routes of the review: grid, context, lists, and under whose name decisions are recorded."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.server import workbench
from engine.project.opened import Project
from engine.quality.scale import NOT_WRITTEN
from tests.made_features import make_features
from tests.made_round import make_round


@pytest.fixture
def project(client: TestClient) -> Project:
    return workbench.current().opened()[0].project


@pytest.fixture
def number(project: Project) -> int:
    """Of the six images 1 and 2 have no label; they are predicted right at .9 and left at .7."""
    workbench.current().opened()[0].engine.stop()
    table = project.store.label_table()
    left = np.array([1.0 if label == "left" else 0.0 for label in table.label])
    left[[label is None for label in table.label]] = [0.1, 0.7]
    p = np.stack([left, 1 - left], 1)
    return make_round(project, p, epochs=[p], features=np.arange(12.0).reshape(6, 2))


def free(project: Project) -> list[int]:
    table = project.store.label_table()
    return table.image_ids[[label is None for label in table.label]].tolist()


def test_grid_gives_flat_arrays_of_what_is_undecided(client: TestClient, project: Project, number: int) -> None:
    found = client.get("grid", params={"sort": "confidence"}).json()
    first, second = free(project)
    assert found.pop("scale")["tier"] == "none"
    assert found == {
        "round": number, "classes": ["left", "right"], "sort": "confidence", "total": 2, "ids": [second, first],
        "predicted": [0, 1], "confidence": [0.7, 0.9], "group": None,
        "step": [NOT_WRITTEN] * 2, "value": [0.7, 0.9], "version": [0, 0], "label": [-1, -1],
    }  # fmt: skip


def test_grid_of_everything_names_labels_by_their_class(client: TestClient, project: Project, number: int) -> None:
    found = client.get("grid", params={"only": "all"}).json()
    by_id = dict(zip(found["ids"], found["label"], strict=True))
    table = project.store.label_table()
    names = {int(i): label for i, label in zip(table.image_ids, table.label, strict=True)}
    assert by_id == {i: {"left": 0, "right": 1, None: -1}[name] for i, name in names.items()}


def test_label_of_a_class_that_came_after_the_round_is_not_taken_for_none(
    client: TestClient, project: Project, number: int
) -> None:
    project.labels.add_class("middle")
    image = free(project)[0]
    decision = {"uid": "u", "image_id": image, "base_version": 0, "action": "label", "label": "middle"}
    client.post("decisions", json={"decisions": [decision]})
    found = client.get("grid", params={"only": "all"}).json()
    assert found["label"][found["ids"].index(image)] == -2


def test_grid_without_a_round_says_so(client: TestClient) -> None:
    found = client.get("grid")
    assert found.status_code == 400
    assert "no round is in force" in found.json()["message"]


def test_grid_before_any_round_has_like_images_together_once_there_are_features(
    client: TestClient, project: Project
) -> None:
    refused = client.get("grid", params={"sort": "likeness"})
    assert refused.status_code == 400
    assert "Switch live labels on" in refused.json()["message"]
    make_features(project, np.eye(3)[[0, 1, 2, 0, 1, 2]])
    first, second = free(project)
    found = client.get("grid", params={"sort": "likeness"}).json()
    assert sorted(found.pop("ids")) == [first, second]
    assert found.pop("scale")["tier"] == "none"
    assert found == {
        "round": None, "classes": ["left", "right"], "sort": "likeness", "total": 2, "predicted": [-1, -1],
        "step": [NOT_WRITTEN] * 2,
        "confidence": [None, None], "value": [None, None], "version": [0, 0], "label": [-1, -1], "group": [0, 0],
    }  # fmt: skip


def test_context_gives_neighbours_and_path(client: TestClient, project: Project, number: int) -> None:
    one = client.post("context", json={"ids": free(project), "round": number}).json()["contexts"][0]
    assert one["image_id"] == free(project)[0]
    assert (one["epochs"], one["pseudo_labels"]) == ([1], ["right"])
    assert len(one["neighbours"]) == 4
    assert set(one["neighbours"][0]) == {"image_id", "label", "distance"}


@pytest.mark.parametrize("body", [{"ids": "1"}, {"ids": [1.5]}, {"ids": [-1]}, {"ids": [1], "round": "x"}, {}])
def test_context_refuses_what_is_no_list_of_images(client: TestClient, body: dict[str, object]) -> None:
    assert client.post("context", json=body).status_code == 400


def test_decisions_are_recorded_under_the_name_the_browser_keeps(client: TestClient, project: Project) -> None:
    image = free(project)[0]
    decision = {"uid": "u1", "image_id": image, "base_version": 0, "action": "label", "label": "left"}
    client.cookies.set("starling_who", "Ada%20L.")
    client.post("decisions", json={"decisions": [decision]})
    assert project.store.history(image)[0].actor == "Ada L."
    assert client.post("undo", json={"uid": "u2"}).json()["acks"][0]["status"] == "saved"


def test_seconds_of_a_tile_on_the_screen_are_recorded_and_say_what_the_label_is(
    client: TestClient, project: Project, number: int
) -> None:
    first, second = free(project)
    common = {"base_version": 0, "action": "accept", "label": "left", "batch": "B", "seconds": None, "round": number}
    seconds = {first: 2, second: 0}
    decisions = [common | {"uid": f"B-{image}", "image_id": image, "seen_seconds": s} for image, s in seconds.items()]
    acks = client.post("decisions", json={"decisions": decisions}).json()["acks"]
    assert [(ack["state"]["source"], ack["state"]["reviewed"]) for ack in acks] == [
        ("accepted_in_batch", False), ("accepted_by_threshold", False),
    ]  # fmt: skip
    assert [entry.seen_seconds for entry in project.store.history(batch="B")] == [0.0, 2.0]
    wrong = common | {"uid": "C", "image_id": first, "seen_seconds": "2"}
    assert client.post("decisions", json={"decisions": [wrong]}).status_code == 400


def test_undo_without_a_target_takes_back_ones_own_decision_only(client: TestClient, project: Project) -> None:
    one, two = free(project)
    for name, image in (("Ada", one), ("Bo", two)):
        client.cookies.set("starling_who", name)
        decision = {"uid": name, "image_id": image, "base_version": 0, "action": "label", "label": "left"}
        client.post("decisions", json={"decisions": [decision]})
    client.cookies.set("starling_who", "Ada")
    client.post("undo", json={"uid": "back"})
    assert free(project) == [one]


@pytest.mark.parametrize("name", ["", "%00", " ", "%0A"])
def test_a_name_that_is_none_is_local(client: TestClient, project: Project, name: str) -> None:
    client.cookies.set("starling_who", name)
    image = free(project)[0]
    decision = {"uid": "u", "image_id": image, "base_version": 0, "action": "skip"}
    assert client.post("decisions", json={"decisions": [decision]}).status_code == 200
    assert project.store.history(image)[0].actor == "local"


def test_an_audit_asks_blind_and_its_answer_draws_the_image(client: TestClient, project: Project, number: int) -> None:
    audit = project.audits.start_rule(project.audits.rule_at(number, 0.5))
    found = client.post("queue", json={"only": "audit:1", "limit": 9}).json()
    assert sorted(item["image_id"] for item in found["items"]) == audit.frozen.image_ids.tolist()
    first = found["items"][0]
    assert (first["blind"], first["asked"], first["prediction"], first["label"]) == (True, "1 all", None, None)
    decision = {"uid": "u", "image_id": first["image_id"], "base_version": first["version"], "action": "label"}
    sent = {**decision, "label": project.store.classes()[0], "seconds": 1.5, "blind": True, "asked": first["asked"]}
    assert client.post("decisions", json={"decisions": [sent]}).json()["acks"][0]["status"] == "saved"
    assert [one.image_id for one in project.store.audit_news(1, 0, 0).draws] == [first["image_id"]]
    assert len(project.store.measured().image_ids) == 0
    assert client.post("queue", json={"only": "audit:1:class:cat", "limit": 9}).status_code == 200
    for wrong in ("audit:99", "audit:1:colour:red", "audit:1:class:"):
        assert client.post("queue", json={"only": wrong}).status_code in {400, 409}
    unknown = {**sent, "uid": "v", "asked": "1 colour:red"}
    assert client.post("decisions", json={"decisions": [unknown]}).status_code == 400


def _label(client: TestClient, image: int, uid: str, **more: object) -> dict[str, object]:
    one = {"uid": uid, "image_id": image, "base_version": 0, "action": "label", "label": "left", **more}
    answer = client.post("decisions", json={"decisions": [one]})
    return answer.json() if answer.status_code == 200 else {"status": answer.status_code, **answer.json()}


def test_decision_that_waited_is_recorded_under_the_name_of_when_the_key_was_pressed(
    client: TestClient, project: Project
) -> None:
    first, second = free(project)
    client.cookies.set("starling_who", "Ben")
    _label(client, first, "u1", actor="Ann")
    _label(client, second, "u2")
    assert [project.store.history(one)[0].actor for one in (first, second)] == ["Ann", "Ben"]
    assert client.post("undo", json={"uid": "z1", "actor": "Ann"}).json()["acks"][0]["state"]["image_id"] == first
    assert project.store.history(first)[0].actor == "Ann"


@pytest.mark.parametrize("name", ["import", " Import", "STARLING", "a\u202eb", "a\nb", "x" * 61, " "])
def test_name_that_nobody_can_have_records_nothing(client: TestClient, project: Project, name: str) -> None:
    image, before = free(project)[0], project.store.head_seq()
    assert _label(client, image, "u1", actor=name)["status"] == 400
    assert client.post("undo", json={"uid": "z1", "actor": name}).status_code == 400
    assert project.store.head_seq() == before


def test_others_decisions_are_taken_back_by_reviewers_alone(client: TestClient, project: Project) -> None:
    image = free(project)[0]
    _label(client, image, "u1", actor="Ann")
    refused = client.post("undo", json={"uid": "z1", "target": "u1", "actor": "Ben"})
    assert refused.status_code == 409
    assert "another person decided this: Ann" in refused.json()["message"]
    workbench.current().reviewers = frozenset({"Ben"})
    taken = client.post("undo", json={"uid": "z1", "target": "u1", "actor": "Ben"}).json()
    assert taken["image"]["label"] is None
