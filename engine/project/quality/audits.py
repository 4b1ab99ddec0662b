"""Audits: predictions above a threshold, accepted as one batch with a measured bound of the share of wrong ones."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, StarlingError
from engine.project.live import Live
from engine.project.quality.measured import Measured
from engine.project.results import Results, undecided
from engine.project.workspace import Workspace
from engine.quality import audit, scale
from engine.records.labels import Decision, Mark
from engine.records.quality import AcceptPreview, AcceptRule, AuditRecord, AuditResult
from engine.records.rounds import Predictions
from engine.store.facts import batch_id

LEVEL = 0.95
AUDITED = 100
NO_ANSWER: tuple[Mark, ...] = ("skip", "flag")
"""Marks that leave a question open; rejected and unsure are answers, and not in the prediction's favour."""


class Audits:
    """The audits of one project. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results, live: Live, measured: Measured) -> None:
        self._store, self._results, self._live = workspace.store, results, live
        self._measured = measured

    def rule_at(self, number: int, threshold: float) -> AcceptRule:
        """Return the rule with one threshold, 0..1, for all classes of a round."""
        predictions = self._results.needed(number)
        return AcceptRule(predictions.round, dict.fromkeys(predictions.classes, float(threshold)))

    def rule_for(self, number: int, target_error: float, by_class: bool = False) -> AcceptRule:
        """Return the rule that accepts the most of what is undecided at this expected share of errors.

        Args:
            number: a complete round.
            target_error: 0..1, mean of 1 − calibrated confidence over what is accepted, in each class if `by_class`.
            by_class: a threshold for each class instead of one for all.
        """
        predictions = self._results.needed(number)
        probabilities = undecided(self._store.label_table(), predictions)[1]
        if by_class:
            thresholds = audit.class_thresholds(probabilities, target_error)
            return AcceptRule(
                predictions.round, {name: float(t) for name, t in zip(predictions.classes, thresholds, strict=True)}
            )
        threshold = float(audit.global_threshold(probabilities, target_error))
        return AcceptRule(predictions.round, dict.fromkeys(predictions.classes, threshold))

    def preview(self, rule: AcceptRule) -> AcceptPreview:
        """Return what a rule would accept now."""
        predictions = self._results.needed(rule.round)
        ids, probabilities = undecided(self._store.label_table(), predictions)
        taken = audit.accepted(probabilities, _thresholds(rule, predictions))
        best = np.bincount(probabilities[taken].argmax(1) if taken.any() else [], minlength=len(predictions.classes))
        written = self._measured.scale(rule.round)
        sure = scale.recalibrated(written, probabilities[taken].max(1))
        expected = float(audit.expected_errors(sure)) if taken.any() else 0.0
        return AcceptPreview(
            rule=rule,
            count=int(taken.sum()),
            undecided=len(ids),
            expected_errors=expected if written.n >= scale.TENS else None,
            per_class={name: int(n) for name, n in zip(predictions.classes, best.tolist(), strict=True)},
        )

    def start(self, rule: AcceptRule, size: int = AUDITED, level: float = LEVEL, actor: str = "local") -> AuditResult:
        """Draw a random sample of exactly the predictions a rule accepts, for a person to answer.

        Each further audit of the same round states its bound at a stricter level; see `audit.look_level`. A live round
        stays as it is from here on.

        Raises:
            ConfigError: the rule accepts nothing, or the size or level is out of range.
            LedgerError: another audit is open.
        """
        if not 0.5 <= level < 1.0 or size < 1:
            raise ConfigError("An audit needs a size from 1 and a level from 0.5", value=f"{size}, {level}")
        # Not in vain: a live round that ends takes its random sample with it.
        if self.preview(rule).count and not any(one.state == "open" for one in self._store.audits()):
            self._live.freeze(rule.round)
        predictions = self._results.needed(rule.round)
        ids, probabilities = undecided(self._store.label_table(), predictions)
        population = ids[audit.accepted(probabilities, _thresholds(rule, predictions))]
        if not len(population):
            raise ConfigError(
                "These thresholds accept no prediction", way_out="Lower them, or allow a larger expected error."
            )
        looks = sum(one.round == rule.round for one in self._store.audits())
        drawn = audit.draw(population, min(size, len(population)), secrets.randbits(63))
        record = self._store.add_audit(
            actor=actor, round=rule.round, thresholds=dict(rule.thresholds),
            level=audit.look_level(level, looks + 1), population=population, sample=[int(i) for i in drawn],
        )  # fmt: skip
        return self._result(record)

    def all(self) -> list[AuditResult]:
        """Return all audits, newest first."""
        return [self._result(record) for record in sorted(self._store.audits(), key=lambda one: -one.number)]

    def get(self, number: int) -> AuditResult:
        """Return where one audit stands. Raises ConfigError when there is none with this number."""
        return self._result(self._store.audit(number))

    def covers(self, number: int, threshold: float) -> bool:
        """Return whether a round's predictions from this threshold on, 0..1, were audited to the end."""
        return any(
            self._result(one).bound is not None
            for one in self._store.audits()
            if one.round == number and all(abs(at - threshold) <= audit.ROUNDING for at in one.thresholds.values())
        )

    def unanswered(self, number: int) -> tuple[AuditRecord, list[int]]:
        """Return an audit and the images of its sample that have no answer yet, in the order drawn."""
        record = self._store.audit(number)
        answers = self._answers(record)
        return record, [image_id for image_id in record.sample if image_id not in answers]

    def accept(self, number: int, actor: str = "local") -> tuple[str, int]:
        """Accept the audited predictions that are still undecided as one batch that carries the bound.

        Returns:
            The batch, which one undo takes back, and how many labels it gave.

        Raises:
            ConfigError: an image of the sample has no answer yet.
            LedgerError: the audit is not open.
        """
        result = self.get(number)
        record = result.record
        if result.bound is None:
            raise ConfigError(
                "Every image of the sample needs an answer first",
                value=f"{result.answered} of {len(record.sample)}",
                way_out="Review the audit's images.",
            )
        facts = _facts(result)
        batch = batch_id(f"audit-{number}", facts)
        decisions = self._accepting(record, batch, actor)
        acks = self._store.accept_audit(number, decisions, batch, facts)
        return batch, sum(ack.status == "saved" for ack in acks)

    def abandon(self, number: int) -> None:
        """Give an open audit up; the answers given stay in the ledger, and it counts as a look at its round."""
        result = self.get(number)
        facts = {"answered": result.answered, "wrong": result.wrong}
        self._store.close_audit(number, "abandoned", None, facts)

    def _accepting(self, record: AuditRecord, batch: str, actor: str) -> list[Decision]:
        """The decisions that accept what is left of an audit's population."""
        predictions, table = self._results.needed(record.round), self._store.label_table()
        ids = self._rest(record)
        probabilities = predictions.probabilities[np.searchsorted(predictions.image_ids, ids)]
        columns = zip(
            ids.tolist(), table.version[table.rows(ids)].tolist(), probabilities.argmax(1).tolist(),
            probabilities.max(1).tolist(), strict=True,
        )  # fmt: skip
        return [
            Decision(
                uid=f"{batch}/{image_id}", image_id=image_id, base_version=version, action="accept",
                label=predictions.classes[best], actor=actor, round=record.round, confidence=confidence, batch=batch,
                seen_seconds=0.0,
            )
            for image_id, version, best, confidence in columns
        ]  # fmt: skip

    def _result(self, record: AuditRecord) -> AuditResult:
        if record.state != "open":
            return _closed(record)
        try:
            answers = self._answers(record)
        except StarlingError as error:
            return AuditResult(record, 0, 0, (), None, f"This audit cannot be read; give it up. {error}")
        wrong = tuple(image_id for image_id in record.sample if answers.get(image_id) is False)
        size, population = len(record.sample), len(record.population)
        if len(answers) < size:
            return AuditResult(record, len(answers), len(wrong), wrong, None, f"{len(answers)} of {size} answered")
        bound = audit.upper_bound(len(wrong), size, record.level)
        rest = len(self._rest(record))
        limit = audit.rest_bound(bound, population, len(wrong), rest)
        text = audit.statement(population, size, len(wrong), bound, record.level)
        return AuditResult(record, size, len(wrong), wrong, bound, text, rest, limit)

    def _rest(self, record: AuditRecord) -> NDArray[np.int64]:
        """The images of the population without label and mark, ascending."""
        table = self._store.label_table()
        return np.sort(record.population[table.undecided[table.rows(record.population)]])

    def _answers(self, record: AuditRecord) -> dict[int, bool]:
        """Whether the prediction was right, for each image of the sample that a person has looked at since."""
        predictions, table = self._results.needed(record.round), self._store.label_table()
        sample = np.array(record.sample, np.int64)
        rows = table.rows(sample)
        looked_at = (table.version[rows] > record.ledger_seq) & ~np.isin(sample, self._store.unseen())
        taken_back = table.undecided[rows]
        answered = looked_at & ~table.has_mark(*NO_ANSWER)[rows] & ~taken_back
        best = predictions.probabilities[np.searchsorted(predictions.image_ids, sample)].argmax(1)
        right = (table.class_index(predictions.classes)[rows] == best) & ~table.marked[rows]
        return dict(zip(sample[answered].tolist(), right[answered].tolist(), strict=True))


def _closed(record: AuditRecord) -> AuditResult:
    """Return what was found when the audit was closed; its predictions need not be there any more."""
    facts = record.facts
    wrong_ids = tuple(int(image_id) for image_id in facts.get("wrong_ids", ()))
    bound, limit = facts.get("bound"), facts.get("rest_bound")
    return AuditResult(
        record, int(facts.get("answered", facts.get("audited", 0))), int(facts.get("wrong", 0)), wrong_ids,
        None if bound is None else float(bound), str(facts.get("statement", "given up")), int(facts.get("accepted", 0)),
        None if limit is None else float(limit),
    )  # fmt: skip


def _thresholds(rule: AcceptRule, predictions: Predictions) -> NDArray[np.float64]:
    """The rule's thresholds (K,) in the round's order; a class it does not name takes nothing."""
    return np.array([rule.thresholds.get(name, 2.0) for name in predictions.classes], np.float64)


def _facts(result: AuditResult) -> dict[str, Any]:
    record = result.record
    return {
        "kind": "audit", "audit": record.number, "round": record.round, "thresholds": dict(record.thresholds),
        "population": len(record.population), "audited": len(record.sample), "wrong": result.wrong,
        "wrong_ids": list(result.wrong_ids), "bound": result.bound, "level": record.level, "look": record.look,
        "accepted": result.rest, "rest_bound": result.rest_bound, "method": "Clopper–Pearson, one-sided",
        "statement": result.statement,
    }  # fmt: skip
