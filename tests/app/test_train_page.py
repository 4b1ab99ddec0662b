"""The train page: the recommended round first and startable as it is, then every algorithm with every setting."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.components import round_choice, training_views
from app.server import workbench
from app.server.workbench import OpenProject
from engine.algorithms import ALGORITHMS
from engine.errors import RoundBlocked
from engine.importers.scan import ImportSource
from engine.jobs.timing import Timing
from engine.project import options
from engine.project.opened import Project
from engine.project.training import Training
from engine.records.rounds import RoundRecord
from engine.training.config import TrainConfig
from engine.training.settings import settings_from, settings_to
from tests.measuring import answer_measured
from tests.ready_project import ReadyProjects, grey

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[workbench.Workbench]:
    found = workbench.use(workbench.Workbench(tmp_path / "home"))
    known = Timing(133.0, "80 steps in 2 epochs", done=True)
    monkeypatch.setattr(Training, "time", lambda self, algorithm, config, train: known)
    yield found
    found.close()
    workbench._current = None


@pytest.fixture
def opened(bench: workbench.Workbench, ready: ReadyProjects) -> OpenProject:
    """Grey 12×12 images: six of each of “left” and “right”, four unlabeled."""
    folders = [*["left"] * 6, *["right"] * 6, *["_unlabeled"] * 4]
    spots = grey(12, {f"{folder}/{number}.png": 15 * number for number, folder in enumerate(folders)})
    found = bench.open(ready.copy(spots, bench.home / "spots"))
    found.engine.stop()
    return found


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What rounds were asked for; they are refused, so that nothing runs."""
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def queue(self: Project, algorithm: str, config: dict[str, Any], train: dict[str, Any]) -> RoundRecord:
        asked.append((algorithm, dict(config), dict(train)))
        raise RoundBlocked("Not in a test")

    monkeypatch.setattr(Training, "queue", queue)
    return asked


def _page() -> AppTest:
    page = AppTest.from_file(str(MAIN), default_timeout=60).run()
    page.switch_page("pages/train_rounds.py").run()
    assert not page.exception
    return page


def _choose(page: AppTest, key: str) -> AppTest:
    next(box for box in page.selectbox if box.label == "Algorithm").select(key).run()
    assert not page.exception
    return page


def _inputs(page: AppTest) -> dict[str, Any]:
    """Every input of the page by its label."""
    return {one.label: one for one in [*page.selectbox, *page.number_input, *page.checkbox, *page.text_input]}


def test_recommendation_comes_first_with_its_reason_and_its_time(opened: OpenProject) -> None:
    page = _page()
    found = opened.project.training.recommendation()
    assert found is not None
    assert page.subheader[0].value == "Recommended"
    texts = [one.value for one in page.markdown]
    title = next(text for text in texts if text.startswith("####"))
    assert title == f"#### {ALGORITHMS[found.algorithm].title}"
    assert any("small and grey" in text for text in texts)
    assert any(":material/timer: **about 2 min**" in text for text in texts)
    assert page.button(key="start_recommended").proto.type == "primary"


@pytest.mark.parametrize(("title", "place"), [("Standard", 0), ("Thorough", 1)])
def test_start_button_queues_exactly_the_recommended_settings(
    opened: OpenProject, queued: list[Any], title: str, place: int
) -> None:
    page = _page()
    page.get("button_group")[0].set_value(title).run()
    page.button(key="start_recommended").click().run()
    found = opened.project.training.recommendation()
    assert found is not None
    length = found.lengths[place]
    assert queued == [(found.algorithm, found.config | length.config, found.train | length.train)]
    assert page.error[0].value == "Not in a test."


def test_own_settings_start_from_the_recommendation(
    opened: OpenProject, queued: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = opened.project.training.recommendation()
    assert found is not None
    train = {"net": "simple_cnn", "augment": "shift_flip", "dropout": 0.5}
    found = dataclasses.replace(found, algorithm="fixmatch", config={"rule": "softmatch"}, train=train)
    monkeypatch.setattr(Training, "recommendation", lambda self: found)
    page = _page()
    page.button(key="start_round").click().run()
    algorithm, config, train = queued[0]
    assert algorithm == found.algorithm
    assert config == settings_to(settings_from(ALGORITHMS[algorithm].config, found.config))
    assert train == settings_to(settings_from(TrainConfig, found.standard))


def test_beside_a_model_without_training_own_settings_are_those_of_the_first_other_way(
    opened: OpenProject, queued: list[Any]
) -> None:
    found = opened.project.training.recommendation()
    assert found is not None
    assert found.algorithm == "transductive"
    page = _page()
    page.button(key="start_round").click().run()
    algorithm, _, train = queued[0]
    assert algorithm == "transductive"
    assert train == settings_to(settings_from(TrainConfig, found.alternatives[0].train))
    assert train["run_baseline"]


@pytest.mark.parametrize("key", list(ALGORITHMS))
def test_every_algorithm_can_be_chosen_and_its_form_shows_every_field_with_help(
    opened: OpenProject, queued: list[Any], key: str
) -> None:
    page = _choose(_page(), key)
    shown = _inputs(page)
    spec = ALGORITHMS[key]
    for field in (*dataclasses.fields(spec.config), *dataclasses.fields(TrainConfig)):
        assert len(shown[field.metadata["label"]].help) >= 15, field.name
    assert any(spec.source.split(",")[0] in one.value.replace("\\", "") for one in page.caption)
    page.button(key="start_round").click().run()
    assert queued[0][0] == key
    assert set(queued[0][1]) == {field.name for field in dataclasses.fields(spec.config)}
    assert set(queued[0][2]) == {field.name for field in dataclasses.fields(TrainConfig)}


def test_setting_changed_by_hand_reaches_the_round(opened: OpenProject, queued: list[Any]) -> None:
    page = _choose(_page(), "pseudo_label")
    _inputs(page)["Final weight"].set_value(1.5).run()
    _inputs(page)["Epochs"].set_value(7).run()
    page.button(key="start_round").click().run()
    assert queued[0][1]["alpha_f"] == 1.5
    assert queued[0][2]["epochs"] == 7


def test_fields_that_do_not_matter_are_out_of_use_and_keep_their_default(
    opened: OpenProject, queued: list[Any]
) -> None:
    page = _page()
    _inputs(page)["Distortions"].set_value(5).run()
    assert not _inputs(page)["Distortions"].disabled
    assert _inputs(page)["Pretrained weights"].disabled
    _inputs(page)["Strong view"].select("light").run()
    assert _inputs(page)["Distortions"].disabled
    page.button(key="start_round").click().run()
    assert queued[0][2]["strong"] == "light"
    assert queued[0][2]["rand_ops"] == TrainConfig().rand_ops


def test_alternative_fills_the_form_below(opened: OpenProject, queued: list[Any]) -> None:
    page = _page()
    found = opened.project.training.recommendation()
    assert found is not None
    other = found.alternatives[0]
    page.button(key="alternative_0").click().run()
    page.button(key="start_round").click().run()
    algorithm, _, train = queued[0]
    assert algorithm == other.algorithm
    assert {name: train[name] for name in other.train} == other.train


def test_networks_offered_include_frozen_features_and_a_new_one_can_be_typed(opened: OpenProject) -> None:
    network = _inputs(_page())["Network"]
    assert "frozen:mobilenet_v2" in network.options
    assert "tuned:efficientnet_lite0" in network.options
    assert network.proto.accept_new_options


def test_how_many_blocks_are_tuned_can_be_chosen_where_a_network_is_tuned(opened: OpenProject) -> None:
    page = _page()
    assert _inputs(page)["Tuned blocks"].disabled
    _inputs(page)["Network"].set_value("tuned:efficientnet_lite0").run()
    assert not _inputs(page)["Tuned blocks"].disabled


def test_while_a_round_is_active_none_can_be_started(opened: OpenProject) -> None:
    opened.project.store.queue_round("supervised", options.whole_settings("supervised", {}, {}))
    page = _page()
    assert page.button(key="start_recommended").disabled
    assert page.button(key="start_round").disabled
    assert any("one round runs at a time" in one.value for one in page.caption)


def test_unknown_time_is_being_estimated_and_one_that_cannot_be_says_why(
    opened: OpenProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {True: Timing(how="its steps are too long to be tried", done=True), False: Timing()}
    for done, words in ((False, "estimating the time"), (True, "its steps are too long to be tried")):
        monkeypatch.setattr(Training, "time", lambda self, *settings, answer=times[done]: answer)
        assert any(words in one.value for one in _page().markdown)


def test_warning_of_few_labels_shows_class_names_as_text(bench: workbench.Workbench, tmp_path: Path) -> None:
    path = tmp_path / "few.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(6):
            out = BytesIO()
            Image.fromarray(np.full((12, 12), 40 * number, np.uint8)).save(out, "PNG")
            archive.writestr(f"{['*a*', 'b'][number % 2]}/{number}.png", out.getvalue())
        archive.writestr("_unlabeled/6.png", out.getvalue()[:-1] + b"x" + b"tail")
    found = bench.create("Few")
    found.project.imports.commit(found.project.imports.scan(ImportSource("zip", path)))
    found.engine.stop()
    warnings = [one.value for one in _page().warning]
    assert any("\\*a\\* \\(2 more\\)" in warning for warning in warnings)


def test_without_images_the_page_points_to_import(bench: workbench.Workbench) -> None:
    bench.create("Empty")
    assert any("Import images first" in one.value for one in _page().info)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "a few seconds"), (44, "about 40 s"), (58, "about 1 min"), (133, "about 2 min"), (1500, "about 25 min"),
        (7300, "about 2 h"), (9000, "about 2.5 h"), (90_000, "about 25 h"),
    ],
)  # fmt: skip
def test_estimated_times_are_rounded_as_far_as_they_can_be_trusted(seconds: float, words: str) -> None:
    assert round_choice.about(seconds) == words


def test_curves_show_the_weight_a_round_reports() -> None:
    table = {"phase": ["main"], "epoch": [1], "loss": [1.0], "threshold": [0.9], "used_share": [0.5]}
    names = [trace.name for trace in training_views.curves_figure(table).data]
    assert any("threshold" in name for name in names)
    assert training_views.weight_of({"alpha": 0.0}) == "alpha"
    assert training_views.weight_of({"lambda": 1.0, "alpha": None}) == "lambda"
    assert training_views.weight_of({"loss": 1.0}) is None


def test_no_blind_answers_are_offered_first_where_there_are_no_images_to_spare(opened: OpenProject) -> None:
    assert not any(one.key == "measure_first" for one in _page().button), "20 of 16 images"


def test_blind_answers_are_offered_first_until_twenty_measure(bench: workbench.Workbench, ready: ReadyProjects) -> None:
    spots = grey(12, {f"{('left', 'right')[n % 2]}/{n}.png": 2 * n for n in range(100)})
    many = bench.open(ready.copy(spots, bench.home / "many"))
    many.engine.stop()
    page = _page()
    assert page.button(key="measure_first").label == "Measure first: 20 blind answers"
    assert not page.button(key="start_recommended").disabled, "nobody has to"
    answer_measured(many.project, 19, "left")
    page.run()
    assert page.button(key="measure_first").label == "Measure first: 1 blind answer"
    page.button(key="measure_first").click().run()
    assert page.session_state["review_only"] == "measured"
    answer_measured(many.project, 1, "left")
    assert not any(one.key == "measure_first" for one in _page().button)
