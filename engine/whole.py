"""Tables and arrays read as they were at one moment, while a job may put the next one in their place.

pyarrow opens a path more than once, and so does numpy to map an array: of a file that is replaced in between, one then
gets the beginning of one version and the rest of another.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a Parquet file, or some columns of it.

    Raises:
        OSError: it cannot be read.
        pyarrow.ArrowException: it is no Parquet file, or has no such column.
    """
    return table_in(path.read_bytes(), columns)


def table_in(content: bytes, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a Parquet file's content, or some columns of it. Raises pyarrow.ArrowException as `table`."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(content), columns=None if columns is None else list(columns))


def mapped(path: Path) -> NDArray[Any]:
    """Return an array of a .npy file, memory-mapped and read-only.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no array, or not the whole of it.
    """
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"a .npy file of version {version}")
        shape, fortran, kind = read_header(file)
        if kind.hasobject:
            raise ValueError("a .npy file of Python objects")
        if 0 in shape:
            return np.zeros(shape, kind)
        return np.memmap(file, kind, "r", file.tell(), shape, "F" if fortran else "C")
