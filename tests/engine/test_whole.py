"""A file that is replaced again and again is read as it was at one moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine import whole

ROUNDS = 800


@contextmanager
def replaced(path: Path, versions: list[Path]) -> Iterator[None]:
    """Put one version after another in the place of `path`, as fast as it goes."""
    ended, contents = threading.Event(), [version.read_bytes() for version in versions]

    def replace() -> None:
        aside = path.with_name("aside")
        while not ended.is_set():
            for content in contents:
                aside.write_bytes(content)
                os.replace(aside, path)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_table_is_of_one_version(tmp_path: Path) -> None:
    versions = []
    for rows in (3, 40_000):
        versions.append(tmp_path / f"{rows}.parquet")
        ids = np.arange(rows)
        columns = {"image_id": ids, "x": ids * 0.5, "y": ids * 0.25, **({} if rows > 3 else {"more": ids})}
        pd.DataFrame(columns).to_parquet(versions[-1])
    path = tmp_path / "map.parquet"
    os.link(versions[0], path)
    with replaced(path, versions):
        for _ in range(ROUNDS):
            frame = whole.table(path, ["image_id", "y"])
            assert len(frame) in {3, 40_000}
            assert (frame["y"] == frame["image_id"] * 0.25).all()


def test_mapped_array_is_of_one_version(tmp_path: Path) -> None:
    versions = []
    for rows, kind in ((5, np.float16), (30_000, np.float64)):
        versions.append(tmp_path / f"{rows}.npy")
        np.save(versions[-1], np.full((rows, 4), rows, kind))
    path = tmp_path / "features.npy"
    os.link(versions[0], path)
    with replaced(path, versions):
        for _ in range(ROUNDS):
            array = whole.mapped(path)
            assert (array.shape, str(array.dtype)) in {((5, 4), "float16"), ((30_000, 4), "float64")}
            assert (array == len(array)).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_mapped_array_is_what_was_saved_and_cannot_be_written(tmp_path: Path, order: str) -> None:
    saved = np.asarray(np.arange(12.0).reshape(3, 4), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", saved)
    array = whole.mapped(tmp_path / "a.npy")
    np.testing.assert_array_equal(array, saved)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1.0
    np.save(tmp_path / "none.npy", np.zeros((0, 4), np.float16))
    assert whole.mapped(tmp_path / "none.npy").shape == (0, 4)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:40], lambda data: data[:-8], lambda data: b"not numpy" * 9, lambda data: b""],
)
def test_array_that_is_cut_off_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    np.save(tmp_path / "a.npy", np.arange(100.0))
    (tmp_path / "a.npy").write_bytes(damage((tmp_path / "a.npy").read_bytes()))
    with pytest.raises(ValueError, match=r".+"):
        whole.mapped(tmp_path / "a.npy")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        whole.mapped(tmp_path / "objects.npy")
