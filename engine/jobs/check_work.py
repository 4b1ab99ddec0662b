"""Checks a project's labels or images: `python -m engine.jobs.check_work JOB_DIR`.

Reads job.json {kind, project_root, classes, spec {size, channels}, train, seed, ledger_seq, stamp} and images.parquet
(image_id, sha256, label: class index, -1 for none). Writes progress.json {status, stage, fraction, error, pid, time}
and, whole or not at all, the result: for kind "labels" result.npz with what networks say of images whose labels they
have not seen, for kind "duplicates" result.json with groups of images that look the same. Ends with status "failed" on
an error and "cancelled" on SIGTERM; an earlier result then stays. Never touches the database.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import RoundBlocked, StarlingError
from engine.files import read_json, write_atomic, write_json
from engine.jobs.fixed_map_work import Cancelled, Recorder, prepare_process, threads

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from engine.training.config import TrainConfig

JOB = "job.json"
IMAGES = "images.parquet"
LABELS_RESULT = "result.npz"
DUPLICATES_RESULT = "result.json"
RESULTS = {"labels": LABELS_RESULT, "duplicates": DUPLICATES_RESULT}
DUPLICATE_SIDE = 32
_LUMA = (299, 587, 114)
LEAST_LABELS = 2
"""Images of a class, at least: one to learn it from while the other is asked about."""
AT_ONCE = 1024
PREPARING_SHARE = 0.1
_BETWEEN = 0.5


class Telling:
    """Writes progress.json at most twice a second.

    Args:
        recorder: writes it.
        start: the share of the whole at which this part begins, 0..1.
        end: and that at which it ends.
    """

    def __init__(self, recorder: Recorder, start: float, end: float) -> None:
        self._recorder, self._start, self._end = recorder, start, end

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell how far this part is."""
        recorder = self._recorder
        if stage != recorder.stage or time.monotonic() - recorder.written > _BETWEEN:
            share = self._start + (self._end - self._start) * min(1.0, done / max(total, 1))
            recorder.progress("running", stage, max(share, recorder.fraction))


def run(folder: Path) -> int:
    """Do the check of a job folder; return the exit status: 0 ready, 1 failed, 143 cancelled."""
    recorder = Recorder(folder)
    try:
        recorder.progress("running", "Starting", 0.0)
        job = read_json(folder / JOB)
        {"labels": check_labels, "duplicates": check_duplicates}[job["kind"]](folder, job, recorder)
        recorder.progress("ready", "Ready", 1.0)
    except Cancelled:
        recorder.progress("cancelled", "Cancelled", recorder.fraction)
        return 128 + signal.SIGTERM
    except Exception as error:
        traceback.print_exc()
        text = str(error) if isinstance(error, StarlingError) else f"{type(error).__name__}: {error}"
        recorder.progress("failed", recorder.stage, recorder.fraction, text)
        return 1
    return 0


def check_labels(folder: Path, job: dict[str, Any], recorder: Recorder) -> None:
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
    from engine.nets.build import choose_net
    from engine.training import device
    from engine.training.config import TrainConfig, settings_from

    began = time.monotonic()
    frame = pd.read_parquet(folder / IMAGES)
    train = settings_from(TrainConfig, job["train"])
    label = frame["label"].to_numpy(np.int64)
    enough = usable(label, len(job["classes"]))
    rows = np.flatnonzero((label >= 0) & enough[label])
    names = [name for name, kept in zip(job["classes"], enough.tolist(), strict=True) if kept]
    given = (np.cumsum(enough) - 1)[label[rows]]
    where = device.resolve(train.device)
    torch.set_num_threads(threads())
    images = _images(Path(job["project_root"]), frame, rows, (job, train, where), Telling(recorder, 0, PREPARING_SHARE))
    tell = Telling(recorder, PREPARING_SHARE, 0.99)
    stage = f"Training {out_of_fold.FOLDS} networks, each without a part of the labels"
    found = out_of_fold.predict(images, given, train, where, lambda done, total: tell(stage, done, total))
    alone = np.isin(label, np.flatnonzero(~enough))
    facts = {
        "images": len(rows),
        "folds": int(found.fold.max()) + 1,
        "steps": found.steps,
        "seconds": round(time.monotonic() - began, 1),
        "accuracy": float((found.probabilities.argmax(1) == given).mean()),
        "net": choose_net(train.net, *images.shape[1:3]) if images.ndim == 4 else train.net,
        "device": device.describe(where),
        "left_out": [job["classes"][k] for k in sorted(set(label[alone].tolist()))],
    }
    _write_labels(folder, job, frame["image_id"].to_numpy(np.int64)[rows], (names, given, found.probabilities), facts)


def check_duplicates(folder: Path, job: dict[str, Any], recorder: Recorder) -> None:
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
    tell, done = Telling(recorder, 0.0, 0.8), 0
    for part in stream_arrays(Path(job["project_root"]), shas, spec, AT_ONCE):
        whole[done : done + len(part)] = part
        if spec.channels == 3:
            grey[done : done + len(part)] = (np.tensordot(part, _LUMA, (1, 0)) + 500) // 1000
        done += len(part)
        tell("Reading images", done, len(ids))
    recorder.progress("running", "Comparing images", 0.8)
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


def _images(
    root: Path,
    frame: pd.DataFrame,
    rows: NDArray[np.int64],
    how: tuple[dict[str, Any], TrainConfig, torch.device],
    progress: Telling,
) -> torch.Tensor:
    """Return the labeled images (n, C, H, W) or their frozen features (n, D); `how` is job, settings and device.

    Arrays are asked for as a round does, of all images, so that they are decoded once for both.
    """
    import numpy as np
    import torch

    from engine.images.array_cache import ArraySpec, build_arrays
    from engine.rounds.worker import feature_cache

    job, train, where = how
    shas = frame["sha256"].tolist()
    if feature_cache.is_frozen(train.net):
        return feature_cache.project_features(root, [shas[row] for row in rows], train, where, progress)
    spec = ArraySpec(size=job["spec"]["size"], channels=job["spec"]["channels"])
    return torch.from_numpy(np.ascontiguousarray(build_arrays(root, shas, spec, progress)[rows]))


def _write_labels(
    folder: Path,
    job: dict[str, Any],
    ids: NDArray[np.int64],
    said: tuple[list[str], NDArray[np.int64], NDArray[np.float32]],
    facts: dict[str, Any],
) -> None:
    """Write result.npz; `said` is the names of the columns, the index of each label among them, and probabilities."""
    import numpy as np

    names, given, probabilities = said
    classes = np.array(names, np.str_)

    def fill(path: Path) -> None:
        with open(path, "wb") as handle:
            np.savez(
                handle, image_ids=ids, labels=classes[given], classes=classes, probabilities=probabilities,
                about=np.array(json.dumps(_origin(job) | {"facts": facts})),
            )  # fmt: skip

    write_atomic(folder / LABELS_RESULT, fill)


def _origin(job: dict[str, Any]) -> dict[str, Any]:
    """Return when and of what state of the project a result was made."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"made": made, "stamp": job["stamp"], "ledger_seq": job["ledger_seq"]}


if __name__ == "__main__":
    prepare_process()
    sys.exit(run(Path(sys.argv[1])))
