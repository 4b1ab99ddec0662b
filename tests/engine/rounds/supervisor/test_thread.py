import json
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.rounds.folder.lock import WorkerBusy
from engine.rounds.supervisor import process, thread
from engine.rounds.supervisor.follow import follow
from engine.rounds.supervisor.thread import EngineThread
from engine.rounds.supervisor.watch import Patience, started_worker

STUB = Path(__file__).with_name("stub_worker.py")
HASTE = Patience(terminate=0.5, kill=1.2, silence=1.0, first_word=5.0, leave=2.0, write_every=0.05)


@pytest.fixture
def bench(make_store, tmp_path, monkeypatch):
    """A project whose worker is a stub; call it with the stub's script to get (store, engine thread)."""
    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(STUB)))
    monkeypatch.setattr(thread, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(thread, "BUSY_SECONDS", 0.05)
    store = make_store({"cat": 4, "dog": 4, None: 4})
    engines = []

    def make(**script):
        if script:
            (tmp_path / "script.json").write_text(json.dumps(script))
        engine = EngineThread(store, tmp_path, patience=HASTE)
        engines.append(engine)
        return store, engine

    yield make
    for engine in engines:
        engine.stop()
    for path in tmp_path.glob("rounds/*/events.jsonl"):
        worker = started_worker(path.parent, None)
        if worker is not None:
            process.kill_group(worker, path.parent)
            process.reap(worker)


def queue(store):
    return store.queue_round("supervised", {"algorithm": {}, "train": {"device": "cpu"}})


def end_of(store, number: int = 1):
    deadline = time.monotonic() + 15
    for record in follow(store, number, poll=0.05):
        assert time.monotonic() < deadline, record
    return record


def wait_for(condition, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.03)
    return found


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def running(store):
    return wait_for(lambda: (found := store.round(1)).state == "running" and found)


def test_a_finished_worker_settles_its_round_with_the_reports_verdict(bench):
    store, engine = bench(report={"verdict": {"promoted": False, "reason": "worse"}, "epochs": 3})
    assert engine.start()
    queue(store)
    engine.wake()
    record = end_of(store)
    assert record.state == "held_back"
    assert (record.report.epochs, record.report.verdict.reason) == (3, "worse")


def test_progress_of_the_worker_reaches_the_store(bench):
    script = [
        ["progress", {"phase": "main", "epoch": 2}],
        ["epoch", {"phase": "main", "epoch": 2, "metrics": {"a": 1}}],
    ]
    store, engine = bench(events=script, seconds=20, beats=True)
    engine.start()
    queue(store)
    progress = wait_for(lambda: store.round(1).progress.get("metrics") and store.round(1).progress)
    assert (progress["phase"], progress["epoch"], progress["metrics"]) == ("main", 2, {"a": 1})
    assert progress["heartbeat"] > 1e9


def test_a_step_keeps_the_epochs_metrics_and_a_new_phase_drops_them(bench):
    script = [
        ["epoch", {"phase": "baseline", "epoch": 1, "metrics": {"heldout_accuracy": 0.4, "old": 1}}],
        ["progress", {"phase": "main", "epoch": 1, "metrics": {"loss": 3.0}}],
        [
            "epoch",
            {"phase": "main", "epoch": 1, "metrics": {"heldout_accuracy": 0.5, "heldout_loss": 1.5, "loss": 2.0}},
        ],
        ["progress", {"phase": "main", "epoch": 2, "step": 7, "metrics": {"loss": 1.0}}],
    ]
    store, engine = bench(events=script, seconds=20, beats=True)
    engine.start()
    queue(store)
    progress = wait_for(lambda: store.round(1).progress.get("step") and store.round(1).progress)
    assert progress["metrics"] == {"heldout_accuracy": 0.5, "heldout_loss": 1.5, "loss": 1.0}
    assert progress["epoch"] == 2


def test_a_phase_without_metrics_shows_none_of_the_phase_before(bench):
    script = [
        ["epoch", {"phase": "main", "epoch": 1, "metrics": {"heldout_accuracy": 0.5}}],
        ["progress", {"phase": "finishing"}],
    ]
    store, engine = bench(events=script, seconds=20, beats=True)
    engine.start()
    queue(store)
    wait_for(lambda: store.round(1).progress.get("phase") == "finishing")
    assert store.round(1).progress["metrics"] == {}


def test_a_worker_that_heeds_the_flag_is_cancelled(bench):
    store, engine = bench(seconds=30, beats=True, heeds=True)
    engine.start()
    queue(store)
    store.transition(running(store).number, "cancelling")
    assert end_of(store).state == "cancelled"


def test_a_worker_deaf_to_flag_and_sigterm_is_killed_with_its_children(bench, tmp_path):
    store, engine = bench(seconds=30, beats=True, deaf=True, child=True)
    engine.start()
    queue(store)
    record = running(store)
    child = int(
        wait_for(lambda: (tmp_path / "rounds/0001/child").exists() and (tmp_path / "rounds/0001/child").read_text())
    )
    store.transition(1, "cancelling")
    assert end_of(store).state == "cancelled"
    wait_for(lambda: gone(record.pid) and gone(child))


def test_a_silent_worker_is_ended_and_its_round_interrupted(bench):
    store, engine = bench(seconds=30, deaf=True)
    engine.start()
    queue(store)
    pid = running(store).pid
    record = end_of(store)
    assert record.state == "interrupted"
    assert "no sign of life" in record.error["cause"]
    assert "Resume" in record.error["way_out"]
    assert gone(pid)


def test_a_killed_worker_interrupts_its_round(bench):
    store, engine = bench(seconds=30, beats=True)
    engine.start()
    queue(store)
    psutil.Process(running(store).pid).send_signal(signal.SIGKILL)
    record = end_of(store)
    assert record.state == "interrupted"
    assert "signal 9" in record.error["cause"]


def test_a_worker_that_ends_without_a_word_is_interrupted_with_its_exit_status(bench):
    store, engine = bench(exit=7)
    engine.start()
    queue(store)
    assert "exit status 7" in end_of(store).error["cause"]


def test_a_failure_is_told_with_cause_and_way_out(bench):
    failed = {"kind": "DiskFull", "cause": "The disk is full", "way_out": "Free some space.", "traceback": "tb"}
    store, engine = bench(events=[["failed", failed]], exit=1)
    engine.start()
    queue(store)
    record = end_of(store)
    assert record.state == "failed"
    assert record.error == failed


def test_a_device_failure_is_tried_again_in_a_fresh_process_but_not_forever(bench):
    failed = {"kind": "DeviceError", "cause": "CUDA error", "way_out": "", "traceback": "", "retry": True}
    store, engine = bench(events=[["failed", failed]], exit=1)
    engine.start()
    queue(store)
    wait_for(lambda: store.round(1).attempt == 3 and store.round(1).state == "failed")
    time.sleep(0.3)
    assert (store.round(1).attempt, store.round(1).state) == (3, "failed")


def test_a_finished_event_of_an_older_attempt_does_not_count(bench, tmp_path):
    store, engine = bench(exit=1)
    folder = tmp_path / "rounds/0001"
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text(json.dumps({"type": "finished", "time": 1.0, "token": "older"}) + "\n")
    (folder / "report.json").write_text(json.dumps({"verdict": {"promoted": True}}))
    engine.start()
    queue(store)
    assert end_of(store).state == "interrupted"


def test_only_one_of_two_engine_threads_acts_and_the_other_takes_over(bench):
    store, first = bench(report={"verdict": {"promoted": True}})
    _, second = bench(report={"verdict": {"promoted": True}})
    assert first.start()
    assert not second.start()
    assert second.alive
    assert not second.holds_lock
    first.stop()
    queue(store)
    assert end_of(store).state == "promoted"
    assert second.holds_lock


def test_a_new_engine_thread_takes_over_a_running_worker(bench):
    store, first = bench(seconds=2.5, beats=True)
    first.start()
    queue(store)
    pid = running(store).pid
    first.stop()
    assert not gone(pid)
    _, second = bench()
    second.start()
    time.sleep(0.5)
    assert store.round(1).state == "running"
    assert store.round(1).pid == pid
    assert end_of(store).state == "interrupted"


def test_a_round_that_finished_while_nobody_watched_is_settled(bench):
    store, first = bench(seconds=1.0, report={"verdict": {"promoted": True}})
    first.start()
    queue(store)
    pid = running(store).pid
    first.stop()
    wait_for(lambda: gone(pid))
    assert store.round(1).state == "running"
    bench()[1].start()
    assert end_of(store).state == "promoted"


def test_a_finished_round_without_a_verdict_gets_it(bench):
    store, engine = bench()
    queue(store)
    store.transition(1, "running")
    store.transition(1, "finished", report={"verdict": {"promoted": True}})
    engine.start()
    assert end_of(store).state == "promoted"


def test_a_worker_launched_just_before_the_app_died_is_adopted_and_not_doubled(bench, tmp_path):
    store, engine = bench(seconds=1.5, beats=True)
    record = queue(store)
    folder = thread.write_plan(store, record, tmp_path)
    worker = process.start(folder)  # and the app dies before it writes "running"
    with pytest.raises(WorkerBusy):
        process.start(folder)
    engine.start()
    assert running(store).pid == worker.pid
    assert end_of(store).state == "interrupted"
    assert len([e for e in (folder / "events.jsonl").read_text().splitlines() if '"started"' in e]) == 1


def test_a_worker_of_an_attempt_that_was_given_up_is_ended_before_the_next_starts(bench, tmp_path):
    store, engine = bench(seconds=60, beats=True, deaf=True)
    record = queue(store)
    folder = thread.write_plan(store, record, tmp_path)
    old = process.start(folder)
    wait_for(lambda: started_worker(folder, record.token))
    store.transition(1, "failed", token=record.token)
    store.transition(1, "queued", token=record.token)
    engine.start()
    new = running(store)
    assert new.pid != old.pid
    assert gone(old.pid)
    wait_for(lambda: started_worker(folder, new.token))


def test_a_round_that_cannot_be_planned_fails_with_its_cause(bench):
    store, engine = bench()
    store.queue_round("supervised", {"algorithm": {}, "train": {"no_such_setting": 1}})
    engine.start()
    record = end_of(store)
    assert record.state == "failed"
    assert "no_such_setting" in record.error["cause"]


def test_an_id_given_to_another_process_is_not_taken_for_the_worker(tmp_path):
    own = psutil.Process()
    assert process.Worker(own.pid, own.create_time()).alive(tmp_path)
    assert not process.Worker(own.pid, own.create_time() - 3600).alive(tmp_path)
    process.kill_group(process.Worker(own.pid, own.create_time() - 3600), tmp_path)  # we are still here


def test_before_its_first_word_a_worker_is_unknown(tmp_path):
    assert started_worker(tmp_path, "t") is None
