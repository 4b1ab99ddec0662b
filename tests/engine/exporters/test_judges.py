"""Exports as tools read them that cannot be installed beside Starling; each has an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.benchmarks.judges import apart
from app.benchmarks.judges.export import Export, unpacked
from engine.exporters import EXPORTERS
from engine.exporters.rows import ExportRow
from tests.engine.exporters.export_samples import ODD_LABELS, entry, manifest, quiet

pytestmark = pytest.mark.judges


def python_of(package: str) -> Path:
    """Return the Python that has a package, or skip."""
    python = Path(os.environ.get("STARLING_JUDGES", "")) / package / "bin" / "python"
    if "STARLING_JUDGES" not in os.environ or not python.is_file():
        where = f"FOLDER/{package}"
        pytest.skip(
            f"{package} is missing: python -m venv {where} && {where}/bin/pip install {package}, then set "
            "STARLING_JUDGES=FOLDER"
        )
    return python


def exported(key: str, rows: list[ExportRow], root: Path, tmp_path: Path) -> Export:
    target = tmp_path / f"{key}.zip"
    EXPORTERS[key].write(rows, root, target, manifest(classes=sorted(ODD_LABELS)), [entry(1, 1, "cat")], quiet)
    return unpacked(target, tmp_path / key)


@pytest.mark.parametrize(("key", "form"), [("datumaro", "datumaro"), ("coco", "coco_instances"), ("cvat", "cvat")])
def test_datumaro_reads_labels_and_splits(
    key: str, form: str, odd: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    python = python_of("datumaro")
    found = apart.datumaro(form)(exported(key, odd, root, tmp_path), python)
    assert {sha: label for sha, (label, _) in found.items()} == {row.sha256: row.label for row in odd}
    if key != "cvat":
        assert {sha: split for sha, (_, split) in found.items()} == {row.sha256: row.split or "train" for row in odd}


def test_datumaro_reads_class_folders(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    # a folder called train, val or test is a split to it
    rows = [row for row in odd if row.label not in ("train", "test")]
    python = python_of("datumaro")
    found = apart.datumaro_class_folders(exported("cvat_imagenet", rows, root, tmp_path), python)
    assert found == {row.sha256: (row.label, "") for row in rows}


def test_fiftyone_reads_labels_and_confidences(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    python = python_of("fiftyone")
    folder = exported("fiftyone", odd, root, tmp_path).folder
    assert apart.asked(python, "read_by_fiftyone.py", str(folder)) == {
        row.sha256: [row.label, row.confidence] for row in odd
    }


def test_label_studio_reads_choices(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    python = python_of("label-studio-sdk")
    found = apart.label_studio(exported("label_studio", odd, root, tmp_path), python)
    assert found == {row.sha256: (None if row.label_source == "pseudo" else row.label, "") for row in odd}


def test_ultralytics_reads_class_folders(add: Callable[..., ExportRow], root: Path, tmp_path: Path) -> None:
    python = python_of("ultralytics")
    rows = [
        add(f"{number}.png", label, size=(12, 12), split=("train", "val", "test")[number % 3])
        for number, label in enumerate([*ODD_LABELS, *ODD_LABELS])
    ]
    found = apart.ultralytics(exported("ultralytics", rows, root, tmp_path), python)
    assert found == {row.sha256: (row.label, row.split) for row in rows}
