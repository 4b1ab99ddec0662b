"""One number everywhere: review, grid, map and quality page say the same of an image's confidence."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import table as routes
from app.server import workbench
from engine.project.opened import Project
from engine.quality.scale import NOT_WRITTEN
from engine.records.quality import Tier
from tests.auditing import answer_audit
from tests.made_round import make_round
from tests.measuring import answer_measured
from tests.ready_project import ReadyProjects, noisy_pets

FREE = 150


@pytest.fixture
def client(ready: ReadyProjects, tmp_path: Path) -> Iterator[TestClient]:
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    opened = bench.open(ready.copy(noisy_pets(4, FREE, ("cat", "dog")), bench.home / "pets"))
    opened.engine.stop()
    yield TestClient(Starlette(routes=routes.ROUTES), base_url=f"http://testserver{opened.base}/")
    bench.close()
    workbench._current = None


@pytest.fixture
def project(client: TestClient) -> Project:
    return workbench.current().opened()[0].project


@pytest.fixture
def number(project: Project) -> int:
    """A round far too sure of itself: cat at .60 to .99."""
    cat = np.linspace(0.6, 0.99, 4 + FREE)
    p = np.stack([cat, 1 - cat], 1)
    return make_round(project, p, epochs=[p[::-1], p])


def measure(project: Project, count: int, wrong_each: int = 3) -> None:
    """Answer the measured set until so many count that the round has not learned from; every third prediction is wrong,
    or each so many."""
    place, imported = 0, set(project.store.imported().tolist())
    while place < count:
        [image_id] = answer_measured(project, 1, "dog" if place % wrong_each == 0 else "cat")
        place += image_id not in imported


@pytest.mark.parametrize(("answered", "tier"), [(0, "none"), (30, "share"), (60, "words"), (110, "tens")])
def test_review_grid_map_and_quality_say_the_same_of_an_image(
    client: TestClient, project: Project, number: int, answered: int, tier: Tier
) -> None:
    measure(project, answered)
    queue = client.get("queue", params={"limit": 200}).json()["items"]
    review = {item["image_id"]: item["step"] for item in queue if not item["blind"]}
    grid = client.get("grid").json()
    body = client.get("map/epochs", params={"round": number}).content
    header = json.loads(body[4 : 4 + struct.unpack_from("<I", body)[0]])
    ids = project.store.label_table().image_ids.tolist()
    on_map = dict(zip(ids, body[-len(ids) :], strict=True))
    in_grid = dict(zip(grid["ids"], grid["step"], strict=True))
    assert len(in_grid) == FREE - answered
    assert review.items() <= in_grid.items()
    assert len(review) >= len(in_grid) - 10, "all but those that are asked blind next"
    assert {image_id: on_map[image_id] for image_id in review} == review
    one = next(iter(review))
    assert client.get(f"item/{one}", params={"round": number}).json()["step"] == review[one]
    scales = [header["scale"], grid["scale"], *(item["scale"] for item in queue if not item["blind"])]
    assert all(scale == scales[0] for scale in scales)
    assert (scales[0]["tier"], scales[0]["n"]) == (tier, answered)
    assert project.measured.scale(number).note == scales[0]["note"]
    assert (set(review.values()) == {NOT_WRITTEN}) == (tier in ("none", "share"))


def test_what_is_written_is_recalibrated_and_what_is_kept_is_the_number_inside(
    client: TestClient, project: Project, number: int
) -> None:
    measure(project, 110, wrong_each=2)
    items = [item for item in client.get("queue", params={"limit": 200}).json()["items"] if not item["blind"]]
    surest = max(items, key=lambda item: item["confidence"])
    assert surest["confidence"] > 0.95
    assert surest["step"] <= 9  # a half of them were right, whichever were drawn
    assert surest["top"][0][1] == pytest.approx(surest["step"] / 10, abs=0.05)
    grid = client.get("grid").json()
    kept = dict(zip(grid["ids"], grid["confidence"], strict=True))
    assert kept[surest["image_id"]] == pytest.approx(surest["confidence"], abs=1e-4)


def test_labeled_images_of_a_round_without_them_have_no_step_on_the_map(
    client: TestClient, project: Project, number: int
) -> None:
    measure(project, 60)
    body = client.get("map/epochs", params={"round": number}).content
    labeled = [label is not None for label in project.store.label_table().label[:4]]
    assert all(labeled)
    assert set(body[-4 - FREE : -FREE]) == {NOT_WRITTEN}  # an epoch holds the unlabeled ones


def test_figures_are_by_all_measured_answers_and_tell_nothing_of_what_is_asked_blind(
    client: TestClient, project: Project, number: int
) -> None:
    held = client.get("queue", params={"limit": 40}).json()["items"]
    shown = [one for one in held if not one["blind"]]
    blind = [one["image_id"] for one in held if one["blind"]]
    measure(project, 25)
    told = client.post("figures", json={"ids": [*[one["image_id"] for one in shown], *blind, 99_999], "round": number})
    now = {one["image_id"]: one for one in told.json()["items"]}
    measured = set(project.store.measured().image_ids.tolist())
    assert set(now) == {one["image_id"] for one in shown} - measured
    before = {one["image_id"]: one for one in shown}
    for image_id, one in now.items():
        assert one["scale"]["n"] == project.measured.scale(number).n > before[image_id]["scale"]["n"]
        assert one["scale"]["brief"] == project.measured.scale(number).brief
        assert (one["prediction"], one["round"]) == (before[image_id]["prediction"], number)
    audit = project.audits.freeze()
    [asked] = answer_audit(project, audit.number, 1, "dog")
    assert client.post("figures", json={"ids": [asked], "round": number}).json()["items"] == []
    assert client.post("figures", json={"ids": "all", "round": number}).status_code == 400
