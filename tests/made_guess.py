"""A first guess of digits from their class names, of a wanted quality, in place of a text-image network's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from engine.files import read_json
from engine.jobs import child, guess, guess_work
from engine.jobs.folder import JOB
from engine.project.opened import Project


def guesses(monkeypatch: pytest.MonkeyPatch, share: float) -> list[list[str]]:
    """Have the guess be right for a share of the digits, else the next digit; return the class names asked about.

    Jobs must run in the test's process.
    """
    asked: list[list[str]] = []
    target = load_digits().target

    def work(folder: Path, _: child.JobProgress) -> None:
        classes = read_json(folder / JOB)["classes"]
        asked.append(classes)
        with Project.open(folder.parents[1]) as project:
            items = project.workspace.items()
            names = [project.store.image(item.id).name for item in items]
        truth = np.array([classes.index(str(target[int(Path(name).stem)])) for name in names])
        right = np.random.default_rng(0).random(len(truth)) < share
        guessed = np.full((len(truth), len(classes)), np.log(0.04), np.float32)
        guessed[np.arange(len(truth)), np.where(right, truth, (truth + 1) % 10)] = np.log(0.6)
        guess_work.save(folder, "clip/a/b", classes, [item.sha256 for item in items], guessed)

    monkeypatch.setattr(guess, "possible", lambda: True)
    monkeypatch.setattr(guess_work, "work", work)
    return asked
