"""A project's checks: suspected labels by out-of-fold predictions, and images that look the same."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ConfigError
from engine.images import array_cache
from engine.quality import label_issues
from engine.review_records import CheckKind, CheckState, DuplicateGroup, LabelIssue
from engine.rounds import check_control

if TYPE_CHECKING:
    from engine.project import Project

KINDS: tuple[CheckKind, ...] = ("labels", "duplicates")


class Checks:
    """The checks of one project. Thread-safe; computing happens in processes of their own."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._issues: tuple[str, label_issues.Issues] | None = None
        self._stamps: dict[CheckKind, tuple[tuple[Any, ...], str]] = {}

    def start(self, kind: CheckKind) -> CheckState:
        """Start a check unless it runs; return where it stands.

        Raises:
            ConfigError: there is no such check, or nothing to check.
        """
        _known(kind)
        project = self._project
        items, labels = self._subject()
        spec = array_cache.recommend_spec(project.images())
        settings = {"size": spec.size, "channels": spec.channels, "ledger_seq": project.store.head_seq()}
        return check_control.start(project.root, kind, items, labels, project.classes(), settings)

    def state(self, kind: CheckKind) -> CheckState:
        """Return where a check stands."""
        _known(kind)
        return check_control.state(self._project.root, kind, self._stamp(kind))

    def cancel(self, kind: CheckKind) -> None:
        """End a check that runs; the last result stays."""
        _known(kind)
        check_control.cancel(self._project.root, kind)

    def label_issues(self) -> list[LabelIssue]:
        """Return the labels that the last check suspects and that nobody has decided since, most suspicious first."""
        found = check_control.read_labels(self._project.root)
        if found is None:
            return []
        with self._lock:
            kept = self._issues
        if kept is None or kept[0] != found.made:
            kept = (found.made, label_issues.find_issues(found.given, found.probabilities))
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
        found = check_control.read_duplicates(self._project.root)
        if found is None:
            return []
        table = self._project.label_table()
        groups = []
        for ids, similarity, exact in found.groups:
            rows = np.searchsorted(table.image_ids, np.array(ids, np.int64)).tolist()
            groups.append(DuplicateGroup(ids, tuple(table.label[row] for row in rows), similarity, exact))
        return sorted(groups, key=lambda one: (not one.differing, not one.exact, -one.similarity, one.image_ids))

    def looked_at(self, group: DuplicateGroup) -> bool:
        """Return whether every label of a group was given or confirmed since the check."""
        found = check_control.read_duplicates(self._project.root)
        if found is None:
            return False
        table = self._project.label_table()
        rows = np.searchsorted(table.image_ids, np.array(group.image_ids, np.int64))
        labeled = np.array([label is not None for label in table.label[rows]], bool)
        return bool((table.version[rows][labeled] > found.ledger_seq).all())

    def _subject(self) -> tuple[list[tuple[int, str]], dict[int, str]]:
        """Ids and hashes of all images, and the labels in force by image."""
        table = self._project.label_table()
        labels = {int(i): str(name) for i, name in zip(table.image_ids, table.label, strict=True) if name is not None}
        return [(item.id, item.sha256) for item in self._project.images()], labels

    def _stamp(self, kind: CheckKind) -> str:
        """What a check of this kind would look at now, kept as long as nothing has changed."""
        table = self._project.label_table()
        key = (kind, len(table.image_ids), int(table.version.max(initial=0)))
        with self._lock:
            kept = self._stamps.get(kind)
        if kept is None or kept[0] != key:
            kept = (key, check_control.stamp_of(kind, *self._subject()))
            with self._lock:
                self._stamps[kind] = kept
        return kept[1]


def _columns(issues: label_issues.Issues) -> tuple[list[int], list[int], list[float]]:
    return issues.rows.tolist(), issues.suggested.tolist(), issues.score.tolist()


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise ConfigError("There is no such check", value=kind, way_out=f"Use {' or '.join(KINDS)}.")
