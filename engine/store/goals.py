"""The project's goal as stored: each time that it was set, in the project's settings."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, insert, select, update

from engine.errors import ConfigError
from engine.records.goal import Goal, GoalSet
from engine.store.database import read_setting
from engine.store.rows import actor_flaw, now
from engine.store.schema import meta

GOALS_KEY = "goals"


def write_goal(connection: Connection, goal: Goal, actor: str) -> GoalSet:
    """Set the goal, in a writing transaction; what it was before stays on record.

    Raises:
        ConfigError: the actor is empty, too long or holds a control character, or nobody can have
            that name; nothing is changed.
    """
    if (flaw := actor_flaw(actor)) is not None:
        raise ConfigError(f"not saved: the actor of a goal {flaw}", value=repr(actor))
    entry = GoalSet(now(), actor, goal)
    value = json.dumps([*map(asdict, read_goals(connection)), asdict(entry)])
    if connection.scalar(select(meta.c.key).where(meta.c.key == GOALS_KEY)) is None:
        connection.execute(insert(meta), {"key": GOALS_KEY, "value": value})
    else:
        connection.execute(update(meta).where(meta.c.key == GOALS_KEY).values(value=value))
    return entry


def read_goals(connection: Connection) -> list[GoalSet]:
    """Return each time that the goal was set, oldest first."""
    entries = json.loads(read_setting(connection, GOALS_KEY) or "[]")
    return [GoalSet(entry["time"], entry["actor"], Goal(**entry["goal"])) for entry in entries]
