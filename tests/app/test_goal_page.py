"""The goal on the pages: what they say of it, and that its button does the next step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.goal_words import goal_words, source_words, span_words, standing_words, step_words, way_words
from app.server import workbench
from app.server.workbench import OpenProject
from engine.records.goal import Goal, GoalStanding, Step, Way
from tests.auditing import answer_audit
from tests.made_round import make_round
from tests.ready_project import ReadyProjects, noisy_pets

MAIN = Path(__file__).parents[2] / "app" / "main.py"
PAGES = {
    "quality": "pages/check_quality.py", "review": "pages/review_labels.py", "train": "pages/train_rounds.py",
    "export": "pages/export_dataset.py", "import": "pages/import_images.py",
}  # fmt: skip


@pytest.fixture
def opened(ready: ReadyProjects, tmp_path: Path) -> Iterator[OpenProject]:
    """20 imported labels and 100 predictions of a round, all of them rather sure."""
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    found = bench.open(ready.copy(noisy_pets(20, 100, ("*cat*", "dog")), bench.home / "pets"))
    found.engine.stop()
    table = found.project.store.label_table()
    p = np.array([{"*cat*": 0.95, "dog": 0.05}.get(label, 0.97) for label in table.label])
    make_round(found.project, np.stack([p, 1 - p], 1))
    yield found
    bench.close()
    workbench._current = None


def page(name: str) -> AppTest:
    shown = AppTest.from_file(str(MAIN), default_timeout=60).run()
    shown.switch_page(PAGES[name]).run()
    assert not shown.exception
    return shown


def texts(shown: AppTest) -> str:
    kinds = (shown.markdown, shown.caption, shown.info, shown.success, shown.warning, shown.error)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def truth(opened: OpenProject) -> dict[int, str]:
    labels = opened.project.goals.labels_now()
    return dict(zip(labels.image_ids.tolist(), labels.label.tolist(), strict=True))


def test_goal_is_set_on_the_quality_page_and_kept_with_who_set_it(opened: OpenProject) -> None:
    opened.project.goals.report(30)
    shown = page("quality")
    assert "Goal: at most 1 % of the labels wrong (95 % sure)" in texts(shown)
    assert "the model's own guess, unchecked" in texts(shown)
    shown.session_state["starling_actor"] = "ann"
    shown.number_input(key="goal_rate").set_value(10.0)
    shown.number_input(key="goal_level").set_value(90.0)
    shown.button(key="set_goal").click().run()
    opened.project.goals.report(30)
    shown.run()
    assert not shown.exception
    assert opened.project.goals.goal() == Goal(0.1, 0.9)
    assert opened.project.store.goals()[-1].actor == "ann"
    assert "Goal: at most 10 % of the labels wrong (90 % sure)" in texts(shown)


def test_every_page_of_the_loop_says_the_way_and_has_the_button_of_the_next_step(opened: OpenProject) -> None:
    opened.project.goals.set(Goal(0.1))
    opened.project.goals.report(30)
    for name in ("review", "train", "export"):
        shown = page(name)
        assert "Goal: at most 10 % of the labels wrong (95 % sure). About" in texts(shown)
        assert shown.button(key=f"goal_step_{name}").label == "Freeze the labels and audit"


def test_every_page_of_the_loop_says_where_the_labels_stand_and_by_source(opened: OpenProject) -> None:
    opened.project.goals.set(Goal(0.1))
    report, _ = opened.project.goals.report(30)
    assert report is not None
    worked_out = opened.project.goals.compute
    again: list[int] = []
    opened.project.goals.compute = lambda: again.append(1) or worked_out()  # type: ignore[method-assign]
    for name in ("review", "export", "import"):
        said = texts(page(name))
        assert standing_words(report.standing) in said
        assert "By source: pseudo-labels 3.0 % of 100, imported 2.0 % of 20." in said
    assert not again, "it is worked out once until something changes"
    right = truth(opened)
    number = opened.project.audits.freeze(rate=0.1).number
    answer_audit(opened.project, number, 60, lambda image_id: right[image_id])
    report, _ = opened.project.goals.report(30)
    assert report is not None
    for name in ("review", "export", "import"):
        said = texts(page(name))
        assert standing_words(report.standing) in said
        assert source_words(report.standing) in said
    assert report.standing.high is not None
    assert span_words(report.standing.low or 0, report.standing.high, 120) in said


def test_the_button_freezes_and_review_then_asks_what_the_audit_asks(opened: OpenProject) -> None:
    opened.project.goals.set(Goal(0.1))
    opened.project.goals.report(30)
    shown = page("quality")
    shown.button(key="goal_step_tab").click().run()
    assert not shown.exception
    found = opened.project.audits.opened()
    assert found is not None
    assert (found.record.rate, found.record.alpha) == (0.1, pytest.approx(0.05))
    assert shown.selectbox(key="review_only").value == "audit:1"


def test_look_button_opens_the_doubtful_ones(opened: OpenProject) -> None:
    opened.project.goals.report(30)
    shown = page("quality")  # 1 % of 120 labels: nearly all have to be looked at
    assert shown.button(key="goal_step_tab").label.startswith("Look at")
    shown.button(key="goal_step_tab").click().run()
    assert shown.selectbox(key="review_only").value == "doubtful"


def test_reached_goal_stops_the_asking_and_offers_the_export_of_what_was_audited(opened: OpenProject) -> None:
    opened.project.goals.set(Goal(0.1))
    right = truth(opened)
    number = opened.project.audits.freeze(rate=0.1).number
    answer_audit(opened.project, number, 60, lambda image_id: right[image_id])
    report, _ = opened.project.goals.report(30)
    assert report is not None
    assert report.reached
    for name in ("quality", "review", "train"):
        shown = page(name)
        assert f"Reached: {report.reached}" in "\n".join(one.value.replace("\\", "") for one in shown.success)
        where = "tab" if name == "quality" else name
        assert shown.button(key=f"goal_step_{where}").label == "Export"
    shown = page("export")
    assert shown.checkbox(key="export_audited").value
    shown.button(key="run_export").click().run()
    assert not shown.exception
    assert len(opened.project.exports.files()) == 1


def test_words_say_what_is_known_and_no_more() -> None:
    assert goal_words(Goal(0.005, 0.9, True)) == "at most 0.5 % of the labels wrong in every class (90 % sure)"
    guess = GoalStanding(1000, 0, 123.4, None, None, (), 0, 0.0, 0)
    assert standing_words(guess).endswith("12 % of 1,000 labels and predictions are wrong now: the model's own guess, "
                                          "unchecked.")  # fmt: skip
    corrected = GoalStanding(1000, 0, 123.4, None, None, (), 0, 0.0, 0, 21)
    assert "the model's guess, corrected by 21 images asked blind" in standing_words(corrected)
    few = GoalStanding(1000, 0, 12.0, None, None, (), 7, 0.0, 0)
    assert "too few to say more, 7 random answers of the audit" in standing_words(few)
    audited = GoalStanding(1000, 0, 12.0, 3, 21, (), 200, 0.0, 0)
    assert standing_words(audited).endswith("0.30 % to 2.1 % by 200 random answers of the audit.")
    rebuilt = GoalStanding(1000, 0, 12.0, 3, 21, (), 200, 0.0, 0, rebuilt=True)
    assert "What was suspected before the answers was not noted at their time" in standing_words(rebuilt)
    way = Way(120, 340, 320, 610, 36.4)
    assert way_words(way) == (
        "Look at 120 doubtful images, then about 340 audit answers, about 36 minutes at your pace: 320 to 610 in all. "
        "This supposes that no model learns from them."
    )
    assert way_words(Way(9, 200, 180, 410, None, 70, True)) == (
        "Label about 70 more, which live labels learn from, then look at 9 doubtful images, then about 200 audit "
        "answers: 180 to 410 in all."
    )
    assert way_words(Way(9, 200, 180, 410, None, 0, True)).endswith("180 to 410 in all.")
    assert way_words(Way(9, 200, 180, 410, None, 0, True, True)).endswith("180 to 410 in all.")
    assert way_words(Way(9, 200, 180, 410, None, 70, True, True)).endswith(
        "in all. This supposes that twice the labels leave half as many wrong: how they learn here is measured once 20 "
        "random images were asked blind."
    )
    assert way_words(Way(0, 1, 1, 1, None)) == "About 1 audit answer: 1 in all."
    assert step_words(Step("look", 1)) == "Look at 1 image"
