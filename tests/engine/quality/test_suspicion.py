"""Suspicion of labels that people or an import gave."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.suspicion import GIVEN, of_given


def test_suspicion_is_shared_out_in_proportion_with_the_constant_as_its_mean() -> None:
    assert of_given(np.array([0.1, 0.2, 0.1])) == pytest.approx([0.015, 0.03, 0.015])
    assert of_given(np.zeros(3)) == pytest.approx([GIVEN] * 3)  # nothing tells them apart
    assert len(of_given(np.empty(0))) == 0


def test_nothing_is_wrong_more_than_surely() -> None:
    shared = of_given(np.array([1.0, *[0.0] * 99]))
    assert shared[0] == 1.0
    assert not shared[1:].any()


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ConfigError):
        of_given(np.array([1.2]))
    with pytest.raises(ConfigError):
        of_given(np.array([0.5]), mean=2.0)
