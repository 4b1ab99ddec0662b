"""What an export says of each label: who saw the image, with which batch, audit and bound."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from engine.exporters.collect import ExportOptions
from engine.exporters.rows import SOURCES
from engine.project.opened import Project
from engine.project.workspace import DATABASE

OLD = Path(__file__).parents[1] / "store" / "fixtures" / "sources_0003.sql"
TOLD = (
    "label_source",
    "reviewed",
    "reviewed_by",
    "seen_seconds",
    "batch",
    "audit",
    "bound",
    "group",
    "round",
    "confidence",
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A project as revision 0003 wrote it; the labels of its images are told in test_sources.py."""
    root = tmp_path / "old"
    Project.create(root).close()
    (root / DATABASE).unlink()
    with closing(sqlite3.connect(root / DATABASE)) as connection:
        connection.executescript(OLD.read_text())
    return root


def test_a_project_of_before_is_exported_without_any_review_that_never_happened(old: Path) -> None:
    with Project.open(old) as project:
        audit = project.store.past_audits()[0].batch
        assert project.exports.counts(ExportOptions("csv")) == dict.fromkeys(SOURCES, 0) | {
            "imported": 2, "human": 3, "confirmed": 4, "accepted_in_batch": 3, "accepted_by_threshold": 2,
            "unlabeled": 1,
        }  # fmt: skip
        with open(project.exports.write(ExportOptions("csv")), encoding="utf-8", newline="") as file:
            rows = {int(row["image_id"]): row for row in csv.DictReader(file)}
        frame = pd.read_parquet(project.exports.write(ExportOptions("parquet"), target=old / "set.parquet"))
        assert project.store.verify() == []
    batch_of_import = rows[1]["batch"]
    assert batch_of_import.startswith("import/")
    sure, by_map = "0.75", "0123456789abcdef0123456789abcdef"
    expected = {
        1: ("imported", "false", "", "", batch_of_import, "", "", "", "", ""),
        2: ("imported", "false", "", "", batch_of_import, "", "", "", "", ""),
        3: ("confirmed", "true", "anna", "2.5", "", "", "", "", "1", sure),
        4: ("confirmed", "true", "anna", "", "", "", "", "", "1", sure),
        5: ("accepted_in_batch", "false", "", "", "page", "", "", "", "1", sure),
        6: ("accepted_in_batch", "false", "", "", "page", "", "", "", "1", sure),
        7: ("human", "false", "", "", "page", "", "", "", "", ""),
        8: ("accepted_in_batch", "false", "", "", by_map, "", "", "", "1", sure),
        9: ("confirmed", "true", "anna", "1.5", "timed", "", "", "", "1", sure),
        10: ("confirmed", "true", "anna", "3.0", "", "", "", "", "1", sure),
        11: ("accepted_by_threshold", "false", "", "", audit, "1", "0.75", "", "1", sure),
        12: ("accepted_by_threshold", "false", "", "", audit, "1", "0.75", "", "1", sure),
        13: ("human", "true", "anna", "4.0", "", "", "", "", "", ""),
        14: ("human", "false", "", "", "alike", "", "", "", "", ""),
        16: ("", "false", "", "", "", "", "", "", "", ""),  # 15 was rejected
    }
    assert {image_id: tuple(row[name] for name in TOLD) for image_id, row in rows.items()} == expected
    assert frame.set_index("image_id")["reviewed"].to_dict() == {
        image_id: told[1] == "true" for image_id, told in expected.items()
    }
    assert frame["reviewed_at"].notna().tolist() == frame["reviewed"].tolist()


def test_each_image_is_exported_with_its_group(old: Path) -> None:
    with Project.open(old) as project:
        first, second, *_ = project.store.image_ids().tolist()
        project.store.set_groups({first: "scene 1", second: "scene 1"}, "column “scene”")
        frame = pd.read_csv(project.exports.write(ExportOptions("csv")), keep_default_na=False)
    named = dict(zip(frame["image_id"], frame["group"], strict=True))
    assert {image_id for image_id, group in named.items() if group == "scene 1"} == {first, second} & set(named)
    assert set(named.values()) <= {"scene 1", ""}


def test_an_export_can_leave_out_what_nobody_looked_at(old: Path) -> None:
    with Project.open(old) as project:
        seen = frozenset(SOURCES) - {"accepted_by_threshold", "pseudo"}
        with open(project.exports.write(ExportOptions("csv", seen)), encoding="utf-8", newline="") as file:
            rows = {int(row["image_id"]): row["label_source"] for row in csv.DictReader(file)}
    assert (rows[5], rows[10], rows[11], rows[12]) == ("accepted_in_batch", "confirmed", "", "")
