from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.records.labels import Decision
from engine.store import Store
from tests.engine.store.store_samples import found


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'project.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Eight images: 1 is a cat and 2 a dog by import, the rest unlabeled; three classes."""
    with Store.create(url, "demo") as opened:
        labels = ["cat", "dog"] + [None] * 6
        images = [found(f"train/{number}.png", label) for number, label in enumerate(labels)]
        opened.add_import("folder", "class tree", images, ["cat", "dog", "fox"], [])
        yield opened


@pytest.fixture
def decide(store: Store) -> Callable[..., Decision]:
    """Make a decision on the version now in force, unless told otherwise."""

    def make(uid: str, image_id: int, action: str = "label", label: str | None = "cat", **more: object) -> Decision:
        versions = {state.image_id: state.version for state in store.states([image_id])}
        base = more.pop("base_version", versions.get(image_id, 0))
        return Decision(uid, image_id, base, action, label, **more)  # type: ignore[arg-type]

    return make
