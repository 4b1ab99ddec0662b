"""Whether going on is worth it: what the next decisions would change, and what the last round gained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.percent import short
from engine.quality import scale
from engine.quality.measured_set import ENOUGH_EVIDENCE
from engine.quality.scale import SHARE
from engine.records.quality import Between, CurvePoint, Estimate, Scale

FEW_MEASURED = 100


@dataclass(frozen=True)
class Comparison:
    """Two rounds on the same n images: those that only the one or only the other has right, and the evidence that they
    differ (`engine.quality.measured_set.evidence`)."""

    n: int
    only_this: int
    only_other: int
    evidence: float
    few: bool = False
    """Whether the images are of so few groups, one of each, that nothing is said of new ones."""

    @property
    def told_apart(self) -> bool:
        """Return whether one may be said to be better."""
        return self.evidence >= ENOUGH_EVIDENCE and not self.few


def expected_corrections(confidence: NDArray[np.floating], count: int) -> float:
    """Return how many of the first `count` predictions are expected to be corrected: the sum of their 1 − confidence.

    Args:
        confidence: (N,) calibrated, in the order of the queue (for the least confident queue: least first).
        count: from 0; more than N counts all.
    """
    return float((1.0 - np.asarray(confidence[: max(0, count)], np.float64)).sum())


def decisions_left(
    confidence: NDArray[np.floating] | None, total: int, target: float, wrong_elsewhere: float = 0.0
) -> int | None:
    """Return how many decisions, the least confident first, until the expected share of wrong labels meets the target.

    A decision is taken to be right. The others keep their prediction, each expected wrong by 1 − confidence; the number
    is as good as the calibration, and later rounds make it smaller.

    Args:
        confidence: (U,) calibrated, of the images without decision, any order; None without predictions.
        total: images the labels are exported for, from 1.
        target: share of right labels wanted, 0..1.
        wrong_elsewhere: expected wrong labels among the other images, from 0.

    Returns:
        0..U; None without predictions, or when all U decisions would not do since too many are wrong elsewhere.

    Raises:
        ConfigError: total, target or wrong_elsewhere is outside its range.
    """
    if total < 1 or not 0.0 <= target <= 1.0 or not wrong_elsewhere >= 0.0:
        raise ConfigError(
            "The quality aimed at is outside its range", value=f"{target} of {total}", way_out="Choose 0.99 for 99 %."
        )
    if confidence is None:
        return None
    # The surest first. Confidences mostly come in order, which a stable sort goes through in one pass.
    wrong = 1.0 - np.sort(np.asarray(confidence, np.float64), kind="stable")[::-1]
    left = wrong_elsewhere + np.concatenate([[0.0], np.cumsum(wrong)])
    enough = np.flatnonzero(left <= (1.0 - target) * total + 1e-9)
    return len(wrong) - int(enough[-1]) if len(enough) else None


@dataclass(frozen=True)
class Pool:
    """The labels that nobody gave yet, as the round's model is sure of them.

    Attributes:
        undecided: (U,) confidences as the model says, the least sure first.
        accepted: (A,) those of accepted labels of this round that nobody looked at.
        blank: images that only a person can label.
        elsewhere: expected wrong labels among others that were accepted unseen, from 0.
        total: images the labels are exported for, from 1.
        target: share of right labels wanted, 0..1.
        first: how many of the undecided are looked at next, 0..U.
    """

    undecided: NDArray[np.float64]
    accepted: NDArray[np.float64]
    blank: int
    elsewhere: float
    total: int
    target: float
    first: int

    def decisions(self, undecided: NDArray[np.float64], accepted: NDArray[np.float64]) -> int | None:
        """Return the decisions left by recalibrated confidences (U,) and (A,); see `decisions_left`."""
        wrong = self.elsewhere + float((1 - accepted).sum())
        return decisions_left(np.concatenate([np.zeros(self.blank), undecided]), self.total, self.target, wrong)

    def errors(self, undecided: NDArray[np.float64], accepted: NDArray[np.float64]) -> float:
        """Return the expected wrong labels by recalibrated confidences (U,) and (A,)."""
        return self.blank + self.elsewhere + float((1 - undecided).sum()) + float((1 - accepted).sum())


def intervals(written: Scale, pool: Pool) -> tuple[Between, Between, Between]:
    """Return the 95 % intervals of corrections among the first, of all that are wrong, and of decisions left.

    Each is worked out by every scale that the measured answers leave possible (`engine.quality.scale.drawn`); what a
    person will count varies besides, as images turn out right or wrong by chance.

    Args:
        written: how the round's confidences are recalibrated; n from scale.WORDS.
        pool: what is left.
    """
    rng = np.random.default_rng(0)
    count = len(pool.undecided)
    corrected, wrong = [], []
    for p in scale.drawn(written, np.concatenate([pool.undecided, pool.accepted])):
        undecided, accepted = p[:count], p[count:]
        corrected.append(_counted(expected_corrections(undecided, pool.first), undecided[: pool.first], rng))
        wrong.append(_counted(pool.errors(undecided, accepted), p, rng))
    return _spread(corrected), _spread(wrong), decisions_between(written, pool)


def decisions_between(written: Scale, pool: Pool) -> Between:
    """Return the 95 % interval of the decisions left; see `intervals`."""
    most, count = pool.blank + len(pool.undecided), len(pool.undecided)
    left = []
    for p in scale.drawn(written, np.concatenate([pool.undecided, pool.accepted])):
        needed = pool.decisions(p[:count], p[count:])
        left.append(float(most if needed is None else needed))
    return _spread(left)


def wrong_between(written: Scale, confidence: NDArray[np.floating]) -> Between:
    """Return the 95 % interval of how many of these predictions are wrong; see `intervals`.

    Args:
        written: how the round's confidences are recalibrated; n from scale.WORDS.
        confidence: (N,) as the model says.
    """
    rng = np.random.default_rng(0)
    return _spread([_counted(float((1 - p).sum()), p, rng) for p in scale.drawn(written, confidence)])


def _counted(expected: float, p: NDArray[np.float64], rng: np.random.Generator) -> float:
    """How many turn out wrong, by chance, in the normal approximation; p are the chances of those that may be right."""
    return max(0.0, expected + float(np.sqrt((p * (1 - p)).sum())) * rng.standard_normal())


def _spread(values: Sequence[float]) -> Between:
    low, high = np.quantile(values, (0.025, 0.975))
    return Between(int(np.floor(low)), int(np.ceil(high)))


def advice(
    curve: Sequence[CurvePoint], gain: Comparison | None, decisions: int | None, minutes: float | None, target: float
) -> str:
    """Return one or two plain sentences: whether another round, more labels, or the export comes next.

    Args:
        curve: complete rounds, oldest first.
        gain: the last of them against the one before, None without one.
        decisions: see `decisions_left`.
        minutes: for these at the measured pace, or None.
        target: share of right labels wanted, 0..1.
    """
    measured = [point for point in curve if point.accuracy.n]
    if not measured:
        return (
            "No round has been measured: there is too little to say. Random images, asked blind on the Review page, "
            "measure one."
        )
    last = measured[-1].accuracy
    if last.n < FEW_MEASURED:
        right = f" ({_between(last)} right)" if last.n >= SHARE else ""
        return (
            f"Only {last.n:,} {'image measures' if last.n == 1 else 'images measure'} the last round{right}: "
            f"too little to say whether going on is worth it. {_few_next(decisions, minutes, target)}"
        )
    if decisions == 0:
        return (
            f"Going by recalibrated confidence, {short(target)} right labels are expected already. "
            "You are done: audit what is left, then export."
        )
    return f"{_trend(gain, curve, last)} {_left(decisions, minutes, target)}"


def _trend(gain: Comparison | None, curve: Sequence[CurvePoint], last: Estimate) -> str:
    """What the last round gained on the one before."""
    if gain is None or not gain.n:
        return f"One round is measured so far ({_between(last)} right), which shows no trend."
    counts = f"of the same {gain.n:,} random images it alone has {gain.only_this:,} right, that one {gain.only_other:,}"
    if not gain.told_apart:
        return f"The last two rounds cannot be told apart ({counts}), so another round may not help by itself."
    if gain.only_this > gain.only_other:
        added = curve[-1].labels - curve[-2].labels
        return f"Another round is expected to help: the last one, with {_labels(added)}, is better ({counts})."
    return (
        f"The last round is worse than the one before ({counts}): check its settings and the label issues before "
        "another."
    )


def _left(decisions: int | None, minutes: float | None, target: float) -> str:
    if decisions is None:
        return f"How many decisions are left to {short(target)} cannot be said."
    if minutes is None:
        pace = ""
    elif minutes < 1.0:
        pace = ", less than a minute"
    else:
        pace = f", around {minutes:,.0f} {'minute' if round(minutes) == 1 else 'minutes'} at your pace"
    word = "decision" if decisions == 1 else "decisions"
    return f"Go on labeling: about {decisions:,} {word} to {short(target)}{pace}."


def _few_next(decisions: int | None, minutes: float | None, target: float) -> str:
    if decisions == 0:
        return "Confidence alone would call it done; audit before you export."
    if decisions is not None:
        return _left(decisions, minutes, target)
    return "Go on labeling: one answer in five measures."


def _labels(added: int) -> str:
    return f"{added:,} more {'label' if added == 1 else 'labels'}" if added > 0 else "no more labels than before"


def _between(accuracy: Estimate) -> str:
    return f"between {100 * accuracy.low:.0f} and {100 * accuracy.high:.0f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
