"""A project's checks: suspected labels by out-of-fold predictions, and images that look the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, StarlingError
from engine.jobs import check
from engine.project.workspace import Workspace
from engine.quality import label_issues
from engine.records.quality import CheckKind, CheckState, DuplicateGroup, LabelIssue

KINDS: tuple[CheckKind, ...] = ("labels", "duplicates")

T = TypeVar("T")


class Checks:
    """The checks of one project. Thread-safe; computing happens in processes of their own."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._store = workspace, workspace.store
        self._lock = threading.Lock()
        self._issues: tuple[check.LabelCheck, label_issues.Issues] | None = None
        self._results: dict[CheckKind, tuple[tuple[int, int], Any]] = {}
        self._stamps: dict[CheckKind, tuple[tuple[Any, ...], str]] = {}

    def start(self, kind: CheckKind) -> CheckState:
        """Start a check unless it runs; return where it stands.

        Raises:
            ConfigError: there is no such check.
            RoundBlocked: there is nothing to check.
            ProjectReadOnly: the project is open read-only; nothing was written.
            StarlingError: its process or its files could not be made.
        """
        _known(kind)
        self._workspace.need_writable()
        items, labels = self._subject()
        spec = self._workspace.array_spec()
        settings = {"size": spec.size, "channels": spec.channels, "ledger_seq": self._store.head_seq()}
        classes, groups = self._store.classes(), self._groups()
        try:
            return check.start(self._workspace.root, kind, items, labels, classes, settings, groups)
        except OSError as error:
            raise StarlingError(
                "The check could not be started",
                value=error,
                way_out="Make room on the disk or free some memory, see that the project's folder can be written, and "
                "start it again.",
            ) from error

    def state(self, kind: CheckKind) -> CheckState:
        """Return where a check stands."""
        _known(kind)
        return check.state(self._workspace.root, kind, self._stamp(kind))

    def cancel(self, kind: CheckKind) -> None:
        """End a check that runs; the last result stays. Raises ProjectReadOnly as `start`."""
        _known(kind)
        self._workspace.need_writable()
        check.cancel(self._workspace.root, kind)

    def label_issues(self) -> list[LabelIssue]:
        """Return the labels that the last check suspects and that nobody has decided since, most suspicious first."""
        result = self._result("labels", check.read_labels)
        if result is None:
            return []
        with self._lock:
            cached = self._issues
        if cached is None or cached[0] is not result:
            cached = (result, label_issues.find_issues(result.given, result.probabilities))
            with self._lock:
                self._issues = cached
        table = self._store.label_table()
        issues = []
        for row, suggested, score in zip(*_columns(cached[1]), strict=True):
            image_id, label = int(result.image_ids[row]), str(result.labels[row])
            at = int(np.searchsorted(table.image_ids, image_id))
            if table.version[at] > result.ledger_seq or table.label[at] != label or table.marked[at]:
                continue
            confidences = result.probabilities[row]
            given = float(confidences[result.classes.index(label)])
            issues.append(
                LabelIssue(
                    image_id=image_id, given=label, suggested=result.classes[suggested], given_confidence=given,
                    suggested_confidence=float(confidences[suggested]), score=float(score),
                )
            )  # fmt: skip
        return issues

    def version(self) -> tuple[int, int] | None:
        """Return what changes when another check of the labels has ended; None before the first."""
        try:
            status = check.result_path(self._workspace.root, "labels").stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def contradicted(self) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
        """Return how much the last check contradicts each label that it judged.

        Returns:
            Image ids (n,) ascending, 1 − the out-of-fold probability of the label (n,), not calibrated, and the ledger
            entry that the labels are of: later ones were not judged. Nothing where no check was made.
        """
        result = self._result("labels", check.read_labels)
        if result is None:
            return np.empty(0, np.int64), np.empty(0), 0
        doubt = 1.0 - result.probabilities[np.arange(len(result.given)), result.given].astype(np.float64)
        return result.image_ids, np.clip(doubt, 0.0, 1.0), result.ledger_seq

    def duplicates(self) -> list[DuplicateGroup]:
        """Return groups of images that look the same with their labels now, those with different labels first."""
        result = self._result("duplicates", check.read_duplicates)
        if result is None:
            return []
        table = self._store.label_table()
        groups = []
        for ids, similarity, exact in result.groups:
            labels = table.label[table.rows(np.array(ids, np.int64))]
            groups.append(DuplicateGroup(ids, tuple(labels.tolist()), similarity, exact))
        return sorted(groups, key=lambda one: (not one.differing, not one.exact, -one.similarity, one.image_ids))

    def not_looked_at(self, groups: Iterable[DuplicateGroup]) -> list[DuplicateGroup]:
        """Return the groups of which not every label was given or confirmed since the check, in their order."""
        result = self._result("duplicates", check.read_duplicates)
        table = self._store.label_table()
        left = []
        for group in groups:
            rows = table.rows(np.array(group.image_ids, np.int64))
            if result is None or not (table.version[rows][table.labeled[rows]] > result.ledger_seq).all():
                left.append(group)
        return left

    def _result(self, kind: CheckKind, read: Callable[[Path], T | None]) -> T | None:
        """The last result of a check, read anew when its file is another one."""
        try:
            status = check.result_path(self._workspace.root, kind).stat()
        except OSError:
            return None
        key = (status.st_mtime_ns, status.st_size)
        with self._lock:
            cached = self._results.get(kind)
        if cached is not None and cached[0] == key:
            last: T = cached[1]
            return last
        result = read(self._workspace.root)
        if result is not None:
            with self._lock:
                self._results[kind] = (key, result)
        return result

    def _subject(self) -> tuple[list[tuple[int, str]], dict[int, str]]:
        """Ids and hashes of all images, and the labels in force by image, those of rejected images left out."""
        table = self._store.label_table()
        chosen = table.labeled & ~table.rejected
        labels = dict(zip(table.image_ids[chosen].tolist(), table.label[chosen].tolist(), strict=True))
        return [(item.id, item.sha256) for item in self._workspace.items()], labels

    def _groups(self) -> dict[int, int]:
        """Number of the group of each image that shares one, by image id."""
        ids, groups = self._store.image_ids(), self._store.groups()
        groups = groups[: len(ids)]
        _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
        shared = counts[number] > 1
        return dict(zip(ids[: len(groups)][shared].tolist(), groups[shared].tolist(), strict=True))

    def _stamp(self, kind: CheckKind) -> str:
        """What a check of this kind would look at now, kept as long as nothing has changed."""
        table = self._store.label_table()
        key = (kind, len(table.image_ids), table.head, len(self._store.groups_set()))
        with self._lock:
            cached = self._stamps.get(kind)
        if cached is None or cached[0] != key:
            cached = (key, check.stamp_of(kind, *self._subject(), self._groups()))
            with self._lock:
                self._stamps[kind] = cached
        return cached[1]


def _columns(issues: label_issues.Issues) -> tuple[list[int], list[int], list[float]]:
    return issues.rows.tolist(), issues.suggested.tolist(), issues.score.tolist()


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise ConfigError("There is no such check", value=kind, way_out=f"Use {' or '.join(KINDS)}.")
