"""Rows inserted past SQLAlchemy: the same rows as by its own way, for drivers that count and drivers that name."""

from __future__ import annotations

import pytest
from sqlalchemy import JSON, Column, Float, Integer, MetaData, Table, Text, create_engine, event, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import quoted_name

from engine.store.bulk import _compiled, insert_rows

METADATA = MetaData()
THINGS = Table(
    "things",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column("share", Float(53)),
    Column(quoted_name("group", quote=True), Text),
    Column("more", JSON),
)
ROWS = [{"share": n / 3, "id": n, "group": None if n % 2 else f"g{n}", "name": f"Ω'{n}\";"} for n in range(1, 12)]


def test_rows_are_those_that_were_given() -> None:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    statements = list[str]()
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    with engine.begin() as connection:
        insert_rows(connection, THINGS, [])
        assert statements == []
        insert_rows(connection, THINGS, ROWS)
        assert len(statements) == 1
        columns = [THINGS.c[name] for name in ROWS[0]]
        stored = connection.execute(select(*columns).order_by(THINGS.c.id)).mappings()
        assert [dict(row) for row in stored] == ROWS


def test_statement_is_that_of_the_database() -> None:
    names = tuple(ROWS[0])
    for dialect in (postgresql.dialect(), create_engine("sqlite://").dialect):
        compiled = _compiled(THINGS, names, dialect)
        assert str(compiled) == str(insert(THINGS).compile(dialect=dialect, column_keys=names))
        assert '"group"' in str(compiled)


def test_a_column_that_must_be_translated_is_not_taken() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection, pytest.raises(AssertionError, match="JSON"):
        insert_rows(connection, THINGS, [{"id": 1, "more": {}}])
