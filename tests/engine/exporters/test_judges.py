"""Exports as tools read them that cannot be installed beside Starling; each has an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine.exporters import EXPORTERS
from engine.exporters.rows import ExportRow
from tests.engine.exporters.export_samples import ODD_LABELS, entry, manifest, quiet

pytestmark = pytest.mark.judges
SCRIPTS = Path(__file__).parent / "judges"


def judged(package: str, script: str, key: str, rows: list[ExportRow], root: Path, tmp_path: Path, *more: str) -> Any:
    """Export, unpack, and return what the tool reads of the folder."""
    python = Path(os.environ.get("STARLING_JUDGES", "")) / package / "bin" / "python"
    if "STARLING_JUDGES" not in os.environ or not python.is_file():
        where = f"FOLDER/{package}"
        pytest.skip(
            f"{package} is missing: python -m venv {where} && {where}/bin/pip install {package}, then set "
            "STARLING_JUDGES=FOLDER"
        )
    target = tmp_path / f"{key}.zip"
    EXPORTERS[key].write(rows, root, target, manifest(classes=sorted(ODD_LABELS)), [entry(1, 1, "cat")], quiet)
    with zipfile.ZipFile(target) as archive:
        archive.extractall(tmp_path / key)
    clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [python, SCRIPTS / script, tmp_path / key, *more], capture_output=True, text=True, check=False, env=clean
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("key", "form"), [("datumaro", "datumaro"), ("coco", "coco_instances"), ("cvat", "cvat")])
def test_datumaro_reads_labels_and_splits(
    key: str, form: str, odd: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    found = judged("datumaro", "read_by_datumaro.py", key, odd, root, tmp_path, form)
    assert {sha: labels for sha, (labels, _) in found.items()} == {
        row.sha256: [] if row.label is None else [row.label] for row in odd
    }
    if key != "cvat":
        assert {sha: split for sha, (_, split) in found.items()} == {row.sha256: row.split or "train" for row in odd}


def test_datumaro_reads_class_folders(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    # a folder called train, val or test is a split to it
    rows = [row for row in odd if row.label not in ("train", "test")]
    found = judged("datumaro", "read_by_datumaro.py", "cvat_imagenet", rows, root, tmp_path, "imagenet")
    groups: dict[str | None, set[str]] = {}
    for row in rows:
        groups.setdefault(row.label, set()).add(next(iter(found[row.sha256][0]), ""))
    assert groups[None] == {""}
    assert all(len(names) == 1 for names in groups.values())
    assert len(set.union(*groups.values())) == len(groups)
    assert groups["007"] == {"007"}


def test_fiftyone_reads_labels_and_confidences(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    found = judged("fiftyone", "read_by_fiftyone.py", "fiftyone", odd, root, tmp_path)
    assert found == {row.sha256: [row.label, row.confidence] for row in odd}


def test_label_studio_reads_choices(odd: list[ExportRow], root: Path, tmp_path: Path) -> None:
    found = judged("label-studio-sdk", "read_by_label_studio.py", "label_studio", odd, root, tmp_path)
    assert found == {row.sha256: None if row.label_source == "pseudo" else row.label for row in odd}
