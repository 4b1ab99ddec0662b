"""A project: every call the app and the command line make. Thin; the rooms do the work."""

from __future__ import annotations

import fcntl
import itertools
import json
import re
import shutil
import threading
import time
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from engine import __version__
from engine.errors import NotAProject, ProjectExists, ProjectReadOnly, RoundError, RoundState
from engine.exporters import EXPORTERS, collect
from engine.exporters.collect import ExportOptions, InForce
from engine.exporters.provenance import batches_of
from engine.exporters.rows import ExportRow
from engine.images import thumbnails
from engine.importers.scan import ImportSource, discard, place, scan
from engine.jobs import timing
from engine.project import options
from engine.project.maps import Maps
from engine.project.quality.measured import Quality
from engine.project.review.queue import Reviews
from engine.records.imports import FoundImage, ImportPreview, ImportResult
from engine.records.labels import Ack, Decision, ImageItem, LedgerEntry, ProjectCounts
from engine.records.progress import Progress
from engine.records.rounds import COMPLETE_STATES, RESUMABLE_STATES, Predictions, RoundRecord
from engine.rounds.folder import results
from engine.rounds.supervisor import prepare
from engine.store import LabelTable, Store

if TYPE_CHECKING:
    from engine.project.advice import AugmentationPreview
    from engine.training.recommend import Recommendation

DATABASE = "project.db"
FOLDERS = ("images", "thumbs", "cache", "staging", "rounds", "map", "exports", "backups")


def quiet(label: str, done: int, total: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, slots=True)
class TrueAccuracy:
    """Predictions against labels hidden at import: n images never used to train, tune or select; correct of them."""

    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """Fraction right, 0..1; 0 when there is nothing to compare."""
        return self.correct / self.n if self.n else 0.0


class Project:
    """One project folder, open. Thread-safe. Close it when done.

    Attributes:
        root: the project's folder.
        store: its database.
    """

    def __init__(self, root: Path, store: Store, *, read_only: bool = False) -> None:
        self.root = root
        self.store = store
        self.read_only = read_only
        self._uid = store.meta("uid") or ""
        self._lock = threading.Lock()
        self._predictions: dict[int, Predictions] = {}
        self._items: list[ImageItem] = []
        self._leftovers: IO[str] | None = None
        self._maps = Maps(self)
        self._reviews = Reviews(self)
        self._quality = Quality(self)

    @classmethod
    def create(cls, root: Path, name: str | None = None, *, url: str | None = None) -> Project:
        """Make an empty project in `root` and open it.

        Args:
            root: a folder that does not exist yet or is empty.
            name: shown to people; the folder's name when None.
            url: database URL when it is not the SQLite file inside `root`.

        Raises:
            ProjectExists: `root` holds a project, or other files.
            ProjectReadOnly: the folder cannot be written.
        """
        root = root.expanduser().resolve()
        if (root / DATABASE).exists():
            raise ProjectExists(
                "There is already a project here", value=root, way_out="Open it, or choose another folder."
            )
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise ProjectExists(
                "The folder for a new project must be empty", value=root, way_out="Choose another folder."
            )
        try:
            for folder in FOLDERS:
                (root / folder).mkdir(parents=True, exist_ok=True)
            if url is not None:
                (root / "database.url").write_text(url)
                (root / "database.url").chmod(0o600)
        except OSError as error:
            raise ProjectReadOnly(
                f"The project's folder cannot be written ({error.strerror})",
                value=root,
                way_out="Choose another folder.",
            ) from error
        store = Store.create(url or f"sqlite:///{root / DATABASE}", name or root.name)
        store.set_meta("uid", uuid.uuid4().hex)
        return cls(root, store)

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False) -> Project:
        """Open the project in `root`; leftovers of an import that was cut off are removed.

        Raises:
            NotAProject: the folder does not exist or holds no project.
            SchemaTooNew, ProjectCorrupt, ProjectReadOnly: see there.
        """
        root = root.expanduser().resolve()
        url_file = root / "database.url"
        if not (root / DATABASE).is_file() and not url_file.is_file():
            raise NotAProject(
                "There is no project in this folder",
                value=root,
                way_out="Import a set with “starling import PROJECT PATH”, or try “starling demo”.",
            )
        url = url_file.read_text().strip() if url_file.is_file() else f"sqlite:///{root / DATABASE}"
        project = cls(root, Store.open(url, read_only=read_only), read_only=read_only)
        if not read_only:
            for folder in FOLDERS:
                (root / folder).mkdir(exist_ok=True)
        return project

    def close(self) -> None:
        """Flush and close the database."""
        if self._leftovers is not None:
            self._leftovers.close()
        self.store.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def uid(self) -> str:
        """An id no other project has."""
        return self._uid

    @property
    def name(self) -> str:
        """The project's name as shown."""
        return self.store.name

    # what is in it ------------------------------------------------------------------------------------------------

    def counts(self) -> ProjectCounts:
        """Return how many images are labeled, and by whom."""
        return self.store.counts()

    def classes(self) -> tuple[str, ...]:
        """Return the class names in display order."""
        return self.store.classes()

    def add_class(self, name: str) -> tuple[str, ...]:
        """Add a class (once) and return all classes."""
        self.store.add_class(name.strip())
        return self.store.classes()

    def images(self, ids: Sequence[int] | None = None) -> list[ImageItem]:
        """Return images by id, all of them (ascending by id, a shared list) when `ids` is None."""
        if ids is not None:
            return self.store.images(ids)
        with self._lock:
            if len(self._items) != self.store.counts().images:  # images are only ever added
                self._items = self.store.images()
            return self._items

    def thumbnail_bytes(self, image_id: int) -> bytes:
        """Return a small re-encoded picture of an image."""
        return thumbnails.thumbnail_bytes(self.root, self.store.image(image_id).sha256)

    def display_bytes(self, image_id: int) -> bytes:
        """Return a large re-encoded picture of an image, never its original bytes."""
        return thumbnails.display_bytes(self.root, self.store.image(image_id).sha256)

    # import -------------------------------------------------------------------------------------------------------

    def scan(self, source: ImportSource, progress: Progress = quiet) -> ImportPreview:
        """Look at what a source holds. Nothing is written to the project but staged files, which `discard` removes.

        Raises:
            ImportRefused: the source as a whole is not acceptable; nothing is left behind.
        """
        self._hold_leftovers()
        return scan(source, self.root / "staging", progress)

    def discard(self, preview: ImportPreview) -> None:
        """Throw away what a scan staged."""
        discard(preview)

    def commit_import(
        self, preview: ImportPreview, progress: Progress = quiet, *, use_labels: bool = True
    ) -> ImportResult:
        """Take the scanned images and labels into the project, in one transaction.

        Args:
            preview: from `scan`.
            progress: told how far it is.
            use_labels: False imports every image without a label.
        """
        began = time.monotonic()
        found = preview.found
        if not use_labels:
            found = tuple(_without_label(image) for image in found)
        place(preview, self.root, progress)
        progress("Writing to the project", 0, 0)
        names = sorted(preview.counts, key=_natural) if use_labels else []
        result = self.store.add_import(preview.source, preview.layout, found, names, preview.refused)
        discard(preview)
        return replace(result, seconds=time.monotonic() - began)

    # labels -------------------------------------------------------------------------------------------------------

    def decide(self, decisions: Sequence[Decision], batch: str | None = None) -> list[Ack]:
        """Record decisions in the ledger; the answers come after the commit.

        Args:
            decisions: each is recorded or refused on its own.
            batch: records them in one transaction under one batch id, taken back by one undo.
        """
        if batch is not None:
            return self.store.record_batch(decisions, batch)
        return self.store.record(decisions)

    def undo(self, uid: str, actor: str, target: str | None = None) -> list[Ack]:
        """Take back the person's last decision, or the decision or batch with the uid `target`."""
        return self.store.undo(uid, actor, target)

    def history(self, image_id: int | None = None, limit: int = 50) -> list[LedgerEntry]:
        """Return the newest ledger entries first."""
        return self.store.history(image_id, limit)

    def label_table(self) -> LabelTable:
        """Return what is in force for every image, as arrays that are shared: copy before changing."""
        return self.store.label_table()

    # rounds -------------------------------------------------------------------------------------------------------

    def check_round(self, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> None:
        """Raise RoundBlocked, DeviceMissing or ConfigError if this round could not run."""
        prepare.check_round(self.store, algorithm, dict(config), dict(train))

    def queue_round(self, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> RoundRecord:
        """Queue a round at the ledger's present state; the engine thread starts it.

        Raises:
            RoundBlocked: the data do not allow it.
            RoundActive: another round is queued or running.
            DeviceMissing: the device asked for is not here.
        """
        self.check_round(algorithm, config, train)
        record = self.store.queue_round(algorithm, options.whole_settings(algorithm, config, train))
        timing.SHARED.drop_all()
        return record

    def cancel_round(self, number: int) -> RoundRecord:
        """Ask a queued or running round to stop; what it has done so far is kept."""
        record = self.store.round(number)
        if record.state == "queued":
            return self.store.transition(number, "cancelled", token=record.token)
        if record.state == "running":
            return self.store.transition(number, "cancelling", token=record.token)
        if record.state == "cancelling":
            return record
        raise RoundState("This round is not running", value=f"round {number} is {record.state}")

    def resume_round(self, number: int) -> RoundRecord:
        """Queue a stopped round again; it continues from its last checkpoint with the same split and labels.

        Raises:
            RoundState: it is complete or running.
            RoundActive: another round is queued or running.
        """
        record = self.store.round(number)
        if record.state not in RESUMABLE_STATES:
            raise RoundState("Only a stopped round can be resumed", value=f"round {number} is {record.state}")
        record = self.store.transition(number, "queued", token=record.token)
        timing.SHARED.drop_all()
        return record

    def recommendation(self) -> Recommendation | None:
        """Return what to train first on the images and labels as they are now; None while there is no image."""
        from engine.project import advice

        return advice.recommendation(self.root, self.images(), self.label_table(), self.classes())

    def time_round(self, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> timing.Timing:
        """Return about how long a round would take, as far as that is known; what is not is timed meanwhile.

        Raises:
            ConfigError: a setting is outside its range.
        """
        from engine.project import advice

        settings = (algorithm, config, train)
        return advice.time_round(self.root, self.images(), self.label_table(), len(self.classes()), settings)

    def augmentation_preview(
        self, train: Mapping[str, Any], count: int = 6, copies: int = 3, seed: int = 0
    ) -> AugmentationPreview:
        """Return pictures of some of the project's images as they are, and of weak and strong views of them.

        Args:
            train: the shared settings; the augmentation is theirs.
            count: how many images, labeled ones of different classes first.
            copies: views of each image and kind.
            seed: another one draws other images and other views.

        Raises:
            ConfigError: a setting is outside its range, or there are no images.
            DecodeError: an original is gone or changed.
        """
        from engine.project import advice

        return advice.augmentation_preview(self.root, self.images(), self.label_table(), train, (count, copies, seed))

    def rounds(self) -> list[RoundRecord]:
        """Return all rounds, oldest first."""
        return self.store.rounds()

    def round(self, number: int) -> RoundRecord:
        """Return one round."""
        return self.store.round(number)

    def active_round(self) -> RoundRecord | None:
        """Return the round that is queued or running, if any."""
        return self.store.active_round()

    def round_dir(self, number: int) -> Path:
        """Return the folder of a round."""
        return self.root / "rounds" / f"{number:04d}"

    def curves(self, number: int) -> dict[str, list[Any]]:
        """Return a round's metrics by epoch, also while it runs."""
        return results.curves(self.round_dir(number))

    def round_in_force(self) -> int | None:
        """Return the last promoted round; without one, None."""
        promoted = [record.number for record in self.rounds() if record.state == "promoted"]
        return max(promoted, default=None)

    def rounds_with_predictions(self) -> list[RoundRecord]:
        """Return the rounds whose final predictions can be shown, oldest first."""
        return [record for record in self.rounds() if record.state in COMPLETE_STATES]

    def predictions(self, number: int | None = None) -> Predictions | None:
        """Return a complete round's calibrated predictions, of the round in force when `number` is None.

        Raises:
            RoundError: that round has none.
        """
        wanted = self.round_in_force() if number is None else number
        if wanted is None:
            return None
        with self._lock:
            cached = self._predictions.get(wanted)
        if cached is not None:
            return cached
        if self.store.round(wanted).state not in COMPLETE_STATES:
            raise RoundError(
                "This round has no final predictions",
                value=f"round {wanted}",
                way_out="Let it finish, or choose another.",
            )
        found = results.final_predictions(self.round_dir(wanted))
        with self._lock:
            self._predictions = {wanted: found, **dict(list(self._predictions.items())[-1:])}
        return found

    def true_accuracy(self, number: int) -> TrueAccuracy | None:
        """Compare a round's predictions with labels hidden at import, over images that were unlabeled in it.

        Returns:
            None where the project has no hidden labels.
        """
        truth = self.store.truth()
        found = self.predictions(number)
        if not truth or found is None:
            return None
        roles = results.roles(self.round_dir(number))
        best = found.probabilities.argmax(1)
        right = total = 0
        for image_id, column in zip(found.image_ids.tolist(), best.tolist(), strict=True):
            hidden = truth.get(image_id)
            if hidden is not None and roles.get(image_id) == "unlabeled":
                total += 1
                right += found.classes[column] == hidden
        return TrueAccuracy(right, total)

    # review -------------------------------------------------------------------------------------------------------

    @property
    def reviews(self) -> Reviews:
        """The project's review queues and what is shown beside an image."""
        return self._reviews

    @property
    def quality(self) -> Quality:
        """What is known of how good the project's labels and predictions are."""
        return self._quality

    # map ----------------------------------------------------------------------------------------------------------

    @property
    def maps(self) -> Maps:
        """The project's maps."""
        return self._maps

    def epochs(self, number: int) -> list[int]:
        """Return the epochs of a round that have recorded predictions."""
        return results.epochs(self.round_dir(number))

    def epoch_predictions(self, number: int, epoch: int) -> tuple[Any, Any, Any]:
        """Return image ids int64, class index int16 and confidence float32 of one epoch's unlabeled images."""
        return results.epoch_predictions(self.round_dir(number), epoch)

    def round_classes(self, number: int) -> tuple[str, ...]:
        """Return the class names a round was started with, in its column order."""
        return tuple(json.loads((self.round_dir(number) / "config.json").read_text())["classes"])

    # out ----------------------------------------------------------------------------------------------------------

    def export(self, options: ExportOptions, progress: Progress = quiet, *, target: Path | None = None) -> Path:
        """Write an export file, all or nothing, and return its path.

        Args:
            options: what goes in, and the format.
            progress: told how far it is.
            target: the file to write; a new one in the project's exports folder when None.

        Raises:
            ExportError: it could not be completed; nothing is left behind.
        """
        exporter = EXPORTERS[options.format]
        self._hold_leftovers()
        table = self.label_table()
        head = int(table.version.max(initial=0))
        entries = list(itertools.takewhile(lambda entry: entry.seq <= head, self.store.entries()))
        rows = self._export_rows(options, table, entries)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        name = f"{slug(self.name) or 'project'}-{stamp}{exporter.suffix}"
        target = target if target is not None else self.root / "exports" / name
        found = self.predictions(options.round) if "pseudo" in options.sources else None
        report = None if found is None else self.store.round(found.round).report
        manifest = {
            "project": self.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "starling": __version__,
            "ledger_seq": entries[-1].seq if entries else 0,
            "ledger_hash": entries[-1].hash if entries else "",
            "round": found.round if found is not None else None,
            "sources": sorted(options.sources),
            "min_confidence": options.min_confidence if "pseudo" in options.sources else None,
            "images": None if options.images is None else len(options.images),
            "classes": list(self.classes()),
            "counts": collect.count(rows),
            "heldout": None if report is None else asdict(report.heldout),
            "batches": batches_of(rows, entries, self.store.batch_facts()),
        }
        exporter.write(rows, self.root, target, manifest, entries, progress)
        return target

    def export_counts(self, options: ExportOptions) -> dict[str, int]:
        """Return how many images of each label source an export would hold."""
        table = self.label_table()
        found = self.predictions(options.round) if "pseudo" in options.sources else None
        return collect.tally(table.image_ids, table.source, table.mark, found, options)

    def _export_rows(
        self, options: ExportOptions, table: LabelTable, entries: Sequence[LedgerEntry]
    ) -> list[ExportRow]:
        columns = (
            table.label, table.source, table.round, table.confidence, table.reviewed, table.version, table.mark,
        )  # fmt: skip
        in_force = [
            InForce(
                label,
                source,
                int(number) if number > 0 else None,
                None if np.isnan(p1) else float(p1),
                bool(seen),
                int(seq),
                mark,
            )
            for label, source, number, p1, seen, seq, mark in zip(*columns, strict=True)
        ]
        found = self.predictions(options.round) if "pseudo" in options.sources else None
        by_seq = {entry.seq: entry for entry in entries}
        items = self.images()[: len(in_force)]  # images imported meanwhile come last
        return collect.collect(items, in_force, found, by_seq, options)

    def backup(self, target: Path) -> Path:
        """Write a verified copy of the database (all labels and rounds) while work goes on."""
        self.store.backup(target)
        return target

    def doctor(self, progress: Progress = quiet) -> list[str]:
        """Check the database, the ledger's chain and every original's bytes; return the problems found."""
        problems = self.store.verify()
        items = self.images()
        for done, item in enumerate(items):
            if done % 500 == 0:
                progress("Checking originals", done, len(items))
            fault = thumbnails.verify_original(self.root, item.sha256)
            if fault:
                problems.append(f"image {item.id} ({item.name}): {fault}")
        return problems

    def sweep(self) -> None:
        """Remove what imports and exports that were cut off have left, unless one runs in any process."""
        with open(self.root / "staging.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
            self._sweep()

    def _hold_leftovers(self) -> None:
        """Keep other processes from sweeping what this one stages, until the project is closed."""
        with self._lock:
            if self._leftovers is None:
                self._leftovers = open(self.root / "staging.lock", "a")  # noqa: SIM115 - held until close
                fcntl.flock(self._leftovers, fcntl.LOCK_SH)

    def _sweep(self) -> None:
        for leftover in [*(self.root / "staging").glob("*"), *(self.root / "exports").glob(".*.partial")]:
            shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def slug(name: str) -> str:
    """Return a name fit for a folder and a URL: lower-case letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60]


def new_uid() -> str:
    """Return a fresh uid for a decision."""
    return uuid.uuid4().hex


def _without_label(image: FoundImage) -> FoundImage:
    return replace(image, label=None)


def _natural(name: str) -> tuple[Any, ...]:
    """Sort key: “2” before “10”."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name))


def as_json(value: Any) -> dict[str, Any]:
    """Return a record as plain JSON data."""
    return asdict(value)
