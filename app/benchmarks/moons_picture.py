"""`starling bench two-moons-picture`: what each algorithm decides everywhere in the plane, as a PNG.

A row of panels for each choice of labels of `starling bench two-moons`, a panel for each of its algorithms: the colour
of the ground is the class decided there, paler where less sure; dots are unlabeled points, circles the labeled ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor, nn

from engine.benchmarks.data import load_problem
from engine.benchmarks.run import build, run_epoch, train_config
from engine.benchmarks.spec import Context, Row
from engine.benchmarks.two_moons import DATA, METHODS, rows
from engine.errors import ConfigError
from engine.exporters.pictures.layout import LIGHT
from engine.exporters.pictures.scene import CLASS_COLOURS
from engine.exporters.pictures.words import font_for
from engine.files import write_atomic
from engine.percent import percent
from engine.training import device as devices
from engine.training.evaluate import predict_logits

Say = Callable[[str], None]
LOW, HIGH = np.array([-1.6, -1.1]), np.array([2.6, 1.6])
"""The part of the plane that is shown: the moons with their noise."""
GAP, HEAD = 12, 34
"""Pixels between panels, and above each for its title."""
PALE = 0.42
"""How much of the class's colour the ground has where the decision is sure."""


@dataclass(frozen=True)
class MoonsSettings:
    """Settings of the command, each by `--set name=value`.

    Attributes:
        seed: of the points, the labels and the runs.
        width: of a panel, in pixels.
        threads: CPU threads.

    Raises:
        ConfigError: a panel is narrower than 120 or wider than 1,200 pixels.
    """

    seed: int = 0
    width: int = 340
    threads: int = 1

    def __post_init__(self) -> None:
        if not 120 <= self.width <= 1200:
            raise ConfigError("The panel's width is out of range", value=self.width, way_out="Use 120 to 1200.")


def run(settings: MoonsSettings, out: Path, say: Say) -> None:
    """Train every row of the benchmark with one seed and draw what it decides.

    Args:
        settings: see there.
        out: the PNG.
        say: called with the accuracy of each row, in words.
    """
    devices.set_threads(settings.threads)
    width = settings.width
    height = round(width * (HIGH[1] - LOW[1]) / (HIGH[0] - LOW[0]))
    size = (len(METHODS) * (width + GAP) + GAP, len(DATA) * (height + HEAD + GAP) + GAP)
    whole = Image.new("RGB", size, LIGHT.ground)
    draw = ImageDraw.Draw(whole)
    for number, row in enumerate(rows(Context(Path(), devices.resolve("cpu")))):
        down, across = divmod(number, len(METHODS))
        left, top = GAP + across * (width + GAP), GAP + down * (height + HEAD + GAP)
        accuracy, picture = panel(row, settings.seed, (width, height))
        title = f"{row.label}, {percent(accuracy, 1)}"
        draw.text((left, top + HEAD - 12), title, fill=LIGHT.ink, font=font_for(title, 16), anchor="ls")
        whole.paste(picture, (left, top + HEAD))
        say(title)
    file = io.BytesIO()
    whole.save(file, "PNG")
    write_atomic(out, lambda aside: aside.write_bytes(file.getvalue()))
    say(f"Written to {out}")


def panel(row: Row, seed: int, size: tuple[int, int]) -> tuple[float, Image.Image]:
    """Train one row; return its accuracy on the test points, 0..1, and the picture of its decisions."""
    device = devices.resolve("cpu")
    problem = load_problem(row.data, Path(), seed)
    pools = problem.pools
    algorithm = build(row, train_config(row, seed, device), pools, device)
    for epoch in range(algorithm.epochs):
        run_epoch(algorithm, epoch)
    model = algorithm.eval_model()
    x, y = problem.test()
    accuracy = float((probability(model, x) > 0.5).eq(y == 1).double().mean())
    width, height = size
    image = Image.fromarray(ground(probability(model, grid(size)).reshape(height, width).numpy()))
    draw = ImageDraw.Draw(image)
    for at in pixels(pools.images[pools.unlabeled_idx].numpy(), size):
        draw.point(tuple(at), fill=LIGHT.faint)
    for at, moon in zip(pixels(pools.images[pools.train_idx].numpy(), size), pools.train_y.tolist(), strict=True):
        circle = (at[0] - 5, at[1] - 5, at[0] + 5, at[1] + 5)
        draw.ellipse(circle, fill=CLASS_COLOURS[moon], outline=LIGHT.ink, width=2)
    return accuracy, image


def probability(model: nn.Module, x: Tensor) -> Tensor:
    """Return the probability (n,) of the second class at points (n, 2)."""
    logits = predict_logits(model, x, torch.arange(len(x)), devices.resolve("cpu"))
    return torch.softmax(logits, 1)[:, 1]


def grid(size: tuple[int, int]) -> Tensor:
    """Return the points (height · width, 2) float32 in the middle of each pixel, row by row from the top."""
    width, height = size
    across = LOW[0] + (HIGH[0] - LOW[0]) * (np.arange(width) + 0.5) / width
    down = HIGH[1] - (HIGH[1] - LOW[1]) * (np.arange(height) + 0.5) / height
    return torch.from_numpy(np.stack(np.meshgrid(across, down), -1).reshape(-1, 2).astype(np.float32))


def pixels(points: NDArray[np.float32], size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return where points (n, 2) lie on the picture, from the left and from the top."""
    share = (points - LOW) / (HIGH - LOW)
    return [(float(a) * size[0], (1 - float(b)) * size[1]) for a, b in share]


def ground(second: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the colours (H, W, 3) of the ground from the probability (H, W) of the second class."""
    colours = np.array([ImageColor.getrgb(colour) for colour in CLASS_COLOURS[:2]], np.float64)
    of_class = colours[(second > 0.5).astype(int)]  # (H, W, 3)
    sure = PALE * np.abs(2 * second - 1)[..., None]
    return np.asarray(np.rint(255 + (of_class - 255) * sure), np.uint8)
