"""Named revisions: what changed between two of them by whom, and the export of one."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.exporters.collect import ExportOptions
from engine.importers.scan import ImportSource
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Action, Decision
from tests.ready_project import ReadyProjects, noisy_pets, write_zip


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """Images 1 to 4: cat, dog, and two without a label."""
    with Project.open(ready.copy(noisy_pets(2, 2, ("cat", "dog")), tmp_path / "pets")) as opened:
        yield opened


def say(project: Project, image_id: int, action: Action, label: str | None = None, actor: str = "ann") -> str:
    version = next((one.version for one in project.store.states([image_id])), 0)
    decision = Decision(new_uid(), image_id, version, action, label, actor=actor)
    (ack,) = project.store.record([decision])
    assert ack.status == "saved", ack
    return decision.uid


def exported(project: Project, at: str | None, target: Path) -> dict[int, str]:
    project.exports.write(ExportOptions("csv", at=at), target=target)
    with open(target, newline="") as file:
        return {int(row["image_id"]): row["label"] for row in csv.DictReader(file)}


def test_a_diff_says_what_changed_from_what_to_what_and_by_whom(project: Project) -> None:
    desk = project.exports.revisions
    first = desk.add("v1")
    say(project, 1, "correct", "dog", "zoe")
    say(project, 1, "flag", actor="max")  # keeps the label: not who changed it
    say(project, 2, "reject", actor="bob")
    say(project, 3, "label", "cat")
    undone = say(project, 4, "label", "cat")
    project.store.undo(new_uid(), "ann", undone)
    second = desk.add("v2")
    found = [(one.image_id, one.before, one.after, one.rejected, one.by) for one in desk.diff(first, second)]
    assert found == [
        (1, "cat", "dog", False, "zoe"),
        (2, "dog", "dog", True, "bob"),
        (3, None, "cat", False, "ann"),
    ]
    assert [one.name for one in desk.diff(first, second)] == [
        item.name for item in project.store.images() if item.id < 4
    ]
    assert desk.diff(first, first) == []
    with pytest.raises(ConfigError, match="later than the second"):
        desk.diff(second, first)


def test_an_export_at_a_revision_holds_its_labels_and_its_images(project: Project, tmp_path: Path) -> None:
    before = exported(project, None, tmp_path / "a.csv")
    seq = project.store.head_seq()
    project.exports.revisions.add("v1")
    say(project, 1, "correct", "dog")
    say(project, 2, "reject")
    say(project, 3, "label", "cat")
    more = {f"cat/{number}.png": pixels for number, pixels in enumerate(noisy_pets(0, 9, ("cat", "dog")).values())}
    source = ImportSource("zip", write_zip(tmp_path / "more.zip", dict(list(more.items())[4:])))
    project.imports.commit(project.imports.scan(source))
    assert exported(project, "v1", tmp_path / "b.csv") == before == {1: "cat", 2: "dog", 3: "", 4: ""}
    assert {image: label for image, label in exported(project, str(seq), tmp_path / "c.csv").items() if label} == {
        1: "cat", 2: "dog",
    }  # fmt: skip
    assert set(exported(project, "now", tmp_path / "d.csv")) == {1, 3, 4, 5, 6, 7, 8, 9}
    project.exports.write(ExportOptions(at="v1"), target=tmp_path / "e.zip")
    with zipfile.ZipFile(tmp_path / "e.zip") as archive:
        about = json.loads(archive.read("manifest.json"))
        assert len(archive.read("provenance.jsonl").splitlines()) == seq
    assert about["revision"] == {"name": "v1", "seq": seq}
    assert (about["ledger_seq"], about["counts"]["imported"]) == (seq, 2)


@pytest.mark.parametrize("name", ["", " ", "12", "now", "a\nb", "v1..v2", "x" * 101, "v1"])
def test_a_name_says_one_revision(project: Project, name: str) -> None:
    project.exports.revisions.add("v1")
    with pytest.raises(ConfigError, match="revision"):
        project.exports.revisions.add(name)
    assert [one.name for one in project.exports.revisions.all()] == ["v1"]


@pytest.mark.parametrize("text", ["v2", "9999", "-1"])
def test_what_is_no_revision_is_told_with_those_there_are(project: Project, text: str) -> None:
    project.exports.revisions.add("v1", 1)
    with pytest.raises(ConfigError, match=r"Known: v1|The last one is"):
        project.exports.revisions.get(text)


def test_a_revision_of_another_ledger_is_refused(project: Project) -> None:
    project.exports.revisions.add("v1")
    kept = json.loads(project.store.meta("revisions") or "")
    project.store.set_meta("revisions", json.dumps([{**kept[0], "hash": "0" * 64}]))
    with pytest.raises(ConfigError, match="not the one"):
        project.exports.revisions.get("v1")


def test_predictions_are_in_no_revision() -> None:
    with pytest.raises(ConfigError, match="no predictions"):
        ExportOptions(sources=frozenset({"human", "pseudo"}), at="v1")
