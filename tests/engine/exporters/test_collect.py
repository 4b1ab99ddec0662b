"""Which label an exported row carries, and where it says it is from."""

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.exporters.collect import ExportOptions, InForce, collect, count, tally
from engine.records.labels import ImageItem
from engine.records.rounds import Predictions
from tests.engine.exporters.export_samples import entry

ITEMS = [ImageItem(i, f"{i:064x}", f"{i}.png", "PNG", 4, 3, 3, 99) for i in (1, 2, 3, 4)]
NONE = InForce(None, None, None, None, False, 0)
IN_FORCE = [
    InForce("cat", "imported", None, None, False, 1),
    InForce("dog", "accepted", 2, 0.75, True, 2),
    NONE,
    NONE,
]
PREDICTIONS = Predictions(
    5,
    np.array([1, 2, 3, 4], np.int64),
    np.array([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75], [0.5, 0.5]], np.float32),
    ("cat", "dog"),
)
ENTRIES = {2: entry(2, 2, "dog")}


def test_labels_in_force_come_with_who_and_when() -> None:
    rows = collect(ITEMS, IN_FORCE, None, ENTRIES, ExportOptions())
    assert [row.label for row in rows] == ["cat", "dog", None, None]
    assert (rows[0].label_source, rows[0].reviewed, rows[0].reviewed_by) == ("imported", False, None)
    accepted = rows[1]
    assert (accepted.label_source, accepted.round, accepted.confidence) == ("accepted", 2, 0.75)
    assert (accepted.model, accepted.reviewed_by) == ("round-2", "Zoë")
    assert accepted.reviewed_at == "2026-01-02T03:04:05+00:00"


def test_pseudo_labels_fill_only_empty_places_and_only_when_confident_enough() -> None:
    options = ExportOptions(sources=frozenset({"imported", "accepted", "pseudo"}), min_confidence=0.75)
    rows = collect(ITEMS, IN_FORCE, PREDICTIONS, ENTRIES, options)
    assert [row.label for row in rows] == ["cat", "dog", "dog", None]
    pseudo = rows[2]
    assert (pseudo.label_source, pseudo.confidence, pseudo.round, pseudo.model) == ("pseudo", 0.75, 5, "round-5")
    assert not pseudo.reviewed


def test_a_label_of_an_unwanted_source_leaves_its_image_unlabeled() -> None:
    options = ExportOptions(sources=frozenset({"accepted", "pseudo"}), min_confidence=0.0)
    rows = collect(ITEMS, IN_FORCE, PREDICTIONS, ENTRIES, options)
    assert [row.label for row in rows] == [None, "dog", "dog", "cat"]  # the first keeps no pseudo-label either


def test_predictions_count_only_when_asked_for() -> None:
    rows = collect(ITEMS, IN_FORCE, PREDICTIONS, ENTRIES, ExportOptions(min_confidence=0.0))
    assert [row.label_source for row in rows] == ["imported", "accepted", None, None]


def test_images_without_a_label_can_be_left_out() -> None:
    rows = collect(ITEMS, IN_FORCE, None, ENTRIES, ExportOptions(unlabeled=False))
    assert [row.image_id for row in rows] == [1, 2]


def test_count_names_every_source() -> None:
    rows = collect(ITEMS, IN_FORCE, None, ENTRIES, ExportOptions())
    assert count(rows) == {"imported": 1, "human": 0, "accepted": 1, "pseudo": 0, "unlabeled": 2}


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
        ExportOptions(sources=frozenset({"human", "accepted", "pseudo"}), min_confidence=0.8, unlabeled=False),
    ],
)
def test_tally_counts_what_collect_makes(options: ExportOptions) -> None:
    sources = ["human", "accepted", "imported", None, None, None]
    items = [ImageItem(i, f"{i:064x}", f"{i}.png", "PNG", 8, 8, 1, 10) for i in range(1, 7)]
    marks = [None, "reject", None, None, "unsure", "reject"]
    in_force = [InForce(s and "a", s, None, None, False, 0, m) for s, m in zip(sources, marks, strict=True)]
    ids = np.arange(1, 7)
    first = np.array([0.9, 0.9, 0.9, 0.9, 0.6, 0.4], np.float32)
    predictions = Predictions(1, ids, np.stack([first, 1 - first], 1), ("a", "b"))
    rows = collect(items, in_force, predictions, {}, options)
    found = tally(ids, np.array(sources, object), np.array(marks, object), predictions, options)
    assert found == count(rows)


def test_rejected_images_are_left_out_and_marked_ones_get_no_pseudo_label() -> None:
    items = [ImageItem(i, f"{i:064x}", f"{i}.png", "PNG", 8, 8, 1, 10) for i in (1, 2, 3)]
    in_force = [InForce(None, None, None, None, False, 1, mark) for mark in ("reject", "unsure", None)]
    probabilities = np.array([[0.99, 0.01]] * 3, np.float32)
    predictions = Predictions(1, np.arange(1, 4), probabilities, ("a", "b"))
    options = ExportOptions(sources=frozenset({"pseudo"}), min_confidence=0.5)
    rows = collect(items, in_force, predictions, {}, options)
    assert [(row.image_id, row.label) for row in rows] == [(2, None), (3, "a")]
