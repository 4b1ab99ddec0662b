"""The process that computes a project's features and each image's neighbours, for the live model.

Reads job.json {version, spec {size, channels}} and images.parquet (image_id, sha256); writes a set (.npz), then
source.json {version, net, set}, which brings that file into force.

Photos are described by a pretrained network. Small grey images are by gradients, within seconds, then by these joined
with a network, where that takes minutes at most: on digits the joined ones were better in every run (`starling bench
mnist-joined`), so that no labels are asked which to take.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import read_json, write_json
from engine.jobs import child
from engine.jobs.child import JobProgress
from engine.jobs.folder import JOB

if TYPE_CHECKING:
    from engine.images.array_cache import ArraySpec

VERSION = "2"
"""Raised when features or neighbours are computed in another way, so that all are computed again."""
IMAGES = "images.parquet"
SOURCE = "source.json"
FEATURES_SHARE = 0.85
"""Of a set, the part that features take."""
FIRST_SHARE = 0.1
"""Of the whole, the first of two sets."""
MOST_ON_CPU = 5000
"""Small grey images that a CPU looks at with a network: some minutes."""
NEARLY_ALL = 0.9
"""Where the network has looked at so large a share of the images before, the first set is left out."""


def work(folder: Path, progress: JobProgress) -> None:
    """Do the work of a job folder."""
    import pyarrow.parquet as pq
    import torch

    from engine.images.array_cache import ArraySpec
    from engine.nets.net_name import NetName

    job, root = read_json(folder / JOB), folder.parents[1]
    shas = pq.read_table(folder / IMAGES, columns=["sha256"]).column("sha256").to_pylist()
    progress.counts["images"] = len(shas)
    nets = _nets(root, shas, ArraySpec(**job["spec"]))
    if len(nets) == 1:  # all that is done with photos, a round too, waits for their features
        torch.set_num_threads(child.cores())
    parts = ((0.0, FIRST_SHARE), (FIRST_SHARE, 1.0)) if len(nets) > 1 else ((0.0, 1.0),)
    for net, part in zip(nets, parts, strict=True):
        source = {"version": job["version"], "net": net, "set": f"set-{NetName.parse(net).file_name}.npz"}
        if _in_force(folder) != source:
            _write(folder, root, source, shas, progress, part)


def _nets(root: Path, shas: list[str], spec: ArraySpec) -> list[str]:
    """Return what describes the images, one after the other, each better than the one before."""
    from engine.images.feature_parts import known_features
    from engine.nets import frozen
    from engine.nets.net_name import FROZEN, GRADIENTS, JOINED
    from engine.training import device
    from engine.training.recommend import PHOTO_NET, PHOTO_NETS, SMALL_SIDE, quick_net

    if spec.channels == 3 or spec.size > SMALL_SIDE:
        return [quick_net(name for name in PHOTO_NETS if frozen.weights_here(name))]
    gradients, joined = FROZEN + GRADIENTS, f"{FROZEN}{GRADIENTS}{JOINED}{PHOTO_NET}"
    too_many = device.resolve("auto").type == "cpu" and len(shas) > MOST_ON_CPU
    if too_many or not frozen.weights_here(PHOTO_NET):
        return [gradients]
    known = known_features(root, FROZEN + PHOTO_NET, shas)[1]
    return [joined] if known.mean() >= NEARLY_ALL else [gradients, joined]


def _in_force(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / SOURCE)
    except (FileNotFoundError, ValueError):
        return {}


def _write(
    folder: Path, root: Path, source: dict[str, Any], shas: list[str], progress: JobProgress, part: tuple[float, float]
) -> None:
    """Compute features and neighbours, which take a part of the whole between two shares, and write them."""
    from engine.live.model import ImageSet
    from engine.live.stored import save_set
    from engine.rounds.worker import feature_cache
    from engine.training import device
    from engine.training.config import TrainConfig

    start, end = part
    described = start + (end - start) * FEATURES_SHARE
    features = feature_cache.project_features(
        root, shas, TrainConfig(net=source["net"]), device.resolve("auto"), progress.part(start, described)
    ).numpy()
    progress.running("Comparing images", described)
    save_set(folder / source["set"], ImageSet.of(features, threads=child.threads()), shas)
    write_json(folder / SOURCE, source)


if __name__ == "__main__":
    child.main(work)
