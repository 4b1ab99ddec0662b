"""The machine's clock jumps while people decide: the ledger goes by its own numbers and never by the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from engine.records.labels import Decision
from engine.store import Store, rows

JUMPS = [timedelta(), timedelta(days=3650), timedelta(hours=-1), timedelta(days=-9000), timedelta(minutes=5)]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Set the clock that times what is stored so far from the right time."""
    off = [timedelta()]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + off[0]

    def to(by: timedelta) -> None:
        off[0] = by

    monkeypatch.setattr(rows, "datetime", Clock)
    return to


def test_what_is_in_force_undone_and_listed_is_the_last_by_number(
    store: Store, decide: Callable[..., Decision], jump: Callable[[timedelta], None], url: str
) -> None:
    labels = ["cat", "dog", "fox", "cat", "dog"]
    for number, (by, label) in enumerate(zip(JUMPS, labels, strict=True)):
        jump(by)
        action = "label" if number == 0 else "correct"
        [ack] = store.record([decide(f"u{number}", 3, action, label=label)])
        assert ack.status == "saved"
    times = [entry.time for entry in store.entries() if entry.image_id == 3]
    assert times != sorted(times), "the clock jumped"
    jump(JUMPS[3])
    [batch] = {ack.status for ack in store.record_batch([decide(f"b{n}", n, label="fox") for n in (4, 5)], "batch")}
    assert batch == "saved"

    assert [info.batch for info in store.batches(10)] == ["batch"]
    assert len(store.undo("undo-batch", "local", "batch")) == 2
    for label in reversed(labels[:-1]):  # each time the last thing done, whenever that was
        [ack] = store.undo(f"undo-{ack.seq}-{label}", "local")
        assert ack.state is not None
        assert ack.state.label == label
    assert store.verify() == []
    store.close()
    with Store.open(url) as again:
        assert again.verify() == []
        assert [state.label for state in again.states([3])] == ["cat"]
