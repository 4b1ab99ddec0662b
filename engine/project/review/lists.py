"""Review lists that are not a query: what an audit asks, labels and predictions in doubt, suspected labels, labels that
contradict each other, images near a rare class."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import ConfigError
from engine.ids import rows_of
from engine.project.quality.audits import Audits
from engine.project.quality.by_class import LOOKS, ByClass
from engine.project.quality.checks import Checks
from engine.project.quality.goal import Goals
from engine.project.results import Results
from engine.project.review.ref import OPEN, QueueRef
from engine.project.workspace import Workspace
from engine.quality.parts import ALL, Part
from engine.records.quality import DuplicateGroup, LabelIssue
from engine.records.review import Beside, Conflict
from engine.records.rounds import Predictions
from engine.store import LabelTable

SURE = 0.95
"""Calibrated confidence from which a prediction is said to contradict a label given before it was made."""
MOST_BESIDE = 8
NEAR_RARE = "Predicted as a common class, but near images of a rare one: looked at before the labels are frozen"


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of a list. suggested: shown in place of a prediction, with its confidence. asked: by which audit and
    along which order, blind; None for no audit."""

    image_id: int
    why: str
    score: float | None = None
    suggested: str | None = None
    confidence: float | None = None
    beside: tuple[Beside, ...] = ()
    asked: str | None = None


class Lists:
    """The lists of one project."""

    def __init__(
        self, workspace: Workspace, results: Results, audits: Audits, checks: Checks, goals: Goals, by_class: ByClass
    ) -> None:
        self._store, self._results = workspace.store, results
        self._audits, self._checks, self._goals, self._by_class = audits, checks, goals, by_class

    def entries(self, ref: QueueRef, number: int | None) -> list[Listed]:
        """Return what is left to look at of a list of doubtful or suspected labels or of conflicts, in its order.

        Raises:
            ConfigError: it is no such list.
        """
        if ref.kind == "doubtful":
            now = self._goals.labels_now()
            near = set(now.image_ids[self._goals.near_rare(now)].tolist())
            return [
                Listed(image_id, NEAR_RARE if image_id in near else _doubt(source), suspicion)
                for image_id, suspicion, source in self._goals.doubtful()
            ]
        if ref.kind == "issues":
            return [_issue(issue) for issue in self._checks.label_issues()]
        if ref.kind == "conflicts":
            return list(_once(entry for conflict in self.conflicts(number) for entry in _entries(conflict)))
        if ref.kind == "rare":
            return self._near_rare(number)
        raise ConfigError("There is no such list", value=ref, way_out="Use doubtful, issues, conflicts or rare.")

    def asked(self, ref: QueueRef, limit: int, exclude: Collection[int], actor: str | None) -> tuple[list[Listed], int]:
        """Return what an audit asks next, at most `limit`, and how much it could ask in all.

        That an image is asked a second time is not told: it would say what was answered first.

        Raises:
            ConfigError: the queue is of no audit.
            LedgerError: there is no such audit.
        """
        if ref.audit is None:
            raise ConfigError("There is no such list", value=ref, way_out="Use audit:1.")
        if ref.part == OPEN:
            questions = self._audits.open_questions(ref.audit)
            total = len(questions)
            questions = [one for one in questions if one.image_id not in exclude][:limit]
        else:
            part = Part.parse(ref.part) if ref.part else ALL
            questions, total = self._audits.questions(ref.audit, part, limit=limit, exclude=exclude, actor=actor)
        why = f"Audit {ref.audit}: drawn at random and asked without its label"
        return [Listed(one.image_id, why, asked=f"{ref.audit} {one.order}".rstrip()) for one in questions], total

    def asks_blind(self, image_id: int) -> str | None:
        """Return how an open audit that waits for an answer to this image asks for it, None where none does."""
        number = self._audits.asks_blind(image_id)
        return None if number is None else str(number)

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


def _doubt(source: str) -> str:
    what = "prediction" if source == "pseudo" else "label"
    return f"One of the {what}s most likely to be wrong: looked at before the labels are frozen and audited"


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
        yield Listed(conflict.image_ids[0], why, conflict.score, conflict.suggested, conflict.score)
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
