"""What is stated of an image: the confidence for the first class, which stays the first."""

from __future__ import annotations

import numpy as np
import pytest

from engine.live.stated import stated


@pytest.mark.parametrize("classes", [1, 2, 3, 10])
def test_the_first_class_has_the_confidence_and_no_other_has_more(classes: int) -> None:
    rng = np.random.default_rng(classes)
    best = rng.dirichlet(np.ones(classes), 500).astype(np.float32)
    cautious = rng.dirichlet(np.full(classes, 0.3), 500).astype(np.float32)
    confidence = cautious[np.arange(500), best.argmax(1)]
    shown = stated(best, confidence, cautious)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown.sum(1), 1, atol=1e-5)
    assert (shown.argmax(1) == best.argmax(1)).all()
    np.testing.assert_allclose(shown.max(1), np.maximum(confidence, 1 / classes), atol=1e-4)


def test_the_others_share_as_the_cautious_model_says_where_the_first_stays_first() -> None:
    shown = stated(
        np.array([[0.9, 0.1, 0]], np.float32), np.array([0.6], np.float32), np.array([[0.6, 0.3, 0.1]], np.float32)
    )
    np.testing.assert_allclose(shown, [[0.6, 0.3, 0.1]], atol=1e-4)
