"""A live round whose write is cut off anywhere: what is in force can be read, and the next write mends the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import RoundError, RoundState
from engine.images.array_cache import ArraySpec
from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision
from engine.rounds.folder import digests, files, results
from engine.rounds.folder.digests import ROUND
from engine.rounds.folder.plan import read_plan
from engine.rounds.live import Fit, LiveRound, end_live
from engine.rounds.worker import apply
from tests.browser.digits import digit_pictures
from tests.ready_project import ReadyProjects

IMAGES = 40
FEATURES = np.ones((IMAGES, 4), np.float32)


def gone_on(project: Project, live: LiveRound) -> LiveRound:
    record, shas = project.store.round(live.record.number), [item.sha256 for item in project.workspace.items()]
    again = LiveRound.going_on(project.store, record, live.folder, live.ids, shas)
    assert again is not None
    return again


class Cut(BaseException):
    """The process was killed here."""


@pytest.fixture
def project(ready: ReadyProjects, tmp_path: Path) -> Iterator[Project]:
    with Project.open(ready.copy(digit_pictures(IMAGES, 1), tmp_path / "digits")) as opened:
        yield opened


def begun(project: Project) -> LiveRound:
    items = project.workspace.items()
    ids = np.array([item.id for item in items], np.int64)
    return LiveRound.begin(
        project.store, project.root, ids, [item.sha256 for item in items], ["0", "1"], {}, ArraySpec(8, 1)
    )


def fit(share: float) -> Fit:
    label = np.where(np.arange(IMAGES) < 2, np.arange(IMAGES), -1)
    nobody = np.zeros(IMAGES, bool)
    rows = np.tile(np.array([share, 1 - share], np.float32), (IMAGES, 1))
    return Fit(label, nobody, nobody, rows, rows.max(1), 2, 0.1)


def said(project: Project, number: int) -> float:
    """What another process reads, and what this one does, which are the same."""
    read = results.final_predictions(project.workspace.round_folder(number)).probabilities[0, 0]
    assert project.results.needed(number).probabilities[0, 0] == read
    return round(float(read), 3)


def cut_after(monkeypatch: pytest.MonkeyPatch, count: int, error: BaseException) -> None:
    """Let `count` files take their place, and raise in place of the next."""
    real, left = os.replace, [count]

    def replace(*names: Any, **more: Any) -> None:
        if not left[0]:
            raise error
        left[0] -= 1
        real(*names, **more)

    monkeypatch.setattr(os, "replace", replace)


def test_better_features_take_the_place_of_the_first_ones_for_neighbours_and_the_moving_map(project: Project) -> None:
    live, line = begun(project), np.arange(IMAGES, dtype=np.float32)
    live.write(fit(0.9), np.stack([line, line], 1))

    def nearest_to_the_last() -> str:
        return project.signals.context([IMAGES], project.results.predictions())[0].neighbours[0].label

    project.labels.decide([Decision(new_uid(), 30, 0, "label", "1")])  # beside the first ten, one of each class
    assert nearest_to_the_last() == "1"
    tracked = results.tracked_ids(live.folder)
    other = np.stack([np.where(np.isin(line, (2, IMAGES - 1)), 500, line)] * 3, 1).astype(np.float32)
    live.write(fit(0.8), other)
    np.testing.assert_array_equal(results.final_features(live.folder), other)
    ids, first = results.tracked_features(live.folder, 1)
    assert ids.tolist() == tracked.tolist()
    np.testing.assert_array_equal(first, other[ids - 1])
    assert nearest_to_the_last() == "2"
    written = (live.folder / files.FINAL_FEATURES).stat().st_mtime_ns
    live.close()
    gone_on(project, live).write(fit(0.7), other.copy())
    assert (live.folder / files.FINAL_FEATURES).stat().st_mtime_ns == written, "what is there is not written again"


@pytest.mark.parametrize("error", [Cut(), OSError(28, "No space left on device")], ids=["killed", "full"])
@pytest.mark.parametrize("files_written", range(5))
def test_a_write_cut_off_anywhere_leaves_predictions_that_can_be_read(
    project: Project, monkeypatch: pytest.MonkeyPatch, files_written: int, error: BaseException
) -> None:
    live = begun(project)
    live.write(fit(0.6), FEATURES)
    number = live.record.number
    with monkeypatch.context() as patched:
        cut_after(patched, files_written, error)
        with pytest.raises(type(error)):
            live.write(fit(0.7), FEATURES)
    assert said(project, number) == 0.6, "the report is written last, and was not"
    live.close()
    again = gone_on(project, live)
    again.write(fit(0.8), FEATURES)
    assert said(project, number) == 0.8
    again.end()
    assert said(project, number) == 0.8


def test_a_fit_that_the_store_was_not_told_of_is_in_force_when_the_round_ends(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = begun(project)
    live.write(fit(0.6), FEATURES)
    number = live.record.number

    def cut(*_: object, **__: object) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(project.store, "update_live", cut)
        with pytest.raises(Cut):
            live.write(fit(0.7), FEATURES)
    assert said(project, number) == 0.7
    live.close()
    end_live(project.store, project.store.round(number), live.folder)
    record = project.store.round(number)
    assert not record.live
    assert record.report is not None
    assert record.report.predictions.sha256 == project.results.needed(number).version


def test_a_live_round_gets_digests_when_it_ends_and_has_none_while_it_is_written(project: Project) -> None:
    live = begun(project)
    live.write(fit(0.6), FEATURES)
    assert ROUND.known(live.folder) is None
    live.end()
    assert ROUND.known(live.folder) is not None
    assert ROUND.find_flaws(live.folder) == []
    digests.seal(live.folder)
    project.store._write(lambda c: c.exec_driver_sql("UPDATE rounds SET progress = '{\"live\": true}'"))
    LiveRound(project.store, live.record, live.folder, live.ids, [])
    assert ROUND.known(live.folder) is None, "an end that was cut off: it goes on"


def test_a_round_that_was_ended_elsewhere_is_not_written_any_more(project: Project) -> None:
    live = begun(project)
    live.write(fit(0.6), FEATURES)
    end_live(project.store, project.store.round(live.record.number), live.folder)
    with pytest.raises(RoundState, match="not live any more"):
        live.write(fit(0.7), FEATURES)
    assert said(project, live.record.number) == 0.6


def test_store_and_folder_agree_on_the_features_that_a_live_round_goes_on_with(project: Project) -> None:
    live = begun(project)
    number, was = live.record.number, live.record.config
    live.write(fit(0.6), FEATURES)
    for train in ({"net": "frozen:hog"}, {"net": "frozen:hog+efficientnet_lite0"}):
        live.describe(train)
        assert project.store.round(number).config == was | {"train": train}
        assert read_plan(live.folder).train == train
    live.write(fit(0.7), FEATURES)
    assert project.store.round(number).config["train"] == train
    end_live(project.store, project.store.round(number), live.folder)
    with pytest.raises(RoundState, match="not live"):
        live.describe({"net": "other"})
    assert project.store.round(number).config["train"] == read_plan(live.folder).train == train


def test_settings_of_which_only_the_store_was_told_are_written_into_the_folder_with_the_next_fit(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, train = begun(project), {"net": "frozen:hog"}
    live.write(fit(0.6), FEATURES)
    with monkeypatch.context() as patched:
        cut_after(patched, 0, Cut())
        with pytest.raises(Cut):
            live.describe(train)
    live.close()
    again = gone_on(project, live)
    again.describe(train)
    assert project.store.round(live.record.number).config["train"] == read_plan(live.folder).train == train
    again.close()


def test_the_predictions_of_the_last_two_fits_are_kept(project: Project) -> None:
    live = begun(project)
    for share in (0.6, 0.7, 0.8, 0.9):
        live.write(fit(share), FEATURES)
        assert said(project, live.record.number) == share
    assert files.recorded(live.folder, files.live_predictions) == [3, 4]


def test_a_live_round_says_that_it_keeps_no_model(project: Project) -> None:
    live = begun(project)
    live.write(fit(0.9), FEATURES)
    with pytest.raises(RoundError, match="keeps no model"):
        apply.final_run(live.folder, torch.device("cpu"), lambda *_: None)
    live.close()
