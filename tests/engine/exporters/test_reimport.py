"""What an export says when it is imported again: the same labels, by its table and, for plain names, by its folders."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.exporters import EXPORTERS, ExportRow
from engine.importers.formats import read_labels
from engine.importers.scan import ImportSource, read_again, scan
from engine.importers.source_view import SourceView
from tests.engine.exporters.export_samples import entry, manifest, quiet

Add = Callable[..., ExportRow]
TEXT = {"metadata.csv", "manifest.json", "provenance.jsonl"}


def labels(target: Path, reading: str) -> dict[str, str]:
    """Return label by path of the image, as the importer's rules read the zip."""
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        archive.extract("metadata.csv", target.parent)
    files = {"metadata.csv": target.parent / "metadata.csv"}
    images = tuple(sorted(name for name in names if name not in TEXT))
    found = read_labels(SourceView(images, frozenset(names), files), reading).labeling
    assert found.refused == ()
    assert found.conflicts == {}
    return dict(found.labels)


def exported(rows: list[ExportRow], root: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """Return the zip, and the label of each path in it that the rows say."""
    target = tmp_path / "out.zip"
    EXPORTERS["imagefolder_zip"].write(rows, root, target, manifest(), [entry(1, 1, "cat")], quiet)
    with zipfile.ZipFile(target) as archive:
        paths = [name for name in archive.namelist() if name not in TEXT]
    return target, {path: row.label for path, row in zip(paths, rows, strict=True) if row.label is not None}


def test_the_table_brings_back_every_label_however_odd(root: Path, add: Add, tmp_path: Path) -> None:
    odd = ["CON", "dot.", "a:b", "a?b", "a_b", "Cat", "cat", "=1+1", "unlabeled", "x/y", 'q"q', "a,b", " lead", "猫"]
    rows = [add("same.png", label) for label in odd] + [add("same.png"), add("same.png", "cat")]
    target, expected = exported(rows, root, tmp_path)
    assert labels(target, "auto") == expected
    assert sorted(expected.values()) == sorted([*odd, "cat"])


def test_the_folders_alone_bring_back_plain_labels(root: Path, add: Add, tmp_path: Path) -> None:
    rows = [add("a.png", "cat"), add("b.png", "dog"), add("c.png"), add("d.png", "train"), add("e.png", "猫")]
    target, expected = exported(rows, root, tmp_path)
    assert labels(target, "class_tree") == expected
    assert len(expected) == 4


def test_a_set_of_one_class_keeps_it(root: Path, add: Add, tmp_path: Path) -> None:
    target, expected = exported([add("a.png", "cat"), add("b.png", "cat")], root, tmp_path)
    assert labels(target, "class_tree") == expected


def test_a_class_named_like_the_unlabeled_pool_is_still_a_class_by_folders(
    root: Path, add: Add, tmp_path: Path
) -> None:
    target, _ = exported([add("a.png", "unlabeled"), add("b.png")], root, tmp_path)
    assert labels(target, "class_tree") == {"train/unlabeled_/a.png": "unlabeled_"}


@pytest.mark.parametrize("label", ["cat", None])
@pytest.mark.parametrize("split", ["", "test"])
@pytest.mark.parametrize("key", sorted(EXPORTERS))
def test_a_set_of_one_row_says_so_and_comes_back(
    root: Path, add: Add, tmp_path: Path, key: str, label: str | None, split: str
) -> None:
    row = add("a.png", label, split=split)
    target = tmp_path / f"out{EXPORTERS[key].suffix}"
    EXPORTERS[key].write([row], root, target, manifest(classes=["cat"]), [entry(1, 1, "cat")], quiet)
    if target.suffix != ".zip":
        return  # a table alone: it has no words about itself
    with zipfile.ZipFile(target) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist() if name.lower().startswith("readme")}
    for text in texts.values():
        assert not re.search(r"\b1 (images|classes|samples|rows)\b", text)
        part = re.search(r'data\["(\w+)"\]', text)
        if part:
            assert label is not None
            assert f'split: "{part[1]}"' in text, "the example names a split that the card does not"
    found = scan(ImportSource("zip", target, name=target.name), tmp_path / "staging", quiet)
    if key == "cvat_imagenet" and label is not None:  # nothing but a folder, which may only hold the set: it is asked
        (question,) = [one for one in found.questions if one.doubtful]
        assert (question.key, dict(question.options)["1"]) == ("level", "level 1: 1 folder, 1 image (cat)")
        found = read_again(found, answers={"level": "1"})
    assert [image.label for image in found.found] == [label]


@pytest.mark.parametrize("key", sorted(key for key in EXPORTERS if EXPORTERS[key].suffix == ".zip"))
def test_a_set_of_one_class_and_the_unlabeled_comes_back(root: Path, add: Add, tmp_path: Path, key: str) -> None:
    rows = [add("a.png", "cat"), add("b.png", "cat"), add("c.png"), add("d.png")]
    target = tmp_path / "out.zip"
    EXPORTERS[key].write(rows, root, target, manifest(classes=["cat"]), [entry(1, 1, "cat")], quiet)
    found = scan(ImportSource("zip", target, name=target.name), tmp_path / "staging", quiet)
    came = {image.name.rpartition("/")[2]: image.label for image in found.found}
    assert sorted(came.values(), key=str) == [None, None, "cat", "cat"]
