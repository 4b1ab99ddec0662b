"""Corruption is reported, never served: files and rows of a project changed in turn, what is said and what mended."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.digests import FILE as DIGESTS
from engine.errors import ProjectCorrupt, ProjectReadOnly, StarlingError
from engine.images.array_cache import build_arrays
from engine.images.feature_parts import KnownFeatures, PartWriter, folder_of, mark_used
from engine.images.files import thumb_path
from engine.images.thumb_file import picture_in
from engine.images.thumbnails import thumbnail_bytes
from engine.jobs import check_work
from engine.nets.net_name import FeatureSource
from engine.project import given_predictions
from engine.project.opened import Project
from engine.records.imports import FoundImage, GivenPrediction
from engine.rounds.folder import digests, files, results
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey

PICTURES = grey(8, {f"{'cat' if i < 2 else 'dog' if i < 4 else 'no_label'}/{i}.png": 20 * i for i in range(8)})
SURE = np.tile(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), (4, 1))
FOLDER = "rounds/0001"


@pytest.fixture
def root(ready: ReadyProjects, tmp_path: Path) -> Path:
    """Eight images of cats and dogs, half of them labeled, and a complete round with two epochs, as it ended."""
    made = ready.copy(PICTURES, tmp_path / "pets")
    with Project.open(made) as project:
        number = make_round(project, SURE, epochs=[SURE, SURE[::-1]], features=SURE, signals={"flips": 1}, heldout=[1])
        digests.seal(project.workspace.round_folder(number))
    return made


def flip(path: Path, at: int = -9) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def change(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "project.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def problems(root: Path) -> list[str]:
    with Project.open(root) as project:
        return list(project.upkeep.doctor().problems)


def test_a_sound_project_has_nothing_to_tell(root: Path) -> None:
    with Project.open(root) as project:
        health = project.upkeep.doctor()
        assert (health.problems, health.notes, health.repaired) == ((), (), ())
        assert project.results.predictions() is not None


READS: dict[str, Callable[[Path], Any]] = {
    files.REPORT: results.read_report,
    files.CONFIG: results.final_predictions,
    files.LABELS: results.roles,
    files.EVENTS: results.curves,
    files.FINAL: results.final_predictions,
    files.SIGNALS: results.signals,
    files.FINAL_FEATURES: results.final_features,
    files.epoch_predictions(2): lambda folder: results.epoch_predictions(folder, 2),
    DIGESTS: results.roles,
}


@pytest.mark.parametrize("name", READS)
def test_a_changed_file_of_a_round_is_told_with_its_name_and_the_way_out(root: Path, name: str) -> None:
    folder = root / FOLDER
    if name == files.EVENTS:
        (folder / name).write_text('{"type": "epoch", "phase": "main", "epoch": 1}\n')
        digests.seal(folder)
    READS[name](folder)
    flip(folder / name)
    with pytest.raises(ProjectCorrupt) as raised:
        READS[name](folder)
    for said in (str(raised.value), problems(root)[0]):
        assert str(folder / name) in said
        assert "--files-only" in said


def test_a_file_of_another_epoch_is_not_taken_for_it(root: Path) -> None:
    predictions = root / FOLDER / files.PREDICTIONS
    shutil.copy(predictions / "epoch-001.parquet", predictions / "epoch-002.parquet")
    shutil.copy(predictions / "epoch-001.parquet", predictions / "epoch-003.parquet")
    for epoch, why in ((2, "not what the round wrote"), (3, "not among those")):
        with pytest.raises(ProjectCorrupt, match=why):
            results.epoch_predictions(root / FOLDER, epoch)
    (predictions / "epoch-001.parquet").unlink()
    assert [f"epoch-00{epoch}.parquet" in told for epoch, told in zip((1, 2), problems(root), strict=True)] == [1, 1]


def test_what_was_found_sound_is_not_read_again_until_it_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import engine.digests as module

    read: list[int] = []
    plain = module._sum_of
    monkeypatch.setattr(module, "_sum_of", lambda handle, size: read.append(size) or plain(handle, size))
    for _ in range(3):
        results.final_features(root / FOLDER)
    assert len(read) == 1
    flip(root / FOLDER / files.FINAL_FEATURES)
    with pytest.raises(ProjectCorrupt):
        results.final_features(root / FOLDER)


def test_the_last_words_of_a_worker_may_follow_its_digests(root: Path) -> None:
    with open(root / FOLDER / files.EVENTS, "a") as events:
        events.write('{"type": "finished"}\n')
    assert problems(root) == []
    results.curves(root / FOLDER)


def test_predictions_are_those_that_the_database_names(root: Path) -> None:
    """A report that was changed together with its predictions and its digests does not fit the database."""
    folder = root / FOLDER
    old = results.read_report(folder).predictions.sha256
    (folder / DIGESTS).unlink()
    flip(folder / files.FINAL, at=-200)
    import hashlib

    new = hashlib.sha256((folder / files.FINAL).read_bytes()).hexdigest()
    (folder / files.REPORT).write_text((folder / files.REPORT).read_text().replace(old, new))
    with Project.open(root) as project, pytest.raises(ProjectCorrupt, match="not those that the database names"):
        project.results.predictions(1)
    assert "not those that the database names" in problems(root)[0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rounds SET report = json_set(report, '$.heldout.accuracy', 0.99)",
        "UPDATE rounds SET state = 'held_back'",
        "UPDATE rounds SET config = '{'",
        "UPDATE rounds SET ledger_seq = ledger_seq + 1",
    ],
)
def test_a_changed_row_of_a_round_is_told_as_failed_and_not_in_force(root: Path, statement: str) -> None:
    change(root, statement)
    with Project.open(root) as project:
        record = project.store.round(1)
        assert (record.state, record.report, project.results.in_force()) == ("failed", None, None)
        assert "not what was written" in str((record.error or {})["cause"])
        assert "starling restore" in str((record.error or {})["way_out"])
        with pytest.raises(ProjectCorrupt, match="not what was written: round 1"):
            project.store.transition(1, "queued")  # resuming it would give the damage a digest of its own
        health = project.upkeep.doctor(repair=True)
    assert ["round 1: what the database says" in told for told in health.problems] == [True]


def test_a_round_that_is_gone_from_the_database_is_told(root: Path) -> None:
    change(root, "DELETE FROM rounds")
    assert [told.partition(".")[0] for told in problems(root)] == [
        "round 1: it is gone from the database",
        f"folder {root / 'rounds' / '0001'}: there is no such round; move it away, or leave it for a round of this "
        "number to do so",
    ]


def test_places_of_classes_are_restored_and_other_changes_are_not(root: Path) -> None:
    change(root, "UPDATE classes SET position = 1 - position")
    with Project.open(root) as project:
        with pytest.raises(ProjectCorrupt, match="The classes are not those that were written"):
            project.store.classes()
        with pytest.raises(ProjectCorrupt, match="classes"):
            project.store.add_class("fox")
        health = project.upkeep.doctor()
        assert (len(health.problems), health.mendable) == (1, 1)
        assert len(project.upkeep.doctor(repair=True).repaired) == 1
        assert project.store.classes() == ("cat", "dog")
    change(root, "INSERT INTO classes (name, position) VALUES ('fox', 2)")
    with Project.open(root) as project:
        health = project.upkeep.doctor(repair=True)
        assert ["classes: they are not those" in told for told in health.problems] == [True]


def test_changed_hidden_labels_measure_nothing(root: Path) -> None:
    with Project.open(root) as project:
        from engine.store import seals
        from engine.store.schema import truth

        project.store._write(lambda c: c.execute(truth.insert(), [{"image_id": 5, "label": "cat"}]))
        project.store._write(lambda c: seals.seal_truth(c, [5]))
        assert project.results.true_accuracy(1) is not None
    change(root, "UPDATE truth SET label = 'dog'")
    with Project.open(root) as project, pytest.raises(ProjectCorrupt, match="hidden labels are not those"):
        project.results.true_accuracy(1)
    assert ["hidden labels: they are not those" in told for told in problems(root)] == [True]
    change(root, "DELETE FROM truth")
    assert ["hidden labels: they are not those" in told for told in problems(root)] == [True]


def test_an_import_gives_hidden_labels_a_digest_a_block_and_covers_nothing_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.store import seals
    from engine.store.imports import _add_truth
    from engine.store.schema import truth

    monkeypatch.setattr(seals, "BLOCK", 4)
    with Project.open(root) as project:
        found = [FoundImage(f"{n}", Path(), f"{n}", "PNG", 8, 8, 1, 1, truth="cat") for n in (1, 4, 5, 8)]
        ids = {image.sha256: int(image.sha256) for image in found}
        project.store._write(lambda c: _add_truth(c, found[:3], ids))
        assert project.store.truth() == {1: "cat", 4: "cat", 5: "cat"}
        project.store._write(lambda c: c.execute(truth.update().where(truth.c.image_id == 5).values(label="dog")))
        with pytest.raises(ProjectCorrupt, match="not saved: hidden labels are not those"):
            project.store._write(lambda c: _add_truth(c, found[3:], ids))
        with pytest.raises(ProjectCorrupt, match="The hidden labels"):
            project.store.truth()


def test_doctor_finds_and_makes_again_thumbnails_caches_and_labels_in_force(root: Path) -> None:
    with Project.open(root) as project:
        items = project.workspace.items()
        shas = [item.sha256 for item in items]
        arrays = np.array(build_arrays(root, shas, project.workspace.array_spec(), lambda *_: None))
    source = FeatureSource("a")
    mark_used(folder_of(root, source, "w"))
    writer = PartWriter(folder_of(root, source, "w"), KnownFeatures(shas))
    writer.add(shas, np.ones((8, 3), np.float16))
    writer.close()
    first, second = (thumb_path(root, sha) for sha in shas[:2])
    pictures = [thumbnail_bytes(root, sha) for sha in shas[:2]]
    first.write_bytes(second.read_bytes())
    second.write_bytes(b"")
    [cache] = (root / "cache").glob("arrays-*.npy")
    [part] = (root / "cache").glob("features-*/part-*.npz")
    flip(cache)
    flip(part, at=200)
    change(root, "UPDATE current_labels SET label = 'dog' WHERE image_id = 1")
    with Project.open(root, read_only=True) as project:
        health = project.upkeep.doctor()
        with pytest.raises(ProjectReadOnly, match="open read-only"):
            project.upkeep.doctor(repair=True)
    assert (len(health.problems), health.mendable) == (5, 5), health.problems
    with Project.open(root) as project:
        assert len(project.upkeep.doctor(repair=True).repaired) == 5
        assert project.upkeep.doctor().problems == ()
        assert project.store.label_table().label[0] == "cat"
        again = build_arrays(root, shas, project.workspace.array_spec(), lambda *_: None)
    assert [picture_in(path.read_bytes(), path.stem) for path in (first, second)] == pictures
    assert np.array_equal(again, arrays)
    assert not part.exists(), "it is computed again when a round needs it"


def test_an_original_that_is_gone_cannot_be_made_again(root: Path) -> None:
    with Project.open(root) as project:
        sha = project.workspace.items()[0].sha256
        (root / "images" / sha[:2] / sha).unlink()
        thumb_path(root, sha).write_bytes(b"")
        health = project.upkeep.doctor(repair=True)
    assert "Import it again, or take it from a backup" in health.problems[0]
    assert "It could not be repaired: An original image cannot be read" in health.problems[1]


def test_what_an_earlier_version_wrote_is_read_noted_and_given_digests(root: Path) -> None:
    (root / FOLDER / DIGESTS).unlink()
    change(root, "DELETE FROM meta WHERE key LIKE 'digest of %'")
    with Project.open(root) as project:
        item = project.workspace.items()[0]
        picture = thumbnail_bytes(root, item.sha256)
        thumb_path(root, item.sha256).write_bytes(picture)
        assert project.results.in_force() == 1
        assert project.results.predictions(1) is not None
        assert project.store.classes() == ("cat", "dog")
        health = project.upkeep.doctor()
        assert health.problems == ()
        assert [note.partition(":")[2].partition(".")[0].strip() for note in health.notes] == [
            "the classes",
            "the database's row of round 1",
            "the files of round 1 but its predictions, which are sound",
            "the thumbnails of 1 images",
        ]
        project.upkeep.doctor(repair=True)
        assert project.upkeep.doctor().notes == ()
    flip(root / FOLDER / files.LABELS)
    change(root, "UPDATE rounds SET state = 'held_back'")
    row, file = problems(root)
    assert row.startswith("round 1: what the database says")
    assert str(root / FOLDER / files.LABELS) in file


def test_without_digests_predictions_are_still_held_against_the_report(root: Path) -> None:
    (root / FOLDER / DIGESTS).unlink()
    flip(root / FOLDER / files.FINAL)
    assert ["predictions differ" in told for told in problems(root)] == [True]


def test_predictions_that_came_along_are_told_where_they_were_changed(root: Path) -> None:
    given_predictions.keep(root, {"0" * 64: GivenPrediction("cat", 0.9)})
    assert given_predictions.read(root)["0" * 64].label == "cat"
    path = root / given_predictions.FILE
    table = pq.read_table(io.BytesIO(path.read_bytes()))
    changed = table.set_column(1, "label", [["dog"]]).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path)
    with pytest.raises(ProjectCorrupt, match="not those that were kept"):
        given_predictions.read(root)
    assert ["not those that were kept" in told for told in problems(root)] == [True]
    pq.write_table(changed.replace_schema_metadata(None), path)
    assert given_predictions.read(root)["0" * 64].label == "dog", "as an earlier version kept it"


def test_a_changed_result_of_a_check_counts_for_nothing(root: Path) -> None:
    folder = root / "checks" / "duplicates"
    folder.mkdir(parents=True)
    path = folder / check_work.DUPLICATES_RESULT
    group = '{"image_ids": [1, 2], "similarity": 1, "exact": true}'
    path.write_text(f'{{"ledger_seq": 1, "stamp": "s", "made": "now", "facts": {{}}, "groups": [{group}]}}')
    from engine.jobs import check

    check_work.DIGESTS.seal(folder, [path.name])
    assert check.read_duplicates(root) is not None
    path.write_text(path.read_text().replace("[1, 2]", "[1, 3]"))
    assert check.read_duplicates(root) is None
    with Project.open(root) as project:
        assert [str(path) in told for told in project.upkeep.doctor().problems] == [True]
        project.upkeep.doctor(repair=True)
        assert project.upkeep.doctor().problems == ()


def test_no_raw_error_comes_of_an_unreadable_place(root: Path) -> None:
    path = root / FOLDER / files.LABELS
    path.unlink()
    path.mkdir()
    with Project.open(root) as project:
        try:
            told = project.upkeep.doctor().problems
        except StarlingError as error:
            told = (str(error),)
    assert str(path) in told[0]


def test_a_folder_that_is_gone_does_not_come_again_for_its_digests(tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    with pytest.raises(FileNotFoundError):
        digests.seal(tmp_path / "rounds" / "0001")
    assert not (tmp_path / "rounds" / "0001").exists()
