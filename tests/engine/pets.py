"""A small project of cats and dogs, for tests of what the app asks an open project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.project.labels import new_uid
from engine.project.opened import Project
from engine.records.labels import Decision
from tests.ready_project import ReadyProjects, grey

LABELED, FREE = 4, 20


def make_pets(ready: ReadyProjects, folder: Path) -> Project:
    """Two cats and two dogs with labels, then 20 images without: ids in the order of their names."""
    names = ["cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png", *(f"no_label/{i:02}.png" for i in range(FREE))]
    return Project.open(ready.copy(grey(8, {name: 10 * k for k, name in enumerate(names)}), folder / "pets"))


def ids_of(project: Project) -> list[int]:
    """Return all ids, ascending: the labeled ones first."""
    return [int(image_id) for image_id in project.store.label_table().image_ids]


def said_of(cat: float) -> NDArray[np.float64]:
    """Probabilities (N, 2): the labeled images as they are labeled, the others cat with this probability."""
    p = np.array([1.0, 1.0, 0.0, 0.0, *[cat] * FREE])
    return np.stack([p, 1 - p], 1)


def decide(project: Project, image_id: int, label: str | None, action: str = "label", actor: str = "local") -> None:
    """Record a decision on what is in force now."""
    version = int(project.store.label_table().version[ids_of(project).index(image_id)])
    decision = Decision(new_uid(), image_id, version, action, label, actor=actor)  # type: ignore[arg-type]
    assert project.labels.decide([decision])[0].status == "saved"
