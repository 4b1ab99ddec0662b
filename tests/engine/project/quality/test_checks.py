"""A project's checks and the conflicts made of them: what starts them, what they leave out, what they read again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ProjectReadOnly, StarlingError
from engine.files import write_json
from engine.jobs import check, parent
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.store.label_table import MARKS
from tests.engine.pets import decide, ids_of, make_pets, said_of
from tests.made_round import make_round
from tests.ready_project import ReadyProjects


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with make_pets(ready, tmp_path) as opened:
        yield opened


def duplicates_found(project: Project, groups: list[list[int]]) -> None:
    """Write the result of a check that found these groups."""
    found = [{"image_ids": ids, "similarity": 1.0, "exact": True} for ids in groups]
    about = {"made": "2026-03-01T09:05:12+00:00", "stamp": "s", "ledger_seq": project.store.head_seq(), "facts": {}}
    path = check.result_path(project.root, "duplicates")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, about | {"groups": found})


def test_a_project_opened_read_only_starts_no_check_and_writes_nothing(ready: ReadyProjects, tmp_path: Path) -> None:
    make_pets(ready, tmp_path).close()
    with Project.open(tmp_path / "pets", read_only=True) as project:
        for kind in ("labels", "duplicates"):
            with pytest.raises(ProjectReadOnly, match="read-only"):
                project.checks.start(kind)  # type: ignore[arg-type]
        assert not (project.root / "checks").exists()


def test_a_check_that_the_system_can_not_start_is_told_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parent, "launch", launch)
    with pytest.raises(StarlingError, match=r"could not be started: .*No space left.*Make room"):
        project.checks.start("duplicates")


def test_labels_of_rejected_images_are_not_checked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(check, "start", lambda root, kind, items, labels, *rest: asked.append((items, labels)))
    ids = ids_of(project)
    decide(project, ids[1], None, "reject")
    decide(project, ids[2], None, "unsure")
    project.checks.start("labels")
    [(items, labels)] = asked
    assert labels == {ids[0]: "cat", ids[2]: "dog", ids[3]: "dog"}
    assert len(items) == len(ids)


def test_copies_conflict_only_by_images_that_are_not_rejected(project: Project) -> None:
    ids = ids_of(project)[:4]  # cat cat dog dog
    duplicates_found(project, [ids[1:]])
    assert [one.image_ids for one in project.lists.conflicts()] == [tuple(ids[1:])]
    decide(project, ids[3], None, "reject")
    assert [(one.image_ids, one.labels) for one in project.lists.conflicts()] == [(tuple(ids[1:3]), ("cat", "dog"))]
    items, total = project.queue.next("least_sure", 5, ref=QueueRef.parse("conflicts"))
    assert total == 2
    assert [one.image_id for one in items[0].beside] == [ids[2]]
    decide(project, ids[1], None, "reject")
    assert project.lists.conflicts() == []


def test_a_rejected_image_is_contradicted_by_no_prediction(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(project)
    p = said_of(0.9)
    p[0] = [0.02, 0.98]  # labeled cat
    decide(project, ids[0], "cat")
    make_round(project, p)
    assert [one.image_ids for one in project.lists.conflicts()] == [(ids[0],)]
    table = project.store.label_table()
    marks = table.mark_code.copy()
    marks[0] = MARKS.index("reject")  # before the round began, so that the mark alone speaks
    monkeypatch.setattr(project.store, "label_table", lambda: replace(table, mark_code=marks))
    assert project.lists.conflicts() == []


def test_people_do_not_disagree_about_a_rejected_image(project: Project) -> None:
    image = ids_of(project)[-1]
    decide(project, image, "cat", actor="Ada")
    decide(project, image, "dog", actor="Bo")
    assert [one.kind for one in project.lists.conflicts()] == ["annotators"]
    decide(project, image, None, "reject", actor="Cy")
    assert project.lists.conflicts() == []


def test_a_result_is_read_once_however_many_groups_and_anew_when_it_is_another(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, real = [], check.read_duplicates
    monkeypatch.setattr(check, "read_duplicates", lambda root: read.append(root) or real(root))
    ids = ids_of(project)
    duplicates_found(project, [[ids[0], ids[2]], [ids[1], ids[3]]])
    assert len(project.lists.conflicts()) == 2
    assert len(project.checks.duplicates()) == 2
    assert len(read) == 1
    duplicates_found(project, [[ids[0], ids[3]]])
    assert [one.image_ids for one in project.lists.conflicts()] == [(ids[0], ids[3])]
    decide(project, ids[0], "cat")
    decide(project, ids[3], "dog")
    assert project.lists.conflicts() == []  # both looked at since


@pytest.mark.speed
def test_a_thousand_groups_of_copies_take_moments(project: Project) -> None:
    ids = ids_of(project)
    duplicates_found(project, [[ids[0], ids[2]]] * 1000)
    began = time.monotonic()
    assert len(project.lists.conflicts()) == 1000
    assert time.monotonic() - began < 2.0
