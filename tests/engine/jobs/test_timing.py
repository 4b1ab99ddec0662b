"""Times asked for by a page: answered from what is known, found in the background, one at a time."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine.errors import ConfigError
from engine.jobs import timing
from engine.jobs.timing import Job, Timing, TimingQueue

JOB = Job("supervised", {}, {"epochs": 2, "steps_per_epoch": 4, "device": "cpu"}, (1, 8, 8), (40, 10, 100, 4))


def _until(holds: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def _known(timings: TimingQueue, job: Job, seconds: float = 10) -> Timing:
    _until(lambda: timings.ask(job).done, seconds)
    return timings.ask(job)


class Child:
    """A child that is never started."""

    stdin = stdout = None

    def poll(self) -> None:
        return None

    def kill(self) -> None: ...

    def wait(self) -> None: ...


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs a child was given; it answers with their number of epochs as seconds, once `gate` is open."""
    jobs: list[Job] = []

    def answer(child: Any, job: Job) -> Timing:
        jobs.append(job)
        assert gate.wait(10)
        return Timing(float(job.train["epochs"]), "", done=True)

    gate.set()
    monkeypatch.setattr(timing, "_start", Child)
    monkeypatch.setattr(timing, "_timed", answer)
    return jobs


gate = threading.Event()


def test_first_answer_is_not_known_and_comes_later_without_timing_twice(timed: list[Job]) -> None:
    timings = TimingQueue()
    assert timings.ask(JOB) == Timing()
    assert _known(timings, JOB) == Timing(2.0, "", done=True)
    assert _known(timings, dataclasses.replace(JOB, train=JOB.train | {"seed": 7})).seconds == 2.0
    assert timed == [JOB]


def test_other_settings_are_timed_anew(timed: list[Job]) -> None:
    timings = TimingQueue()
    other = dataclasses.replace(JOB, train=JOB.train | {"epochs": 3})
    timings.ask(JOB)
    timings.ask(other)
    assert (_known(timings, JOB).seconds, _known(timings, other).seconds) == (2.0, 3.0)


def test_what_was_not_begun_is_dropped_when_a_round_starts(timed: list[Job]) -> None:
    timings = TimingQueue()
    gate.clear()
    timings.ask(JOB)
    _until(lambda: timed)
    other = dataclasses.replace(JOB, train=JOB.train | {"epochs": 3})
    timings.ask(other)
    timings.drop_all()
    gate.set()
    _until(lambda: not timings._running)
    assert timed == [JOB]
    assert not timings._answers
    assert _known(timings, other).seconds == 3.0  # asked again, it is timed


def test_of_many_waiting_jobs_only_the_newest_are_timed(timed: list[Job]) -> None:
    timings = TimingQueue()
    gate.clear()
    timings.ask(JOB)
    _until(lambda: timed)
    later = [dataclasses.replace(JOB, train=JOB.train | {"epochs": n}) for n in range(10, 20)]
    for job in later:
        timings.ask(job)
    gate.set()
    _until(lambda: not timings._running)
    assert timed == [JOB, *later[-timing.MOST_WAITING :]]


def test_a_child_that_cannot_start_is_told_and_the_next_job_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    timings = TimingQueue()

    def refuse() -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(timing, "_start", refuse)
    assert "Cannot allocate memory" in _known(timings, JOB).how
    _until(lambda: not timings._running)


def test_a_round_that_starts_ends_the_timing_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    timings = TimingQueue()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=-1, stdout=-1, text=True)
    monkeypatch.setattr(timing, "_start", lambda: child)
    timings.ask(JOB)
    _until(lambda: timings._job is not None)
    timings.drop_all()
    _until(lambda: not timings._running)
    assert child.poll() is not None
    assert not timings._answers


def test_real_child_answers_and_one_that_breaks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    timings = TimingQueue()
    found = _known(timings, JOB, 60)
    assert found.seconds is not None
    assert 0 < found.seconds < 60
    assert "8 steps in 2 epochs" in found.how
    wrong = dataclasses.replace(JOB, train={"epochs": -1})
    assert "too small" in _known(timings, wrong, 60).how
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    assert _known(timings, dataclasses.replace(JOB, counts=(41, 10, 100, 4)), 60).how == timing.NOT_ESTIMATED


def test_a_tuned_network_is_timed_by_its_steps_on_images_and_one_that_cannot_be_says_why() -> None:
    train = {"net": "tuned:efficientnet_lite0", "epochs": 2, "steps_per_epoch": 4, "batch_size": 2, "device": "cpu"}
    job = Job("supervised", {}, train, (3, 32, 32), (20, 0, 80, 3))
    found = timing.time_job(job)
    assert found.seconds is not None
    assert found.how.startswith("8 steps in 2 epochs, timed on")
    with pytest.raises(ConfigError, match="17 of 16"):
        timing.time_job(dataclasses.replace(job, train=train | {"tuned_blocks": 17}))


def test_joined_networks_are_each_timed_and_not_where_their_features_are_kept() -> None:
    net = "frozen:efficientnet_lite0+efficientnet_lite0@whole"
    job = Job("supervised", {}, {"net": net}, (3, 64, 64), (20, 0, 80, 3))
    shape, seconds, note = timing._inputs(job, net, torch.device("cpu"))
    assert shape == (2560,)
    assert seconds > 0
    assert "computing the features of all images is included" in note
    kept = dataclasses.replace(job, features_kept=True)
    assert timing._inputs(kept, net, torch.device("cpu")) == ((2560,), 0.0, "")
