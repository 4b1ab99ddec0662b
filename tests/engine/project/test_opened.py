"""A project as the app uses it: the review queue, leftovers, and what belongs together in an export."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import engine.exporters
from engine.exporters.collect import ExportOptions
from engine.exporters.rows import SOURCES
from engine.importers.scan import ImportSource
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.records.labels import Decision
from engine.store.facts import batch_id
from tests.auditing import answer_audit
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey, write_zip


def _zip(path: Path, names: dict[str, int]) -> Path:
    return write_zip(path, grey(8, names))


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    """Images 1–4 unlabeled, 5 and 6 labeled."""
    names = {"cat/5.png": 50, "dog/6.png": 60, **{f"_unlabeled/{i}.png": 10 * i for i in range(1, 5)}}
    with Project.open(ready.copy(grey(8, names), tmp_path / "pets")) as opened:
        yield opened


def _predicted(project: Project, first: dict[str, float]) -> int:
    """Make a round that predicts all six images, by the confidence that each is a cat; return its number."""
    by_name = {item.name: item.id for item in project.workspace.items()}
    ids = np.array(sorted(by_name.values()), np.int64)
    p1 = {by_name[name]: value for name, value in first.items()}
    column = np.array([p1.get(int(i), 1.0) for i in ids], np.float32)
    return make_round(project, np.stack([column, 1 - column], 1))


CONFIDENCES = {"_unlabeled/1.png": 0.9, "_unlabeled/2.png": 0.4, "_unlabeled/3.png": 0.55, "_unlabeled/4.png": 0.8}


def test_queue_shows_the_least_confident_unlabeled_image_first(project: Project) -> None:
    number = _predicted(project, CONFIDENCES)
    items, total = project.queue.next("least_confidence", 3)
    assert [item.name for item in items] == ["_unlabeled/3.png", "_unlabeled/2.png", "_unlabeled/4.png"]
    assert total == 4
    assert items[1].prediction == "dog"
    assert items[1].confidence == pytest.approx(0.6)
    assert items[1].top == (("dog", pytest.approx(0.6)), ("cat", pytest.approx(0.4)))
    assert items[0].round == number


def test_images_imported_after_the_round_come_last_without_a_prediction(project: Project, tmp_path: Path) -> None:
    number = _predicted(project, CONFIDENCES)
    more = _zip(tmp_path / "more.zip", {"_unlabeled/new.png": 200})
    project.imports.commit(project.imports.scan(ImportSource("zip", more)))
    items, total = project.queue.next("margin", 20)
    assert total == 5
    assert (items[-1].name, items[-1].prediction) == ("_unlabeled/new.png", None)
    assert f"after round {number}" in items[-1].why


def test_marked_images_leave_the_queue_and_are_found_again(project: Project) -> None:
    _predicted(project, CONFIDENCES)
    first = project.queue.next("least_confidence", 1)[0][0]
    project.labels.decide([Decision(new_uid(), first.image_id, first.version, "skip")])
    assert first.image_id not in [item.image_id for item in project.queue.next("least_confidence", 9)[0]]
    assert [item.image_id for item in project.queue.next("least_confidence", 9, ref=QueueRef.parse("marked"))[0]] == [
        first.image_id
    ]
    assert project.queue.next("least_confidence", 9, ref=QueueRef.parse("all"))[1] == 6


def test_sweep_spares_what_another_process_has_staged(project: Project, tmp_path: Path) -> None:
    preview = project.imports.scan(ImportSource("zip", _zip(tmp_path / "more.zip", {"a/1.png": 1, "b/2.png": 2})))
    with Project.open(project.root) as other:
        other.workspace.sweep()
    assert preview.staging.is_dir()
    assert project.imports.commit(preview).added == 2
    left = project.root / "staging" / "left"
    left.mkdir()
    project.close()
    with Project.open(project.root) as again:
        again.workspace.sweep()
    assert not left.exists()


def test_export_counts_say_what_the_export_writes(project: Project) -> None:
    number = _predicted(project, CONFIDENCES)
    options = ExportOptions("csv", frozenset({"imported", "human", "pseudo"}), 0.7)
    audit = project.audits.start_rule(project.audits.rule_at(number, 0.7))
    answer_audit(project, 1, audit.labels, "cat")
    project.store.undo(new_uid(), "local", list(project.store.entries())[-1].uid)
    counts = project.exports.counts(options)
    assert counts == dict.fromkeys(SOURCES, 0) | {"imported": 2, "human": 1, "pseudo": 1, "unlabeled": 2}
    lines = project.exports.write(options).read_text().splitlines()
    assert sum(",pseudo," in line for line in lines) == 1
    assert len(lines) == 7


def test_the_manifest_of_an_export_names_the_batches_behind_its_labels_with_their_facts(project: Project) -> None:
    first, second = (item.id for item in project.workspace.items()[:2])
    bound, gone = {"audit": 1, "bound": 0.02}, {"audit": 2, "bound": 0.5}
    for uid, image_id, facts in (("u1", first, bound), ("u2", second, gone)):
        version = next((state.version for state in project.store.states([image_id])), 0)
        project.store.record_batch([Decision(uid, image_id, version, "accept", "cat")], batch_id("audit", facts), facts)
    project.store.undo(new_uid(), "local")
    with zipfile.ZipFile(project.exports.write(ExportOptions())) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        provenance = [json.loads(line) for line in archive.read("provenance.jsonl").splitlines()]
    assert manifest["batches"] == {batch_id("audit", bound): bound}
    assert batch_id("audit", bound) in {line["batch"] for line in provenance}
    schema = json.loads((Path(engine.exporters.__file__).parent / "manifest.schema.json").read_text())
    jsonschema.validate(manifest, schema)
