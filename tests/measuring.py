"""Answers images of the measured set as a person does: blind, in their order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.records.labels import Decision


def answer_measured(project: Project, count: int, label: str | Callable[[int], str]) -> list[int]:
    """Answer the next `count` images; `label`: of all, or of an image by its id. Return their ids in order."""
    ids: list[int] = []
    while len(ids) < count:
        item = project.queue.next(limit=1, ref=QueueRef("measured"))[0][0]
        assert (item.blind, item.prediction, item.label, item.top) == (True, None, None, ())
        said = label if isinstance(label, str) else label(item.image_id)
        decision = Decision(new_uid(), item.image_id, item.version, "label", said, seconds=1.0)
        assert project.labels.decide([decision], blind={item.image_id})[0].status == "saved"
        ids.append(item.image_id)
    return ids


def predicted(project: Project, number: int) -> Callable[[int], str]:
    """What a round predicts of an image."""
    predictions = project.results.needed(number)
    best = predictions.probabilities.argmax(1)
    return lambda image_id: predictions.classes[int(best[np.searchsorted(predictions.image_ids, image_id)])]
