"""Review lists that are not a query: the sample of an audit, suspected labels, labels that contradict each other,
images near a rare class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import ConfigError
from engine.ids import rows_of
from engine.project.quality.audits import Audits
from engine.project.quality.by_class import LOOKS, ByClass
from engine.project.quality.checks import Checks
from engine.project.results import Results
from engine.project.review.ref import QueueRef
from engine.project.workspace import Workspace
from engine.records.quality import DuplicateGroup, LabelIssue
from engine.records.review import Beside, Conflict
from engine.records.rounds import Predictions
from engine.store import LabelTable

SURE = 0.95
"""Calibrated confidence from which a prediction is said to contradict a label given before it was made."""
MOST_BESIDE = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of a list. round: the round whose prediction is shown, None is the one asked for; suggested: shown in
    place of a prediction, with its confidence."""

    image_id: int
    why: str
    score: float | None = None
    round: int | None = None
    suggested: str | None = None
    confidence: float | None = None
    beside: tuple[Beside, ...] = ()


class Lists:
    """The lists of one project."""

    def __init__(
        self, workspace: Workspace, results: Results, audits: Audits, checks: Checks, by_class: ByClass
    ) -> None:
        self._store, self._results = workspace.store, results
        self._audits, self._checks, self._by_class = audits, checks, by_class

    def entries(self, ref: QueueRef, number: int | None) -> list[Listed]:
        """Return what is left to look at of a list, in its order.

        Raises:
            ConfigError: it is no list, or there is no such audit.
        """
        if ref.kind == "issues":
            return [_issue(issue) for issue in self._checks.label_issues()]
        if ref.kind == "conflicts":
            return list(_once(entry for conflict in self.conflicts(number) for entry in _entries(conflict)))
        if ref.kind == "rare":
            return self._near_rare(number)
        if ref.audit is None:
            raise ConfigError("There is no such list", value=ref, way_out="Use issues, conflicts, rare or audit:1.")
        record, left = self._audits.unanswered(ref.audit)
        why = f"Audit {record.number}: drawn at random from {len(record.population):,} predictions"
        return [Listed(image_id, why, round=record.round) for image_id in left]

    def _near_rare(self, number: int | None) -> list[Listed]:
        """The undecided images that lie nearest to a rare class though they are predicted as a common one."""
        near = self._by_class.near_rare(number)
        columns = zip(near.image_ids.tolist(), near.predicted, near.rare, near.closeness.tolist(), strict=True)
        return [
            Listed(image_id, f"Predicted “{predicted}”, but near images of the rare class “{rare}”", closeness)
            for image_id, predicted, rare, closeness in list(columns)[:LOOKS]
        ]

    def conflicts(self, number: int | None = None) -> list[Conflict]:
        """Return labels that something contradicts: two people, copies of the image, or a confident prediction.

        Rejected images are in none of them, also not as a copy of another.
        """
        table = self._store.label_table()
        rejected = set(table.image_ids[table.rejected].tolist())
        return [*self._annotators(rejected), *self._duplicates(rejected), *self._predictions(table, number)]

    def _annotators(self, rejected: set[int]) -> list[Conflict]:
        conflicts = []
        for image_id, answers in self._store.relabeled():
            if image_id in rejected:
                continue
            labels = tuple((actor, str(label)) for actor, label, _ in answers)
            conflicts.append(Conflict("annotators", (image_id,), (labels[-1][1],), labels[0][1], 1.0, labels))
        return conflicts

    def _duplicates(self, rejected: set[int]) -> list[Conflict]:
        groups = [_without(group, rejected) for group in self._checks.duplicates() if group.differing]
        return [
            Conflict("duplicates", group.image_ids, group.labels, None, group.similarity)
            for group in self._checks.not_looked_at(group for group in groups if group.differing)
        ]

    def _predictions(self, table: LabelTable, number: int | None) -> list[Conflict]:
        """Labels given before a round whose prediction contradicts them, and suspected labels of the check.

        A label that a person gave or confirmed after the round began is left out: the prediction was on screen.
        """
        conflicts = {issue.image_id: _suspected(issue) for issue in self._checks.label_issues()}
        predictions = self._results.predictions(number)
        if predictions is not None:
            seq = self._store.round(predictions.round).ledger_seq
            for conflict in _contradicted(table, predictions, seq):
                conflicts.setdefault(conflict.image_ids[0], conflict)
        return sorted(conflicts.values(), key=lambda one: (-one.score, one.image_ids))


def _contradicted(table: LabelTable, predictions: Predictions, seq: int) -> list[Conflict]:
    """Conflicts of the labels given up to ledger entry `seq` with sure predictions."""
    rows, predicted = rows_of(table.image_ids, predictions.image_ids)
    best, confidence = predictions.probabilities.argmax(1)[rows], predictions.probabilities.max(1)[rows]
    before = table.labeled & ~table.rejected & (table.version > 0) & (table.version <= seq)
    other = table.class_index(predictions.classes) != best
    return [
        Conflict(
            "prediction", (int(table.image_ids[at]),), (table.label[at],), predictions.classes[int(best[at])],
            float(confidence[at]),
        )
        for at in np.flatnonzero(predicted & before & other & (confidence >= SURE)).tolist()
    ]  # fmt: skip


def _issue(issue: LabelIssue) -> Listed:
    why = f"Given “{issue.given}”; without it the model says “{issue.suggested}”"
    return Listed(
        issue.image_id, why, score=issue.score, suggested=issue.suggested, confidence=issue.suggested_confidence
    )


def _without(group: DuplicateGroup, rejected: set[int]) -> DuplicateGroup:
    """The group without rejected images."""
    pairs = zip(group.image_ids, group.labels, strict=True)
    usable = [(image_id, label) for image_id, label in pairs if image_id not in rejected]
    ids, labels = tuple(image_id for image_id, _ in usable), tuple(label for _, label in usable)
    return replace(group, image_ids=ids, labels=labels)


def _suspected(issue: LabelIssue) -> Conflict:
    return Conflict("prediction", (issue.image_id,), (issue.given,), issue.suggested, issue.suggested_confidence)


def _entries(conflict: Conflict) -> Iterable[Listed]:
    if conflict.kind == "prediction":
        why = f"Label “{conflict.labels[0]}” against a sure prediction of “{conflict.suggested}”"
        yield Listed(conflict.image_ids[0], why, conflict.score, None, conflict.suggested, conflict.score)
    elif conflict.kind == "annotators":
        why = "; ".join(f"{who} says “{label}”" for who, label in conflict.said)
        beside = tuple(Beside(conflict.image_ids[0], label, who) for who, label in conflict.said)
        yield Listed(conflict.image_ids[0], f"Labeled differently: {why}", conflict.score, beside=beside)
    else:
        pairs = list(zip(conflict.image_ids, conflict.labels, strict=True))
        for image_id, label in pairs:
            if label is None:
                continue
            others = tuple(Beside(other, name) for other, name in pairs if other != image_id)[:MOST_BESIDE]
            elsewhere = ", ".join(sorted({f"“{one.label}”" for one in others if one.label not in (None, label)}))
            if elsewhere:
                yield Listed(
                    image_id, f"Looks the same as an image labeled {elsewhere}; this one is “{label}”", conflict.score,
                    beside=others,
                )  # fmt: skip


def _once(entries: Iterable[Listed]) -> Iterable[Listed]:
    seen: set[int] = set()
    for entry in entries:
        if entry.image_id not in seen:
            seen.add(entry.image_id)
            yield entry
