"""What goes out in any format comes back the same: labels by content, whatever the names are."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from app.benchmarks.format_checks import CARRIED
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.importers.scan import ImportSource, scan
from engine.project.opened import Project
from tests.engine.importers.import_samples import png, quiet

ODD = (
    "a:b", "a_b", "a/b", "CON", "Cat", "cat", "x.", "x", "..", "unlabeled", "None", "01", "1", "=1+1", "日本", "étude",
    "test", "train", ".hidden", 'q"uote', "com,ma", "semi;colon", "<b>", "%s", "emoji 🐦", "-", "--help",
)  # fmt: skip
PLAIN = ("cat", "dog", "日本", "a b", "étude", "01", "1", "owl-2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, dict[str, str | None]]]:
    """Two projects, of odd and of plain class names: each one's folder, and the label by content."""
    found = {}
    for kind, names in (("odd", ODD), ("plain", PLAIN)):
        folder = tmp_path_factory.mktemp(kind)
        rows = [
            f'"{n}/same {n % 3}.png","{label.replace(chr(34), chr(34) * 2)}"'
            for n, label in enumerate((*names, *names))
        ]
        with zipfile.ZipFile(folder / "in.zip", "w") as archive:
            for number in range(2 * len(names) + 3):
                archive.writestr(f"{number}/same {number % 3}.png", png(number))
            archive.writestr("labels.csv", "filename,label\n" + "\n".join(rows) + "\n")
        with Project.create(folder / "project", kind) as project:
            project.imports.commit(project.imports.scan(ImportSource("zip", folder / "in.zip")))
            table = project.store.label_table()
            shas = {item.id: item.sha256 for item in project.workspace.items()}
            labels = dict(zip((shas[one] for one in table.image_ids.tolist()), table.label.tolist(), strict=True))
        assert sorted(filter(None, labels.values())) == sorted((*names, *names))
        found[kind] = (folder / "project", labels)
    return found


def read_back(target: Path, root: Path, tmp_path: Path) -> tuple[str, dict[str, str | None]]:
    """Import an export: what it is taken for, and label by content. A table lies beside the images as they came."""
    if target.suffix == ".zip":
        preview = scan(ImportSource("zip", target), tmp_path / "staging", quiet)
    else:
        beside = tmp_path / "beside"
        beside.mkdir()
        with Project.open(root, read_only=True) as project:
            for item in project.workspace.items():
                path = beside / item.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes((root / "images" / item.sha256[:2] / item.sha256).read_bytes())
        target.rename(beside / target.name)
        preview = scan(ImportSource("folder", beside), tmp_path / "staging", quiet)
    assert preview.conflicts == ()
    return preview.reading, {image.sha256: image.label for image in preview.found}


@pytest.mark.parametrize("form", EXPORTERS)
def test_an_export_comes_back_with_the_same_labels(
    form: str, made: Mapping[str, tuple[Path, dict[str, str | None]]], tmp_path: Path
) -> None:
    root, labels = made["plain" if CARRIED[form].folders else "odd"]
    target = tmp_path / f"out{EXPORTERS[form].suffix}"
    with Project.open(root) as project:
        project.exports.write(ExportOptions(form), target=target)
    reading, back = read_back(target, root, tmp_path)
    assert reading == CARRIED[form].reading
    assert back == labels


def test_splits_and_every_name_of_an_image_go_out_again(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for number, split in enumerate(("train", "train", "val", "val", "test", "test")):
            archive.writestr(f"{split}/{'cat' if number % 2 else 'dog'}/{number}.png", png(number))
        archive.writestr("train/dog/copy of 0.png", png(0))
    with Project.create(tmp_path / "project", "splits") as project:
        project.imports.commit(project.imports.scan(ImportSource("zip", tmp_path / "in.zip")))
        table = pd.read_parquet(project.exports.write(ExportOptions("parquet"), target=tmp_path / "out.parquet"))
    assert sorted(table["split"]) == ["test", "test", "train", "train", "val", "val"]
    (names,) = table["other_names"].dropna()
    assert json.loads(names) == ["train/dog/copy of 0.png"]
