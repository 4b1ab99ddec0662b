"""Writes a live round: one that is fitted anew after every few answers, each refit recorded as other rounds' epochs.

It is of a fixed set of images. Its epochs hold all of them, since the labeled ones become more; features are recorded
once, with the first, and written anew where the images get better ones. Classes are added at the end as they get their
first label. What is in force is whatever the last refit wrote.

Kept of each fit are its predictions, of at most 60 of them, and no model: a fit takes milliseconds and follows from
labels.parquet and the features, so that the model of an earlier one is fitted again where it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine import __version__
from engine.errors import ProjectCorrupt, RoundError, RoundState, StarlingError
from engine.files import write_atomic, write_json
from engine.images.array_cache import ArraySpec
from engine.records.rounds import PoolCounts, RoundRecord, RoundReport, Verdict, WrittenFile
from engine.rounds.folder import digests, files, results
from engine.rounds.folder.digests import ROUND
from engine.rounds.folder.identity import folder_uid, make_room
from engine.rounds.folder.plan import RoundPlan, read_plan, round_folder
from engine.rounds.tracked import tracked_rows
from engine.rounds.worker.recorder import RoundRecorder

if TYPE_CHECKING:
    from engine.store import Store

ALGORITHM = "transductive"
MOST_EPOCHS = 60
"""Refits that stay recorded; beyond, every second one between the first and the last goes."""
IN_FORCE = (
    "In force at once: live labels are fitted anew after every few answers. Random images, asked without "
    "a prediction and never learned from, measure it."
)
FIRST_GUESS = "First guess, nothing measured."


@dataclass(frozen=True)
class Fit:
    """What a refit brought, of the N images of a live round, rows in the order of their ids.

    label: (N,) class index of each labeled image, −1 without one. rejected, drawn: (N,) bool; drawn: labels of images
    that were put up at random. probabilities: (N, K) as they are shown. sureness: (N,) 0..1, by which a queue goes.
    seq: the last ledger entry it knows. seconds: it took. guessed: no label says anything yet, only the class names do.
    """

    label: NDArray[np.int64]
    rejected: NDArray[np.bool_]
    drawn: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    sureness: NDArray[np.float32]
    seq: int
    seconds: float
    guessed: bool = False

    @property
    def roles(self) -> NDArray[np.object_]:
        """The role of each image, as in labels.parquet."""
        roles = np.where(self.label >= 0, "train", "unlabeled").astype(object)
        roles[self.rejected] = "excluded"
        return roles


class LiveRound:
    """One live round of a project: its record, its folder, what was recorded. One writer at a time.

    Attributes:
        ids: (N,) int64 of its images, ascending. classes: names, the order of columns. refits: how many are recorded.
    """

    def __init__(self, store: Store, record: RoundRecord, folder: Path, ids: NDArray[np.int64], shas: Sequence[str]):
        self.record, self.folder, self.ids, self._shas = record, folder, ids, shas
        ROUND.unseal(folder)
        self.classes: tuple[str, ...] = tuple(read_plan(folder).classes)
        self.refits = max(results.epochs(folder), default=0)
        self._store = store
        self._recorder = RoundRecorder(folder, record.token)
        self._flips = np.zeros(len(ids), np.int64)
        self._best: NDArray[np.int64] | None = None
        self._described: NDArray[np.float32] | None = None
        """Features that are those on the disk."""
        if self.refits:
            seen = results.trajectories(folder)
            self._flips, self._best = (np.diff(seen.classes, axis=0) != 0).sum(0), seen.classes[-1].astype(np.int64)

    @classmethod
    def begin(
        cls, store: Store, root: Path, ids: NDArray[np.int64], shas: Sequence[str], classes: Sequence[str],
        train: dict[str, Any], spec: ArraySpec,
    ) -> LiveRound:  # fmt: skip
        """Add a live round to the store and make its folder.

        Args:
            store: the project's database.
            root: the project's folder.
            ids, shas: (N,) of its images, ids ascending.
            classes: names of the classes that have a label, or that there is a guess of.
            train: settings that say where its features come from, as other rounds keep them.
            spec: size and channels of the project's arrays.
        """
        unwritten = [one for one in store.rounds() if one.live and one.report is None]  # making its folder had failed
        record = unwritten[0] if unwritten else store.begin_live(ALGORITHM, _settings(train))
        folder = round_folder(root, record.number)
        make_room(root, record.number, record.uid)
        for name in files.FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        plan = RoundPlan(
            algorithm=ALGORITHM, config={}, train=train, classes=list(classes), number=record.number,
            token=record.token, attempt=record.attempt, code_version=__version__, ledger_seq=record.ledger_seq,
            spec={"size": spec.size, "channels": spec.channels}, uid=record.uid,
        )  # fmt: skip
        write_json(folder / files.CONFIG, asdict(plan))
        live = cls(store, record, folder, ids, shas)
        live._recorder.event("started", durable=True, pid=os.getpid(), attempt=record.attempt)
        return live

    @classmethod
    def going_on(
        cls, store: Store, record: RoundRecord, folder: Path, ids: NDArray[np.int64], shas: Sequence[str]
    ) -> LiveRound | None:
        """Return the live round that an earlier process left; None where it is of other images, was never whole, can
        not be read, or its folder is another round's."""
        try:
            if (
                record.report is None
                or folder_uid(folder) != record.uid
                or sorted(results.roles(folder)) != ids.tolist()
            ):
                return None
            return cls(store, record, folder, ids, shas)
        except (StarlingError, OSError, ValueError, KeyError):
            return None

    def is_of(self, ids: NDArray[np.int64]) -> bool:
        """Return whether it is of these images."""
        return bool(np.array_equal(self.ids, ids))

    def describe(self, train: dict[str, Any]) -> None:
        """Go on with the features that these settings name: what was fitted before and measured since stays.

        Raises:
            RoundState: the round was ended, or belongs to another writer; its settings stay.
        """
        if self.record.config != _settings(train):
            self.record = self._store.describe_live(
                self.record.number, token=self.record.token, config=_settings(train)
            )
        plan = read_plan(self.folder)
        if plan.train != train:
            write_json(self.folder / files.CONFIG, asdict(replace(plan, train=train)))

    def add_classes(self, names: Sequence[str]) -> None:
        """Add classes that have their first label."""
        self.classes = (*self.classes, *names)
        plan = replace(read_plan(self.folder), classes=list(self.classes))
        write_json(self.folder / files.CONFIG, asdict(plan))

    def write(self, fit: Fit, features: NDArray[np.float32]) -> RoundReport:
        """Record a refit and bring it into force.

        Args:
            fit: K columns in the order of `classes`.
            features: (N, D) of the images; written where they are not those on the disk.

        Raises:
            OSError: it could not be written; what was in force stays so.
            RoundState: the round was ended, or belongs to another writer; of an ended one nothing is changed.
        """
        if not self._store.round(self.record.number).live:
            raise RoundState(f"round {self.record.number} is not live any more", way_out="Begin another live round.")
        epoch, roles = self.refits + 1, fit.roles
        label = np.where(fit.rejected, -1, fit.label)
        frame = pd.DataFrame(
            {"image_id": self.ids, "sha256": list(self._shas), "role": roles, "label": label, "drawn": fit.drawn,
             "stratum": np.int16(-1)}
        )  # fmt: skip
        write_atomic(self.folder / files.LABELS, lambda path: frame.to_parquet(path, index=False))
        self._recorder.epoch_predictions(epoch, self.ids, fit.probabilities)
        best = fit.probabilities.argmax(1)
        flips = self._flips if self._best is None else self._flips + (best != self._best)
        nothing = np.full(len(self.ids), np.nan, np.float32)
        signals = results.RoundSignals(
            self.ids, flips.astype(np.int16), nothing, np.full(len(self.ids), -1, np.int16), nothing, fit.sureness
        )
        if features is not self._described:
            if not self._recorded(features):
                self._describe_images(features, fit.probabilities, roles, label)
            self._described = features
        write_atomic(self.folder / files.SIGNALS, lambda path: signals.frame().to_parquet(path, index=False))
        name = files.live_predictions(epoch)
        digest = self._recorder.final_predictions(self.ids, roles, fit.probabilities, calibrated=False, name=name)
        free = roles == "unlabeled"
        report = RoundReport(
            algorithm=ALGORITHM,
            classes=self.classes,
            counts=PoolCounts(int((roles == "train").sum()), 0, int(free.sum())),
            histogram=tuple(np.bincount(best[free], minlength=len(self.classes)).tolist()),
            predictions=WrittenFile(name, digest),
            signals={"disagreement": 0, "bald": 0, "notes": []},
            seconds=round(fit.seconds, 4),
            seconds_per_epoch=round(fit.seconds, 4),
            device="CPU",
            epochs=epoch,
            attempts=1,
            verdict=Verdict(True, FIRST_GUESS if fit.guessed else IN_FORCE),
        )
        self._recorder.json(files.REPORT, report.to_json())
        metrics = {"labels": report.counts.train, "seconds": round(fit.seconds, 4)}
        self._recorder.event("epoch", phase="main", epoch=epoch, metrics=metrics)
        self._recorder.event("finished", durable=True)
        self.record = self._store.update_live(
            self.record.number, token=self.record.token, report=report.to_json(), seq=fit.seq
        )
        self.refits, self._best, self._flips = epoch, best, flips
        self._thin()
        return report

    def end(self) -> None:
        """Leave the round as its last refit wrote it: it is then a round like any other."""
        end_live(self._store, self.record, self.folder)
        self.close()

    def close(self) -> None:
        """Let go of its files; another process may go on with it."""
        self._recorder.close()

    def _recorded(self, features: NDArray[np.float32]) -> bool:
        """Whether these features (N, D) are those on the disk, to the digits that are kept."""
        try:
            kept = np.load(self.folder / files.FINAL_FEATURES)
        except (OSError, ValueError, EOFError):
            return False
        return np.array_equal(kept, features.astype(np.float16))

    def _tracked(self, roles: NDArray[np.object_], label: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the tracked images: those it tracks already."""
        try:
            return np.flatnonzero(np.isin(self.ids, results.tracked_ids(self.folder)))
        except RoundError:
            return tracked_rows(self._shas, roles, label)

    def _describe_images(
        self,
        features: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        roles: NDArray[np.object_],
        label: NDArray[np.int64],
    ) -> None:
        """Write what is the same at every refit of the same features: those of all images and of the tracked ones."""
        tracked = self._tracked(roles, label)
        self._recorder.array(files.TRACKED_IDS, self.ids[tracked])
        self._recorder.array(files.epoch_student(1), probabilities[tracked].astype(np.float16))
        self._recorder.array(files.epoch_features(1), features[tracked].astype(np.float16))
        self._recorder.array(files.FINAL_FEATURES, features.astype(np.float16))  # last: it says that all are there

    def _thin(self) -> None:
        """Remove every second recorded refit but the first and the last where there are too many, and predictions but
        for the last two fits': somebody may be reading those before."""
        for epoch in files.recorded(self.folder, files.live_predictions)[:-2]:
            (self.folder / files.live_predictions(epoch)).unlink(missing_ok=True)
        recorded = results.epochs(self.folder)
        if len(recorded) > MOST_EPOCHS:
            for epoch in recorded[1:-1:2]:
                (self.folder / files.epoch_predictions(epoch)).unlink(missing_ok=True)


def _settings(train: dict[str, Any]) -> dict[str, Any]:
    """A live round's settings as the store keeps those of every round; the model itself has none."""
    return {"algorithm": {}, "train": train}


def end_live(store: Store, record: RoundRecord, folder: Path) -> None:
    """End a live round as its folder has it; one that never wrote anything is no round in force."""
    report = {} if record.report is None else record.report.to_json()
    if folder_uid(folder) == record.uid:
        with suppress(
            ProjectCorrupt, OSError, ValueError, KeyError, TypeError
        ):  # it can not be read: what the store knows counts
            report = results.read_report(folder).to_json()  # a process killed since may not have told the store
            digests.seal(folder)
    store.update_live(record.number, token=record.token, report=report, seq=record.ledger_seq, live=False)
