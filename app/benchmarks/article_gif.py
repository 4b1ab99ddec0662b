"""`starling bench article-gif`: the article's animation of Pseudo-Label on MNIST with 1,000 labels, as a GIF.

The same 750 unlabeled images lie on a moving map of the network's features at two epochs, after the labels alone and at
the end, coloured by what the network says; those it had wrong and then has right are ringed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.benchmarks.data import load_problem
from engine.benchmarks.mnist import pseudo_label_row
from engine.benchmarks.run import build, run_epoch, train_config
from engine.errors import ConfigError
from engine.exporters.pictures.gif import gif
from engine.exporters.pictures.scene import Scene
from engine.files import write_atomic
from engine.maps.moving_map import MovingMap, replay
from engine.percent import percent
from engine.training import device as devices
from engine.training.evaluate import Prediction, predict

Say = Callable[[str], None]
CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class GifSettings:
    """Settings of the command, each by `--set name=value`.

    Attributes:
        points: unlabeled images on the map, drawn by the seed.
        epochs: length of the run; the first trains on the labels alone.
        seed: of the labels, the run and the points.
        threads: CPU threads.

    Raises:
        ConfigError: fewer than 10 points, or fewer than 2 epochs.
    """

    points: int = 750
    epochs: int = 4
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if self.points < 10 or self.epochs < 2:
            raise ConfigError(
                "The animation needs 10 points and 2 epochs, or more",
                value=f"points={self.points}, epochs={self.epochs}",
            )


def run(data: Path, settings: GifSettings, out: Path, say: Say) -> None:
    """Train, lay the points out at both epochs and write the GIF.

    Args:
        data: where torchvision's MNIST lies.
        settings: see there.
        out: the GIF.
        say: called with what was reached, in words.
    """
    devices.set_threads(settings.threads)
    device = devices.resolve("cpu")
    row = pseudo_label_row({"epochs": settings.epochs})
    problem = load_problem(row.data, data, settings.seed)
    algorithm = build(row, train_config(row, settings.seed, device), problem.pools, device)
    drawn = torch.Generator().manual_seed(settings.seed)
    pool = problem.pools.unlabeled_idx
    rows = pool[torch.randperm(len(pool), generator=drawn)[: settings.points]]
    seen: list[Prediction] = []
    for epoch in range(algorithm.epochs):
        run_epoch(algorithm, epoch)
        if epoch in (0, algorithm.epochs - 1):
            images = problem.pools.images
            seen.append(predict(algorithm.eval_model(), images, rows[:0], device, features_of=rows))
    truth = load_truth(data)[rows.numpy()]
    scene = two_epochs(seen, truth, (1, algorithm.epochs))
    say(scene.title)
    content = gif(scene, seconds_per_epoch=2.0, tween=20, first_seconds=2.0)
    write_atomic(out, lambda aside: aside.write_bytes(content))
    say(f"Written to {out}")


def load_truth(data: Path) -> NDArray[np.int64]:
    """Return the true class (60000,) of each training image of MNIST."""
    from engine.benchmarks.data import training

    return training("MNIST", data)[1].numpy()


def two_epochs(seen: list[Prediction], truth: NDArray[np.int64], epochs: tuple[int, int]) -> Scene:
    """Return the scene: places, classes and confidences of the points at both epochs, the improved ones ringed.

    Args:
        seen: what the network says of the points at each of the two epochs, with their features (n, D).
        truth: (n,) their true classes.
        epochs: their numbers.
    """
    moving = MovingMap()
    features = [_features(part) for part in seen]
    for part in features:
        moving.add(part)
    frames = replay(moving.frames, lambda at: features[at])
    logits = [part.feature_logits for part in seen if part.feature_logits is not None]
    confidence, said = torch.softmax(torch.stack(logits), 2).max(2)  # (2, n) each
    right = said.numpy() == truth
    improved = ~right[0] & right[1]
    before, after = (percent(float(share), 1) for share in right.mean(1))
    title = f"Pseudo-Label, MNIST, 1,000 labels: {before} right, then {after}; {int(improved.sum())} improved"
    return Scene(
        title=title,
        classes=CLASSES,
        xy=np.stack([frame.xy for frame in frames]),
        label=np.full(len(truth), -1, np.int16),
        pseudo=said.numpy().astype(np.int16),
        confidence=confidence.numpy(),
        epochs=epochs,
        fade=False,
        ringed=improved,
        ring_text="wrong at first, right at the end",
    )


def _features(seen: Prediction) -> NDArray[np.float32]:
    assert seen.features is not None
    return np.asarray(seen.features.numpy(), np.float32)
