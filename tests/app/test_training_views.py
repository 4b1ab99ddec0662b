"""How a round with an ablation beside it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.components import teacher_views, training_views
from engine.records.rounds import AblationFigures, HeldoutFigures, RoundReport, Verdict
from engine.rounds.folder.teacher import TeacherCourse

FIGURES = HeldoutFigures(200, 180, 0.9, 0.85, 0.94, "x")


def ablation(only_main: int, only_ablation: int, p_value: float) -> AblationFigures:
    return AblationFigures(FIGURES, 150, only_main, only_ablation, p_value)


@pytest.mark.parametrize(
    ("only_main", "only_ablation", "p_value"), [(6, 4, 0.75), (5, 5, 1.0), (20, 3, 0.0005), (3, 20, 0.0005)]
)
def test_the_difference_is_counted_and_nothing_is_claimed_by_images_that_choose(
    only_main: int, only_ablation: int, p_value: float
) -> None:
    words = training_views.difference(ablation(only_main, only_ablation, p_value))
    assert f"200 held-out images 150 were right with and without feedback, {only_main} only with it" in words
    assert f"{only_ablation} only without it" in words
    assert "what the feedback does for others, they do not show" in words
    assert not any(word in words for word in ("helped", "harm", "p = "))


def test_without_held_out_images_nothing_is_claimed() -> None:
    assert "cannot be said" in training_views.difference(AblationFigures(HeldoutFigures()))


def curves(**columns: list[Any]) -> dict[str, list[Any]]:
    table = {"phase": ["ablation", "ablation", "main", "main"], "epoch": [1, 2, 1, 2], "loss": [3.0, 2.0, 3.0, 2.0]}
    return table | {"heldout_accuracy": [0.5, 0.6, 0.55, 0.7]} | columns


def test_the_curves_have_a_line_for_the_ablation_and_one_for_h_on_its_own_axis() -> None:
    figure = training_views.curves_figure(curves(h=[0.0, 0.0, 0.01, -0.02], **{"lambda": [0.0, 1.0, 0.0, 1.0]}))
    lines = {trace.name: trace for trace in figure.data}
    assert lines["without feedback (h = 0)"].y == (0.5, 0.6)
    (gain,) = [trace for name, trace in lines.items() if name.startswith("h,")]
    (weight,) = [trace for name, trace in lines.items() if name.startswith("λ")]
    assert gain.y == (0.01, -0.02)
    assert gain.yaxis != weight.yaxis
    assert gain.xaxis == weight.xaxis


def test_rounds_without_ablation_and_h_have_no_such_lines() -> None:
    figure = training_views.curves_figure({"phase": ["main"], "epoch": [1], "loss": [1.0], "heldout_accuracy": [0.5]})
    assert {trace.name for trace in figure.data} == {"held-out labels right, no accuracy", "training loss"}


def test_training_accuracy_has_a_line_for_baseline_teacher_student_and_the_student_without_feedback() -> None:
    table = {
        "phase": ["ablation", "baseline", "main", "main"],
        "epoch": [1, 1, 1, 2],
        "train_accuracy": [0.7, 1.0, 0.6, 0.8],
        "teacher_train_accuracy": [None, None, 0.9, 0.95],
    }
    assert teacher_views.has_teacher(table)
    lines = {trace.name: trace.y for trace in teacher_views.training_accuracy_figure(table).data}
    assert lines == {
        "supervised baseline": (1.0,),
        "teacher": (0.9, 0.95),
        "student": (0.6, 0.8),
        "student without feedback (h = 0)": (0.7,),
    }
    late = teacher_views.training_accuracy_figure(table | {"h": [None, None, None, 0.1]})
    assert {trace.name: trace.y for trace in late.data}["student"] == (0.8,)  # in epoch 1 the teacher was evaluated
    assert not teacher_views.has_teacher({"phase": ["main"], "epoch": [1], "train_accuracy": [0.5]})


def test_a_panel_an_epoch_shows_the_classes_that_were_ever_most_probable_and_marks_the_present_one() -> None:
    distributions = np.zeros((2, 12), np.float32)
    distributions[0, [3, 11]] = 0.7, 0.3
    distributions[1, [3, 11]] = 0.2, 0.8
    figure = teacher_views.course_figure(distributions, (3, 9), [f"class {k}" for k in range(12)])
    first, last = figure.data
    assert len(first.x) == teacher_views.BARS
    assert {"class 3", "class 11"} <= set(first.x)
    marked = [bars.x[list(bars.marker.color).index(teacher_views.BLUE)] for bars in (first, last)]
    assert marked == ["class 3", "class 11"]
    assert [note.text for note in figure.layout.annotations] == ["epoch 3", "epoch 9"]


def test_the_words_count_flips_and_steepness() -> None:
    found = TeacherCourse((3, 9), np.array([1]), np.zeros((2, 1, 3), np.float32), 1800, 120, 300, 40)
    said = teacher_views.words(found)
    assert "epoch 3 to 9" in said
    assert "1,800 unlabeled images" in said
    assert "120 changed their most probable class" in said
    assert "of 300 the largest probability rose by more than 10 points, of 40 it fell" in said


def _page(found: object) -> None:
    import types

    from app.components import training_views
    from engine.quality import sample

    project = types.SimpleNamespace(
        results=types.SimpleNamespace(true_accuracy=lambda number: None, complete=list),
        measured=types.SimpleNamespace(accuracy=lambda number: sample.share(0, 0, "")),
    )
    record = types.SimpleNamespace(number=1, report=found)
    training_views.report(project, record)  # type: ignore[arg-type]


@pytest.mark.parametrize("beside", [None, ablation(6, 4, 0.75)])
def test_the_report_shows_the_round_without_feedback_where_it_was_trained(beside: AblationFigures | None) -> None:
    report = RoundReport(heldout=FIGURES, baseline=FIGURES, ablation=beside, seconds=3.0)
    page = AppTest.from_function(_page, args=(report,)).run()
    assert not page.exception
    assert ("without feedback" in page.caption[-1].value) is (beside is not None)
    assert any("only with it" in text.value for text in page.markdown) is (beside is not None)


@pytest.mark.parametrize("promoted", [True, False])
def test_the_report_says_why_the_round_came_into_force_or_not(promoted: bool) -> None:
    report = RoundReport(heldout=FIGURES, verdict=Verdict(promoted, "Held *back*: 0 of 180 right."))
    page = AppTest.from_function(_page, args=(report,)).run()
    (said,) = page.info if promoted else page.warning
    assert state.plain("Held *back*: 0 of 180 right.") == said.value


def test_the_ablation_phase_is_named_while_it_runs() -> None:
    assert "h = 0" in training_views.PHASES["ablation"]


def test_held_out_labels_are_counts_that_measure_no_accuracy() -> None:
    report = RoundReport(heldout=HeldoutFigures(24, 19, 19 / 24, 0.58, 0.93, "x"), baseline=HeldoutFigures(24, 17))
    words = training_views.within(report)
    assert words == (
        "Within the round: 19 of 24 held-out labels right, 17 by the labels alone; chosen by them, so no measure of "
        "accuracy."
    )
    many = RoundReport(heldout=HeldoutFigures(40, 30, 0.75, 0.59, 0.87, "x", 240))
    assert "30 of 40 held-out scenes right (240 labels, one of each scene counted)" in training_views.within(many)
    assert "%" not in training_views.within(many)
    few = AblationFigures(HeldoutFigures(12, 7, 7 / 12, 0.28, 0.85, "x", 72), 5, 2, 0, 0.5)
    assert "fewer than 30" in training_views.difference(few)


def _progress(metrics: dict[str, float]) -> None:
    import types

    from app.components import training_views

    training_views.progress(types.SimpleNamespace(progress={"metrics": metrics}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [({"heldout_accuracy": 19 / 24, "heldout_labels": 24.0}, "19 of 24"), ({"loss": 1.0}, "–")],
)
def test_while_a_round_runs_held_out_labels_are_counted(metrics: dict[str, float], shown: str) -> None:
    page = AppTest.from_function(_progress, args=(metrics,)).run()
    assert not page.exception
    assert {one.label: one.value for one in page.metric}["Held-out labels right"] == shown


def test_the_measured_figure_comes_before_what_is_said_of_held_out_labels() -> None:
    report = RoundReport(heldout=FIGURES, verdict=Verdict(True, "Promoted: 180 of 200."))
    page = AppTest.from_function(_page, args=(report,)).run()
    kinds = [one.type for one in page.main]
    assert kinds.index("metric") < kinds.index("info")
    assert next(iter(page.metric)).label == "Measured accuracy"
