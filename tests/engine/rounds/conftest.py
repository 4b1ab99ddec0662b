import hashlib
from pathlib import Path

import pytest

from engine.records.imports import FoundImage
from engine.rounds.worker import material
from engine.store import Store
from tests.engine.rounds.worker.small_session import noise_of_two_brightnesses


def found(name: str, label: str | None) -> FoundImage:
    sha = hashlib.sha256(name.encode()).hexdigest()
    return FoundImage(name, Path(name), sha, "PNG", 8, 8, 1, 100, label)


@pytest.fixture
def make_store(tmp_path):
    """Return a function that opens a store with images by class: {"cat": 3, None: 5}."""
    opened = []

    def make(counts: dict[str | None, int], classes: tuple[str, ...] | None = None) -> Store:
        store = Store.create(f"sqlite:///{tmp_path / 'project.db'}", "test")
        opened.append(store)
        images = [found(f"{label}-{i}.png", label) for label, n in counts.items() for i in range(n)]
        names = classes if classes is not None else tuple(label for label in counts if label is not None)
        store.add_import("test", "test", images, names, [])
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A round's folder whose images are noise of two brightnesses, without store or image files."""
    for name in ("checkpoints", "control"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(material, "load", noise_of_two_brightnesses)
    return tmp_path
