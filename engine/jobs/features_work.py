"""The process that computes a project's features and each image's neighbours, for the live model.

Reads job.json {version, spec {size, channels}, views, net} and images.parquet (image_id, sha256, label: a class's
number, −1 without one); writes a set (.npz), then source.json {version, net, set}, which brings that file into force.

Photos are described by a pretrained network, first by their centre squares. Where they are not square it is then shown
them whole, too, and from 5 labels a class on these choose among the centre, the whole and both (view.json: view,
labels, likelihoods). Small grey images are described by gradients, within seconds, then by these joined with a network,
where that takes minutes at most: on digits the joined ones were better in every run (`starling bench mnist-joined`), so
that no labels are asked which to take. Where a person chose a network (`net`), it is that one for images of any kind.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
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

VERSION = "3"
"""Raised when features or neighbours are computed in another way, so that all are computed again."""
IMAGES = "images.parquet"
SOURCE = "source.json"
VIEW = "view.json"
FEATURES_SHARE = 0.85
"""Of a set, the part that features take."""
FIRST_SHARE, CENTRE_SHARE = 0.1, 0.5
"""Of the whole, the first of two sets: of small grey images, and of photos."""
MOST_ON_CPU = 5000
"""Small grey images that a CPU looks at with a network: some minutes."""
MOST_PATIENCE, LOOK_AGAIN = 120.0, 0.5
"""Seconds that a better set waits for rounds that run, in all, and after which it looks again."""
WAITING = "Waiting until the round is over"
NEARLY_ALL = 0.9
"""Where the network has looked at so large a share of the images before, the first set is left out."""


def work(folder: Path, progress: JobProgress) -> None:
    """Do the work of a job folder."""
    import pyarrow.parquet as pq
    import torch

    from engine.images.array_cache import ArraySpec
    from engine.training.recommend import SMALL_SIDE

    job, root = read_json(folder / JOB), folder.parents[1]
    images = pq.read_table(folder / IMAGES)
    shas = images.column("sha256").to_pylist()
    labels, groups = images.column("label").to_numpy(), images.column("group").to_numpy()
    progress.counts["images"] = len(shas)
    described = Described(folder, root, shas, str(job["version"]), progress)
    spec, net = ArraySpec(**job["spec"]), str(job.get("net", ""))
    if net or spec.channels == 3 or spec.size > SMALL_SIDE:
        torch.set_num_threads(child.cores())  # all that is done with photos, a round too, waits for their features
        _photos(described, net, labels, groups, bool(job["views"]))
    else:
        _small_grey(described)


class _InTheWay(Exception):
    """A round runs, which somebody waits for, while only a better set than that in force is computed."""


@dataclass
class Described:
    """The images of a job and where what describes them goes. version: of the images, as `features` gives it.
    patience: seconds it still waits for rounds."""

    folder: Path
    root: Path
    shas: list[str]
    version: str
    progress: JobProgress
    patience: float = MOST_PATIENCE

    @property
    def in_force(self) -> bool:
        """Return whether there is a set of these images already."""
        return bool(_read(self.folder / SOURCE).get("version") == self.version)

    def features(self, net: str, rows: Sequence[int], part: tuple[float, float]) -> NDArray[np.float32]:
        """Return features (n, D) of some of the images, those not known yet computed.

        Where there is a set already, rounds that run come first, for two minutes in all: whoever has just started one
        looks at it, and on few cores each would take twice as long.
        """
        import numpy as np

        from engine.rounds.worker import feature_cache
        from engine.training import device
        from engine.training.config import TrainConfig

        shas = [self.shas[row] for row in rows]
        train, where, tell = TrainConfig(net=net), device.resolve("auto"), self._giving_way(self.progress.part(*part))
        while True:
            try:
                return np.asarray(feature_cache.project_features(self.root, shas, train, where, tell).numpy())
            except _InTheWay:  # the round may need features of its own, which one process at a time computes
                self._wait(part)

    def _giving_way(self, tell: Progress) -> Progress:
        better = self.in_force

        def told(stage: str, done: int, total: int) -> None:
            if better and self.patience > 0 and _round_runs(self.root):
                raise _InTheWay
            tell(stage, done, total)

        return told

    def _wait(self, part: tuple[float, float]) -> None:
        self.progress.running(WAITING, max(part[0], self.progress.fraction))
        while self.patience > 0 and _round_runs(self.root):
            time.sleep(LOOK_AGAIN)
            self.patience -= LOOK_AGAIN

    def write(self, net: str, part: tuple[float, float]) -> None:
        """Write the set by the features of `net` and bring it into force; it takes a part of the whole, two shares."""
        from engine.live.model import ImageSet
        from engine.live.stored import save_set
        from engine.nets.net_name import NetName

        source = {"version": self.version, "net": net, "set": f"set-{NetName.parse(net).file_name}.npz"}
        before = _read(self.folder / SOURCE)
        if before == source:
            return
        start, end = part
        compared = start + (end - start) * FEATURES_SHARE
        features = self.features(net, range(len(self.shas)), (start, compared))
        self.progress.running("Comparing images", compared)
        save_set(self.folder / source["set"], ImageSet.of(features, threads=child.threads()), self.shas)
        write_json(self.folder / SOURCE, source)
        for path in self.folder.glob("set-*.npz"):  # what was in force may just be being read
            if path.name not in (source["set"], before.get("set")):
                path.unlink(missing_ok=True)


def _round_runs(root: Path) -> bool:
    from engine.rounds.folder.events import round_over
    from engine.rounds.folder.plan import round_folders

    return not all(round_over(folder) for folder in round_folders(root))


def _photos(images: Described, net: str, labels: NDArray[np.int64], groups: NDArray[np.int64], views: bool) -> None:
    """Describe photos; `net`: by which network, "" for those that are recommended; `views`: whether their centre and
    the whole differ."""
    from engine.nets import frozen
    from engine.nets.views import VIEWS, seen_as
    from engine.training.recommend import PHOTO_NETS, quick_net

    net = net or quick_net(name for name in PHOTO_NETS if frozen.weights_here(name))
    if not views:
        images.write(net, (0.0, 1.0))
        return
    known = _read(images.folder / VIEW)
    begun = 0.0
    if not known and not images.in_force:
        begun = CENTRE_SHARE
        images.write(seen_as(net, "centre"), (0.0, begun))
    chosen = _choose(images, net, labels, groups, begun) or known.get("view", VIEWS[0])
    images.write(seen_as(net, chosen), (begun, 1.0))


def _choose(
    images: Described, net: str, labels: NDArray[np.int64], groups: NDArray[np.int64], begun: float
) -> str | None:
    """Return the view that the labels choose, and write down why; None where they are too few."""
    import numpy as np

    from engine.nets.views import VIEWS, choose_view, compare_views, seen_as

    rows = np.flatnonzero(labels >= 0)
    seen = {}
    if len(rows):
        seen = {view: images.features(seen_as(net, view), rows.tolist(), (begun, begun)) for view in VIEWS}
    likelihoods = compare_views(seen, labels[rows], groups[rows])
    if not likelihoods:
        return None
    view = choose_view(seen, labels[rows], groups[rows])
    means = {name: round(float(each.mean()), 4) for name, each in likelihoods.items()}
    write_json(images.folder / VIEW, {"view": view, "labels": len(rows), "likelihoods": means})
    return view


def _small_grey(images: Described) -> None:
    """Describe small grey images, one way after the other, each better than the one before."""
    from engine.images.feature_parts import known_features
    from engine.nets import frozen
    from engine.nets.net_name import FROZEN, GRADIENTS, JOINED
    from engine.training import device
    from engine.training.recommend import PHOTO_NET

    gradients, joined = FROZEN + GRADIENTS, f"{FROZEN}{GRADIENTS}{JOINED}{PHOTO_NET}"
    too_many = device.resolve("auto").type == "cpu" and len(images.shas) > MOST_ON_CPU
    if too_many or not frozen.weights_here(PHOTO_NET):
        images.write(gradients, (0.0, 1.0))
        return
    begun = 0.0
    if known_features(images.root, FROZEN + PHOTO_NET, images.shas)[1].mean() < NEARLY_ALL:
        begun = FIRST_SHARE
        if not images.in_force:
            images.write(gradients, (0.0, begun))
    images.write(joined, (begun, 1.0))


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):
        return {}


if __name__ == "__main__":
    child.main(work)
