"""What a round wrote beside its predictions, when it can not be read: told in words, with the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import ProjectCorrupt
from engine.files import read_json
from engine.rounds.folder import files

DAMAGE = (OSError, EOFError, ValueError, KeyError, IndexError, pa.ArrowException)
"""What reading an array or a table of a damaged file raises."""
WAY_OUT = "Train another round; predictions are not affected."


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell damage met in the block as ProjectCorrupt; a file that is missing is none, it may not be written yet.

    Raises:
        ProjectCorrupt: the file, or a part of it, can not be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise corrupt("A file that a round wrote can not be read", path) from error


def check_rows(folder: Path, path: Path, rows: int) -> None:
    """Check that a file has one row for each of the round's predictions, where these are written.

    Raises:
        ProjectCorrupt: it has more or fewer.
    """
    final = folder / files.FINAL
    try:
        if not final.is_file():
            final = folder / read_json(folder / files.REPORT)["predictions"]["file"]  # a live round's
        with told(final):
            expected = pq.read_metadata(final).num_rows
    except (FileNotFoundError, KeyError, ValueError):
        return
    if rows != expected:
        raise corrupt(f"A file that a round wrote has {rows:,} rows, not one for each of {expected:,} images", path)


def corrupt(cause: str, path: Path) -> ProjectCorrupt:
    """Return the error that says so of a file beside the predictions."""
    return ProjectCorrupt(cause, value=path, way_out=WAY_OUT)
