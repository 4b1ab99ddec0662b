"""The zip: what is where, that other tools read it, and that a failure leaves nothing behind."""

import csv
import hashlib
import io
import json
import resource
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from torchvision.datasets import ImageFolder

import engine.exporters
from engine.errors import ExportError
from engine.exporters import EXPORTERS
from engine.exporters.rows import ExportRow
from engine.store.facts import batch_id
from tests.engine.exporters.export_samples import entry, manifest, quiet

Add = Callable[..., ExportRow]
write = EXPORTERS["imagefolder_zip"].write


def table(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read("metadata.csv").decode(), newline="")))


def test_holds_the_original_bytes_by_split_and_class_and_the_rest_apart(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [
        add("s/1.png", "cat"),
        add("s/2.jpeg", "dog", "JPEG"),
        add("3.png"),
        add("4.png", "cat", split="val"),
    ]
    write(rows, root, tmp_path / "out.zip", manifest(), [], quiet)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        images = {info.filename for info in archive.infolist()} - {
            "manifest.json",
            "metadata.csv",
            "provenance.jsonl",
        }
        assert images == {"train/cat/1.png", "train/dog/2.jpeg", "_unlabeled/3.png", "val/cat/4.png"}
        for row, path in zip(rows, [x["file_name"] for x in table(archive)], strict=True):
            assert hashlib.sha256(archive.read(path)).hexdigest() == row.sha256
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())


def test_torchvision_reads_the_same_labels(root: Path, add: Add, tmp_path: Path) -> None:
    labels = ["cat", "dog", "CON", "dot.", "a:b", "Größe", "猫", "=1+1", "-rf", "cat"]
    formats = ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "PNG", "PNG", "PNG", "JPEG", "PNG"]
    rows = [add(f"in/{i}.x", label, kind) for i, (label, kind) in enumerate(zip(labels, formats, strict=True))]
    rows.append(add("nobody knows.png"))
    write(rows, root, tmp_path / "out.zip", manifest(), [], quiet)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        archive.extractall(tmp_path / "out")
        folders = json.loads(archive.read("manifest.json"))["class_folders"]
    dataset = ImageFolder(str(tmp_path / "out" / "train"))
    class_of = {folder: name for name, folder in folders.items()}
    found = {
        hashlib.sha256(Path(path).read_bytes()).hexdigest(): class_of[dataset.classes[target]]
        for path, target in dataset.samples
    }
    assert found == {row.sha256: row.label for row in rows if row.label is not None}
    assert all(image.size == (4, 3) for image, _ in dataset)
    assert len(folders) == 9


def test_metadata_keep_every_name_and_label_as_stored(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [
        add("a/=cmd|x.png", "=1+1"),
        add('b/quote",comma.png', 'say "hi", twice'),
        add(
            "c/café.png",
            "@猫",
            label_source="human",
            reviewed=True,
            reviewed_by="Zoë",
            reviewed_at="2026-01-02",
            seen_seconds=2.5,
            group="scene 7",
        ),
        add(
            "d/CON.png",
            "CON",
            label_source="accepted_by_threshold",
            confidence=0.875,
            round=3,
            model="round-3",
            seen_seconds=0.0,
            batch="audit-3-ab",
            audit=3,
            bound=0.0125,
        ),
        add("e/plain.png"),
    ]
    write(rows, root, tmp_path / "out.zip", manifest(), [], quiet)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        found = table(archive)
        names = set(archive.namelist())
    assert [x["original_name"] for x in found] == [row.name for row in rows]
    assert [x["label"] for x in found] == ["=1+1", 'say "hi", twice', "@猫", "CON", ""]
    assert all(x["file_name"] in names for x in found)
    assert found[0]["file_name"] == "train/=1+1/=cmd_x.png"
    assert found[2]["reviewed"] == "true"
    assert (found[2]["reviewed_by"], found[2]["reviewed_at"]) == ("Zoë", "2026-01-02")
    assert (found[3]["confidence"], found[3]["round"], found[3]["model"]) == ("0.875", "3", "round-3")
    assert (found[2]["label_source"], found[2]["seen_seconds"], found[2]["group"]) == ("human", "2.5", "scene 7")
    assert (found[3]["label_source"], found[3]["reviewed"], found[3]["reviewed_by"]) == (
        "accepted_by_threshold", "false", "",
    )  # fmt: skip
    assert [found[3][name] for name in ("seen_seconds", "batch", "audit", "bound", "group")] == [
        "0.0", "audit-3-ab", "3", "0.0125", "",
    ]  # fmt: skip
    assert [x["split"] for x in found] == ["train"] * 4 + [""]
    assert found[4]["label_source"] == found[4]["confidence"] == ""
    assert found[4]["image_id"] == "5"


def test_equal_names_are_told_apart_by_image_id_whatever_the_order(root: Path, add: Add, tmp_path: Path) -> None:
    names = [("a/x.png", "cat", 5), ("b/x.png", "cat", 9), ("c/X.PNG", "cat", 12), ("d/x.png", "dog", 13)]
    rows = [add(name, label, image_id=number) for name, label, number in names]
    expected = ["train/cat/x.png", "train/cat/x-9.png", "train/cat/X-12.PNG", "train/dog/x.png"]
    for turn, order in enumerate(([0, 1, 2, 3], [3, 2, 1, 0])):
        target = tmp_path / f"{turn}.zip"
        write([rows[i] for i in order], root, target, manifest(), [], quiet)
        with zipfile.ZipFile(target) as archive:
            assert [x["file_name"] for x in table(archive)] == [expected[i] for i in order]


def test_same_input_gives_the_same_file(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [add("1.png", "cat"), add("2.png")]
    for name in ("a.zip", "b.zip"):
        write(rows, root, tmp_path / name, manifest(), [entry(1, 1, "cat")], quiet)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_manifest_fits_its_schema(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [add("1.png", "cat"), add("2.gif", "a:b", "GIF"), add("3.png")]
    measured = {"round": 2, "n": 40, "right": 38, "share": 0.95, "low": 0.83, "high": 0.99, "method": "at random"}
    facts = {"bound": 0.02, "wrong_ids": [3, 8]}
    batches = {batch_id("audit-1", facts): facts}
    given = manifest(round=2, sources=["imported", "pseudo"], min_confidence=0.9, measured=measured, batches=batches)
    write(rows, root, tmp_path / "out.zip", given, [], quiet)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        found = json.loads(archive.read("manifest.json"))
        assert list(found["columns"]) == archive.read("metadata.csv").decode().splitlines()[0].split(",")
    schema = json.loads((Path(engine.exporters.__file__).parent / "manifest.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    assert found["images"] == 3
    assert found["batches"] == batches
    assert found["class_folders"] == {"cat": "cat", "a:b": "a_b"}
    assert found["notes"] == ["1 labeled GIF image: torchvision's ImageFolder skips .gif by default."]
    for broken in (
        {"counts": {}},
        {"round": 0},
        {"surprise": 1},
        {"measured": {"n": 1}},
        {"measured": measured | {"share": 1.5}},
        {"batches": {"page": {}}},
        {"sources": ["accepted"]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(found | broken, schema)
    held = {"n": 40, "correct": 38, "accuracy": 0.95, "low": 0.83, "high": 0.99, "method": "Clopper-Pearson"}
    before = {key: value for key, value in found.items() if key != "measured"}
    jsonschema.validate(before | {"heldout": held}, schema)  # of exports before
    jsonschema.validate(before | {"heldout": None}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(before, schema)


def test_provenance_is_the_whole_ledger_in_order(root: Path, add: Add, tmp_path: Path) -> None:
    entries = [entry(1, 1, "cat"), entry(2, 1, "猫")]
    write([add("1.png", "cat")], root, tmp_path / "out.zip", manifest(), entries, quiet)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        lines = [json.loads(line) for line in archive.read("provenance.jsonl").decode().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2]
    assert lines[1]["label"] == "猫"
    assert lines[0]["actor"] == "Zoë"
    assert set(lines[0]) == set(entries[0].__slots__)


def test_nothing_to_export_is_still_a_sound_zip(root: Path, tmp_path: Path) -> None:
    write([], root, tmp_path / "out.zip", manifest(), [], quiet)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert table(archive) == []


def test_a_damaged_original_is_named_and_nothing_is_left(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [add("fine.png", "cat"), add("sub/bad.png", "cat")]
    stored = root / "images" / rows[1].sha256[:2] / rows[1].sha256
    data = bytearray(stored.read_bytes())
    data[-1] ^= 1
    stored.write_bytes(data)
    out = tmp_path / "out"
    with pytest.raises(ExportError, match=r"damaged.*sub/bad\.png \(image 2\)"):
        write(rows, root, out / "set.zip", manifest(), [], quiet)
    assert list(out.iterdir()) == []


def test_a_missing_original_is_named(root: Path, add: Add, tmp_path: Path) -> None:
    row = add("gone.png", "cat")
    (root / "images" / row.sha256[:2] / row.sha256).unlink()
    with pytest.raises(ExportError, match=r"No such file.*gone\.png \(image 1\)"):
        write([row], root, tmp_path / "out.zip", manifest(), [], quiet)


def test_a_checksum_that_is_a_path_is_never_opened(root: Path, tmp_path: Path) -> None:
    row = ExportRow(image_id=1, name="x.png", sha256="../../etc/passwd", format="PNG")
    with pytest.raises(ExportError, match="checksum is not one"):
        write([row], root, tmp_path / "out.zip", manifest(), [], quiet)


def test_a_full_disk_leaves_the_older_export_and_no_part(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [add(f"{i}.bmp", "cat", "BMP") for i in range(300)]
    out = tmp_path / "out"
    out.mkdir()
    (out / "set.zip").write_bytes(b"older")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(ExportError, match="disk is full"):
            write(rows, root, out / "set.zip", manifest(), [], quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in out.iterdir()] == ["set.zip"]
    assert (out / "set.zip").read_bytes() == b"older"


def test_target_is_not_there_before_it_is_complete_and_a_stop_midway_leaves_nothing(
    root: Path, add: Add, tmp_path: Path
) -> None:
    rows = [add(f"{i}.png", "cat") for i in range(5)]
    out = tmp_path / "out"

    def stop(label: str, done: int, total: int) -> None:
        assert not (out / "set.zip").exists()
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(rows, root, out / "set.zip", manifest(), [], stop)
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_export_error(root: Path, add: Add, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="could not be written"):
        write([add("1.png")], root, tmp_path / "file" / "out.zip", manifest(), [], quiet)


def test_progress_counts_images_up_to_the_total(root: Path, add: Add, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    rows = [add(f"{i}.png", "cat") for i in range(501)]
    write(rows, root, tmp_path / "out.zip", manifest(), [], lambda _, done, total: seen.append((done, total)))
    assert seen == [(0, 501), (500, 501), (501, 501)]


@pytest.mark.speed
def test_many_tiny_images_are_written_fast_and_not_held_in_memory(root: Path, tmp_path: Path) -> None:
    n = 6_000  # a tenth of MNIST's 60,000, which must take at most 20 s
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        data = rng.bytes(300)
        digest = hashlib.sha256(data).hexdigest()
        (root / "images" / digest[:2]).mkdir(exist_ok=True)
        (root / "images" / digest[:2] / digest).write_bytes(data)
        rows.append(ExportRow(image_id=i, name=f"train/{i:05}.png", sha256=digest, format="PNG", label=str(i % 10)))
    start = time.process_time()
    write(rows, root, tmp_path / "out.zip", manifest(), [], quiet)
    assert time.process_time() - start < 2.0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == n + 3
