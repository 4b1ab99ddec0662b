"""What is in force for each image: a table that follows the ledger in its transaction and can be rebuilt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Subquery, bindparam, delete, func, insert, select

from engine.records.labels import ACCEPTED, LabelState, ProjectCounts
from engine.store.rows import Row, chunks
from engine.store.schema import classes, current_labels, entries, images
from engine.store.sources import GIVING, RuleBatches, is_reviewed, read_origins, read_source

_OF_IMAGES = (
    select(images.c.id, current_labels)
    .outerjoin(current_labels, current_labels.c.image_id == images.c.id)
    .where(images.c.id.in_(bindparam("ids", expanding=True)))
)


def state_after(entry: Row, origin: Row | None, by_rule: Container[str]) -> LabelState:
    """Return the state a ledger row put in force.

    Round and confidence belong to the state only where the label was accepted from a prediction; on other
    entries they tell what was on screen.

    Args:
        entry: the row.
        origin: the row that gave the label, see `engine.store.sources`; None where there is no label.
        by_rule: the batches that a rule let in.
    """
    source = None if origin is None else read_source(entry, origin, by_rule)
    return LabelState(
        image_id=entry["image_id"],
        version=entry["seq"],
        label=entry["label"],
        source=source,
        round=entry["round"] if source in ACCEPTED else None,
        confidence=entry["confidence"] if source in ACCEPTED else None,
        reviewed=origin is not None and is_reviewed(origin),
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
    return {
        row["id"]: LabelState(image_id=row["id"]) if row["image_id"] is None else state_of(row)
        for chunk in chunks(sorted(set(ids)))
        for row in connection.execute(_OF_IMAGES, {"ids": chunk}).mappings()
    }


def read_states_at(connection: Connection, seq: int) -> dict[int, LabelState]:
    """Return what was in force once ledger entry `seq` was written, by image id; only images with an entry."""
    in_force = _entries_in_force(seq)
    held = connection.execute(select(in_force).order_by(in_force.c.image_id)).mappings().all()
    handed_on = [row["image_id"] for row in held if row["label"] is not None and row["action"] not in GIVING]
    origins, by_rule = read_origins(connection, handed_on, seq), RuleBatches(connection)
    states = {}
    for row in held:
        origin = row if row["action"] in GIVING else origins.of(row["seq"])
        states[row["image_id"]] = state_after(row, origin, by_rule)
    return states


def read_labels_at(connection: Connection, seq: int) -> dict[int, str]:
    """Return the labels that were in force once ledger entry `seq` was written, by image id."""
    states = read_states_at(connection, seq)
    return {number: state.label for number, state in states.items() if state.label is not None}


def count(connection: Connection, seq: int | None = None) -> ProjectCounts:
    """Return how many images are in which state, now or once ledger entry `seq` was written.

    `per_class` lists every class in position order. The images and classes are those of now, also for an older state.
    """
    total = connection.scalar(select(func.count()).select_from(images)) or 0
    held = current_labels.c if seq is None else _entries_in_force(seq).c
    kinds = (held.label, held.source, held.mark)
    counted = [tuple(row) for row in connection.execute(select(*kinds, func.count()).group_by(*kinds))]
    if seq is not None and any(source == "accepted" for _, source, _, _ in counted):  # of before revision 0005
        counted = [(one.label, one.source, one.mark, 1) for one in read_states_at(connection, seq).values()]
    by_source: Counter[str] = Counter()
    by_label: Counter[str] = Counter()
    marked = 0
    for label, source, mark, number in counted:
        marked += number if mark is not None else 0
        if label is not None:
            by_source[source] += number
            by_label[label] += number
    labeled = by_source.total()
    return ProjectCounts(
        images=total,
        labeled=labeled,
        unlabeled=total - labeled,
        imported=by_source["imported"],
        human=by_source["human"],
        confirmed=by_source["confirmed"],
        accepted_in_batch=by_source["accepted_in_batch"],
        accepted_by_threshold=by_source["accepted_by_threshold"],
        marked=marked,
        per_class={
            name: by_label[name] for name in connection.scalars(select(classes.c.name).order_by(classes.c.position))
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
