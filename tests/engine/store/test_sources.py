"""Where a label in force comes from and who saw the image: for what is recorded now, and for ledgers of before."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from engine.records.labels import ACCEPTED, Decision, LabelState
from engine.store import Store, migrate
from engine.store.chain import entry_hash
from engine.store.database import GENESIS, HEAD_KEY
from engine.store.facts import batch_id
from tests.engine.store.store_samples import found

Make = Callable[..., Decision]
FIXTURE = Path(__file__).parent / "fixtures" / "sources_0003.sql"

BEFORE_0005 = {
    1: ("cat", "imported", False),  # flagged
    2: ("dog", "imported", False),
    3: ("fox", "confirmed", True),  # skipped by someone else since
    4: ("fox", "confirmed", True),  # untimed and alone; rejected, which was taken back
    5: ("fox", "accepted_in_batch", False),  # flagged alone
    6: ("fox", "accepted_in_batch", False),  # mended, which was taken back
    7: ("dog", "human", False),  # corrected among others
    8: ("fox", "accepted_in_batch", False),  # a batch of one, as the map makes it
    9: ("fox", "confirmed", True),  # timed, in a batch
    10: ("fox", "confirmed", True),  # of the sample of the audit
    11: ("fox", "accepted_by_threshold", False),  # let in by the audit; flagged
    12: ("fox", "accepted_by_threshold", False),  # let in by the audit; mended, which was taken back
    13: ("cat", "human", True),  # alone; flagged in a batch
    14: ("cat", "human", False),  # labeled among others
    15: (None, None, False),
    16: (None, None, False),
}


def said(state: LabelState) -> tuple[str | None, str | None, bool]:
    return state.label, state.source, state.reviewed


@pytest.fixture
def old(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        connection.executescript(FIXTURE.read_text())
    return f"sqlite:///{tmp_path / 'project.db'}"


def test_an_older_ledger_says_who_saw_each_image_and_stays_as_it_was_written(old: str, tmp_path: Path) -> None:
    columns = "seq, source, reviewed, prev_hash, hash"
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        before = connection.execute(f"SELECT {columns} FROM annotations ORDER BY seq").fetchall()
    with Store.open(old) as store:
        assert {state.image_id: said(state) for state in store.states()} == BEFORE_0005
        assert {number: said(state) for number, state in store.states_at(store.head_seq()).items()} == BEFORE_0005
        table = store.label_table()
        read = zip(table.label.tolist(), table.source.tolist(), table.reviewed.tolist(), strict=True)
        assert dict(zip(table.image_ids.tolist(), read, strict=True)) == BEFORE_0005
        assert store.verify() == []
        assert {entry.source for entry in store.entries()} == {None, "imported", "human", "accepted"}
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        assert connection.execute(f"SELECT {columns} FROM annotations ORDER BY seq").fetchall() == before


def test_accepted_labels_of_before_keep_their_round_and_confidence(old: str) -> None:
    with Store.open(old) as store:
        states = {state.image_id: (state.round, state.confidence) for state in store.states()}
        assert {states[number] for number in (3, 4, 5, 6, 8, 9, 10, 11, 12)} == {(1, 0.75)}
        assert {states[number] for number in (1, 7, 13, 14)} == {(None, None)}


def test_an_older_projection_that_is_lost_is_rebuilt_to_the_same(old: str) -> None:
    with Store.open(old) as store:
        states = store.states()
        store._write(lambda connection: connection.exec_driver_sql("DELETE FROM current_labels"))
        store.rebuild_projection()
        assert store.states() == states


def test_marks_and_undos_made_now_keep_what_an_older_decision_was(old: str) -> None:
    with Store.open(old) as store:
        versions = {state.image_id: state.version for state in store.states()}
        marks = [Decision(f"m{n}", n, versions[n], "unsure", actor="cleo") for n in (3, 8, 12)]
        assert [said(ack.state) for ack in store.record(marks) if ack.state] == [BEFORE_0005[n] for n in (3, 8, 12)]
        [ack] = store.undo("z9", "cleo")
        assert ack.state is not None
        assert said(ack.state) == BEFORE_0005[12]
        acks = store.undo("z10", "cleo", "page", anyones=True)
        assert {ack.state.image_id: said(ack.state) for ack in acks if ack.state and ack.status == "saved"} == {
            6: (None, None, False),
            7: (None, None, False),
        }
        assert {entry.source for entry in store.history(limit=4)} <= {None, "accepted_by_threshold"}
        assert store.verify() == []


def test_counts_of_now_and_of_before_are_by_literal_sources(old: str) -> None:
    with Store.open(old) as store:
        counts = store.counts()
        numbers = Counter(source for _, source, _ in BEFORE_0005.values() if source)
        assert {name: getattr(counts, name) for name in numbers} == dict(numbers)
        assert (counts.labeled, counts.unlabeled, counts.marked) == (14, 2, 7)
        assert store.counts_at(store.head_seq()) == {
            name: getattr(counts, name) for name in counts.__dataclass_fields__
        }
        assert store.counts_at(5)["confirmed"] == 2


@pytest.mark.parametrize(
    ("shown", "source", "reviewed"),
    [
        ({}, "confirmed", True),
        ({"seconds": 1.5}, "confirmed", True),
        ({"batch": "page", "seconds": 1.5}, "confirmed", True),
        ({"batch": "page", "seen_seconds": 1.5}, "accepted_in_batch", False),
        ({"batch": "page", "seen_seconds": 0.0}, "accepted_by_threshold", False),
        ({"batch": "page"}, "accepted_by_threshold", False),  # nobody says that it was on a screen
        ({"seen_seconds": 2.0}, "accepted_in_batch", False),
    ],
)
def test_a_prediction_accepted_now_says_how_its_image_was_seen(
    store: Store, decide: Make, shown: dict[str, object], source: str, reviewed: bool
) -> None:
    accept, correct = decide("u1", 5, "accept", "fox", **shown), decide("u2", 6, "correct", "dog", **shown)
    states = [ack.state for ack in store.record([accept, correct]) if ack.state]
    assert [(state.source, state.reviewed) for state in states] == [(source, reviewed), ("human", reviewed)]
    assert [entry.source for entry in store.history(limit=2)] == ["human", source]
    assert store.states([5, 6]) == states
    assert store.verify() == []


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), "2"])
def test_seconds_on_the_screen_are_a_number_from_0_up(store: Store, decide: Make, wrong: object) -> None:
    [ack] = store.record([decide("u1", 5, "accept", "fox", batch="page", seen_seconds=wrong)])
    assert (ack.status, ack.message) == ("refused", "the seconds are not a number from 0 up")


def test_an_image_is_not_in_front_alone_and_a_tile_at_once(store: Store, decide: Make) -> None:
    [ack] = store.record([decide("u1", 5, "accept", "fox", seconds=1.0, seen_seconds=1.0)])
    assert ack.status == "refused"
    assert "only one of seconds and seen_seconds" in ack.message


@pytest.mark.parametrize("change", ["seen_seconds = 9.5", "seen_seconds = NULL"])
def test_changed_seconds_on_the_screen_break_the_chain(store: Store, decide: Make, tmp_path: Path, change: str) -> None:
    store.record([decide("u1", 5, "accept", "fox", batch="page", seen_seconds=1.5), decide("u2", 6)])
    assert store.verify() == []
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection, connection:
        connection.execute(f"UPDATE annotations SET {change} WHERE seq = 3")
    assert store.verify() == ["ledger entry 3: its content does not match its hash"]


def test_who_was_not_there_is_not_said_to_disagree(store: Store, decide: Make) -> None:
    for number, seconds in ((5, 0.0), (6, 2.0)):
        store.record([decide(f"u{number}", number, "accept", "cat", actor="anna", batch="b", seen_seconds=seconds)])
        store.record([decide(f"v{number}", number, "correct", "dog", actor="ben")])
    assert [image_id for image_id, _ in store.relabeled()] == [6]


def test_tiles_are_unseen_singly_and_say_nothing_of_pace(store: Store, decide: Make) -> None:
    store.record_batch([decide("u1", 5, "accept", "fox", seen_seconds=3.0, round=1)], "page")
    store.record([decide("u2", 6, "accept", "fox", seconds=3.0, round=1)])
    assert [number for number in store.unseen().tolist() if number > 2] == [5]
    assert [str(seconds) for seconds in store.timings().seconds.tolist()] == ["nan", "3.0"]


# --- properties ---------------------------------------------------------------------------------------------

SIZE = 8
IMAGES = st.integers(1, SIZE)
SHOWN = st.sampled_from(
    [{}, {"seconds": 1.0}, {"seen_seconds": 2.0}, {"seen_seconds": 0.0}, {"batched": True}, {"rule": True}]
)
Step = tuple[str, int, dict[str, object]]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["label", "correct", "accept"]), IMAGES, SHOWN),
        st.tuples(st.sampled_from(["skip", "flag", "reject", "unsure"]), IMAGES, st.just({})),
        st.tuples(st.just("undo"), IMAGES, st.just({})),
    ),
    min_size=10,
    max_size=40,
)
FACTS = {"kind": "audit", "audit": 1, "bound": 0.25}


class Expected:
    """What each image's label is by the words of engine.records.labels, kept in the simplest way: a stack an image."""

    def __init__(self, *, measured: bool = True) -> None:
        self.measured = measured
        self.stacks: dict[int, list[tuple[str | None, bool]]] = {
            number: [(None, False)] for number in range(1, SIZE + 1)
        }

    def give(self, action: str, number: int, shown: dict[str, object]) -> None:
        alone = not shown or "seconds" in shown
        seen = bool(shown.get("seen_seconds")) if self.measured else "rule" not in shown
        accepted = "confirmed" if alone else "accepted_in_batch" if seen else "accepted_by_threshold"
        self.stacks[number].append((accepted if action == "accept" else "human", alone))

    def mark(self, number: int) -> None:
        self.stacks[number].append(self.stacks[number][-1])

    def undo(self, number: int) -> bool:
        if len(self.stacks[number]) == 1:
            return False
        self.stacks[number].pop()
        return True


def play(store: Store, steps: list[Step], expected: Expected) -> list[tuple[str | None, bool]]:
    """Record the steps; return what each image's label should be: its source, and whether it is reviewed."""
    uids = {number: [""] for number in range(1, SIZE + 1)}
    for turn, (action, number, shown) in enumerate(steps):
        uid = f"s{turn}"
        if action == "undo":
            if expected.undo(number):
                store.undo(f"z{turn}", "anna", uids[number].pop())
            continue
        version = {state.image_id: state.version for state in store.states([number])}.get(number, 0)
        times = {name: value for name, value in shown.items() if name not in ("batched", "rule")}
        label = "cat" if action in ("label", "correct", "accept") else None
        decision = Decision(uid, number, version, action, label, "anna", **times)  # type: ignore[arg-type]
        if shown.get("rule"):
            facts = {**FACTS, "turn": turn}
            store.record_batch([decision], batch_id("audit-1", facts), facts)
        elif shown.get("batched") or "seen_seconds" in shown:
            store.record_batch([decision], f"page-{turn}")
        else:
            store.record([decision])
        uids[number].append(uid)
        if label is None:
            expected.mark(number)
        else:
            expected.give(action, number, shown)
    return [stack[-1] for stack in expected.stacks.values()]


@settings(max_examples=12, deadline=None)
@given(steps=STEPS)
def test_whatever_is_done_each_label_says_how_it_was_given_and_the_chain_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    folder = tmp_path_factory.mktemp("project")
    with Store.create(f"sqlite:///{folder / 'project.db'}", "made") as store:
        store.add_import("folder", "class tree", [found(f"{n}.png") for n in range(SIZE)], ["cat"], [])
        expected = play(store, steps, Expected())
        assert in_force(store) == expected
        assert not any(reviewed and source in ACCEPTED[1:] for source, reviewed in expected)
        states = {state.image_id: state for state in store.states()}
        assert store.states_at(store.head_seq()) == states
        counts = store.counts()
        assert counts.labeled == sum(source is not None for source, _ in expected)
        assert store.counts_at(store.head_seq())["confirmed"] == counts.confirmed
        assert store.verify() == []
        store.rebuild_projection()
        assert {state.image_id: state for state in store.states()} == states


def in_force(store: Store) -> list[tuple[str | None, bool]]:
    table = store.label_table()
    return list(zip(table.source.tolist(), table.reviewed.tolist(), strict=True))


def write_as_before_0005(new: Path, old: Path) -> None:
    """Write a project as the revision before 0005 would have: one source for all accepted, every label reviewed."""
    revision = ScriptDirectory(str(Path(migrate.__file__).with_name("migrations"))).get_revision("0005")
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as empty:
        migrate.upgrade(empty, str(revision.down_revision))
    engine.dispose()
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.row_factory = sqlite3.Row
        connection.execute("ATTACH ? AS new", (str(new),))
        tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        for name in {row["name"] for row in tables} - {"alembic_version"}:
            columns = ", ".join(f'"{row["name"]}"' for row in connection.execute(f'PRAGMA main.table_info("{name}")'))
            connection.execute(f'INSERT INTO main."{name}" ({columns}) SELECT {columns} FROM new."{name}"')
        digest = GENESIS
        for row in [dict(one) for one in connection.execute("SELECT * FROM main.annotations ORDER BY seq")]:
            row |= {"prev_hash": digest, "seen_seconds": None, "reviewed": int(row["label"] is not None)}
            row["source"] = "accepted" if row["source"] in ACCEPTED else row["source"]
            digest = entry_hash(row)
            connection.execute(
                "UPDATE main.annotations SET source = ?, reviewed = ?, prev_hash = ?, hash = ? WHERE seq = ?",
                (row["source"], row["reviewed"], row["prev_hash"], digest, row["seq"]),
            )
            connection.execute(
                "UPDATE main.current_labels SET source = ?, reviewed = ? WHERE version = ?",
                (row["source"], row["reviewed"], row["seq"]),
            )
            head = f"{row['seq']}:{digest}"
            connection.execute("UPDATE main.meta SET value = ? WHERE key = ?", (head, HEAD_KEY))


@settings(max_examples=8, deadline=None)
@given(steps=STEPS)
def test_whatever_an_older_ledger_holds_is_read_as_it_was_done(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    folder = tmp_path_factory.mktemp("project")
    unmeasured = [
        (action, number, {"batched": True} if "seen_seconds" in shown else shown) for action, number, shown in steps
    ]
    with Store.create(f"sqlite:///{folder / 'project.db'}", "made") as store:
        store.add_import("folder", "class tree", [found(f"{n}.png") for n in range(SIZE)], ["cat"], [])
        expected = play(store, unmeasured, Expected(measured=False))
    write_as_before_0005(folder / "project.db", folder / "old.db")
    with Store.open(f"sqlite:///{folder / 'old.db'}") as store:
        assert in_force(store) == expected
        assert store.verify() == []
