"""How long a round would take, timed in a process of its own while the page goes on.

`python -m engine.jobs.timing` reads one job a line from stdin, as JSON, and answers one line each; it ends when
stdin does. Its own process, because timing seeds random generators, takes the processor, and a GPU's memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import StarlingError, first_line

SECONDS = 60.0
"""Longest a timing may take; a run whose single steps are longer is not estimated."""
GRACE_SECONDS = 10
"""So much later a child ends itself, should the process that asked be gone."""
KEPT = 200
MOST_WAITING = 4
NOT_ESTIMATED = "trying its steps took too long or failed"


@dataclass(frozen=True)
class Job:
    """What is to be timed: the settings, the shape (C, H, W) of the images, and (train, heldout, unlabeled, K).

    features_kept: a frozen network's features need not be computed.
    """

    algorithm: str
    config: dict[str, Any]
    train: dict[str, Any]
    shape: tuple[int, int, int]
    counts: tuple[int, int, int, int]
    features_kept: bool = False

    @property
    def key(self) -> str:
        """The same for the same job; the seed does not matter."""
        plain = asdict(self)
        plain["train"].pop("seed", None)
        return json.dumps(plain, sort_keys=True)


@dataclass(frozen=True)
class Timing:
    """An answer: `seconds` None while it is not known; then `how` says why where it will not be."""

    seconds: float | None = None
    how: str = ""
    done: bool = False


@dataclass
class TimingQueue:
    """Times jobs one after another in a child process, oldest first, and keeps the answers.

    Of many waiting jobs only the newest few are timed: the others are of settings nobody looks at any more.
    """

    _answers: dict[str, Timing] = field(default_factory=dict)
    _waiting: deque[Job] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: bool = False
    _child: subprocess.Popen[str] | None = None
    _job: Job | None = None

    def ask(self, job: Job) -> Timing:
        """Return what is known; a job that is not is timed in the background."""
        with self._lock:
            answer = self._answers.get(job.key)
            if answer is not None:
                return answer
            while len(self._answers) >= KEPT:
                self._answers.pop(next(iter(self._answers)))
            self._answers[job.key] = Timing()
            self._waiting.append(job)
            while len(self._waiting) > MOST_WAITING:
                self._answers.pop(self._waiting.popleft().key, None)
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="timing", daemon=True).start()
        return Timing()

    def drop_all(self) -> None:
        """Forget all jobs and end the one under way: a round starts and would be disturbed."""
        with self._lock:
            for job in (*self._waiting, *([self._job] if self._job else [])):
                self._answers.pop(job.key, None)
            self._waiting.clear()
            if self._child is not None:
                self._child.kill()

    def _next(self) -> Job | None:
        with self._lock:
            self._job = self._waiting.popleft() if self._waiting else None
            self._running = self._job is not None
            return self._job

    def _work(self) -> None:
        child: subprocess.Popen[str] | None = None
        while (job := self._next()) is not None:
            try:
                if child is None or child.poll() is not None:
                    child = _start()
                with self._lock:
                    self._child = child
                    dropped = job.key not in self._answers
                if dropped:  # while the child started
                    continue
                answer = _timed(child, job)
            except Exception as error:  # the thread must live, or nothing is ever estimated again
                answer = Timing(how=f"it could not be tried ({first_line(error)})", done=True)
            with self._lock:
                self._child = self._job = None
                if job.key in self._answers:  # not dropped meanwhile
                    self._answers[job.key] = answer
        if child is not None:
            _end(child)


SHARED = TimingQueue()
"""The one of this process: two timings at once would disturb each other."""


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.jobs.timing"],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    child.wait()


def _timed(child: subprocess.Popen[str], job: Job) -> Timing:
    """Hand a job to the child and return its answer; a child that takes too long is ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    watch = threading.Timer(SECONDS, child.kill)
    watch.start()
    try:
        child.stdin.write(json.dumps(asdict(job)) + "\n")
        child.stdin.flush()
        answer = json.loads(child.stdout.readline())
    except (OSError, ValueError):
        _end(child)
        return Timing(how=NOT_ESTIMATED, done=True)
    finally:
        watch.cancel()
    return Timing(answer.get("seconds"), str(answer.get("how", "")), done=True)


def time_job(job: Job) -> Timing:
    """Time one job in this process."""
    from engine.algorithms import ALGORITHMS
    from engine.training import device
    from engine.training.config import TrainConfig
    from engine.training.estimate import Counts, estimate, whole_round
    from engine.training.settings import settings_from

    train = settings_from(TrainConfig, job.train)
    spec = ALGORITHMS[job.algorithm]
    where = device.resolve(train.device)
    device.set_threads(train.threads)
    counts = Counts(*job.counts)
    shape, before, note = _inputs(job, train.net, where)
    main = estimate(spec, settings_from(spec.config, job.config), train, shape, counts, where)
    baseline = None
    if main.seconds is None:
        return Timing(how=main.how, done=True)
    other = spec.ablation(settings_from(spec.config, job.config)) if spec.ablation else None
    if other is not None:
        beside = estimate(spec, other, train, shape, counts, where).seconds
        before += beside or 0.0
        note += "; the comparison with h = 0 is included" if beside is not None else ""
    if train.start:
        note += "; labeling the set and teaching the network its labels first is not"
    if train.run_baseline and spec.uses_unlabeled:
        plain = ALGORITHMS[spec.baseline]
        baseline = estimate(plain, plain.config(), train, shape, counts, where)
    whole = whole_round(main, baseline, device.describe(where))
    return Timing((whole.seconds or 0.0) + before, whole.how + note, done=True)


def _inputs(job: Job, net: str, where: Any) -> tuple[tuple[int, ...], float, str]:
    """Return the shape of what is trained on, the seconds it takes to compute it from the images, and a note."""
    from engine.nets.net_name import NetName

    if not NetName.parse(net).is_frozen:
        return job.shape, 0.0, ""
    import torch

    from engine.nets.frozen import batch_size, check, features_of, load_frozen
    from engine.training.estimate import seconds_of

    trunks = [load_frozen(source.name, where) for source in check(net)]
    width = (sum(trunk.width for trunk in trunks),)
    if job.features_kept:
        return width, 0.0, ""
    each = 0.0
    for trunk in trunks:
        size = batch_size(where, light=trunk.light)
        images = torch.randint(0, 256, (size, trunk.channels, trunk.side, trunk.side), dtype=torch.uint8)
        each += min(seconds_of(partial(features_of, trunk, images, where)) for _ in range(2)) / size
    note = "; computing the features of all images is included, reading and shrinking them the first time is not"
    return width, each * sum(job.counts[:3]), note


def main() -> None:
    """Serve jobs until stdin ends."""

    os.nice(5)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not break the protocol
    for line in sys.stdin:
        asked = json.loads(line)
        asked |= {"shape": tuple(asked["shape"]), "counts": tuple(asked["counts"])}
        try:
            signal.alarm(int(SECONDS) + GRACE_SECONDS)  # ends the process even within a long step
            answer = time_job(Job(**asked))
        except StarlingError as error:
            answer = Timing(how=str(error), done=True)
        except Exception as error:
            answer = Timing(how=f"{type(error).__name__}: {first_line(error)}", done=True)
        signal.alarm(0)
        answers.write(json.dumps(asdict(answer)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
