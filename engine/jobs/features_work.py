"""The process that computes a project's features and each image's neighbours, for the live model.

Reads job.json {version, spec {size, channels}} and images.parquet (image_id, sha256); writes source.json {net} and
set.npz.

Small grey images are described by gradients, all others by a pretrained network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import read_json, write_json
from engine.jobs import child
from engine.jobs.child import JobProgress
from engine.jobs.folder import JOB

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.records.progress import Progress

VERSION = "1"
"""Raised when features or neighbours are computed in another way, so that all are computed again."""
IMAGES = "images.parquet"
SET, SOURCE = "set.npz", "source.json"
FEATURES_SHARE = 0.85
"""Of the whole, the part that features take."""


def work(folder: Path, progress: JobProgress) -> None:
    """Do the work of a job folder."""
    import pyarrow.parquet as pq

    from engine.images.array_cache import ArraySpec
    from engine.live.model import ImageSet
    from engine.live.stored import save_set

    spec = ArraySpec(**read_json(folder / JOB)["spec"])
    shas = pq.read_table(folder / IMAGES, columns=["sha256"]).column("sha256").to_pylist()
    progress.counts["images"] = len(shas)
    features, net = _features(folder.parents[1], shas, spec, progress.part(0.0, FEATURES_SHARE))
    progress.running("Comparing images", FEATURES_SHARE)
    write_json(folder / SOURCE, {"net": net})
    save_set(folder / SET, ImageSet.of(features, threads=child.threads()), shas)


def _features(root: Path, shas: list[str], spec: Any, progress: Progress) -> tuple[NDArray[np.float32], str]:
    """Return features (N, D) of the images and the network they come from, "" for gradients."""
    import numpy as np
    import torch

    from engine.images.array_cache import build_arrays
    from engine.nets import frozen
    from engine.nets.hog import hog_features
    from engine.rounds.worker import feature_cache
    from engine.training import device
    from engine.training.config import TrainConfig
    from engine.training.recommend import PHOTO_NETS, SMALL_SIDE, quick_net

    if spec.channels == 1 and spec.size <= SMALL_SIDE:
        arrays = torch.from_numpy(np.asarray(build_arrays(root, shas, spec, progress)))
        return hog_features(arrays).numpy(), ""
    where = device.resolve("auto")
    net = quick_net(name for name in PHOTO_NETS if frozen.backbone(name).find() is not None)
    return feature_cache.project_features(root, shas, TrainConfig(net=net), where, progress).numpy(), net


if __name__ == "__main__":
    child.main(work)
