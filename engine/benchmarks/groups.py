"""`starling bench groups`: which near-equal photos are found, and what figures say when frames of scenes are split.

1. Photos, a folder a class or a folder of such folders named with --data, and near-equal frames of some of them: moved
   by 1 to 3 of 240 pixels, brightness changed by up to 5 %, noise of up to 6 of 255 levels, JPEG of quality 60 to 94,
   and all at once. Told: the share of frames that are in a group with another of their scene, and the groups that join
   different photos; those among the photos alone are looked at as well, some of which are true copies.
2. Scenes with nothing to learn: 60 scenes of 6 near-equal frames whose class is drawn at random, so that half of all
   new scenes are right. Told: the mean held-out share of a nearest-neighbour rule and how often its exact 95 % interval
   contains one half, frame by frame and with one frame of each held-out scene.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from engine.algorithms.transductive import one_thread
from engine.benchmarks import data, overrides, results
from engine.benchmarks.options import Options, data_root, parse_seeds
from engine.benchmarks.photos import sets_in
from engine.benchmarks.study import RunFile, Say, Study
from engine.groups import first_of_each
from engine.live.model import ImageSet
from engine.live.near import LIKENESS, near_groups
from engine.nets import frozen
from engine.training import device as devices
from engine.training.calibrate import accuracy_interval
from engine.training.evaluate import chunks
from engine.training.pools import split_labeled

SIDE, MARGIN = 256, 8
QUALITIES = (60, 95)
BRIGHTER, NOISE, SHIFT = 0.05, 6.0, 3
SCENES, FRAMES = 60, 6
HELDOUT = 0.2


@dataclasses.dataclass(frozen=True)
class GroupSettings:
    """Settings of the command.

    Attributes:
        networks: joined by "+".
        photos: photos of each set that get frames. frames: of each.
        likeness: from which two photos count as near-equal. draws: how often scenes are drawn for a seed.
    """

    networks: str = "efficientnet_lite0+mobilenet_v2"
    photos: int = 80
    frames: int = 3
    likeness: float = LIKENESS
    draws: int = 200


Change = Callable[[Tensor, np.random.Generator], Tensor]


def moved(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the middle (3, 240, 240) of a photo (3, 256, 256), moved by 1 to 3 pixels."""
    down, right = (int(rng.integers(1, SHIFT + 1) * rng.choice((-1, 1))) for _ in range(2))
    return photo[:, MARGIN + down : SIDE - MARGIN + down, MARGIN + right : SIDE - MARGIN + right]


def brighter(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a photo uint8 up to 5 % brighter or darker."""
    return _levels(photo.float() * float(rng.uniform(1 - BRIGHTER, 1 + BRIGHTER)))


def noisy(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a photo uint8 with noise of a deviation of up to 6 levels."""
    noise = rng.normal(0, rng.uniform(1, NOISE), tuple(photo.shape)).astype(np.float32)
    return _levels(photo.float() + torch.from_numpy(noise))


def saved_anew(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a photo uint8 as JPEG of quality 60 to 94 keeps it."""
    from torchvision.datasets.folder import default_loader
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        to_pil_image(photo).save(file.name, quality=int(rng.integers(*QUALITIES)))
        return torch.as_tensor(pil_to_tensor(default_loader(file.name)))


def _all(photo: Tensor, rng: np.random.Generator) -> Tensor:
    return saved_anew(noisy(brighter(moved(photo, rng), rng), rng), rng)


def _middle(photo: Tensor) -> Tensor:
    return photo[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


CHANGES: dict[str, Change] = {
    "moved 1-3 px": moved,
    "brightness ±5 %": lambda photo, rng: brighter(_middle(photo), rng),
    "noise": lambda photo, rng: noisy(_middle(photo), rng),
    "JPEG": lambda photo, rng: saved_anew(_middle(photo), rng),
    "all at once": _all,
}


def run(options: Options, say: Say) -> str:
    """Measure each set with each seed and return the tables; `say` hears a line after each run.

    Raises:
        ConfigError: a setting is out of range or unknown, or the file of results is there without `--resume`.
        SourceMissing: there are no folders with images.
    """
    settings, _ = overrides.apply_with(GroupSettings, (), options.set)
    device = devices.resolve("cpu")
    file, runs = RunFile(options, device), []
    seeds, asked = parse_seeds(options.seeds or "1"), dataclasses.asdict(settings)
    jobs: list[tuple[str, Callable[[int], dict[str, float]]]] = [
        (root.name, lambda seed, root=root: photos_found(root, settings, seed))  # type: ignore[misc]
        for root in sets_in(data_root(options.data))
    ]
    jobs.append(("scenes", lambda seed: scenes_covered(settings.draws, seed)))
    for name, measure in jobs:
        for seed in seeds:
            began = time.perf_counter()
            done = file.find(name, seed, asked)
            if done is None:
                more = measure(seed)
                taken = {"row": name, "seed": seed, "value": None, "more": more, "seconds": time.perf_counter() - began}
                done = file.add(taken, asked)
            runs.append(done)
            say(f"groups, {name}, seed {seed}: {done['seconds']:.0f} s")
    return _tables(runs)


def photos_found(root: Path, settings: GroupSettings, seed: int) -> dict[str, float]:
    """Return the shares, in percent, of frames that are found by kind of change, and the false groups."""
    rng = np.random.default_rng(seed)
    photos = data.squeezed_photos(root, SIDE)
    chosen = rng.permutation(len(photos))[: settings.photos]
    changed = {
        name: torch.stack([change(photos[at], rng) for at in chosen for _ in range(settings.frames)])
        for name, change in CHANGES.items()
    }
    still = photos[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
    own = _features(still, settings.networks)
    with one_thread():
        alone = near_groups(ImageSet.of(own.numpy(), seed), settings.likeness)
        found = {"photos": float(len(photos)), "groups of the photos alone": _groups_of_several(alone)}
        for name, frames in changed.items():
            features = torch.cat([own, _features(frames, settings.networks)])
            scene = np.concatenate([np.arange(len(photos)), np.repeat(chosen, settings.frames)])
            group = near_groups(ImageSet.of(features.numpy(), seed), settings.likeness)
            found[f"{name}: frames found %"] = 100 * frames_found(group[len(photos) :], scene[len(photos) :])
            found[f"{name}: groups of different photos"] = float(mixed_groups(group, scene))
    return found


def frames_found(group: NDArray[np.int64], scene: NDArray[np.int64]) -> float:
    """Return the share of frames (n,) that are in one group with another frame of their scene."""
    together = (group[:, None] == group) & (scene[:, None] == scene)
    return float((together.sum(1) > 1).mean())


def mixed_groups(group: NDArray[np.int64], scene: NDArray[np.int64]) -> int:
    """Return how many groups hold images (n,) of more than one scene."""
    pairs = np.unique(np.stack([group, scene]), axis=1)
    return int((np.bincount(np.unique(pairs[0], return_inverse=True)[1]) > 1).sum())


def scenes_covered(draws: int, seed: int) -> dict[str, float]:
    """Return the mean held-out share right and the coverage of one half, in percent, frame by frame and by scenes."""
    found: dict[str, list[tuple[float, bool]]] = {"frame by frame": [], "one frame a scene": []}
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        scene = np.repeat(np.arange(SCENES), FRAMES)
        x = rng.normal(size=(SCENES, 32))[scene] + 0.05 * rng.normal(size=(len(scene), 32))
        y = rng.integers(0, 2, SCENES)[scene]
        for name, groups in (("frame by frame", None), ("one frame a scene", scene)):
            train, held = split_labeled(np.arange(len(y)), y, HELDOUT, number, groups)
            if groups is not None:
                held = held[first_of_each(groups[held], rng.random(len(held)))]
            nearest = ((x[held, None] - x[train]) ** 2).sum(2).argmin(1)
            right = int((y[train][nearest] == y[held]).sum())
            low, high = accuracy_interval(right, len(held))
            found[name].append((right / len(held), low <= 0.5 <= high))
    return {
        f"{name}: {what} %": 100 * float(np.mean([one[at] for one in pairs]))
        for name, pairs in found.items()
        for at, what in enumerate(("right", "interval holds"))
    }


def _groups_of_several(group: NDArray[np.int64]) -> float:
    return float((np.unique(group, return_counts=True)[1] > 1).sum())


def _features(photos: Tensor, net: str) -> Tensor:
    """Return the features (n, D) of photos (n, 3, H, W) by networks joined by "+"."""
    device = torch.device("cpu")
    parts = []
    for name in net.split("+"):
        trunk = frozen.load_frozen(name, device)
        size = frozen.batch_size(device, light=trunk.light)
        square = (trunk.side, trunk.side)
        rows = chunks(torch.arange(len(photos)), size)
        shown = (interpolate(photos[part].float(), square, mode="bilinear", antialias=True) for part in rows)
        parts.append(torch.cat([frozen.features_of(trunk, _levels(part), device) for part in shown]))
    return data.joined(parts)


def _levels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _tables(runs: Sequence[results.Run]) -> str:
    lines = []
    for row in dict.fromkeys(run["row"] for run in runs):
        mine = [run["more"] for run in runs if run["row"] == row]
        lines += ["", row, *(f"  {name:52}{np.mean([one[name] for one in mine]):8.1f}" for name in mine[0])]
    return "\n".join(lines[1:])


GROUPS = Study("Near-equal photos that are found, and held-out figures of frames of scenes", run)
