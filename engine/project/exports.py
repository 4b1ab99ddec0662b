"""The desk of exports: the curated set as a file."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from engine import __version__
from engine.errors import ConfigError, ExportError, ProjectReadOnly
from engine.exporters import EXPORTERS, collect, huggingface, tables
from engine.exporters.bundle import FolderFiles, fill
from engine.exporters.collect import ExportOptions, FrozenLabeling, InForce
from engine.exporters.evidence import CERTIFICATE, FROZEN, TEXT, frozen_csv
from engine.exporters.hub import push_folder
from engine.exporters.provenance import Provenance, batches_of, origins
from engine.exporters.rows import ExportRow
from engine.exporters.split import SHARES, usual, with_splits
from engine.files import PARTIAL
from engine.project.export_files import ExportFiles
from engine.project.quality.audits import Audits
from engine.project.quality.goal import Goals
from engine.project.quality.measured import Measured
from engine.project.quality.replay import certified, replayed
from engine.project.results import Results, undecided
from engine.project.revisions import Revision, Revisions
from engine.project.workspace import Workspace, quiet, slug
from engine.quality import certificate, scale
from engine.quality.certificate import Freeze, Issued
from engine.records.labels import ImageItem, LabelState, LedgerEntry
from engine.records.progress import Progress
from engine.records.quality import AuditRecord
from engine.records.rounds import Predictions
from engine.store import LabelTable
from engine.store.database import GENESIS


@dataclass(frozen=True)
class _Gathered:
    """What an exporter is given."""

    rows: list[ExportRow]
    manifest: dict[str, object]
    entries: list[LedgerEntry]
    evidence: dict[str, bytes]


class Exports:
    """What leaves one project."""

    def __init__(
        self, workspace: Workspace, results: Results, measured: Measured, audits: Audits, goals: Goals
    ) -> None:
        self._workspace, self._results = workspace, results
        self._measured, self._audits, self._goals = measured, audits, goals
        self.revisions = Revisions(workspace)
        self.finished = ExportFiles(self.folder)

    def write(self, options: ExportOptions, progress: Progress = quiet, *, target: Path | None = None) -> Path:
        """Write an export file, all or nothing, and return its path.

        Args:
            options: what goes in, and the format.
            progress: told how far it is.
            target: the file to write; a new one in the project's exports folder when None.

        Raises:
            ProjectReadOnly: it is to be kept in a project that is open read-only.
            ExportError: pseudo-labels are wanted at a threshold that too few answers and no audit stand behind, or it
                could not be completed; nothing is left behind.
        """
        exporter, found = EXPORTERS[options.format], self._gathered(options)
        write = tables.write_guarded_csv if options.for_spreadsheets else exporter.write
        if target is None and self._workspace.store.read_only:
            raise ProjectReadOnly(
                "The project is open read-only, so an export cannot be kept in it",
                way_out="Name a file elsewhere: starling export PROJECT FILE.",
            )
        if target is None:
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
            target = self.folder / f"{slug(self._workspace.store.name) or 'project'}-{stamp}{exporter.suffix}"
        write(found.rows, self._workspace.root, target, found.manifest, found.entries, progress, found.evidence)
        if target.parent == self.folder:
            progress("Computing its SHA-256", 0, 0)
            self.finished.sha256(target.name)
        return target

    def push_to_hub(
        self,
        options: ExportOptions,
        repo: str,
        folder: Path,
        progress: Progress = quiet,
        *,
        private: bool = True,
        token: str | None = None,
    ) -> str:
        """Write the files of a Hugging Face export into a folder, put exactly these onto the Hub, return the address.

        Args:
            options: what goes in; the format is Hugging Face's, whatever they say.
            repo: "owner/name" of the data set there.
            folder: where the files are written; it must not exist. It stays, for a look and for another try.
            progress: told how far the writing is.
            private: whether a data set that is made is private.
            token: of the Hub; None for the one that is signed in.

        Raises:
            ConfigError: the folder exists, huggingface_hub is not installed, or the name of the data set is none.
            ExportError: as `write`, with no folder left; or the upload failed, with the folder whole.
        """
        if folder.exists():
            raise ConfigError("There is something at this place already", value=folder, way_out="Give a new folder.")
        found = self._gathered(replace(options, format="huggingface"))
        aside = folder.with_name(f".{folder.name}{PARTIAL}")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            files = FolderFiles(aside)
            fill(
                huggingface.LAYOUT, files, files, folder.name, found.rows, self._workspace.root, found.manifest,
                found.entries, progress, found.evidence,
            )  # fmt: skip
            aside.rename(folder)
        except OSError as error:
            raise ExportError("The export could not be written", value=f"{folder} ({error.strerror})") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return push_folder(folder, repo, private=private, token=token)

    def _gathered(self, options: ExportOptions) -> _Gathered:
        """What an export holds, read in one go."""
        refusal = self.refusal(options)
        if refusal is not None:
            raise refusal
        exporter, store = EXPORTERS[options.format], self._workspace.store
        self._workspace.hold_leftovers()
        revision = None if options.at is None else self.revisions.get(options.at)
        table = store.label_table()
        last = table.head if revision is None else revision.seq
        entries = list(itertools.takewhile(lambda entry: entry.seq <= last, store.entries()))
        predictions = self._pseudo_labels(options)
        splits = store.given_splits() | dict.fromkeys(store.test_split().tolist(), "test")
        behind = Provenance(origins(entries), store.batch_facts(), store.group_names(), splits, store.other_names())
        items = self._workspace.items()[: len(table.image_ids)]  # images imported meanwhile come last
        in_force = _in_force(table)
        if revision is not None:
            items = _items_at(items, revision)
            in_force = _in_force_at(items, store.states_at(revision.seq))
        rows = collect.collect(items, in_force, predictions, behind, options, self._frozen(options))
        shares = options.split
        if shares is None and exporter.measures and not any(usual(row.split) in ("val", "test") for row in rows):
            shares = SHARES
        if shares is not None:
            groups = store.groups()[table.rows(np.array([row.image_id for row in rows], np.int64))]
            rows = with_splits(rows, groups, shares, options.split_seed)
        manifest = self._manifest(options, predictions, rows, entries)
        manifest["split_made"] = None if shares is None else {"shares": list(shares), "seed": options.split_seed}
        manifest["revision"] = None if revision is None else {"name": revision.name, "seq": revision.seq}
        bare = revision is not None or options.for_spreadsheets
        evidence = {} if bare else self._evidence(options, rows, entries)
        return _Gathered(rows, manifest, entries, evidence)

    def counts(self, options: ExportOptions) -> dict[str, int]:
        """Return how many images of each label source an export would hold.

        Raises:
            ConfigError: there is no such revision.
        """
        table = self._workspace.store.label_table()
        if options.at is not None:
            revision = self.revisions.get(options.at)
            items = _items_at(self._workspace.items(), revision)
            then = _in_force_at(items, self._workspace.store.states_at(revision.seq))
            ids = np.array([item.id for item in items], np.int64)
            sources, marks = np.full(len(then), None, object), np.full(len(then), None, object)
            sources[:], marks[:] = [one.source for one in then], [one.mark for one in then]
            return collect.tally(ids, sources, marks, None, options)
        predictions, frozen = self._pseudo_labels(options), self._frozen(options)
        return collect.tally(table.image_ids, table.source, table.mark, predictions, options, frozen)

    def refusal(self, options: ExportOptions) -> ExportError | None:
        """Return why pseudo-labels at this threshold are refused; None where they are not, or there are none.

        A threshold is a promise of a share right. Behind it stand an audit of this threshold, or so many measured
        answers that confidences are written in tens of percent.
        """
        number = self._results.in_force() if options.round is None else options.round
        if "pseudo" not in options.sources or number is None or options.audit is not None:
            return None
        n, threshold = self._measured.scale(number).n, options.min_confidence
        if n >= scale.TENS or self._audits.covers(number, threshold):
            return None
        probabilities = undecided(self._workspace.store.label_table(), self._results.needed(number))[1]
        if not (probabilities.max(1) >= threshold).any():
            return None
        missing = scale.TENS - n
        possible = len(self._measured.upcoming(missing)) == missing
        audit = f"audit the threshold {threshold:g} under “Accept by threshold” on the Quality page"
        answer = f"Answer {missing:,} more random {'image' if missing == 1 else 'images'} on the Review page (show"
        return ExportError(
            f"Pseudo-labels of round {number} from a confidence of {threshold:g} are not exported: no audit of this "
            "threshold and too few measured answers stand behind it",
            value=f"{n:,} of {scale.TENS}",
            way_out=f"{answer} “Random images, asked blind”), or {audit}."
            if possible
            else f"{audit[0].upper()}{audit[1:]}.",
        )

    @property
    def folder(self) -> Path:
        """Where exports lie that were given no other place."""
        return self._workspace.root / "exports"

    def files(self) -> list[Path]:
        """Return the finished exports, the newest first."""
        return self.finished.paths()

    def _pseudo_labels(self, options: ExportOptions) -> Predictions | None:
        wanted = "pseudo" in options.sources and options.audit is None
        return self._results.predictions(options.round) if wanted else None

    def _frozen(self, options: ExportOptions) -> FrozenLabeling | None:
        """The labels of the audit that is to be exported; None where pseudo-labels are taken as they are now."""
        if options.audit is None:
            return None
        frozen, record = self._workspace.store.frozen_labels(options.audit), self._audits.get(options.audit).record
        labels = zip(frozen.image_ids.tolist(), frozen.label_code.tolist(), strict=True)
        return FrozenLabeling({image_id: frozen.names[code] for image_id, code in labels}, record.round)

    def audited(self) -> AuditRecord | None:
        """Return the audit that an export tells of: the last one of all labels that has a bound, else the last one with
        an answer; None without any."""
        answered = [one for one in self._audits.records() if one.ordinal is not None]
        whole = [one for one in answered if one.scope == "export"]
        shown = [one for one in whole if self._audits.get(one.number).total.shown]
        return next(iter([*shown, *whole, *answered]), None)

    def _evidence(
        self, options: ExportOptions, rows: Sequence[ExportRow], entries: Sequence[LedgerEntry]
    ) -> dict[str, bytes]:
        """What an audit has shown of these labels, as files; none where none was audited."""
        store = self._workspace.store
        record = self.audited() if options.audit is None else store.audit(options.audit)
        exported = {row.image_id: row.label for row in rows if row.label is not None}
        if record is None:
            return {}
        frozen = store.frozen_labels(record.number)
        if not np.isin(frozen.image_ids, list(exported)).any():
            return {}
        shas = {item.id: item.sha256 for item in self._workspace.items()}
        freeze = Freeze(
            record.number, record.scope, record.created, record.ledger_seq, record.ledger_hash, record.salt,
            record.digest, len(frozen), None if frozen.trusted is None else len(frozen.trusted),
            store.past_audits_answered(),
        )  # fmt: skip
        course, _ = replayed(freeze, record.alpha, frozen, entries)
        last = entries[-1] if entries else None
        issued = Issued(
            store.name, datetime.now(UTC).isoformat(timespec="seconds"), __version__, last.seq if last else 0,
            last.hash if last else GENESIS, record.round, None if record.round is None else self._model(record.round),
        )  # fmt: skip
        made = certified(course, entries, exported, freeze, self._goals.goal(), issued)
        columns = zip(frozen.image_ids.tolist(), frozen.label_code.tolist(), frozen.source_code.tolist(), strict=True)
        labels = ((one, shas[one], frozen.names[label], frozen.sources[source]) for one, label, source in columns)
        text = json.dumps(certificate.as_json(made), ensure_ascii=False, indent=1, allow_nan=False)
        return {CERTIFICATE: text.encode(), TEXT: certificate.as_text(made).encode(), FROZEN: frozen_csv(labels)}

    def _model(self, number: int) -> str:
        return f"round {number}, {self._workspace.store.round(number).algorithm}"

    def _manifest(
        self,
        options: ExportOptions,
        predictions: Predictions | None,
        rows: Sequence[ExportRow],
        entries: Sequence[LedgerEntry],
    ) -> dict[str, object]:
        """What the file says of itself: where it comes from, what is in it, how good it was measured to be."""
        store = self._workspace.store
        round_number = predictions.round if predictions is not None else None
        if options.audit is not None:
            round_number = store.audit(options.audit).round
        return {
            "project": store.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "starling": __version__,
            "ledger_seq": entries[-1].seq if entries else 0,
            "ledger_hash": entries[-1].hash if entries else "",
            "round": None if predictions is None else predictions.round,
            "sources": sorted(options.sources),
            "min_confidence": options.min_confidence if "pseudo" in options.sources else None,
            "images": None if options.images is None else len(options.images),
            "classes": list(store.classes()),
            "counts": collect.count(rows),
            "reviewed": sum(row.reviewed for row in rows),
            "measured": None if round_number is None else self._measured_right(round_number),
            "batches": batches_of(rows, store.batch_facts()),
        }

    def _measured_right(self, number: int) -> dict[str, object]:
        """How many of a round's predictions are right on the measured set; no share below 20 answers."""
        found = self._measured.accuracy(number)
        enough = found.n >= scale.SHARE
        return {
            "round": number, "n": found.n, "right": found.right, "share": found.value if enough else None,
            "low": found.low if enough else None, "high": found.high if enough else None,
            "method": f"{found.how}; two-sided 95 % interval",
        }  # fmt: skip


def _in_force(table: LabelTable) -> list[InForce]:
    """The labels in force, one an image in the order of the table."""
    columns = (table.label, table.source, table.round, table.confidence, table.reviewed, table.mark)
    return [
        InForce(
            label=label,
            source=source,
            round=int(number) if number > 0 else None,
            confidence=None if np.isnan(confidence) else float(confidence),
            reviewed=bool(reviewed),
            mark=mark,
        )
        for label, source, number, confidence, reviewed, mark in zip(*columns, strict=True)
    ]


def _items_at(items: Sequence[ImageItem], revision: Revision) -> list[ImageItem]:
    """The images that were there at a revision; all where nobody noted it."""
    return [item for item in items if revision.last_image is None or item.id <= revision.last_image]


def _in_force_at(items: Sequence[ImageItem], states: Mapping[int, LabelState]) -> list[InForce]:
    """The labels of a revision, one an image."""
    found = (states.get(item.id, LabelState(item.id)) for item in items)
    return [InForce(one.label, one.source, one.round, one.confidence, one.reviewed, one.mark) for one in found]
