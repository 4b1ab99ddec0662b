"""A project of scikit-learn's digits or of other pictures, made without the importers, and its engine thread."""

import hashlib
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from engine.records.imports import FoundImage
from engine.rounds.folder import files
from engine.rounds.folder.events import read_events
from engine.rounds.supervisor import process, thread
from engine.rounds.supervisor.thread import EngineThread
from engine.store import Store

IMAGES = 400
LABELED = 100


class RoundBench:
    """A project folder with its store, and what the round tests do with them."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.store = store
        self.engines: list[EngineThread] = []

    def engine(self) -> EngineThread:
        engine = EngineThread(self.store, self.root)
        self.engines.append(engine)
        assert engine.start()
        return engine

    def queue(self, algorithm: str = "pseudo_label", *, config: dict | None = None, **train: object) -> int:
        settings = {"device": "cpu", "threads": 1, "epochs": 3, "steps_per_epoch": 12, "batch_size": 32}
        whole = {"algorithm": config or {}, "train": settings | train}
        number = self.store.queue_round(algorithm, whole).number
        for engine in self.engines:
            engine.wake()
        return number

    def folder(self, number: int) -> Path:
        return self.root / "rounds" / f"{number:04d}"

    def wait(self, number: int, *states: str, seconds: float = 120):
        deadline = time.monotonic() + seconds
        while (record := self.store.round(number)).state not in states:
            assert record.active or record.state == "finished", (record, self.log(number))
            assert time.monotonic() < deadline, (record, self.log(number))
            time.sleep(0.05)
        return record

    def wait_for_epoch(self, number: int, epoch: int, seconds: float = 120) -> None:
        """Wait until the algorithm's checkpoint after this epoch is on disk and recorded."""
        deadline = time.monotonic() + seconds
        while not any(
            (event["phase"], event["epoch"]) == ("main", epoch)
            for event in read_events(self.folder(number) / files.EVENTS, {"checkpoint"})
        ):
            assert time.monotonic() < deadline, (self.store.round(number), self.log(number))
            time.sleep(0.01)

    def log(self, number: int) -> str:
        path = self.folder(number) / "worker.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def workers(self) -> list[int]:
        """Ids of the living processes that work on this project."""
        found = []
        for one in psutil.process_iter(["cmdline", "status"]):
            line = " ".join(one.info["cmdline"] or [])
            if str(self.root) in line and one.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
        return found

    def close(self) -> None:
        for engine in self.engines:
            engine.stop()
        for pid in self.workers():
            worker = process.Worker(pid, psutil.Process(pid).create_time())
            process.kill_group(worker, self.root)
            process.reap(worker)
        self.store.close()


def make_project(root: Path, images: int = IMAGES, labeled: int = LABELED) -> Store:
    """Make a project of digits; the first `labeled` carry their label."""
    pixels, digits = load_digits(return_X_y=True)
    grey = (pixels.reshape(-1, 8, 8) * 255 / 16).round().astype(np.uint8)
    return write_project(root, [(grey[k], str(digits[k]) if k < labeled else None) for k in range(images)])


def write_project(root: Path, pictures: Sequence[tuple[np.ndarray, str | None]]) -> Store:
    """Write pictures (H, W) or (H, W, 3) uint8 into a project's folders and import them with their labels."""
    found = []
    for index, (pixels, label) in enumerate(pictures):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        data = buffer.getvalue()
        sha = hashlib.sha256(data).hexdigest()
        target = root / "images" / sha[:2] / sha
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        height, width = pixels.shape[:2]
        channels = 1 if pixels.ndim == 2 else 3
        found.append(FoundImage(f"{index}.png", target, sha, "PNG", width, height, channels, len(data), label))
    store = Store.create(f"sqlite:///{root / 'project.db'}", "pictures")
    store.add_import("pictures", "test", found, sorted({label for _, label in pictures if label is not None}), [])
    return store


@contextmanager
def made_bench(root: Path) -> Iterator[RoundBench]:
    """Give the bench of a project of digits whose engine threads look often; end its processes afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thread, "IDLE_SECONDS", 0.1)
        patch.setattr(thread, "BUSY_SECONDS", 0.05)
        made = RoundBench(root, make_project(root))
        yield made
        made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RoundBench]:
    with made_bench(tmp_path) as made:
        yield made
