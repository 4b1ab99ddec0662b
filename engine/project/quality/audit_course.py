"""The course of one audit: its draws and what people said since its freeze, read on as the ledger grows.

What a key press needs (which image comes next, which are drawn with an answer) takes no walk over all labels: seen
images are a mask, each order is sorted once, and its beginning that is seen only ever grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.quality.frozen import along, order_salt
from engine.quality.parts import ALL, Part
from engine.quality.standing import OPEN_MARKS, judge
from engine.records.quality import AuditAnswer, AuditRecord, Draw, FrozenLabels, Said
from engine.store import Store
from engine.store.audit_draws import AuditNews, asked_order


@dataclass
class _Order:
    """A random order: rows of the frozen labels, and how many of its beginning are known to be seen."""

    rows: NDArray[np.int64]
    start: int = 0


@dataclass
class Course:
    """What happened to an audit so far. Not thread-safe.

    said: what stands, by image, oldest first; looked_at: the first entry of each image that answered for it, also where
    it was taken back since; draws: by image; head: the last ledger entry read.
    """

    record: AuditRecord
    frozen: FrozenLabels
    head: int = 0
    said: dict[int, list[Said]] = field(default_factory=dict)
    looked_at: dict[int, int] = field(default_factory=dict)
    draws: dict[int, Draw] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.head = self.record.ledger_seq
        self.seen = np.zeros(len(self.frozen), bool)
        self._image_of: dict[int, int] = {}
        self._orders: dict[Part, _Order] = {}

    def follow(self, store: Store) -> None:
        """Read what came since the last time."""
        self.take(store.audit_news(self.record.number, len(self.draws), self.head))

    def take(self, news: AuditNews) -> None:
        """Take in what came since the last time."""
        for draw in news.draws:
            self.draws[draw.image_id] = draw
        new = [draw.image_id for draw in news.draws]
        _, frozen = self.frozen.rows(np.array([one.image_id for one in news.said], np.int64))
        for one, ours in zip(news.said, frozen.tolist(), strict=True):
            if not ours:
                continue
            if one.undoes is not None:
                standing = self.said.get(self._image_of.get(one.undoes, -1), [])
                standing[:] = [other for other in standing if other.seq != one.undoes]
                continue
            self.said.setdefault(one.image_id, []).append(one)
            self._image_of[one.seq] = one.image_id
            if one.action not in OPEN_MARKS:
                self.looked_at.setdefault(one.image_id, one.seq)
                new.append(one.image_id)
        self.seen[self.frozen.rows(np.array(new, np.int64))[0]] = True
        self.head = news.head

    def is_blind(self, one: Said) -> bool:
        """Return whether this audit asked for an answer."""
        return asked_order(one.asked, self.record.number) is not None

    def given(self, image_id: int) -> list[tuple[str, str | None, bool]]:
        """Return action, label and whether asked blind, of what stands of an image, oldest first."""
        return [(one.action, one.label, self.is_blind(one)) for one in self.said.get(image_id, [])]

    def answers(self) -> list[AuditAnswer]:
        """Return the images drawn or looked at, in the order of the draw or look."""
        events: list[tuple[int, int, int, str | None]] = []
        for place, draw in enumerate(self.draws.values()):
            looked = self.looked_at.get(draw.image_id)
            if looked is None or looked > draw.ledger_seq:  # not before it was drawn
                events.append((draw.ledger_seq + 1, place, draw.image_id, draw.order))
        drawn = {image_id for _, _, image_id, _ in events}
        events += [(seq, 0, image_id, None) for image_id, seq in self.looked_at.items() if image_id not in drawn]
        events.sort(key=lambda event: event[:3])
        rows = self.frozen.rows(np.array([event[2] for event in events], np.int64))[0]
        labels = [self.frozen.names[code] for code in self.frozen.label_code[rows].tolist()]
        sources = [self.frozen.sources[code] for code in self.frozen.source_code[rows].tolist()]
        answers = []
        for (_, _, image_id, order), label, source in zip(events, labels, sources, strict=True):
            verdict = judge(label, self.given(image_id), order is not None)
            said = tuple(self.said.get(image_id, ()))
            answers.append(
                AuditAnswer(image_id, order, label, source, said, verdict.wrong, verdict.settled, verdict.second)
            )
        return answers

    def differs_blind(self, answer: AuditAnswer) -> bool | None:
        """Return whether the first blind answer to an image differs from its label; None without one."""
        first = next((one for one in answer.said if self.is_blind(one) and one.action not in OPEN_MARKS), None)
        return None if first is None else first.action == "reject" or first.label != answer.label

    def rows_of(self, part: Part) -> NDArray[np.int64]:
        """Return the rows of the frozen labels that belong to a part."""
        if part == ALL:
            return np.arange(len(self.frozen))
        codes, names = (
            (self.frozen.label_code, self.frozen.names)
            if part.kind == "class"
            else (self.frozen.source_code, self.frozen.sources)
        )
        return np.flatnonzero(codes == names.index(part.name)) if part.name in names else np.empty(0, np.int64)

    def upcoming(self, part: Part) -> Iterator[int]:
        """Yield the images that are drawn next along the order of a part."""
        order = self._orders.get(part)
        if order is None:
            rows = self.rows_of(part)
            salt = order_salt(self.record.ledger_hash, self.record.number, part)
            order = self._orders[part] = _Order(rows[along(self.frozen.image_ids[rows], salt)])
        while order.start < len(order.rows) and self.seen[order.rows[order.start]]:
            order.start += 1
        for row in order.rows[order.start :]:
            if not self.seen[row]:
                yield int(self.frozen.image_ids[row])
