"""The review queue: which images a person looks at next, and what is shown of each.

One request takes the label table and the predictions once, chains image ids (picked by the strategy, then the rest,
then those imported after the round), and draws the items once.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.ids import id_array, rows_of
from engine.project.quality.measured import AHEAD, Measured
from engine.project.results import Results, top_classes
from engine.project.review.lists import Listed, Lists
from engine.project.review.ref import UNREVIEWED, QueueRef, chosen
from engine.project.review.signals import Signals
from engine.project.workspace import Workspace
from engine.quality import scale
from engine.query import QUERY_STRATEGIES, Picks, Pool, available, pick, random_order
from engine.records.quality import Scale
from engine.records.review import Beside, ReviewItem
from engine.records.rounds import Predictions
from engine.store import LabelTable

DEFAULT = "least_sure"
YOUNG = 3
"""Labels a class, on average, up to which typical images come first where a live model could order them already."""
RESERVED = 20
"""Images of the measured set that are kept for it, so that no other question about them comes first; of few images
one in so many."""
MORE = 100
"""Images of the measured set that are offered once there are as many as say the most."""
PLANNED = 200
"""Images picked at once: a diverse set is chosen as a whole, and the page then takes from it piece by piece."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image of a queue. top: what is shown in place of the round's own prediction. blind: nothing is shown. asked:
    by which audit; see `ReviewItem`."""

    image_id: int
    why: str
    score: float | None = None
    blind: bool = False
    beside: tuple[Beside, ...] = ()
    top: tuple[tuple[str, float], ...] | None = None
    asked: str | None = None


@dataclass(frozen=True)
class _Plan:
    """Picks made together: which question they answer, and image ids in order."""

    question: tuple[Any, ...]
    ids: NDArray[np.int64]
    picks: Picks

    def still(self, wanted: NDArray[np.int64]) -> _Plan:
        """Return the plan without the images that are not wanted any more."""
        left = np.isin(self.ids, wanted)
        why = tuple(text for text, stays in zip(self.picks.why, left.tolist(), strict=True) if stays)
        picks = Picks(self.picks.rows[left], self.picks.scores[left], why)
        return _Plan(self.question, self.ids[left], picks)


class Queue:
    """The review queue of one project. Thread-safe."""

    def __init__(
        self, workspace: Workspace, results: Results, signals: Signals, lists: Lists, measured: Measured
    ) -> None:
        self._store, self._results, self._signals, self._lists = workspace.store, results, signals, lists
        self._measured = measured
        self._lock = threading.Lock()
        self._plan: _Plan | None = None
        self._available: tuple[tuple[Any, ...], dict[str, str]] | None = None

    def next(
        self,
        strategy: str = DEFAULT,
        limit: int = 20,
        *,
        number: int | None = None,
        ref: QueueRef = UNREVIEWED,
        exclude: Collection[int] = (),
        among: Collection[int] | None = None,
        actor: str | None = None,
    ) -> tuple[list[ReviewItem], int]:
        """Return the images to look at next, and how many match in all (the excluded ones counted).

        Args:
            strategy: a key of QUERY_STRATEGIES; a list has its own order.
            limit: how many items at most.
            number: the round whose predictions rank and are shown; the round in force when None.
            ref: which images.
            exclude: image ids the page holds already.
            among: only these images; all when None.
            actor: who asks: an audit's second look at an image is better taken by another person than its first.

        Raises:
            ConfigError: no such strategy, or it needs what this round has not recorded.
            LedgerError: there is no such audit.
        """
        table, predictions = self._store.label_table(), self._results.predictions(number)
        waiting = self._measured.waiting()
        if ref.kind == "measured":
            return self._measured_set(waiting, exclude, limit, table)
        if ref.kind == "audit":
            asked, total = self._lists.asked(ref, limit, exclude, actor)
            entries = [_Entry(one.image_id, one.why, blind=True, asked=one.asked) for one in asked]
            return self._items(entries, table, None), total
        if ref.is_list:
            listed = [one for one in self._lists.entries(ref, number) if one.image_id not in waiting]
            shown = [one for one in listed if one.image_id not in exclude][:limit]
            return self._items(self._listed(shown, table, predictions), table, predictions), len(listed)
        if strategy not in QUERY_STRATEGIES:
            known = ", ".join(QUERY_STRATEGIES)
            raise ConfigError("There is no such query strategy", value=strategy, way_out=f"Use {known}.")
        held, coming = id_array(exclude), waiting
        if ref == UNREVIEWED and among is None:
            coming = self._coming(waiting)
        wanted = table.image_ids[chosen(table, ref, among) & ~table.among(coming)]
        part = None if among is None else hash(frozenset(among))
        model = number if predictions is None else (predictions.round, predictions.version)
        described = None if predictions is not None else self._signals.source()
        question = (strategy, model, described, ref, part, len(self._store.classes()), len(table.image_ids))
        plan = self._kept_plan(question, wanted, held, limit)
        pool = None
        if plan is None:
            pool = self._pool(table, predictions, wanted)
            plan = self._new_plan(question, strategy, pool, max(limit, PLANNED) + len(held))
        entries = _picked(plan, held, limit)
        if len(entries) < limit:
            pool = pool or self._pool(table, predictions, wanted)
            entries += _rest(pool, {*exclude, *plan.ids.tolist()}, limit - len(entries))
        if len(entries) < limit and predictions is not None:
            entries += _unseen(predictions, wanted, held, limit - len(entries))
        if ref == UNREVIEWED and among is None:
            entries = self._between(entries, coming, held, limit, table)
            wanted = table.image_ids[table.undecided | table.among(waiting)]
        return self._items(entries, table, predictions), len(wanted)

    def _measured_set(
        self, waiting: NDArray[np.int64], exclude: Collection[int], limit: int, table: LabelTable
    ) -> tuple[list[ReviewItem], int]:
        """The next images of the measured set, and how many there are to the next number of answers that says more."""
        answered = len(self._store.measured().image_ids) - len(waiting)
        left = next((size for size in scale.SIZES if size > answered), answered + MORE) - answered
        following = np.concatenate([waiting, self._measured.upcoming(AHEAD)])[:left]
        shown = following[~table.among(exclude)[table.rows(following)]][:limit]
        return self._items([_blind(image_id) for image_id in shown.tolist()], table, None), len(following)

    def _coming(self, waiting: NDArray[np.int64]) -> NDArray[np.int64]:
        """Images of the measured set as they are asked: those drawn that wait for an answer, then the next ones."""
        kept = min(RESERVED, len(self._store.image_ids()) // RESERVED)
        return np.concatenate([waiting, self._measured.upcoming(AHEAD)[:kept]])

    def _between(
        self, entries: list[_Entry], coming: NDArray[np.int64], held: NDArray[np.int64], limit: int, table: LabelTable
    ) -> list[_Entry]:
        """The entries with images of the measured set between them, as many as are due by each place; at the end of
        all, those that nobody has looked at yet."""
        answered = len(self._store.measured().image_ids) - len(self._measured.waiting())
        to_answer = table.undecided | table.among(self._measured.waiting())
        looked_at = int((table.reviewed | table.marked).sum())
        looked_at += int(((to_answer | table.among(coming)) & table.among(held)).sum())
        soon = coming[~np.isin(coming, held)].tolist()
        placed, others = answered + len(coming) - len(soon), list(entries)
        between: list[_Entry] = []
        for place in range(limit):
            if soon and self._measured.due(looked_at + place + 1) > placed:
                between.append(_blind(soon.pop(0)))
                placed += 1
            elif others:
                between.append(others.pop(0))
        last = id_array(soon)
        last = last[to_answer[table.rows(last)]][: limit - len(between)]
        return between + [_blind(image_id) for image_id in last.tolist()]

    def forget_plan(self) -> None:
        """Pick anew next time."""
        with self._lock:
            self._plan = None

    def strategies(self, number: int | None = None) -> dict[str, str]:
        """Return for each query strategy why it cannot be used with this round; "" where it can."""
        table, predictions = self._store.label_table(), self._results.predictions(number)
        key = (predictions and (predictions.round, predictions.version), len(table.image_ids), table.head)
        with self._lock:
            cached = self._available
        # before a round, a map may bring features any time
        if cached is None or cached[0] != key or predictions is None:
            wanted = table.image_ids[table.undecided]
            cached = (key, available(self._pool(table, predictions, wanted)))
            with self._lock:
                self._available = cached
        return cached[1]

    def item(self, image_id: int, number: int | None = None) -> ReviewItem:
        """Return one image as the review page shows it. Raises ConfigError when there is none with this id."""
        image_id = self._store.image(image_id).id
        entry = _Entry(image_id, "Opened again")
        if image_id in self._store.measured().image_ids:  # corrected ones too
            entry = _blind(image_id)
        elif (asked := self._lists.asks_blind(image_id)) is not None:
            entry = _Entry(image_id, entry.why, blind=True, asked=asked)
        entries = [entry]
        return self._items(entries, self._store.label_table(), self._results.predictions(number))[0]

    def figures(self, image_ids: Collection[int], number: int | None = None) -> list[ReviewItem]:
        """Return images as `item` does, several at once, for what a round says of them now and how that is written.

        Images that the measured set or an audit asks about blind are left out, and ids that there are none of.

        Args:
            image_ids: whose.
            number: the round; the one in force when None.
        """
        known = id_array(image_ids)
        known = known[np.isin(known, self._store.image_ids()) & ~np.isin(known, self._store.measured().image_ids)]
        entries = [_Entry(one, "") for one in known.tolist() if self._lists.asks_blind(one) is None]
        return self._items(entries, self._store.label_table(), self._results.predictions(number))

    def _kept_plan(
        self, question: tuple[Any, ...], wanted: NDArray[np.int64], held: NDArray[np.int64], limit: int
    ) -> _Plan | None:
        """The last plan, if it answers this question and enough of it is still wanted and not on the page."""
        with self._lock:
            plan = self._plan
        if plan is None or plan.question != question:
            return None
        plan = plan.still(wanted)
        return plan if int((~np.isin(plan.ids, held)).sum()) >= limit else None

    def _new_plan(self, question: tuple[Any, ...], strategy: str, pool: Pool, count: int) -> _Plan:
        picks = pick(strategy, pool, count)
        plan = _Plan(question, pool.ids[picks.rows], picks)
        with self._lock:
            self._plan = plan
        return plan

    def _pool(self, table: LabelTable, predictions: Predictions | None, wanted: NDArray[np.int64]) -> Pool:
        """What is known of the wanted images (ids ascending) that a strategy may pick from."""
        classes = self._store.classes() if predictions is None else predictions.classes
        columns = max(1, len(classes))
        if predictions is None:
            probabilities = np.full((len(wanted), columns), 1 / columns, np.float32)
        else:
            rows, predicted = rows_of(wanted, predictions.image_ids)
            wanted, probabilities = wanted[predicted], predictions.probabilities[rows[predicted]]
        label = table.class_index(classes)
        known = label >= 0
        described = self._signals.features_of(predictions, wanted, table.image_ids[known])
        features, feature_rows, labeled_features = described or (None, None, None)
        recorded = self._signals.of(predictions, wanted)
        return Pool(
            ids=wanted,
            probabilities=probabilities,
            features=features,
            feature_rows=feature_rows,
            labeled_features=labeled_features,
            flips=recorded.flips,
            disagreement=recorded.disagreement,
            bald=recorded.bald,
            teacher=recorded.teacher,
            sureness=recorded.sureness,
            classes=tuple(classes) or ("?",),
            trained=predictions is not None,
            young=self._young(table, predictions),
        )

    def _young(self, table: LabelTable, predictions: Predictions | None) -> bool:
        """Whether predictions are a live model's that knows few labels: of some classes it may know none yet."""
        live = {one.number for one in self._store.rounds() if one.live}
        if predictions is None or predictions.round not in live:
            return False
        return int(table.labeled.sum()) < YOUNG * len(self._store.classes())

    def _items(self, entries: Sequence[_Entry], table: LabelTable, predictions: Predictions | None) -> list[ReviewItem]:
        """The entries' images with label state and prediction, in their order."""
        ids = id_array([entry.image_id for entry in entries])
        rows = table.rows(ids)
        columns, predicted = rows_of(ids, predictions.image_ids if predictions is not None else ids[:0])
        items = []
        for entry, image, row, column, has_prediction in zip(
            entries, self._store.images(ids.tolist()), rows.tolist(), columns.tolist(), predicted.tolist(), strict=True
        ):
            top, number = entry.top, None
            if top is None:
                top = top_classes(predictions, column if has_prediction and not entry.blind else None)
                number = predictions.round if predictions is not None and top else None
            items.append(
                ReviewItem(
                    image_id=image.id, name=image.name, width=image.width, height=image.height,
                    version=int(table.version[row]), label=None if entry.blind else table.label[row],
                    source=None if entry.blind else table.source[row],
                    mark=table.mark[row], prediction=top[0][0] if top else None, confidence=top[0][1] if top else None,
                    top=top, score=entry.score, why=entry.why, round=number, blind=entry.blind, beside=entry.beside,
                    asked=entry.asked,
                )
            )  # fmt: skip
        scales = {number: self._measured.scale(number) for number in {item.round for item in items} if number}
        return [_written(item, scales.get(item.round or 0)) for item in items]

    def _listed(self, listed: Sequence[Listed], table: LabelTable, predictions: Predictions | None) -> list[_Entry]:
        """Entries of a list, with the prediction each one is about in place of the round's own."""
        examples = self._examples(listed, table, predictions)
        entries = []
        for one in listed:
            top = None if one.suggested is None else ((one.suggested, float(one.confidence or 0.0)),)
            beside = one.beside or examples.get(one.image_id, ())
            entries.append(_Entry(one.image_id, one.why, one.score, beside=beside, top=top))
        return entries

    def _examples(
        self, listed: Sequence[Listed], table: LabelTable, predictions: Predictions | None
    ) -> dict[int, tuple[Beside, ...]]:
        """For images whose label something contradicts: the nearest image with that label, and with the other one."""
        asked: dict[str, list[int]] = {}
        labels = table.label[table.rows(id_array([one.image_id for one in listed]))]
        for one, label in zip(listed, labels.tolist(), strict=True):
            if one.suggested is not None and label is not None and not one.beside:
                for name in dict.fromkeys((label, one.suggested)):
                    asked.setdefault(name, []).append(one.image_id)
        beside: dict[int, tuple[Beside, ...]] = {}
        for label, ids in asked.items():
            for image_id, near in self._signals.nearest_with(ids, label, predictions).items():
                beside[image_id] = (*beside.get(image_id, ()), Beside(near.image_id, label, "nearest with this label"))
        return beside


def _written(item: ReviewItem, written: Scale | None) -> ReviewItem:
    """The item with its confidence as it is written; that of no round is not."""
    if written is None or item.confidence is None:
        return item
    step = int(scale.steps(written, np.array(item.confidence)))
    names, shares = zip(*item.top, strict=True)
    return replace(item, top=tuple(zip(names, scale.bars(written, shares), strict=True)), scale=written, step=step)


def _blind(image_id: int) -> _Entry:
    return _Entry(image_id, "Drawn at random and asked without a prediction: it measures the model", blind=True)


def _picked(plan: _Plan, held: NDArray[np.int64], limit: int) -> list[_Entry]:
    """The first images of a plan that the page does not hold."""
    ids, picks = plan.ids, plan.picks
    return [
        _Entry(int(ids[row]), picks.why[row], float(picks.scores[row]))
        for row in np.flatnonzero(~np.isin(ids, held))[:limit].tolist()
    ]


def _rest(pool: Pool, exclude: Collection[int], limit: int) -> list[_Entry]:
    """Images that the strategy knows nothing of, least confident first."""
    picks = pick("least_confidence", pool, limit, exclude=exclude)
    return [_Entry(int(pool.ids[row]), why) for row, why in zip(picks.rows.tolist(), picks.why, strict=True)]


def _unseen(predictions: Predictions, wanted: NDArray[np.int64], held: NDArray[np.int64], limit: int) -> list[_Entry]:
    """Images imported after the round, in random order."""
    later = wanted[~np.isin(wanted, predictions.image_ids) & ~np.isin(wanted, held)]
    order = later[np.argsort(random_order(later), kind="stable")][:limit]
    why = f"Imported after round {predictions.round}: it has no prediction yet"
    return [_Entry(image_id, why) for image_id in order.tolist()]
