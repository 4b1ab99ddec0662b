"""Answers what an audit asks as a person does: blind, in its order."""

from __future__ import annotations

from collections.abc import Callable

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.project.review.ref import QueueRef
from engine.records.labels import Action, Decision
from engine.records.review import ReviewItem


def answer_item(
    project: Project, item: ReviewItem, label: str | None, action: Action = "label", actor: str = "local"
) -> str:
    """Give one answer to an image that a queue holds; return its uid."""
    uid = new_uid()
    decision = Decision(uid, item.image_id, item.version, action, label, actor=actor, seconds=1.0)
    asked = {} if item.asked is None else {item.image_id: item.asked}
    assert project.labels.decide([decision], asked=asked)[0].status == "saved"
    return uid


def next_item(project: Project, number: int, part: str = "", actor: str | None = None) -> ReviewItem:
    """The image that an audit asks about next, of which nothing is told."""
    item = project.queue.next(limit=1, ref=QueueRef.of_audit(number, part), actor=actor)[0][0]
    assert (item.blind, item.prediction, item.label, item.source, item.top) == (True, None, None, None, ())
    return item


def answer_audit(
    project: Project, number: int, count: int, label: str | Callable[[int], str], part: str = "", actor: str = "local"
) -> list[int]:
    """Answer the next `count` images; `label`: of all, or of an image by its id. Return their ids in order."""
    ids = []
    for _ in range(count):
        item = next_item(project, number, part, actor)
        answer_item(project, item, label if isinstance(label, str) else label(item.image_id), actor=actor)
        ids.append(item.image_id)
    return ids


def frozen_label(project: Project, number: int) -> Callable[[int], str]:
    """What an audit froze of an image."""
    frozen = project.store.frozen_labels(number)
    label = dict(zip(frozen.image_ids.tolist(), frozen.label_code.tolist(), strict=True))
    return lambda image_id: frozen.names[label[image_id]]
