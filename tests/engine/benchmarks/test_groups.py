from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.benchmarks import command, groups
from engine.benchmarks.options import Options


def test_scenes_are_counted_once_or_the_interval_is_false() -> None:
    found = groups.scenes_covered(40, 0)
    assert found["frame by frame: right %"] > 99
    assert found["frame by frame: interval holds %"] == 0
    assert found["one frame a scene: interval holds %"] >= 90
    assert abs(found["one frame a scene: right %"] - 50) < 10


@pytest.mark.parametrize("name", list(groups.CHANGES))
def test_a_changed_frame_is_nearly_the_middle_of_its_photo(name: str) -> None:
    photo = torch.from_numpy(np.linspace(40, 200, 256 * 3).reshape(3, 1, 256).repeat(256, 1).round().astype(np.uint8))
    frame = groups.CHANGES[name](photo, np.random.default_rng(0))
    middle = photo[:, 8:-8, 8:-8]
    assert (frame.shape, frame.dtype) == (middle.shape, torch.uint8)
    assert 0 < (frame.float() - middle.float()).abs().mean() < 16


def test_frames_that_are_found_and_groups_that_join_different_photos() -> None:
    scene = np.array([0, 0, 1, 1, 2, 2])
    assert groups.frames_found(np.array([0, 0, 1, 9, 2, 2]), scene) == pytest.approx(4 / 6)
    assert groups.mixed_groups(np.array([0, 0, 0, 9, 2, 2]), scene) == 1


def test_the_command_tells_of_each_set_and_of_scenes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((90, 70)).save(folder / f"{number}.png")
    sets = ("networks=efficientnet_lite0", "photos=4", "frames=2", "draws=3")
    told = command.run(Options("groups", tmp_path / "photos", "1", "cpu", None, sets, None, False, "test"))
    assert "all at once: frames found %" in told
    assert "one frame a scene: interval holds %" in told
