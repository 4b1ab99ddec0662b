"""A complete round made of given predictions, in the files a real one writes: for tests of what follows training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.files import write_json
from engine.project.opened import Project
from engine.records.rounds import PoolCounts, RoundReport, Verdict, WrittenFile
from engine.rounds.folder import files
from engine.rounds.worker import finish
from engine.rounds.worker.recorder import RoundRecorder

PROMOTED = Verdict(True, "Promoted for a test.")


def make_round(
    project: Project,
    probabilities: NDArray[np.floating],
    *,
    state: str = "promoted",
    heldout: Sequence[int] = (),
    epochs: Sequence[NDArray[np.floating]] = (),
    features: NDArray[np.floating] | None = None,
    signals: Mapping[str, Any] | None = None,
    verdict: Verdict = PROMOTED,
) -> int:
    """Write a complete round over all images of a project and return its number.

    Args:
        project: its images and labels are those of the round.
        probabilities: (N, K) calibrated, rows in order of image ids.
        state: "promoted", "held_back" or "finished".
        heldout: ids of labeled images that are held out; the other labeled ones are trained on.
        epochs: probabilities (N, K) after each recorded epoch.
        features: (N, D) of the final model.
        signals: columns of predictions/signals.parquet beside image_id.
        verdict: as its worker gave it.
    """
    classes = project.store.classes()
    record = project.store.queue_round("pseudo_label", {"train": {}})
    folder = project.workspace.round_folder(record.number)
    for part in ("predictions", "features"):
        (folder / part).mkdir(parents=True)
    table = project.store.label_table()
    label = np.array([classes.index(name) if name is not None else -1 for name in table.label], np.int64)
    roles = np.where(label < 0, "unlabeled", np.where(np.isin(table.image_ids, list(heldout)), "heldout", "train"))
    frame = pd.DataFrame({"image_id": table.image_ids, "sha256": "", "role": roles, "label": label})
    frame.to_parquet(folder / files.LABELS, index=False)
    write_json(
        folder / files.CONFIG, {"number": record.number, "classes": list(classes), "train": {}, "uid": record.uid}
    )
    recorder = RoundRecorder(folder, "token")
    free = label < 0
    for number, said in enumerate(epochs, 1):
        recorder.epoch_predictions(number, table.image_ids[free], said[free].astype(np.float32))
    digest = recorder.final_predictions(
        table.image_ids, roles.astype(object), probabilities.astype(np.float32), calibrated=len(heldout) > 0
    )
    if features is not None:
        np.save(folder / files.FINAL_FEATURES, features.astype(np.float16))
    if signals is not None:
        columns = {"flips": -1, "disagreement": np.nan, "teacher": -1, "bald": np.nan} | dict(signals)
        pd.DataFrame({"image_id": table.image_ids, **columns}).to_parquet(folder / files.SIGNALS, index=False)
    recorder.close()
    report = replace(_report(probabilities, label, roles, classes, digest), verdict=verdict).to_json()
    write_json(folder / files.REPORT, report)
    for step in dict.fromkeys(("running", "finished", state)):
        fields = {"report": report} if step == "finished" else {}
        project.store.transition(record.number, step, **fields)  # type: ignore[arg-type]
    return record.number


def _report(
    probabilities: NDArray[np.floating],
    label: NDArray[np.int64],
    roles: NDArray[np.str_],
    classes: Sequence[str],
    digest: str,
) -> RoundReport:
    import torch

    held = roles == "heldout"
    logits = torch.from_numpy(np.log(np.maximum(probabilities[held], 1e-9)))
    known = torch.from_numpy(label[held])
    best = probabilities[roles == "unlabeled"].argmax(1)
    return RoundReport(
        algorithm="pseudo_label",
        classes=tuple(classes),
        heldout=finish.heldout_figures(logits, known),
        calibration=finish.calibration(logits, known, 1.0),
        confusion=finish.confusion(logits, known, len(classes)),
        counts=PoolCounts(*(int((roles == role).sum()) for role in ("train", "heldout", "unlabeled"))),
        histogram=tuple(np.bincount(best, minlength=len(classes)).tolist()),
        predictions=WrittenFile(files.FINAL, digest),
        epochs=1,
        seconds=1.0,
        device="cpu",
        peak_memory_mb=1.0,
    )
