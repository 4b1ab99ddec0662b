"""The line of live labels: the switch, how far they are, what they measure, and the pages that follow them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.components import live_labels
from app.server import workbench
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.jobs import features_work
from engine.project.live import LiveThread
from engine.project.opened import Project
from engine.project.quality.measured import Standing
from engine.quality.sample import share
from engine.records.quality import Between
from tests.browser.digits import digit_pictures
from tests.made_guess import guesses
from tests.measuring import answer_measured, predicted
from tests.ready_project import ReadyProjects

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def opened(tmp_path: Path, ready: ReadyProjects, jobs_here: None) -> Iterator[OpenProject]:
    """300 digits with two labels a class; live labels are to be had, and their thread is not started."""
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    found = bench.open(ready.copy(digit_pictures(300, 2), bench.home / "digits"))
    found.live = LiveThread(found.project.live)
    yield found
    found.project.live.close()
    found.live = None
    bench.close()
    workbench._current = None


def page_of(name: str) -> AppTest:
    page = AppTest.from_file(str(MAIN), default_timeout=30).run()
    page.switch_page(f"pages/{name}.py").run()
    assert not page.exception
    return page


def captions(page: AppTest) -> str:
    return " ".join(one.value for one in page.caption)


def fit(project: Project) -> None:
    assert any([project.live.step(1e9 * more) for more in range(1, 4)]), project.live.state()


def test_after_how_many_answers_it_is_fitted_is_a_setting_of_the_project(opened: OpenProject) -> None:
    opened.project.live.turn(True)
    page = page_of("review_labels")
    after = page.number_input(key="live_per_refit")
    assert after.value == opened.project.live.per_refit == 10
    after.set_value(25).run()
    assert opened.project.live.per_refit == 25
    assert page_of("review_labels").number_input(key="live_per_refit").value == 25
    for answers in (0, 1001):
        with pytest.raises(ConfigError, match="Choose 1 to 1,000"):
            opened.project.live.fit_after(answers)


def test_the_network_that_describes_the_images_can_be_chosen(opened: OpenProject) -> None:
    opened.project.live.turn(True)
    page = page_of("review_labels")
    page.text_input(key="live_net").set_value("no_such_network").run()
    assert "no\\_such\\_network" in page.error[0].value
    assert opened.project.live.net == ""
    page.text_input(key="live_net").set_value("hog").run()
    assert not page.error
    assert opened.project.live.net == "frozen:hog"
    assert page_of("review_labels").text_input(key="live_net").value == "hog"
    fit(opened.project)
    page.text_input(key="live_net").set_value("").run()
    assert opened.project.live.net == ""


def test_the_switch_turns_live_labels_on_and_the_page_follows_the_round(opened: OpenProject) -> None:
    page = page_of("review_labels")
    switch = page.toggle(key="live_labels")
    assert not switch.value
    assert page.selectbox(key="review_strategy").value == "least_sure"
    switch.set_value(True).run()
    assert opened.project.live.wanted
    assert page.selectbox(key="review_strategy").value == "least_sure"
    assert page.selectbox(key="review_round").value is None
    fit(opened.project)
    page.run()
    assert "Fitted 1×, last on 20 labels" in captions(page)
    assert "Random images asked blind: not measured yet" in captions(page)
    assert page.selectbox(key="review_round").value == 1, "it follows what has come into force"
    assert json.loads(page.get("bidi_component")[0].proto.json)["round"] is None, (
        "the deck follows the force, not a number"
    )
    assert not page.segmented_control[0].disabled, "the grid is to be had"
    page.toggle(key="live_labels").set_value(False).run()
    assert not opened.project.live.wanted


def test_a_first_guess_from_the_class_names_is_shown_as_such_before_any_label(
    ready: ReadyProjects, tmp_path: Path, jobs_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_work, "MOST_ON_CPU", 0)  # gradients alone
    guesses(monkeypatch, 0.7)
    bench = workbench.use(workbench.Workbench(tmp_path / "home"))
    found = bench.open(ready.copy(digit_pictures(300, 0), bench.home / "digits"))
    found.live = LiveThread(found.project.live)
    for name in "0123456789":
        found.project.store.add_class(name)
    found.project.live.turn(True)
    fit(found.project)
    page = page_of("review_labels")
    assert "First guess, nothing measured. It gives the order alone" in captions(page)
    assert "Fitted" not in captions(page)
    items, _ = found.project.queue.next("least_sure", 10)
    assert all(one.prediction in "0123456789" for one in items if not one.blind)
    for name in ("train_rounds", "inspect_map", "check_quality", "export_dataset"):
        page_of(name)
    found.project.live.close()
    found.live = None
    bench.close()
    workbench._current = None


def test_the_grid_says_what_it_waits_for_and_opens_when_the_features_are_there(opened: OpenProject) -> None:
    page = page_of("review_labels")
    assert page.segmented_control[0].disabled, "no features are on their way"
    page.toggle(key="live_labels").set_value(True).run()
    page.segmented_control[0].set_value("Grid").run()
    assert "opens here as soon as their features are computed" in page.info[0].value
    assert not page.get("bidi_component")
    opened.project.live.step()
    page.run()
    assert not page.info
    data = json.loads(page.get("bidi_component")[0].proto.json)
    assert data["sorts"] == [["likeness", "like ones together"]]


def test_twenty_random_answers_say_how_good_all_images_are(opened: OpenProject) -> None:
    project = opened.project
    project.live.turn(True)
    fit(project)
    asked = answer_measured(project, 15, predicted(project, 1))
    n = len(project.measured.answers(1).right)  # but for those that the last fit had learned from
    assert 0 < n <= len(asked)
    text = captions(page_of("review_labels"))
    assert f"Random images asked blind: {n} of {n} predicted right so far; from 20 on they measure all" in text
    answer_measured(project, 45, predicted(project, 1))
    n = len(project.measured.answers(1).right)
    text = captions(page_of("review_labels"))
    assert "About 100 % of all images are right (" in text
    assert f"by {n} random images asked blind)" in text


def test_a_later_round_stays_in_force_until_the_person_goes_on(opened: OpenProject) -> None:
    project = opened.project
    project.live.turn(True)
    fit(project)
    project.live._state = type(project.live.state())("later", "Round 2 is in force now.", number=2)
    page = page_of("train_rounds")
    assert "Live labels wait" in captions(page)
    page.button(key="live_go_on").click().run()
    assert [one.live for one in project.store.rounds()] == [False]


def test_the_train_page_tells_of_fits_and_draws_no_empty_curves(opened: OpenProject) -> None:
    opened.project.live.turn(True)
    fit(opened.project)
    page = page_of("train_rounds")
    texts = " ".join(one.value for one in page.markdown)
    assert "One fit, on 20 labels" in texts
    assert "live, in force" in texts
    assert not page.get("plotly_chart")


def test_the_line_gives_what_is_left_with_its_interval_or_not_at_all() -> None:
    measured = share(90, 100, "")
    told = live_labels._measured(Standing(measured, 0.9, 0.83, 0.94, 106, Between(37, 140)), 0.95)
    assert told.endswith("; about 106 more answers to 95 % (37 to 140).")
    assert "more answers" not in live_labels._measured(Standing(measured, 0.9, 0.83, 0.94, None, None), 0.95)
