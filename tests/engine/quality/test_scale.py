"""How a confidence is written: from when on what, the recalibration, and that pages need not round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from engine.errors import ConfigError
from engine.quality import scale
from engine.records.quality import Scale

WORLDS = ((0.0, 0.0), (-0.8, 0.0), (0.5, -0.5), (0.0, 0.4), (-0.5, -0.4))
"""True a and b: as the model says; too sure; too modest where unsure; too modest; far too sure."""


def answers(n: int, a: float = 0.0, b: float = 0.0, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences from .4 to 1 and answers that are right by logit p' = a + e^b · logit p."""
    rng = np.random.default_rng(seed)
    confidence = 0.4 + 0.6 * rng.beta(2, 1, n)
    return confidence, rng.random(n) < true_share(confidence, a, b)


def true_share(confidence: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    return np.asarray(expit(a + np.exp(b) * logit(np.clip(confidence, 1e-4, 1 - 1e-4))))


@pytest.mark.parametrize(
    ("n", "tier"),
    [(0, "none"), (19, "none"), (20, "share"), (49, "share"), (50, "words"), (99, "words"), (100, "tens"),
     (299, "tens"), (300, "percent")],
)  # fmt: skip
def test_what_is_written_follows_from_the_number_of_measured_answers(n: int, tier: str) -> None:
    found = scale.of_answers(*answers(n))
    assert (scale.tier_of(n), found.tier, found.n) == (tier, tier, n)
    assert f"{n:,} measured answers" in found.brief
    assert ("95 % interval" in found.note) == (n >= 20)
    assert len(found.words) == (3 if tier == "words" else 0)


def test_fewer_than_no_answers_are_refused() -> None:
    with pytest.raises(ConfigError, match="fewer than no answers"):
        scale.tier_of(-1)


def test_before_fifty_answers_nothing_is_recalibrated_and_no_image_has_a_step() -> None:
    confidence, right = answers(49, a=-2)
    found = scale.of_answers(confidence, right)
    assert (found.a, found.b) == (0.0, 0.0)
    assert scale.recalibrated(found, confidence).tolist() == confidence.tolist()
    assert set(scale.steps(found, confidence).tolist()) == {scale.NOT_WRITTEN}
    assert scale.bars(found, (0.6, 0.3, 0.1)) == (0.6, 0.3, 0.1)


@pytest.mark.parametrize(("a", "b"), WORLDS)
def test_the_fit_is_the_minimum_of_the_penalised_likelihood(a: float, b: float) -> None:
    confidence, right = answers(200, a, b, seed=3)

    def cost(at: NDArray[np.float64]) -> float:  # written out plainly, without a gradient
        p = expit(at[0] + np.exp(at[1]) * logit(np.clip(confidence, 1e-4, 1 - 1e-4)))
        return float(-np.log(np.where(right, p, 1 - p)).sum() + at[0] ** 2 / (2 * 0.25) + at[1] ** 2 / (2 * 0.09))

    plain = minimize(cost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
    assert scale.fit(confidence, right) == pytest.approx(plain.x, abs=1e-4)


def test_the_penalties_hold_a_few_answers_that_are_all_right() -> None:
    a, b = scale.fit(np.full(50, 0.8), np.ones(50, bool))
    assert 0 < a < 1.5
    assert 0 < b < 1
    assert scale.fit(np.empty(0), np.empty(0, bool)) == (0.0, 0.0)


def test_answers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="differ in number"):
        scale.fit(np.array([0.5, 0.5]), np.array([True]))
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        scale.fit(np.array([1.5]), np.array([True]))


@given(
    some.lists(some.floats(0, 1), min_size=2, max_size=50),
    some.floats(-2, 2),
    some.floats(-1, 1),
    some.sampled_from(["words", "tens", "percent"]),
)
def test_what_is_surer_is_never_written_as_less_sure(values: list[float], a: float, b: float, tier: str) -> None:
    written = Scale(tier, 60, 50, a, b, (), "", "")  # type: ignore[arg-type]
    p = np.sort(np.array(values))
    assert (np.diff(scale.recalibrated(written, p)) >= 0).all()
    steps = scale.steps(written, p).astype(int)
    assert ((np.diff(steps) <= 0) if tier == "words" else (np.diff(steps) >= 0)).all()


def test_a_step_is_the_place_of_the_word_tens_or_percent() -> None:
    p = np.array([0.0, 0.69, 0.7, 0.89, 0.9, 0.949, 0.951, 1.0])

    def steps(tier: str) -> list[int]:
        found: list[int] = scale.steps(Scale(tier, 0, 0, 0.0, 0.0, (), "", ""), p).tolist()  # type: ignore[arg-type]
        return found

    assert steps("words") == [2, 2, 1, 1, 0, 0, 0, 0]
    assert steps("tens") == [0, 7, 7, 9, 9, 9, 10, 10]
    assert steps("percent") == [0, 69, 70, 89, 90, 95, 95, 100]


def test_no_bar_is_longer_than_the_first_which_is_the_recalibrated_confidence() -> None:
    doubtful = Scale("tens", 100, 50, -1.0, 0.0, (), "", "")
    first, second, third = scale.bars(doubtful, (0.5, 0.4, 0.1))
    assert first == pytest.approx(float(expit(-1)))
    assert second == first  # in proportion it would be .4 / .5 · .73 = .58
    assert third == pytest.approx(0.1 / 0.5 * (1 - first))
    assert scale.bars(doubtful, ()) == ()


@pytest.mark.parametrize(("a", "b"), WORLDS)
def test_three_hundred_answers_bring_confidences_within_five_points_of_the_share_right(a: float, b: float) -> None:
    def error(n: int) -> float:
        """Mean over 40 projects of the mean distance between what is written and the true share right."""
        errors = []
        for seed in range(40):
            written = scale.of_answers(*answers(n, a, b, seed))
            unseen, _ = answers(2000, seed=1000 + seed)
            errors.append(np.abs(scale.recalibrated(written, unseen) - true_share(unseen, a, b)).mean())
        return float(np.mean(errors))

    assert error(300) < 0.05
    assert error(300) < error(50)
