"""The pictures that `starling bench` draws: the article's animation, and the decisions on two moons."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from torch import Tensor
from typer.testing import CliRunner

from app.benchmarks import article_gif, moons_picture
from app.cli.main import app
from engine.benchmarks import data
from engine.benchmarks.spec import Context
from engine.benchmarks.two_moons import DATA, METHODS, rows
from engine.exporters.pictures.scene import CLASS_COLOURS
from engine.training.evaluate import Prediction
from tests.engine.benchmarks.conftest import small_set


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def read_split(name: str, root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
        return small_set(1500, 1, 28, seed=0)

    monkeypatch.setattr(data, "read_split", read_split)
    data.training.cache_clear()
    yield
    data.training.cache_clear()


def said(classes: list[int], seed: int) -> Prediction:
    """A network sure of these classes of ten, with features drawn by the seed."""
    logits = 20.0 * torch.nn.functional.one_hot(torch.tensor(classes), 10).float()
    features = torch.randn(len(classes), 5, generator=torch.Generator().manual_seed(seed))
    return Prediction(logits[:0], features, logits)


def test_the_points_that_turn_right_are_ringed_and_those_that_turn_wrong_are_not() -> None:
    truth = np.arange(10)
    first, last = list(range(10)), list(range(10))
    first[3], first[4], last[4], last[5] = 8, 9, 8, 9  # 3 turns right, 4 stays wrong, 5 turns wrong
    scene = article_gif.two_epochs([said(first, 0), said(last, 1)], truth, (1, 4))
    assert scene.ringed is not None
    assert np.flatnonzero(scene.ringed).tolist() == [3]
    assert scene.pseudo.tolist() == [first, last]
    assert (scene.epochs, scene.xy.shape) == ((1, 4), (2, 10, 2))
    assert "80.0 % right, then 80.0 %; 1 improved" in scene.title


@pytest.mark.usefixtures("small_mnist")
def test_one_command_writes_the_animation(tmp_path: Path) -> None:
    out = tmp_path / "article.gif"
    sets = ["points=40", "epochs=2", "threads=1"]
    arguments = ["bench", "article-gif", "--data", str(tmp_path), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, *(part for pair in sets for part in ("--set", pair))])
    assert result.exit_code == 0, result.output
    assert "right, then" in result.output
    with Image.open(out) as image:
        assert image.format == "GIF"
        assert image.n_frames == 22  # type: ignore[attr-defined]
        assert image.info["duration"] >= 2000  # time to look at the first epoch


def test_a_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "two-moons-picture", "--out", str(tmp_path / "moons.gif")])
    assert result.exit_code != 0
    assert ".png" in str(result.exception)


def test_up_in_the_plane_is_up_on_the_picture_and_grid_and_points_agree() -> None:
    points = moons_picture.grid((6, 4))
    assert points[0, 1] > points[-1, 1]
    assert points[0, 0] < points[1, 0]
    assert torch.tensor(moons_picture.pixels(points.numpy(), (6, 4))).allclose(
        torch.tensor([(column + 0.5, row + 0.5) for row in range(4) for column in range(6)]), atol=1e-4
    )


def test_the_ground_has_the_colour_of_the_decided_class_and_is_white_where_nothing_is_decided() -> None:
    first, second, nothing = moons_picture.ground(np.array([[0.0, 1.0, 0.5]], np.float32))[0]
    for found, colour in ((first, CLASS_COLOURS[0]), (second, CLASS_COLOURS[1])):
        pure = np.array(ImageColor.getrgb(colour))
        assert np.abs(found - (255 + (pure - 255) * moons_picture.PALE)).max() <= 1
    assert nothing.tolist() == [255, 255, 255]


def test_a_panel_draws_what_its_algorithm_decides() -> None:
    torch.set_num_threads(1)
    row = next(row for row in rows(Context(Path(), torch.device("cpu"))) if row.label == "40 labels: labels alone")
    short = dataclasses.replace(row, train={**row.train, "epochs": 2})
    accuracy, image = moons_picture.panel(short, 0, (168, 108))
    assert accuracy > 0.8
    colours = {tuple(pixel) for pixel in np.asarray(image)[[5, -5], [84, 84]].tolist()}  # above and below the moons
    upper, lower = np.asarray(image)[5, 84].astype(int), np.asarray(image)[-5, 84].astype(int)
    blue, orange = (np.array(ImageColor.getrgb(colour)) for colour in CLASS_COLOURS[:2])
    assert len(colours) == 2
    assert np.abs(upper - blue).sum() < np.abs(upper - orange).sum()
    assert np.abs(lower - orange).sum() < np.abs(lower - blue).sum()


def test_there_is_a_panel_for_every_method_on_every_choice_of_labels() -> None:
    labels = [row.label for row in rows(Context(Path(), torch.device("cpu")))]
    assert labels == [f"{choice}: {method}" for choice in DATA for method in METHODS]
