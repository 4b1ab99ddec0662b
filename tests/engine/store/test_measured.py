"""The measured set in the store: orders that the ledger's head gives, images drawn with their answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, event, update

from engine.errors import ConfigError
from engine.quality.measured_set import order
from engine.records.labels import Decision
from engine.store import Store
from engine.store.measured import read_answers, salt_of
from engine.store.schema import measured_orders
from tests.engine.store.store_samples import found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(f"sqlite:///{tmp_path / 'project.db'}", "pets") as opened:
        opened.add_import("folder", "flat", [found(f"{n}.png") for n in range(1, 41)], ["cat", "dog"], [])
        yield opened


def along(store: Store) -> list[int]:
    """The images in the first order."""
    ids = store.image_ids()
    ids = ids[ids <= store.measured_orders()[0].last_image]
    return order(ids, np.arange(len(ids)), store.measured_orders()[0].salt).tolist()


def answer(store: Store, image_id: int, draws: list[int], uid: str = "") -> None:
    table = store.label_table()
    version = int(table.version[table.rows(np.array([image_id]))[0]])
    decision = Decision(uid or f"u{image_id}", image_id, version, "label", "cat", seconds=1.0, draws=tuple(draws))
    assert store.record([decision])[0].status == "saved"


def test_an_order_begins_once_for_the_images_of_each_import(store: Store) -> None:
    assert store.measured_orders() == []
    store.begin_measured()
    store.begin_measured()
    [first] = store.measured_orders()
    assert (first.last_image, first.salt) == (40, salt_of("0" * 64, 0))
    store.add_import("folder", "flat", [found(f"{n}.png") for n in range(41, 61)], [], [])
    store.begin_measured()
    assert [one.last_image for one in store.measured_orders()] == [40, 60]
    assert store.verify() == []


def test_the_ledger_gives_the_order_and_what_was_looked_at_before_is_told(store: Store) -> None:
    store.record([Decision("u1", 1, 0, "label", "cat")])
    store.begin_measured()
    assert store.measured_orders()[0].salt != salt_of("0" * 64, 0)
    assert store.measured().answers == 1


def test_an_answer_draws_its_image_and_those_before_it_once(store: Store) -> None:
    store.begin_measured()
    order_ids = along(store)
    answer(store, order_ids[0], order_ids[:1])
    answer(store, order_ids[2], order_ids[:3])
    drawn = store.measured()
    assert drawn.image_ids.tolist() == order_ids[:3]
    assert drawn.drawn_at.tolist() == [0, 1, 1]
    assert store.apart().tolist() == sorted(order_ids[:3])
    assert store.verify() == []


def test_a_refused_answer_draws_nothing(store: Store) -> None:
    store.begin_measured()
    first = along(store)[0]
    assert store.record([Decision("u", first, 7, "label", "cat", draws=(first,))])[0].status == "conflict"
    assert store.record([Decision("v", first, 0, "label", "wolf", draws=(first,))])[0].status == "refused"
    assert store.measured().image_ids.tolist() == []


def test_an_image_of_no_order_is_refused_with_its_answer(store: Store) -> None:
    with pytest.raises(ConfigError, match="in no order"):
        store.record([Decision("u", 1, 0, "label", "cat", draws=(1,))])
    assert not store.label_table().labeled.any()


def test_another_order_and_other_draws_are_found(store: Store) -> None:
    store.begin_measured()
    second, first = along(store)[1], along(store)[0]
    answer(store, second, [second])
    answer(store, first, [first])
    assert store.verify() == ["measured set: images of order 0 were not drawn along it"]
    store._write(lambda connection: connection.execute(update(measured_orders).values(salt=5)))
    assert store.verify() == ["measured set: order 0 is not the one that its ledger entry gives"]


def test_what_was_answered_is_found_without_reading_the_whole_ledger(store: Store) -> None:
    store.begin_measured()
    answer(store, along(store)[0], along(store)[:1])
    plans: list[str] = []

    def explained(connection: Connection) -> None:
        statements: list[tuple[str, object]] = []
        listen = lambda _c, _cursor, text, values, *_: statements.append((text, values))  # noqa: E731
        event.listen(connection, "before_cursor_execute", listen)
        read_answers(connection)
        event.remove(connection, "before_cursor_execute", listen)
        for text, values in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()  # type: ignore[call-overload]
            plans.extend(str(row[-1]) for row in plan)

    store._read(explained)
    assert any("annotations" in step for step in plans)
    assert [step for step in plans if step.startswith("SCAN annotations")] == []
