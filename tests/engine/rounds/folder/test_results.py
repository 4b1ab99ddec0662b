import json

import numpy as np
import pytest

from engine.errors import ProjectCorrupt, RoundError
from engine.files import PARTIAL
from engine.rounds.folder import files, results
from engine.rounds.worker.recorder import RoundRecorder

PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]], np.float32)


@pytest.fixture
def folder(tmp_path):
    """A complete round of three images and two classes."""
    recorder = RoundRecorder(tmp_path, "t")
    recorder.event("epoch", phase="main", epoch=1, metrics={"loss": 2.0, "alpha": 0.0})
    recorder.event("epoch", phase="main", epoch=2, metrics={"loss": 1.0})
    recorder.event("epoch", phase="baseline", epoch=1, metrics={"loss": 3.0})
    recorder.epoch_predictions(2, np.array([3]), PROBABILITIES[1:2])
    recorder.epoch_predictions(10, np.array([3]), PROBABILITIES[1:2])
    roles = np.array(["train", "heldout", "unlabeled"], object)
    digest = recorder.final_predictions(np.array([1, 2, 3]), roles, PROBABILITIES, calibrated=True)
    recorder.json(files.REPORT, {"predictions": {"file": files.FINAL, "sha256": digest}})
    recorder.json(files.CONFIG, {"number": 7, "classes": ["cat", "dog"]})
    recorder.close()
    return tmp_path


def test_curves_are_a_long_table_with_gaps_as_none(folder):
    assert results.curves(folder) == {
        "phase": ["baseline", "main", "main"],
        "epoch": [1, 1, 2],
        "alpha": [None, 0.0, None],
        "loss": [3.0, 2.0, 1.0],
    }


def test_an_epoch_trained_twice_counts_once_with_its_last_values(folder):
    with open(folder / files.EVENTS, "a") as handle:
        handle.write(json.dumps({"type": "epoch", "phase": "main", "epoch": 2, "metrics": {"loss": 0.5}}) + "\n")
    assert results.curves(folder)["loss"] == [3.0, 2.0, 0.5]


def test_a_round_that_has_not_begun_reads_as_empty(tmp_path):
    assert results.curves(tmp_path) == {"phase": [], "epoch": []}
    assert results.epochs(tmp_path) == []
    assert results.roles(tmp_path) == {}


def test_epochs_are_listed_without_the_final_and_half_written_ones(folder):
    (folder / "predictions" / f"epoch-011.parquet.9{PARTIAL}").touch()
    assert results.epochs(folder) == [2, 10]


def test_epoch_predictions_come_back_in_their_types(folder):
    ids, classes, confidence = results.epoch_predictions(folder, 2)
    assert (ids.tolist(), classes.tolist()) == ([3], [1])
    assert confidence == pytest.approx([0.6])
    assert (ids.dtype, classes.dtype, confidence.dtype) == (np.int64, np.int16, np.float32)


def test_an_epoch_that_is_not_recorded_is_refused(folder):
    with pytest.raises(RoundError, match="epoch 3"):
        results.epoch_predictions(folder, 3)


def test_final_predictions_come_back_as_written(folder):
    found = results.final_predictions(folder)
    assert found.round == 7
    assert found.classes == ("cat", "dog")
    assert found.image_ids.tolist() == [1, 2, 3]
    assert np.array_equal(found.probabilities, PROBABILITIES)


def test_a_running_round_has_no_final_predictions(folder):
    (folder / files.REPORT).unlink()
    with pytest.raises(RoundError, match="no final predictions"):
        results.final_predictions(folder)


def test_a_flipped_byte_in_the_predictions_is_reported_and_never_served(folder):
    data = bytearray((folder / files.FINAL).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / files.FINAL).write_bytes(data)
    with pytest.raises(ProjectCorrupt, match="differ"):
        results.final_predictions(folder)


def tracked(folder, **arrays):
    """Record arrays under features/, "student_002" as student-002.npy."""
    recorder = RoundRecorder(folder, "t")
    for name, values in arrays.items():
        recorder.array(f"features/{name.replace('_', '-')}.npy", np.array(values))
    recorder.close()


def test_a_round_without_tracked_images_lists_no_epochs_and_has_no_ids(folder):
    assert results.tracked_epochs(folder) == []
    with pytest.raises(RoundError, match="tracks no images"):
        results.tracked_ids(folder)
    with pytest.raises(RoundError, match="epoch 2"):
        results.tracked_predictions(folder, 2)


def test_tracked_epochs_are_those_with_features_ascending(folder):
    features = np.zeros((2, 3), np.float16)
    tracked(folder, ids=[4, 9], epoch_010=features, epoch_002=features, student_003=features, epoch_1000=features)
    (folder / "features" / f"epoch-011.npy.9{PARTIAL}").touch()
    assert results.tracked_epochs(folder) == [2, 10, 1000]
    assert results.tracked_ids(folder).tolist() == [4, 9]


def test_tracked_predictions_come_back_as_float32_with_the_teachers_where_there_is_one(folder):
    said = np.array([[0.25, 0.75], [0.5, 0.5]], np.float16)
    tracked(folder, ids=[4, 9], student_001=said, student_002=said, teacher_002=said[::-1])
    ids, student, teacher = results.tracked_predictions(folder, 2)
    assert ids.tolist() == [4, 9]
    assert (student.dtype, teacher.dtype) == (np.float32, np.float32)
    assert student.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert teacher.tolist() == [[0.5, 0.5], [0.25, 0.75]]
    assert results.tracked_predictions(folder, 1)[2] is None


def test_a_round_that_recorded_features_alone_has_no_tracked_predictions(folder):
    tracked(folder, ids=[4, 9], epoch_001=np.zeros((2, 3), np.float16))
    assert results.tracked_features(folder, 1)[1].shape == (2, 3)
    with pytest.raises(RoundError, match="no recorded probabilities"):
        results.tracked_predictions(folder, 1)
