"""Rows inserted as the driver takes them: SQLAlchemy's own way costs as much again as SQLite for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Connection, Dialect, Table, insert
from sqlalchemy.sql.compiler import SQLCompiler


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows into a table of numbers and texts; nothing where there are none.

    Args:
        connection: of the transaction.
        table: without JSON among the columns given.
        rows: all with the same keys, the names of columns.
    """
    if not rows:
        return
    compiled = _compiled(table, tuple(rows[0]), connection.dialect)
    if compiled.positional:
        names = compiled.positiontup or []
        connection.exec_driver_sql(str(compiled), [tuple([row[name] for name in names]) for row in rows])
    else:
        connection.exec_driver_sql(str(compiled), [dict(row) for row in rows])


@lru_cache
def _compiled(table: Table, names: tuple[str, ...], dialect: Dialect) -> SQLCompiler:
    assert not any(isinstance(table.c[name].type, JSON) for name in names), f"{table.name} has JSON"
    compiled = insert(table).compile(dialect=dialect, column_keys=names)
    assert isinstance(compiled, SQLCompiler)
    return compiled
