"""Finding damage: storage, hash chain, projection, the image rows of each import, batches and audits."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from engine.errors import RESTORE, ProjectCorrupt
from engine.records.labels import LabelState
from engine.store import audits, facts, measured, past_audits, rounds, seals, sqlite
from engine.store.chain import replay
from engine.store.imports import digest_images
from engine.store.projection import read_states, replace_all
from engine.store.schema import images, imports


def find_problems(connection: Connection) -> list[str]:
    """Return everything that is wrong with the stored data, one sentence each; empty when sound."""
    problems: list[str] = []
    steps = {
        "labels": _labels,
        "images": _images,
        "classes and hidden labels": seals.find_flaws,
        "rounds": _rounds,
        "batches": facts.find_flaws,
        "past audits": past_audits.find_flaws,
        "audits": audits.find_flaws,
        "measured set": measured.find_flaws,
    }
    if connection.dialect.name == "sqlite":
        steps = {"storage": sqlite.check_storage, **steps}
    for name, step in steps.items():
        try:
            problems += step(connection)
        except (DBAPIError, ValueError, TypeError) as error:
            problems.append(f"{name}: cannot be read: {error}")
    return problems


def rebuild_projection(connection: Connection) -> None:
    """Write the projection anew from the ledger.

    Raises:
        ProjectCorrupt: the ledger itself is damaged; the projection stays as it was.
    """
    replayed = replay(connection)
    if replayed.problems:
        raise ProjectCorrupt("not saved: the ledger is damaged", value=replayed.problems[0], way_out=RESTORE)
    replace_all(connection, replayed.states.values())


def _labels(connection: Connection) -> list[str]:
    replayed = replay(connection)
    if replayed.problems:
        return replayed.problems
    stored: dict[int, LabelState] = {state.image_id: state for state in read_states(connection)}
    differing = [
        number
        for number in sorted(stored.keys() | replayed.states.keys())
        if stored.get(number) != replayed.states.get(number)
    ]
    if not differing:
        return []
    return [f"labels: {len(differing)} differ from the ledger, first that of image {differing[0]}"]


def _images(connection: Connection) -> list[str]:
    digests = {row.id: row.digest for row in connection.execute(select(imports.c.id, imports.c.digest))}
    rows = connection.execute(select(images).order_by(images.c.import_id, images.c.id)).mappings()
    digests_now = {number: digest_images(group) for number, group in groupby(rows, key=itemgetter("import_id"))}
    nothing = digest_images([])
    return [
        f"images: the rows of import {number} do not match their digest"
        for number, digest in digests.items()
        if digest is not None and digest != digests_now.get(number, nothing)
    ]


def find_unsealed(connection: Connection) -> list[str]:
    """Return what has no digest, because an earlier version wrote it, in words; it may be sound."""
    rounds_ = rounds.find_unsealed(connection)
    named = [f"the database's row of round {number}" for number in rounds_]
    return [*(f"the {what}" for what in seals.find_unsealed(connection)), *named]


def seal_all(connection: Connection) -> None:
    """Give a digest, of what it is, to all that has none."""
    if "classes" in seals.find_unsealed(connection):
        seals.seal_classes(connection)
    seals.seal_truth(connection, seals.unsealed_truth(connection))
    rounds.seal_all(connection)


def _rounds(connection: Connection) -> list[str]:
    return rounds.find_flaws(connection) + [
        f"rounds: round {record.number} is in no known state: {record.state}"
        for record in rounds.read_rounds(connection)
        if record.state not in rounds.MOVES
    ]
