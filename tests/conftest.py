"""What tests of every room share."""

from __future__ import annotations

import os

import pytest

from tests.ready_project import ReadyProjects


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> ReadyProjects:
    folder = tmp_path_factory.getbasetemp()
    return ReadyProjects((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "ready")
