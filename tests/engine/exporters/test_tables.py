"""CSV and Parquet as pandas reads them."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.errors import ConfigError, ExportError
from engine.exporters import EXPORTERS, tables
from engine.exporters.collect import ExportOptions
from engine.exporters.rows import COLUMNS, ExportRow
from tests.engine.exporters.export_samples import manifest, quiet

BY_RULE = {
    "label_source": "accepted_by_threshold", "round": 2, "confidence": 0.99, "seen_seconds": 0.0, "batch": "audit-3-ab",
    "audit": 3, "bound": 0.0125,
}  # fmt: skip
AWKWARD = ["=1+1", "@sum", "+1", "-1", "007", "a,b", 'q"q', "CON", "dot.", "a:b", "猫", "NA", " lead"]


@pytest.fixture
def rows(add: Callable[..., ExportRow]) -> list[ExportRow]:
    made = [add(f"dir {i}/{name}.png", name) for i, name in enumerate(AWKWARD)]
    made.append(add("none.png"))
    made.append(
        add(
            "seen.png",
            "cat",
            label_source="confirmed",
            confidence=0.1,
            round=2,
            model="round-2",
            reviewed=True,
            reviewed_by="Zoë",
            reviewed_at="2026-01-02T03:04:05+00:00",
            seen_seconds=1.5,
            group="scene 7",
            split="val",
        )
    )
    made.append(add("rule.png", "cat", **BY_RULE))
    return made


def read(key: str, rows: list[ExportRow], root: Path, tmp_path: Path) -> pd.DataFrame:
    target = tmp_path / f"out{EXPORTERS[key].suffix}"
    EXPORTERS[key].write(rows, root, target, manifest(), [], quiet)
    if key == "csv":
        return pd.read_csv(target, dtype={"file_name": str, "label": str}, keep_default_na=False, na_values={})
    return pd.read_parquet(target)


@pytest.mark.parametrize("key", ["csv", "parquet"])
def test_pandas_reads_every_name_and_label_as_stored(
    key: str, rows: list[ExportRow], root: Path, tmp_path: Path
) -> None:
    frame = read(key, rows, root, tmp_path)
    assert tuple(frame.columns) == COLUMNS
    assert frame["file_name"].tolist() == [row.name for row in rows]
    assert frame["label"][: len(AWKWARD)].tolist() == AWKWARD
    assert frame["sha256"].tolist() == [row.sha256 for row in rows]
    assert frame["image_id"].tolist() == [row.image_id for row in rows]


def test_csv_shows_absent_values_as_empty_and_truth_in_words(rows: list[ExportRow], root: Path, tmp_path: Path) -> None:
    EXPORTERS["csv"].write(rows, root, tmp_path / "out.csv", manifest(), [], quiet)
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, strict=True))
    none, seen, ruled = found[-3:]
    assert {key for key, value in none.items() if value} == {"file_name", "image_id", "sha256", "reviewed"}
    assert none["reviewed"] == "false"
    assert seen["reviewed"] == "true"
    assert (seen["confidence"], seen["round"], seen["split"]) == ("0.1", "2", "val")
    assert (seen["label_source"], seen["seen_seconds"], seen["group"]) == ("confirmed", "1.5", "scene 7")
    assert (seen["batch"], seen["audit"], seen["bound"]) == ("", "", "")
    assert (ruled["label_source"], ruled["reviewed"], ruled["reviewed_by"]) == ("accepted_by_threshold", "false", "")
    assert [ruled[name] for name in ("seen_seconds", "batch", "audit", "bound", "group")] == [
        "0.0", "audit-3-ab", "3", "0.0125", "",
    ]  # fmt: skip


def test_parquet_keeps_types_and_nulls(rows: list[ExportRow], root: Path, tmp_path: Path) -> None:
    frame = read("parquet", rows, root, tmp_path)
    none, seen, ruled = frame.iloc[-3], frame.iloc[-2], frame.iloc[-1]
    empty = ["label", "label_source", "confidence", "round", "model", "reviewed_by", "seen_seconds", "batch", "audit"]
    assert none[[*empty, "bound", "group"]].isna().all()
    assert seen[["batch", "audit", "bound"]].isna().all()
    assert ruled[["reviewed_by", "reviewed_at", "group"]].isna().all()
    assert (seen["seen_seconds"], seen["group"]) == (1.5, "scene 7")
    assert (ruled["seen_seconds"], ruled["batch"], ruled["audit"], ruled["bound"]) == (0.0, "audit-3-ab", 3, 0.0125)
    assert (frame["bound"].dtype, frame["seen_seconds"].dtype) == ("float64", "float64")
    assert frame["reviewed"].dtype == bool
    assert frame["image_id"].dtype == "int64"
    assert seen["confidence"] == 0.1
    assert seen["round"] == 2
    assert seen["reviewed_by"] == "Zoë"


@pytest.mark.parametrize("key", ["csv", "parquet"])
def test_rows_are_written_in_batches_and_counted(
    key: str, rows: list[ExportRow], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH", 10)
    seen: list[int] = []
    target = tmp_path / "out"
    EXPORTERS[key].write(rows, root, target, manifest(), [], lambda _, done, __: seen.append(done))
    assert seen == [10, 16]
    frame = pd.read_csv(target) if key == "csv" else pd.read_parquet(target)
    assert len(frame) == 16


@pytest.mark.parametrize("key", ["csv", "parquet"])
def test_an_empty_export_has_its_columns(key: str, root: Path, tmp_path: Path) -> None:
    assert tuple(read(key, [], root, tmp_path).columns) == COLUMNS


@pytest.mark.parametrize("key", ["csv", "parquet"])
def test_an_error_midway_leaves_nothing(key: str, rows: list[ExportRow], root: Path, tmp_path: Path) -> None:
    def fail(label: str, done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    with pytest.raises(ExportError, match="disk is full"):
        EXPORTERS[key].write(rows, root, out / "set", manifest(), [], fail)
    assert list(out.iterdir()) == []


def test_cells_that_a_spreadsheet_would_compute_are_guarded_only_where_that_is_wanted(tmp_path: Path) -> None:
    wild = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", "plain", "a=1", "'=1", ""]
    rows = [ExportRow(n, f"{text}.png", "0" * 64, "PNG", label=text or None) for n, text in enumerate(wild)]

    def read(write: Callable[..., None]) -> list[dict[str, str]]:
        write(rows, tmp_path, tmp_path / "set.csv", {}, [], quiet)
        with open(tmp_path / "set.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    assert [row["label"] for row in read(tables.write_csv)] == wild
    table = read(tables.write_guarded_csv)
    assert [row["label"] for row in table] == [*(f"'{text}" for text in wild[:7]), *wild[7:]]
    assert [row["file_name"][0] for row in table] == [*"'''''''", "p", "a", "'", "."]
    assert {row["sha256"] for row in table} == {"0" * 64}


@pytest.mark.parametrize("wrong", [{"format": "parquet"}, {"format": "csv", "audit": 1}])
def test_guard_is_for_a_csv_without_an_audit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="guarded for spreadsheets"):
        ExportOptions(**wrong, for_spreadsheets=True)
