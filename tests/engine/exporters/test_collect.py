"""Which label an exported row carries, and where it says it is from."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.exporters.collect import ExportOptions, InForce, collect, count, tally
from engine.exporters.provenance import Provenance
from engine.records.labels import ImageItem
from engine.records.rounds import Predictions
from tests.engine.exporters.export_samples import entry

ITEMS = [ImageItem(i, f"{i:064x}", f"{i}.png", "PNG", 4, 3, 3, 99) for i in (1, 2, 3, 4)]
NONE = InForce(None, None, None, None, False)
IN_FORCE = [
    InForce("cat", "imported", None, None, False),
    InForce("dog", "confirmed", 2, 0.75, True),
    NONE,
    NONE,
]
PREDICTIONS = Predictions(
    5,
    np.array([1, 2, 3, 4], np.int64),
    np.array([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75], [0.5, 0.5]], np.float32),
    ("cat", "dog"),
)
BEHIND = Provenance({2: entry(2, 2, "dog")})


def test_labels_in_force_come_with_who_and_when() -> None:
    rows = collect(ITEMS, IN_FORCE, None, BEHIND, ExportOptions())
    assert [row.label for row in rows] == ["cat", "dog", None, None]
    assert (rows[0].label_source, rows[0].reviewed, rows[0].reviewed_by) == ("imported", False, None)
    accepted = rows[1]
    assert (accepted.label_source, accepted.round, accepted.confidence) == ("confirmed", 2, 0.75)
    assert (accepted.model, accepted.reviewed_by) == ("round-2", "Zoë")
    assert (accepted.reviewed_at, accepted.seen_seconds) == ("2026-01-02T03:04:05+00:00", 1.5)


def test_a_label_given_with_others_names_its_batch_and_nobody_as_its_reviewer() -> None:
    facts = {"kind": "audit", "audit": 4, "bound": 0.02, "rest_bound": 0.03}
    tile = replace(entry(1, 1, "cat"), batch="page", seconds=None, seen_seconds=2.5)
    ruled = replace(entry(2, 2, "dog"), batch="audit-4-x", seconds=None, seen_seconds=0.0)
    in_force = [
        InForce("cat", "accepted_in_batch", 2, 0.9, False),
        InForce("dog", "accepted_by_threshold", 2, 0.95, False),
        InForce("dog", "human", None, None, False),
        NONE,
    ]
    behind = Provenance({1: tile, 2: ruled, 3: replace(tile, image_id=3)}, {"audit-4-x": facts})
    rows = collect(ITEMS, in_force, None, behind, ExportOptions())
    assert [(row.batch, row.audit, row.bound, row.seen_seconds) for row in rows] == [
        ("page", None, None, 2.5),
        ("audit-4-x", 4, 0.03, 0.0),
        ("page", None, None, 2.5),
        (None, None, None, None),
    ]
    assert {(row.reviewed, row.reviewed_by, row.reviewed_at) for row in rows} == {(False, None, None)}
    assert [row.model for row in rows] == ["round-2", "round-2", None, None]


def test_every_image_names_its_group_labeled_or_not() -> None:
    behind = replace(BEHIND, groups={1: "scene a", 3: "scene b"})
    assert [row.group for row in collect(ITEMS, IN_FORCE, None, behind, ExportOptions())] == [
        "scene a", None, "scene b", None,
    ]  # fmt: skip
    assert {row.group for row in collect(ITEMS, IN_FORCE, None, BEHIND, ExportOptions())} == {None}


def test_pseudo_labels_fill_only_empty_places_and_only_when_confident_enough() -> None:
    options = ExportOptions(sources=frozenset({"imported", "confirmed", "pseudo"}), min_confidence=0.75)
    rows = collect(ITEMS, IN_FORCE, PREDICTIONS, BEHIND, options)
    assert [row.label for row in rows] == ["cat", "dog", "dog", None]
    pseudo = rows[2]
    assert (pseudo.label_source, pseudo.confidence, pseudo.round, pseudo.model) == ("pseudo", 0.75, 5, "round-5")
    assert not pseudo.reviewed


def test_a_label_of_an_unwanted_source_leaves_its_image_unlabeled() -> None:
    options = ExportOptions(sources=frozenset({"confirmed", "pseudo"}), min_confidence=0.0)
    rows = collect(ITEMS, IN_FORCE, PREDICTIONS, BEHIND, options)
    assert [row.label for row in rows] == [None, "dog", "dog", "cat"]  # the first keeps no pseudo-label either


def test_predictions_count_only_when_asked_for() -> None:
    rows = collect(ITEMS, IN_FORCE, PREDICTIONS, BEHIND, ExportOptions(min_confidence=0.0))
    assert [row.label_source for row in rows] == ["imported", "confirmed", None, None]


def test_images_without_a_label_can_be_left_out() -> None:
    rows = collect(ITEMS, IN_FORCE, None, BEHIND, ExportOptions(unlabeled=False))
    assert [row.image_id for row in rows] == [1, 2]


def test_count_names_every_source() -> None:
    rows = collect(ITEMS, IN_FORCE, None, BEHIND, ExportOptions())
    assert count(rows) == {
        "imported": 1, "human": 0, "confirmed": 1, "accepted_in_batch": 0, "accepted_by_threshold": 0, "pseudo": 0,
        "unlabeled": 2,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{"sources": frozenset({"magic"})}, {"min_confidence": 1.5}])
def test_options_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=r"magic|1\.5"):
        ExportOptions(**wrong)


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(),
        ExportOptions(sources=frozenset({"human"}), unlabeled=False),
        ExportOptions(sources=frozenset({"imported", "pseudo"}), min_confidence=0.5),
        ExportOptions(sources=frozenset({"human", "accepted_in_batch", "pseudo"}), min_confidence=0.8, unlabeled=False),
    ],
)
def test_tally_counts_what_collect_makes(options: ExportOptions) -> None:
    sources = ["human", "confirmed", "imported", None, None, None, "accepted_in_batch", "accepted_by_threshold"]
    items = [ImageItem(i, f"{i:064x}", f"{i}.png", "PNG", 8, 8, 1, 10) for i in range(1, 9)]
    marks = [None, "reject", None, None, "unsure", "reject", None, None]
    in_force = [InForce(s and "a", s, None, None, False, m) for s, m in zip(sources, marks, strict=True)]
    ids = np.arange(1, 9)
    first = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.4, 0.9, 0.9], np.float32)
    predictions = Predictions(1, ids, np.stack([first, 1 - first], 1), ("a", "b"))
    rows = collect(items, in_force, predictions, Provenance(), options)
    found = tally(ids, np.array(sources, object), np.array(marks, object), predictions, options)
    assert found == count(rows)


def test_rejected_images_are_left_out_and_marked_ones_get_no_pseudo_label() -> None:
    items = [ImageItem(i, f"{i:064x}", f"{i}.png", "PNG", 8, 8, 1, 10) for i in (1, 2, 3)]
    in_force = [InForce(None, None, None, None, False, mark) for mark in ("reject", "unsure", None)]
    probabilities = np.array([[0.99, 0.01]] * 3, np.float32)
    predictions = Predictions(1, np.arange(1, 4), probabilities, ("a", "b"))
    options = ExportOptions(sources=frozenset({"pseudo"}), min_confidence=0.5)
    rows = collect(items, in_force, predictions, Provenance(), options)
    assert [(row.image_id, row.label) for row in rows] == [(2, None), (3, "a")]
