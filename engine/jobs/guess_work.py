"""The process that guesses each image's class from the class names, where a text-image network is on this machine.

Reads job.json {version, classes, set} and images.parquet (sha256); writes guess.npz (net, classes, sha256s,
log-probabilities (N, C)), or removes it where no such network is here. Features of images are kept like all others, so
that other class names cost their sentences alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.files import read_json, write_atomic
from engine.jobs import child
from engine.jobs.child import JobProgress
from engine.jobs.folder import JOB

VERSION = "2"
"""Raised when a guess is made in another way, so that all are made again."""
IMAGES, GUESS = "images.parquet", "guess.npz"
FEATURES_SHARE = 0.95
"""Of the whole, the part that features take."""


def work(folder: Path, progress: JobProgress) -> None:
    """Do the work of a job folder."""
    import pyarrow.parquet as pq
    import torch
    import torch.nn.functional as F

    from engine.nets import clip_nets
    from engine.nets.net_name import FROZEN
    from engine.rounds.worker import feature_cache
    from engine.training import device
    from engine.training.config import TrainConfig

    job, root = read_json(folder / JOB), folder.parents[1]
    source = network(str(job["set"]), clip_nets.names_here())
    if not source:
        (folder / GUESS).unlink(missing_ok=True)
        return
    shas = pq.read_table(folder / IMAGES, columns=["sha256"]).column("sha256").to_pylist()
    torch.set_num_threads(child.threads())
    train, where = TrainConfig(net=FROZEN + source), device.resolve("auto")
    features = feature_cache.project_features(root, shas, train, where, progress.part(0.0, FEATURES_SHARE))
    name, rest = source.split("@")[0], progress.part(FEATURES_SHARE, 1.0)
    progress.running("Reading the class names", FEATURES_SHARE)
    directions, scale = clip_nets.class_directions(name, job["classes"], rest)
    guess = (scale * F.normalize(features) @ directions.T).log_softmax(1).numpy()
    save(folder, source, job["classes"], shas, guess)


def save(folder: Path, net: str, classes: Sequence[str], shas: Sequence[str], guess: NDArray[np.float32]) -> None:
    """Write the guess (N, C) of a network about images and class names into a job folder that is there."""

    def fill(aside: Path) -> None:
        with open(aside, "wb") as handle:
            np.savez(
                handle, net=np.array(net), classes=np.array(classes), sha256s=np.array(shas), log_probabilities=guess
            )

    write_atomic(folder / GUESS, fill)


def network(net: str, here: list[str]) -> str:
    """Return the text-image network to ask, "" where there is none: one whose features the project has, else the first
    of those on this machine.

    Args:
        net: where the project's features come from, as in `TrainConfig.net`.
        here: text-image networks whose weights are on this machine.
    """
    from engine.nets.net_name import NetName

    joined = [str(source) for source in NetName.parse(net).sources if source.name in here]
    return (joined or here or [""])[0]


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"  # nobody has asked for a download; weights and tokens that are here will do
    child.main(work)
