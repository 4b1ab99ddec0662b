"""Each exported label names the decision that gave it, whatever happened to the image since, and that one's batch."""

from dataclasses import replace
from typing import Any

import pytest

from engine.exporters.provenance import audit_of, batches_of, bound_of, origins
from engine.exporters.rows import ExportRow
from engine.records.labels import LedgerEntry
from tests.engine.exporters.export_samples import entry

FACTS = {"audit-b": {"bound": 0.02}, "audit-a": {"bound": 0.05}, "audit-c": {}}


def said(seq: int, base: int, batch: str | None, **fields: Any) -> LedgerEntry:
    return replace(entry(seq, 1, "cat"), base_version=base, batch=batch, **fields)


def row(batch: str | None) -> ExportRow:
    return ExportRow(image_id=1, name="1.png", sha256="", format="PNG", label="cat", batch=batch)


FIRST = said(1, 0, "audit-a", action="accept")
SECOND = said(2, 1, "audit-b", action="accept")


@pytest.mark.parametrize(
    ("entries", "gave"),
    [
        ([FIRST], 1),
        ([FIRST, SECOND], 2),
        ([FIRST, said(2, 1, None)], 2),
        ([FIRST, said(2, 1, "page", action="flag")], 1),
        ([FIRST, said(2, 1, None, action="flag"), said(3, 2, None, action="unsure")], 1),
        ([FIRST, SECOND, said(3, 2, "z1", action="undo", undoes=2)], 1),
        ([FIRST, said(2, 1, None, action="flag"), said(3, 2, None, action="undo", undoes=2)], 1),
        ([FIRST, said(2, 1, "z1", action="undo", undoes=1)], None),
        ([said(1, 0, None, action="skip")], None),
        ([said(1, 0, "import/1", action="import"), said(2, 1, "audit-c", action="correct")], 2),
    ],
)
def test_the_origin_is_the_decision_whose_label_is_in_force(entries: list[LedgerEntry], gave: int | None) -> None:
    assert {image_id: one.seq for image_id, one in origins(entries).items()} == ({} if gave is None else {1: gave})


def test_each_image_has_an_origin_of_its_own() -> None:
    entries = [FIRST, replace(SECOND, image_id=2, base_version=0), said(3, 1, None, action="flag")]
    assert {image_id: one.seq for image_id, one in origins(entries).items()} == {1: 1, 2: 2}


def test_each_batch_is_named_once_in_the_order_of_the_facts() -> None:
    rows = [row(batch) for batch in ("audit-a", "audit-b", "audit-a", "page", None)]
    assert list(batches_of(rows, FACTS)) == ["audit-b", "audit-a"]
    assert batches_of([], FACTS) == {}


@pytest.mark.parametrize(
    ("facts", "number", "bound"),
    [
        ({"kind": "audit", "audit": 3, "bound": 0.02, "rest_bound": 0.03}, 3, 0.03),
        ({"kind": "audit", "audit": 3, "bound": 0.02, "rest_bound": None}, 3, 0.02),
        ({"kind": "grid"}, None, None),
        ({}, None, None),
    ],
)
def test_audit_and_bound_are_those_of_the_labels_that_the_batch_gave(
    facts: dict[str, Any], number: int | None, bound: float | None
) -> None:
    assert (audit_of(facts), bound_of(facts)) == (number, bound)
