"""`python -m engine.benchmarks NAME …`: the benchmarks on a machine with torch, torchvision and scikit-learn alone."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from engine.benchmarks import command
from engine.benchmarks.options import Options, progress
from engine.errors import StarlingError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; an intended error is printed as one sentence and gives 1."""
    parser = argparse.ArgumentParser(prog="python -m engine.benchmarks", description="Run a benchmark.")
    parser.add_argument("name", nargs="?", help="one of --list")
    parser.add_argument("--data", type=Path, help="folder of torchvision's data sets")
    parser.add_argument("--seeds", default="", help="how many, or a list: 0,1,2")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--set", action="extend", nargs="+", default=[], help="settings, for example epochs=3")
    parser.add_argument("--minutes", type=float, help="budget of one run")
    parser.add_argument("--resume", action="store_true", help="keep the runs that --out has")
    parser.add_argument("--list", action="store_true", help="show the names")
    given = parser.parse_args(arguments)
    if given.list or given.name is None:
        print(command.listing())
        return 0
    line = shlex.join(["python", "-m", "engine.benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    options = Options(
        given.name,
        given.data,
        given.seeds,
        given.device,
        given.out,
        tuple(given.set),
        given.minutes,
        given.resume,
        line,
    )
    try:
        print(command.run(options, progress))
    except StarlingError as error:
        print(f"starling: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
