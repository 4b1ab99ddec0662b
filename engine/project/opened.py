"""An open project: the workspace, and the desks over it. It does no work itself."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from engine.project.exports import Exports
from engine.project.groups import Groups
from engine.project.imports import Imports
from engine.project.labels import Labels
from engine.project.live import Live
from engine.project.maps import Maps
from engine.project.quality.audits import Audits
from engine.project.quality.by_class import ByClass
from engine.project.quality.checks import Checks
from engine.project.quality.goal import Goals
from engine.project.quality.learning_curve import LearningCurve
from engine.project.quality.measured import Measured
from engine.project.quality.suspicions import Suspicions
from engine.project.results import Results
from engine.project.review.grid import Grid
from engine.project.review.likeness import Likeness
from engine.project.review.lists import Lists
from engine.project.review.queue import Queue
from engine.project.review.signals import Signals
from engine.project.training import Training
from engine.project.upkeep import Upkeep
from engine.project.workspace import Workspace


class Project:
    """Where callers find the desks. Thread-safe. Close it when done, or use it in a `with` block.

    Attributes:
        root, store: the project's folder and its database.
        workspace: both, and the list of images.
        results, imports, labels, training, groups, live, maps, exports, upkeep: one desk a subject.
        queue, lists, grid, likeness, signals: the review.
        measured, suspicions, audits, checks, curve, goals, by_class: the quality.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.root, self.store = workspace.root, workspace.store
        self.results = Results(workspace)
        self.imports = Imports(workspace)
        self.training = Training(workspace)
        self.groups = Groups(workspace)
        self.live = Live(workspace, self.results, self.groups)
        self.maps = Maps(workspace, self.results)
        self.upkeep = Upkeep(workspace)
        self.measured = Measured(workspace, self.results)
        self.checks = Checks(workspace)
        self.suspicions = Suspicions(workspace, self.results, self.measured, self.checks)
        self.audits = Audits(workspace, self.results, self.live, self.measured, self.suspicions)
        self.labels = Labels(workspace, self.measured, self.audits, self.suspicions)
        self.signals = Signals(workspace)
        self.by_class = ByClass(workspace, self.results, self.measured, self.signals)
        self.curve = LearningCurve(workspace, self.results, self.live, self.measured)
        self.goals = Goals(
            workspace, self.results, self.measured, self.audits, self.suspicions, self.by_class, self.curve
        )
        self.exports = Exports(workspace, self.results, self.measured, self.audits, self.goals)
        self.lists = Lists(workspace, self.results, self.audits, self.checks, self.goals, self.by_class)
        self.likeness = Likeness(workspace)
        self.grid = Grid(workspace, self.results, self.signals, self.measured, self.likeness)
        self.queue = Queue(workspace, self.results, self.signals, self.lists, self.measured)

    @classmethod
    def create(cls, root: Path, name: str | None = None, *, url: str | None = None) -> Self:
        """Make an empty project in `root` and open it; see `Workspace.create`."""
        return cls(Workspace.create(root, name, url=url))

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False) -> Self:
        """Open the project in `root`; see `Workspace.open`."""
        return cls(Workspace.open(root, read_only=read_only))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush and close the database."""
        self.workspace.close()
