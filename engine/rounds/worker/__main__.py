"""The process that trains one round: `python -m engine.rounds.worker ROUND_DIR`.

It reads config.json and labels.parquet, writes only into its round's folder and the project's cache, and
never opens the database. Started by `engine.rounds.supervisor.process`, or by hand (on another machine with the same
storage).
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import psutil

from engine.rounds.folder import digests
from engine.rounds.folder.lock import LOCK_VARIABLE, WorkerBusy, lock_folder
from engine.rounds.folder.plan import RoundPlan, read_plan
from engine.rounds.worker.recorder import RoundRecorder
from engine.rounds.worker.stop import EXIT_STOPPED, Pulse, Stop, Stopped

NICE = 5
"""The app beside it stays responsive."""
EXIT_FAILED = 1
EXIT_BUSY = 75


def main(arguments: list[str]) -> int:
    """Run the round of the folder named in `arguments` and return the exit status."""
    folder = Path(arguments[0]).resolve()
    if LOCK_VARIABLE not in os.environ:
        try:
            lock_folder(folder)
        except WorkerBusy:
            print(f"another worker runs the round in {folder}", file=sys.stderr)
            return EXIT_BUSY
    os.nice(NICE)
    plan = read_plan(folder)
    stop = Stop(folder)
    stop.listen()
    recorder = RoundRecorder(folder, plan.token)
    created = psutil.Process().create_time()
    recorder.event("started", durable=True, pid=os.getpid(), pid_created=created, attempt=plan.attempt)
    pulse = Pulse(recorder, stop, plan.token)
    pulse.start()
    return run(folder, plan, recorder, stop, pulse)


def run(folder: Path, plan: RoundPlan, recorder: RoundRecorder, stop: Stop, pulse: Pulse) -> int:
    """Do the work and write the last event, whatever happens; return the exit status."""
    from engine.rounds.worker import failures
    from engine.rounds.worker.session import Session

    try:
        recorder.hold_reserve()
        Session(folder, plan, recorder, stop).run()
    except Stopped:
        pulse.end()
        recorder.event(stop.ending, durable=True)
        _seal(folder)
        return EXIT_STOPPED
    except Exception as error:
        pulse.end()
        failure = failures.describe(error, folder)
        print(failure["traceback"], file=sys.stderr, flush=True)
        recorder.give_reserve()
        recorder.event("failed", durable=True, **failure)
        _seal(folder)
        return EXIT_FAILED
    pulse.end()
    recorder.give_reserve()
    recorder.event("finished", durable=True)
    return 0


def _seal(folder: Path) -> None:
    """Write down what the files of a round are that ends before it is complete, once its end is told: on a full disk
    that needs the room."""
    with contextlib.suppress(OSError):
        digests.seal(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
