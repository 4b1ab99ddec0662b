"""How a round with an ablation beside it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.components import training_views
from engine.records.rounds import AblationFigures, HeldoutFigures, RoundReport, Verdict

FIGURES = HeldoutFigures(200, 180, 0.9, 0.85, 0.94, "x")


def ablation(only_main: int, only_ablation: int, p_value: float) -> AblationFigures:
    return AblationFigures(FIGURES, 150, only_main, only_ablation, p_value)


@pytest.mark.parametrize(
    ("only_main", "only_ablation", "p_value", "said"),
    [
        (6, 4, 0.75, "the feedback shows no effect"),
        (5, 5, 1.0, "no difference"),
        (20, 3, 0.0005, "the feedback helped here"),
        (3, 20, 0.0005, "the feedback did harm here"),
    ],
)
def test_the_difference_is_said_with_its_counts_and_only_claimed_beyond_chance(
    only_main: int, only_ablation: int, p_value: float, said: str
) -> None:
    words = training_views.difference(ablation(only_main, only_ablation, p_value))
    assert said in words
    assert f"200 held-out images 150 were right with and without feedback, {only_main} only with it" in words
    assert f"{only_ablation} only without it" in words


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
    assert {trace.name for trace in figure.data} == {"held-out accuracy", "training loss"}


def _page(found: object) -> None:
    import types

    from app.components import training_views

    project = types.SimpleNamespace(results=types.SimpleNamespace(true_accuracy=lambda number: None))
    record = types.SimpleNamespace(number=1, report=found)
    training_views.report(project, record)  # type: ignore[arg-type]


@pytest.mark.parametrize("beside", [None, ablation(6, 4, 0.75)])
def test_the_report_shows_the_round_without_feedback_where_it_was_trained(beside: AblationFigures | None) -> None:
    report = RoundReport(heldout=FIGURES, baseline=FIGURES, ablation=beside, seconds=3.0)
    page = AppTest.from_function(_page, args=(report,)).run()
    assert not page.exception
    titles = [metric.label for metric in page.metric]
    assert ("Without feedback (h = 0)" in titles) is (beside is not None)
    assert any("only with it" in text.value for text in page.markdown) is (beside is not None)


@pytest.mark.parametrize("promoted", [True, False])
def test_the_report_says_why_the_round_came_into_force_or_not(promoted: bool) -> None:
    report = RoundReport(heldout=FIGURES, verdict=Verdict(promoted, "Held *back*: 0 of 180 right."))
    page = AppTest.from_function(_page, args=(report,)).run()
    (said,) = page.success if promoted else page.warning
    assert state.plain("Held *back*: 0 of 180 right.") == said.value


def test_the_ablation_phase_is_named_while_it_runs() -> None:
    assert "h = 0" in training_views.PHASES["ablation"]
