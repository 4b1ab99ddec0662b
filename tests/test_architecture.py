"""The rules of direction between packages, the style and the types hold."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["lint-imports", "--config", "pyproject.toml", "--no-cache"],
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--check", "--no-cache", "."],
        ["mypy", "--no-error-summary"],
    ],
    ids=["import-linter", "ruff", "format", "mypy"],
)
def test_checker_is_clean(command: list[str]) -> None:
    run = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_top_level_holds_only_what_the_layout_names() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        "LICENSE", "README.md", "app", "data", "engine", "pyproject.toml", "tests",
    }  # fmt: skip


def test_streamlit_settings_file_says_what_the_command_sets() -> None:
    from app.server import gate, streamlit_app

    found = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    flat = {}
    for section, values in found.items():
        for name, value in values.items():
            if isinstance(value, dict):
                flat |= {f"{section}.{name}.{inner}": one for inner, one in value.items()}
            else:
                flat[f"{section}.{name}"] = value
    shipped = streamlit_app.settings("127.0.0.1", 8501, gate.LOOPBACK)
    del shipped["server.port"]
    assert flat == shipped
