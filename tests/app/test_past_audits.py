"""The table of past audits: what became of each, also of what was taken back in part."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from app.components.quality import audits
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.store import Store
from tests.engine.pets import FREE, decide, make_pets, said_of
from tests.made_round import make_round
from tests.ready_project import ReadyProjects

AUDITED = 4


def states(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the column of states as it is drawn."""
    drawn: list[pd.DataFrame] = []
    monkeypatch.setattr(audits.st, "dataframe", lambda frame, **_: drawn.append(frame))
    opened: Any = SimpleNamespace(project=project)
    audits.past_audits(opened, project.audits.all())
    return list(drawn[-1]["State"])


def test_what_was_taken_back_of_an_audits_batch_is_said_however_many_batches_came_since(
    ready: ReadyProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_pets(ready, tmp_path) as project:
        number, audits = make_round(project, said_of(0.9)), project.audits
        record = audits.start(audits.rule_at(number, 0.5), AUDITED).record
        for image_id in record.sample:
            decide(project, image_id, "cat", "accept" if image_id == record.sample[0] else "label")
        batch, count = audits.accept(record.number)
        assert count == FREE - AUDITED
        by_name = Store.batches
        monkeypatch.setattr(  # none of the newest
            Store, "batches", lambda self, limit, names=None: by_name(self, limit, names=names) if names else []
        )
        assert states(project, monkeypatch) == ["accepted"]
        later = next(int(image_id) for image_id in record.population if image_id not in record.sample)
        decide(project, later, "dog", "correct")
        project.store.undo(new_uid(), "local", batch)
        assert states(project, monkeypatch) == [f"accepted, {count - 1} of {count} taken back"]
        project.store.undo(new_uid(), "local")
        project.store.undo(new_uid(), "local", batch)
        assert states(project, monkeypatch) == ["accepted, taken back"]
