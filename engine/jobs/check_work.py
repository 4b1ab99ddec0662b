"""Checks a project's labels or images: `python -m engine.jobs.check_work <project>/checks/<kind>`.

Reads job.json {kind, classes, spec {size, channels}, train, ledger_seq, stamp} and images.parquet (image_id, sha256,
label: class index, -1 for none; group). Writes, whole or not at all, the result: for kind "labels" result.npz with what
networks say of images whose labels they have not seen, for kind "duplicates" result.json with groups of images that
look the same. An earlier result stays until then. Never touches the database.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.digests import Digests
from engine.errors import RoundBlocked
from engine.files import read_json, write_atomic, write_json
from engine.jobs import child
from engine.jobs.child import JobProgress
from engine.jobs.folder import JOB

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from engine.images.array_cache import ArraySpec
    from engine.records.progress import Progress
    from engine.training.config import TrainConfig

IMAGES = "images.parquet"
LABELS_RESULT = "result.npz"
DUPLICATES_RESULT = "result.json"
DIGESTS = Digests("the check", "Check again on the quality page.")
RESULTS = {"labels": LABELS_RESULT, "duplicates": DUPLICATES_RESULT}
DUPLICATE_SIDE = 32
_LUMA = (299, 587, 114)
LEAST_LABELS = 2
"""Images of a class, at least: one to learn it from while the other is asked about."""
AT_ONCE = 1024
PREPARING_SHARE = 0.1


def work(folder: Path, progress: JobProgress) -> None:
    """Do the check of a job folder."""
    job = read_json(folder / JOB)
    DIGESTS.unseal(folder)
    {"labels": check_labels, "duplicates": check_duplicates}[job["kind"]](folder, job, progress)
    DIGESTS.seal(folder, [RESULTS[job["kind"]]])


def check_labels(folder: Path, job: dict[str, Any], progress: JobProgress) -> None:
    """Write out-of-fold probabilities of all images with a label.

    Raises:
        RoundBlocked: too few labels.
        DecodeError: an original is gone, changed or unreadable.
        ConfigError: a frozen network's weights are not to be had.
    """
    import numpy as np
    import pandas as pd
    import torch

    from engine.algorithms import out_of_fold
    from engine.images.array_cache import ArraySpec
    from engine.nets.build import choose_net
    from engine.training import device
    from engine.training.config import TrainConfig, settings_from

    began = time.monotonic()
    frame = pd.read_parquet(folder / IMAGES)
    train = settings_from(TrainConfig, job["train"])
    label = frame["label"].to_numpy(np.int64)
    enough = usable(label, len(job["classes"]))
    rows = np.flatnonzero((label >= 0) & enough[label])
    classes = np.array([name for name, use in zip(job["classes"], enough.tolist(), strict=True) if use], np.str_)
    given = (np.cumsum(enough) - 1)[label[rows]]
    where = device.resolve(train.device)
    torch.set_num_threads(child.threads())
    root, shas, spec = folder.parents[1], frame["sha256"].tolist(), ArraySpec(**job["spec"])
    images = _material(root, shas, rows, spec, train, where, progress.part(0, PREPARING_SHARE))
    training = progress.part(PREPARING_SHARE, 0.99)
    stage = f"Training {out_of_fold.FOLDS} networks, each without a part of the labels"
    groups = frame["group"].to_numpy(np.int64)[rows]
    unseen = out_of_fold.predict(images, given, train, where, partial(training, stage), groups)
    alone = np.isin(label, np.flatnonzero(~enough))
    facts = {
        "images": len(rows),
        "folds": int(unseen.fold.max()) + 1,
        "steps": unseen.steps,
        "seconds": round(time.monotonic() - began, 1),
        "accuracy": float((unseen.probabilities.argmax(1) == given).mean()),
        "net": choose_net(train.net, *images.shape[1:3]) if images.ndim == 4 else train.net,
        "device": device.describe(where),
        "left_out": [job["classes"][k] for k in sorted(set(label[alone].tolist()))],
    }
    arrays = {
        "image_ids": frame["image_id"].to_numpy(np.int64)[rows],
        "labels": classes[given],
        "classes": classes,
        "probabilities": unseen.probabilities,
        "about": np.array(json.dumps(_origin(job) | {"facts": facts})),
    }

    def fill(path: Path) -> None:
        with open(path, "wb") as handle:
            np.savez(handle, **arrays)

    write_atomic(folder / LABELS_RESULT, fill)


def check_duplicates(folder: Path, job: dict[str, Any], progress: JobProgress) -> None:
    """Write the groups of images that look the same; in colour, unless all are grey.

    Raises:
        DecodeError: an original is gone, changed or unreadable.
    """
    import numpy as np
    import pandas as pd

    from engine.images.array_cache import ArraySpec, stream_arrays
    from engine.quality.duplicates import near_duplicates

    began = time.monotonic()
    frame = pd.read_parquet(folder / IMAGES)
    ids, shas = frame["image_id"].to_numpy(np.int64), frame["sha256"].tolist()
    spec = ArraySpec(DUPLICATE_SIDE, int(job["spec"]["channels"]))
    whole = np.empty((len(ids), spec.channels, DUPLICATE_SIDE, DUPLICATE_SIDE), np.uint8)
    grey = whole[:, 0] if spec.channels == 1 else np.empty((len(ids), DUPLICATE_SIDE, DUPLICATE_SIDE), np.uint8)
    reading, done = progress.part(0.0, 0.8), 0
    for part in stream_arrays(folder.parents[1], shas, spec, AT_ONCE):
        whole[done : done + len(part)] = part
        if spec.channels == 3:
            grey[done : done + len(part)] = (np.tensordot(part, _LUMA, (1, 0)) + 500) // 1000
        done += len(part)
        reading("Reading images", done, len(ids))
    progress.running("Comparing images", 0.8)
    groups = [
        {"image_ids": ids[np.asarray(rows, np.int64)].tolist(), "similarity": float(similarity), "exact": bool(exact)}
        for rows, similarity, exact in near_duplicates(grey, colours=whole if spec.channels == 3 else None)
    ]
    facts = {"images": len(ids), "groups": len(groups), "seconds": round(time.monotonic() - began, 1)}
    write_json(folder / DUPLICATES_RESULT, _origin(job) | {"facts": facts, "groups": groups})


def usable(label: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Return which classes (K,) have enough images to take part; `label` (N,) is a class index, or -1 for none.

    Raises:
        RoundBlocked: fewer than two classes have.
    """
    import numpy as np

    enough = np.bincount(label[label >= 0], minlength=classes) >= LEAST_LABELS
    if enough.sum() < 2:
        count = int(enough.sum())
        raise RoundBlocked(
            "Too few labels to check them against each other",
            value=f"{count} {'class' if count == 1 else 'classes'} with at least {LEAST_LABELS} labels",
            way_out=f"Label at least {LEAST_LABELS} images in each of at least 2 classes.",
        )
    return np.asarray(enough)


def _material(
    root: Path,
    shas: list[str],
    rows: NDArray[np.int64],
    spec: ArraySpec,
    train: TrainConfig,
    where: torch.device,
    progress: Progress,
) -> torch.Tensor:
    """Return the images of these rows (n, C, H, W), or their features (n, D) where a frozen network is asked for.

    Arrays are asked for as a round does, of all images, so that they are decoded once for both.
    """
    import numpy as np
    import torch

    from engine.images.array_cache import build_arrays
    from engine.rounds.worker import feature_cache

    if feature_cache.is_frozen(train.net):
        return feature_cache.project_features(root, [shas[row] for row in rows], train, where, progress)
    return torch.from_numpy(np.ascontiguousarray(build_arrays(root, shas, spec, progress)[rows]))


def _origin(job: dict[str, Any]) -> dict[str, Any]:
    """Return when and of what state of the project a result was made."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"made": made, "stamp": job["stamp"], "ledger_seq": job["ledger_seq"]}


if __name__ == "__main__":
    child.main(work)
