"""How common classes are, from blind answers to random images."""

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.class_shares import class_shares
from engine.quality.sample import share


def test_each_class_has_its_exact_interval() -> None:
    first, second, third = class_shares(np.array([0, 0, 1, 0]), 3)
    assert [(one.right, one.n) for one in (first, second, third)] == [(3, 4), (1, 4), (0, 4)]
    assert (second.low, second.high) == (share(1, 4, "").low, share(1, 4, "").high)
    assert third.low == 0.0
    assert third.high == pytest.approx(1 - 0.025**0.25)


def test_an_image_without_an_answer_may_be_of_any_class() -> None:
    cat, dog = class_shares(np.array([0, -1, 1, -1, 0]), 2)
    assert (cat.right, cat.n, cat.value) == (2, 3, 2 / 3)
    assert (cat.low, cat.high) == (share(2, 5, "").low, share(4, 5, "").high)
    assert (dog.low, dog.high) == (share(1, 5, "").low, share(3, 5, "").high)


def test_nothing_asked_says_nothing() -> None:
    (only,) = class_shares(np.array([], np.int64), 1)
    assert (only.n, only.low, only.high) == (0, 0.0, 1.0)
    with pytest.raises(ConfigError):
        class_shares(np.array([2]), 2)


def test_the_interval_holds_for_a_rare_class_however_its_images_are_passed_over() -> None:
    rng, inside = np.random.default_rng(0), []
    for _ in range(2000):
        labels = (rng.random(80) < 0.03).astype(np.int64)
        labels[rng.random(80) < np.where(labels == 1, 0.5, 0.05)] = -1  # the rare ones are the hard ones
        rare = class_shares(labels, 2)[1]
        inside.append(rare.low <= 0.03 <= rare.high)
    assert np.mean(inside) >= 0.95
