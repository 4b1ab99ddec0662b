"""What is kept of a project's features, read without the library that computes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.images import feature_parts
from engine.images.feature_parts import (
    KnownFeatures,
    PartWriter,
    damaged_parts,
    folder_of,
    known_features,
    mark_used,
    read_part,
)
from engine.nets.net_name import FeatureSource

A, B = FeatureSource("a"), FeatureSource("timm/b.c", whole=True)


def sha(number: int) -> str:
    return f"{number:064x}"


def write(root: Path, source: FeatureSource, numbers: list[int], values: np.ndarray, weights: str = "w") -> Path:
    folder = folder_of(root, source, weights)
    mark_used(folder)
    writer = PartWriter(folder, KnownFeatures([]))
    writer.add([sha(number) for number in numbers], values.astype(np.float16))
    writer.close()
    return folder


def test_rows_come_in_the_order_asked_and_say_whether_they_are_known(tmp_path: Path) -> None:
    write(tmp_path, A, [1, 2], np.array([[1.0, 2.0], [3.0, 4.0]]))
    write(tmp_path, A, [3], np.array([[5.0, 6.0]]))
    found, have = known_features(tmp_path, "frozen:a", [sha(3), sha(9), sha(1)])
    assert found.dtype == np.float32
    assert found.tolist() == [[5, 6], [0, 0], [1, 2]]
    assert have.tolist() == [True, False, True]


def test_joined_networks_need_both_and_have_length_one_each(tmp_path: Path) -> None:
    write(tmp_path, A, [1, 2], np.array([[3.0, 4.0], [0.0, 0.0]]))
    net = f"frozen:a+{B}"
    found, have = known_features(tmp_path, net, [sha(1)])
    assert (found.shape, have.tolist()) == ((1, 0), [False])
    write(tmp_path, B, [1, 3], np.array([[0.0, 2.0, 0.0], [1.0, 1.0, 1.0]]))
    found, have = known_features(tmp_path, net, [sha(1), sha(2), sha(3)])
    np.testing.assert_allclose(found, [[0.6, 0.8, 0, 1, 0], [0] * 5, [0] * 5], atol=1e-6)
    assert have.tolist() == [True, False, False]


def test_features_of_other_weights_are_not_mixed_in_and_those_used_last_count(tmp_path: Path) -> None:
    import os

    old = write(tmp_path, A, [1, 2], np.array([[1.0], [2.0]]), weights="old")
    new = write(tmp_path, A, [1], np.array([[7.0]]), weights="new")
    os.utime(old, (1000, 1000))
    os.utime(new, (2000, 2000))
    found, have = known_features(tmp_path, "frozen:a", [sha(1), sha(2)])
    assert (found.tolist(), have.tolist()) == ([[7], [0]], [True, False])
    mark_used(old)
    assert known_features(tmp_path, "frozen:a", [sha(1), sha(2)])[0].tolist() == [[1], [2]]


def test_names_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, FeatureSource("a", whole=True), [1], np.array([[1.0]]))
    write(tmp_path, FeatureSource("ab"), [1], np.array([[1.0]]))
    assert feature_parts.latest_folder(tmp_path, A) is None


def test_a_damaged_part_is_passed_over_and_left_to_who_can_make_it_again(tmp_path: Path) -> None:
    folder = write(tmp_path, A, [1], np.array([[1.0]]))
    (folder / "part-x.npz").write_bytes(b"PK\x03\x04")
    found, have = known_features(tmp_path, "frozen:a", [sha(1)])
    assert (found.tolist(), have.tolist()) == ([[1]], [True])
    assert (folder / "part-x.npz").exists()


@pytest.mark.parametrize("net", ["auto", "torchvision:resnet18", "frozen:a"])
def test_without_any_there_are_none(tmp_path: Path, net: str) -> None:
    found, have = known_features(tmp_path, net, [sha(1), sha(2)])
    assert found.shape == (2, 0)
    assert not have.any()


def test_reading_them_loads_no_torch() -> None:
    code = "import sys, engine.images.feature_parts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_a_part_that_is_damaged_or_of_other_features_counts_for_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, A, [1], np.array([[1.0, 2.0]]))
    other = write(tmp_path, A, [2], np.array([[3.0, 4.0]]), weights="other")
    (strange,) = other.iterdir()
    (folder / strange.name).write_bytes(strange.read_bytes())
    (whole,) = (path for path in folder.iterdir() if path.name != strange.name)
    assert damaged_parts(tmp_path) == [folder / strange.name]
    known = KnownFeatures([sha(1), sha(2)])
    assert (known.read(folder, clean=True), known.have.tolist()) == (1, [True, False])
    assert list(folder.iterdir()) == [whole]
    data = bytearray(whole.read_bytes())
    data[len(data) // 2] ^= 1
    whole.write_bytes(data)
    assert damaged_parts(tmp_path) == [whole]


def test_a_part_of_before_there_were_digests_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, A, [1], np.array([[1.0]]))
    (path,) = folder.iterdir()
    np.savez(path, shas=np.array([sha(7)], "S64"), features=np.array([[5.0]], np.float16))
    part = read_part(path)
    assert part is not None
    assert (part[0], part[1].tolist()) == ([sha(7)], [[5.0]])
