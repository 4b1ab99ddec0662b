from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from engine.errors import CheckpointCorrupt
from engine.live.model import ImageSet, Labeled
from engine.live.refit import LiveModel
from engine.live.stored import load_set, save_set


def made(count: int = 80) -> tuple[ImageSet, list[str]]:
    images = ImageSet.of(np.random.default_rng(0).normal(size=(count, 12)).astype(np.float32))
    return images, [hashlib.sha256(bytes([row])).hexdigest() for row in range(count)]


def test_a_stored_set_comes_back_and_fits_the_same(tmp_path: Path) -> None:
    images, hashes = made()
    save_set(tmp_path / "live.npz", images, hashes)
    back, named = load_set(tmp_path / "live.npz")
    assert list(named) == hashes
    assert back.built == images.built
    assert [path.name for path in tmp_path.iterdir()] == ["live.npz"]
    labeled = Labeled(np.arange(8), np.arange(8) % 2, np.zeros(2, np.int64))
    one, other = (LiveModel(each).refit(labeled) for each in (images, back))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    more = np.random.default_rng(1).normal(size=(3, 12)).astype(np.float32)
    np.testing.assert_array_equal(images.with_added(more).u, back.with_added(more).u)


@pytest.mark.parametrize("damage", ["cut short", "one bit", "emptied", "a part missing"])
def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path, damage: str) -> None:
    images, hashes = made()
    path = tmp_path / "live.npz"
    save_set(path, images, hashes)
    content = bytearray(path.read_bytes())
    if damage == "a part missing":
        with np.load(path) as stored:
            np.savez(path, **{name: stored[name] for name in stored.files if name != "near"})
    else:
        content[len(content) // 2] ^= 4
        path.write_bytes({"cut short": content[:-500], "one bit": content, "emptied": b""}[damage])
    with pytest.raises(CheckpointCorrupt, match="made anew"):
        load_set(path)


def test_another_version_is_refused_and_a_missing_file_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        load_set(tmp_path / "live.npz")
    monkeypatch.setattr("engine.live.stored.VERSION", 99)
    save_set(tmp_path / "live.npz", *made())
    monkeypatch.undo()
    with pytest.raises(CheckpointCorrupt, match="version 99"):
        load_set(tmp_path / "live.npz")
