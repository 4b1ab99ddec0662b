from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.algorithms.taught_start import TaughtStart
from engine.benchmarks import command, data, run
from engine.benchmarks.options import Options
from engine.errors import ConfigError

SMALL = ("labels=2", "epochs=1", "steps_per_epoch=2", "start_steps=2", "batch_size=4", "precision=float32")


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Path]:
    """Six red and six blue noisy photos of 60×40."""
    for place, name in enumerate(("red", "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            noise = np.random.default_rng([place, number]).integers(0, 90, (40, 60, 3), dtype=np.uint8)
            noise[..., 2 * place] += 150
            Image.fromarray(noise).save(tmp_path / "photos" / name / f"{number}.png")
    yield tmp_path / "photos"
    data.photo_features.cache_clear()
    data.photo_arrays.cache_clear()


def test_arrays_are_the_centre_squares_that_features_are_of(photos: Path) -> None:
    arrays, y = data.photo_arrays(photos, "efficientnet_lite0")
    features, same = data.photo_features(photos, "efficientnet_lite0")
    assert arrays.shape == (12, 3, 224, 224)
    assert arrays.dtype == torch.uint8
    assert torch.equal(y, same)
    torch.testing.assert_close(data.array_features(arrays, "efficientnet_lite0"), features, atol=1e-2, rtol=1e-2)


def test_all_rows_are_measured_on_the_same_photos_and_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, lines, again, started = tmp_path / "tuned.json", [], [], []
    monkeypatch.setattr(run, "TaughtStart", lambda *given: started.append(given[0]) or TaughtStart(*given))
    shown = command.run(Options("tuned", photos, "1", "cpu", out, SMALL), lines.append)
    assert all(f"2 a class, {row}" in shown for row in ("quick", "labels", "fixmatch", "set"))
    net = "efficientnet_lite0"
    assert [(train.start, train.net) for train in started] == [(f"frozen:{net}", f"tuned:{net}")]
    runs = json.loads(out.read_text())["runs"]
    assert runs[0]["value"] == 100
    assert all(run["more"]["CPU s"] > 0 for run in runs)
    assert all(run["value"] in [100 * right / 8 for right in range(9)] for run in runs)
    command.run(Options("tuned", photos, "1", "cpu", out, SMALL, resume=True), again.append)
    assert all("kept from the file" in line for line in again)
    assert not any("kept" in line for line in lines)


def test_an_unknown_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quick, labels, fixmatch, set"):
        command.run(Options("tuned", tmp_path, set=("methods=guess",)))
