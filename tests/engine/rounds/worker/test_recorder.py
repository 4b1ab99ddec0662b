import errno
import math
import os

import numpy as np
import pandas as pd
import pytest

from engine.files import PARTIAL, sha256_of
from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.worker import recorder
from engine.rounds.worker.recorder import RoundRecorder, summary_columns


@pytest.fixture
def rec(tmp_path):
    made = RoundRecorder(tmp_path, "token-1")
    yield made
    made.close()


def test_an_event_carries_its_type_time_and_token(rec, tmp_path):
    rec.event("epoch", kind="x", accuracy=np.float32(0.5), bad=float("nan"))
    (event,) = read_events(tmp_path / files.EVENTS)
    assert event.pop("time") > 1e9
    assert event == {"type": "epoch", "token": "token-1", "kind": "x", "accuracy": 0.5, "bad": None}


def test_summary_columns_by_hand():
    found = summary_columns(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0]], np.float32))
    assert found["class"].tolist() == [0, 2, 1]
    assert found["class"].dtype == np.int16
    assert found["confidence"] == pytest.approx([0.7, 0.5, 1.0])
    assert found["margin"] == pytest.approx([0.5, 0.25, 1.0])
    assert found["entropy"] == pytest.approx([0.8018186, 1.5 * math.log(2), 0.0], abs=1e-6)


def test_epoch_predictions_are_one_row_an_unlabeled_image(rec, tmp_path):
    rec.epoch_predictions(12, np.array([5, 9]), np.array([[0.9, 0.1], [0.4, 0.6]], np.float32))
    frame = pd.read_parquet(tmp_path / "predictions/epoch-012.parquet")
    assert frame.columns.tolist() == ["image_id", "class", "confidence", "margin", "entropy"]
    assert frame["image_id"].tolist() == [5, 9]
    assert frame["class"].tolist() == [0, 1]


def test_no_unlabeled_images_give_an_empty_table(rec, tmp_path):
    rec.epoch_predictions(1, np.zeros(0, np.int64), np.zeros((0, 3), np.float32))
    assert len(pd.read_parquet(tmp_path / "predictions/epoch-001.parquet")) == 0


@pytest.mark.parametrize("calibrated", [True, False])
def test_final_predictions_hold_every_class_and_give_their_hash_and_say_whether_they_are_calibrated(
    rec, tmp_path, calibrated
):
    roles = np.array(["train", "unlabeled"], object)
    said = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)
    digest = rec.final_predictions(np.array([1, 2]), roles, said, calibrated=calibrated)
    frame = pd.read_parquet(tmp_path / files.FINAL)
    assert digest == sha256_of(tmp_path / files.FINAL)
    assert frame["p_1"].tolist() == pytest.approx([0.1, 0.6])
    assert frame["role"].tolist() == ["train", "unlabeled"]
    assert frame["calibrated"].tolist() == [calibrated] * 2


def test_leftovers_of_a_killed_write_are_swept(tmp_path):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / f"epoch-001.parquet.77{PARTIAL}").touch()
    (tmp_path / "report.json").touch()
    assert files.sweep_partial(tmp_path) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["report.json"]


def test_a_full_disk_can_still_be_told_with_the_space_held_back(rec, tmp_path, monkeypatch):
    rec.hold_reserve()
    real = os.write

    def write(handle, data):
        if (tmp_path / files.RESERVE).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(recorder.os, "write", write)
    rec.event("failed", cause="disk full")
    assert read_events(tmp_path / files.EVENTS)[0]["cause"] == "disk full"


def test_a_removed_or_replaced_folder_is_noticed(rec, tmp_path):
    assert rec.in_place()
    (tmp_path / files.EVENTS).unlink()
    assert not rec.in_place()
    (tmp_path / files.EVENTS).touch()
    assert not rec.in_place()
