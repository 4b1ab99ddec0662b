from __future__ import annotations

import numpy as np
import pytest

from engine.nets import views
from engine.nets.views import choose_view, compare_views, seen_as, view_of

LABELS = np.repeat(np.arange(3), 10)


def features(noise: float, labels: np.ndarray = LABELS, width: int = 12) -> np.ndarray:
    """Return points around a corner for each class."""
    return np.eye(width)[labels] + noise * np.random.default_rng(1).normal(size=(len(labels), width))


def test_the_view_that_tells_the_classes_apart_is_taken_wherever_it_stands() -> None:
    clear, blurred = features(0.05), features(5.0, width=40)
    assert choose_view({"both": blurred, "whole": clear}, LABELS) == "whole"
    assert choose_view({"both": clear, "whole": blurred}, LABELS) == "both"
    likelihoods = compare_views({"both": blurred, "whole": clear}, LABELS)
    assert likelihoods["whole"].min() > np.log(0.5)
    assert likelihoods["both"].mean() < np.log(0.5)


def test_of_equal_views_the_first_is_taken() -> None:
    same = features(0.05)
    assert choose_view({"centre": same, "whole": 2 * same}, LABELS) == "centre"


@pytest.mark.parametrize(("lead", "view"), [(1.05, "whole"), (0.95, "centre"), (-2.0, "centre")])
def test_another_view_needs_a_lead_of_more_than_one_standard_error(
    monkeypatch: pytest.MonkeyPatch, lead: float, view: str
) -> None:
    differences = np.array([-1.0, 1.0] * 10)
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    likelihoods = {"centre": np.zeros(20), "whole": differences + lead * error}
    monkeypatch.setattr(views, "compare_views", lambda *_: likelihoods)
    assert choose_view({"centre": features(1.0), "whole": features(1.0)}, LABELS) == view


@pytest.mark.parametrize("labels", [np.repeat(np.arange(3), 4), np.zeros(30, int), np.empty(0, int)])
def test_with_few_labels_or_one_class_nothing_is_compared(labels: np.ndarray) -> None:
    both = {"centre": features(5.0, labels), "whole": features(0.05, labels)}
    assert compare_views(both, labels) == {}
    assert choose_view(both, labels) == "centre"


def test_a_class_with_a_single_label_is_a_miss_and_no_error() -> None:
    labels = np.append(np.repeat(np.arange(2), 15), 2)
    likelihoods = compare_views({"centre": features(0.05, labels)}, labels)["centre"]
    assert (likelihoods == np.log(views.LEAST_PROBABILITY)).sum() == 1


def test_of_many_labels_some_are_drawn() -> None:
    labels = np.repeat(np.arange(3), 700)
    assert compare_views({"centre": features(0.05, labels)}, labels)["centre"].shape == (views.MOST_LABELS,)


@pytest.mark.parametrize(
    ("view", "net"),
    [("centre", "frozen:a+b"), ("whole", "frozen:a@whole+b@whole"), ("both", "frozen:a+b+a@whole+b@whole")],
)
def test_a_view_is_part_of_the_name_and_read_from_it(view: str, net: str) -> None:
    for now in views.VIEWS:
        assert seen_as(seen_as("frozen:a+b", now), view) == net
    assert view_of(net) == view


def test_a_view_that_only_knows_scenes_is_no_better_when_scenes_are_not_torn_apart() -> None:
    random = np.random.default_rng(0)
    scenes = np.repeat(np.arange(30), 6)
    labels = random.permutation(np.arange(30) % 2)[scenes]
    knows_scenes = random.normal(size=(30, 64))[scenes] + 0.01 * random.normal(size=(180, 64))
    nothing = random.normal(size=(180, 64))
    both = {"centre": nothing, "whole": knows_scenes}
    assert choose_view(both, labels) == "whole"
    assert choose_view(both, labels, scenes) == "centre"
    assert compare_views(both, labels, scenes)["whole"].shape == (30,)


def test_groups_of_one_image_change_nothing() -> None:
    both = {"centre": features(1.0), "whole": features(2.0)}
    plain, alone = compare_views(both, LABELS), compare_views(both, LABELS, np.arange(30)[::-1])
    assert all(np.array_equal(plain[view], alone[view]) for view in both)


def test_a_fold_that_holds_all_of_a_class_is_a_miss_and_no_error() -> None:
    labels = np.repeat([0, 1], [42, 6])
    groups = np.append(np.arange(42), np.full(6, 99))
    likelihoods = compare_views({"centre": features(0.05, labels)}, labels, groups)["centre"]
    assert np.isclose(likelihoods.min(), np.log(views.LEAST_PROBABILITY))
