"""The desk of live labels: a model of few labels, fitted anew after every few answers, in force at once.

Features are computed once, by a process of their own; a thread of the app's process then follows the ledger. What it
fits is recorded as a live round (`engine.rounds.live`), which everything that shows rounds shows as it is.

Predictions that came with the images are a first guess of their classes; without any, where a text-image network is on
the machine, another process guesses each image's class from the class names. The guess is a prior
(`engine.live.guess`): with it live labels begin before the first answer, and answers overrule it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from engine.errors import CheckpointCorrupt, ConfigError
from engine.jobs import features, guess
from engine.jobs.features import DescribedSet, View
from engine.jobs.guess import NameGuess
from engine.live.model import LEAST_CLASSES, ImageSet, Labeled
from engine.live.refit import LiveModel
from engine.live.stated import stated
from engine.project import given_predictions
from engine.project.groups import Groups
from engine.project.results import Results
from engine.project.review.ref import QueueRef
from engine.project.workspace import Workspace
from engine.records.labels import ImageItem
from engine.records.rounds import LIVE
from engine.rounds.live import FIRST_GUESS, Fit, LiveRound, end_live
from engine.rounds.supervisor import prepare
from engine.store import LabelTable

log = logging.getLogger("starling.live")

SETTING = "live"
"""In the project's settings: "on" or "off"; without it photos have live labels and small grey images have none."""
PER_REFIT, MOST_PER_REFIT = 10, 1000
"""Answers after which the model is fitted anew unless the person chose another number, and the largest of these."""
PER_REFIT_SETTING = "live_per_refit"
REST = 2.0
"""Seconds without an answer after which fewer are enough."""
PREPARED = 2 * PER_REFIT
"""Least sure images of which is computed ahead what their labels will change."""
PAUSE, GATHER = 0.25, 0.2
"""Seconds between two looks without an answer, and from an answer to the look, for others that come with it."""
TRY_AGAIN = 5.0
START_AGAIN = 120.0
"""Seconds after which features that failed are begun again; also at the next start of the app."""
LEAST_IMAGES = 20
SMALL_SIDE = 40

Status = Literal["off", "features", "labels", "on", "later", "failed"]


@dataclass(frozen=True)
class LiveState:
    """Where live labels stand.

    status: "off"; "features" are being computed; "labels" of two classes are needed; "on"; "later": a trained round
    is in force; "failed". words: what is done or what went wrong; fraction: of the features, 0..1, and seconds_left: to
    their end, None while nobody can say. number: of the live round. labels: that the last refit knew. refits, seconds:
    how many there were, and the last one's time. guess_say: how much a guess, from the class names or from predictions
    that came with the images, counted in it, 0..1; 0 without one.
    """

    status: Status
    words: str = ""
    fraction: float = 0.0
    seconds_left: float | None = None
    number: int | None = None
    labels: int = 0
    refits: int = 0
    seconds: float = 0.0
    guess_say: float = 0.0


@dataclass(frozen=True)
class LearnedFrom:
    """What the last fit learned from.

    number: of the live round. images, votes: see `engine.live.model`. ids: (M,) of the images. label: (M,) the place of
    each one's label among the classes, −1 without one.
    """

    number: int
    images: ImageSet
    votes: float
    ids: NDArray[np.int64]
    label: NDArray[np.int64]
    classes: tuple[str, ...]


class Live:
    """Live labels of one project. Thread-safe."""

    def __init__(self, workspace: Workspace, results: Results, groups: Groups) -> None:
        self._workspace, self._store, self._results = workspace, workspace.store, results
        self._groups = groups
        self.version = ""
        """Changes with each refit, and when features come; "" before."""
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._state = self._fitted = LiveState("off")
        self._images: DescribedSet | None = None
        self._mark = ""
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._model: LiveModel | None = None
        self._round: LiveRound | None = None
        self._apart: NDArray[np.int64] = np.empty(0, np.int64)
        """Images that measure, and whose labels nothing is fitted to."""
        self._outdated = False
        """Whether the live round is of other images than are in use now."""
        self._known: NDArray[np.int64] | None = None
        self._seen, self._changed_at = -1, 0.0
        self._started, self._asked = -START_AGAIN, False
        self._photos: tuple[int, bool] | None = None
        self._guess: NameGuess | None = None
        self._fitted_guess: NameGuess | None = None
        """That the last fit had."""
        self._guess_asked: tuple[int, tuple[str, ...]] | None = None
        self._given_asked: tuple[int, tuple[str, ...], int] | None = None
        self._guess_ended = True
        """Number of images and class names that a guess was asked for, and whether its process has ended."""

    # what the pages ask ---------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether live labels are switched on: as the person chose, else for photos."""
        chosen = self._store.meta(SETTING)
        return self.possible and (self.photos if chosen is None else chosen == "on")

    @property
    def per_refit(self) -> int:
        """After how many answers the model is fitted anew; after a rest fewer are enough."""
        return int(self._store.meta(PER_REFIT_SETTING) or PER_REFIT)

    def fit_after(self, answers: int) -> None:
        """Choose after how many answers the model is fitted anew.

        Raises:
            ConfigError: it is not from 1 to 1,000.
        """
        if not 1 <= answers <= MOST_PER_REFIT:
            raise ConfigError(
                "Live labels cannot be fitted after so many answers", value=answers,
                way_out=f"Choose 1 to {MOST_PER_REFIT:,}.",
            )  # fmt: skip
        self._store.set_meta(PER_REFIT_SETTING, str(answers))

    @property
    def net(self) -> str:
        """The network that a person chose to describe the images, as in `TrainConfig.net`; "" where none was chosen."""
        return features.chosen_net(self._workspace.root)

    def describe_by(self, net: str) -> None:
        """Choose the network that describes the images; features by it are computed, and live labels then go by them.

        Raises:
            ConfigError: see `engine.jobs.features.choose_net`.
        """
        features.choose_net(self._workspace.root, net)
        with self._lock:
            self._mark = ""  # what is in force is looked at anew
        self._wake.set()

    @property
    def possible(self) -> bool:
        """Whether there are enough images."""
        return len(self._workspace.items()) >= LEAST_IMAGES

    @property
    def photos(self) -> bool:
        """Whether the images are photos and not small grey ones."""
        count = len(self._workspace.items())
        if self._photos is None or self._photos[0] != count:
            spec = self._workspace.array_spec()
            self._photos = count, spec.channels == 3 or spec.size > SMALL_SIDE
        return self._photos[1]

    def turn(self, on: bool) -> None:
        """Switch live labels on or off; off, the live round stays in force as its last refit wrote it."""
        self._store.set_meta(SETTING, "on" if on else "off")
        self._asked = on
        self._wake.set()

    def state(self) -> LiveState:
        """Return where live labels stand."""
        return self._state

    def held(self) -> bool:
        """Return whether the model waits: an audit of all labels is open, and its predictions are some of them."""
        if self._round is None:
            return False
        number = self._round.record.number
        exports = [one for one in self._store.audits() if one.scope == "export" and one.state == "open"]
        return any(one.round == number for one in exports)

    def learned(self) -> LearnedFrom | None:
        """Return what the last fit learned from; None before one, and where a guess of the classes counts in it."""
        with self._lock:
            if self._round is None or self._images is None or self._known is None or self._fitted_guess is not None:
                return None
            number, classes = self._round.record.number, tuple(self._round.classes)
            return LearnedFrom(number, self._images.images, self._images.votes, self._ids, self._known, classes)

    def view(self) -> View | None:
        """Return how labels chose that photos be shown to the network, None before."""
        return features.view(self._workspace.root)

    def tell(self) -> None:
        """Say that there are new answers."""
        self._wake.set()

    def orders(self, ref: QueueRef, number: int | None) -> bool:
        """Return whether a queue of these images and of this round's predictions goes by the live model."""
        live = self._round
        shown = live is not None and number == live.record.number
        return not ref.is_list and self._state.status in ("labels", "on", "features") and (number is None or shown)

    # the thread's work ----------------------------------------------------------------------------------------------

    def attempt(self) -> float:
        """Do what is due; return after how many seconds to look again. What goes wrong is told, and tried again."""
        try:
            self.step()
        except Exception as error:  # whatever it is, labeling goes on, and so must this thread
            log.exception("live labels of %s", self._workspace.root)
            self._state = LiveState("failed", str(error))
            return TRY_AGAIN
        return PAUSE

    def wait(self, seconds: float) -> None:
        """Wait until there is something to look at, at most so long; answers that come together are looked at once."""
        if self._wake.wait(seconds):
            time.sleep(GATHER)
        self._wake.clear()

    def step(self, now: float | None = None) -> bool:
        """Do what is due; return whether the model was fitted.

        Args:
            now: monotonic seconds; given in tests.

        Raises:
            OSError: the round cannot be written; what was in force stays so.
        """
        with self._lock:
            return self._step(time.monotonic() if now is None else now)

    def _step(self, now: float) -> bool:
        if not self.wanted:
            self._leave()
            self._state = LiveState("off")
            return False
        self._apart = self._store.apart()
        if not self._set_ready(now):
            return False
        table = self._store.label_table()
        if table.head != self._seen:
            self._seen, self._changed_at = table.head, now
        self._follow_guess()
        classes = self._classes(table)
        first = self._guess_for(classes)
        if first is not None:
            classes = list(first.classes)
        elif len(classes) < LEAST_CLASSES:
            self._state = LiveState("labels", f"Label an image in each of two classes to begin.{self._why_no_guess()}")
            return False
        if self._overtaken():
            number = self._results.in_force()
            self._state = LiveState("later", f"Round {number} is in force now.", number=number)
            return False
        if self._outdated:  # not before: without its live round nothing would know that a later one is in force
            self._end_round()
        if self.held() or (first is self._fitted_guess and not self._due(table, classes, now)):
            self._state = self._fitted  # what was in the way is over
            return False
        with threadpool_limits(1, "blas"):  # beside other work, threads that wait for each other take far longer
            self._refit(table, classes, first)
        self._choose_view(table)
        return True

    def go_on(self) -> None:
        """Begin a live round after another one was brought into force."""
        with self._lock:
            self._end_round()
            self._asked = True
        self._wake.set()

    def freeze(self, number: int) -> None:
        """End the live round of this number, so that its predictions stay as they are; the next refit begins another.

        An audit judges predictions that must not change meanwhile.
        """
        with self._lock:
            if self._round is not None and self._round.record.number == number:
                self._end_round()
            elif (record := self._store.round(number)).live:  # that of an earlier process, not gone on with yet
                end_live(self._store, record, self._workspace.round_folder(number))

    def close(self) -> None:
        """Let go of the round's files; it is gone on with at the next start."""
        with self._lock:
            if self._round is not None:
                self._round.close()
                self._round = None

    def _leave(self) -> None:
        """Live labels were switched off."""
        if self._round is not None:
            self._end_round()
        self._images = self._model = self._guess = None
        self._guess_asked = self._given_asked = None

    def _end_round(self) -> None:
        if self._round is not None:
            self._round.end()
        self._round, self._known, self._outdated = None, None, False

    def _set_ready(self, now: float) -> bool:
        """Whether the images' features and neighbours are there; start their process otherwise."""
        items, root = self._workspace.items(), self._workspace.root
        whole = self._images is not None and len(self._images.shas) == len(items)  # images are only ever added
        mark = features.mark(root)
        if whole and mark == self._mark:
            return True
        job = features.state(root, items)
        if job.status == "ready" or features.written(root, items):
            try:
                self._take(features.read(root))
            except (FileNotFoundError, CheckpointCorrupt) as error:
                log.warning("features are computed again: %s", error)
                features.discard(root)
                return whole
            self._mark = mark
            if job.status not in ("ready", "running"):  # better ones were to follow when the process ended
                self._describe()
            return True
        starts = job.status in ("none", "cancelled")
        starts |= job.status == "failed" and now >= self._started + START_AGAIN
        if starts:
            self._started = now
            self._describe()
        if whole:  # what was taken is being written again
            return True
        if starts:
            self._state = LiveState("features", "Starting")
        elif job.status == "failed":
            self._state = LiveState("failed", job.error)
        else:
            self._state = LiveState("features", job.stage, job.fraction, job.seconds_left)
        return False

    def _describe(self) -> None:
        """Start the process that computes the images' features, and lets the labels choose among them."""
        items, table = self._workspace.items(), self._store.label_table()
        ids = np.array([item.id for item in items], np.int64)
        labels = self._labels(table, self._store.classes(), ids)
        groups = self._store.groups()[: len(ids)]
        features.start(self._workspace.root, items, self._workspace.array_spec(), labels, groups)

    def _take(self, images: DescribedSet) -> None:
        """Go on with these images: with the live round there is, if it is of them."""
        self._images, self._model, self._known = images, LiveModel(images.images, images.votes), None
        by_sha = {item.sha256: item.id for item in self._workspace.items()}
        self._ids, self._seen = np.array([by_sha[sha] for sha in images.shas], np.int64), -1
        self.version = f"features of {len(self._ids)} images"  # a queue of typical images goes by them
        for record in reversed([one for one in self._store.rounds() if one.live and one.report is not None]):
            if self._round is not None and self._round.record.number == record.number:
                continue
            folder = self._workspace.round_folder(record.number)
            if self._round is None:
                self._round = LiveRound.going_on(self._store, record, folder, self._ids, images.shas)
            if self._round is None or self._round.record.number != record.number:
                end_live(self._store, record, folder)
        self._outdated = self._round is not None and not self._round.is_of(self._ids)
        with threadpool_limits(1, "blas"):
            self._groups.find_near(self._ids, images)

    def _follow_guess(self) -> None:
        """Take the predictions that came with the images for a guess; without any have each image's class guessed from
        the class names, where that is possible."""
        names, items = self._store.classes(), self._workspace.items()
        if self._images is None or len(names) < LEAST_CLASSES:
            return
        if (self._workspace.root / given_predictions.FILE).exists():
            self._take_given(items, names)
            return
        if not guess.possible():
            return
        root, asked = self._workspace.root, (len(items), tuple(names))  # images are only ever added
        if asked != self._guess_asked:  # at the start of the app, too: a network may have come since
            if guess.state(root).status == "running":
                guess.cancel(root)
                return
            guess.start(root, items, names, self._images.net)
            self._guess_asked, self._guess_ended = asked, False
        if not self._guess_ended and guess.state(root).status != "running":
            self._guess, self._guess_ended = guess.read(root), True

    def _take_given(self, items: Sequence[ImageItem], names: Sequence[str]) -> None:
        written = (self._workspace.root / given_predictions.FILE).stat().st_mtime_ns
        asked = (len(items), tuple(names), written)
        if asked != self._given_asked:
            self._given_asked = asked
            self._guess = given_predictions.first_guess(self._workspace.root, items, names)

    def _guess_for(self, labeled: Sequence[str]) -> NameGuess | None:
        """Return the guess where it is of all images and of all classes with a label, and none of its classes is gone;
        a class that is new may be missing until the next guess."""
        first, images = self._guess, self._images
        if first is None or images is None:
            return None
        fits = set(labeled) <= set(first.classes) <= set(self._store.classes())
        return first if fits and images.shas == first.shas else None

    def _why_no_guess(self) -> str:
        """Say why there is no guess from the class names where one was to be made."""
        if self._guess_asked is None:
            return ""
        job = guess.state(self._workspace.root)
        if job.status == "running":
            return f" Or wait: a first guess is being made from the class names ({job.stage.lower()})."
        return f" There is no first guess from the class names: {job.error}" if job.status == "failed" else ""

    def _overtaken(self) -> bool:
        """Whether a trained round is in force that the live one is not to push aside: a later one than it, or any where
        none was begun and nobody asked for it."""
        in_force = self._results.in_force()
        if in_force is None or LIVE in self._store.round(in_force).progress:
            return False
        return not self._asked if self._round is None else in_force > self._round.record.number

    def _classes(self, table: LabelTable) -> list[str]:
        """The classes that have a label, in the project's order."""
        names = self._store.classes()
        counts = np.bincount(self._labels(table, names, self._ids) + 1, minlength=len(names) + 1)[1:]
        return [name for name, count in zip(names, counts.tolist(), strict=True) if count]

    def _labels(self, table: LabelTable, names: Sequence[str], ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class index (N,) of each of these images, −1 where it has no label, is rejected, or measures and does not
        train."""
        rows = table.rows(ids)
        return np.where(table.rejected[rows] | np.isin(ids, self._apart), -1, table.class_index(names)[rows])

    def _due(self, table: LabelTable, classes: Sequence[str], now: float) -> bool:
        if self._round is None or self._known is None or set(classes) - set(self._round.classes):
            return True
        changed = int((self._labels(table, self._round.classes, self._ids) != self._known).sum())
        return changed >= self.per_refit or (changed > 0 and now - self._changed_at >= REST)

    def _refit(self, table: LabelTable, classes: Sequence[str], first: NameGuess | None) -> None:
        images, model = self._images, self._model
        assert images is not None
        assert model is not None
        if self._round is None:
            self._round = LiveRound.begin(
                self._store, self._workspace.root, self._ids, images.shas, classes,
                _train(images), self._workspace.array_spec(),
            )  # fmt: skip
            self._asked = False
        elif new := [name for name in classes if name not in self._round.classes]:
            self._round.add_classes(new)
        live = self._round
        live.describe(_train(images))
        label = self._labels(table, live.classes, self._ids)
        rows = np.flatnonzero(label >= 0)
        present, compact = np.unique(label[rows], return_inverse=True)  # a class may have lost its last label
        drawn = self._drawn(table, live.ids)
        counts = np.bincount(compact[drawn[rows]], minlength=len(present))
        columns, guessed = present, None
        if first is not None:
            others = [at for at, name in enumerate(live.classes) if name in first.classes and at not in present]
            columns = np.concatenate([present, np.array(others, np.int64)])
            guessed = first.of([live.classes[at] for at in columns])
        groups = self._store.groups()[table.rows(live.ids[rows])]
        refit = model.refit(Labeled(rows, compact, counts, groups), guessed)
        probabilities = np.zeros((len(label), len(live.classes)), np.float32)
        probabilities[:, columns] = stated(refit.probabilities, refit.confidence, refit.cautious)
        sureness = refit.probabilities.max(1)
        rejected = table.rejected[table.rows(live.ids)]
        alone = refit.prior is None
        live.write(
            Fit(label, rejected, drawn, probabilities, sureness, table.head, refit.seconds, guessed=alone),
            images.images.z,
        )
        self._known, self._fitted_guess = label, first
        self._results.predictions(live.record.number)  # so that the next page finds them in memory
        self.version = self._results.version()
        self._state = self._fitted = LiveState(
            "on", FIRST_GUESS if alone else "", number=live.record.number, labels=len(rows), refits=live.refits,
            seconds=refit.seconds, guess_say=refit.guess_say,
        )  # fmt: skip
        free = np.flatnonzero((label < 0) & ~rejected)
        model.prepare(np.sort(free[np.argsort(sureness[free], kind="stable")[:PREPARED]]))

    def _choose_view(self, table: LabelTable) -> None:
        """Let the labels choose how photos are shown to the network, once there are enough or many more of them."""
        items, root = self._workspace.items(), self._workspace.root
        if features.state(root, items).status != "ready":
            return
        if features.chooses(root, self._labels(table, self._store.classes(), self._ids)):
            self._describe()

    def _drawn(self, table: LabelTable, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which images (N,) are a random sample of those that came without a label: answers in the random order.

        The measured set is a random sample too, but shares taken from it would be learned from it, and what it says of
        the model would then be too good. Without answers in the random order the model takes classes for equally
        common.
        """
        rows = table.rows(ids)
        looked_at = ~table.undecided[rows] & ~np.isin(ids, self._store.unseen())
        return prepare.drawn(ids, looked_at, self._store.imported())


def _train(images: DescribedSet) -> dict[str, Any]:
    """Settings that say where the features of a live round come from."""
    return {"net": images.net}


class LiveThread:
    """Follows the answers of an open project and keeps its live labels up to date, until it is stopped."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="starling-live", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the refit that may be on its way."""
        self._stop.set()
        self._live.tell()
        self._thread.join(30)
        self._live.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            wait = self._live.attempt()
            self._live.wait(wait)
