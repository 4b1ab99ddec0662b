"""A project's checks: suspected labels by out-of-fold predictions, and images that look the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.errors import ConfigError, ProjectReadOnly, StarlingError
from engine.images import array_cache
from engine.jobs import check
from engine.quality import label_issues
from engine.records.quality import CheckKind, CheckState, DuplicateGroup, LabelIssue

if TYPE_CHECKING:
    from engine.project.opened import Project

KINDS: tuple[CheckKind, ...] = ("labels", "duplicates")
REJECT = "reject"

T = TypeVar("T")


class Checks:
    """The checks of one project. Thread-safe; computing happens in processes of their own."""

    def __init__(self, project: Project) -> None:
        self._project = project
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
        project = self._project
        if project.read_only:
            raise ProjectReadOnly(
                "The check was not started: the project is open read-only",
                way_out="Open it in a writable folder to check it.",
            )
        items, labels = self._subject()
        spec = array_cache.recommend_spec(project.images())
        settings = {"size": spec.size, "channels": spec.channels, "ledger_seq": project.store.head_seq()}
        try:
            return check.start(project.root, kind, items, labels, project.classes(), settings)
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
        return check.state(self._project.root, kind, self._stamp(kind))

    def cancel(self, kind: CheckKind) -> None:
        """End a check that runs; the last result stays."""
        _known(kind)
        check.cancel(self._project.root, kind)

    def label_issues(self) -> list[LabelIssue]:
        """Return the labels that the last check suspects and that nobody has decided since, most suspicious first."""
        found = self._result("labels", check.read_labels)
        if found is None:
            return []
        with self._lock:
            kept = self._issues
        if kept is None or kept[0] is not found:
            kept = (found, label_issues.find_issues(found.given, found.probabilities))
            with self._lock:
                self._issues = kept
        table = self._project.label_table()
        issues = []
        for row, suggested, score in zip(*_columns(kept[1]), strict=True):
            image_id, label = int(found.image_ids[row]), str(found.labels[row])
            at = int(np.searchsorted(table.image_ids, image_id))
            if table.version[at] > found.ledger_seq or table.label[at] != label or table.mark[at] is not None:
                continue
            said = found.probabilities[row]
            own = float(said[found.classes.index(label)])
            issues.append(
                LabelIssue(image_id, label, found.classes[suggested], own, float(said[suggested]), float(score))
            )
        return issues

    def duplicates(self) -> list[DuplicateGroup]:
        """Return groups of images that look the same with their labels now, those with different labels first."""
        found = self._result("duplicates", check.read_duplicates)
        if found is None:
            return []
        table = self._project.label_table()
        groups = []
        for ids, similarity, exact in found.groups:
            rows = np.searchsorted(table.image_ids, np.array(ids, np.int64)).tolist()
            groups.append(DuplicateGroup(ids, tuple(table.label[row] for row in rows), similarity, exact))
        return sorted(groups, key=lambda one: (not one.differing, not one.exact, -one.similarity, one.image_ids))

    def not_looked_at(self, groups: Iterable[DuplicateGroup]) -> list[DuplicateGroup]:
        """Return the groups of which not every label was given or confirmed since the check, in their order."""
        found = self._result("duplicates", check.read_duplicates)
        table = self._project.label_table()
        left = []
        for group in groups:
            rows = np.searchsorted(table.image_ids, np.array(group.image_ids, np.int64))
            labeled = np.array([label is not None for label in table.label[rows]], bool)
            if found is None or not (table.version[rows][labeled] > found.ledger_seq).all():
                left.append(group)
        return left

    def _result(self, kind: CheckKind, read: Callable[[Path], T | None]) -> T | None:
        """The last result of a check, read anew when its file is another one."""
        try:
            status = check.result_path(self._project.root, kind).stat()
        except OSError:
            return None
        key = (status.st_mtime_ns, status.st_size)
        with self._lock:
            kept = self._results.get(kind)
        if kept is not None and kept[0] == key:
            result: T = kept[1]
            return result
        found = read(self._project.root)
        if found is not None:
            with self._lock:
                self._results[kind] = (key, found)
        return found

    def _subject(self) -> tuple[list[tuple[int, str]], dict[int, str]]:
        """Ids and hashes of all images, and the labels in force by image, those of rejected images left out."""
        table = self._project.label_table()
        columns = zip(table.image_ids.tolist(), table.label, table.mark, strict=True)
        labels = {int(i): str(name) for i, name, mark in columns if name is not None and mark != REJECT}
        return [(item.id, item.sha256) for item in self._project.images()], labels

    def _stamp(self, kind: CheckKind) -> str:
        """What a check of this kind would look at now, kept as long as nothing has changed."""
        table = self._project.label_table()
        key = (kind, len(table.image_ids), int(table.version.max(initial=0)))
        with self._lock:
            kept = self._stamps.get(kind)
        if kept is None or kept[0] != key:
            kept = (key, check.stamp_of(kind, *self._subject()))
            with self._lock:
                self._stamps[kind] = kept
        return kept[1]


def _columns(issues: label_issues.Issues) -> tuple[list[int], list[int], list[float]]:
    return issues.rows.tolist(), issues.suggested.tolist(), issues.score.tolist()


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise ConfigError("There is no such check", value=kind, way_out=f"Use {' or '.join(KINDS)}.")
