"""The batches an export names are those behind the labels it holds, whatever happened to the images since."""

from dataclasses import replace
from typing import Any

import pytest

from engine.exporters.provenance import batches_of
from engine.exporters.rows import ExportRow
from engine.records.labels import LedgerEntry
from tests.engine.exporters.export_samples import entry

FACTS = {"audit-b": {"bound": 0.02}, "audit-a": {"bound": 0.05}, "audit-c": {}}


def said(seq: int, base: int, batch: str | None, **fields: Any) -> LedgerEntry:
    return replace(entry(seq, 1, "cat"), base_version=base, batch=batch, **fields)


def row(source: str | None = "accepted", label: str | None = "cat", image_id: int = 1) -> ExportRow:
    return ExportRow(image_id=image_id, name="1.png", sha256="", format="PNG", label=label, label_source=source)


FIRST = said(1, 0, "audit-a", action="accept")
SECOND = said(2, 1, "audit-b", action="accept")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([FIRST], ["audit-a"]),
        ([FIRST, SECOND], ["audit-b"]),
        ([FIRST, said(2, 1, None)], []),
        ([FIRST, said(2, 1, "page")], []),
        ([FIRST, said(2, 1, "page", action="flag")], ["audit-a"]),
        ([FIRST, said(2, 1, None, action="flag"), said(3, 2, None, action="unsure")], ["audit-a"]),
        ([FIRST, SECOND, said(3, 2, "z1", action="undo", undoes=2)], ["audit-a"]),
        ([FIRST, said(2, 1, None, action="flag"), said(3, 2, None, action="undo", undoes=2)], ["audit-a"]),
        ([FIRST, said(2, 1, "z1", action="undo", undoes=1)], []),
        ([said(1, 0, "import/1", action="import"), said(2, 1, "audit-c", action="correct")], ["audit-c"]),
    ],
)
def test_the_batch_is_that_of_the_decision_whose_label_is_in_force(
    entries: list[LedgerEntry], expected: list[str]
) -> None:
    assert batches_of([row()], entries, FACTS) == {batch: FACTS[batch] for batch in expected}


def test_each_batch_is_named_once_in_the_order_of_the_facts() -> None:
    entries = [FIRST, replace(SECOND, image_id=2, base_version=0), replace(SECOND, seq=3, image_id=3, base_version=0)]
    rows = [row(image_id=number) for number in (1, 2, 3)]
    assert list(batches_of(rows, entries, FACTS)) == ["audit-b", "audit-a"]


@pytest.mark.parametrize("exported", [row("pseudo"), row(None, None), row(image_id=2)])
def test_an_image_exported_without_that_label_names_no_batch(exported: ExportRow) -> None:
    assert batches_of([exported], [FIRST], FACTS) == {}
