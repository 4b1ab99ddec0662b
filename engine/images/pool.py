"""A few limited children that decode images; a file that breaks one is refused, and the child replaced."""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import engine
from engine.errors import ImportRefused

Job = Mapping[str, Any]
Answer = dict[str, Any]
BATCH = 64
AHEAD = 3  # batches a child that are drawn before their turn
BREAKDOWNS = 100
CRASHED = "Decoding it broke the decoder (too much memory, or a damaged file)."
TOO_SLOW = "Decoding it took too long."
_GATHER = 0.004
"""Seconds that answers of small images are let gather: to wake up for each stops the thread that reads the images."""


@dataclass(frozen=True)
class ChildLimits:
    """What one child may use: address space in MiB, and seconds for one image."""

    memory_mb: int = 2048
    seconds: float = 30.0


class _Broken(Exception):
    """The child ended or hung; `args[0]` is the reason for a person."""


class _Child:
    """One running child process. Not thread-safe."""

    def __init__(self, command: tuple[str, ...], limits: ChildLimits) -> None:
        home = str(Path(engine.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._seconds = limits.seconds
        self._process = subprocess.Popen(
            [*command, str(limits.memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads, "PYTHONPATH": path, "PYTHONUTF8": "1"},
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._awaited = 0
        self._last: tuple[bytes, Answer] = (b"", {})

    def send(self, jobs: list[Job]) -> None:
        """Hand over jobs; their answers come one by one from `receive`."""
        self._awaited = len(jobs)
        view = memoryview(json.dumps(jobs).encode() + b"\n")
        try:
            while view:
                view = view[self._in.write(view) or 0 :]
        except OSError as error:
            raise _Broken(CRASHED) from error

    def receive(self) -> Answer:
        """Return the next answer."""
        deadline = time.monotonic() + self._seconds
        while not self._lines:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise _Broken(TOO_SLOW)
            if self._awaited > 1:
                time.sleep(_GATHER)
            data = os.read(self._out.fileno(), 1 << 16)
            if not data:
                raise _Broken(CRASHED)
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(lines)
        self._awaited -= 1
        line = self._lines.popleft()
        if line != self._last[0]:  # most images are of one size and kind, and what is said of them is kept once
            try:
                answer = json.loads(line)
            except ValueError as error:
                raise _Broken(CRASHED) from error
            self._last = (line, answer if isinstance(answer, dict) else {"error": CRASHED})
        return self._last[1]

    def kill(self) -> None:
        """End the process at once; a `receive` under way in another thread fails."""
        self._process.kill()

    def close(self) -> None:
        """End the process and free what belongs to it."""
        self._process.kill()
        self._selector.close()
        self._in.close()
        self._out.close()
        self._process.wait()


class DecodePool:
    """Runs child jobs on `workers` limited children; a context manager that ends them all.

    Args:
        workers: number of children, at least 1.
        limits: what each may use.
        command: how to start a child; its memory limit in MiB is appended.
        batch: how many jobs a child gets at a time; the answers of a batch come together.
    """

    def __init__(
        self,
        workers: int = 2,
        limits: ChildLimits | None = None,
        command: tuple[str, ...] = (sys.executable, "-m", "engine.images.child"),
        batch: int = BATCH,
    ) -> None:
        self._workers = max(1, workers)
        self._limits = limits or ChildLimits()
        self._command = command
        self._batch = batch
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(self._workers):
            self._idle.put(None)
        self._children: set[_Child] = set()
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        self._breakdowns = 0
        self._closed = False

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the children at once; what they are decoding is given up."""
        self._closed = True
        for child in tuple(self._children):
            child.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in tuple(self._children):
            self._end(child)

    @property
    def ahead(self) -> int:
        """How many jobs `run` draws at most beyond the one whose answer it yields."""
        return AHEAD * self._workers * self._batch

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Answer]]:
        """Yield each job with its answer, in order; jobs are drawn only a few batches ahead.

        An answer has "error" where the file is refused, also when it crashed the child or took too long.

        Raises:
            ImportRefused: BREAKDOWNS files broke the decoder: a hostile source, or a machine out of memory.
        """
        source = iter(jobs)
        waiting: deque[tuple[list[Job], Future[list[Answer]]]] = deque()
        while True:
            while len(waiting) < AHEAD * self._workers and (batch := list(islice(source, self._batch))):
                waiting.append((batch, self._threads.submit(self._serve, batch)))
            if not waiting:
                return
            batch, future = waiting.popleft()
            yield from zip(batch, future.result(), strict=True)

    def _serve(self, batch: list[Job]) -> list[Answer]:
        answers: list[Answer] = []
        child = self._idle.get()
        try:
            while len(answers) < len(batch):
                try:
                    child = child or self._start()
                    child.send(batch[len(answers) :])
                    while len(answers) < len(batch):
                        answers.append(child.receive())
                except _Broken as broken:
                    self._end(child)
                    child = None
                    answers.append({"error": broken.args[0]})
                    self._count_breakdown()
        finally:
            self._idle.put(child)
        return answers

    def _start(self) -> _Child:
        if self._closed:
            raise CancelledError
        child = _Child(self._command, self._limits)
        self._children.add(child)
        if self._closed:  # closed while it started: nobody else may have seen it
            child.kill()
        return child

    def _end(self, child: _Child | None) -> None:
        if child is not None:
            self._children.discard(child)
            child.close()

    def _count_breakdown(self) -> None:
        self._breakdowns += 1
        if self._breakdowns >= BREAKDOWNS:
            raise ImportRefused(
                "Too many files broke the decoder",
                value=self._breakdowns,
                way_out="Remove the damaged files, or give the machine more memory, and import again.",
            )
