"""Commands that train nothing load nothing of what trains: they start at once and fit a small machine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.project.workspace import Workspace

HEAVY = {"torch", "torchvision", "timm", "sklearn", "pandas", "scipy.stats", "streamlit", "plotly"}


def loaded_by(*arguments: object) -> set[str]:
    """Return the modules that a process has loaded at the end of a command."""
    code = (
        "import sys\nfrom app.cli.main import app\n"
        f"app({[str(one) for one in arguments]!r}, standalone_mode=False)\n"
        "print('loaded', *sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_an_import_loads_nothing_that_trains(tmp_path: Path) -> None:
    for name, shade in (("cat", 40), ("dog", 90)):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), shade, np.uint8)).save(tmp_path / "set" / name / "a.png")
    assert loaded_by("import", tmp_path / "pets", tmp_path / "set") & HEAVY == set()
    with contextlib.closing(Workspace.open(tmp_path / "pets")) as opened:
        assert [item.name for item in opened.items()] == ["cat/a.png", "dog/a.png"]


def test_the_help_loads_neither_the_database_nor_statistics() -> None:
    assert loaded_by("--help") & {*HEAVY, "scipy", "sqlalchemy", "pyarrow", "PIL"} == set()
