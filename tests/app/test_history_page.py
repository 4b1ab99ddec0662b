"""The history page: batches and their undo, one image's entries, and the labels at a round."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.components.history import batches, entries
from app.server import workbench
from app.server.workbench import OpenProject
from engine.project.labels import new_uid
from engine.records.labels import Ack, Decision
from engine.records.quality import BatchInfo
from engine.store.batches import batch_id
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, grey

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[workbench.Workbench]:
    found = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield found
    found.close()
    workbench._current = None


@pytest.fixture
def opened(bench: workbench.Workbench, ready: ReadyProjects) -> OpenProject:
    """Twelve images: two cats, two dogs, eight without a label."""
    folders = ["cat", "dog", "cat", "dog", *["_unlabeled"] * 8]
    pets = grey(8, {f"{folder}/shot-{number:02}.png": 20 * number for number, folder in enumerate(folders)})
    found = bench.open(ready.copy(pets, bench.home / "pets"))
    found.engine.stop()
    return found


def _free(opened: OpenProject) -> list[int]:
    table = opened.project.store.label_table()
    return table.image_ids[[label is None for label in table.label]].tolist()


def _decide(opened: OpenProject, ids: Sequence[int], label: str, batch: str | None = None) -> None:
    versions = {one.image_id: one.version for one in opened.project.store.states(list(ids))}
    given = [Decision(new_uid(), one, versions.get(one, 0), "label", label, batch=batch) for one in ids]
    assert {ack.status for ack in opened.project.labels.decide(given, batch)} == {"saved"}


def _page(who: str = "local") -> AppTest:
    page = AppTest.from_file(str(MAIN), default_timeout=60)
    page.session_state["starling_actor"] = who  # AppTest has no browser whose cookie says it
    page.run()
    page.switch_page("pages/read_ledger.py").run()
    assert not page.exception
    assert not page.error
    return page


def test_what_the_ledger_lost_and_somebody_accepted_stands_first(opened: OpenProject) -> None:
    lost = {"time": "2026-12-01T05:00:00+00:00", "noted_seq": 12, "noted_hash": "", "seq": 4, "hash": ""}
    opened.project.store.set_meta("losses", json.dumps([lost]))
    [warning] = _page().warning
    assert warning.value == (
        "The ledger lost its end: entries up to 12 are gone. It went on after entry 4, on 2026-12-01."
    )


def _texts(page: AppTest) -> str:
    kinds = (page.markdown, page.caption, page.info, page.success, page.warning)
    return "\n".join(element.value for kind in kinds for element in kind)


def test_without_a_project_or_images_the_page_says_where_to_get_them(bench: workbench.Workbench) -> None:
    assert "No project is open" in _page().info[0].value
    bench.create("Empty")
    assert "no images yet" in _page().info[0].value


def test_before_any_decision_each_part_says_what_is_missing(opened: OpenProject) -> None:
    texts = _texts(_page())
    assert "Nothing was decided in a batch yet" in texts
    assert "No round has been started yet" in texts


def test_batch_is_undone_as_a_whole_after_a_confirmation(opened: OpenProject) -> None:
    ids = _free(opened)[:5]
    _decide(opened, ids, "cat", "b-1")
    page = _page()
    assert "5 images labeled as **cat**" in _texts(page)
    page.button(key="undo_b-1").click().run()
    assert opened.project.store.counts().labeled == 9  # not before it is confirmed
    page.button(key="confirm_undo").click().run()
    assert opened.project.store.counts().labeled == 4
    assert page.success[0].value == "5 decisions taken back."
    assert ":gray-badge[undone]" in _texts(page)
    assert "undo_b-1" not in [one.key for one in page.button]


def test_batch_of_another_person_is_undone_by_a_reviewer_alone(opened: OpenProject, bench: workbench.Workbench) -> None:
    _decide(opened, _free(opened)[:5], "cat", "b-1")
    for reviewers, labeled in (((), 9), (("Ann", "Ben"), 4)):
        bench.reviewers = frozenset(reviewers)
        page = _page("Ben")
        page.button(key="undo_b-1").click().run()
        page.button(key="confirm_undo").click().run()
        assert opened.project.store.counts().labeled == labeled
        assert any("another person decided this" in one.value for one in page.error) == (labeled == 9)


def test_later_decision_stays_and_the_result_says_so(opened: OpenProject) -> None:
    ids = _free(opened)[:5]
    _decide(opened, ids, "cat", "b-1")
    _decide(opened, ids[:1], "dog")
    page = _page()
    page.button(key="undo_b-1").click().run()
    page.button(key="confirm_undo").click().run()
    assert page.warning[0].value == "4 decisions taken back. 1 not: a later decision on that image stays."
    assert opened.project.store.states(ids[:1])[0].label == "dog"


def test_what_was_finished_at_the_start_is_told(opened: OpenProject) -> None:
    opened.project.store.finished = ("What had not come to its end was finished now: importing “*pets*”.",)
    assert [one.value for one in _page().info] == [
        "What had not come to its end was finished now\\: importing “\\*pets\\*”."
    ]


def test_batch_that_is_kept_stays_as_it_is(opened: OpenProject) -> None:
    _decide(opened, _free(opened)[:5], "cat", "b-1")
    page = _page()
    page.button(key="undo_b-1").click().run()
    page.button(key="keep_batch").click().run()
    assert opened.project.store.counts().labeled == 9
    assert "confirm_undo" not in [one.key for one in page.button]


def test_facts_of_a_batch_are_shown_as_text(opened: OpenProject) -> None:
    facts = {"kind": "audit", "audit": 3, "round": 2, "statement": "8 *labels*: at most 3.0 % wrong", "bound": 0.03}
    ids = _free(opened)[:3]
    batch = batch_id("audit-3", facts)
    given = [Decision(new_uid(), one, 0, "accept", "cat", round=None, batch=batch) for one in ids]
    opened.project.store.record_batch(given, batch, facts)
    said = "Audit 3 of round 2\\: 8 \\*labels\\*\\: at most 3.0 % wrong"
    assert said in _texts(_page())


def test_older_batches_come_when_asked_for(opened: OpenProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SHOWN", 2)
    for number, one in enumerate(_free(opened)[:3]):
        _decide(opened, [one], "cat", f"b-{number}")
    page = _page()
    assert "undo_b-0" not in [one.key for one in page.button]
    page.button(key="older_batches").click().run()
    assert page.button(key="undo_b-0")


@pytest.mark.parametrize("text", ["SHOT-05", "id"])
def test_one_image_is_found_by_name_or_id_with_all_its_entries(opened: OpenProject, text: str) -> None:
    item = next(one for one in opened.project.workspace.items() if one.name.endswith("shot-05.png"))
    _decide(opened, [item.id], "cat")
    _decide(opened, [item.id], "dog")
    page = _page()
    page.text_input(key="history_search").set_value(str(item.id) if text == "id" else text).run()
    if text == "id":
        page.selectbox(key="history_image").select(item).run()
    found = page.dataframe[0].value
    assert found["Label after it"].tolist() == ["dog", "cat"]
    assert f"{opened.base}/thumb/{item.id}" in page.get("html")[0].proto.body


def test_search_without_a_find_and_an_image_without_entries_are_said(opened: OpenProject) -> None:
    page = _page()
    page.text_input(key="history_search").set_value("nothing like it").run()
    assert "No image has this id" in page.info[0].value
    page.text_input(key="history_search").set_value("shot-07").run()
    assert "Nobody has decided anything about this image" in page.info[0].value


def test_search_puts_the_image_with_the_id_first(opened: OpenProject) -> None:
    items = opened.project.workspace.items()
    found = entries.matching(items, "1")
    assert found[0].id == 1
    assert len(found) == len({one.id for one in found}) > 1


def test_newest_entries_of_the_project_come_first(opened: OpenProject) -> None:
    first, second = _free(opened)[:2]
    _decide(opened, [first], "cat")
    _decide(opened, [second], "dog")
    opened.project.store.undo(new_uid(), "local")
    rows = _page().dataframe[0].value.to_dict("records")
    assert [row["What"] for row in rows[:3]] == ["took back entry 6", "labeled", "labeled"]
    assert [row["Image"] for row in rows[:3]] == [second, second, first]
    assert len(rows) == 7


def test_labels_at_a_round_stand_beside_those_of_now(opened: OpenProject) -> None:
    make_round(opened.project, np.full((12, 2), 0.5))
    _decide(opened, _free(opened)[:3], "cat")
    page = _page()
    by_source, by_class = (one.value for one in page.dataframe[-2:])
    found = {row["Images"]: (row["At round 1"], row["Now"], row["Change"]) for row in by_source.to_dict("records")}
    assert found["labeled"] == (4, 7, "+3")
    assert found["given by a person"] == (0, 3, "+3")
    assert found["images"] == (12, 12, "")
    assert by_class.to_dict("records") == [
        {"Class": "cat", "At round 1": 2, "Now": 5, "Change": "+3"},
        {"Class": "dog", "At round 1": 2, "Now": 2, "Change": ""},
    ]


def test_partly_undone_batch_and_unknown_facts_are_told_in_words() -> None:
    one = BatchInfo("b", "ada", "2026-03-01T09:05:12", 9, "accept", 500, 3, "*cat*")
    assert batches.what(one) == "500 images accepted as **\\*cat\\***, 3 of them undone"
    assert batches.facts_in_words({}) == ""
    assert batches.facts_in_words({"bound": 0.06101, "level": 0.95}) == "at most 6.2 % wrong (95 %)"
    assert batches.facts_in_words({"why": "grid", "deep": {"a": 1}}) == "why grid"


def test_refused_undo_is_told_in_words() -> None:
    acks = [Ack("u", "saved"), Ack("u", "refused", message="no <b>")]
    assert batches.result_in_words(acks) == "1 decision taken back. 1 refused: no \\<b\\>."
