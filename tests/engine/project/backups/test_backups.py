"""Backups of whole projects: taken while people label, put back over the project or into a new folder."""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.errors import (
    ConfigError,
    EntriesLost,
    LedgerError,
    NotAProject,
    ProjectCorrupt,
    ProjectInUse,
    ProjectReadOnly,
)
from engine.exporters.collect import ExportOptions
from engine.images.files import original_path
from engine.project import given_predictions
from engine.project.backups import folder as folders
from engine.project.backups.folder import BackupFolder
from engine.project.backups.restore import restore
from engine.project.backups.take import take
from engine.project.opened import Project
from engine.project.workspace import Workspace, is_project
from engine.records.imports import GivenPrediction
from engine.records.labels import Decision
from engine.rounds.folder import digests
from engine.rounds.folder.lock import lock_folder
from tests.engine.store.store_samples import start_python
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey

ROOT = Path(__file__).parents[4]
PICTURES = grey(8, {"cat/a.png": 0, "dog/b.png": 60, "no_label/c.png": 120, "no_label/d.png": 180})
SURE = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], np.float32)
LABELER = """
import os, sys, threading
from engine.project.workspace import Workspace
from engine.records.imports import GivenPrediction
from engine.records.labels import Decision
workspace = Workspace.open(__import__("pathlib").Path(sys.argv[1]))
version = 0
for turn in range(int(sys.argv[2])):
    [ack] = workspace.store.record([Decision(f"w{turn}", 3, version, "label", "dog")])
    version = ack.seq
print(version, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def root(ready: ReadyProjects, tmp_path: Path) -> Path:
    """Four images, one complete round, predictions that came along, a picture of the map."""
    made = ready.copy(PICTURES, tmp_path / "pets")
    with Project.open(made) as project:
        make_round(project, SURE, features=SURE, epochs=[SURE])
        (made / "map" / "pixels-1").mkdir()
        (made / "map" / "pixels-1" / "map.parquet").write_bytes(b"a map")
        given_predictions.keep(made, {"0" * 64: GivenPrediction("cat", 0.9)})
        (made / "cache" / "arrays.npy").write_bytes(b"can be made again")
    return made


@pytest.fixture
def kept(root: Path, tmp_path: Path) -> Path:
    """A folder with one backup of it."""
    backup(root, tmp_path / "kept")
    return tmp_path / "kept"


def backup(root: Path, target: Path, **options: int) -> int:
    """Take a backup; return how many files were copied."""
    with closing(Workspace.open(root)) as workspace:
        return take(workspace, target, **options).new_files


def say(root: Path, uid: str, image: int, label: str) -> None:
    with closing(Workspace.open(root)) as workspace:
        version = {state.image_id: state.version for state in workspace.store.states([image])}.get(image, 0)
        [ack] = workspace.store.record([Decision(uid, image, version, "label", label)])
        assert ack.status == "saved"


def files_of(root: Path, *tops: str) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for top in tops
        for path in [root / top, *sorted((root / top).rglob("*"))]
        if path.is_file() and path.name != "worker.lock"
    }


def test_a_backup_restored_elsewhere_is_the_same_project(root: Path, kept: Path, tmp_path: Path) -> None:
    done = restore(tmp_path / "else" / "where", kept)
    there = tmp_path / "else" / "where"
    assert (done.name, done.ledger_seq, done.aside) == ("pets", 2, None)
    tops = ("images", "thumbs", "rounds", "map", "given_predictions.parquet")
    assert files_of(there, *tops) == files_of(root, *tops)
    assert not (there / "cache" / "arrays.npy").exists()
    written = []
    for place in (root, there):
        with Project.open(place) as project:
            assert project.upkeep.doctor().problems == ()
            predictions = project.results.predictions()
            assert predictions is not None
            assert np.array_equal(predictions.probabilities, SURE)
            for options in (ExportOptions("csv"), ExportOptions("jsonl")):
                file = project.exports.write(options, target=tmp_path / f"{len(written)}.{options.format}")
                written.append(file.read_bytes())
    assert written[:2] == written[2:]


def test_into_the_same_folder_only_what_is_new_is_copied(
    root: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.project.backups.take._SETTLED_NS", 0)
    count = len(folders.read(BackupFolder(kept).newest()).files)
    say(root, "u1", 3, "dog")
    assert backup(root, kept) == 1, "the database alone"
    (root / "map" / "pixels-1" / "map.parquet").write_bytes(b"another map")
    say(root, "u2", 4, "dog")
    assert backup(root, kept) == 1 + 1
    assert [len(folders.read(path).files) for path in BackupFolder(kept).manifests()] == [count] * 3
    first = BackupFolder(kept).manifests()[0]
    assert restore(tmp_path / "first", first).ledger_seq == 2
    assert restore(tmp_path / "last", kept).ledger_seq == 4
    assert (tmp_path / "first" / "map" / "pixels-1" / "map.parquet").read_bytes() == b"a map"
    assert (tmp_path / "last" / "map" / "pixels-1" / "map.parquet").read_bytes() == b"another map"


def test_older_backups_go_with_what_only_they_had(root: Path, kept: Path, tmp_path: Path) -> None:
    (root / "map" / "pixels-1" / "map.parquet").write_bytes(b"another map")
    say(root, "u1", 3, "dog")
    backup(root, kept, keep=1)
    [left] = BackupFolder(kept).manifests()
    named = {entry.sha256 for entry in folders.read(left).files}
    assert {path.name for path in (kept / "files").glob("*/*")} == named
    assert restore(tmp_path / "copy", kept).ledger_seq == 3


def test_a_file_changed_within_the_same_moment_is_copied(root: Path, kept: Path, tmp_path: Path) -> None:
    file = root / "map" / "pixels-1" / "map.parquet"
    before = file.stat()
    file.write_bytes(b"b map")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    backup(root, kept)
    restore(tmp_path / "copy", kept)
    assert (tmp_path / "copy" / "map" / "pixels-1" / "map.parquet").read_bytes() == b"b map"


def test_a_backup_that_is_cut_off_leaves_the_older_one_and_is_mended_by_the_next(
    root: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(root, "u1", 3, "dog")
    monkeypatch.setattr(BackupFolder, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(LedgerError, match="No space left"):
        backup(root, kept)
    monkeypatch.undo()
    assert len(BackupFolder(kept).manifests()) == 1
    named = {entry.sha256 for entry in folders.read(BackupFolder(kept).newest()).files}
    [loose] = [path for path in (kept / "files").glob("*/*") if path.name not in named]
    (root / "map" / "pixels-1" / "map.parquet").write_bytes(loose.read_bytes())  # the same content comes again
    loose.write_bytes(b"\0" * loose.stat().st_size)  # what a power cut may leave of it
    backup(root, kept)
    restore(tmp_path / "copy", kept)
    assert files_of(tmp_path / "copy", "map") == files_of(root, "map")


def test_a_backup_while_people_label_has_all_that_was_saved_before(root: Path, tmp_path: Path) -> None:
    saved, stop = [0], threading.Event()

    def label(workspace: Workspace) -> None:
        while not stop.is_set():
            [ack] = workspace.store.record([Decision(f"u{saved[-1]}", 3, saved[-1], "label", "cat")])
            assert ack.seq is not None
            saved.append(ack.seq)

    with closing(Workspace.open(root)) as workspace:
        thread = threading.Thread(target=label, args=(workspace,))
        thread.start()
        try:
            for number in range(3):
                while len(saved) < 10 * (number + 1):
                    stop.wait(0.01)
                before = saved[-1]
                take(workspace, tmp_path / "kept")
                assert restore(tmp_path / f"copy-{number}", tmp_path / "kept").ledger_seq >= before
        finally:
            stop.set()
            thread.join()


def test_a_round_fitted_anew_while_it_is_copied_is_copied_as_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a live round does it: the new predictions, then the report, then the older predictions go."""
    place = root / "rounds" / "0001"
    (place / "report.json").write_text('{"predictions": "live-1"}')
    (place / "predictions" / "live-1").write_bytes(b"1")
    put, fits = BackupFolder.put, iter((2, 3))

    def put_and_fit(self: BackupFolder, source: Path) -> tuple[str, int]:
        done = put(self, source)
        if source.name == "report.json" and (number := next(fits, None)) is not None:
            (place / "predictions" / f"live-{number}").write_bytes(b"new")
            shutil.copy(place / "report.json", place / "aside")
            (place / "aside").write_text(f'{{"predictions": "live-{number}"}}')
            (place / "aside").replace(place / "report.json")
            (place / "predictions" / f"live-{number - 1}").unlink()
        return done

    monkeypatch.setattr(BackupFolder, "put", put_and_fit)
    backup(root, tmp_path / "kept")
    restore(tmp_path / "copy", tmp_path / "kept")
    there = tmp_path / "copy" / "rounds" / "0001"
    assert json.loads((there / "report.json").read_text()) == {"predictions": "live-3"}
    assert (there / "predictions" / "live-3").read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_restore_after_a_kill_is_sound_and_moves_the_log_of_the_killed_aside(
    root: Path, kept: Path, tmp_path: Path
) -> None:
    process = start_python(LABELER, root, 30)
    assert process.stdout is not None
    assert process.stdout.readline() == "32\n"
    with pytest.raises(ProjectInUse, match="open in another process"):
        restore(root, kept)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    log = (root / "project.db-wal").read_bytes()
    assert log, "the killed process left its log"
    done = restore(root, kept)
    assert done.aside is not None
    assert (done.aside / "project.db-wal").read_bytes() == log
    with Project.open(root) as project:
        assert (project.store.head_seq(), project.upkeep.doctor().problems) == (2, ())
    with closing(sqlite3.connect(done.aside / "project.db")) as connection:
        assert connection.execute("SELECT count(*) FROM annotations").fetchone() == (32,)


def test_a_project_that_lost_the_end_of_its_ledger_is_restored(root: Path, kept: Path) -> None:
    say(root, "u1", 3, "dog")
    newest = (root / "project.db-head").read_bytes()
    restore(root, kept)
    assert (root / "project.db-head").read_bytes() != newest
    (root / "project.db-head").write_bytes(newest)
    with pytest.raises(EntriesLost):
        Workspace.open(root)
    assert restore(root, kept).ledger_seq == 2
    Workspace.open(root).close()


def test_nothing_that_a_restore_replaces_is_lost_and_equal_files_stay(root: Path, kept: Path) -> None:
    (root / "rounds" / "0001" / "report.json").write_text("changed")
    original_path(root, (sha := next((root / "images").rglob("?" * 64)).name)).write_bytes(b"damaged")
    (root / "images" / "ab").mkdir(exist_ok=True)
    (root / "images" / "ab" / "newer").write_bytes(b"of an import since")
    untouched = next(path for path in (root / "images").rglob("?" * 64) if path.name != sha)
    inode = untouched.stat().st_ino
    done = restore(root, kept)
    assert done.aside is not None
    assert (done.aside / "rounds" / "0001" / "report.json").read_text() == "changed"
    assert (done.aside / "images" / sha[:2] / sha).read_bytes() == b"damaged"
    assert (root / "images" / "ab" / "newer").exists()
    assert untouched.stat().st_ino == inode
    with Project.open(root) as project:
        assert project.upkeep.doctor().problems == ()
        assert project.results.predictions() is not None


@pytest.mark.parametrize("part", ["database", "original", "manifest"])
def test_a_damaged_backup_is_refused_and_nothing_is_changed(root: Path, kept: Path, tmp_path: Path, part: str) -> None:
    manifest = BackupFolder(kept).newest()
    entries = {entry.path.split("/")[0]: entry for entry in folders.read(manifest).files}
    file = manifest
    if part != "manifest":
        file = BackupFolder(kept).content(entries["project.db" if part == "database" else "images"].sha256)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    shutil.rmtree(root / "images")
    before = files_of(root, "project.db", "rounds", "map")
    for place in (root, tmp_path / "new"):
        with pytest.raises(ProjectCorrupt, match=r"not sound; nothing was changed|cannot be read"):
            restore(place, kept)
    assert files_of(root, "project.db", "rounds", "map") == before
    assert not (tmp_path / "new").exists()
    assert [path.name for path in root.iterdir() if path.name.startswith(("aside", "restoring"))] == []


def test_a_restore_that_is_cut_off_is_told_and_done_again(
    root: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(root, "u1", 3, "dog")
    (root / "rounds" / "0001" / "report.json").write_text("changed")
    whole, calls = os.replace, iter(range(100))

    def cut_off(source: Path, target: Path) -> None:
        if "restor" in f"{source}{target}" and next(calls) == 3:
            raise OSError(5, "pulled plug")
        whole(source, target)

    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises(LedgerError, match="pulled plug"):
        restore(root, kept)
    monkeypatch.undo()
    assert is_project(root)
    with pytest.raises(ProjectCorrupt, match=rf"cut off.*starling restore {root} {kept}\. What was"):
        Workspace.open(root)
    with pytest.raises(ConfigError, match="without --files-only"):
        restore(root, kept, files_only=True)
    restore(root, kept)
    with Project.open(root) as project:
        assert (project.store.head_seq(), project.upkeep.doctor().problems) == (2, ())
    older = [path for path in (root / "aside").rglob("project.db") if b"u1" in path.read_bytes()]
    assert len(older) == 1


def test_a_project_whose_database_was_deleted_is_restored(root: Path, kept: Path) -> None:
    for path in root.glob("project.db*"):
        path.unlink()
    restore(root, kept)
    with Project.open(root) as project:
        assert project.upkeep.doctor().problems == ()


def test_while_a_restore_goes_on_the_project_is_not_opened(
    root: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def progress(label: str, done: int, total: int) -> None:
        with pytest.raises(ProjectInUse, match="being restored"):
            Workspace.open(root)
        told.append(label)

    restore(root, kept, progress)
    assert told


@pytest.mark.parametrize("read_only", [False, True])
def test_an_open_project_is_not_restored(root: Path, kept: Path, read_only: bool) -> None:
    with closing(Workspace.open(root, read_only=read_only)), pytest.raises(ProjectInUse, match="stop `starling ui`"):
        restore(root, kept)
    restore(root, kept)


def test_a_project_in_which_a_round_trains_is_not_restored(root: Path, kept: Path) -> None:
    handle = lock_folder(root / "rounds" / "0001")
    with pytest.raises(ProjectInUse, match="--cancel 1"):
        restore(root, kept)
    os.close(handle)
    restore(root, kept)


def test_a_backup_of_another_project_is_refused(kept: Path, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "other").close()
    with pytest.raises(ConfigError, match="another project"):
        restore(tmp_path / "other", kept)
    with pytest.raises(ConfigError, match="another project"):
        backup(tmp_path / "other", kept)


def test_files_alone_are_put_back_and_the_labels_stay(root: Path, kept: Path) -> None:
    say(root, "u1", 3, "dog")
    sha = next((root / "images").rglob("?" * 64)).name
    original_path(root, sha).unlink()
    (root / "rounds" / "0001" / "predictions" / "final.parquet").write_bytes(b"damaged")
    (root / "map" / "pixels-1" / "map.parquet").write_bytes(b"a newer map")
    done = restore(root, kept, files_only=True)
    assert done.ledger_seq == 3
    with Project.open(root) as project:
        assert (project.store.head_seq(), project.upkeep.doctor().problems) == (3, ())
        assert project.results.predictions() is not None
    assert (root / "map" / "pixels-1" / "map.parquet").read_bytes() == b"a newer map"


def test_a_copy_of_the_database_replaces_it_alone(root: Path, kept: Path, tmp_path: Path) -> None:
    with closing(Workspace.open(root)) as workspace:
        workspace.store.backup(tmp_path / "labels.db")
    say(root, "u1", 3, "dog")
    with pytest.raises(NotAProject, match="with its images"):
        restore(tmp_path / "new", tmp_path / "labels.db")
    done = restore(root, tmp_path / "labels.db")
    assert (done.ledger_seq, done.files) == (2, 1)
    with pytest.raises(ConfigError, match="--files-only"):
        restore(root, tmp_path / "labels.db", files_only=True)


def test_a_copy_from_before_an_upgrade_is_restored_and_upgraded(root: Path, tmp_path: Path) -> None:
    older = tmp_path / "before-upgrade.db"
    with closing(sqlite3.connect(older)) as connection:
        fixture = Path(__file__).parents[2] / "store" / "fixtures" / "schema_0005.sql"
        connection.executescript(fixture.read_text())
        [[uid]] = sqlite3.connect(root / "project.db").execute("SELECT value FROM meta WHERE key = 'uid'").fetchall()
        connection.execute("INSERT INTO meta VALUES ('uid', ?)", (uid,))
        connection.commit()
    restore(root, older)
    with closing(Workspace.open(root)) as workspace:
        assert workspace.store.name == "from 0005"
        assert workspace.store.verify() == []


def test_after_a_restore_a_round_number_given_again_has_nothing_of_the_round_before(root: Path, tmp_path: Path) -> None:
    """Found by an attack: the new round 1 reported epochs, ledger position and accuracy of the one before."""
    backup(root, tmp_path / "kept")
    with Project.open(root) as project:
        second = make_round(project, SURE[:, ::-1])
        assert second == 2
    done = restore(root, tmp_path / "kept")
    [aside] = done.rounds_aside
    assert aside.parent == root / "rounds"
    assert aside.name.startswith("aside-0002-")
    with Project.open(root) as project:
        assert project.upkeep.doctor().problems == ()
        assert make_round(project, SURE) == 2


def test_a_copy_of_the_database_alone_takes_no_round_of_another_time(root: Path, tmp_path: Path) -> None:
    """Round 2 was made twice: before and after a restore that nobody told the folders of."""
    with Project.open(root) as project:
        project.store.backup(tmp_path / "before.db")
        make_round(project, SURE)
        project.store.backup(tmp_path / "first.db")
    restore(root, tmp_path / "before.db")
    with Project.open(root) as project:
        make_round(project, SURE[:, ::-1])
    assert [path.name[:10] for path in restore(root, tmp_path / "first.db").rounds_aside] == ["aside-0002"]
    assert not (root / "rounds" / "0002").exists()
    assert (root / "rounds" / "0001" / "report.json").exists()


def test_a_round_that_was_damaged_since_the_last_backup_stays_in_the_next_one_as_it_was(
    root: Path, tmp_path: Path
) -> None:
    folder = root / "rounds" / "0001"
    digests.seal(folder)
    backup(root, tmp_path / "kept")
    whole = (folder / "labels.parquet").read_bytes()
    (folder / "labels.parquet").write_bytes(whole[:-1] + b"!")
    for target, stays in (("kept", True), ("new", False)):
        with closing(Workspace.open(root)) as workspace:
            [flaw] = take(workspace, tmp_path / target).flaws
        assert ("labels.parquet" in flaw, "keeps the files that it had" in flaw) == (True, stays)
    restore(root, tmp_path / "kept", files_only=True)
    assert (folder / "labels.parquet").read_bytes() == whole
    with Project.open(root) as project:
        assert project.upkeep.doctor().problems == ()


def test_doctor_lists_folders_of_rounds_that_the_project_does_not_have(root: Path) -> None:
    shutil.copytree(root / "rounds" / "0001", root / "rounds" / "0002")
    plan = root / "rounds" / "0001" / "config.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"uid": "another"}))
    with Project.open(root) as project:
        told = project.upkeep.doctor().problems
    assert [("0001: it is of another round" in told[0]), ("0002: there is no such round" in told[1])] == [True, True]
    assert len(told) == 2


@pytest.mark.parametrize(
    "path", ["../evil", "/evil", "images/../../evil", "images\\evil", ".", "database.url", "exports/evil"]
)
def test_a_backup_that_names_files_outside_the_project_is_refused(kept: Path, tmp_path: Path, path: str) -> None:
    file = BackupFolder(kept).newest()
    value = json.loads(gzip.decompress(file.read_bytes()))
    value["files"][1]["path"] = path
    file.write_bytes(gzip.compress(json.dumps(value).encode()))
    with pytest.raises(ProjectCorrupt, match="cannot be read"):
        restore(tmp_path / "new" / "place", kept)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("place", [".", "inside", ".."])
def test_a_backup_goes_outside_the_project(root: Path, place: str) -> None:
    with pytest.raises(ConfigError, match="outside the project"):
        backup(root, root / place)


def test_a_folder_with_other_files_takes_no_backup_and_no_restore(root: Path, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("mine")
    with pytest.raises(ConfigError, match="new or empty folder"):
        backup(root, tmp_path / "thesis")
    with pytest.raises(NotAProject, match="something else"):
        restore(tmp_path / "thesis", kept)
    with pytest.raises(NotAProject, match="no backup in this folder"):
        restore(root, tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["text"]


def test_a_backup_says_which_originals_it_does_not_have_and_keeps_the_good_ones_of_before(
    root: Path, kept: Path, tmp_path: Path
) -> None:
    for path in sorted((root / "images").rglob("?" * 64))[:2]:
        path.write_bytes(b"damaged")
    with closing(Workspace.open(root)) as workspace:
        assert take(workspace, kept).flaws == ()
        flaws = take(workspace, tmp_path / "fresh").flaws
    assert len(flaws) == 2
    assert all("changed after the import" in flaw for flaw in flaws)
    restore(tmp_path / "copy", kept)
    with Project.open(tmp_path / "copy") as project:
        assert project.upkeep.doctor().problems == ()


def test_two_backups_at_once_do_not_write_into_one_folder(root: Path, kept: Path) -> None:
    with BackupFolder(kept).writing(_uid(root), "pets"), pytest.raises(ProjectInUse, match="Another backup"):
        backup(root, kept)


def _uid(root: Path) -> str:
    with closing(Workspace.open(root)) as workspace:
        return workspace.uid


def test_a_folder_that_cannot_be_written_is_told_when_it_is_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ProjectReadOnly, match="Permission denied"):
        Workspace.open(root)
    Workspace.open(root, read_only=True).close()


def test_every_message_that_speaks_of_restoring_names_the_command() -> None:
    texts = [text for path in _sources() for text in _texts(ast.parse(path.read_text()))]
    speaking = [text for text in texts if re.search(r"\b[Rr]estore\b.*\bbackup|\bfrom a backup:", text)]
    silent = [text for text in speaking if "starling restore" not in text and "being restored" not in text]
    assert silent == []
    assert len(speaking) >= 2


def _sources() -> Iterator[Path]:
    for room in ("app", "engine"):
        yield from (ROOT / room).rglob("*.py")


def _texts(tree: ast.AST) -> Iterator[str]:
    """Texts that are shown: no docstrings; names in a formatted one stand for themselves."""
    constants = {"RESTORE": "starling restore", "RESTORE_FILES": "starling restore"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""  # a docstring
    within: set[int] = set()

    def name(value: ast.expr) -> str:
        return constants.get(value.id, "…") if isinstance(value, ast.Name) else "…"

    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            within |= {id(part) for part in node.values}
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else name(part.value)  # type: ignore[attr-defined]
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            yield node.value
