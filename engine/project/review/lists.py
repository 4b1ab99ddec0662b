"""Review lists that are not a query: the sample of an audit, suspected labels, labels that contradict each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ConfigError
from engine.project.quality.checks import REJECT
from engine.records.quality import DuplicateGroup, LabelIssue
from engine.records.review import Beside, Conflict
from engine.records.rounds import Predictions

if TYPE_CHECKING:
    from engine.project.opened import Project

AUDIT = "audit:"
ISSUES, CONFLICTS = "issues", "conflicts"
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


def is_list(only: str) -> bool:
    """Return whether this choice of images is a list."""
    return only in (ISSUES, CONFLICTS) or only.startswith(AUDIT)


class Lists:
    """The lists of one project."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def entries(self, only: str, number: int | None) -> list[Listed]:
        """Return what is left to look at of a list, in its order.

        Raises:
            ConfigError: there is no such list or audit.
        """
        if only == ISSUES:
            return [_issue(issue) for issue in self._project.quality.label_issues()]
        if only == CONFLICTS:
            return list(_once(entry for conflict in self.conflicts(number) for entry in _entries(conflict)))
        name = only.removeprefix(AUDIT)
        if not name.isdecimal():
            raise ConfigError("There is no such list", value=only, way_out=f"Use {ISSUES}, {CONFLICTS} or {AUDIT}1.")
        return self._audit(int(name))

    def _audit(self, audit: int) -> list[Listed]:
        record, left = self._project.quality.unanswered(audit)
        why = f"Audit {record.number}: drawn at random from {len(record.population):,} predictions"
        return [Listed(image_id, why, round=record.round) for image_id in left]

    def conflicts(self, number: int | None = None) -> list[Conflict]:
        """Return labels that something contradicts: two people, copies of the image, or a confident prediction.

        Rejected images are in none of them, also not as a copy of another.
        """
        return [*self._annotators(), *self._duplicates(), *self._predictions(number)]

    def _annotators(self) -> list[Conflict]:
        conflicts = []
        rejected = self._rejected()
        for image_id, said in self._project.store.relabeled():
            if image_id in rejected:
                continue
            words = tuple((actor, str(label)) for actor, label, _ in said)
            conflicts.append(Conflict("annotators", (image_id,), (words[-1][1],), words[0][1], 1.0, words))
        return conflicts

    def _duplicates(self) -> list[Conflict]:
        quality, rejected = self._project.quality, self._rejected()
        groups = [_without(group, rejected) for group in quality.duplicates() if group.differing]
        return [
            Conflict("duplicates", group.image_ids, group.labels, None, group.similarity)
            for group in quality.checks.not_looked_at(group for group in groups if group.differing)
        ]

    def _rejected(self) -> set[int]:
        table = self._project.label_table()
        return set(table.image_ids[table.mark == REJECT].tolist())

    def _predictions(self, number: int | None) -> list[Conflict]:
        """Labels given before a round whose prediction contradicts them, and suspected labels of the check.

        A label that a person gave or confirmed after the round began is left out: the prediction was on screen.
        """
        found = {issue.image_id: _suspected(issue) for issue in self._project.quality.label_issues()}
        predictions = self._project.predictions(number)
        if predictions is not None:
            seq = self._project.round(predictions.round).ledger_seq
            for conflict in self._contradicted(predictions, seq):
                found.setdefault(conflict.image_ids[0], conflict)
        return sorted(found.values(), key=lambda one: (-one.score, one.image_ids))

    def _contradicted(self, predictions: Predictions, seq: int) -> list[Conflict]:
        table = self._project.label_table()
        rows = np.minimum(np.searchsorted(predictions.image_ids, table.image_ids), len(predictions.image_ids) - 1)
        known = (predictions.image_ids[rows] == table.image_ids) & (table.version > 0) & (table.version <= seq)
        best = predictions.probabilities.argmax(1)[rows]
        sure = predictions.probabilities.max(1)[rows]
        conflicts = []
        for at in np.flatnonzero(known & (sure >= SURE)).tolist():
            label, said = table.label[at], predictions.classes[int(best[at])]
            if label is not None and label != said and table.mark[at] != REJECT:
                image_id = int(table.image_ids[at])
                conflicts.append(Conflict("prediction", (image_id,), (label,), said, float(sure[at])))
        return conflicts


def _issue(issue: LabelIssue) -> Listed:
    why = (
        f"Given “{issue.given}”; without it the model says “{issue.suggested}” "
        f"({issue.suggested_confidence:.0%} against {issue.given_confidence:.0%})"
    )
    return Listed(
        issue.image_id, why, score=issue.score, suggested=issue.suggested, confidence=issue.suggested_confidence
    )


def _without(group: DuplicateGroup, rejected: set[int]) -> DuplicateGroup:
    """The group without rejected images."""
    pairs = zip(group.image_ids, group.labels, strict=True)
    kept = [(image_id, label) for image_id, label in pairs if image_id not in rejected]
    return replace(group, image_ids=tuple(one for one, _ in kept), labels=tuple(label for _, label in kept))


def _suspected(issue: LabelIssue) -> Conflict:
    return Conflict("prediction", (issue.image_id,), (issue.given,), issue.suggested, issue.suggested_confidence)


def _entries(conflict: Conflict) -> Iterable[Listed]:
    if conflict.kind == "prediction":
        why = f"Label “{conflict.labels[0]}” against a prediction of “{conflict.suggested}” ({conflict.score:.0%})"
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
            others = tuple(Beside(other, said) for other, said in pairs if other != image_id)[:MOST_BESIDE]
            said = ", ".join(sorted({f"“{one.label}”" for one in others if one.label not in (None, label)}))
            if said:
                yield Listed(
                    image_id, f"Looks the same as an image labeled {said}; this one is “{label}”", conflict.score,
                    beside=others,
                )  # fmt: skip


def _once(entries: Iterable[Listed]) -> Iterable[Listed]:
    seen: set[int] = set()
    for entry in entries:
        if entry.image_id not in seen:
            seen.add(entry.image_id)
            yield entry
