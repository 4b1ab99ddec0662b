"""Photos are shown to the network by their centre, whole, or both ways, as the labels choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.importers.scan import ImportSource
from engine.jobs import features
from engine.nets.views import view_of
from engine.project import advice
from engine.project import live as live_desk
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision

LATER = 1e9
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}
EACH = 14


def picture(colour: tuple[int, int, int], place: str, rng: np.random.Generator) -> Image.Image:
    """A photo twice as wide as high, of noise but for a patch in one colour, in its middle or at its ends."""
    pixels = rng.integers(0, 256, (60, 120, 3), dtype=np.uint8)
    columns = slice(40, 80) if place == "middle" else np.r_[0:25, 95:120]
    pixels[10:50, columns] = colour
    return Image.fromarray(pixels)


@pytest.fixture(params=["middle", "ends"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path, jobs_here: None, place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Photos of three colours without labels."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no weights but those that come with the program"))
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name, colour in COLOURS.items():
        for number in range(EACH):
            picture(colour, place, rng).save(tmp_path / "photos" / f"{name}-{number}.png")
    with Project.create(tmp_path / "project", "Colours") as opened:
        opened.imports.commit(opened.imports.scan(ImportSource("folder", tmp_path / "photos")))
        yield opened
        opened.live.close()


def name_all(project: Project, first: int, last: int) -> None:
    """Give some images of each class their label."""
    for name in COLOURS:
        if name not in project.store.classes():
            project.labels.add_class(name)
    decisions = []
    for item in project.workspace.items():
        label, number = Path(item.name).stem.split("-")
        if first <= int(number) < last:
            decisions.append(Decision(new_uid(), item.id, 0, "label", label, seconds=1.0))
    assert all(ack.status == "saved" for ack in project.labels.decide(decisions))


def look(project: Project, times: int = 4) -> None:
    for step in range(times):
        project.live.step(LATER + step * 2 * live_desk.REST)


def test_the_labels_choose_how_photos_are_shown(project: Project, place: str) -> None:
    root = project.workspace.root
    look(project)
    assert view_of(features.net(root)) == "both", "until labels choose, nothing is left out"
    name_all(project, 0, 4)
    look(project)
    assert features.view(root) is None, "too few to choose"
    first = project.live.state().number
    name_all(project, 4, 6)
    look(project)
    chosen = features.view(root)
    assert chosen is not None
    assert chosen.labels == 18
    assert chosen.view in (("both", "centre") if place == "middle" else ("both", "whole"))
    assert view_of(features.net(root)) == chosen.view
    state = project.live.state()
    assert (state.status, project.live.view()) == ("on", chosen)
    assert state.number == first, "the live round goes on, whatever features it has"
    assert advice.facts(project.workspace).quick_net == features.net(root), "a round trains on the same features"

    name_all(project, 6, 8)
    look(project)
    assert features.view(root) == chosen, "a few more labels are no reason to choose again"
    name_all(project, 8, 13)
    look(project)
    again = features.view(root)
    assert again is not None
    assert again.labels == 39


def test_square_photos_have_one_view(tmp_path: Path, jobs_here: None) -> None:
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(rng.integers(0, 256, (70, 70, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    with Project.create(tmp_path / "project", "Noise") as opened:
        opened.imports.commit(opened.imports.scan(ImportSource("folder", tmp_path / "photos")))
        look(opened)
        assert view_of(features.net(opened.workspace.root)) == "centre"
        assert not features.chooses(opened.workspace.root, np.arange(24) % 2)
        opened.live.close()
