"""The moving map of a round's folder: followed while epochs come, smoothed at the end, made anew where epochs were."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.errors import MapError
from engine.files import write_json
from engine.jobs import child, moving_map, moving_map_work, parent
from engine.jobs.child import JobProgress
from engine.jobs.folder import JOB, read_progress
from engine.rounds.folder import files, results
from engine.rounds.folder.events import SILENT_SECONDS, round_over

T = 40


def features(epoch, seed=0):
    """Four groups that drift apart a little each epoch, (T, 6)."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(rng.normal(0, 3, (4, 6)), T // 4, axis=0)
    return (groups * (1 + 0.05 * epoch) + rng.normal(0, 0.5, (T, 6))).astype(np.float16)


@pytest.fixture
def round_dir(tmp_path):
    folder = tmp_path / "0001"
    (folder / "features").mkdir(parents=True)
    np.save(folder / "features" / "ids.npy", np.arange(100, 100 + T))
    (folder / "moving").mkdir()
    write_json(folder / "moving" / JOB, {"seed": 0})
    say(folder, "progress")
    return folder


def record(folder, epoch, values=None):
    np.save(folder / "features" / f"epoch-{epoch:03d}.npy", features(epoch) if values is None else values)


def say(folder, kind):
    with open(folder / files.EVENTS, "a") as handle:
        handle.write(json.dumps({"type": kind, "phase": "main", "epoch": 1}) + "\n")


def test_ended_round_is_laid_out_and_smoothed_to_its_own_last_frame(round_dir):
    for epoch in (1, 2, 3):
        record(round_dir, epoch)
    say(round_dir, "finished")
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    course = moving_map_work.read_course(round_dir / "moving")
    assert (course.epochs, course.smoothed) == ([1, 2, 3], True)
    frames = moving_map.frames(round_dir)
    assert frames.ids.tolist() == list(range(100, 100 + T))
    assert frames.xy.shape == (3, T, 2)
    assert frames.moves[0] == 0
    assert (frames.moves[1:] > 0).all()
    assert ((frames.recall > 0.3) & (frames.recall <= 1)).all()
    assert moving_map.state(round_dir).status == "ready"


def test_cancelled_round_of_two_epochs_still_moves(round_dir):
    record(round_dir, 1)
    record(round_dir, 2)
    say(round_dir, "cancelled")
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    assert moving_map.frames(round_dir).epochs == (1, 2)


def test_running_round_is_followed_until_it_says_that_it_ended(round_dir, monkeypatch):
    record(round_dir, 1)
    rests = []

    def rest(seconds):
        rests.append(moving_map_work.read_course(round_dir / "moving").epochs)
        record(round_dir, len(rests) + 1)
        if len(rests) == 2:
            say(round_dir, "finished")

    monkeypatch.setattr(moving_map_work.time, "sleep", rest)
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    assert rests == [[1], [1, 2]]
    assert moving_map.frames(round_dir).epochs == (1, 2, 3)


def test_epochs_that_come_after_the_smoothing_make_the_map_incomplete_and_are_added(round_dir):
    record(round_dir, 1)
    record(round_dir, 2)
    say(round_dir, "interrupted")
    child.run(round_dir / "moving", moving_map_work.work)
    record(round_dir, 3)
    assert moving_map.state(round_dir).status == "none"
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    assert moving_map.frames(round_dir).epochs == (1, 2, 3)
    assert moving_map.state(round_dir).status == "ready"


def test_epoch_trained_anew_is_laid_out_anew(round_dir):
    record(round_dir, 1)
    record(round_dir, 2)
    say(round_dir, "finished")
    child.run(round_dir / "moving", moving_map_work.work)
    before = moving_map.frames(round_dir).xy
    record(round_dir, 2, features(2, seed=5))
    assert moving_map.state(round_dir).status == "none"
    child.run(round_dir / "moving", moving_map_work.work)
    assert not np.array_equal(moving_map.frames(round_dir).xy[1], before[1])


def test_attempt_that_was_cut_off_goes_on_with_the_same_bits(round_dir, monkeypatch):
    for epoch in (1, 2, 3):
        record(round_dir, epoch)
    say(round_dir, "finished")
    child.run(round_dir / "moving", moving_map_work.work)
    whole = moving_map.frames(round_dir).xy
    (round_dir / "moving" / moving_map_work.FRAMES).unlink()
    write = JobProgress.write

    def stop(self, status, stage, fraction, error=""):
        write(self, status, stage, fraction, error)
        if stage == "Laid out epoch 2":
            raise child.Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(JobProgress, "write", stop)
        assert child.run(round_dir / "moving", moving_map_work.work) == 143
    assert moving_map.state(round_dir).status == "cancelled"
    assert moving_map.frames(round_dir).epochs == (1, 2)
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    assert np.array_equal(moving_map.frames(round_dir).xy, whole)


def test_epoch_whose_features_are_not_finite_repeats_the_one_before_and_says_why(round_dir):
    bad = features(2)
    bad[3, 1] = np.inf
    for epoch, values in ((1, None), (2, bad), (3, None)):
        record(round_dir, epoch, values)
    say(round_dir, "finished")
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    frames = moving_map.frames(round_dir)
    assert frames.repeated.tolist() == [False, True, False]
    assert "1 image are not finite" in frames.reasons[1]
    assert np.isnan(frames.recall[1])
    assert np.isfinite(frames.xy).all()


def test_only_epochs_that_were_trained_anew_are_laid_out_again(round_dir, monkeypatch):
    from engine.maps.moving_map import MovingMap

    added = []
    add = MovingMap.add
    monkeypatch.setattr(MovingMap, "add", lambda self, rows: added.append(len(self.frames)) or add(self, rows))
    for epoch in (1, 2, 3):
        record(round_dir, epoch)
    moving_map_work._lay_out_new(
        round_dir / "moving", JobProgress(round_dir / "moving"), moving_map_work.Course([], [], [], []), 0
    )
    record(round_dir, 3, features(3, seed=5))
    course = moving_map_work.read_course(round_dir / "moving")
    moving_map_work._lay_out_new(round_dir / "moving", JobProgress(round_dir / "moving"), course, 0)
    assert added == [0, 1, 2, 2]


def test_epochs_that_are_gone_leave_the_map(round_dir):
    for epoch in (1, 2, 3):
        record(round_dir, epoch)
    say(round_dir, "finished")
    child.run(round_dir / "moving", moving_map_work.work)
    (round_dir / "features" / "epoch-003.npy").unlink()
    (round_dir / "features" / "epoch-002.npy").unlink()
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    assert moving_map.frames(round_dir).epochs == (1,)
    assert moving_map.state(round_dir).status == "ready"


def test_started_by_several_at_once_one_process_works(round_dir):
    record(round_dir, 1)
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: moving_map.start(round_dir).status, range(4)))
    assert states == ["running"] * 4
    assert sum(str(round_dir / "moving") in process.args for process in parent._children) == 1
    moving_map.cancel(round_dir)
    wait(lambda: moving_map.state(round_dir).status == "cancelled")
    wait(lambda: parent.reap() is None and not parent._children)


def test_cancelled_at_once_it_is_cancelled_and_not_failed(round_dir):
    record(round_dir, 1)
    moving_map.start(round_dir)
    moving_map.cancel(round_dir)
    wait(lambda: moving_map.state(round_dir).status not in {"running"})
    assert moving_map.state(round_dir).status == "cancelled"
    wait(lambda: parent.reap() is None and not parent._children)


def test_a_resumed_round_leaves_a_file_alone_that_the_map_is_writing(round_dir):
    for name in ("moving/frames.npz.7-1.partial", "features/epoch-001.npy.7-1.partial"):
        (round_dir / name).touch()
    assert files.sweep_partial(round_dir) == 1
    assert (round_dir / "moving/frames.npz.7-1.partial").exists()


def test_features_that_never_change_give_the_very_same_frames(round_dir):
    for epoch in (1, 2, 3):
        record(round_dir, epoch, features(1))
    say(round_dir, "finished")
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    frames = moving_map.frames(round_dir)
    assert frames.smoothed
    assert frames.moves.tolist() == [0, 0, 0]


def test_damaged_frames_are_made_again(round_dir):
    record(round_dir, 1)
    say(round_dir, "finished")
    child.run(round_dir / "moving", moving_map_work.work)
    path = round_dir / "moving" / moving_map_work.FRAMES
    path.write_bytes(path.read_bytes()[:200])
    assert moving_map.state(round_dir).status == "none"
    assert child.run(round_dir / "moving", moving_map_work.work) == 0
    assert moving_map.frames(round_dir).epochs == (1,)


def test_round_without_epochs_cannot_be_laid_out(round_dir):
    say(round_dir, "failed")
    assert child.run(round_dir / "moving", moving_map_work.work) == 1
    assert "no features" in read_progress(round_dir / "moving")["error"]
    with pytest.raises(MapError, match="no features yet"):
        moving_map.start(round_dir)
    with pytest.raises(MapError, match="no moving map"):
        moving_map.frames(round_dir)


@pytest.mark.parametrize(("kind", "over"), [("finished", True), ("failed", True), ("progress", False)])
def test_last_event_tells_whether_the_round_is_over(round_dir, kind, over):
    say(round_dir, "finished")
    say(round_dir, kind)
    with open(round_dir / files.EVENTS, "a") as handle:
        handle.write('{"type": "fini')  # cut off while writing
    assert round_over(round_dir) is over


def test_round_that_has_been_silent_for_long_is_over(round_dir):
    past = time.time() - 2 * SILENT_SECONDS
    os.utime(round_dir / files.EVENTS, (past, past))
    assert round_over(round_dir)


def test_round_that_was_just_planned_is_not_over(round_dir):
    (round_dir / files.EVENTS).unlink()
    (round_dir / files.CONFIG).touch()
    assert not round_over(round_dir)
    past = time.time() - 2 * SILENT_SECONDS
    os.utime(round_dir / files.CONFIG, (past, past))
    assert round_over(round_dir)
    (round_dir / files.CONFIG).unlink()
    assert round_over(round_dir)


def test_own_process_lays_out_can_be_cancelled_and_goes_on(round_dir):
    record(round_dir, 1)
    assert moving_map.start(round_dir).status == "running"
    wait(lambda: moving_map_work.read_course(round_dir / "moving").epochs == [1])
    assert moving_map.cancel(round_dir)
    wait(lambda: moving_map.state(round_dir).status == "cancelled")
    say(round_dir, "cancelled")
    moving_map.start(round_dir)
    wait(lambda: moving_map.state(round_dir).status == "ready")
    assert results.tracked_epochs(round_dir) == [1]
    assert moving_map.start(round_dir).status == "ready"
    wait(lambda: parent.reap() is None and not parent._children)


def wait(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
