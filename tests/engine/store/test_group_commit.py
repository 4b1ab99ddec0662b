"""Decisions that wait together are recorded by one call of the ledger, and nobody can tell it from one by one."""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, event, select

from engine.errors import StarlingError
from engine.quality.measured_set import order
from engine.records.labels import Asked, Decision, Suspected
from engine.records.quality import FrozenLabels
from engine.store import Store, audits, ledger, measured
from engine.store.schema import metadata
from tests.engine.store.store_samples import found

Call = tuple[str, tuple[Any, ...]]
"""What one caller asks of the store: a method and its arguments."""
IMAGES = 12


def answered(store: Store, call: Call) -> object:
    """The answer to a call, or what it says of itself when it refuses."""
    try:
        return getattr(store, call[0])(*call[1])
    except StarlingError as error:
        return f"{type(error).__name__}: {error}"


def together(store: Store, calls: Sequence[Call]) -> list[object]:
    """Make the calls, each in a thread of its own, in this order and so that they wait together."""
    assert store._writer is not None
    started, go = threading.Event(), threading.Event()
    answers: list[Future[object]] = [Future() for _ in calls]

    def hold_up(_: Connection) -> None:
        started.set()
        go.wait()

    threads = [threading.Thread(target=store._write, args=(hold_up,))]
    threads[0].start()
    started.wait()
    for at, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        make = lambda call=call, answer=answer: answer.set_result(answered(store, call))  # noqa: E731
        threads.append(threading.Thread(target=make))
        threads[-1].start()
        while store._writer._queue.qsize() <= at:
            assert not answer.done(), answer
    go.set()
    for thread in threads:
        thread.join()
    return [answer.result() for answer in answers]


def counted(store: Store, what: str, run: Callable[[], object]) -> int:
    """How many statements, or commits, the writer's connection had while something ran."""
    events: list[int] = []
    engine = store._database.writers
    assert engine is not None
    event.listen(engine, what, listener := lambda *_: events.append(1))
    run()
    event.remove(engine, what, listener)
    return len(events)


def test_a_group_of_decisions_takes_under_one_statement_each(store: Store) -> None:
    more = [found(f"more/{number}.png") for number in range(64)]
    store.add_import("folder", "flat", more, [], [])
    calls: list[Call] = [("record", ([Decision(f"u{n}", 9 + n, 0, "label", "cat")],)) for n in range(32)]
    statements = counted(store, "after_cursor_execute", lambda: together(store, calls))
    assert statements / len(calls) <= 0.6
    calls = [("record", ([Decision(f"v{n}", 41 + n, 0, "label", "cat")],)) for n in range(32)]
    assert counted(store, "commit", lambda: together(store, calls)) == 2  # what held them up, and all of them
    assert Counter(entry.action for entry in store.entries()) == {"import": 2, "label": 64}
    assert store.verify() == []


def test_answers_that_measure_are_drawn_in_a_few_statements_for_a_group(store: Store) -> None:
    store.begin_measured()
    along = measured_order(store)
    calls: list[Call] = [
        ("record", ([Decision(f"u{n}", one, version_of(store, one), "label", "cat", draws=(one,), blind=True)],))
        for n, one in enumerate(along)
    ]
    assert counted(store, "after_cursor_execute", lambda: together(store, calls)) < 24
    assert store.measured().image_ids.tolist() == along
    assert store.verify() == []


def test_one_whose_draw_is_wrong_is_refused_alone(store: Store) -> None:
    store.begin_measured()
    store.add_import("folder", "flat", [found("late.png")], [], [])  # is in no order
    first = measured_order(store)[0]
    calls: list[Call] = [
        ("record", ([Decision("u1", first, version_of(store, first), "label", "cat", draws=(first,))],)),
        ("record", ([Decision("u2", 9, 0, "label", "cat", draws=(9,))],)),
        ("record", ([Decision("u3", 9, 0, "label", "dog")],)),
    ]
    first_ack, refused, last_ack = together(store, calls)
    assert [ack.status for ack in [*first_ack, *last_ack]] == ["saved", "saved"]  # type: ignore[misc]
    assert "no order of the measured set" in str(refused)
    assert [entry.uid for entry in store.entries()][2:] == ["u1", "u3"]
    assert store.measured().image_ids.tolist() == [first]
    assert store.verify() == []


def test_decisions_on_one_image_that_wait_together_conflict_but_for_the_first(store: Store) -> None:
    calls: list[Call] = [("record", ([Decision(f"u{n}", 5, 0, "label", "cat")],)) for n in range(4)]
    calls.append(("record", ([Decision("u0", 5, 0, "label", "cat")],)))
    acks = [answer[0] for answer in together(store, calls)]  # type: ignore[index]
    assert [ack.status for ack in acks] == ["saved", "conflict", "conflict", "conflict", "duplicate"]
    assert {ack.state.version for ack in acks} == {3}


@pytest.mark.parametrize("seed", range(20))
def test_in_groups_everything_is_as_one_by_one(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (ledger, audits):
        monkeypatch.setattr(room, "now", lambda: "2026-01-01T00:00:00.000000+00:00")
    make(tmp_path / "alone.db")
    shutil.copy(tmp_path / "alone.db", tmp_path / "groups.db")
    rng = random.Random(seed)
    with (
        Store.open(f"sqlite:///{tmp_path / 'alone.db'}") as alone,
        Store.open(f"sqlite:///{tmp_path / 'groups.db'}") as groups,
    ):
        calls: list[Call] = []
        expected: list[object] = []
        for number in range(60):
            calls.append(asked_of(alone, rng, number, calls))
            expected.append(answered(alone, calls[-1]))
        answers: list[object] = []
        while len(answers) < len(calls):
            answers += together(groups, calls[len(answers) : len(answers) + rng.randint(1, 25)])
        assert answers == expected
        assert rows(groups) == rows(alone)
        flaws = [flaw for flaw in groups.verify() if not flaw.startswith(("measured set", "audit"))]
        assert flaws == []  # what is drawn here is drawn by lot, which those two say
        statuses = Counter(ack.status for acks in answers if isinstance(acks, list) for ack in acks)
        assert statuses["saved"] > 10
        assert min(statuses["conflict"], statuses["duplicate"], statuses["refused"]) > 0


def make(file: Path) -> None:
    """Twelve images, two of them labeled; an order of the measured set and an open audit of two labels."""
    with Store.create(f"sqlite:///{file}", "demo") as store:
        images = [found(f"{number}.png", "cat" if number < 2 else None) for number in range(IMAGES)]
        store.add_import("folder", "flat", images, ["cat", "dog"], [])
        store.begin_measured()
        frozen = FrozenLabels(np.array([1, 2]), np.zeros(2, np.int32), np.zeros(2, np.int8), ("cat",), ("imported",))
        store.add_audit(actor="ann", scope="export", alpha=0.05, frozen=frozen, ledger_seq=store.head_seq())


def rows(store: Store) -> dict[str, list[Any]]:
    """Every row of every table."""
    return {
        name: store._read(lambda connection, table=table: connection.execute(select(table)).all())
        for name, table in metadata.tables.items()
    }


def version_of(store: Store, image_id: int) -> int:
    return next((state.version for state in store.states([image_id])), 0)


def measured_order(store: Store) -> list[int]:
    """The images of the first order in its order."""
    first = store.measured_orders()[0]
    ids = store.image_ids()[store.image_ids() <= first.last_image]
    return order(ids, np.arange(len(ids)), first.salt).tolist()


def asked_of(store: Store, rng: random.Random, number: int, before: Sequence[Call]) -> Call:
    """A call of any kind, most of which fit what is in force; now and then one that an earlier caller made too."""
    chance = rng.random()
    if chance < 0.08:
        return "undo", (f"z{number}", rng.choice(("ann", "ben")), None)
    if chance < 0.11:
        return "add_class", (rng.choice(("owl", "fox")),)
    if chance < 0.14:
        return ("close_audit" if rng.random() < 0.5 else "reopen_audit"), (1,)
    if before and chance < 0.22:
        return rng.choice(before)
    decisions = [a_decision(store, rng, f"u{number}-{at}") for at in range(rng.choice((1, 1, 1, 3)))]
    if rng.random() < 0.15:
        return "record_batch", (decisions, f"batch {number}")
    return "record", (decisions,)


def a_decision(store: Store, rng: random.Random, uid: str) -> Decision:
    image_id = rng.choice((*range(1, IMAGES + 1), 99))
    base = version_of(store, image_id) if rng.random() < 0.8 else rng.randint(0, 5)
    action = rng.choice(("label", "accept", "correct", "reject", "skip", "flag", "dance"))
    decision = Decision(
        uid, image_id, base, action, rng.choice(("cat", "dog", "owl")), rng.choice(("ann", "ben", "import")),  # type: ignore[arg-type]
        seconds=rng.choice((None, 1.5)), confidence=rng.choice((None, 0.5, 2.0)) if rng.random() < 0.3 else None,
    )  # fmt: skip
    if decision.action in ("label", "accept", "correct", "dance") and rng.random() < 0.2:
        return replace(decision, asked=Asked(rng.choice((1, 1, 7)), "all", (image_id,)))
    if rng.random() < 0.3:
        drawn = (image_id, *(rng.choice((1, 2)) for _ in range(rng.randint(0, 1))))
        return replace(decision, draws=drawn, blind=True, suspected=(Suspected(image_id, "cat", 0.25),))
    return decision if decision.action in ("label", "accept", "correct", "dance") else replace(decision, label=None)


def test_the_draws_of_a_group_follow_each_other(store: Store) -> None:
    store.begin_measured()
    one, two, three = measured_order(store)[:3]
    drawings = [measured.Drawing((one, two), 4), measured.Drawing((two, three), 6, (Suspected(three, "cat", 0.5),))]
    store._write(lambda connection: measured.add_draws(connection, drawings))
    drawn = store.measured()
    assert (drawn.image_ids.tolist(), drawn.drawn_at.tolist()) == ([one, two, three], [4, 4, 6])
    assert (drawn.label.tolist(), drawn.suspicion[2]) == ([None, None, "cat"], 0.5)
