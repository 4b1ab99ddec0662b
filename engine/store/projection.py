"""What is in force for each image: a table that follows the ledger in its transaction and can be rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Subquery, delete, func, insert, select

from engine.records.labels import LabelState, ProjectCounts
from engine.store.rows import Row, chunks
from engine.store.schema import classes, current_labels, entries, images


def state_after(entry: Row) -> LabelState:
    """Return the state a ledger row put in force.

    Round and confidence belong to the state only where the label was accepted from a prediction; on other
    entries they tell what was on screen.
    """
    accepted = entry["source"] == "accepted"
    return LabelState(
        image_id=entry["image_id"],
        version=entry["seq"],
        label=entry["label"],
        source=entry["source"],
        round=entry["round"] if accepted else None,
        confidence=entry["confidence"] if accepted else None,
        reviewed=bool(entry["reviewed"]),
        mark=entry["mark"],
    )


def state_of(row: Row) -> LabelState:
    """Return the state held in one row of the projection."""
    return LabelState(
        image_id=row["image_id"],
        version=row["version"],
        label=row["label"],
        source=row["source"],
        round=row["round"],
        confidence=row["confidence"],
        reviewed=bool(row["reviewed"]),
        mark=row["mark"],
    )


def row_of(state: LabelState) -> dict[str, Any]:
    """Return the row of the projection that holds a state."""
    return {
        "image_id": state.image_id,
        "version": state.version,
        "label": state.label,
        "source": state.source,
        "round": state.round,
        "confidence": state.confidence,
        "reviewed": int(state.reviewed),
        "mark": state.mark,
    }


def read_states(connection: Connection, ids: Sequence[int] | None = None) -> list[LabelState]:
    """Return the states of the images that have entries, ascending by image; of all images or of `ids`."""
    query = select(current_labels).order_by(current_labels.c.image_id)
    if ids is None:
        return [state_of(row) for row in connection.execute(query).mappings()]
    wanted = sorted({int(number) for number in ids})
    return [
        state_of(row)
        for chunk in chunks(wanted)
        for row in connection.execute(query.where(current_labels.c.image_id.in_(chunk))).mappings()
    ]


def load_states(connection: Connection, ids: Iterable[int]) -> dict[int, LabelState]:
    """Return the state of each image that exists, version 0 where it has no entry; others are left out."""
    wanted = sorted(set(ids))
    states: dict[int, LabelState] = {}
    for chunk in chunks(wanted):
        for number in connection.scalars(select(images.c.id).where(images.c.id.in_(chunk))):
            states[number] = LabelState(image_id=number)
    states.update((state.image_id, state) for state in read_states(connection, wanted))
    return states


def read_states_at(connection: Connection, seq: int) -> dict[int, LabelState]:
    """Return what was in force once ledger entry `seq` was written, by image id; only images with an entry."""
    held = _entries_in_force(seq)
    query = select(held).order_by(held.c.image_id)
    return {row["image_id"]: state_after(row) for row in connection.execute(query).mappings()}


def read_labels_at(connection: Connection, seq: int) -> dict[int, str]:
    """Return the labels that were in force once ledger entry `seq` was written, by image id."""
    states = read_states_at(connection, seq)
    return {number: state.label for number, state in states.items() if state.label is not None}


def count(connection: Connection, seq: int | None = None) -> ProjectCounts:
    """Return how many images are in which state, now or once ledger entry `seq` was written.

    `per_class` lists every class in position order. The images and classes are those of now, also for an older state.
    """
    total = connection.scalar(select(func.count()).select_from(images)) or 0
    held = current_labels if seq is None else _entries_in_force(seq)
    state = held.c
    per_source = select(state.source, func.count()).where(state.label.is_not(None)).group_by(state.source)
    by_source: dict[str, int] = {source: number for source, number in connection.execute(per_source)}
    per_label = select(state.label, func.count()).group_by(state.label)
    by_label: dict[str, int] = {label: number for label, number in connection.execute(per_label)}
    marked = connection.scalar(select(func.count()).select_from(held).where(state.mark.is_not(None)))
    labeled = sum(by_source.values())
    return ProjectCounts(
        images=total,
        labeled=labeled,
        unlabeled=total - labeled,
        imported=by_source.get("imported", 0),
        human=by_source.get("human", 0),
        accepted=by_source.get("accepted", 0),
        marked=marked or 0,
        per_class={
            name: by_label.get(name, 0)
            for name in connection.scalars(select(classes.c.name).order_by(classes.c.position))
        },
    )


def _entries_in_force(seq: int) -> Subquery:
    """Return the last entry of each image once ledger entry `seq` was written."""
    last = (
        select(func.max(entries.c.seq).label("seq")).where(entries.c.seq <= seq).group_by(entries.c.image_id).subquery()
    )
    return select(entries).join(last, entries.c.seq == last.c.seq).subquery()


def replace_all(connection: Connection, states: Iterable[LabelState]) -> None:
    """Throw the projection away and write these states in its place."""
    connection.execute(delete(current_labels))
    rows = [row_of(state) for state in states]
    if rows:
        connection.execute(insert(current_labels), rows)
