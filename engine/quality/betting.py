"""How many labels are wrong at most, whenever one looks: confidence sequences by betting without replacement.

A set of N labels is fixed (frozen) before the first answer; K of them are wrong. The next image of a random order is
asked, so that with L images looked at and W of them found wrong before, the answer y (1 wrong, 0 right) has the mean

    p = (K − W) / (N − L)

For a supposed K a gambler bets on y being smaller. Stake by stake, the money is multiplied by

    f(λ) = 1 + (1 − λ) (p − y) / (1 − p)

whose mean is 1 where K is true, so that a mixture E(K) of such bets is a nonnegative martingale, and by Ville's
inequality it ever reaches 20 in at most 1 of 20 audits, whoever watches and stops when. The K that are left, E(K) < 20,
hold together at all times with 95 %. E grows with K, so their largest is one number, the bound.

A look at any image for any other reason is no bet: it changes only L and W of the bets after it. It may be chosen by
what was seen before, but not by the part of the random order that is still hidden.

A group of images of which the next one is a member may be asked at once: y is the share wrong among those of its images
that nobody had looked at. Their mean is p again, since a group comes in proportion to these images.

Sources:
    Ville 1939, Étude critique de la notion de collectif (a nonnegative martingale that starts at 1 reaches 1/α with
    probability α at most).
    Waudby-Smith and Ramdas 2020, Confidence sequences for sampling without replacement, NeurIPS 33.
    Waudby-Smith and Ramdas 2024, Estimating means of bounded random variables by betting, Journal of the Royal
    Statistical Society B 86 (betting when sampling without replacement; mixtures of bets).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

Floats = NDArray[np.float64]
Kind = Literal["random", "look"]

ALPHA = 0.05
"""Chance that a one-sided bound ever fails."""
EDGE = 1e-12
"""How near p may come to 1 (in the upper bound) or to 0 (in the lower one) before it is cut off."""


@dataclass(frozen=True)
class Bets:
    """A mixture of bets: stakes (B,) in 0..1 with log weights (B,), and which side they bet on."""

    stakes: Floats
    log_weights: Floats
    on_fewer: bool

    def factors(self, p: Floats, y: Floats) -> Floats:
        """Return by how much the money of each bet is multiplied, from 0.

        Args:
            p: (...,) mean of the answer for the supposed K; cut off at 1 − 1e-12, on the other side at 1e-12.
            y: (...,) answer, 0..1.

        Returns:
            (..., B)
        """
        if self.on_fewer:
            p = np.clip(p, 0.0, 1.0 - EDGE)
            grown = 1.0 + (1.0 - self.stakes) * ((p - y) / (1.0 - p))[..., None]
        else:
            p = np.clip(p, EDGE, 1.0)
            grown = 1.0 - self.stakes + self.stakes * (y / p)[..., None]
        return np.maximum(grown, 0.0)  # rounding alone makes it negative

    def mixed(self, log_money: Floats) -> Floats:
        """Return log E (...,) of the logarithms of each bet's money (..., B)."""
        weighted = log_money + self.log_weights
        most = weighted.max(-1)
        return np.asarray(most + np.log(np.exp(weighted - most[..., None]).sum(-1)))


def _fewer() -> Bets:
    stakes = np.array([0.0, *((j - 0.5) / 20 for j in range(1, 21))])
    shares = np.array([stake**-0.5 for stake in stakes[1:]])
    return Bets(stakes, np.log(np.array([0.25, *(0.75 * shares / shares.sum())])), on_fewer=True)


def _more() -> Bets:
    stakes = np.array([0.002 * 1.5**j for j in range(16)])
    return Bets(stakes, np.full(16, -math.log(16)), on_fewer=False)


FEWER = _fewer()
"""Bets of the upper bound: λ = 0 with weight 1/4, λ = .025, .075, …, .975 with weights in proportion to λ^(−1/2)."""
MORE = _more()
"""Bets of the lower bound: κ = .002 · 1.5^j, j = 0..15, in equal parts; each multiplied by 1 − κ + κ y / p."""


class Answer(NamedTuple):
    """What was answered at once, as a certificate lists it.

    id: the image; for a group, the member that the random order drew. kind: "random", the next image of the random
    order; "look", for any other reason. size: images newly looked at, from 1. y: share of them whose label is wrong.
    """

    id: int
    kind: Kind
    size: int
    y: float


def threshold(alpha: float = ALPHA, audit: int = 1, sides: int = 1, statements: int = 1) -> float:
    """Return what E must reach so that a supposed K is given up.

    Args:
        alpha: chance that the bound ever fails, 0..1, both excluded.
        audit: the how-manieth frozen audit of the project it is that has an answer, from 1. The j-th needs j (j+1) / 2
            times as much, so that all of a project, however many and whenever begun anew, hold together at 1 − 2 alpha.
        sides: 2 for an interval, of which each side gets half of alpha.
        statements: bounds that are shown together as a table and are to hold together.

    Raises:
        ConfigError: one of them is outside its range.
    """
    if not 0.0 < alpha < 1.0:
        raise ConfigError("The chance to be wrong is outside 0 to 1", value=alpha, way_out="Choose 0.05 for 95 %.")
    if audit < 1 or sides not in (1, 2) or statements < 1:
        raise ConfigError("Audits and bounds are counted from 1", value=f"{audit}, {sides}, {statements}")
    return sides * statements * (audit * (audit + 1) // 2) / alpha


def allowed(rate: float, labels: int) -> int:
    """Return the goal "at most this share wrong" as a number of labels: floor(rate · labels).

    Raises:
        ConfigError: the rate is outside 0..1, or labels below 0.
    """
    if not 0.0 <= rate <= 1.0 or labels < 0:
        raise ConfigError("The goal is outside 0 to 1", value=rate, way_out="Choose 0.01 for 1 %.")
    return math.floor(rate * labels + 1e-9)


class ConfidenceSequence:
    """Bounds of the wrong labels in a frozen set that hold at all times together; answers are added one by one.

    It depends on the population, the threshold and the answers in their order alone, so it can be replayed from their
    list. A bound after each of 5,000 answers takes about a millisecond, also for a million labels; a whole list of them
    is faster than one by one, since the bound is sought once.

    Args:
        population: N, frozen labels, from 0.
        threshold: what E must reach, above 1; see `threshold`. 20 is a one-sided bound at 95 %, 40 the interval of
            `lower` and `upper`.

    Raises:
        ConfigError: the population is below 0 or the threshold not above 1.
    """

    def __init__(self, population: int, threshold: float = 1 / ALPHA) -> None:
        if population < 0 or not threshold > 1.0:
            raise ConfigError("The audit is outside its range", value=f"{population} labels, threshold {threshold}")
        self.population, self.threshold = population, threshold
        self.looked, self.found, self.answered = 0, 0, 0
        self._steps = np.empty((64, 3))  # images left and wrong ones found before each random answer, and the answer
        self._ids: set[int] = set()
        self._bounds = {FEWER.on_fewer: population, MORE.on_fewer: 0}
        self._sought = {FEWER.on_fewer: 0, MORE.on_fewer: 0}

    @classmethod
    def replay(cls, population: int, answers: Iterable[tuple[int, Kind, int, float]], threshold: float) -> Self:
        """Return the sequence after a list of answers (id, kind, size, y), as `add` one after the other.

        Raises:
            ConfigError: as for `add`.
        """
        sequence = cls(population, threshold)
        for answer in answers:
            sequence.add(*answer)
        return sequence

    def add(self, image_id: int, kind: Kind, size: int = 1, y: float = 0.0) -> None:
        """Take the next answer; see `Answer`.

        Raises:
            ConfigError: an image that was looked at before, a size or share that cannot be, or more images than the
                set has; nothing is added then.
        """
        wrong = round(y * size) if 0.0 <= y <= 1.0 else -1
        if kind not in ("random", "look") or size < 1 or wrong < 0 or abs(y * size - wrong) > 1e-6:
            raise ConfigError("This is no answer", value=f"{kind}, {y} of {size} wrong", way_out="Count it again.")
        if image_id in self._ids:
            raise ConfigError("This image was looked at before", value=image_id, way_out="Count its first answer only.")
        if self.looked + size > self.population:
            raise ConfigError(
                "There are more answers than labels",
                value=f"{self.looked + size} of {self.population}",
                way_out="Freeze the labels again.",
            )
        if kind == "random":
            if self.answered == len(self._steps):
                self._steps = np.concatenate([self._steps, np.empty_like(self._steps)])
            self._steps[self.answered] = self.population - self.looked, self.found, wrong / size
            self.answered += 1
        self._ids.add(image_id)
        self.looked += size
        self.found += wrong

    @property
    def unseen(self) -> int:
        """N − L, labels that nobody has looked at."""
        return self.population - self.looked

    @property
    def upper(self) -> int:
        """U: at most so many of the frozen labels are wrong, those found included.

        It never grows, unless more are found than it allowed, which is the error that happens in one of twenty audits.
        """
        return self._bound(FEWER)

    @property
    def lower(self) -> int:
        """At least so many of the frozen labels are wrong, those found included; at most `upper`."""
        return min(self._bound(MORE), self.upper)

    def left_wrong(self, missed: float = 0.0, changed: int = 0) -> int:
        """Return how many labels are wrong at most where every wrong one that was found is put right.

        Args:
            missed: share of the wrong labels that people pass when they look at them, 0..1, 1 excluded. At most
                U / (1 − missed) are wrong then, some of them among those looked at.
            changed: images not looked at whose label a model changed since the freeze.

        Raises:
            ConfigError: one of them is outside its range.
        """
        if not 0.0 <= missed < 1.0 or not 0 <= changed <= self.unseen:
            raise ConfigError("People or changes are outside their range", value=f"{missed}, {changed}")
        most = self.unseen if missed == 0.0 else self.population - self.found
        return min(most, math.floor(self.upper / (1.0 - missed) + 1e-9) - self.found + changed)

    def e_value(self, wrong: int) -> float:
        """Return E(K) after the last answer for K = `wrong`, from 0; infinite where so many or so few cannot be."""
        if not self.found <= wrong <= self.found + self.unseen:
            return math.inf
        log_e = float(self._log_e(FEWER, wrong, max(0, self.answered - 1))[-1]) if self.answered else 0.0
        return math.exp(log_e) if log_e < 700.0 else math.inf

    def log_money(self, wrong: int) -> Floats:
        """Return the logarithm of each upper bet's money (B,) after the last answer, for a possible K = `wrong`."""
        left, found, y = self._steps[: self.answered].T
        return _log_product(FEWER.factors((wrong - found) / left, y))

    def reached(self, at_most: int, missed: float = 0.0, changed: int = 0) -> bool:
        """Return whether at most so many labels are left wrong; see `left_wrong` and `allowed`."""
        return self.left_wrong(missed, changed) <= at_most

    def _bound(self, bets: Bets) -> int:
        """Seek the outermost K that E never gave up; answers before the last search need no second look at it."""
        side, n = bets.on_fewer, self.answered
        low, high = self.found, self.found + self.unseen  # other K are impossible
        bound = min(max(self._bounds[side], low), high)
        fresh = n - self._sought[side]
        if fresh:
            limit = math.log(self.threshold)
            inward = -1 if bets.on_fewer else 1
            room = bound - low if bets.on_fewer else high - bound

            def given_up(step: int) -> bool:
                return bool(self._log_e(bets, bound + inward * step, n - fresh).max() >= limit)

            bound += inward * _first_kept(given_up, room, max(1, room * fresh // (2 * n)))
        self._bounds[side], self._sought[side] = bound, n
        return bound

    def _log_e(self, bets: Bets, wrong: int, since: int) -> Floats:
        """Return log E(wrong) after each random answer from `since` on, (answers − since,)."""
        left, found, y = self._steps[: self.answered].T
        factors = bets.factors((wrong - found) / left, y)
        with np.errstate(divide="ignore"):
            return bets.mixed(_log_product(factors[:since]) + np.cumsum(np.log(factors[since:]), 0))


def _log_product(factors: Floats) -> Floats:
    """Return the logarithm of the products down the columns (n, B), −∞ of a bet that was lost.

    Sixteen factors, each below 1e13, stay within a float's range, and a product is faster than logarithms.
    """
    whole = len(factors) - len(factors) % 16
    with np.errstate(divide="ignore"):  # the bet on "none is wrong" is lost with the first wrong answer
        blocks = np.log(factors[:whole].reshape(-1, 16, factors.shape[1]).prod(1)).sum(0)
        return np.asarray(blocks + np.log(factors[whole:].prod(0)))


def _first_kept(given_up: Callable[[int], bool], room: int, step: int) -> int:
    """Return the least step of 0..room that is not given up, or room where all are; those after it are kept too."""
    if room == 0 or not given_up(0):
        return 0
    out, kept = 0, room
    while step < room:
        if not given_up(step):
            kept = step
            break
        out, step = step, 2 * step
    while kept - out > 1:
        middle = (out + kept) // 2
        if given_up(middle):
            out = middle
        else:
            kept = middle
    return kept
