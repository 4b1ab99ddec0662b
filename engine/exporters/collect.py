"""Gathers what an export holds: the labels in force, and pseudo-labels where the person asked for them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.exporters.provenance import Provenance, audit_of, bound_of
from engine.exporters.rows import SOURCES, ExportRow
from engine.exporters.split import Shares, check_shares
from engine.records.labels import ACCEPTED, ImageItem, LabelSource, LedgerEntry
from engine.records.rounds import Predictions


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        format: a key of EXPORTERS.
        sources: which label sources count; a label of another source leaves its image unlabeled.
        min_confidence: smallest calibrated confidence of an exported pseudo-label, 0..1.
        unlabeled: whether images without an exported label are written too.
        round: the round whose pseudo-labels are taken; the one in force when None.
        images: only these image ids; all when None.
        split: shares of train, val and test, for images that came in no split; None leaves these in none, which is
            train where a format needs one.
        split_seed: of the order in which they are spread.
        audit: the audit whose frozen labels are exported: an image without a label in force takes the one that was
            frozen for it, however sure, and no other pseudo-label; None for pseudo-labels as they are now.
        at: the revision whose labels are exported: a name, the number of an entry of the ledger, or None for now. It
            holds labels, no predictions.
        for_spreadsheets: of a CSV: cells that a spreadsheet would take for a formula begin with an apostrophe, so that
            they are no longer what was stored, and no certificate goes with them.
    """

    format: str = "imagefolder_zip"
    sources: frozenset[str] = frozenset(get_args(LabelSource))
    min_confidence: float = 0.95
    unlabeled: bool = True
    round: int | None = None
    images: frozenset[int] | None = None
    split: Shares | None = None
    split_seed: int = 0
    audit: int | None = None
    at: str | None = None
    for_spreadsheets: bool = False

    def __post_init__(self) -> None:
        wrong = set(self.sources) - set(SOURCES)
        if wrong:
            raise ConfigError("Unknown label source", value=sorted(wrong), way_out=f"Known: {', '.join(SOURCES)}.")
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ConfigError(
                "The minimum confidence must lie between 0 and 1",
                value=self.min_confidence,
                way_out="Try 0.95.",
            )

        if self.for_spreadsheets and (self.format != "csv" or self.audit is not None):
            raise ConfigError(
                "Cells are guarded for spreadsheets in a CSV alone, without an audit's labels",
                value=self.format,
                way_out="Export Excel, where no text is a formula, or CSV without the guard.",
            )
        if self.at is not None and (self.audit is not None or "pseudo" in self.sources):
            raise ConfigError(
                "A revision holds labels, no predictions",
                value=self.at,
                way_out="Leave out pseudo-labels and the audit.",
            )
        if self.split is not None:
            check_shares(self.split)

    def takes(self, image_id: int) -> bool:
        """Return whether this image is among those to export."""
        return self.images is None or image_id in self.images


@dataclass(frozen=True, slots=True)
class FrozenLabeling:
    """The labels that an audit froze, by image id, and the round whose predictions are among them."""

    labels: Mapping[int, str]
    round: int | None


@dataclass(frozen=True, slots=True)
class InForce:
    """One image's label in force, as the label table gives it."""

    label: str | None
    source: LabelSource | None
    round: int | None
    confidence: float | None
    reviewed: bool
    mark: str | None = None


def collect(
    items: Sequence[ImageItem],
    in_force: Sequence[InForce],
    predictions: Predictions | None,
    provenance: Provenance,
    options: ExportOptions,
    frozen: FrozenLabeling | None = None,
) -> list[ExportRow]:
    """Return one row an exported image, in image order. A rejected image is left out.

    A label in force whose source is wanted wins. An image without a label in force takes its pseudo-label if those
    are wanted, it is confident enough, and no person has put a mark on it (skipped, unsure, flagged). An image whose
    label is of an unwanted source is written as unlabeled: its pseudo-label does not stand in for a person's answer.

    Args:
        items: all images, ascending by id.
        in_force: their labels, aligned with `items`.
        predictions: the round's, for pseudo-labels; None when there is none.
        provenance: who decided and when, what their batches carry, the images' groups.
        options: what is wanted.
        frozen: the labels of `options.audit`, which stand in for pseudo-labels.
    """
    pseudo, number = _pseudo_labels(predictions, options, frozen), None
    if frozen is not None:
        number = frozen.round
    elif predictions is not None:
        number = predictions.round
    model = None if number is None else f"round-{number}"
    rows = []
    for item, state in zip(items, in_force, strict=True):
        if state.mark == "reject" or not options.takes(item.id):
            continue
        fields: dict[str, Any] = {}
        if state.label is not None and state.source in options.sources:
            fields = _label_in_force(state, provenance.origins.get(item.id), provenance)
        elif state.label is None and state.mark is None and item.id in pseudo:
            label, confidence = pseudo[item.id]
            fields = {
                "label": label, "label_source": "pseudo", "confidence": confidence, "round": number, "model": model,
            }  # fmt: skip
        elif not options.unlabeled:
            continue
        rows.append(
            ExportRow(
                image_id=item.id,
                name=item.name,
                sha256=item.sha256,
                format=item.format,
                width=item.width,
                height=item.height,
                group=provenance.groups.get(item.id),
                other_names=_as_list(provenance.names.get(item.id, ())),
                split=provenance.splits.get(item.id, ""),
                **fields,
            )
        )
    return rows


def _as_list(names: Sequence[str]) -> str | None:
    return json.dumps(list(names), ensure_ascii=False) if names else None


def count(rows: Iterable[ExportRow]) -> dict[str, int]:
    """Return how many rows carry each label source; "unlabeled" for none."""
    counts: Counter[str] = Counter(row.label_source or "unlabeled" for row in rows)
    return {source: counts.get(source, 0) for source in (*SOURCES, "unlabeled")}


def tally(
    image_ids: NDArray[np.int64],
    sources: NDArray[np.object_],
    marks: NDArray[np.object_],
    predictions: Predictions | None,
    options: ExportOptions,
    frozen: FrozenLabeling | None = None,
) -> dict[str, int]:
    """Return what `count` would say of the rows `collect` would make, without making them.

    Args:
        image_ids: (N,) all images.
        sources: (N,) the source of each label in force, None without one.
        marks: (N,) the mark of each image, None without one.
        predictions: the round's, for pseudo-labels; None when there is none.
        options: what is wanted.
        frozen: see `collect`.
    """
    pseudo = _pseudo_labels(predictions, options, frozen)
    counts = dict.fromkeys((*SOURCES, "unlabeled"), 0)
    for image_id, source, mark in zip(image_ids.tolist(), sources, marks, strict=True):
        if mark == "reject" or not options.takes(image_id):
            continue
        if source in options.sources:
            counts[source] += 1
        elif source is None and mark is None and image_id in pseudo:
            counts["pseudo"] += 1
        elif options.unlabeled:
            counts["unlabeled"] += 1
    return counts


def _label_in_force(state: InForce, origin: LedgerEntry | None, provenance: Provenance) -> dict[str, Any]:
    """The fields of a row that tell of its label in force, and of the decision that gave it."""
    fields = {
        "label": state.label, "label_source": state.source, "confidence": state.confidence, "round": state.round,
        "model": f"round-{state.round}" if state.round is not None and state.source in ACCEPTED else None,
        "reviewed": state.reviewed,
    }  # fmt: skip
    if origin is None:
        return fields
    facts = {} if origin.batch is None else provenance.facts.get(origin.batch, {})
    return fields | {
        "reviewed_by": origin.actor if state.reviewed else None,
        "reviewed_at": origin.time if state.reviewed else None,
        "seen_seconds": origin.seen_seconds if origin.seconds is None else origin.seconds,
        "batch": origin.batch, "audit": audit_of(facts), "bound": bound_of(facts),
    }  # fmt: skip


def _pseudo_labels(
    predictions: Predictions | None, options: ExportOptions, frozen: FrozenLabeling | None
) -> dict[int, tuple[str, float | None]]:
    if frozen is not None:
        return {image_id: (label, None) for image_id, label in frozen.labels.items()}
    if predictions is None or "pseudo" not in options.sources:
        return {}
    best = predictions.probabilities.argmax(1)
    confidence = predictions.probabilities[np.arange(len(best)), best]
    keep = np.flatnonzero(confidence >= options.min_confidence)
    return {
        int(predictions.image_ids[i]): (predictions.classes[int(best[i])], float(confidence[i])) for i in keep.tolist()
    }
