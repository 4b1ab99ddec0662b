"""Which images show what the teacher did, and how many flipped or changed their steepness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import RoundError
from engine.rounds.folder import files
from engine.rounds.folder.teacher import choose, flips_and_change, teacher_course
from engine.rounds.worker.recorder import RoundRecorder

FLAT, SURE_A, SURE_B, HALF = [0.4, 0.3, 0.3], [0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.6, 0.4, 0.0]


def test_flips_are_counted_from_one_epoch_to_the_next_and_change_is_of_the_largest_probability() -> None:
    flips, change = flips_and_change(np.array([[SURE_A, HALF], [SURE_B, HALF], [SURE_A, SURE_A]], np.float32))
    assert flips.tolist() == [2, 0]
    assert change.tolist() == pytest.approx([0.0, 0.3])


def test_a_third_each_flips_most_rises_most_and_falls_most() -> None:
    flips = np.array([0, 1, 3, 2, 0, 0, 0, 0, 0])
    change = np.array([0.05, 0.9, 0.0, 0.0, 0.2, 0.4, 0.3, -0.2, -0.05], np.float32)
    assert choose(flips, change).tolist() == [2, 3, 1, 5, 7]  # but one falls far enough
    assert choose(np.zeros(3, np.int64), np.zeros(3, np.float32)).tolist() == []


def write(folder: Path, gains: list[float | None], teachers: dict[int, list[list[float]]]) -> None:
    """Write a round of images 1 to 4, of which 1 trains; `gains` are h by epoch, `teachers` what the teacher says."""
    for part in files.FOLDERS:
        (folder / part).mkdir(parents=True)
    recorder = RoundRecorder(folder, "token")
    for epoch, gain in enumerate(gains, 1):
        metrics = {"loss": 1.0} if gain is None else {"loss": 1.0, "h": gain}
        recorder.event("epoch", phase="main", epoch=epoch, metrics=metrics)
        recorder.event("epoch", phase="ablation", epoch=epoch, metrics={"loss": 1.0, "h": 0.0})
    frame = pd.DataFrame({"image_id": [1, 2, 3, 4], "role": ["train", "unlabeled", "unlabeled", "unlabeled"]})
    frame.to_parquet(folder / files.LABELS, index=False)
    recorder.array(files.TRACKED_IDS, np.array([1, 2, 3, 4]))
    for epoch, rows in teachers.items():
        said = np.array(rows, np.float16)
        recorder.array(files.epoch_student(epoch), said)
        recorder.array(files.epoch_teacher(epoch), said)
    recorder.close()


def test_the_course_is_of_unlabeled_images_at_quarters_of_the_epochs_in_which_h_was_measured(tmp_path: Path) -> None:
    # epoch 1 and 2: the teacher alone; 3 to 11: nine epochs with a student; 12: the closing one
    at = {epoch: [SURE_A, SURE_A, FLAT, SURE_A] for epoch in range(1, 13)}
    for epoch in range(6, 9):
        at[epoch] = [FLAT, SURE_B, FLAT, SURE_A]
    for epoch in range(9, 13):
        at[epoch] = [FLAT, SURE_A, SURE_A, HALF]
    write(tmp_path, [None, None, *[0.01] * 9, None], at)
    found = teacher_course(tmp_path)
    assert found is not None
    assert found.epochs == (3, 5, 7, 9, 11)
    assert (found.images, found.flipped, found.steeper, found.flatter) == (3, 1, 1, 1)
    assert found.ids.tolist() == [2, 3, 4]  # flips, becomes steeper, becomes flatter
    np.testing.assert_allclose(found.distributions[:, 0], [SURE_A, SURE_A, SURE_B, SURE_A, SURE_A], atol=1e-3)


def test_without_a_teacher_that_h_could_teach_there_is_no_course(tmp_path: Path) -> None:
    write(tmp_path / "a", [None, None], {1: [FLAT] * 4, 2: [FLAT] * 4})
    write(tmp_path / "b", [0.1, 0.1], {})
    assert teacher_course(tmp_path / "a") is None
    assert teacher_course(tmp_path / "b") is None


def test_a_round_that_tracks_no_images_says_so(tmp_path: Path) -> None:
    write(tmp_path, [0.1, 0.1], {1: [FLAT] * 4, 2: [FLAT] * 4})
    (tmp_path / files.TRACKED_IDS).unlink()
    with pytest.raises(RoundError, match="tracks no images"):
        teacher_course(tmp_path)
