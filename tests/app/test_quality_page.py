"""The quality page: each tab says what was measured and how, and its buttons do what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.components.quality import accuracy, by_class, confusion, gallery, outlook, sureness, words
from app.server import workbench
from app.server.workbench import OpenProject
from engine.errors import ConfigError
from engine.percent import at_most
from engine.project.labels import new_uid
from engine.project.quality.audits import Audits
from engine.project.quality.by_class import ClassFigures
from engine.project.quality.checks import Checks
from engine.project.quality.measured import Measured
from engine.project.review.lists import Lists
from engine.project.review.ref import QueueRef
from engine.quality import audit
from engine.quality.betting import ConfidenceSequence
from engine.quality.measured_set import evidence
from engine.quality.reliability import Gap
from engine.quality.scale import of_answers
from engine.quality.standing import ASSUMED_MISS
from engine.records.labels import Decision
from engine.records.quality import (
    Between,
    CheckState,
    CurvePoint,
    DuplicateGroup,
    Estimate,
    LabelIssue,
    Outlook,
    Reliability,
    ReliabilityBin,
)
from engine.records.review import Conflict
from tests.auditing import answer_audit, answer_item, frozen_label
from tests.made_round import make_round
from tests.measuring import answer_measured, predicted
from tests.ready_project import ReadyProjects, noisy_pets

MAIN = Path(__file__).parents[2] / "app" / "main.py"
LABELED, FREE = 20, 100
CAT, DOG = "*cat*", "dog"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[workbench.Workbench]:
    found = workbench.use(workbench.Workbench(tmp_path / "home"))
    yield found
    found.close()
    workbench._current = None


@pytest.fixture
def opened(bench: workbench.Workbench, ready: ReadyProjects) -> OpenProject:
    """20 labeled images, every other one a cat, and 100 without a label."""
    found = bench.open(ready.copy(noisy_pets(LABELED, FREE, (CAT, DOG)), bench.home / "pets"))
    found.engine.stop()
    return found


@pytest.fixture
def number(opened: OpenProject) -> int:
    """A round: 60 free images predicted cat at .99, 30 dog at .9, 10 cat at .6; ten of the labeled ones held out.

    Of the held-out ones the first cat is taken for a dog.
    """
    table = opened.project.store.label_table()
    cat = iter([0.99] * 60 + [0.1] * 30 + [0.6] * 10)
    p = np.array([{CAT: 0.9, DOG: 0.2}[label] if label else next(cat) for label in table.label])
    p[0] = 0.3
    labeled = table.image_ids[[label is not None for label in table.label]]
    return make_round(opened.project, np.stack([p, 1 - p], 1), heldout=labeled[:10].tolist())


def _page(tab: str | None = None) -> AppTest:
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    page.switch_page("pages/check_quality.py").run()
    if tab is not None:
        page.get("button_group")[0].set_value(tab).run()
    assert not page.exception
    return page


def _texts(page: AppTest) -> str:
    kinds = (page.markdown, page.caption, page.info, page.success, page.warning, page.error)
    return "\n".join(element.value for kind in kinds for element in kind)


def _html(page: AppTest) -> str:
    return "\n".join(element.proto.body for element in page.get("html"))


def _surface(page: AppTest) -> dict[str, Any]:
    """What the review surface was handed: the page that a button led to."""
    assert not page.exception
    return json.loads(page.get("bidi_component")[0].proto.json)


def _answer(opened: OpenProject, image_id: int, label: str) -> None:
    version = opened.project.store.states([image_id])
    base = version[0].version if version else 0
    decision = Decision(new_uid(), image_id, base, "label", label, seconds=2.0)
    assert opened.project.labels.decide([decision])[0].status == "saved"


# classes ----------------------------------------------------------------------------------------------------------


def test_each_class_stands_in_the_table_and_too_few_answers_say_so(opened: OpenProject, number: int) -> None:
    answer_measured(opened.project, 60, predicted(opened.project, number))
    rows = {str(row["Class"]): row for row in _page("Accuracy").dataframe[-1].value.to_dict("records")}
    assert set(rows) == {CAT, DOG}
    figures = {one.name: one for one in opened.project.by_class.figures(number)}
    assert rows[CAT]["Measured right"].startswith(f"{figures[CAT].right.n} of {figures[CAT].right.n} (")
    assert rows[DOG]["Of all images"].startswith(f"{100 * figures[DOG].share.value:.0f} % (")
    few = Estimate(1, 19, 0.0, 1.0, "")
    told = by_class.class_rows([ClassFigures("lynx", 2, 7, few, few, True)])
    assert told == [
        {"Class": "lynx (rare)", "Labels": "2", "Predicted": "7", "Measured right": "too few (19)",
         "Of all images": "too few (19)"}
    ]  # fmt: skip


def test_accepting_warns_of_images_that_lie_near_a_rare_class_and_leads_to_them(opened: OpenProject) -> None:
    said = np.tile([0.99, 0.01], (LABELED + FREE, 1))
    table = opened.project.store.label_table()
    cats = [row for row, label in enumerate(table.label) if label == CAT]
    opened.project.store.record(
        [Decision(new_uid(), row + 1, int(table.version[row]), "reject") for row in range(LABELED) if row not in cats]
    )
    said[-4:] = [0.2, 0.8]
    features = np.random.default_rng(0).normal(size=(LABELED + FREE, 3))
    features[-5:] += 20
    make_round(opened.project, said, features=features)
    page = _page("Accept by threshold")
    page.radio(key="accept_way").set_value("fixed").run()
    (warning,) = [one.value for one in page.warning if "rare class" in one.value]
    assert DOG in warning
    page.button(key="review_swept").click().run()
    assert _surface(page)["only"] == "rare"


def test_how_much_too_sure_a_round_is_stands_under_accuracy(opened: OpenProject, number: int) -> None:
    assert "What you would accept (see Accept by threshold): too few answers to say (0 of 20)." in _texts(
        _page("Accuracy")
    )
    answer_measured(opened.project, 60, CAT)
    above = opened.project.measured.sureness_above(opened.project.audits.rule_for(number, 0.01, True))
    shown = _texts(_page("Accuracy"))
    assert f"What you would accept (see Accept by threshold): {sureness.gap_words(above)}" in shown
    assert "All undecided images: mean confidence" in shown
    words = sureness.gap_words(Gap(100, 0.95, 0.8, 0.7, 0.87))
    assert words == "mean confidence 95 %, 80 % right: +15 points (+8 to +25), too sure."
    assert "(−5 to +3), not shown" in sureness.gap_words(Gap(100, 0.8, 0.8, 0.77, 0.85))


# empty states -----------------------------------------------------------------------------------------------------


def test_without_a_project_the_page_says_where_to_get_one(bench: workbench.Workbench) -> None:
    assert "No project is open" in _page().info[0].value


@pytest.mark.parametrize(
    ("tab", "words"),
    [
        ("Accuracy", "No round has ended yet"),
        ("Audit", "It would be of **20 labels**, all that an export of everything holds now: 20 imported"),
        ("Accept by threshold", "No round has ended yet"),
        ("Labels to check", "No conflicts"),
        ("People", "Nobody has decided anything yet"),
        ("Is another round worth it?", "so there is no curve"),
    ],
)
def test_before_any_round_each_tab_says_what_is_missing(opened: OpenProject, tab: str, words: str) -> None:
    assert words in _texts(_page(tab))


@pytest.mark.parametrize("tab", ["Accuracy", "Audit", "Labels to check", "People", "Is another round worth it?"])
def test_an_empty_project_ends_no_tab(bench: workbench.Workbench, tab: str) -> None:
    bench.create("Empty")
    assert not _page(tab).error


def _measure(opened: OpenProject, fair: int, label: str | Callable[[int], str]) -> list[int]:
    """Answer images of the measured set until so many of them came without a label; return those."""
    imported, asked = set(opened.project.store.imported().tolist()), []
    while len(asked) < fair:
        asked += [one for one in answer_measured(opened.project, 1, label) if one not in imported]
    return asked


def test_before_twenty_random_images_are_answered_nothing_is_said_to_be_measured(opened: OpenProject) -> None:
    make_round(opened.project, np.tile([0.9, 0.1], (LABELED + FREE, 1)))
    page = _page("Accuracy")
    assert "Nothing is known of the accuracy before 20 images drawn at random were answered" in _texts(page)
    assert "0 measured answers so far" in _texts(page)
    assert "needs 300 random images asked blind; there are 0." in _texts(page)
    assert {one.label: one.value for one in page.metric}["Measured accuracy"] == "–"
    _measure(opened, 19, CAT)
    page.run()
    assert {one.label: one.value for one in page.metric}["Measured accuracy"] == "–"
    assert "19 of 20 random images answered" in _texts(page)
    _measure(opened, 1, CAT)
    page.run()
    assert {one.label: one.value for one in page.metric}["Measured accuracy"] == "100.0 %"
    assert "Of 20 random images 20 were predicted right, 95 % interval 83.2 % to 100.0 %" in _texts(page)
    assert "images that are still undecided about 100 % are predicted right" in _texts(page)
    assert "if 2 % of the answers were slips, a guess, since none was asked again yet" in _texts(page)


def test_confidences_that_are_not_calibrated_promise_no_errors(opened: OpenProject) -> None:
    make_round(opened.project, np.tile([0.9, 0.1], (LABELED + FREE, 1)))
    page = _page("Accept by threshold")
    assert len(page.radio(key="accept_way").options) == 1
    assert "not calibrated" in _texts(page)
    page.slider(key="accept_threshold").set_value(0.8).run()
    figures = {one.label: one.value for one in page.metric}
    assert (figures["Would be accepted"], figures["Expected wrong among them"]) == ("100", "–")
    assert "too few measured answers to say; an audit measures it" in _texts(page)
    page = _page("Is another round worth it?")
    assert {one.value for one in page.metric} == {"–"}
    page.switch_page("pages/export_dataset.py").run()
    page.checkbox(key="source_pseudo").check().run()
    assert "0 measured answers so far" in page.slider[0].help


def test_confidences_calibrated_on_held_out_labels_offer_thresholds_by_expected_errors(
    opened: OpenProject, number: int
) -> None:
    page = _page("Accept by threshold")
    assert len(page.radio(key="accept_way").options) == 3
    page.switch_page("pages/export_dataset.py").run()
    page.checkbox(key="source_pseudo").check().run()
    assert "0 measured answers so far" in page.slider[0].help


def test_only_the_tab_that_is_shown_is_computed(
    opened: OpenProject, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for desk, name in (
        (Measured, "reliability"), (Measured, "accuracy"), (Audits, "preview"), (Measured, "pace"),
        (Measured, "outlook"), (Checks, "label_issues"),
    ):  # fmt: skip
        real = getattr(desk, name)
        monkeypatch.setattr(
            desk, name, lambda self, *a, _name=name, _real=real, **k: asked.append(_name) or _real(self, *a, **k)
        )
    page = _page()
    asked.clear()
    page.get("button_group")[0].set_value("People").run()
    assert asked == ["pace"]


# accuracy ---------------------------------------------------------------------------------------------------------


def test_labels_held_out_are_told_as_what_they_are_and_no_accuracy(opened: OpenProject, number: int) -> None:
    texts = _texts(_page("Accuracy"))
    assert state.plain("Within the round: 9 of 10 held-out labels right; chosen by them") in texts
    assert state.plain("no measure of accuracy") in texts
    assert "90.0 %" not in texts


def test_a_round_is_called_better_only_by_strong_evidence(opened: OpenProject, number: int) -> None:
    make_round(opened.project, np.tile([0.9, 0.1], (LABELED + FREE, 1)))  # cat of all
    page = _page("Accuracy")
    assert "Whether round 2 is better than round 1 is not measured yet" in _texts(page)
    says = predicted(opened.project, number)
    fair = _measure(opened, 30, says)
    lost = sum(says(image_id) == DOG for image_id in fair)
    page.run()
    texts = _texts(page)
    assert f"On the same 30 random images round 2 alone is right on 0, round 1 alone on {lost}" in texts
    told = evidence(0, lost) >= 20
    assert ("is **worse**" in texts, "cannot be told apart" in texts) == (told, not told)


def test_a_calibration_error_is_said_only_of_so_many_labels_that_it_is_more_than_luck() -> None:
    few, many = (Reliability((), 0.08, n, "") for n in (999, 1000))
    assert accuracy.diagram_words(few, few) == "On 999 random images asked blind."
    said = "Expected calibration error **8.0 %** before and **8.0 %** after."
    assert accuracy.diagram_words(many, many) == f"{said} On 1,000 random images asked blind."


def test_the_accuracy_tab_says_what_stands_behind_a_confidence(opened: OpenProject, number: int) -> None:
    assert state.plain(opened.project.measured.scale(number).note) in _texts(_page("Accuracy"))
    _measure(opened, 60, predicted(opened.project, number))
    texts = _texts(_page("Accuracy"))
    assert "Of 60 measured answers 60 were right" in texts
    assert "“fairly sure” 70 to 90" in texts
    assert "On the logit scale" in texts


def test_images_of_a_cell_are_shown_as_text_and_handed_over_to_review(opened: OpenProject, number: int) -> None:
    page = _page("Accuracy")
    cell = page.selectbox(key=f"quality_cell_{number}")
    assert cell.options[0] == f"{CAT} predicted as {DOG}"  # mistakes first
    cell.select((CAT, DOG)).run()
    assert "**1** images labeled **\\*cat\\*** and predicted **dog**" in _texts(page)
    (wrong,) = opened.project.measured.confusion_ids(number, CAT, DOG)
    assert f'src="{opened.base}/thumb/{wrong}?' in _html(page)
    page.button(key="review_cell").click().run()
    assert opened.selection == (wrong,)
    assert _surface(page)["only"] == "selection"


def test_click_on_a_cell_shows_its_images_and_the_list_may_choose_another_then(
    opened: OpenProject, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = confusion.st.plotly_chart

    def clicked(figure: Any, *args: Any, on_select: str = "ignore", **fields: Any) -> Any:
        made = real(figure, *args, on_select=on_select, **fields)
        return {"selection": {"points": [{"customdata": [0, 0]}]}} if on_select == "rerun" else made

    monkeypatch.setattr(confusion.st, "plotly_chart", clicked)
    page = _page("Accuracy")
    key = f"quality_cell_{number}"
    assert page.selectbox(key=key).value == (CAT, CAT)
    page.selectbox(key=key).select((CAT, DOG)).run()
    assert page.selectbox(key=key).value == (CAT, DOG)


@pytest.mark.parametrize("event", [None, {}, {"selection": {"points": []}},
                                   {"selection": {"points": [{"customdata": [7, 0]}]}},
                                   {"selection": {"points": [{"x": 1}]}}])  # fmt: skip
def test_a_click_beside_every_cell_chooses_none(event: Any) -> None:
    assert confusion.clicked_cell(event, [CAT, DOG]) is None


def test_cells_come_with_the_most_frequent_mistake_first_and_empty_ones_never() -> None:
    assert confusion.filled_cells([[5, 1], [3, 0]], ["a", "b"]) == [("b", "a"), ("a", "b"), ("a", "a")]


def test_a_threshold_is_exported_only_with_a_hundred_answers_or_an_audit_behind_it(
    opened: OpenProject, number: int
) -> None:
    def exporting() -> AppTest:
        page = AppTest.from_file(str(MAIN), default_timeout=60).run()
        page.switch_page("pages/export_dataset.py").run()
        page.checkbox(key="source_pseudo").check().run()
        assert not page.exception
        return page

    page = exporting()
    assert "0 of 100" in page.error[0].value
    assert "Answer 100 more random images on the Review page" in _texts(page)
    assert page.button(key="run_export").disabled
    _measure(opened, 100, predicted(opened.project, number))
    page = exporting()
    assert not page.error
    page.button(key="run_export").click().run()
    assert len(opened.project.exports.files()) == 1


# accept by threshold ----------------------------------------------------------------------------------------------


def test_thresholds_say_how_many_are_accepted_and_expect_no_errors_by_few_answers(
    opened: OpenProject, number: int
) -> None:
    page = _page("Accept by threshold")
    page.radio(key="accept_way").set_value("fixed").run()
    page.slider(key="accept_threshold").set_value(0.895).run()
    figures = {one.label: one.value for one in page.metric}
    assert (figures["Would be accepted"], figures["Expected wrong among them"]) == ("90", "–")
    assert "90.0 % of 100 undecided images" in _texts(page)
    assert "too few measured answers to say" in _texts(page)
    page.radio(key="accept_way").set_value("by_class").run()
    page.select_slider(key="accept_target").set_value(0.05).run()
    assert {one.label: one.value for one in page.metric}["Would be accepted"] == "60"
    assert "none taken in dog" in _texts(page)
    page.radio(key="accept_way").set_value("global").run()
    assert {one.label: one.value for one in page.metric}["Would be accepted"] == "90"


def test_nothing_to_accept_is_said_and_no_audit_offered(opened: OpenProject, number: int) -> None:
    page = _page("Accept by threshold")
    page.select_slider(key="accept_target").set_value(0.001).run()
    assert "no undecided prediction would be accepted" in _texts(page)
    assert "draw_audit" not in [one.key for one in page.button]


def _frozen() -> AppTest:
    """Begin an audit of the 90 predictions from .895 on."""
    page = _page("Accept by threshold")
    page.radio(key="accept_way").set_value("fixed").run()
    page.slider(key="accept_threshold").set_value(0.895).run()
    page.button(key="draw_audit").click().run()
    assert not page.exception
    return page


def test_the_page_says_beforehand_what_an_audit_can_show(opened: OpenProject, number: int) -> None:
    page = _page("Accept by threshold")
    page.radio(key="accept_way").set_value("fixed").run()
    page.slider(key="accept_threshold").set_value(0.895).run()
    none_wrong = [ConfidenceSequence(90, 20.0), ConfidenceSequence(90, 20.0)]
    for sequence, answers in zip(none_wrong, (20, 50), strict=True):
        for image_id in range(answers):
            sequence.add(image_id, "random")
    shares = [at_most(sequence.left_wrong(ASSUMED_MISS) / 90) for sequence in none_wrong]
    assert f"where none is wrong: at most {shares[0]} after 20, {shares[1]} after 50 (95 % sure)" in _texts(page)


def test_an_audit_of_a_rule_leads_to_its_images_and_states_a_bound_from_twenty_answers_on(
    opened: OpenProject, number: int
) -> None:
    page = _frozen()
    assert "90 predictions of round 1 that a threshold accepts" in _texts(page)
    assert "0 of the first 20, 0 wrong" in _html(page)
    assert page.get("progress")[0].proto.text == "A bound comes after 20 answers: 20 to go."
    assert page.button(key="draw_audit").disabled
    assert "accept_audit_1" not in [one.key for one in page.button]
    answer_audit(opened.project, 1, 19, frozen_label(opened.project, 1))
    page.run()
    assert "19 of the first 20, 0 wrong" in _html(page)
    assert "%" not in _html(page).partition("No bound yet")[2][:40]
    answer_audit(opened.project, 1, 1, frozen_label(opened.project, 1))
    page.run()
    left = opened.project.audits.get(1).left_wrong
    assert f"At most {left} of 90 left wrong ({at_most(left / 90)}), 95 % sure" in _html(page)
    assert page.button(key="accept_audit_1").label == "Accept 70 labels as one batch"
    page.button(key="review_audit_1").click().run()
    assert _surface(page)["only"] == "audit:1"


def test_what_an_audit_covers_is_accepted_after_a_confirmation(opened: OpenProject, number: int) -> None:
    page = _frozen()
    answer_audit(opened.project, 1, 20, frozen_label(opened.project, 1))
    page.run()
    page.button(key="accept_audit_1").click().run()
    assert opened.project.store.counts().labeled == LABELED + 20  # not before it is confirmed
    assert "**70 predictions** of round 1 become labels" in _texts(page)
    page.button(key="confirm_not").click().run()
    assert opened.project.store.counts().labeled == LABELED + 20
    page.button(key="accept_audit_1").click().run()
    page.button(key="confirm_accept").click().run()
    assert not page.exception
    assert opened.project.store.counts().labeled == LABELED + 90
    assert "Accepted 70 labels as one batch" in _texts(page)
    (row,) = page.dataframe[0].value.to_dict("records")
    statement = opened.project.audits.records()[0].facts["statement"]
    assert (row["State"], row["Wrong"], row["Statement"]) == ("accepted", 0, statement)


def test_all_labels_are_frozen_answered_and_the_audit_closed(opened: OpenProject, number: int) -> None:
    page = _page("Audit")
    assert "**120 labels**, all that an export of everything holds now: 20 imported, 100 pseudo-labels" in _texts(page)
    page.number_input(key="audit_rate").set_value(30.0).run()
    page.button(key="freeze_audit").click().run()
    assert opened.project.audits.records()[0].rate == 0.3
    assert "120 labels, all that an export of everything held" in _texts(page)
    label = frozen_label(opened.project, 1)
    first = opened.project.queue.next(limit=1, ref=QueueRef.of_audit(1))[0][0]
    answer_item(opened.project, first, {CAT: DOG, DOG: CAT}[label(first.image_id)])
    answer_audit(opened.project, 1, 1, label)
    page.run()
    assert "because the answer differs from the label: 1" in _texts(page)
    page.button(key="review_open_1").click().run()
    assert _surface(page)["only"] == "audit:1:open"
    page = _page("Audit")
    answer_audit(opened.project, 1, 38, label)
    page.run()
    assert audit.seen(opened.project.audits.get(1).total) in _html(page)
    found = opened.project.audits.get(1)
    assert ("**Reached**: at most 30.0 % wrong" in _texts(page)) == found.reached(0.3)
    assert "the bound allows for 10.0 % of those, assumed" in _texts(page)
    parts = {row["Labels of"]: row for row in page.dataframe[0].value.to_dict("records")}
    assert set(parts) == {"imported", "pseudo-labels", CAT, DOG}
    page.selectbox(key="audit_part_1").select("class:dog").run()
    page.button(key="review_part_1").click().run()
    assert _surface(page)["only"] == "audit:1:class:dog"
    page = _page("Audit")
    page.button(key="close_audit_1").click().run()
    assert "Audit 1 is closed. Its answers stay as labels." in _texts(page)
    assert page.dataframe[0].value["State"].tolist() == ["closed"]


def test_a_table_of_bounds_says_that_they_hold_together_and_what_a_class_leaves_out(
    opened: OpenProject, number: int
) -> None:
    opened.project.audits.freeze()
    answer_audit(opened.project, 1, 40, frozen_label(opened.project, 1))
    page = _page("Audit")
    assert "These bounds hold together" in _texts(page)
    assert "it says nothing of images of the class that are called otherwise" in _texts(page)
    parts = {row["Labels of"]: row["Bound"] for row in page.dataframe[0].value.to_dict("records")}
    found = opened.project.audits.get(1)
    cats = next(part for part in found.classes if part.part.name == CAT)
    assert parts[CAT] == audit.bound(cats, found.level, tabled=True)
    assert cats.tabled_left > cats.left_wrong


def test_answers_are_taken_as_the_truth_only_where_that_is_chosen_and_a_closed_audit_is_gone_on_with(
    opened: OpenProject, number: int
) -> None:
    table = opened.project.store.label_table()
    seen = [int(i) for i in table.image_ids[table.undecided]][:5]
    looks = [Decision(new_uid(), one, 0, "label", CAT, seconds=1.0) for one in seen]
    assert {ack.status for ack in opened.project.labels.decide(looks)} == {"saved"}
    page = _page("Audit")
    page.checkbox(key="audit_trusting").check().run()
    page.button(key="freeze_audit").click().run()
    found = opened.project.audits.get(1)
    assert (found.trusting, found.labels, found.total.trusted) == (True, 115, 5)
    assert "People's answers are taken as the truth: 5 labels that a person had looked at" in _texts(page)
    page.button(key="close_audit_1").click().run()
    page.button(key="reopen_audit").click().run()
    assert opened.project.audits.get(1).open
    assert "Audit 1 is open again." in _texts(page)


def test_labels_that_changed_since_the_freeze_are_told_and_a_new_freeze_advised(
    opened: OpenProject, number: int
) -> None:
    opened.project.audits.freeze()
    answer_audit(opened.project, 1, 20, frozen_label(opened.project, 1))
    make_round(opened.project, np.tile([0.1, 0.9], (LABELED + FREE, 1)))  # dog of all
    changed = opened.project.audits.get(1).changed
    texts = _texts(_page("Audit"))
    assert f"Changed without a look since the freeze, which adds to the bound: {changed} labels" in texts
    assert "Close this audit and freeze the labels again" in texts


# labels to check --------------------------------------------------------------------------------------------------


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say where the checks of labels and duplicates stand."""

    def tell(labels: CheckState, duplicates: CheckState | None = None) -> None:
        found = {"labels": labels, "duplicates": duplicates or CheckState("none")}
        monkeypatch.setattr(Checks, "state", lambda self, kind: found[kind])

    return tell


def test_checks_are_started_and_a_refusal_is_said(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def start(self: Checks, kind: str) -> CheckState:
        if started:
            raise ConfigError("Too few labels", way_out="Label more.")
        started.append(kind)
        return CheckState("running")

    monkeypatch.setattr(Checks, "start", start)
    stands(CheckState("none"))
    page = _page("Labels to check")
    page.button(key="check_duplicates").click().run()
    assert started == ["duplicates"]
    page.button(key="check_labels").click().run()
    assert page.error[0].value == "Too few labels."


def test_running_check_shows_how_far_it_is_and_can_be_cancelled(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def cancel(self: Checks, kind: str) -> None:
        told.append(kind)
        stands(CheckState("cancelled"))

    monkeypatch.setattr(Checks, "cancel", cancel)
    stands(CheckState("running", "Fold 2 of 5", 0.4))
    page = _page("Labels to check")
    bar = page.get("progress")[0].proto
    assert (bar.value, bar.text) == (40, "Fold 2 of 5")
    page.button(key="cancel_labels").click().run()
    assert told == ["labels"]
    assert "The check was cancelled." in _texts(page)


def test_failed_check_says_why_as_text(opened: OpenProject, stands: Any) -> None:
    stands(CheckState("failed", error="no *memory*"))
    page = _page("Labels to check")
    assert page.error[0].value == "no \\*memory\\*"
    assert page.button(key="check_labels")


def test_suspected_labels_are_listed_escaped_and_lead_to_their_queue(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    issues = [LabelIssue(3, "<b>x", DOG, 0.031, 0.94, 0.9)]
    monkeypatch.setattr(Checks, "label_issues", lambda self: issues)
    stands(CheckState("ready", made="2026-03-01T09:05:12+00:00", stale=True))
    page = _page("Labels to check")
    assert "**1 suspected label**" in _texts(page)
    assert "Checked on 2026-03-01 09:05. Labels or images changed since" in _texts(page)
    assert "&lt;b&gt;x → dog" in _html(page)
    assert "%" not in _html(page).partition("</style>")[2]  # nothing has measured that model
    assert "<b>x" not in _html(page)
    page.button(key="review_issues").click().run()
    assert _surface(page)["only"] == "issues"


def test_duplicates_with_different_labels_come_first_and_are_handed_over(
    opened: OpenProject, stands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [DuplicateGroup((1, 2), (CAT, CAT), 1.0, True), DuplicateGroup((3, 4, 5), (CAT, DOG, None), 0.98, False)]
    monkeypatch.setattr(Checks, "duplicates", lambda self: groups)
    stands(CheckState("none"), CheckState("ready", made="2026-03-01T09:05:12+00:00"))
    page = _page("Labels to check")
    html = _html(page)
    assert html.index("/thumb/3") < html.index("/thumb/1")
    assert "no label" in html
    assert "**2 groups** of images that look the same, 1 of them the same at 32×32; **1** with different" in _texts(
        page
    )
    page.button(key="review_duplicates").click().run()
    assert opened.selection == (3, 4, 5)
    assert _surface(page)["only"] == "selection"


def test_conflicts_are_counted_by_kind_and_lead_to_their_queue(
    opened: OpenProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        Conflict("prediction", (1,), (CAT,), DOG, 0.99),
        Conflict("prediction", (2,), (CAT,), DOG, 0.98),
        Conflict("annotators", (3,), (CAT,), DOG, 1.0, (("a", DOG), ("b", CAT))),
    ]
    monkeypatch.setattr(Lists, "conflicts", lambda self, number=None: found)
    page = _page("Labels to check")
    said = "**3 conflicts**: 2 where a prediction contradicts the label, 1 between two people."
    assert said in _texts(page)
    page.button(key="review_conflicts").click().run()
    assert _surface(page)["only"] == "conflicts"


# people, outlook --------------------------------------------------------------------------------------------------


def test_pace_of_each_person_is_shown(opened: OpenProject, number: int) -> None:
    for item in opened.project.queue.next("least_confidence", 4)[0]:
        _answer(opened, item.image_id, str(item.prediction))
    (row,) = _page("People").dataframe[0].value.to_dict("records")
    assert (row["Who"], row["Single decisions"], row["Seconds each"], row["A minute"]) == ("local", 4, "2.0", "30")


def test_outlook_is_asked_for_the_target_chosen_and_shown_in_words(
    opened: OpenProject, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, int]] = []
    point = CurvePoint(1, "pseudo_label", 500, Estimate(90, 100, 0.82, 0.95, ""))
    written = of_answers(np.full(100, 0.9), np.arange(100) < 90)

    def outlook_of(self: Measured, target: float, next_count: int) -> Outlook:
        asked.append((target, next_count))
        between = Between(20, 44), Between(90, 170), Between(180, 400)
        return Outlook(
            (point,), written, next_count, 31.4, between[0], 3.0, 120.0, between[1], target, 260, between[2], 13.0,
            "Go *on*.",
        )  # fmt: skip

    monkeypatch.setattr(Measured, "outlook", outlook_of)
    page = _page("Is another round worth it?")
    page.slider(key="outlook_target").set_value(99.5).run()
    assert asked[-1] == (0.995, 100)
    figures = {one.label: one.value for one in page.metric}
    assert figures == {
        "Corrections in the next 100": "31", "Time for the next 100": "5 min", "Decisions left to 99.5 %": "260",
        "Time for those": "13 min",
    }  # fmt: skip
    assert page.info[0].value == "Go \\*on\\*."
    assert "One point is no curve" in _texts(page)
    said = _texts(page)
    assert "20 to 44" in said
    assert "180 to 400" in said
    assert "all undecided images: 120 (90 to 170)." in said
    assert (
        f"as far as recalibrated confidences go; the measured set and audits measure. {state.plain(written.note)}"
        in said
    )


def test_few_scenes_draw_no_curve(opened: OpenProject, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    point = CurvePoint(1, "pseudo_label", 500, Estimate(17, 22, 0.5, 0.9, "", 130))
    few = Outlook((point,), None, 100, None, None, None, None, None, 0.99, None, None, None, "Go on.")
    monkeypatch.setattr(Measured, "outlook", lambda self, target, next_count: few)
    page = _page("Is another round worth it?")
    assert not page.get("plotly_chart")
    assert "no curve with fewer than 30 scenes" in _texts(page)


def test_unknown_outlook_is_said_to_be_unknown(opened: OpenProject) -> None:
    page = _page("Is another round worth it?")
    assert {one.value for one in page.metric} == {"–"}
    assert "no pace measured yet" in _texts(page)
    assert "No round is in force yet" in _texts(page)


def test_what_is_left_is_estimated_from_a_hundred_measured_answers_and_the_curve_drawn_from_twenty(
    opened: OpenProject, number: int
) -> None:
    page = _page("Is another round worth it?")
    assert {one.label: one.value for one in page.metric}["Corrections in the next 100"] == "–"
    assert "0 measured answers so far" in _texts(page)
    assert "estimated from 100 measured answers on" in _texts(page)
    assert "No round's accuracy is measured by 20 random images yet" in _texts(page)
    assert "% right" not in page.info[0].value
    _measure(opened, 100, predicted(opened.project, number))
    page.run()
    assert {one.label: one.value for one in page.metric}["Corrections in the next 0"] == "0"
    assert "Of 100 measured answers 100 were right" in _texts(page)
    assert "as far as recalibrated confidences go" in _texts(page)


# figures and words ------------------------------------------------------------------------------------------------


def test_learning_curve_has_the_intervals_and_is_in_order_of_labels() -> None:
    points = [
        CurvePoint(2, "supervised", 800, Estimate(95, 100, 0.89, 0.98, "")),
        CurvePoint(1, "supervised", 500, Estimate(90, 100, 0.82, 0.95, "")),
    ]
    (trace,) = outlook.curve_figure(points).data
    assert (trace.x, trace.y) == ((500, 800), (0.9, 0.95))
    assert trace.error_y.array == pytest.approx((0.05, 0.03))
    assert trace.error_y.arrayminus == pytest.approx((0.08, 0.06))
    assert trace.mode == "lines+markers"
    assert trace.text[0] == "round 1, Supervised: 90 % (82 % to 95 %), 500 labels"
    same = [CurvePoint(3, "pi_model", 500, points[0].accuracy), points[1]]
    assert outlook.curve_figure(same).data[0].mode == "markers"  # two rounds on the same labels make no curve


def test_reliability_leaves_empty_bins_out() -> None:
    full, empty = ReliabilityBin(0.9, 1.0, 9, 0.95, 0.8), ReliabilityBin(0.5, 0.6, 0, 0.0, 0.0)
    found = Reliability((empty, full), 0.15, 9, "")
    before = accuracy.reliability_figure(found, found).data[1]
    assert (before.x, before.y) == ((0.95,), (0.8,))


def test_names_in_charts_and_galleries_are_never_markup() -> None:
    figure = confusion.confusion_figure([[1, 0], [0, 1]], ["<i>a", "b"])
    assert figure.layout.xaxis.ticktext == ("&lt;i&gt;a", "b")
    html = gallery.tiles_html("/p/x", [gallery.Tile(1, '"><script>', "<b>")])
    assert "<script>" not in html
    assert "<b>" not in html


def test_times_are_written_in_words() -> None:
    assert [words.minutes(value) for value in (None, 0.2, 5.4, 75)] == ["–", "under 1 min", "5 min", "1:15 h"]
