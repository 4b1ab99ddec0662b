"""What tools read of an export that have an environment of their own: a script here is run by their Python."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.benchmarks.judges.export import Export, Said, only
from engine.errors import ConfigError


def python_with(module: str, pythons: Sequence[Path]) -> Path | None:
    """Return the first Python that can import a module, this one before those given; None where none can.

    Raises:
        ConfigError: one of those given is no Python.
    """
    return next((python for python in (Path(sys.executable), *pythons) if _has(python, module)), None)


@functools.cache
def _has(python: Path, module: str) -> bool:
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        done = subprocess.run([python, "-c", look], capture_output=True, check=False)
    except OSError as error:
        raise ConfigError("This is no Python", value=str(python), way_out="Give the path of its file.") from error
    return done.returncode == 0


def asked(python: Path, script: str, *arguments: str) -> Any:
    """Return what a script of this folder prints as JSON on its last line, run in a home of its own.

    Raises:
        ValueError: it failed; the last line of what it said.
    """
    with tempfile.TemporaryDirectory() as home:
        about = {"HOME": home, "PATH": os.environ["PATH"], "YOLO_CONFIG_DIR": home, "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [python, Path(__file__).with_name(script), *arguments],
            capture_output=True, text=True, check=False, env=about,
        )  # fmt: skip
    if done.returncode:
        raise ValueError((done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def datumaro(form: str) -> Callable[[Export, Path], Said]:
    """Return what has Datumaro read a format that it calls so."""

    def read(export: Export, python: Path) -> Said:
        found = asked(python, "read_by_datumaro.py", str(export.folder), form)
        return {sha: (only(labels), split) for sha, (labels, split) in found.items()}

    return read


def datumaro_class_folders(export: Export, python: Path) -> Said:
    """Return what Datumaro reads of class folders; a folder that is called as a split is none to it."""
    found = asked(python, "read_by_datumaro.py", str(export.folder), "imagenet")
    return {
        sha: (None if (folder := only(labels)) is None else export.class_of[folder], "")
        for sha, (labels, _) in found.items()
    }


def fiftyone(export: Export, python: Path) -> Said:
    """Return what FiftyOne's importer of image classification reads."""
    found = asked(python, "read_by_fiftyone.py", str(export.folder))
    return {sha: (label, "") for sha, (label, _) in found.items()}


def label_studio(export: Export, python: Path) -> Said:
    """Return the choices of annotations that Label Studio's converter reads, its interface having checked each."""
    found = asked(python, "read_by_label_studio.py", str(export.folder))
    return {sha: (label, "") for sha, label in found.items()}


def ultralytics(export: Export, python: Path) -> Said:
    """Return what Ultralytics reads as a data set to classify."""
    found = asked(python, "read_by_ultralytics.py", str(export.folder))
    return {sha: (export.class_of[folder], split) for sha, (folder, split) in found.items()}
