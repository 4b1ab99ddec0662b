"""Live labels: fitted anew as answers come, recorded as a round, in force at once, and never in the way."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from engine.errors import ConfigError, LedgerError
from engine.files import read_json, write_json
from engine.jobs import child, features, features_work, guess, guess_work
from engine.jobs.parent import JobState
from engine.live.model import ImageSet
from engine.project import live as live_desk
from engine.project.labels import new_uid
from engine.project.live import LearnedFrom
from engine.project.opened import Project
from engine.project.quality import learning_curve
from engine.project.quality.learning_curve import LearningCurve
from engine.quality.learning import Learning, learning
from engine.records.labels import Decision
from engine.records.review import ReviewItem
from engine.rounds import live as live_rounds
from engine.rounds.folder import files, results
from engine.rounds.folder.plan import read_plan
from engine.rounds.live import end_live
from engine.rounds.supervisor.prepare import previous_round
from tests.auditing import answer_audit, frozen_label
from tests.browser.digits import digit_pictures
from tests.made_guess import guesses
from tests.made_round import make_round
from tests.measuring import answer_measured
from tests.ready_project import ReadyProjects

IMAGES = 300
LATER = 1e9
"""Seconds long after the last answer."""


@pytest.fixture(scope="module")
def described(ready: ReadyProjects, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 digits, two labels a class, with live labels on and features computed by the job's own process."""
    folder = ready.copy(digit_pictures(IMAGES, 2), tmp_path_factory.mktemp("live") / "digits")
    with Project.open(folder) as opened:
        opened.live.turn(True)
        assert not opened.live.step(), "features come first"
        deadline = time.monotonic() + 240
        while features.state(folder, opened.workspace.items()).status != "ready":
            assert time.monotonic() < deadline, features.state(folder, opened.workspace.items())
            assert opened.live.state().status == "features"
            time.sleep(0.2)
    return folder


@pytest.fixture
def root(described: Path, tmp_path: Path, jobs_here: None) -> Path:
    return Path(shutil.copytree(described, tmp_path / "digits"))


@pytest.fixture
def project(root: Path) -> Iterator[Project]:
    with Project.open(root) as opened:
        yield opened
        opened.live.close()


def digit(project: Project, image_id: int) -> str:
    return str(load_digits().target[int(Path(project.store.image(image_id).name).stem)])


def answer(project: Project, items: Sequence[ReviewItem]) -> None:
    """Give the right label to each, as the page does."""
    decisions = []
    for item in items:
        label = digit(project, item.image_id)
        action = "label" if item.prediction is None else "accept" if item.prediction == label else "correct"
        decisions.append(
            Decision(new_uid(), item.image_id, item.version, action, label, round=item.round,
                     confidence=item.confidence, seconds=1.0)
        )  # fmt: skip
    blind = [item.image_id for item in items if item.blind]
    assert all(ack.status == "saved" for ack in project.labels.decide(decisions, blind=blind))


def to_learn(project: Project, count: int) -> list[ReviewItem]:
    """The next images of the queue whose answers the model is fitted to."""
    items, _ = project.queue.next("least_sure", 2 * count)
    return [item for item in items if not item.blind][:count]


def begun(project: Project) -> int:
    """Bring live labels to their first fit; return the round's number."""
    fits = [project.live.step(LATER) for _ in range(3)]
    assert fits.count(True) == 1, project.live.state()
    number = project.live.state().number
    assert number is not None
    return number


def fitted(project: Project) -> bool:
    """Look, and look again after a rest; return whether the model was fitted."""
    return project.live.step(LATER) or project.live.step(LATER + live_desk.REST)


def right(project: Project) -> float:
    """The share of undecided images whose prediction in force is right."""
    predictions, table = project.results.needed(project.results.in_force() or 0), project.store.label_table()
    free = np.flatnonzero(table.undecided)
    best = predictions.probabilities.argmax(1)
    return float(np.mean([predictions.classes[best[row]] == digit(project, row + 1) for row in free.tolist()]))


def test_features_come_first_then_a_round_in_force_that_labels_the_set(project: Project) -> None:
    assert project.results.in_force() is None
    number = begun(project)
    record = project.store.round(number)
    assert (record.live, record.state, project.results.in_force()) == (True, "promoted", number)
    assert record.report is not None
    assert record.report.counts.train == 20
    assert record.report.heldout.n == 0
    assert right(project) > 0.85
    predictions = project.results.needed(number)
    np.testing.assert_allclose(predictions.probabilities.sum(1), 1, atol=1e-5)
    sure = results.signals(project.workspace.round_folder(number)).sureness
    assert predictions.probabilities.max(1).mean() < sure.mean() - 0.1, "what is shown is not the step that is too sure"
    assert results.epochs(project.workspace.round_folder(number)) == [1]
    assert project.store.active_round() is None, "another round may train beside it"


def test_it_is_fitted_anew_after_ten_answers_or_when_the_person_rests(project: Project) -> None:
    number = begun(project)
    before = project.results.needed(number)
    items = to_learn(project, 12)
    answer(project, items[:9])
    assert not project.live.step(10.0), "nine answers, and the person goes on"
    answer(project, items[9:10])
    assert project.live.step(10.5)
    after = project.results.needed(number)
    assert after.version != before.version
    assert project.live.state().labels == 30
    answer(project, items[10:11])
    assert not project.live.step(11.0)
    assert not project.live.step(12.5)
    assert project.live.step(13.1), "two seconds without an answer"
    assert not fitted(project), "nothing is new"
    assert results.epochs(project.workspace.round_folder(number)) == [1, 2, 3]
    assert project.maps.labels_by_epoch(number) == {1: 20, 2: 30, 3: 31}


def test_it_is_fitted_after_as_many_answers_as_the_person_chose(project: Project) -> None:
    begun(project)
    project.live.fit_after(3)
    items = to_learn(project, 6)
    answer(project, items[:2])
    assert not project.live.step(10.0)
    answer(project, items[2:3])
    assert project.live.step(10.5)


def test_the_queue_goes_by_the_last_fit_and_the_signals_with_it(project: Project) -> None:
    begun(project)
    project.store.add_class("another")  # 11 classes, 20 labels: young
    typical, _ = project.queue.next("least_sure", 20)
    assert any(item.why.startswith("typical of a group") for item in typical)
    answer(project, typical)
    assert fitted(project)
    doubtful, _ = project.queue.next("least_sure", 40)
    assert not any(item.why.startswith("typical of a group") for item in doubtful)
    assert not {item.image_id for item in doubtful if not item.blind} & {item.image_id for item in typical}
    signals = results.signals(project.workspace.round_folder(1))
    others = [item for item in doubtful if not item.blind]
    order = [signals.sureness[item.image_id - 1] for item in others]
    assert order == sorted(order)
    assert len(others) == 32
    answer(project, doubtful[:10])
    assert fitted(project)
    assert project.queue.next("least_sure", 1)[0][0].prediction is not None
    context = project.signals.context([doubtful[20].image_id], project.results.predictions())[0]
    assert context.epochs == (1, 2, 3)
    assert context.neighbours


def test_a_class_without_a_label_joins_with_its_first_one(root: Path, tmp_path: Path) -> None:
    with Project.open(root) as project:
        begun(project)
        image = int(project.store.label_table().image_ids[project.store.label_table().undecided][0])
        project.store.add_class("odd")
        project.labels.decide([Decision(new_uid(), image, 0, "label", "odd", seconds=1.0)])
        assert project.live.step(0.0), "a new class does not wait for ten answers"
        predictions = project.results.needed(1)
        assert predictions.classes == (*"0123456789", "odd")
        assert predictions.probabilities.shape == (IMAGES, 11)
        seen = results.trajectories(project.workspace.round_folder(1))
        assert seen.classes.shape == (2, IMAGES)
        project.store.undo(new_uid(), "local")
        assert fitted(project)
        assert (project.results.needed(1).probabilities[:, 10] == 0).all(), "its only label was taken back"
        project.live.close()


def test_it_goes_on_after_a_restart_and_begins_anew_on_other_images(root: Path) -> None:
    with Project.open(root) as project:
        assert begun(project) == 1
        project.live.close()
    with Project.open(root) as project:
        assert begun(project) == 1
        assert results.epochs(project.workspace.round_folder(1)) == [1, 2]
        project.live.close()
    with Project.open(root) as project:
        stored = features.read(root)
        project.live._take(replace(stored, images=ImageSet.of(stored.images.z[:-1]), shas=stored.shas[:-1]))
        assert [one.live for one in project.store.rounds()] == [False], "that round is of other images"
        project.live.close()


def test_the_live_round_goes_on_with_better_features_of_the_same_images(
    ready: ReadyProjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs_here: None
) -> None:
    root = ready.copy(digit_pictures(60, 2), tmp_path / "digits")
    with Project.open(root) as project:
        project.live.turn(True)
        with monkeypatch.context() as slow:
            slow.setattr(features_work, "MOST_ON_CPU", 0)
            assert begun(project) == 1
        stored = features.read(root)
        assert (stored.net, stored.votes) == ("frozen:hog", 8)
        described = project.signals.source()
        make_round(project, np.full((60, 10), 0.1, np.float32))
        first = features.mark(root)
        assert child.run(features.folder_of(root), features_work.work) == 0
        assert features.mark(root) != first
        assert project.signals.source() != described
        assert not project.live.step(LATER)
        assert project.live.state().status == "later", "they push no later round aside"
        project.live.go_on()
        assert fitted(project)
        assert [one.live for one in project.store.rounds()] == [False, False, True]
        assert project.results.in_force() == 3
        stored = features.read(root)
        assert (stored.net, stored.votes) == ("frozen:hog+efficientnet_lite0", 8)
        assert read_plan(project.workspace.round_folder(3)).train["net"] == stored.net
        assert project.store.round(3).config["train"]["net"] == stored.net
        assert not fitted(project), "nothing is new"
        child.run(features.folder_of(root), features_work.work)
        assert features.read(root).net == stored.net, "gradients alone do not come back"
        project.live.close()
    with Project.open(root) as project:
        assert begun(project) == 3
        older, newer = (project.workspace.round_folder(number) / "config.json" for number in (1, 3))
        write_json(newer, read_json(newer) | {"train": read_json(older)["train"]})
        project.live.close()
    with Project.open(root) as project:
        assert begun(project) == 3, "it goes on with other features"
        assert read_plan(project.workspace.round_folder(3)).train["net"] == stored.net
        assert len(results.epochs(project.workspace.round_folder(3))) > 1, "what was fitted before stays"
        project.live.close()


def test_a_later_round_in_force_is_not_pushed_aside(project: Project) -> None:
    begun(project)
    table = project.store.label_table()
    uniform = np.full((len(table.image_ids), 10), 0.1, np.float32)
    make_round(project, uniform)
    answer(project, project.queue.next("least_sure", 12, number=1)[0])
    assert not fitted(project)
    assert project.live.state().status == "later"
    assert project.results.in_force() == 2
    project.live.go_on()
    assert fitted(project)
    assert [one.live for one in project.store.rounds()] == [False, False, True]
    assert project.results.in_force() == 3


def test_what_an_audit_judges_stays_as_it_is(project: Project) -> None:
    begun(project)
    project.audits.start_rule(project.audits.rule_at(1, 0.2))
    judged = project.results.needed(1)
    answer_audit(project, 1, 10, frozen_label(project, 1))
    assert fitted(project)
    assert project.results.in_force() == 2, "live labels go on as another round"
    assert project.results.needed(1).version == judged.version
    assert project.audits.get(1).total.random == 10


def test_while_an_audit_of_all_labels_is_open_the_model_is_not_fitted_anew(project: Project) -> None:
    number = begun(project)
    audit = project.audits.freeze()
    assert audit.record.round == number
    answer_audit(project, 1, 20, frozen_label(project, 1))
    answer(project, project.queue.next("least_sure", 20)[0])
    assert not fitted(project)
    assert project.audits.get(1).changed == 0
    project.audits.close(1)
    assert fitted(project)
    assert project.results.in_force() == number, "and then it goes on"


def test_what_the_last_fit_said_is_kept_in_memory_and_stays_when_the_round_ends(project: Project) -> None:
    number = begun(project)
    for _ in range(2):
        answer(project, project.queue.next("least_sure", 10)[0])
        assert fitted(project)
        assert project.results.needed(number) is project.results.needed(number), "read once"
    last = project.results.needed(number)
    project.live.freeze(number)
    assert project.results.needed(number).version == last.version


def test_an_audit_that_does_not_begin_does_not_end_the_round(project: Project) -> None:
    begun(project)
    with pytest.raises(ConfigError, match="accept no prediction"):
        project.audits.start_rule(project.audits.rule_at(1, 1.5))
    assert project.store.round(1).live
    project.audits.start_rule(project.audits.rule_at(1, 0.2))
    assert fitted(project)
    with pytest.raises(LedgerError):
        project.audits.start_rule(project.audits.rule_at(2, 0.2))
    assert project.store.round(2).live


def test_an_epoch_ahead_of_the_predictions_may_have_a_class_more(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(project)
    image = int(project.store.label_table().image_ids[project.store.label_table().undecided][0])
    project.store.add_class("odd")
    project.labels.decide([Decision(new_uid(), image, 0, "label", "odd", seconds=1.0)])
    with monkeypatch.context() as patched:  # the report is not written
        patched.setattr(live_rounds.RoundRecorder, "json", lambda *_: 1 / 0)
        project.live.attempt()
    assert results.epochs(project.workspace.round_folder(1)) == [1, 2]
    assert project.signals.context([image], project.results.predictions(1))[0].epochs == (1,)


def test_switched_off_it_leaves_its_predictions_in_force(project: Project) -> None:
    begun(project)
    project.live.turn(False)
    answer(project, project.queue.next("least_sure", 15)[0])
    assert not fitted(project)
    assert project.live.state().status == "off"
    assert project.results.in_force() == 1
    assert not project.store.round(1).live


def test_small_grey_images_have_none_unless_asked(ready: ReadyProjects, tmp_path: Path) -> None:
    with Project.open(ready.copy(digit_pictures(IMAGES, 2), tmp_path / "digits")) as project:
        assert project.live.possible
        assert not project.live.photos
        assert not project.live.wanted
        project.live.turn(True)
        assert project.live.wanted


def test_the_measured_set_is_never_learned_from_and_measures_every_fit(project: Project) -> None:
    begun(project)
    asked = answer_measured(project, 40, lambda image_id: digit(project, image_id))
    imported = set(project.store.imported().tolist()) & set(asked)
    assert fitted(project) == bool(imported), "labels that the set takes away are learned no more"
    assert project.live.state().labels == 20 - len(imported)
    best = project.results.needed(1).probabilities.argmax(1)
    right = [project.results.needed(1).classes[best[one - 1]] == digit(project, one) for one in asked]
    estimate = project.measured.accuracy(1)
    assert (estimate.n, estimate.right) == (40, sum(right))
    assert (project.measured.scale(1).n, project.measured.scale(1).right) == (40, sum(right))
    answer(project, to_learn(project, 20))
    assert fitted(project)
    assert project.live.state().labels == 40 - len(imported)
    again = project.measured.accuracy(1)
    assert again.n == 40
    assert again.right >= estimate.right
    standing = project.measured.standing(1, 0.98)
    assert standing.low < standing.right <= standing.high
    assert (standing.decisions_left, standing.decisions_between) == (None, None), "40 answers are too few"


def test_how_live_labels_learn_is_told_by_fits_to_fewer_of_the_labels_given_first(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(project)
    supposed = project.curve.now()
    assert supposed is not None
    assert (supposed.measured, round(supposed.exponent, 1)) == (False, 1.0), "nothing was measured: as models mostly do"
    answer_measured(project, 30, lambda image_id: digit(project, image_id))
    table = project.store.label_table()
    came = int((table.has_source("imported") & table.labeled & ~table.among(project.store.apart())).sum())
    for item in to_learn(project, came):  # all wrong, and after the labels that came with the images
        wrongly = str((int(digit(project, item.image_id)) + 1) % 10)
        decision = Decision(new_uid(), item.image_id, item.version, "correct", wrongly, round=1, seconds=1.0)
        assert project.labels.decide([decision])[0].status == "saved"
    assert fitted(project)
    told: list[tuple[list[int], list[int]]] = []

    def keep(labels: list[int], wrong: list[int], measuring: float, taught: float) -> Learning:
        told.append((labels, wrong))
        return learning(labels, wrong, measuring, taught)

    fits: list[NDArray[np.int64]] = []
    counted = LearningCurve._wrong

    def rows_kept(self: LearningCurve, learned: LearnedFrom, rows: NDArray[np.int64], *asked: Any) -> int:
        fits.append(self._store.label_table().rows(learned.ids[rows]))
        return counted(self, learned, rows, *asked)

    monkeypatch.setattr(learning_curve, "learning", keep)
    monkeypatch.setattr(LearningCurve, "_wrong", rows_kept)
    curve = project.curve.now()
    assert curve is not None
    [(labels, wrong)] = told
    assert project.store.label_table().has_source("imported")[fits[0]].all(), "the first half came with the images"
    assert not project.store.label_table().has_source("imported")[fits[2]].all()
    known = project.live.state().labels
    assert labels == [round(known / 2), round(0.75 * known), known]
    answers = project.measured.answers(1)
    assert wrong[2] == (~answers.right).sum(), "the fit to all labels is the round in force"
    assert (curve.labels, curve.measuring, curve.measured) == (known, 0.2, True)
    assert curve.taught == pytest.approx(0.8 - 0.2 * known / (IMAGES - 30))
    assert project.curve.now() is curve
    assert len(told) == 1, "and fits are not made anew for every look"


def test_wrong_answers_to_the_measured_set_change_no_prediction(project: Project) -> None:
    begun(project)
    before = project.results.needed(1)
    imported = set(project.store.imported().tolist())

    def other(image_id: int) -> str:
        return str((int(digit(project, image_id)) + 1) % 10)

    asked = [one for one in answer_measured(project, 40, other) if one not in imported]
    answer(project, to_learn(project, 10))
    assert fitted(project)
    after = project.results.needed(1)
    rows = np.array(asked) - 1
    assert (before.probabilities[rows].argmax(1) == after.probabilities[rows].argmax(1)).mean() > 0.5
    assert project.measured.accuracy(1).right < 15


def test_old_fits_are_thinned_but_the_first_and_the_last_stay(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_rounds, "MOST_EPOCHS", 4)
    begun(project)
    for _ in range(6):
        answer(project, to_learn(project, 1))
        assert fitted(project)
    kept = results.epochs(project.workspace.round_folder(1))
    assert kept[0] == 1
    assert kept[-1] == 7
    assert len(kept) <= 4
    assert project.signals.of(project.results.predictions(), np.arange(1, IMAGES + 1)).flips is not None


def test_damaged_features_are_computed_again(project: Project) -> None:
    begun(project)
    project.live.close()
    path = features.folder_of(project.root) / "set-hog_efficientnet_lite0.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with Project.open(project.root) as again:
        fits = [again.live.step(LATER) for _ in range(4)]
        assert True in fits, again.live.state()
        again.live.close()


def test_what_goes_wrong_is_told_and_tried_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(project)
    answer(project, to_learn(project, 12))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(live_rounds.LiveRound, "write", full)
        assert project.live.attempt() == live_desk.TRY_AGAIN
        assert project.live.state().status == "failed"
        assert "No space left" in project.live.state().words
    assert project.live.attempt() == live_desk.PAUSE
    assert project.live.state().status == "on"
    assert project.live.state().labels == 32


def test_an_audit_before_the_round_was_gone_on_with_ends_it_all_the_same(root: Path) -> None:
    with Project.open(root) as project:
        begun(project)
        project.live.close()
    with Project.open(root) as project:
        project.audits.start_rule(project.audits.rule_at(1, 0.2))
        judged = project.results.needed(1)
        answer_audit(project, 1, 10, frozen_label(project, 1))
        assert begun(project) == 2
        assert project.results.needed(1).version == judged.version
        project.live.close()


def test_a_round_whose_folder_can_not_be_made_is_begun_once(project: Project) -> None:
    rounds = project.root / "rounds"
    rounds.rmdir()
    rounds.write_text("in the way")
    for _ in range(3):
        assert project.live.attempt() == live_desk.TRY_AGAIN
    rounds.unlink()
    rounds.mkdir()
    assert fitted(project)
    assert [one.number for one in project.store.rounds()] == [1]


def test_a_live_round_that_was_never_fitted_is_nothing_to_compare_with(project: Project) -> None:
    record = project.store.begin_live("transductive", {"train": {}})
    end_live(project.store, record, project.workspace.round_folder(record.number))
    assert previous_round(project.store, 2) is None


def test_a_round_that_can_not_be_read_is_ended_and_another_begun(root: Path) -> None:
    with Project.open(root) as project:
        begun(project)
        project.live.close()
        path = project.workspace.round_folder(1) / files.epoch_predictions(1)
        path.write_bytes(path.read_bytes()[:100])
    with Project.open(root) as project:
        assert begun(project) == 2
        assert [one.live for one in project.store.rounds()] == [False, True]
        project.live.close()


def test_a_trained_round_in_force_stays_so_until_live_labels_are_asked_for(root: Path) -> None:
    with Project.open(root) as project:
        make_round(project, np.full((IMAGES, 10), 0.1, np.float32))
        assert not any(project.live.step(LATER) for _ in range(3))
        assert project.live.state().status == "later"
        assert project.results.in_force() == 1
        project.live.go_on()
        assert begun(project) == 2
        make_round(project, np.full((IMAGES, 10), 0.1, np.float32))
        assert not fitted(project)
        project.live._end_round()  # as when images are added
        assert not fitted(project)
        assert project.results.in_force() == 3
        project.live.close()


def test_what_was_in_the_way_is_not_told_for_ever(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(project)
    with monkeypatch.context() as patched:
        patched.setattr(project.store, "label_table", lambda: 1 / 0)
        project.live.attempt()
        assert project.live.state().status == "failed"
    assert not project.live.step(LATER)
    assert project.live.state().status == "on"


def test_features_that_failed_are_begun_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    features.discard(project.root)
    states = iter(["failed", "failed", "failed", "running"])
    monkeypatch.setattr(features, "state", lambda *_: JobState(next(states), error="out of memory"))
    started: list[Path] = []
    monkeypatch.setattr(features, "start", lambda root, *_: started.append(root))
    project.live.step(1000.0)
    assert (project.live.state().status, len(started)) == ("features", 1), "at the start of the app"
    project.live.step(1001.0)
    assert (project.live.state().status, project.live.state().words) == ("failed", "out of memory")
    project.live.step(1000.0 + live_desk.START_AGAIN)
    assert (project.live.state().status, len(started)) == ("features", 2)


@pytest.fixture
def without_labels(
    ready: ReadyProjects, tmp_path: Path, jobs_here: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """300 digits with the names of their classes, live labels on, and no label."""
    monkeypatch.setattr(features_work, "MOST_ON_CPU", 0)  # gradients alone
    with Project.open(ready.copy(digit_pictures(IMAGES, 0), tmp_path / "digits")) as opened:
        for name in "0123456789":
            opened.store.add_class(name)
        opened.live.turn(True)
        yield opened
        opened.live.close()


def test_with_a_guess_it_begins_before_the_first_label_and_says_that_nothing_is_measured(
    without_labels: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = without_labels
    assert guesses(monkeypatch, 0.7) == []
    number = begun(project)
    assert project.live.state().words == "First guess, nothing measured."
    assert (project.live.state().labels, project.live.state().guess_say) == (0, 0.5)
    report = project.store.round(number).report
    assert report is not None
    assert report.verdict.reason == project.live.state().words
    assert report.counts.train == 0
    assert right(project) > 0.8, "neighbours correct the guess"
    shown = project.results.needed(number).probabilities
    np.testing.assert_allclose(shown.max(1), 0.1, atol=1e-5, err_msg="no confidence is stated")
    items = to_learn(project, 12)
    assert all(item.prediction is not None for item in items)
    answer(project, items)
    assert fitted(project)
    state = project.live.state()
    assert (state.words, state.labels) == ("", 12)
    assert state.guess_say > 0.3
    assert right(project) > 0.7


def test_answers_overrule_a_guess_that_they_do_not_hit(
    without_labels: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = without_labels
    guesses(monkeypatch, 0.0)
    begun(project)
    assert right(project) < 0.1
    answer(project, project.queue.next("least_sure", 30)[0])
    assert fitted(project)
    assert project.live.state().guess_say == 0
    assert right(project) > 0.7


def test_a_guess_follows_the_class_names_and_one_of_other_names_is_not_used(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = guesses(monkeypatch, 0.7)
    begun(project)
    assert project.live.state().guess_say > 0.3
    project.store.add_class("odd")
    assert fitted(project), "the new guess"
    assert asked == [list("0123456789"), [*"0123456789", "odd"]]
    assert project.results.needed(1).classes == (*"0123456789", "odd")
    assert not fitted(project)


def test_without_a_network_or_the_extra_two_classes_need_a_label(
    without_labels: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = without_labels
    monkeypatch.setattr(guess, "possible", lambda: False)
    assert not any(project.live.step(LATER) for _ in range(3))
    assert project.live.state().words == "Label an image in each of two classes to begin."
    assert guess.state(project.root).status == "none"

    def fails(*_: object) -> None:
        raise ConfigError("no weights")

    monkeypatch.setattr(guess, "possible", lambda: True)
    monkeypatch.setattr(guess_work, "work", fails)
    assert not any(project.live.step(LATER) for _ in range(3))
    assert project.live.state().words.endswith("There is no first guess from the class names: no weights.")
