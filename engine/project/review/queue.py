"""A project's review: which images a person looks at next, what is shown beside them, the grid."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.project.review.grid import KINDS, chosen, grid
from engine.project.review.lists import Listed, Lists, is_list
from engine.project.review.signals import Signals
from engine.query import QUERY_STRATEGIES, Picks, Pool, available, pick, random_order
from engine.records.labels import LabelState
from engine.records.review import Beside, Conflict, GridTable, ImageContext, ReviewItem
from engine.records.rounds import Predictions

if TYPE_CHECKING:
    from engine.project.opened import Project

DEFAULT = "mixture"
PLANNED = 200
"""Images picked at once: a diverse set is chosen as a whole, and the page then takes from it piece by piece."""


@dataclass(frozen=True)
class _Plan:
    """Picks made together: which question they answer, and image ids in order."""

    key: tuple[Any, ...]
    ids: NDArray[np.int64]
    picks: Picks


class Reviews:
    """The review queues of one project. Thread-safe."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._plan: _Plan | None = None
        self._available: tuple[tuple[Any, ...], dict[str, str]] | None = None
        self.signals = Signals(project)
        self.lists = Lists(project)

    # queue --------------------------------------------------------------------------------------------------------

    def queue(
        self,
        strategy: str = DEFAULT,
        limit: int = 20,
        *,
        number: int | None = None,
        only: str = "unreviewed",
        exclude: Collection[int] = (),
        among: Collection[int] | None = None,
    ) -> tuple[list[ReviewItem], int]:
        """Return the images to look at next, and how many match in all (the excluded ones counted).

        Args:
            strategy: a key of QUERY_STRATEGIES; a list ("issues", "conflicts", "audit:<n>") has its own order.
            limit: how many items at most.
            number: the round whose predictions rank and are shown; the round in force when None.
            only: "unreviewed" (no label, no mark), "marked" (skipped, unsure, flagged, rejected), "labeled", "all",
                "selection" (with `among`), or a list.
            exclude: image ids the page holds already.
            among: only these images; all when None.

        Raises:
            ConfigError: no such strategy or list, or the strategy needs what this round has not recorded.
        """
        if is_list(only):
            listed = self.lists.entries(only, number)
            left = [entry for entry in listed if entry.image_id not in exclude]
            return self._listed_items(left[:limit], number), len(listed)
        if only not in KINDS:
            raise ConfigError("There is no such queue", value=only, way_out=f"Use {', '.join(KINDS)}.")
        if strategy not in QUERY_STRATEGIES:
            known = ", ".join(QUERY_STRATEGIES)
            raise ConfigError("There is no such query strategy", value=strategy, way_out=f"Use {known}.")
        table = self._project.label_table()
        wanted = table.image_ids[chosen(table, only, among)]
        found = self._project.predictions(number)
        part = only if among is None else f"{only} {hash(frozenset(among))}"
        ids, picks = self._picked(strategy, wanted, found, (part, limit, exclude))
        whole = only == "unreviewed" and among is None  # else chance would choose from a part only
        rows = np.flatnonzero(~np.isin(ids, np.fromiter(exclude, np.int64, len(exclude))))[:limit]
        items = self._items(ids[rows], found)
        items = [
            replace(item, score=float(picks.scores[row]), why=picks.why[row], random=whole and bool(picks.random[row]))
            for row, item in zip(rows.tolist(), items, strict=True)
        ]
        if len(items) < limit:
            items += self._rest(wanted, found, limit - len(items), {*exclude, *ids.tolist()})
        if len(items) < limit and found is not None:
            items += self._unseen(wanted, found, limit - len(items), exclude)
        return items, len(wanted)

    def _rest(
        self, wanted: NDArray[np.int64], found: Predictions | None, limit: int, exclude: Collection[int]
    ) -> list[ReviewItem]:
        """Images that the strategy knows nothing of, least confident first."""
        pool = self.pool(wanted, found)
        picks = pick("least_confidence", pool, limit, exclude=exclude)
        items = self._items(pool.ids[picks.rows], found)
        return [replace(item, why=why) for item, why in zip(items, picks.why, strict=True)]

    def forget_plan(self) -> None:
        """Pick anew next time."""
        with self._lock:
            self._plan = None

    def _picked(
        self,
        strategy: str,
        wanted: NDArray[np.int64],
        found: Predictions | None,
        asked: tuple[str, int, Collection[int]],
    ) -> tuple[NDArray[np.int64], Picks]:
        """Picks that are still wanted, by image id; made anew when too few of the last ones are left."""
        only, limit, exclude = asked
        number = None if found is None else found.round
        key = (strategy, number, only, len(self._project.classes()), self._project.counts().images)
        with self._lock:
            plan = self._plan
        if plan is not None and plan.key == key:
            keep = np.isin(plan.ids, wanted)
            fresh = int(keep.sum()) - int(np.isin(plan.ids[keep], list(exclude)).sum())
            if fresh >= limit:
                return plan.ids[keep], _taken(plan.picks, keep)
        pool = self.pool(wanted, found)
        picks = pick(strategy, pool, max(limit, PLANNED) + len(exclude))
        plan = _Plan(key, pool.ids[picks.rows], picks)
        with self._lock:
            self._plan = plan
        return plan.ids, picks

    def _unseen(
        self, wanted: NDArray[np.int64], found: Predictions, limit: int, exclude: Collection[int]
    ) -> list[ReviewItem]:
        """Images imported after the round, in random order."""
        later = wanted[~np.isin(wanted, found.image_ids)]
        later = later[~np.isin(later, np.fromiter(exclude, np.int64, len(exclude)))]
        chosen = later[np.argsort(random_order(later), kind="stable")][:limit]
        text = f"Imported after round {found.round}: it has no prediction yet"
        return [replace(item, why=text) for item in self._items(chosen, None)]

    def pool(self, wanted: NDArray[np.int64], found: Predictions | None) -> Pool:
        """Return what is known of images (ids ascending) that a strategy may pick from."""
        table, classes = self._project.label_table(), self._project.classes()
        if found is not None:
            wanted = wanted[np.isin(wanted, found.image_ids)]
            classes = found.classes
        place = {name: at for at, name in enumerate(classes)}
        labeled = np.array([place.get(label, -1) for label in table.label], np.int64)
        known = labeled >= 0
        counts = np.bincount(labeled[known], minlength=max(1, len(classes)))
        near, labeled_near, labeled_rows = self.signals.features_of(found, wanted, table.image_ids[known])
        said = self.signals.of(found, wanted)
        uniform = np.full((len(wanted), max(1, len(classes))), 1 / max(1, len(classes)), np.float32)
        return Pool(
            ids=wanted,
            probabilities=uniform if found is None else found.probabilities[np.searchsorted(found.image_ids, wanted)],
            features=near,
            labeled_features=labeled_near,
            labeled=None if labeled_rows is None else labeled[known][labeled_rows],
            class_counts=counts,
            flips=said.flips,
            disagreement=said.disagreement,
            bald=said.bald,
            teacher=said.teacher,
            classes=tuple(classes) or ("?",),
            trained=found is not None,
        )

    def strategies(self, number: int | None = None) -> dict[str, str]:
        """Return for each query strategy why it cannot be used with this round; "" where it can."""
        table, found = self._project.label_table(), self._project.predictions(number)
        key = (None if found is None else found.round, len(table.image_ids), int(table.version.max(initial=0)))
        with self._lock:
            kept = self._available
        if kept is None or kept[0] != key or found is None:  # before a round, a map may bring features any time
            kept = (key, available(self.pool(table.image_ids[chosen(table, "unreviewed", None)], found)))
            with self._lock:
                self._available = kept
        return kept[1]

    def item(self, image_id: int, number: int | None = None) -> ReviewItem:
        """Return one image as the review page shows it."""
        found = self._project.predictions(number)
        return replace(self._items(np.array([image_id]), found)[0], why="Opened again")

    def _items(self, ids: NDArray[np.int64], found: Predictions | None) -> list[ReviewItem]:
        """Images with label state and prediction, in the order of `ids`; score and reason are left empty."""
        numbers = [int(image_id) for image_id in ids.tolist()]
        if not numbers:
            return []
        states = {state.image_id: state for state in self._project.store.states(numbers)}
        items = []
        for image in self._project.store.images(numbers):
            state, top = states.get(image.id, LabelState(image.id)), _top(found, image.id)
            items.append(
                ReviewItem(
                    image_id=image.id, name=image.name, width=image.width, height=image.height, version=state.version,
                    label=state.label, source=state.source, mark=state.mark, prediction=top[0][0] if top else None,
                    confidence=top[0][1] if top else None, top=top, score=None, why="",
                    round=found.round if found is not None and top else None,
                )
            )  # fmt: skip
        return items

    def _listed_items(self, entries: Sequence[Listed], number: int | None) -> list[ReviewItem]:
        found = self._project.predictions(number)
        items = self._items(np.array([entry.image_id for entry in entries], np.int64), found)
        examples = self._examples(entries, items, found)
        shown = []
        for entry, item in zip(entries, items, strict=True):
            beside = entry.beside or examples.get(entry.image_id, ())
            change: dict[str, Any] = {"why": entry.why, "beside": beside, "score": entry.score}
            if entry.round is not None and (top := _top(self._project.predictions(entry.round), entry.image_id)):
                change |= {"prediction": top[0][0], "confidence": top[0][1], "top": top, "round": entry.round}
            if entry.suggested is not None:
                pair = (entry.suggested, float(entry.confidence or 0.0))
                change |= {"prediction": pair[0], "confidence": pair[1], "top": (pair,), "round": None}
            shown.append(replace(item, **change))
        return shown

    def _examples(
        self, entries: Sequence[Listed], items: Sequence[ReviewItem], found: Predictions | None
    ) -> dict[int, tuple[Beside, ...]]:
        """For images whose label something contradicts: the nearest image with that label, and with the other one."""
        asked: dict[str, list[int]] = {}
        for entry, item in zip(entries, items, strict=True):
            if entry.suggested is not None and item.label is not None and not entry.beside:
                for label in dict.fromkeys((item.label, entry.suggested)):
                    asked.setdefault(label, []).append(entry.image_id)
        beside: dict[int, tuple[Beside, ...]] = {}
        for label, ids in asked.items():
            for image_id, near in self.signals.nearest_with(ids, label, found).items():
                beside[image_id] = (*beside.get(image_id, ()), Beside(near.image_id, label, "nearest with this label"))
        return beside

    def conflicts(self) -> list[Conflict]:
        """Return the labels that something contradicts, graver kinds first."""
        return self.lists.conflicts()

    # beside an image and in the grid ------------------------------------------------------------------------------

    def context(self, ids: Sequence[int], number: int | None = None) -> list[ImageContext]:
        """Return what is shown beside images: their nearest labeled ones, and their pseudo-label over the epochs."""
        return self.signals.context(ids, self._project.predictions(number))

    def grid(
        self,
        number: int | None = None,
        only: str = "unreviewed",
        sort: str = "confidence",
        among: Collection[int] | None = None,
    ) -> GridTable:
        """Return the images that have a prediction, grouped by its class; see `engine.project.review.grid.grid`."""
        return grid(self._project, self.signals, (number, only, sort), among)


def _taken(picks: Picks, keep: NDArray[np.bool_]) -> Picks:
    why = tuple(text for text, kept in zip(picks.why, keep.tolist(), strict=True) if kept)
    return Picks(picks.rows[keep], picks.scores[keep], why, picks.random[keep])


def _top(found: Predictions | None, image_id: int) -> tuple[tuple[str, float], ...]:
    """The five most likely classes of an image, () without a prediction."""
    if found is None:
        return ()
    at = int(np.searchsorted(found.image_ids, image_id))
    if at >= len(found.image_ids) or found.image_ids[at] != image_id:
        return ()
    row = found.probabilities[at]
    return tuple((found.classes[k], float(row[k])) for k in np.argsort(-row, kind="stable")[:5].tolist())
