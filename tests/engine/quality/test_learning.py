"""How a model goes on learning: the exponent of its errors, by models of fewer labels on the same images."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.learning import SPREAD, USUAL, Learning, labels_an_answer, learning


def test_nothing_wrong_leaves_what_is_usual() -> None:
    curve = learning([100, 150, 200], [0, 0, 0], 0.2, 0.8)
    assert (curve.labels, curve.measuring) == (200, 0.2)
    assert curve.exponent == pytest.approx(USUAL, abs=0.05)
    assert curve.spread == pytest.approx(SPREAD, abs=0.05)


def test_exponent_is_that_of_the_errors_once_there_are_many() -> None:
    labels = np.array([100, 150, 200])
    for exponent in (0.3, 0.8, 1.6):
        wrong = np.rint(5000 * (labels / 200) ** -exponent).astype(int)
        curve = learning(labels.tolist(), wrong.tolist(), 0.1, 0.9)
        assert curve.exponent == pytest.approx(exponent, abs=0.05)
        assert curve.spread < 0.05


def test_a_few_errors_move_what_is_usual_and_errors_that_stay_lower_it() -> None:
    flat, steep = (learning([50, 75, 100], wrong, 0.1, 0.9) for wrong in ([12, 12, 12], [24, 10, 4]))
    assert flat.exponent < USUAL < steep.exponent
    assert max(flat.spread, steep.spread) < SPREAD


def test_twice_the_labels_that_are_learned_from_divide_the_share_wrong_by_two_to_the_exponent() -> None:
    curve = Learning(labels=100, exponent=0.5, spread=0.1, measuring=0.2, taught=0.8)
    assert curve.left(0) == 1.0
    assert curve.left(125) == pytest.approx(2**-0.5)  # 25 of them measure
    assert curve.left(125, 2.0) == pytest.approx(0.25)
    drawn = Learning(100, 0.1, 0.5, 0.2, 0.8).drawn(2000, np.random.default_rng(0))
    assert drawn.min() == 0.0
    assert np.quantile(drawn, 0.9) == pytest.approx(0.1 + 1.2816 * 0.5, abs=0.08)


@pytest.mark.parametrize(
    ("labels", "wrong", "measuring"),
    [
        ([], [], 0.1), ([1, 2], [1], 0.1), ([0, 2], [1, 1], 0.1), ([1, 2], [1, -1], 0.1), ([1, 2], [1, 1], 1.0),
    ],
)  # fmt: skip
def test_what_is_no_curve_is_refused(labels: list[int], wrong: list[int], measuring: float) -> None:
    with pytest.raises(ConfigError, match="curve"):
        learning(labels, wrong, measuring, 0.8)


def test_labels_grow_less_where_measured_images_take_those_of_their_group_away() -> None:
    assert labels_an_answer(0.2, 1.0, 0, 1000) == pytest.approx(0.8)
    assert labels_an_answer(0.2, 1.0, 250, 1000) == pytest.approx(0.75)  # one in four of the measured has a label
    assert labels_an_answer(0.2, 0.5, 150, 100) == pytest.approx(0.4 - 0.3)  # scenes: half of them measure
    assert labels_an_answer(0.2, 0.1, 150, 100) == 0.0
    assert learning([50, 75, 100], [0, 0, 0], 0.2, 0.0).left(500) == 1.0
    with pytest.raises(ConfigError, match="curve"):
        learning([50, 75, 100], [0, 0, 0], 0.2, 1.2)


def test_what_was_not_measured_is_supposed() -> None:
    supposed = learning([50, 75, 100], [], 0.2, 0.8)
    assert (supposed.measured, supposed.labels) == (False, 100)
    assert supposed.exponent == pytest.approx(1.0, abs=0.05)
    assert supposed.spread == pytest.approx(0.5, abs=0.05)
    assert learning([50, 75, 100], [4, 3, 2], 0.2, 0.8).measured
