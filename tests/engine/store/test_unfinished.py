"""What is too long for one transaction is written down, done in parts, and finished at the next start if need be."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from engine.errors import ConfigError, ImportRefused, LedgerError
from engine.records.imports import FoundImage, Refusal
from engine.records.labels import Ack, Decision
from engine.records.quality import FrozenLabels
from engine.store import Store, long_jobs, unfinished
from engine.store.facts import batch_id
from tests.engine.store.store_samples import found, start_python

PART = 10


class Killed(BaseException):
    """Ends a process in the midst of what it does."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "PART", PART)
    monkeypatch.setattr(long_jobs, "PAUSE", 0.0)


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the caller of a long job die after so many of its parts."""

    def after(parts: int) -> None:
        done: list[float] = []

        def die(*_: object) -> None:
            done.append(1)
            if len(done) >= parts:
                raise Killed

        monkeypatch.setattr(*((long_jobs.time, "sleep") if parts else (long_jobs, "carry_out")), die)

    return after


def pictures(count: int, label: str | None = None) -> list[FoundImage]:
    return [found(f"more/{number}.png", label) for number in range(count)]


def add(store: Store, count: int = 45, label: str | None = None) -> None:
    store.add_import("more", "flat", pictures(count, label), ["cat"], [])


def accepted(store: Store, batch: str, count: int = 45) -> list[Decision]:
    return [Decision(f"{batch}/{n}", n, 0, "accept", "cat", confidence=0.5) for n in range(9, 9 + count)]


def commits(store: Store) -> list[int]:
    """The head of the ledger after each commit from now on."""
    heads: list[int] = []
    assert store._database.writers is not None
    event.listen(store._database.writers, "commit", lambda _: heads.append(store.head_seq()))
    return heads


def pending(store: Store) -> list[str]:
    return [job.kind for job in store._read(unfinished.read_jobs)]


def test_a_large_import_gives_way_to_decisions_between_its_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that is made in the midst of it is recorded in the midst of it, not after it."""
    acks: list[Ack] = []

    def decide(_: float) -> None:
        if len(acks) < 2:
            acks.extend(store.record([Decision(f"u{len(acks)}", 5 + len(acks), 0, "label", "dog")]))

    monkeypatch.setattr(long_jobs.time, "sleep", decide)
    store.add_import("more", "flat", pictures(45, "cat"), ["cat"], [])
    assert [ack.status for ack in acks] == ["saved", "saved"]
    actions = [entry.action for entry in store.entries()][2:]
    assert actions.index("label") < actions.index("import", actions.index("label"))
    assert Counter(actions) == {"import": 45, "label": 2}
    assert (store.counts().labeled, pending(store), store.verify()) == (49, [], [])


@pytest.mark.parametrize("what", ["import", "accept", "undo", "record"])
def test_no_transaction_holds_more_than_a_part(store: Store, what: str) -> None:
    if what != "import":
        add(store)
    if what == "undo":
        store.record_batch(accepted(store, "b"), "b")
    heads = [store.head_seq()]
    later = commits(store)
    match what:
        case "import":
            add(store, label="cat")
        case "accept":
            store.record_batch(accepted(store, "b"), "b")
        case "undo":
            store.undo("z", "local", "b")
        case "record":
            store.record(accepted(store, "b"))
    heads += [*later, store.head_seq()]
    assert heads[-1] - heads[0] == 45
    assert max(after - before for before, after in pairwise(heads)) <= PART
    assert (pending(store), store.verify()) == ([], [])


def test_a_large_batch_is_answered_as_a_small_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store)
    facts = {"kind": "threshold", "threshold": 0.5}
    batch = batch_id("rule", facts)
    decisions = accepted(store, batch)
    decisions[3] = replace(decisions[3], confidence=7.0)
    decisions[20] = replace(decisions[20], base_version=40)
    decisions[30] = replace(decisions[30], label="owl")
    acks = store.record_batch(decisions, batch, facts)
    assert [ack.uid for ack in acks] == [one.uid for one in decisions]
    odd = {at: ack.status for at, ack in enumerate(acks) if ack.status != "saved"}
    assert odd == {3: "refused", 20: "conflict", 30: "refused"}
    assert store.batch_facts() == {batch: facts}
    [info] = store.batches()
    assert (info.batch, info.decisions) == (batch, 42)
    back = store.undo("z", "local", batch)
    assert Counter(ack.status for ack in back) == {"saved": 42}
    assert [entry.batch for entry in store.entries()][-42:] == ["z"] * 42
    assert Counter(ack.status for ack in store.undo("z", "local", batch)) == {"duplicate": 42}
    assert store.counts().labeled == 2
    assert store.verify() == []


def test_a_batch_whose_id_does_not_fit_its_facts_saves_nothing(store: Store) -> None:
    add(store)
    with pytest.raises(ConfigError, match="must hold their digest"):
        store.record_batch(accepted(store, "b"), "b", {"kind": "threshold"})
    assert (store.head_seq(), pending(store)) == (2, [])


@pytest.mark.parametrize("parts", [0, 1, 3, 5])
def test_an_accept_that_was_cut_off_is_finished_at_the_next_start_and_told(
    store: Store, url: str, killed_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    add(store)
    killed_after(parts)
    with pytest.raises(Killed):
        store.record_batch(accepted(store, "b"), "b")
    store.close()
    with Store.open(url, read_only=True) as reader:
        assert pending(reader) == ["batch"]
    monkeypatch.undo()
    with Store.open(url) as again:
        assert again.counts().labeled == 47
        assert [(info.batch, info.decisions) for info in again.batches()] == [("b", 45)]
        assert "recording the batch “b”" in again.finished[0]
        assert (pending(again), again.verify()) == ([], [])
        assert {ack.status for ack in again.undo("z", "local", "b")} == {"saved"}
    with Store.open(url) as later:
        assert later.finished == ()


@pytest.mark.parametrize("parts", [0, 1, 4, 6])
def test_an_import_that_was_cut_off_is_finished_at_the_next_start(
    store: Store, url: str, tmp_path: Path, killed_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch,
    parts: int,
) -> None:  # fmt: skip
    given = [
        replace(one, label="owl" if at % 2 else None, truth="cat", group=f"scene {at // 4}", test=at == 7, split="val")
        for at, one in enumerate(pictures(45))
    ]
    given.append(replace(found("copy.png", "dog", content="train/0.png"), copies=("copy/again.png",)))
    refused = [Refusal("d.txt", "not an image")]
    killed_after(parts)
    with pytest.raises(Killed):
        store.add_import("more", "flat", given, ["owl"], refused)
    store.close()
    monkeypatch.undo()
    with Store.open(url) as again, Store.create(f"sqlite:///{tmp_path / 'whole.db'}", "demo") as whole:
        labels = ["cat", "dog"] + [None] * 6
        first = [found(f"train/{number}.png", label) for number, label in enumerate(labels)]
        whole.add_import("folder", "class tree", first, ["cat", "dog", "fox"], [])
        whole.add_import("more", "flat", given, ["owl"], refused)
        for read in ("images", "classes", "truth", "group_names", "given_splits", "other_names", "counts"):
            assert getattr(again, read)() == getattr(whole, read)()
        assert again.test_split().tolist() == whole.test_split().tolist() == [16]
        assert [(one.images, one.groups) for one in again.groups_set()] == [(45, 12)]
        assert len(again.finished) == 1
        assert (pending(again), again.verify()) == ([], [])


def test_an_import_that_is_refused_leaves_nothing_written_down(store: Store) -> None:
    with pytest.raises(ImportRefused, match="not among the confirmed classes"):
        store.add_import("more", "flat", pictures(45, "owl"), ["bee"], [])
    with pytest.raises(ConfigError, match="name of a group"):
        store.add_import("more", "flat", [*pictures(44), replace(found("x"), group="a\nb")], [], [])
    assert (len(store.image_ids()), store.classes(), pending(store)) == (8, ("cat", "dog", "fox"), [])


def audited(store: Store) -> tuple[str, dict[str, object], list[Decision]]:
    """Open an audit; return the batch and facts that it ends with, and what it is to let in."""
    add(store)
    frozen = FrozenLabels(np.array([1, 2]), np.zeros(2, np.int32), np.zeros(2, np.int8), ("cat",), ("imported",))
    store.add_audit(actor="ann", scope="export", alpha=0.05, frozen=frozen, ledger_seq=store.head_seq())
    facts: dict[str, object] = {"kind": "audit", "audit": 1, "bound": 0.25}
    batch = batch_id("audit-1", facts)
    return batch, facts, accepted(store, batch)


def test_what_an_audit_lets_in_is_recorded_in_parts_with_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, facts, decisions = audited(store)
    decisions[2] = replace(decisions[2], base_version=1)
    told: list[str] = []

    def reopen(_: float) -> None:
        with pytest.raises(LedgerError) as error:
            store.reopen_audit(1)
        told.append(str(error.value))

    monkeypatch.setattr(long_jobs.time, "sleep", reopen)
    acks = store.accept_audit(1, decisions, batch, facts)
    assert Counter(ack.status for ack in acks) == {"saved": 44, "conflict": 1}
    assert len(told) == 5, "nobody can open it again in the midst of it"
    [audit] = store.audits()
    assert (audit.state, audit.batch, audit.facts) == ("closed", batch, facts)
    assert store.batch_facts() == {batch: facts}
    assert (pending(store), store.verify()) == ([], [])


@pytest.mark.parametrize("parts", [0, 2])
def test_what_an_audit_lets_in_is_finished_at_the_next_start(
    store: Store, url: str, killed_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    batch, facts, decisions = audited(store)
    killed_after(parts)
    with pytest.raises(Killed):
        store.accept_audit(1, decisions, batch, facts)
    store.close()
    monkeypatch.undo()
    with Store.open(url) as again:
        assert (again.audits()[0].batch, again.counts().labeled, again.verify()) == (batch, 47, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "owl"}, "no class 'owl'"),
        ({"image_id": 99}, "no image 99"),
        ({"confidence": 2.0}, "confidence"),
        ({"uid": "used"}, "used for another"),
    ],
)
def test_an_audit_of_which_a_label_is_refused_lets_none_in(
    store: Store, change: dict[str, object], message: str
) -> None:
    batch, facts, decisions = audited(store)
    store.record([Decision("used", 5, 0, "label", "cat")])
    decisions[40] = replace(decisions[40], **change)
    with pytest.raises(LedgerError, match=f"1 of 45 labels of the audit were refused.*{message}"):
        store.accept_audit(1, decisions, batch, facts)
    assert (store.audits()[0].state, store.counts().labeled, pending(store)) == ("open", 3, [])


def test_an_undo_that_was_cut_off_is_finished_at_the_next_start(
    store: Store, url: str, killed_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    store.record_batch(accepted(store, "b"), "b")
    killed_after(2)
    with pytest.raises(Killed):
        store.undo("z", "local", "b")
    assert store.counts().labeled == 27
    store.close()
    monkeypatch.undo()
    with Store.open(url) as again:
        assert (again.counts().labeled, pending(again), again.verify()) == (2, [], [])
        assert len({entry.uid for entry in again.entries() if entry.action == "undo"}) == 45


def test_a_batch_that_is_taken_back_before_its_end_goes_no_further(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    back: list[Ack] = []

    def take_back(_: float) -> None:
        if not back:
            back.append(Ack("", "saved"))
            back.extend(store.undo("z", "local", "b"))

    monkeypatch.setattr(long_jobs.time, "sleep", take_back)
    acks = store.record_batch(accepted(store, "b"), "b")
    assert len(back) == 1 + PART
    assert Counter(ack.status for ack in acks) == {"saved": PART, "conflict": 35}
    assert "taken back" in acks[-1].message
    assert (store.counts().labeled, pending(store), store.verify()) == (2, [], [])


def test_two_processes_that_do_one_job_do_each_part_once(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens the project in the midst of an import or an accept helps with it; each is answered in full."""
    opened: list[Store] = []

    def open_another(_: float) -> None:
        if not opened:
            opened.append(store)  # from here on nobody opens one
            Store.open(url).close()

    monkeypatch.setattr(long_jobs.time, "sleep", open_another)
    result = store.add_import("more", "flat", [*pictures(45, "cat"), found("train/0.png", "dog")], ["cat"], [])
    assert (result.added, result.already_there, result.labels_added, len(result.differing)) == (45, 1, 45, 1)
    opened.clear()
    decisions = [Decision(f"b/{n}", n, n - 6, "correct", "dog") for n in range(9, 54)]
    assert Counter(ack.status for ack in store.record_batch(decisions, "b")) == {"saved": 45}
    opened.clear()
    assert Counter(ack.uid for ack in store.undo("z", "local", "b")) == {"z": 45}
    assert Counter(entry.action for entry in store.entries()) == {"import": 47, "correct": 45, "undo": 45}
    assert (pending(store), store.verify()) == ([], [])


def test_a_full_disk_in_the_midst_is_told_and_the_rest_done_at_the_next_start(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    write, calls = store._write, []

    def fail(work: Callable[..., object]) -> object:
        calls.append(work)
        if len(calls) == 4:
            raise LedgerError("not saved: the disk is full", way_out="Free some space, then do it again.")
        return write(work)

    monkeypatch.setattr(store, "_write", fail)
    with pytest.raises(LedgerError, match=r"saved in part, 20 of about 50: not saved: the disk is full.*open the proj"):
        store.record_batch(accepted(store, "b"), "b")
    monkeypatch.undo()
    store.close()
    with Store.open(url) as again:
        assert (again.counts().labeled, again.verify()) == (47, [])


def test_a_job_that_cannot_be_finished_keeps_nobody_out(
    store: Store, url: str, killed_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    killed_after(0)
    with pytest.raises(Killed):
        store.record_batch(accepted(store, "b"), "b")
    store.close()
    monkeypatch.undo()

    def fail(*_: object) -> None:
        raise LedgerError("not saved: the disk is full")

    monkeypatch.setattr(long_jobs, "_do", fail)
    with Store.open(url) as again:
        assert "could not be finished" in again.finished[0]
        assert "disk is full" in again.finished[0]


IMPORTER = """
import sys
from engine.store import Store, unfinished
from tests.engine.store.store_samples import found
unfinished.PART = 20
store = Store.open(sys.argv[1])
images = [found(f"more/{number}.png", "cat") for number in range(3000)]
print("go", flush=True)
store.add_import("more", "flat", images, ["cat"], [])
print("done", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("parts", [2, 30])
def test_an_import_that_is_killed_is_whole_after_the_next_start(store: Store, url: str, parts: int) -> None:
    with start_python(IMPORTER, url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        while len(store.image_ids()) < 8 + 20 * parts:
            [ack] = store.record([Decision(f"u{time.monotonic()}", 5, store.label_table().version[4], "label", "fox")])
            assert ack.status == "saved"
        process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == ""
    assert len(store.image_ids()) < 3008
    store.close()
    with Store.open(url) as again:
        assert (len(again.image_ids()), again.counts().labeled) == (3008, 3003)
        assert (pending(again), again.verify()) == ([], [])


@pytest.mark.speed
@pytest.mark.timeout(900)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same process", "another process"])
@pytest.mark.parametrize("what", ["import", "accept"])
def test_no_decision_waits_a_second_beside_a_hundred_thousand(
    url: str, what: str, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    ended, waits = threading.Event(), list[float]()
    code = BESIDE.replace("WHAT", what)
    with Store.create(url, "demo") as store:
        old = [found(f"old/{number}.png") for number in range(100_100 if what == "accept" else 100)]
        store.add_import("old", "flat", old, ["cat"], [])

        def decide() -> None:
            for number in range(10**6):
                if ended.is_set():
                    return
                began = time.perf_counter()
                [ack] = store.record([Decision(f"u{number}", 1 + number % 100, 0, "flag")])
                assert ack.status in ("saved", "conflict")
                waits.append(time.perf_counter() - began)
                time.sleep(0.05)

        person = threading.Thread(target=decide)
        person.start()
        if elsewhere:
            with start_python(code, url) as process:
                assert process.wait() == 0
        else:
            exec(code, {"url": url, "store": store})
        ended.set()
        person.join()
    assert len(waits) > 20
    assert max(waits) < 1.0


BESIDE = """
import sys
from engine.records.labels import Decision
from engine.store import Store
from tests.engine.store.store_samples import found
opened = globals().get("store") or Store.open(sys.argv[1])
if "WHAT" == "import":
    images = [found(f"more/{number}.png", "cat") for number in range(100_000)]
    assert opened.add_import("more", "flat", images, ["cat"], []).added == 100_000
else:
    decisions = [Decision(f"b/{n}", n, 0, "accept", "cat", confidence=0.5) for n in range(101, 100_101)]
    assert all(ack.status == "saved" for ack in opened.record_batch(decisions, "b"))
"""
