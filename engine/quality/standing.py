"""Where an audit of frozen labels stands: what the answers come to, image by image and part by part.

Everything here follows from the frozen labels, the draws and what people said, so that it can be worked out again from
an export.

**What an image's answers come to.** A blind answer that agrees with the frozen label says that it is right. An answer
that differs, blind or not, is only a proposal: it takes a second look, blind, and the label is wrong if that differs
too. Until then it counts as wrong, as does an image that was drawn and is not answered, or was last skipped, flagged or
called unsure. That is more careful than to leave it out: E with such an answer as wrong is never above E with the true
one, so that the bound holds at each moment. But nothing is put right by it, so that it is not taken off what is left
wrong: only what is settled is. Rejecting is an answer that agrees with no label.

**What is in force meanwhile.** Every answer is a decision of the ledger like any other and is in force at once, the
first too, so that nothing that a person said waits anywhere else. The second is then in force in its turn: the frozen
label again where it agrees with it, else the second answer.

**People who err.** Where two looks pass a wrong label nobody sees it. With a share q of such labels at most
U / (1 − q) − W are left wrong; q is the upper limit of people's own error by the human labels that were drawn. That
limit says nothing before some were asked: at none it is 1/2, which would double every bound, and at 20 without a
disagreement still 8 %. So below 20 it is taken to be 10 %, and said to be an assumption. It is the worst of ten known
sets: their labels were found to be wrong in 0.2 to 10.1 % (Northcutt, Athalye and Mueller 2021, Pervasive Label Errors
in Test Sets Destabilize Machine Learning Benchmarks), and to pass a wrong label one must err in the same way.

**The answers as the truth.** Whoever takes them as such freezes only labels that nobody has looked at; of the others
none is wrong then, nor is any wrong label passed, so that q is 0. The goal stays a share of all labels. In a class or a
source it is the share of those audited, which claims less.

**Tables.** Bounds of classes and sources that are shown together are to hold together: each needs as many times the
evidence as there are of them. A statement by itself does not, nor does "at most this share wrong in every class".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.quality.betting import Answer, ConfidenceSequence, allowed, threshold
from engine.quality.parts import ALL, Answered, Part, by_part
from engine.quality.people import PeopleError, people_error, settled
from engine.records.quality import AuditAnswer, AuditRecord, FrozenLabels

Mask = NDArray[np.bool_]
SHOWN = 20
"""Random answers of a part from which on its share seen and its bound are shown."""
ASSUMED_MISS = 0.1
"""Share of wrong labels that people are taken to pass while fewer than 20 human labels were asked again."""
HUMAN = Part("source", "human")
OPEN_MARKS = frozenset({"skip", "unsure", "flag"})
"""Actions that leave a question open."""
_REJECTED = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an image's answers come to; `second`: a second look is missing."""

    wrong: bool
    settled: bool
    second: bool = False


def judge(label: str, given: Sequence[tuple[str, str | None, bool]], drawn: bool) -> Verdict:
    """Return what people's answers say of a frozen label.

    Args:
        label: the frozen one.
        given: action, label and whether it was asked blind, of each decision that stands, oldest first.
        drawn: whether a random order drew it, so that only a blind answer can agree with it.
    """
    right, first = False, None
    for action, said, blind in given:
        if action in OPEN_MARKS:
            continue
        answer = _REJECTED if action == "reject" or said is None else said
        if first is not None:
            if not blind:
                continue
            if settled(label, first, answer).wrong:
                return Verdict(wrong=True, settled=True)
            right, first = True, None
        elif answer != label:
            first = answer
        elif blind or not drawn:
            right = True
    if first is not None:
        return Verdict(wrong=True, settled=False, second=True)
    right &= given[-1][0] not in OPEN_MARKS if given else False
    return Verdict(wrong=not right, settled=right)


@dataclass(frozen=True)
class PartStanding:
    """Where a part of an audit stands: all labels, those of a class, or those of a source.

    labels: N. bets: its answers, in their order. threshold: what E must reach. missed: q, share of wrong labels that
    people pass. changed: C, images not looked at whose label is another now. unsettled: images among those found wrong
    whose right label is not known, or not in force: they may still be wrong. table: how many bounds are shown together
    with this one where it is shown in a table. trusted: labels beside the N that are taken as right; a goal is a share
    of all of them.
    """

    part: Part
    labels: int
    bets: tuple[Answer, ...]
    threshold: float
    missed: float = 0.0
    changed: int = 0
    unsettled: int = 0
    table: int = 1
    trusted: int = 0

    @cached_property
    def sequence(self) -> ConfidenceSequence:
        """The confidence sequence after these answers."""
        return ConfidenceSequence.replay(self.labels, self.bets, self.threshold)

    @property
    def random(self) -> int:
        """n: answers to images that chance chose."""
        return self.sequence.answered

    @cached_property
    def wrong(self) -> int:
        """x: how many of these count as wrong."""
        return sum(round(bet.y) for bet in self.bets if bet.kind == "random")

    @property
    def looked(self) -> int:
        """L: images looked at, by chance or for any other reason."""
        return self.sequence.looked

    @property
    def found(self) -> int:
        """W: how many of these count as wrong."""
        return self.sequence.found

    @property
    def unseen(self) -> int:
        """N − L."""
        return self.sequence.unseen

    @property
    def whole(self) -> int:
        """All labels: N and those that are taken as right."""
        return self.labels + self.trusted

    @property
    def shown(self) -> bool:
        """Whether there are enough answers to tell a share and a bound; also where nothing is left to look at."""
        return self.random >= SHOWN or (self.looked > 0 and self.unseen == 0)

    @property
    def upper(self) -> int:
        """U: at most so many of the frozen labels are wrong, as far as people see it."""
        return self.sequence.upper

    def interval(self, table: int = 1) -> tuple[int, int]:
        """Return how many labels are left wrong at least and at most, two-sided: each side gets half of alpha.

        At the upper end people pass some, and others have changed, as in `left_wrong`.

        Args:
            table: how many such intervals are shown together.
        """
        both = ConfidenceSequence.replay(self.labels, self.bets, 2 * table * self.threshold)
        return both.lower - both.found, self._left(both)

    @property
    def left_wrong(self) -> int:
        """At most so many labels are left wrong, once those found are put right: U / (1 − q) − W + C, of those that
        can be, and those found that are not put right yet."""
        return self._left(self.sequence)

    @cached_property
    def tabled(self) -> ConfidenceSequence:
        """The confidence sequence of a bound in the table: all of its bounds hold together."""
        return ConfidenceSequence.replay(self.labels, self.bets, self.table * self.threshold)

    @property
    def tabled_left(self) -> int:
        """What `left_wrong` is where it is shown in the table."""
        return self._left(self.tabled)

    def _left(self, sequence: ConfidenceSequence) -> int:
        left = sequence.left_wrong(self.missed, min(self.changed, self.unseen))
        return min(self.labels, left + self.unsettled)

    def reached(self, rate: float) -> bool:
        """Return whether at most this share, 0..1, of the part's labels is left wrong.

        It is said by itself, or of every class at once, which needs no more evidence: not at the table's threshold.
        """
        return self.shown and self.left_wrong <= allowed(rate, self.whole)


@dataclass(frozen=True)
class Standings:
    """What the answers of an audit come to: for all labels and each class and source that has labels; see `Audit`."""

    total: PartStanding
    classes: tuple[PartStanding, ...]
    sources: tuple[PartStanding, ...]
    alpha: float
    place: int
    people: PeopleError
    missed: float


@dataclass(frozen=True)
class Audit:
    """One audit with all that is known of it.

    answers: images drawn or looked at since the freeze, in the order of the draw or look. total, classes, sources: of
    all labels, and of each class and source that has labels, each bound by itself. place: j, the how-manieth audit with
    an answer it is, or would be. people: how often people err, by the human labels drawn; missed: q, taken from it or
    assumed. gone: frozen labels that are not exported any more; added: labels exported now that were not frozen; rest:
    predictions of a rule that nobody looked at and that would be accepted.
    """

    record: AuditRecord
    frozen: FrozenLabels
    answers: tuple[AuditAnswer, ...]
    total: PartStanding
    classes: tuple[PartStanding, ...]
    sources: tuple[PartStanding, ...]
    place: int
    people: PeopleError
    missed: float
    gone: int = 0
    added: int = 0
    rest: int = 0

    @property
    def number(self) -> int:
        """Its number in the project."""
        return self.record.number

    @property
    def open(self) -> bool:
        """Whether it takes answers."""
        return self.record.state == "open"

    @property
    def labels(self) -> int:
        """N, the frozen labels."""
        return len(self.frozen)

    @property
    def trusting(self) -> bool:
        """Whether people's answers from before the freeze are taken as the truth."""
        return self.frozen.trusted is not None

    @property
    def threshold(self) -> float:
        """What E must reach."""
        return self.total.threshold

    @property
    def changed(self) -> int:
        """C: images whose label is another now than at the freeze, without a look that says so."""
        return self.total.changed

    @property
    def left_wrong(self) -> int:
        """At most so many labels are left wrong; see `PartStanding.left_wrong`."""
        return self.total.left_wrong

    @property
    def level(self) -> float:
        """How sure the bound is, 0..1."""
        return 1.0 - self.record.alpha

    @property
    def missed_is_measured(self) -> bool:
        """Whether q follows from human labels that were asked again, and is not assumed."""
        return self.people.asked >= SHOWN

    @property
    def seconds(self) -> tuple[int, ...]:
        """Images that wait for a second look."""
        return tuple(one.image_id for one in self.answers if one.second)

    @property
    def unanswered(self) -> tuple[int, ...]:
        """Images that were drawn and wait for an answer, not for a second one."""
        return tuple(one.image_id for one in self.answers if not one.settled and not one.second)

    @property
    def wrong_ids(self) -> tuple[int, ...]:
        """Images whose frozen label counts as wrong."""
        return tuple(one.image_id for one in self.answers if one.wrong)

    def reached(self, rate: float, *, each_class: bool = False) -> bool:
        """Return whether at most this share, 0..1, of the labels is left wrong; of every class's, with `each_class`.

        For a conjunction each class needs no more evidence than one alone (Berger 1982).
        """
        return all(part.reached(rate) for part in self.classes) if each_class else self.total.reached(rate)


def bets(answers: Sequence[AuditAnswer]) -> dict[Part, list[Answer]]:
    """Return the answers of all labels and of each class and source that has one, in their order."""
    answered = [
        Answered((one.image_id,), (one.wrong,), None if one.order is None else Part.parse(one.order)) for one in answers
    ]
    classes = {one.image_id: one.label for one in answers}
    return by_part(answered, classes, {one.image_id: one.source for one in answers})


def stand(
    frozen: FrozenLabels,
    answers: Sequence[AuditAnswer],
    differs: Sequence[bool | None],
    alpha: float,
    place: int,
    changed: Mask,
    against: Mask | None = None,
) -> Standings:
    """Return what the answers of an audit come to.

    Args:
        frozen: the labels.
        answers: in their order.
        differs: see `error_of_people`.
        alpha: chance that a bound fails.
        place: the how-manieth audit with an answer it is.
        changed: (N,) which labels nobody looked at and are other ones now.
        against: (N,) which labels are settled and are in force, or exported, against their answers.
    """
    open_ids = np.array([one.image_id for one in answers if not one.settled], np.int64)
    unsettled = np.isin(frozen.image_ids, open_ids)
    if against is not None:
        unsettled |= against
    people = error_of_people(answers, int((frozen.source_code == frozen.sources.index("human")).sum()), differs)
    of_part, needed = bets(answers), threshold(alpha, place)
    missed = missed_by(people) if frozen.trusted is None else 0.0
    table = len(np.unique(frozen.label_code)) + len(np.unique(frozen.source_code))

    def standing(part: Part, rows: Mask) -> PartStanding:
        return PartStanding(
            part, int(rows.sum()), tuple(of_part.get(part, ())), needed, missed, int((changed & rows).sum()),
            int((unsettled & rows).sum()), *((1, frozen.whole - len(frozen)) if part == ALL else (table, 0)),
        )  # fmt: skip

    def each(
        kind: Literal["class", "source"], codes: NDArray[np.integer], names: Sequence[str]
    ) -> Iterator[PartStanding]:
        for code in np.unique(codes).tolist():
            yield standing(Part(kind, names[code]), codes == code)

    return Standings(
        standing(ALL, np.ones(len(frozen), np.bool_)),
        tuple(each("class", frozen.label_code, frozen.names)),
        tuple(each("source", frozen.source_code, frozen.sources)),
        alpha, place, people, missed,
    )  # fmt: skip


def error_of_people(answers: Sequence[AuditAnswer], humans: int, blind: Sequence[bool | None]) -> PeopleError:
    """Return how often people err, by the human labels that chance drew.

    Args:
        answers: of the audit.
        humans: human labels in the frozen set.
        blind: for each answer, whether its first blind answer differs from the label; None where there is none yet,
            which counts as a difference.
    """
    drawn = {str(ALL), str(HUMAN)}
    differs = [
        first is not False
        for one, first in zip(answers, blind, strict=True)
        if one.source == HUMAN.name and one.order in drawn
    ]
    return people_error(differs, humans)


def missed_by(people: PeopleError) -> float:
    """Return q, the share of wrong labels that people are taken to pass, 0..1/2."""
    return people.upper if people.asked >= SHOWN else ASSUMED_MISS
