"""The command line on real data, and what it says to bad input."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from engine.exporters.rows import SOURCES
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.auditing import answer_audit, frozen_label
from tests.browser.digits import digit_pictures, digits_zip
from tests.ready_project import ReadyProjects


class Said(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `starling …` as its entry point does, in this process."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, ok: bool = True) -> Said:
        monkeypatch.setattr(sys, "argv", ["starling", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        done = Said(*capsys.readouterr())
        assert (ended.value.code == 0) == ok, done
        return done

    return call


@pytest.fixture
def digits(ready: ReadyProjects, tmp_path: Path) -> Path:
    return ready.copy(digit_pictures(images=300, labeled_each=8), tmp_path / "digits")


def _audit(root: Path, threshold: float, size: int) -> None:
    """Begin an audit of the round in force and answer so many images: every prediction is right."""
    with Project.open(root) as project:
        number = project.results.in_force()
        assert number is not None
        begun = project.audits.start_rule(project.audits.rule_at(number, threshold))
        answer_audit(project, begun.number, size, frozen_label(project, begun.number))


def test_import_round_status_export_backup_doctor(run: Run, tmp_path: Path) -> None:
    digits_zip(tmp_path / "digits.zip", images=300, labeled_each=8)
    digits = tmp_path / "digits"
    assert "300 images with 80 labels" in _flat(run("import", digits, tmp_path / "digits.zip").stdout)
    quick = ("--set", "epochs=2", "--set", "steps_per_epoch=5", "--set", "net=simple_cnn")
    done = run("round", digits, "--algorithm", "supervised", *quick, "--device", "cpu")
    assert "Round 1 (supervised) is promoted" in done.stdout
    assert "Held-out labels" in done.stdout
    status = run("status", digits).stdout
    assert "300 images, 10 classes" in status
    assert "80 labeled: 80 imported; 220 unlabeled" in status
    assert "promoted" in status
    refused = _flat(run("export", digits, "out/set.zip", "--pseudo", "0.0", ok=False).stderr)
    assert "0 of 100. Answer 100 more random images on the Review page" in refused
    assert not (tmp_path / "out").exists()
    _audit(digits, threshold=0.0, size=20)
    said = _flat(run("export", digits, "out/set.zip", "--pseudo", "0.0").stdout)
    assert "80 imported, 20 given by a person, 200 pseudo-labels" in said
    with zipfile.ZipFile(tmp_path / "out" / "set.zip") as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("metadata.csv"), encoding="utf-8")))
        manifest = json.loads(archive.read("manifest.json"))
    assert len(rows) == 300
    assert all(row["label"] for row in rows)
    assert manifest["counts"] == dict.fromkeys(SOURCES, 0) | {
        "imported": 80, "human": 20, "pseudo": 200, "unlabeled": 0,
    }  # fmt: skip
    assert "heldout" not in manifest
    assert (manifest["measured"]["round"], manifest["measured"]["share"]) == (1, None), "nobody has measured it"
    run("backup", digits, tmp_path / "copy.db", "--labels-only")
    assert (tmp_path / "copy.db").read_bytes()[:6] == b"SQLite"
    said = run("doctor", digits).stdout
    assert "Sound" in said
    assert "No digest" not in said, "the worker wrote down what its round's files are"
    assert (digits / "rounds" / "0001" / "digests.json").exists()


def test_a_backup_is_restored_over_the_project_and_into_a_new_folder(run: Run, digits: Path, tmp_path: Path) -> None:
    assert "needs a folder outside" in _flat(run("backup", digits, ok=False).stderr)
    assert "copied 601 that are new" in _flat(run("backup", digits, tmp_path / "kept").stdout), "with thumbnails"
    assert "601 files" in _flat(run("backup", digits, tmp_path / "kept").stdout)
    original = next((digits / "images").rglob("?" * 64))
    original.write_bytes(b"damaged")
    assert original.name in "".join(path.name for path in (tmp_path / "kept").rglob(original.name))
    assert "was changed after the import" in _flat(run("doctor", digits, ok=False).stdout)
    refused = _flat(run("backup", digits, tmp_path / "fresh", ok=False).stdout)
    assert "was changed after the import" in refused
    said = _flat(run("restore", digits, tmp_path / "kept", "--files-only").stdout)
    assert "digits: put back; 1 files written." in said
    assert "Sound" in run("doctor", digits).stdout
    said = _flat(run("restore", digits, tmp_path / "kept").stdout)
    assert "80 entries in the ledger" in said
    assert f"What was there before lies in {digits / 'aside'}" in said
    run("restore", tmp_path / "copy", tmp_path / "kept")
    assert "Sound" in run("doctor", tmp_path / "copy").stdout


def test_a_lost_end_of_the_ledger_is_told_and_can_be_accepted(run: Run, digits: Path) -> None:
    head = digits / "project.db-head"
    before = (digits / "project.db").read_bytes()
    with Project.open(digits) as project:
        [ack] = project.store.record([Decision("u1", 300, 0, "label", "1")])
        assert ack.seq == 81
    (digits / "project.db").write_bytes(before)
    refused = _flat(run("round", digits, ok=False).stderr)
    assert "starling doctor PROJECT --accept-loss" in refused
    assert "entry 81 was written and the last one now is: 80" in _flat(run("doctor", digits, ok=False).stdout)
    said = _flat(run("doctor", digits, "--accept-loss").stdout)
    assert "entries up to 81 are gone. It went on after entry 80" in said
    assert "Sound" in said
    assert "went on after entry 80" in _flat(run("doctor", digits).stdout)
    assert head.stat().st_size == 128


def test_without_an_algorithm_the_recommended_round_starts_and_says_what_and_why(run: Run, digits: Path) -> None:
    quick = ("--set", "epochs=1", "--set", "steps_per_epoch=2", "--device", "cpu")
    said = _flat(run("round", digits, *quick, "--set", "train.momentum=0.8").stdout)
    with Project.open(digits) as project:
        found = project.training.recommendation()
        (record,) = project.store.rounds()
    assert found is not None
    assert record.algorithm == found.algorithm
    assert found.config.items() <= record.config["algorithm"].items()
    given = found.train | {"epochs": 1, "steps_per_epoch": 2, "momentum": 0.8}
    assert given.items() <= record.config["train"].items()
    assert "Recommended: Neighbours and classes. The images are small and grey" in said
    refused = _flat(run("round", digits, *quick, "--algorithm", "fixmatch", "--set", "momentum=0.8", ok=False).stderr)
    assert "train.momentum=0.8 or fixmatch.momentum=0.8" in refused


def test_one_label_a_class_starts_a_round_that_says_that_nothing_was_measured(
    run: Run, ready: ReadyProjects, tmp_path: Path
) -> None:
    folder = ready.copy(digit_pictures(images=60, labeled_each=1), tmp_path / "few")
    quick = ("--set", "epochs=1", "--set", "steps_per_epoch=2", "--device", "cpu")
    said = _flat(run("round", folder, *quick).stdout)
    assert "one label is learned from that image alone" in said
    assert "none is held out" in said
    assert "Held-out accuracy" not in said
    assert "baseline" not in said
    status = _flat(run("status", folder).stdout)
    assert "Round 1. Promoted unmeasured" in status or "Round 1. Held back" in status


def test_export_imports_again_to_the_same_labels(run: Run, digits: Path, tmp_path: Path) -> None:
    run("export", digits, "again.zip")
    run("import", tmp_path / "copy", tmp_path / "again.zip")
    first, second = Project.open(digits), Project.open(tmp_path / "copy")
    by_content = [
        {item.sha256: state.label for item, state in zip(one.workspace.items(), _states(one), strict=True)}
        for one in (first, second)
    ]
    first.close()
    second.close()
    assert by_content[0] == by_content[1]
    assert sum(label is not None for label in by_content[0].values()) == 80


def _states(project: Project) -> list[object]:
    from engine.records.labels import LabelState

    known = {state.image_id: state for state in project.store.states()}
    return [known.get(item.id, LabelState(item.id)) for item in project.workspace.items()]


def test_doctor_names_a_damaged_original(run: Run, digits: Path) -> None:
    project = Project.open(digits)
    item = project.workspace.items()[7]
    project.close()
    path = digits / "images" / item.sha256[:2] / item.sha256
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    done = run("doctor", digits, ok=False)
    assert item.name in done.stdout
    assert "Import it again, or take it from a backup" in _flat(done.stdout)
    thumbnail = digits / "thumbs" / item.sha256[:2] / f"{item.sha256}.webp"
    other = next(path for path in (digits / "thumbs").rglob("*.webp") if path != thumbnail)
    other.write_bytes(thumbnail.read_bytes())
    assert "makes again what can be: 1 of these 2 problems" in _flat(run("doctor", digits, ok=False).stdout)
    said = _flat(run("doctor", digits, "--repair", ok=False).stdout)
    assert "Repaired: image" in said
    assert "its thumbnail is damaged or of another image" not in _flat(run("doctor", digits, ok=False).stdout)
    refused = run("export", digits, "out.zip", ok=False)
    assert item.name in refused.stderr
    assert not (digits.parent / "out.zip").exists()


def test_dry_run_and_refused_imports_write_nothing(run: Run, tmp_path: Path) -> None:
    digits_zip(tmp_path / "digits.zip", images=50)
    assert "50 images" in run("import", tmp_path / "dry", tmp_path / "digits.zip", "--dry-run").stdout
    assert not (tmp_path / "dry").exists()
    (tmp_path / "text.zip").write_text("no zip at all")
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "hollow.zip", "w"):
        pass
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as archive:
        archive.writestr("readme.txt", "words")
    for path, words in (
        ("text.zip", "not a zip"), ("hollow.zip", "empty"), ("words.zip", "image"), ("empty", "image"),
        ("nowhere", "does not exist"),
    ):  # fmt: skip
        done = run("import", tmp_path / "bad", tmp_path / path, ok=False)
        assert words in _flat(done.stderr), (path, done.stderr)
        assert not (tmp_path / "bad").exists(), path


def test_a_single_file_that_holds_images_is_imported(run: Run, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pets-000.tar", "w") as archive:
        for number, name in enumerate(("0.png", "0.cls", "1.png", "1.cls")):
            data = io.BytesIO()
            if name.endswith("png"):
                Image.fromarray(np.full((8, 8), 99 * number, np.uint8)).save(data, "PNG")
            else:
                data.write(b"cat")
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
    said = _flat(run("import", tmp_path / "pets", tmp_path / "pets-000.tar").stdout)
    assert "2 images (WebDataset shards), 2 labeled in 1 class," in said


def test_groups_are_taken_from_a_column_or_as_asked_and_a_guess_only_warned_of(run: Run, tmp_path: Path) -> None:
    names = [f"scene{number // 4}_frame{number % 4}.png" for number in range(20)]
    (tmp_path / "set").mkdir()
    for number, name in enumerate(names):
        Image.fromarray(np.full((8, 8), 12 * number, np.uint8)).save(tmp_path / "set" / name)
    warned = _flat(run("import", tmp_path / "warned", tmp_path / "set").stdout)
    assert "20 of these images may be of 5 scenes" in warned
    assert "--group-by name: 20 images in 5 groups" in warned
    run("import", tmp_path / "named", tmp_path / "set", "--group-by", "name")
    run("import", tmp_path / "none", tmp_path / "set", "--group-by", "none")
    table = "filename,video\n" + "".join(f"{name},v{number // 5}\n" for number, name in enumerate(names))
    (tmp_path / "set" / "videos.csv").write_text(table)
    assert "groups: column “video”" in _flat(run("import", tmp_path / "column", tmp_path / "set").stdout)
    refused = run("import", tmp_path / "bad", tmp_path / "set", "--group-by", "folder:7", ok=False)
    assert "column:video" in _flat(refused.stderr)
    assert not (tmp_path / "bad").exists()
    for project, groups in (("warned", 0), ("named", 5), ("none", 0), ("column", 4)):
        with Project.open(tmp_path / project) as opened:
            assert len(set(opened.store.group_names().values())) == groups, project


def test_no_group_is_torn_apart_by_the_splits_of_an_export(run: Run, digits: Path, tmp_path: Path) -> None:
    with Project.open(digits) as opened:
        labeled = opened.store.label_table().image_ids[opened.store.label_table().labeled].tolist()
        opened.store.set_groups({image: f"scene {place // 4}" for place, image in enumerate(labeled)}, "by hand")
        names = {item.name: opened.store.group_names().get(item.id) for item in opened.store.images()}
    run("export", digits, tmp_path / "out.csv", "--format", "csv", "--split", "50,25,25", "--labeled-only")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    splits: dict[str | None, set[str]] = {}
    for row in rows:
        splits.setdefault(names[row["file_name"]], set()).add(row["split"])
    assert set.union(*splits.values()) == {"train", "val", "test"}
    assert all(len(found) == 1 for found in splits.values())
    assert "Try 80,10,10" in run("export", digits, "--split", "most", ok=False).stderr
    assert "make a whole" in _flat(run("export", digits, "--split", "80,10,20", ok=False).stderr)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_round_without_enough_labels_says_what_is_needed(run: Run, tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "set" / ("cat" if number < 3 else "_unlabeled")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 30 * number, np.uint8)).save(folder / f"{number}.png")
    run("import", tmp_path / "one", tmp_path / "set")
    assert "class" in run("round", tmp_path / "one", ok=False).stderr
    run("import", tmp_path / "none", tmp_path / "set", "--no-labels")
    assert "label" in run("round", tmp_path / "none", ok=False).stderr


def test_bad_settings_are_named(run: Run, digits: Path) -> None:
    assert "Known:" in run("round", digits, "--algorithm", "magic", ok=False).stderr
    assert "depth" in run("round", digits, "--set", "depth=3", ok=False).stderr
    assert "epochs" in _flat(run("round", digits, "--set", "epochs=0", ok=False).stderr).lower()
    message = _flat(run("round", digits, "--device", "cuda", ok=False).stderr)
    assert "cuda" in message.lower()
    assert "rounds/0001" not in message
    project = Project.open(digits)
    assert project.store.rounds() == []
    project.close()


def test_port_in_use_and_second_app_are_refused(run: Run, digits: Path) -> None:
    from app.server.workbench import Workbench

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("ui", digits, "--port", port, "--home", digits.parent, ok=False)
        assert f"127.0.0.1:{port}" in done.stderr
        assert f"--port {port + 1}" in done.stderr
    bench = Workbench(digits.parent)
    bench.url = "http://127.0.0.1:7777/"
    bench.open(digits)
    command = [sys.executable, "-m", "app.cli", "ui", str(digits), "--port", "0", "--home", str(digits.parent)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert second.returncode == 1
    assert "Another Starling serves this project" in _flat(second.stderr)
    assert "http://127.0.0.1:7777/" in _flat(second.stderr)
    assert "Traceback" not in second.stderr
    bench.close()


def test_commands_on_what_is_no_project(run: Run, tmp_path: Path) -> None:
    for command in ("status", "export", "backup", "doctor", "round"):
        done = run(command, tmp_path / "nothing", ok=False)
        assert "no project" in done.stderr
        assert not (tmp_path / "nothing").exists()
