import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from engine.errors import RoundActive
from engine.records.labels import Ack, Decision
from engine.store import Store
from tests.engine.store.store_samples import start_python

RACER = """
import sys
from engine.records.labels import Decision
from engine.store import Store
url, name = sys.argv[1:]
saved = 0
with Store.open(url) as store:
    for turn in range(60):
        image_id = 5 + turn % 3
        version = next((state.version for state in store.states([image_id])), 0)
        [ack] = store.record([Decision(f"{name}-{turn}", image_id, version, "label", "fox", actor=name)])
        saved += ack.status == "saved"
print(saved)
"""


def assert_each_entry_follows_the_one_it_was_based_on(store: Store) -> None:
    versions: dict[int, int] = {}
    for entry in store.entries():
        assert entry.base_version == versions.get(entry.image_id, 0)
        versions[entry.image_id] = entry.seq


def test_threads_racing_on_the_same_images_never_overwrite_silently(store: Store) -> None:
    barrier = threading.Barrier(8)

    def edit(name: int) -> list[Ack]:
        acks = []
        barrier.wait()
        for turn in range(50):
            image_id = 5 + turn % 4
            version = next((state.version for state in store.states([image_id])), 0)
            label = ("cat", "dog", "fox")[name % 3]
            decision = Decision(f"{name}-{turn}", image_id, version, "label", label, actor=f"annotator {name}")
            acks += store.record([decision])
        return acks

    with ThreadPoolExecutor(8) as pool:
        acks = [ack for done in pool.map(edit, range(8)) for ack in done]
    statuses = Counter(ack.status for ack in acks)
    assert statuses.keys() <= {"saved", "conflict"}
    assert statuses["conflict"] > 0
    recorded = {entry.uid for entry in store.entries() if entry.action == "label"}
    assert recorded == {ack.uid for ack in acks if ack.status == "saved"}
    assert_each_entry_follows_the_one_it_was_based_on(store)
    assert store.verify() == []


def test_one_decision_sent_by_eight_threads_is_recorded_once(store: Store) -> None:
    decision = Decision("double click", 5, 0, "label", "fox")
    with ThreadPoolExecutor(8) as pool:
        acks = [ack for done in pool.map(lambda _: store.record([decision]), range(8)) for ack in done]
    assert Counter(ack.status for ack in acks) == {"saved": 1, "duplicate": 7}
    assert store.head_seq() == 3


def test_processes_that_write_at_once_keep_one_chain(store: Store, url: str) -> None:
    racers = [start_python(RACER, url, name) for name in ("anna", "ben", "cleo")]
    outputs = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], outputs
    assert sum(int(output) for output, _ in outputs) == store.head_seq() - 2
    assert_each_entry_follows_the_one_it_was_based_on(store)
    assert store.verify() == []


def test_of_two_rounds_queued_at_once_one_wins_a_hundred_times(store: Store, url: str) -> None:
    with Store.open(url) as other, ThreadPoolExecutor(2) as pool:
        for race in range(1, 101):
            barrier = threading.Barrier(2)

            def queue(opened: Store, barrier: threading.Barrier = barrier) -> str:
                barrier.wait()
                try:
                    opened.queue_round("supervised", {})
                except RoundActive:
                    return "refused"
                return "queued"

            assert sorted(pool.map(queue, (store, other))) == ["queued", "refused"]
            assert [record.number for record in store.rounds()] == list(range(1, race + 1))
            store.transition(race, "cancelled")
