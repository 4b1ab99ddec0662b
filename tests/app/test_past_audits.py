"""The table of past audits: what became of each, also of what was taken back in part, and of those of before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from app.components.quality import audits
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.workspace import DATABASE
from engine.store import Store
from tests.auditing import answer_audit
from tests.engine.pets import FREE, decide, make_pets, said_of
from tests.made_round import make_round
from tests.ready_project import ReadyProjects

OLD = Path(__file__).parents[1] / "engine" / "store" / "fixtures" / "schema_0006.sql"


def table(project: Project, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Return the table as it is drawn."""
    drawn: list[pd.DataFrame] = []
    monkeypatch.setattr(audits.st, "dataframe", lambda frame, **_: drawn.append(frame))
    opened: Any = SimpleNamespace(project=project)
    audits.past_audits(opened)
    return drawn[-1]


def test_what_was_taken_back_of_an_audits_batch_is_said_however_many_batches_came_since(
    ready: ReadyProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> list[str]:
        return list(table(project, monkeypatch)["State"])

    with make_pets(ready, tmp_path) as project:
        make_round(project, said_of(0.9))
        audit = project.audits.start_rule(project.audits.rule_at(1, 0.5))
        asked = answer_audit(project, 1, FREE - 4, "cat")
        decide(project, asked[0], "dog")
        monkeypatch.setattr("engine.quality.standing.SHOWN", 10)
        batch, count = project.audits.accept(1)
        assert count == 4
        by_name = Store.batches
        monkeypatch.setattr(  # none of the newest
            Store, "batches", lambda self, limit, names=None: by_name(self, limit, names=names) if names else []
        )
        assert states() == ["accepted"]
        later = next(i for i in audit.frozen.image_ids.tolist() if i not in asked)
        decide(project, later, "dog", "correct")
        project.store.undo(new_uid(), "local", batch)
        assert states() == [f"accepted, {count - 1} of {count} taken back"]
        project.store.undo(new_uid(), "local")
        project.store.undo(new_uid(), "local", batch)
        assert states() == ["accepted, taken back"]


def test_audits_of_before_say_what_they_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "old"
    Project.create(root).close()
    (root / DATABASE).unlink()
    with closing(sqlite3.connect(root / DATABASE)) as connection:
        connection.executescript(OLD.read_text())
    with Project.open(root) as project:
        rows = table(project, monkeypatch)
        assert rows["Audit"].tolist() == [2, 1]
        assert rows["State"].tolist() == ["given up", "accepted"]
        said = "4 labels, 2 audited, 0 wrong: at most 77.7 % wrong (95 % one-sided, Clopper–Pearson)"
        assert rows["Statement"].tolist() == ["given up", said]
