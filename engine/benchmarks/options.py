"""What the person asks of a benchmark, and where its data lie."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine import __version__
from engine.benchmarks import results
from engine.errors import ConfigError
from engine.training import device as devices

DATA_VARIABLE = "STARLING_DATA"
DEFAULT_DATA = Path("data") / "sets"


@dataclass(frozen=True)
class Options:
    """What the command was given; see its help. Empty `seeds` and `minutes` None take the benchmark's own."""

    name: str
    data: Path | None = None
    seeds: str = ""
    device: str = "auto"
    out: Path | None = None
    set: tuple[str, ...] = ()
    minutes: float | None = None
    resume: bool = False
    command: str = ""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of "0,1,5", or 0, 1, … of a number of them such as "5".

    Raises:
        ConfigError: neither, a negative seed, or one twice.
    """
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    if numbers and "," not in text:
        numbers = list(range(numbers[0]))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ConfigError("These are no seeds", value=text, way_out="Give a number of seeds, 5, or a list, 0,1,2.")
    return tuple(numbers)


def data_root(given: Path | None) -> Path:
    """Return where the data sets lie: the folder given, else the environment's, else the default."""
    return given or Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def stored(options: Options) -> list[results.Run]:
    """Return the runs to go on from."""
    if options.out is None or not options.out.exists():
        return []
    if not options.resume:
        raise ConfigError(
            "This file is there already",
            value=options.out,
            way_out="Give --resume to keep its runs and go on, or another --out.",
        )
    return results.load(options.out, options.name)


def origin(options: Options, device: torch.device, minutes: float | None) -> dict[str, Any]:
    """Return how the results came to be, for their file: command, version, machine, minutes."""
    return {
        "command": options.command,
        "code": _code_version(),
        "device": devices.describe(device),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "minutes": minutes,
    }


def _code_version() -> str:
    """Return the version, with git's name of the commit where the code lies in a repository."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return __version__
    commit = done.stdout.strip() if done.returncode == 0 else ""
    return f"{__version__} ({commit})" if commit else __version__


def progress(line: str) -> None:
    """Write a line to the standard error output at once."""
    print(line, file=sys.stderr, flush=True)
