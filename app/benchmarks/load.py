"""`starling bench load`: many people at once, by the requests that their browsers send.

The app runs in a process of its own on the digits that come with scikit-learn. Each client is signed in as a browser
is, keeps its connection, and goes through images of its own: the picture, then after a pause its decision, and the
queue anew after each 20. What a decision takes is the time until its answer, which comes after the commit. CPU is that
of the app's process, without the round's, which has one of its own.

Decisions alone are sent last, without pictures and queue, so that their CPU can be told from the others'. What the app
takes while nobody asks for anything is taken off both.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import psutil

from app.benchmarks.map import check_counts, starling
from app.benchmarks.map_browser import start_app
from app.benchmarks.memory import most_memory
from app.benchmarks.review import spread
from app.server.workbench import Workbench
from engine.errors import ConfigError
from engine.project.labels import new_uid
from engine.project.opened import Project

Say = Callable[[str], None]
Figures = dict[str, Any]
QUEUE_EVERY, QUEUE = 20, 40
"""After so many decisions a browser asks for so many images."""
ROUND_WAIT = 120.0
"""Seconds that a round may take to its first step."""


@dataclass(frozen=True)
class LoadSettings:
    """Settings of the benchmark, each by `--set name=value`.

    Attributes:
        clients: how many there are at once, one number or several with commas.
        seconds: how long each measurement takes.
        pace: seconds from one decision of a client to the next.
        rounds: "without", "with" or "both": whether a round trains beside.
        project: a project to use, whose labels are written over; the digits in a temporary folder when None.

    Raises:
        ConfigError: a number is below 0 or none, or `rounds` is another word.
    """

    clients: str = "30,100"
    seconds: float = 60.0
    pace: float = 2.0
    rounds: str = "both"
    project: Path | None = None

    def __post_init__(self) -> None:
        check_counts(self)
        if not all(one.strip().isdecimal() and int(one) > 0 for one in self.clients.split(",")):
            raise ConfigError("The clients must be whole numbers from 1 on", value=self.clients, way_out="Give 30,100.")
        if self.seconds <= 0 or self.pace < 0:
            raise ConfigError("A time must be above 0", value=f"seconds={self.seconds}, pace={self.pace}")
        if self.rounds not in ("without", "with", "both"):
            raise ConfigError(
                "There is no such choice of rounds", value=self.rounds, way_out="Give without, with or both."
            )


@dataclass
class Seen:
    """What clients saw: milliseconds by kind of request, statuses of decisions, and what went wrong by its words."""

    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


def run(data: Path, settings: LoadSettings, out: Path | None, say: Say) -> Figures:
    """Measure everything and return the figures.

    Args:
        data: not used; the digits come with scikit-learn.
        settings: see there.
        out: a JSON file.
        say: called with each result in words.
    """
    figures: Figures = {
        "settings": {**asdict(settings), "project": str(settings.project or "")},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    with tempfile.TemporaryDirectory() as folder:
        root = settings.project or Path(folder) / "digits"
        if settings.project is None:
            starling("import", root, "--torchvision", "digits", "--labels", 200)
        for rounds in ("without", "with"):
            if settings.rounds not in (rounds, "both"):
                continue
            for clients in map(int, settings.clients.split(",")):
                with a_round(root, rounds == "with"):
                    found = measured(root, clients, settings, Path(folder))
                figures[f"{clients} clients, {rounds} a round"] = found
                say(f"{clients} clients, {rounds} a round: {json.dumps(found)}")
    if out is not None:
        out.write_text(json.dumps(figures, indent=1))
    return figures


def measured(root: Path, clients: int, settings: LoadSettings, folder: Path) -> Figures:
    """Start the app on a project, send it what so many clients send, and return the figures."""
    app, url = start_app(root, folder / "app.log")
    people: list[Client] = []
    try:
        process = psutil.Process(app.pid)
        for number in range(clients):
            people.append(Client(url, root, number, clients))
        together(people, settings.pace, 2 * settings.pace, whole=True)  # what is made once
        with most_memory(process) as memory:
            whole, cpu, seconds = on_the_clock(process, people, settings, whole=True)
        alone, alone_cpu, alone_seconds = on_the_clock(process, people, settings, whole=False)
        _, idle_cpu, idle_seconds = on_the_clock(
            process, [], replace(settings, seconds=settings.seconds / 6), whole=False
        )
    finally:
        for one in people:
            one.close()
        app.terminate()
        app.wait(30)
    idle = idle_cpu / idle_seconds

    def each(cpu: float, seconds: float, seen: Seen) -> float:
        return round(1000 * (cpu - idle * seconds) / max(1, len(seen.taken["decision"])), 2)

    return {
        **{f"{kind} ms": spread(whole.taken[kind]) for kind in ("decision", "image", "queue") if whole.taken[kind]},
        "decisions": len(whole.taken["decision"]),
        "decisions a second": round(len(whole.taken["decision"]) / seconds, 1),
        "answers": dict(whole.statuses + alone.statuses),
        "errors": dict(whole.errors + alone.errors),
        "CPU ms a decision, with its image and queue": each(cpu, seconds, whole),
        "CPU ms a decision alone": each(alone_cpu, alone_seconds, alone),
        "CPU ms a second without requests": round(1000 * idle, 1),
        "app MB": memory["of it the process MB"],
    }


def on_the_clock(
    process: psutil.Process, people: Sequence[Client], settings: LoadSettings, *, whole: bool
) -> tuple[Seen, float, float]:
    """Let people work; return what they saw, the CPU seconds of the process, and the seconds that passed."""
    before, began = process.cpu_times(), time.monotonic()
    seen = together(people, settings.pace, settings.seconds, whole=whole)
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return seen, cpu, time.monotonic() - began


def together(people: Sequence[Client], pace: float, seconds: float, *, whole: bool) -> Seen:
    """Let all people work for so many seconds; return what they saw, all in one."""
    until, told = time.monotonic() + seconds, [Seen() for _ in people]
    threads = [
        threading.Thread(target=one.work, args=(seen, pace, until, whole))
        for one, seen in zip(people, told, strict=True)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    for thread in threads:
        thread.join()
    seen = Seen()
    for one in told:
        seen.statuses += one.statuses
        seen.errors += one.errors
        for kind, taken in one.taken.items():
            seen.taken[kind] += taken
    return seen


class Client:
    """One person's browser: signed in, one connection, images of its own.

    Args:
        url: that the app printed, with its token.
        root: of the project.
        number, of: which of how many clients; each has its own images.
    """

    def __init__(self, url: str, root: Path, number: int, of: int) -> None:
        parts = urlsplit(url)
        self._name, self._actor = parts.netloc, f"client {number}"
        self._rng = np.random.default_rng(number)
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        with Project.open(root, read_only=True) as project:
            table = project.store.label_table()
            self._classes = project.store.classes()
            mine = slice(number, None, of)
            self._images = list(zip(table.image_ids[mine].tolist(), table.version[mine].tolist(), strict=True))
            self._base = f"/starling/p/{Workbench.key_of(project)}"
        self._connection.request("GET", f"/?token={parse_qs(parts.query)['token'][0]}")
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("set-cookie") or "").partition(";")[0]

    def work(self, seen: Seen, pace: float, until: float, whole: bool) -> None:
        """Answer one image after the other until the time is over; `whole`: with pictures and queue."""
        time.sleep(self._rng.uniform(0, pace))
        count = 0
        while (now := time.monotonic()) < until:
            image_id, version = self._images.pop(0)
            if whole and count % QUEUE_EVERY == 0:
                self._ask(seen, "queue", "GET", f"/queue?limit={QUEUE}")
            if whole:
                self._ask(seen, "image", "GET", f"/image/{image_id}")
            decision = {
                "uid": new_uid(), "image_id": image_id, "base_version": version, "action": "label", "seconds": pace,
                "label": self._classes[self._rng.integers(len(self._classes))], "actor": self._actor,
            }  # fmt: skip
            said = self._ask(seen, "decision", "POST", "/decisions", {"decisions": [decision]})
            for ack in (said or {}).get("acks", ()):
                seen.statuses[ack["status"]] += 1
                version = ack["state"]["version"] if ack["state"] else version
            self._images.append((image_id, version))
            count += 1
            time.sleep(max(0.0, pace * self._rng.uniform(0.5, 1.5) - (time.monotonic() - now)))

    def _answer(
        self, method: str, path: str, text: str | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask, and once more on a new connection where the server has closed the old one meanwhile, as browsers do."""
        for fresh in (False, True):
            try:
                self._connection.request(method, path, text, headers)
                answer = self._connection.getresponse()
                return answer, answer.read()
            except (ConnectionError, http.client.RemoteDisconnected):
                self._connection.close()
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, seen: Seen, kind: str, method: str, path: str, body: object = None) -> Any:
        headers = {"Cookie": self._cookie, "Origin": f"http://{self._name}", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        began = time.perf_counter()
        try:
            answer, content = self._answer(method, self._base + path, text, headers)
        except (OSError, http.client.HTTPException) as error:
            seen.errors[f"{kind}: {type(error).__name__}"] += 1
            self._connection.close()
            return None
        if answer.status != 200:
            seen.errors[f"{kind}: {answer.status}"] += 1
            return None
        seen.taken[kind].append(1000 * (time.perf_counter() - began))
        return json.loads(content) if "json" in (answer.getheader("content-type") or "") else None


@contextmanager
def a_round(root: Path, wanted: bool) -> Iterator[None]:
    """Train a round beside, in the worker's own process, from its first step on until the block ends.

    Raises:
        RuntimeError: it did not begin.
    """
    if not wanted:
        yield
        return
    from engine.rounds.supervisor.thread import EngineThread

    with Project.open(root) as project:
        engine = EngineThread(project.store, root, compare=project.measured.compare)
        record = project.training.queue("supervised", {}, {"epochs": 10_000, "device": "cpu"})
        engine.start()
        engine.wake()
        try:
            until = time.monotonic() + ROUND_WAIT
            while not project.store.round(record.number).progress.get("step"):
                if time.monotonic() > until or not project.store.round(record.number).active:
                    raise RuntimeError(f"the round did not begin: {project.store.round(record.number)}")
                time.sleep(0.2)
            yield
        finally:
            project.training.cancel(record.number)
            until = time.monotonic() + ROUND_WAIT
            while project.store.round(record.number).active and time.monotonic() < until:
                time.sleep(0.2)
            engine.stop()
