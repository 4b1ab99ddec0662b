import errno
import shutil

import numpy as np
import pytest

from engine.errors import RoundError
from engine.rounds.folder import files, results
from engine.rounds.worker import material, session
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import Stopped
from tests.engine.rounds.worker.small_session import noise_of_two_brightnesses, run, run_with_ablation, told


def plain(folder, algorithm, config, **train):
    """Run an algorithm in this process without anything beside it."""
    run(folder, algorithm, config, **{"strong": "light", "run_baseline": False} | train)


def recorded(folder):
    """Return the bytes of every file of features."""
    return {path.name: path.read_bytes() for path in (folder / "features").iterdir()}


@pytest.mark.parametrize("algorithm", ["meta_pseudo_labels", "reduced_mpl"])
def test_each_epoch_records_what_student_and_teacher_say_of_all_tracked_images(folder, algorithm):
    plain(folder, algorithm, {"finetune_share": 0.2})
    assert results.tracked_epochs(folder) == [1, 2, 3]
    assert results.tracked_ids(folder).tolist() == list(range(101, 125))
    for epoch in (1, 2, 3):
        ids, student, teacher = results.tracked_predictions(folder, epoch)
        assert ids.tolist() == list(range(101, 125))
        assert student.shape == teacher.shape == (24, 2)
        np.testing.assert_allclose(np.stack([student, teacher]).sum(2), 1, atol=2e-3)
        unlabeled, classes, confidence = results.epoch_predictions(folder, epoch)
        rows = np.searchsorted(ids, unlabeled)
        np.testing.assert_allclose(student[rows, classes], confidence, atol=1e-3)
    names = set(recorded(folder))
    assert {"student-002.npy", "teacher-002.npy", "epoch-002.npy"} <= names
    assert np.load(folder / "features/teacher-002.npy").dtype == np.float16


def test_in_meta_pseudo_labels_the_two_differ_and_without_a_teacher_there_is_none(folder):
    plain(folder, "meta_pseudo_labels", {"finetune_share": 0.0})
    _, student, teacher = results.tracked_predictions(folder, 2)
    assert not np.allclose(student, teacher, atol=1e-3)
    shutil.rmtree(folder / "features")
    shutil.rmtree(folder / "checkpoints/main")
    (folder / files.EVENTS).unlink()
    plain(folder, "supervised", {})
    _, student, teacher = results.tracked_predictions(folder, 2)
    assert student.shape == (24, 2)
    assert teacher is None


def test_what_is_trained_beside_records_nothing_of_tracked_images(folder):
    run_with_ablation(folder, epochs=1, run_baseline=True)
    assert results.tracked_epochs(folder) == [1]
    assert {event["phase"] for event in told(folder, "epoch")} == {"baseline", "ablation", "main"}


@pytest.mark.parametrize("algorithm", ["meta_pseudo_labels", "reduced_mpl"])
def test_a_cancelled_round_with_two_epochs_is_readable_and_its_resume_records_the_very_same(
    folder, algorithm, monkeypatch
):
    options = {"finetune_share": 0.2, "teacher_share": 0.4} if algorithm == "reduced_mpl" else {"finetune_share": 0.2}
    plain(folder, algorithm, options, epochs=3)
    whole = recorded(folder)
    for name in ("features", "checkpoints/main", "predictions"):
        shutil.rmtree(folder / name)
    (folder / files.EVENTS).unlink()
    real = session.Session._epoch

    def cancelling(self, phase, event, *rest):
        real(self, phase, event, *rest)
        if event.epoch == 1:
            (folder / files.CANCEL).touch()

    monkeypatch.setattr(session.Session, "_epoch", cancelling)
    with pytest.raises(Stopped):
        plain(folder, algorithm, options, epochs=3)
    monkeypatch.undo()
    assert results.tracked_epochs(folder) == results.epochs(folder) == [1, 2]
    for epoch in (1, 2):
        ids, student, teacher = results.tracked_predictions(folder, epoch)
        assert len(ids) == len(student) == len(teacher) == len(results.tracked_features(folder, epoch)[1]) == 24
    with pytest.raises(RoundError, match="epoch 3"):
        results.tracked_predictions(folder, 3)
    (folder / files.CANCEL).unlink()
    monkeypatch.setattr(material, "load", noise_of_two_brightnesses)
    plain(folder, algorithm, options, epochs=3)
    assert results.tracked_epochs(folder) == [1, 2, 3, 4]
    assert recorded(folder) == whole


def test_an_epoch_whose_features_are_there_has_all_else_too(folder, monkeypatch):
    real = RoundRecorder.array

    def full(self, name, values):
        if name == files.epoch_student(2):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, name, values)

    monkeypatch.setattr(RoundRecorder, "array", full)
    with pytest.raises(OSError, match="No space"):
        plain(folder, "meta_pseudo_labels", {})
    assert results.tracked_epochs(folder) == [1]
