"""What tests of every room share."""

from __future__ import annotations

import os
from importlib import import_module

import pytest

from engine.jobs import child, parent
from tests.ready_project import ReadyProjects


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> ReadyProjects:
    folder = tmp_path_factory.getbasetemp()
    return ReadyProjects((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "ready")


@pytest.fixture
def jobs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps and checks are made in this process, before the call that starts them returns."""
    monkeypatch.setattr(parent, "launch", lambda folder, module: child.run(folder, import_module(module).work))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, so that no worker is left with one at the end."""
    rooms = ("tests/test_architecture.py", "tests/integration/")
    items.sort(key=lambda item: next((k for k, room in enumerate(rooms) if item.nodeid.startswith(room)), len(rooms)))
