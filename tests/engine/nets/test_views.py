from __future__ import annotations

import numpy as np
import pytest

from engine.nets import views
from engine.nets.views import choose_view, compare_views

LABELS = np.repeat(np.arange(3), 10)


def features(noise: float, labels: np.ndarray = LABELS, width: int = 12) -> np.ndarray:
    """Return points around a corner for each class."""
    return np.eye(width)[labels] + noise * np.random.default_rng(1).normal(size=(len(labels), width))


def test_the_view_that_tells_the_classes_apart_is_taken_wherever_it_stands() -> None:
    clear, blurred = features(0.05), features(5.0, width=40)
    assert choose_view({"centre": blurred, "whole": clear}, LABELS) == "whole"
    assert choose_view({"centre": clear, "whole": blurred}, LABELS) == "centre"
    right = compare_views({"centre": blurred, "whole": clear}, LABELS)
    assert right["whole"].all()
    assert right["centre"].sum() < 20


def test_of_equal_views_the_first_is_taken() -> None:
    same = features(0.05)
    assert choose_view({"centre": same, "whole": 2 * same}, LABELS) == "centre"


@pytest.mark.parametrize(("better", "worse", "view"), [(5, 2, "whole"), (4, 2, "centre"), (1, 0, "centre")])
def test_another_view_needs_a_lead_of_more_than_one_standard_error(
    monkeypatch: pytest.MonkeyPatch, better: int, worse: int, view: str
) -> None:
    # better − worse against √(better + worse): 3 > 2.65; 2 < 2.45; 1 = 1.
    rows = np.arange(20)
    right = {"centre": rows >= better, "whole": (rows < 20 - worse)}
    monkeypatch.setattr(views, "compare_views", lambda *_: right)
    assert choose_view({"centre": features(1.0), "whole": features(1.0)}, LABELS) == view


@pytest.mark.parametrize("labels", [np.repeat(np.arange(3), 4), np.zeros(30, int), np.empty(0, int)])
def test_with_few_labels_or_one_class_nothing_is_compared(labels: np.ndarray) -> None:
    both = {"centre": features(5.0, labels), "whole": features(0.05, labels)}
    assert compare_views(both, labels) == {}
    assert choose_view(both, labels) == "centre"


def test_a_class_with_a_single_label_is_a_miss_and_no_error() -> None:
    labels = np.append(np.repeat(np.arange(2), 15), 2)
    assert compare_views({"centre": features(0.05, labels)}, labels)["centre"].sum() == 30


def test_of_many_labels_some_are_drawn() -> None:
    labels = np.repeat(np.arange(3), 700)
    assert compare_views({"centre": features(0.05, labels)}, labels)["centre"].shape == (1000,)
