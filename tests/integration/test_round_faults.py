import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from engine.files import read_json, write_json
from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.supervisor import process
from engine.rounds.supervisor.prepare import write_plan
from engine.rounds.worker.__main__ import EXIT_FAILED
from engine.rounds.worker.stop import EXIT_FENCED_OFF
from tests.integration.test_clear_messages import in_this_process

LONG = {"epochs": 2000, "steps_per_epoch": 50, "batch_size": 8, "run_baseline": False}


@pytest.mark.parametrize("seconds", [60, pytest.param(5, marks=pytest.mark.speed)])
def test_cancel_takes_effect_and_leaves_no_process(bench, seconds):
    bench.engine()
    number = bench.queue(**LONG)
    bench.wait_for_epoch(number, 1)
    bench.store.transition(number, "cancelling")
    bench.wait(number, "cancelled", seconds=seconds)
    assert bench.workers() == []
    ending = read_events(bench.folder(number) / files.EVENTS)[-1]
    assert ending["type"] == "cancelled"


def test_a_killed_round_resumes_and_ends_bit_identical_to_an_uninterrupted_one(bench):
    same = {"epochs": 3, "steps_per_epoch": 60, "batch_size": 16, "seed": 5}
    engine = bench.engine()
    cut = bench.queue(**same)
    bench.wait_for_epoch(cut, 1)
    os.kill(bench.store.round(cut).pid, signal.SIGKILL)
    record = bench.wait(cut, "interrupted")
    assert "Resume" in record.error["way_out"]
    labels = (bench.folder(cut) / files.LABELS).read_bytes()
    bench.store.transition(cut, "queued", token=record.token)
    record = bench.wait(cut, "promoted", "held_back")
    assert record.attempt == 2
    assert (bench.folder(cut) / files.LABELS).read_bytes() == labels
    engine.stop()
    whole = bench.queue(**same)
    assert in_this_process(bench, whole)[0] == 0
    for name in (files.FINAL, files.FINAL_FEATURES, files.SIGNALS):
        assert (bench.folder(cut) / name).read_bytes() == (bench.folder(whole) / name).read_bytes()
    events = read_events(bench.folder(cut) / files.EVENTS)
    assert sum(event["type"] == "baseline" for event in events) == 1
    first = next(e for e in events if e["type"] == "epoch" and e["token"] == record.token)
    assert (first["phase"], first["epoch"] > 1) == ("main", True)


def test_a_round_survives_the_end_of_its_engine_thread(bench):
    first = bench.engine()
    number = bench.queue(epochs=2, steps_per_epoch=20, run_baseline=False)
    pid = bench.wait(number, "running").pid
    first.stop()
    assert psutil.pid_exists(pid)
    bench.engine()
    record = bench.wait(number, "promoted", "held_back")
    assert record.attempt == 1
    assert record.pid == pid
    assert record.progress["phase"] == "finishing"


def test_a_corrupt_checkpoint_is_passed_over_for_the_one_before(bench):
    engine = bench.engine()
    number = bench.queue(epochs=4, steps_per_epoch=60, batch_size=16, run_baseline=False)
    bench.wait_for_epoch(number, 2)
    os.kill(bench.store.round(number).pid, signal.SIGKILL)
    bench.wait(number, "interrupted")
    newest = max((bench.folder(number) / "checkpoints/main").glob("epoch-*.ckpt"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    engine.stop()
    told = len(read_events(bench.folder(number) / files.EVENTS, {"epoch"}))
    bench.store.transition(number, "queued")
    assert in_this_process(bench, number)[0] == 0
    assert any("differs" in one for one in read_json(bench.folder(number) / files.REPORT)["recoveries"])
    again = read_events(bench.folder(number) / files.EVENTS, {"epoch"})[told:]
    assert again[0]["epoch"] == int(newest.stem.split("-")[1])


def test_a_loss_that_stays_infinite_fails_after_two_lower_rates(bench):
    number = bench.queue("supervised", epochs=1, steps_per_epoch=300, learning_rate=10.0, weight_decay=1.0)
    status, last = in_this_process(bench, number)
    events = read_events(bench.folder(number) / files.EVENTS, {"recovery"})
    assert (status, last["type"], last["kind"]) == (EXIT_FAILED, "failed", "TrainingDiverged")
    assert [event["kind"] for event in events] == ["diverged", "diverged"]
    assert "halved to 5" in events[0]["message"]
    assert "halved to 2.5" in events[1]["message"]


def test_a_worker_whose_project_vanished_ends_by_itself(bench):
    number = bench.queue(**LONG)
    folder = write_plan(bench.store, bench.store.round(number), bench.root)
    worker = process.start(folder)
    bench.wait_for_epoch(number, 1)
    shutil.rmtree(folder)
    assert worker.child is not None
    assert worker.child.wait(timeout=10) in {EXIT_FENCED_OFF, 1}  # the pulse saw it, or a write failed first
    assert not folder.exists()


def test_a_worker_whose_round_went_to_another_attempt_ends_by_itself(bench):
    number = bench.queue(**LONG)
    folder = write_plan(bench.store, bench.store.round(number), bench.root)
    worker = process.start(folder)
    bench.wait_for_epoch(number, 1)
    config = read_json(folder / files.CONFIG)
    write_json(folder / files.CONFIG, config | {"token": "another"})
    assert worker.child is not None
    assert worker.child.wait(timeout=10) == EXIT_FENCED_OFF


def test_a_second_worker_on_the_same_round_does_not_start(bench):
    number = bench.queue(**LONG)
    folder = write_plan(bench.store, bench.store.round(number), bench.root)
    process.start(folder)
    second = subprocess.run([sys.executable, "-m", "engine.rounds.worker", str(folder)], capture_output=True)
    assert second.returncode == 75
    assert b"another worker" in second.stderr
