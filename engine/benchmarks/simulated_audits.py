"""Many audits beside each other, and the worlds in which their bounds are put to the test.

All runs of a world are simulated at once, answer by answer: what the next random image of an order is depends on how
many images of each kind nobody has looked at, so no order need be drawn. A bound fails in a run if it was ever wrong,
after whichever answer: that is what a person can bring about who stops when the bound looks best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom  # type: ignore[import-untyped]

from engine.benchmarks.fixed_audit import look_level
from engine.quality.betting import FEWER, MORE, Bets, ConfidenceSequence, threshold

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
REPLAYED = 50
"""Runs whose bound is computed, for the widths; of the others only whether it failed is needed."""


@dataclass(frozen=True)
class Outcome:
    """What became of one rule: the share of runs in which it ever failed, and how wide its bound was at the end.

    promised: the most it may fail, or None for a control, which is to fail. true and bound: share of wrong labels and
    mean bound after the last answer, 0..1, where one was computed.
    """

    rule: str
    promised: float | None
    failed: float
    true: float | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Runs:
    """How many runs of how many answers, and the random numbers they come from."""

    runs: int
    answers: int
    rng: np.random.Generator

    def chance(self, p: Floats) -> Mask:
        """Return for each run (R,) whether something of chance p (R,) happens."""
        return self.rng.random(len(p)) < p


class Audits:
    """R audits of the same kind beside each other, watched at D supposed numbers of wrong labels each.

    Attributes:
        looked, found: (R,) L and W.
        peak: (R, D) the highest log E so far.
    """

    def __init__(self, population: int, supposed: Floats, bets: Bets = FEWER, replayed: int = REPLAYED) -> None:
        runs, shifts = supposed.shape
        self.population, self.supposed, self.bets = population, supposed, bets
        self.looked, self.found = np.zeros(runs), np.zeros(runs)
        self.peak = np.zeros((runs, shifts))
        self._log_money = np.zeros((runs, shifts, len(bets.stakes)))
        self._sequences = [ConfidenceSequence(population) for _ in range(min(runs, replayed))]
        self._named = 0

    def bet(self, y: Floats, on: Mask | None = None, size: Floats | None = None) -> None:
        """Take a random answer y (R,), 0..1, of the runs that are `on`; `size` (R,) images at once."""
        runs = np.arange(len(y)) if on is None else np.flatnonzero(on)
        left = self.population - self.looked[runs]
        p = (self.supposed[runs] - self.found[runs, None]) / left[:, None]
        with np.errstate(divide="ignore"):
            self._log_money[runs] += np.log(self.bets.factors(p, np.broadcast_to(y[runs, None], p.shape)))
        self.peak[runs] = np.maximum(self.peak[runs], self.bets.mixed(self._log_money[runs]))
        self._count(y, runs, "random", size)

    def look(self, y: Floats, on: Mask | None = None) -> None:
        """Take a look of the runs that are `on`: y (R,) 1 for a wrong label."""
        self._count(y, np.arange(len(y)) if on is None else np.flatnonzero(on), "look", None)

    def begin_anew(self, on: Mask, supposed: Floats) -> None:
        """Freeze the labels again in the runs that are `on`, of which `supposed` (R, D) are wrong now."""
        self.looked[on], self.found[on], self._log_money[on], self.peak[on] = 0.0, 0.0, 0.0, 0.0
        self.supposed = np.where(on[:, None], supposed, self.supposed)

    def failed(self, needed: float = 20.0, column: int = 0) -> Mask:
        """Return for each run (R,) whether E of the supposed number in a column ever reached what is needed."""
        return np.asarray(self.peak[:, column] >= math.log(needed))

    def bound(self) -> float:
        """Return the mean of U / N over the first runs."""
        return float(np.mean([sequence.upper / sequence.population for sequence in self._sequences]))

    def uppers(self) -> Ints:
        """Return U after the last answer of the first runs, (replayed,)."""
        return np.array([sequence.upper for sequence in self._sequences], np.int64)

    def _count(self, y: Floats, runs: Ints, kind: str, size: Floats | None) -> None:
        sizes = np.ones(len(y)) if size is None else size
        self._named += 1
        for run in runs[runs < len(self._sequences)]:
            sequence = self._sequences[run]
            if kind == "random":
                sequence.add(self._named, "random", int(sizes[run]), float(y[run]))
            else:
                sequence.add(self._named, "look", 1, float(y[run]))
        self.looked[runs] += sizes[runs]
        self.found[runs] += (sizes * y)[runs]


class Pool:
    """Images that nobody has looked at, by kind: (R, S) right and wrong ones of S strata."""

    def __init__(self, runs: int, sizes: Ints, wrong: Ints) -> None:
        self.right = np.repeat((sizes - wrong)[None].astype(np.float64), runs, 0)
        self.wrong = np.repeat(wrong[None].astype(np.float64), runs, 0)

    def draw(self, world: Runs, of: Mask | None = None, on: Mask | None = None) -> tuple[Ints, Floats]:
        """Take a random image of each run and return its stratum (R,) and 1 for a wrong label, 0 for a right one (R,).

        Args:
            world: the random numbers.
            of: (R, S) strata to draw from; all by default. A run with nothing left in them takes nothing, y 0.
            on: (R,) runs that draw; all by default.
        """
        left = (self.right + self.wrong) * (1.0 if of is None else of)
        ends = left.cumsum(1)
        stratum = (world.rng.random(len(left))[:, None] * ends[:, -1:] >= ends).sum(1).clip(max=left.shape[1] - 1)
        rows = np.arange(len(left))
        drawn = (left[rows, stratum] > 0) & (True if on is None else on)
        share = self.wrong[rows, stratum] / np.maximum(left[rows, stratum], 1.0)
        y = (world.chance(share) & drawn).astype(np.float64)
        self.wrong[rows, stratum] -= y
        self.right[rows, stratum] -= drawn - y
        return stratum, y

    def left(self, stratum: int) -> Floats:
        """Return how many images of a stratum are left, (R,)."""
        return np.asarray(self.right[:, stratum] + self.wrong[:, stratum])


def constant(world: Runs, *supposed: float) -> Floats:
    """Return the same supposed numbers for every run, (R, D)."""
    return np.repeat(np.array([supposed], np.float64), world.runs, 0)


def plain(world: Runs, population: int, rate: float) -> list[Outcome]:
    """Single images at random: the bound, the interval, and Clopper–Pearson watched as if it were made for it."""
    wrong = round(rate * population)
    pool = Pool(world.runs, np.array([population]), np.array([wrong]))
    above, below = Audits(population, constant(world, wrong)), Audits(population, constant(world, wrong), MORE)
    every, hundredth, stricter = (np.zeros(world.runs, np.bool_) for _ in range(3))
    for n in range(1, world.answers + 1):
        _, y = pool.draw(world)
        above.bet(y)
        below.bet(y)
        chance = binom.cdf(above.found, n, wrong / population)  # below α: Clopper–Pearson's limit is below the truth
        every |= chance < 0.05
        if n % 100 == 0:
            hundredth |= chance < 0.05
            stricter |= chance < 1.0 - look_level(0.95, n // 100)
    needed = threshold(sides=2)
    name = f"{100 * rate:g} % wrong"
    return [
        Outcome(f"bound, {name}", 0.05, _share(above.failed()), rate, above.bound()),
        Outcome(f"interval, {name}", 0.05, _share(above.failed(needed) | below.failed(needed)), rate),
        Outcome(f"Clopper–Pearson at each answer, {name}", None, _share(every), rate, _exact(above, world.answers)),
        Outcome(f"Clopper–Pearson at each 100th, {name}", None, _share(hundredth), rate),
        Outcome(f"the k-th 100 at 1 − .05 / k, {name}", None, _share(stricter), rate),
    ]


def _exact(audits: Audits, n: int) -> float:
    """The mean of Clopper and Pearson's upper limits after n answers, over the first runs."""
    found = audits.found[:REPLAYED]
    return float(np.where(found < n, beta.ppf(0.95, found + 1, np.maximum(n - found, 1)), 1.0).mean())


def groups(world: Runs) -> list[Outcome]:
    """Whole groups of the next image, of one or of six images whose labels are often wrong together."""
    sizes, wrong = np.array([1.0, 1.0, 6.0, 6.0, 6.0]), np.array([0.0, 1.0, 0.0, 3.0, 6.0])
    left = np.repeat(np.array([[1900.0, 100.0, 1230.0, 40.0, 60.0]]), world.runs, 0)
    population, supposed = int(left[0] @ sizes), float(left[0] @ wrong)
    audits, single = (Audits(population, constant(world, supposed)) for _ in range(2))
    rows = np.arange(world.runs)
    for _ in range(world.answers // 4):
        ends = (left * sizes).cumsum(1)
        kind = (world.rng.random(world.runs)[:, None] * ends[:, -1:] >= ends).sum(1).clip(max=4)
        left[rows, kind] -= 1
        audits.bet(wrong[kind] / sizes[kind], size=sizes[kind])
        for member in range(6):
            single.bet((member < wrong[kind]).astype(np.float64), member < sizes[kind])
    rate = supposed / population
    return [
        Outcome("whole groups, share wrong", 0.05, _share(audits.failed()), rate, audits.bound()),
        Outcome("whole groups as independent answers", None, _share(single.failed()), rate, single.bound()),
    ]


def looks(world: Runs) -> list[Outcome]:
    """Looks at doubtful images between the answers: one after each right answer, five after a wrong one."""
    pool = Pool(world.runs, np.array([600, 9400]), np.array([240, 80]))
    doubtful = np.array([[True, False]]).repeat(world.runs, 0)
    audits, ignored = (Audits(10_000, constant(world, 320.0)) for _ in range(2))
    for _ in range(world.answers):
        _, y = pool.draw(world)
        audits.bet(y)
        ignored.bet(y)
        for look in range(5):
            on = ((y == 1.0) | (look == 0)) & (pool.left(0) > 0)
            audits.look(pool.draw(world, doubtful, on)[1], on)
    return [
        Outcome("looks chosen by the answers", 0.05, _share(audits.failed()), 0.032, audits.bound()),
        Outcome("the same, looks ignored", None, _share(ignored.failed()), 0.032, ignored.bound()),
    ]


def parts(world: Runs, name: str, sizes: Ints, wrong: Ints) -> list[Outcome]:
    """Of three answers one is drawn among all, one from the best-looking part's queue, one from each queue in turn.

    Args:
        world: the runs; each has twice as many answers.
        name: what the parts are, in one word.
        sizes: (S,) images of each part.
        wrong: (S,) wrong ones of each.
    """
    pool, strata = Pool(world.runs, sizes, wrong), len(sizes)
    population, supposed = int(sizes.sum()), float(wrong.sum())
    every, mixed_up = (Audits(population, constant(world, supposed)) for _ in range(2))
    own = [Audits(int(size), constant(world, float(k))) for size, k in zip(sizes, wrong, strict=True)]
    for n in range(2 * world.answers):
        looked, found = (np.stack([getattr(one, what) for one in own], 1) for what in ("looked", "found"))
        best = np.where(looked < sizes, (found + 1.0) / (looked + 2.0), np.inf).argmin(1)
        turn = np.full(world.runs, n // 3 % strata)
        asked = (best if n % 3 == 1 else turn)[:, None] == np.arange(strata)
        asked &= looked < sizes
        queued = asked.any(1) & (n % 3 > 0)
        stratum, y = pool.draw(world, np.where(queued[:, None], asked, True))
        every.look(y, queued)
        every.bet(y, ~queued)
        mixed_up.bet(y)
        for place, one in enumerate(own):
            one.bet(y, stratum == place)
    rate = supposed / population
    together = threshold(statements=strata)
    return [
        Outcome(f"a {name}, by its queue and that of all", 0.05, max(_share(one.failed()) for one in own)),
        Outcome(f"all labels beside {name} queues", 0.05, _share(every.failed()), rate, every.bound()),
        Outcome(f"table of {strata} {name} bounds, each at 20 · {strata}", 0.05, _share(_any(own, together))),
        Outcome(f"table of {strata} {name} bounds, each at 20", None, _share(_any(own, 20.0))),
        Outcome(f"answers of {name} queues as random ones of all", None, _share(mixed_up.failed()), rate,
                mixed_up.bound()),
    ]  # fmt: skip


def _any(own: list[Audits], needed: float) -> Mask:
    return np.asarray(np.any([one.failed(needed) for one in own], axis=0))


def shared_order(world: Runs) -> list[Outcome]:
    """300 answers from the queue of a bad class, then the audit: along an order of its own, and along the queue's."""
    outcomes = []
    for shared in (False, True):
        pool = Pool(world.runs, np.array([2000, 8000]), np.array([200, 80]))
        queue = np.array([[True, False]]).repeat(world.runs, 0)
        audits = Audits(10_000, constant(world, 280.0))
        for _ in range(300):
            audits.look(pool.draw(world, queue)[1])
        # How many images of the other classes stand before the 300th of this class in the order.
        passed = world.rng.beta(300, 1701, world.runs)
        before = world.rng.binomial(8000, passed)
        for n in range(world.answers):
            of = ~queue | (n >= before)[:, None] if shared else None
            audits.bet(pool.draw(world, of)[1])
        rule = "an order shared with a class queue" if shared else "after a class queue, own orders"
        failed = _share(audits.failed())
        outcomes.append(Outcome(rule, None if shared else 0.05, failed, 0.028, audits.bound()))
    return outcomes


def restarts(world: Runs, audits_each: int = 12) -> list[Outcome]:
    """The labels are frozen anew at the first wrong answer, up to twelve times, and one bound that holds is kept."""
    population, wrong = 10_000, np.full(world.runs, 100.0)
    audits = Audits(population, wrong[:, None], replayed=0)
    number, since = np.ones(world.runs), np.zeros(world.runs)
    uncharged, charged = np.zeros(world.runs, np.bool_), np.zeros(world.runs, np.bool_)
    while (on := since < world.answers).any():
        y = (world.chance((wrong - audits.found) / (population - audits.looked)) & on).astype(np.float64)
        audits.bet(y, on)
        since += on
        uncharged |= audits.failed(20.0)
        charged |= audits.peak[:, 0] >= np.log(20.0 * number * (number + 1) / 2)
        again = (y == 1.0) & (number < audits_each)
        wrong = wrong - again  # the one found is put right
        audits.begin_anew(again, wrong[:, None])
        number, since = number + again, np.where(again, 0.0, since)
    return [
        Outcome(f"{audits_each} audits, begun anew, the j-th at 20 j (j + 1) / 2", 0.10, _share(charged), 0.01),
        Outcome(f"{audits_each} audits, begun anew, each at 20", None, _share(uncharged), 0.01),
    ]


def people(world: Runs, slips: float = 0.02) -> list[Outcome]:
    """People slip: a right label is put wrong if both looks slip, a wrong one stays if a look slips to it (half do).

    What is bounded is the number of labels that are wrong afterwards, those that people put wrong included.
    """
    population, wrong, shifts = 10_000, 200, 16
    pool = Pool(world.runs, np.array([population]), np.array([wrong]))
    once_pool = Pool(world.runs, np.array([population]), np.array([wrong]))
    audits = Audits(population, constant(world, *range(wrong, wrong + shifts)))
    once = Audits(population, constant(world, wrong))
    moved, failed = np.zeros(world.runs, np.int64), np.zeros(world.runs, np.bool_)
    rows = np.arange(world.runs)
    always = np.ones(world.runs)
    for _ in range(world.answers):
        _, truly = pool.draw(world)
        first, second = world.chance(slips * always), world.chance(slips * always)
        agreed = (first | second) & world.chance(always / 2) & (truly == 1.0)
        y = np.where(truly == 1.0, ~agreed, first & second).astype(np.float64)
        audits.bet(y)
        # W plus what is wrong now: a right label put wrong adds two, a wrong one that is given a wrong class adds one.
        moved += 2 * ((truly == 0.0) & (y == 1.0)) + ((truly == 1.0) & (y == 1.0) & second)
        failed |= (moved >= shifts) | (audits.peak[rows, moved.clip(max=shifts - 1)] >= math.log(20.0))
        _, truly = once_pool.draw(world)
        once.bet(np.where(world.chance(slips * always), 1.0 - truly, truly))
    return [
        Outcome("people slip in 2 %, second look", 0.05, _share(failed), wrong / population, audits.bound()),
        Outcome("people slip in 2 %, one look", 0.05, _share(once.failed()), wrong / population, once.bound()),
    ]


def passed(world: Runs, missed: float = 0.3) -> list[Outcome]:
    """The label is shown, and people pass three of ten wrong ones: U − W, and U / (1 − q) − W."""
    population, wrong = 10_000, 200
    pool = Pool(world.runs, np.array([population]), np.array([wrong]))
    audits = Audits(population, constant(world, wrong, math.ceil((1.0 - missed) * wrong - 1e-9)))
    for _ in range(world.answers):
        _, truly = pool.draw(world)
        audits.bet(truly * ~world.chance(np.full(world.runs, missed)))
    rate = wrong / population
    return [
        Outcome("30 % of wrong ones passed, U / (1 − q) − W", 0.05, _share(audits.failed(column=1)), rate,
                audits.bound() / (1.0 - missed)),
        Outcome("30 % of wrong ones passed, U − W", None, _share(audits.failed()), rate, audits.bound()),
    ]  # fmt: skip


def model_changes(world: Runs) -> list[Outcome]:
    """After 150 answers a model changes 80 labels: 60 right ones to wrong, 15 wrong ones to right, 5 to another."""
    population, wrong, worse, better, other = 10_000, 100, 60, 15, 5
    # Frozen right: as it was, now wrong. Frozen wrong: as it was, now right, still wrong.
    left = np.repeat(np.array([[population - wrong, 0.0, wrong, 0.0, 0.0]]), world.runs, 0)
    frozen_wrong, now_wrong = np.array([0, 0, 1, 1, 1.0]), np.array([0, 1, 1, 0, 1.0])
    base, spread = wrong - 2 * better - other, 16
    least = wrong + worse - better - spread + 8
    audits = Audits(population, constant(world, *range(base, base + spread), *range(least, least + spread)))
    moving = Audits(population, constant(world, wrong, wrong + worse - better))
    counted, ignored = np.zeros(world.runs, np.bool_), np.zeros(world.runs, np.bool_)
    rows, limit = np.arange(world.runs), math.log(20.0)
    for n in range(world.answers):
        if n == min(150, world.answers // 2):
            left += np.array([-worse, worse, -better - other, better, other])
            left = left.clip(min=0.0)
        ends = left.cumsum(1)
        kind = (world.rng.random(world.runs)[:, None] * ends[:, -1:] >= ends).sum(1).clip(max=4)
        left[rows, kind] -= 1
        audits.bet(frozen_wrong[kind])
        moving.bet(now_wrong[kind])
        changed, wrong_now = left[:, [1, 3, 4]].sum(1), left @ now_wrong
        if changed.any():
            known = (audits.found + wrong_now - changed - base).astype(np.int64)
            unknown = (audits.found + wrong_now - least).astype(np.int64)
            counted |= audits.peak[rows, known.clip(0, spread - 1)] >= limit
            ignored |= audits.peak[rows, spread + unknown.clip(0, spread - 1)] >= limit
    rate = wrong / population
    return [
        Outcome("a model changes 80 labels, U − W + C", 0.05, _share(counted), rate, audits.bound()),
        Outcome("a model changes 80 labels, U − W", None, _share(ignored), rate, audits.bound()),
        Outcome("a model changes 80 labels, bets on the new ones", None, _share(moving.failed(column=1)), rate),
    ]


def _share(failed: Mask) -> float:
    return float(failed.mean())


CLASSES = np.array([2000, 1500, 1200, 1000, 1000, 900, 800, 600, 600, 400])
CLASSES_WRONG = np.array([60, 20, 80, 50, 30, 60, 15, 40, 60, 20])
SOURCES = np.array([1500, 1000, 4500, 3000])
SOURCES_WRONG = np.array([60, 10, 30, 150])
WORLDS: dict[str, Callable[[Runs], list[Outcome]]] = {
    "single images": lambda world: [
        outcome for rate in (0.002, 0.01, 0.05, 0.2) for outcome in plain(world, 10_000, rate)
    ],
    "groups": groups,
    "looks": looks,
    "classes": lambda world: parts(world, "class", CLASSES, CLASSES_WRONG),
    "sources": lambda world: parts(world, "source", SOURCES, SOURCES_WRONG),
    "orders": shared_order,
    "restarts": restarts,
    "people": people,
    "passed": passed,
    "model changes": model_changes,
}
"""The worlds by name."""
