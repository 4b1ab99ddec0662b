"""Store: one open project database. Thin: every method names what it delegates to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from engine.errors import EntriesLost, ProjectReadOnly
from engine.records.goal import Goal, GoalSet
from engine.records.imports import FoundImage, ImportResult, Refusal
from engine.records.labels import Ack, Decision, ImageItem, LabelState, LedgerEntry, ProjectCounts
from engine.records.quality import AuditRecord, BatchInfo, FrozenLabels, PastAudit
from engine.records.rounds import RoundRecord, RoundStateName
from engine.store import (
    asked_again,
    audit_draws,
    audits,
    backup,
    batches,
    database,
    goals,
    groups,
    images,
    imports,
    ledger,
    long_jobs,
    looks,
    measured,
    past_audits,
    people,
    projection,
    rounds,
    seals,
    undo,
    unfinished,
    verify,
    witness,
)
from engine.store.asked_again import AskedAgain
from engine.store.audit_draws import AuditNews
from engine.store.audits import AuditFields
from engine.store.facts import check_facts
from engine.store.groups import GroupsSet
from engine.store.label_table import LabelTable, LabelTableReader
from engine.store.measured import MeasuredAnswers, MeasuredDraws, MeasuredOrder
from engine.store.rows import plain
from engine.store.unfinished import Job, in_parts, write_down
from engine.store.writer import Writer

T = TypeVar("T")
Facts = Mapping[str, Any]


class Store:
    """An open project database; safe to use from many threads. Close it, or use it in a `with` block.

    Attributes:
        finished: what earlier processes had left and was done at the start, one sentence each.

    Reads see one snapshot each. Writes go through one thread and return once they are on disk; an error that
    says 'not saved' means that nothing of the call remains.
    """

    def __init__(self, opened: database.Database, witnessing: witness.Witness | None) -> None:
        self._database = opened
        self._witness = witnessing
        self._label_table = LabelTableReader(opened)
        self._groups = groups.GroupReader(opened)
        self._writer = None if opened.writers is None else Writer(opened, witnessing)
        self.name = self.meta("name") or ""
        self.finished: tuple[str, ...] = ()

    @classmethod
    def create(cls, url: str, name: str) -> Self:
        """Make a new, empty project database and open it.

        Raises:
            ProjectExists: one is already there.
            ProjectReadOnly: the folder is missing or cannot be written.
            ConfigError: the name is empty, too long, or holds a control character.
        """
        database.create(database.parse_url(url), name)
        return cls.open(url)

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, accept_loss: bool = False) -> Self:
        """Open a project database; an older one is copied to backups/ beside it, then upgraded.

        Raises:
            NotAProject, SchemaTooNew, ProjectCorrupt: it is not a project this program can use.
            EntriesLost: it is to be written, entries of its ledger were lost, and `accept_loss` is False.
            ProjectReadOnly: it cannot be written and `read_only` is False.
        """
        opened = database.open_database(database.parse_url(url), read_only=read_only)
        try:
            witnessing = witness.beside(opened)
            if witnessing is not None and not read_only:
                witness.settle(witnessing, opened, accept_loss=accept_loss)
            store = cls(opened, witnessing)
        except BaseException:
            opened.close()
            raise
        if not read_only:
            store.finish()
        return store

    def finish(self) -> None:
        """Do what earlier processes have left, as it is done when a project is opened; `finished` tells it in words."""
        self.finished += tuple(long_jobs.finish(self._read, self._write))

    def close(self) -> None:
        """Finish the writes that were handed in and let go of the database."""
        if self._writer is not None:
            self._writer.close()
        if self._witness is not None:
            self._witness.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """Whether every write is refused."""
        return self._writer is None

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._database.read() as connection:
            return work(connection)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise ProjectReadOnly(
                "not saved: the project is open read-only",
                way_out="Open it in a writable folder to change it.",
            )
        return self._writer

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._writing.do(work)

    # --- classes and images ---------------------------------------------------------------------------------

    def classes(self) -> tuple[str, ...]:
        """Return the class names in position order."""
        return self._read(images.read_classes)

    def add_class(self, name: str) -> None:
        """Add a class at the end; nothing happens when it is there. Raises ConfigError for a bad name."""
        self._write(lambda connection: images.add_classes(connection, [name]))

    def add_import(
        self,
        source: str,
        layout: str,
        images: Sequence[FoundImage],
        classes: Sequence[str],
        refused: Sequence[Refusal],
        grouped_by: str = "",
    ) -> ImportResult:
        """Add an import, all of it or nothing; see engine.store.imports for the rules.

        Raises:
            ImportRefused, ConfigError: nothing of it was written; see engine.store.imports.add_import.
            LedgerError: nothing of it was written; or it is saved in part and the rest is at the next start.
        """
        began = time.perf_counter()
        incoming = imports.Incoming(source, layout, images, classes, refused, grouped_by)
        if len(images) <= unfinished.PART:
            return self._write(lambda connection: imports.add_import(connection, incoming))
        self._read(lambda connection: imports.check(connection, incoming))
        parts = imports.parts_of(incoming)
        job, number = self._write(lambda connection: imports.begin_parts(connection, incoming, parts))
        result: ImportResult | None = self._carry_out(job)[1]
        if result is None:  # another process that opened the project was faster
            result = self._read(lambda connection: imports.read_result(connection, number))
        return replace(result, seconds=time.perf_counter() - began)

    def image(self, id: int) -> ImageItem:
        """Return one image. Raises ConfigError when there is none with this id."""
        return self.images([id])[0]

    def images(self, ids: Sequence[int] | None = None) -> list[ImageItem]:
        """Return images in the order of `ids`; all, ascending by id, when None. Raises as `image`."""
        return self._read(lambda connection: images.read_items(connection, ids))

    def image_ids(self) -> NDArray[np.int64]:
        """Return the ids of all images, (N,) int64 ascending; cannot be written."""
        return self.label_table().image_ids

    def newest_image(self) -> int:
        """Return the largest id of an image, 0 without any: it grows with every image that is added."""
        return self._read(images.read_newest)

    def truth(self) -> dict[int, str]:
        """Return the hidden labels of demos and benchmarks, by image id."""
        return self._read(images.read_truth)

    def given_splits(self) -> dict[int, str]:
        """Return "train", "val" or "test" by image id, where an import's source says it."""
        return self._read(images.read_given_splits)

    def other_names(self) -> dict[int, tuple[str, ...]]:
        """Return the further names that an image's content was imported under, by image id."""
        return self._read(images.read_other_names)

    def counts(self) -> ProjectCounts:
        """Return how many images are in which state."""
        return self._read(projection.count)

    # --- groups ---------------------------------------------------------------------------------------------

    def groups(self) -> NDArray[np.int64]:
        """Return the number (N,) of each image's group, in the order of `label_table().image_ids`; cannot be written.

        Images of one group share it, and an image without a group has a number of its own: the id of the group's
        first image. Read after a label table it may hold more images, at the end, than the table knew.
        """
        return self._groups.read()

    def set_groups(self, names: Mapping[int, str | None], how: str) -> int:
        """Put images into groups by name, or into none; return how many changed. See engine.store.groups."""
        return self._write(lambda connection: groups.write_groups(connection, names, how))

    def group_names(self) -> dict[int, str]:
        """Return the name of the group of each image that is in one, by image id."""
        return self._read(groups.read_group_names)

    def groups_set(self) -> list[GroupsSet]:
        """Return how groups came about: each time that some were set, oldest first."""
        return self._read(groups.read_groups_set)

    # --- ledger ---------------------------------------------------------------------------------------------

    def record(self, decisions: Sequence[Decision]) -> list[Ack]:
        """Record decisions; return one answer each, in order, once the saved ones are on disk."""
        return [ack for part in in_parts(decisions) for ack in self._writing.record(part)]

    def record_batch(self, decisions: Sequence[Decision], batch: str, facts: Facts | None = None) -> list[Ack]:
        """Record decisions that one undo takes back together, and their facts; see engine.store.batches.

        More than fit into one transaction are written down before the first is recorded: where the process dies, the
        rest is recorded at the next start.

        Raises:
            ConfigError: the batch id does not hold the digest of the facts; nothing is saved.
            LedgerError: nothing is saved; or it is in part, and the rest is at the next start.
        """
        of_batch = [replace(decision, batch=batch) for decision in decisions]
        if len(decisions) <= unfinished.PART and facts is None:
            return self._writing.record(of_batch)
        if len(decisions) <= unfinished.PART:
            return self._write(lambda connection: batches.record_batch(connection, of_batch, batch, facts))
        if facts is not None:
            check_facts(batch, facts)
        sound, flaws = ledger.sort_out(of_batch)
        if not sound:
            return [flaw for flaw in flaws if flaw is not None]
        parts = batches.parts_of(sound, batch, facts)
        job = self._write(lambda connection: write_down(connection, "batch", batch, parts))
        following = iter(self._recorded(job, sound))
        return [flaw or next(following) for flaw in flaws]

    def _recorded(self, job: Job, decisions: Sequence[Decision]) -> list[Ack]:
        """The answers to the decisions of a job."""
        acks: list[Ack] = []
        for part, answers in zip(in_parts(decisions), self._carry_out(job)[0], strict=True):
            acks += answers or self._read(lambda connection, part=part: ledger.answer_again(connection, part))  # type: ignore[misc]
        return acks

    def _carry_out(self, job: Job) -> tuple[list[Any], Any]:
        return long_jobs.carry_out(self._read, self._write, job)

    def undo(self, uid: str, actor: str, target: str | None = None, *, anyones: bool = False) -> list[Ack]:
        """Take back the actor's last decision or batch, or the one whose uid or batch is `target`.

        Args:
            uid: of the undo.
            actor: who takes back.
            target: the actor's own one, unless `anyones`.
            anyones: the actor is a reviewer, who takes back what others decided too.

        Raises:
            NothingToUndo: no such decision is left.
            LedgerError: another person decided it.
        """
        done = self._write(lambda connection: undo.undo(connection, uid, actor, target, anyones=anyones))
        if not isinstance(done, Job):
            return done
        answers = self._carry_out(done)[0]
        if None in answers:  # another process that opened the project did some of it
            return self._read(lambda connection: undo.answer_again(connection, uid))
        return [ack for part in answers for ack in part]

    def states(self, ids: Sequence[int] | None = None) -> list[LabelState]:
        """Return what is in force for the images that have entries, ascending by image id."""
        return self._read(lambda connection: projection.read_states(connection, ids))

    def label_table(self) -> LabelTable:
        """Return what is in force for all images as columns; the arrays are shared and cannot be written."""
        return self._label_table.read()

    def state_at(self, seq: int) -> dict[int, str]:
        """Return the labels in force once ledger entry `seq` was written, by image id."""
        return self._read(lambda connection: projection.read_labels_at(connection, seq))

    def states_at(self, seq: int) -> dict[int, LabelState]:
        """Return what was in force once ledger entry `seq` was written, by image id; only images with an entry."""
        return self._read(lambda connection: projection.read_states_at(connection, seq))

    def counts_at(self, seq: int) -> dict[str, Any]:
        """Return the fields of ProjectCounts for today's images once ledger entry `seq` was written."""
        return asdict(self._read(lambda connection: projection.count(connection, int(seq))))

    def head_seq(self) -> int:
        """Return the seq of the last ledger entry; 0 when there is none."""
        return self._read(ledger.read_head_seq)

    def history(
        self, image_id: int | None = None, limit: int = 50, before: int | None = None, **same: Unpack[ledger.Same]
    ) -> list[LedgerEntry]:
        """Return ledger entries, newest first; of one image, older than seq `before`, by `same`, where given."""
        return self._read(lambda connection: ledger.read_history(connection, image_id, limit, before, same))

    def entries(self) -> Iterator[LedgerEntry]:
        """Yield the whole ledger, oldest first, a page at a time."""
        last = 0
        while page := self._read(partial(ledger.read_after, seq=last)):
            yield from page
            last = page[-1].seq

    def batches(self, limit: int = 50, before: int | None = None, names: list[str] | None = None) -> list[BatchInfo]:
        """Return batches of people's decisions, newest first; only of smaller seq than `before`, only of `names`."""
        return self._read(lambda connection: batches.read_batches(connection, limit, before, names))

    def batch_facts(self) -> dict[str, dict[str, Any]]:
        """Return the facts of every batch that carries some, oldest first."""
        return self._read(batches.read_facts)

    def timings(self) -> people.Timings:
        """Return as columns who decided when and how long it took; undone decisions are left out."""
        return self._read(people.read_timings)

    def last_decided(self) -> dict[str, str]:
        """Return when each person last decided something, as ISO 8601 in UTC."""
        return self._read(people.read_last_decided)

    def relabeled(self) -> list[tuple[int, list[tuple[str, str, int]]]]:
        """Return the images on which people disagree, with each one's last label; see engine.store.people."""
        return self._read(people.read_relabeled)

    def asked_again(self) -> AskedAgain:
        """Return how often people's labels got another answer when they were asked again, blind."""
        return self._read(asked_again.read_asked_again)

    def verify(self) -> list[str]:
        """Return everything that is wrong with the stored data; empty when sound."""
        try:
            noted = None if self._witness is None else self._witness.read()  # before the ledger, which only grows
        except EntriesLost as error:
            return [str(error), *self._read(verify.find_problems)]
        lost = self._read(lambda connection: witness.find_loss(connection, noted))
        return [*([] if lost is None else [str(lost)]), *self._read(verify.find_problems)]

    def unsealed(self) -> list[str]:
        """Return what has no digest, because an earlier version wrote it, in words; it may be sound."""
        return self._read(verify.find_unsealed)

    def seal_all(self) -> None:
        """Give a digest, of what it is, to all that has none."""
        self._write(verify.seal_all)

    def classes_can_be_ordered(self) -> bool:
        """Return whether the classes' order can be restored where it was damaged; see engine.store.seals."""
        return self._read(seals.order_is_known)

    def reorder_classes(self) -> None:
        """Put the classes in the order in which they were added. Raises ProjectCorrupt if that is not their order."""
        self._write(seals.reorder_classes)

    def losses(self) -> list[dict[str, Any]]:
        """Return what the ledger lost and somebody accepted, oldest first; see engine.store.witness."""
        return self._read(witness.read_losses)

    def rebuild_projection(self) -> None:
        """Write what is in force anew from the ledger. Raises ProjectCorrupt when the ledger is damaged."""
        self._write(verify.rebuild_projection)
        self._label_table.forget()

    def unseen(self) -> NDArray[np.int64]:
        """Return the images, ascending, whose state in force nobody has looked at one by one."""
        return self._read(looks.read_unseen)

    def looked_between(self, after: int, until: int) -> int:
        """Return how many images a person labeled one by one after ledger entry `after` and up to `until`."""
        return self._read(lambda connection: looks.count_looked(connection, after, until))

    def imported(self) -> NDArray[np.int64]:
        """Return the images, ascending, that an import gave a label, whatever was decided of them since."""
        return self._read(looks.read_imported)

    def test_split(self) -> NDArray[np.int64]:
        """Return the images, ascending, that their source set apart to measure."""
        return self._read(images.read_test_split)

    # --- the measured set -----------------------------------------------------------------------------------

    def measured(self) -> MeasuredDraws:
        """Return the images that measure models, in the order drawn."""
        return self._read(measured.read_draws)

    def measured_answers(self) -> MeasuredAnswers:
        """Return what was answered, blind, of the images that measure models, in the order drawn."""
        return self._read(measured.read_answers)

    def apart(self) -> NDArray[np.int64]:
        """Return the images, ascending, that nothing may be trained on: measured set, test split, their groups."""
        measuring = self._read(measured.read_measuring)
        if not len(measuring):
            return measuring
        ids = self.image_ids()
        groups = self.groups()[: len(ids)]  # read later, it may know more images
        return ids[np.isin(groups, groups[np.searchsorted(ids, measuring)])]

    def measured_orders(self) -> list[MeasuredOrder]:
        """Return the orders along which images are drawn into the measured set, oldest first."""
        return self._read(measured.read_orders)

    def begin_measured(self) -> None:
        """Begin an order of the images that are in none yet, if there are any."""
        self._write(measured.begin_order)

    # --- audits ---------------------------------------------------------------------------------------------

    def add_audit(self, **fields: Unpack[AuditFields]) -> AuditRecord:
        """Open an audit of frozen labels. Raises LedgerError while another is open; see engine.store.audits."""
        return self._write(lambda connection: audits.add_audit(connection, fields))

    def audits(self) -> list[AuditRecord]:
        """Return all audits, oldest first."""
        return self._read(audits.read_audits)

    def audit(self, number: int) -> AuditRecord:
        """Return one audit. Raises LedgerError when there is none with this number."""
        return self._read(lambda connection: audits.read_audit(connection, number))

    def frozen_labels(self, number: int) -> FrozenLabels:
        """Return the labels that an audit froze. Raises as `audit`."""
        return self._read(lambda connection: audits.read_frozen(connection, number))

    def audit_news(self, number: int, place: int, seq: int) -> AuditNews:
        """Return an audit's draws from `place` on and what people said after entry `seq`, in one snapshot."""
        return self._read(lambda connection: audit_draws.read_news(connection, number, place, seq))

    def past_audits(self) -> list[PastAudit]:
        """Return the audits from before labels were frozen, oldest first."""
        return self._read(past_audits.read_past_audits)

    def past_audits_answered(self) -> int:
        """Return how many of those have an answer, and count among the audits of the project."""
        return self._read(past_audits.count_answered)

    def accept_audit(self, number: int, decisions: Sequence[Decision], batch: str, facts: Facts) -> list[Ack]:
        """Record what an audit lets in, its facts and its end, all or nothing. Raises LedgerError if not open.

        More than fits into one transaction is written down with the audit's end; see `record_batch`.
        """
        if len(decisions) > unfinished.PART:
            return self._accept_in_parts(number, decisions, batch, facts)
        return self._write(lambda connection: audits.accept_audit(connection, number, decisions, batch, facts))

    def _accept_in_parts(self, number: int, decisions: Sequence[Decision], batch: str, facts: Facts) -> list[Ack]:
        refused = self._read(lambda connection: ledger.find_refusals(connection, decisions))
        audits.refuse(refused, len(decisions))
        sound, _ = ledger.sort_out(decisions)
        parts = batches.parts_of(sound, batch, plain(facts), number)
        job = self._write(lambda connection: audits.begin_accept(connection, number, batch, facts, parts))
        return self._recorded(job, sound)

    def close_audit(self, number: int, facts: Facts | None = None) -> AuditRecord:
        """End an open audit. Raises LedgerError when it is not open."""
        return self._write(lambda connection: audits.close_audit(connection, number, facts))

    def audits_answered(self) -> int:
        """Return how many audits have an answer: what the next one's place follows."""
        return self._read(audit_draws.count_answered_audits)

    def reopen_audit(self, number: int) -> AuditRecord:
        """Take answers to a closed audit again. Raises LedgerError while another is open; see engine.store.audits."""
        return self._write(lambda connection: audits.reopen_audit(connection, number))

    # --- rounds ---------------------------------------------------------------------------------------------

    def queue_round(self, algorithm: str, config: Mapping[str, Any]) -> RoundRecord:
        """Queue a round that pins the ledger as it is now. Raises RoundActive when one is active."""
        return self._write(lambda connection: rounds.queue_round(connection, algorithm, config))

    def begin_live(self, algorithm: str, config: Mapping[str, Any]) -> RoundRecord:
        """Add a round in force that is written anew with each refit; see engine.store.rounds."""
        return self._write(lambda connection: rounds.begin_live(connection, algorithm, config))

    def update_live(
        self, number: int, *, token: str, report: Mapping[str, Any], seq: int, live: bool = True
    ) -> RoundRecord:
        """Replace a live round's report, or end it. Raises RoundState when fenced off or ended."""
        return self._write(lambda connection: rounds.update_live(connection, number, token, report, seq, live))

    def describe_live(self, number: int, *, token: str, config: Mapping[str, Any]) -> RoundRecord:
        """Replace a live round's settings. Raises RoundState when fenced off or ended."""
        return self._write(lambda connection: rounds.describe_live(connection, number, token, config))

    def transition(self, number: int, to: RoundStateName, *, token: str | None = None, **fields: Any) -> RoundRecord:
        """Move a round to another state and set fields. Raises RoundState for a move or token not allowed."""
        return self._write(lambda connection: rounds.transition(connection, number, to, token, fields))

    def update_progress(self, number: int, progress: Mapping[str, Any], *, token: str) -> None:
        """Replace what an active round last said of itself. Raises RoundState when fenced off or over."""
        self._write(lambda connection: rounds.update_progress(connection, number, progress, token))

    def rounds(self) -> list[RoundRecord]:
        """Return all rounds, oldest first."""
        return self._read(rounds.read_rounds)

    def round(self, number: int) -> RoundRecord:
        """Return one round. Raises RoundState when there is none with this number."""
        return self._read(lambda connection: rounds.read_round(connection, number))

    def active_round(self) -> RoundRecord | None:
        """Return the round that is queued, running or being cancelled; None when there is none."""
        return self._read(rounds.read_active)

    # --- the goal -------------------------------------------------------------------------------------------

    def goals(self) -> list[GoalSet]:
        """Return each time that the project's goal was set, oldest first."""
        return self._read(goals.read_goals)

    def set_goal(self, goal: Goal, actor: str) -> GoalSet:
        """Set the project's goal; what it was before stays on record."""
        return self._write(lambda connection: goals.write_goal(connection, goal, actor))

    # --- the rest -------------------------------------------------------------------------------------------

    def backup(self, target: Path) -> None:
        """Write a checked copy of the database to `target` while others write; replaces it at once or not."""
        backup.backup(self._database, target)

    def meta(self, key: str) -> str | None:
        """Return a setting of the project; None when it was never set."""
        return self._read(lambda connection: database.read_setting(connection, key))

    def set_meta(self, key: str, value: str) -> None:
        """Set a setting of the project. Raises ConfigError for the keys the store keeps for itself."""
        self._write(lambda connection: database.write_setting(connection, key, value))
