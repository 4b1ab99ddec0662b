"""Which labels count as suspected, in which order, and which classes are left alone."""

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.quality.label_issues import NOT_JUDGED, find_issues


def clean(per_class: int = 10) -> tuple[list[int], list[list[float]]]:
    """Images of two classes, each predicted as its label with 0.8."""
    given = [0] * per_class + [1] * per_class
    return given, [[0.8, 0.2, 0.0]] * per_class + [[0.2, 0.8, 0.0]] * per_class


def test_a_label_contradicted_by_a_sure_prediction_is_found_with_the_class_it_should_be() -> None:
    given, p = clean()
    found = find_issues(np.array([*given, 0]), np.array([*p, [0.04, 0.96, 0.0]]))
    assert found.rows.tolist() == [20]
    assert found.suggested.tolist() == [1]
    assert found.score.tolist() == pytest.approx([0.96])
    assert found.thresholds.tolist() == pytest.approx([(8 + 0.04) / 11, 0.8, NOT_JUDGED])


def test_twenty_times_as_likely_is_the_default_cut() -> None:
    given, p = clean()
    more = [[1 / 20.9, 19.9 / 20.9, 0.0], [1 / 21.1, 20.1 / 21.1, 0.0]]
    table = np.array([*p, *more])
    assert find_issues(np.array([*given, 0, 0]), table).rows.tolist() == [21]
    assert find_issues(np.array([*given, 0, 0]), table, ratio=15).rows.tolist() == [21, 20]


def test_a_class_has_to_reach_half_of_what_it_gets_on_its_own_images() -> None:
    given = np.repeat([0, 1, 2], 10)
    p = np.repeat(np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]), 10, axis=0)
    p[0] = [0.01, 0.45, 0.54]  # 0.45 is below half of class 1's 1.0; class 2 reaches half of its 0.5
    assert find_issues(given, p).suggested.tolist() == [2]
    p[0] = [0.01, 0.49, 0.20]
    assert len(find_issues(given, p).rows) == 0  # nobody reaches: the model does not know
    p[0] = [0.02, 0.60, 0.20]
    assert find_issues(given, p).suggested.tolist() == [1]  # 0.6 is less than class 1's 1.0, and enough
    p[0] = [0.01, 0.49, 0.20]
    modest = p.copy()
    modest[10:20] = [0.55, 0.45, 0.0]  # class 1 is modest about its own images, so 0.49 is sure for it
    assert find_issues(given, modest).rows.tolist() == [0]


def test_the_most_suspicious_come_first() -> None:
    given, p = clean()
    table = np.array([*p, [0.03, 0.97, 0.0], [0.0, 0.9, 0.1], [0.01, 0.99, 0.0], [0.0, 1.0, 0.0]])
    found = find_issues(np.array([*given, 0, 0, 0, 0]), table)
    assert found.rows.tolist() == [23, 21, 22, 20]
    assert np.all(np.diff(found.score) <= 0)


@pytest.mark.parametrize(("images", "judged"), [(4, False), (5, True)])
def test_classes_with_fewer_than_five_images_are_not_judged(images: int, judged: bool) -> None:
    given, p = clean()
    given, p = given + [2] * images, p + [[0.01, 0.99, 0.0]] * (images - 1) + [[0.0, 0.0, 1.0]]
    p[0] = [0.01, 0.0, 0.99]
    found = find_issues(np.array(given), np.array(p))
    assert (found.thresholds[2] == NOT_JUDGED) is not judged
    assert found.rows.tolist() == ([20, 21, 22, 23, 0] if judged else [])


def test_flipped_labels_of_a_good_model_are_found_and_hardly_any_right_one() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 2000)
    logits = rng.normal(size=(2000, 5)) + 6 * np.eye(5)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = truth.copy()
    wrong = rng.permutation(2000)[:100]
    given[wrong] = (given[wrong] + rng.integers(1, 5, 100)) % 5
    found = find_issues(given, p)
    hit = np.isin(found.rows, wrong)
    assert hit.mean() >= 0.95
    assert hit.sum() >= 85
    assert (found.suggested[hit] == truth[found.rows[hit]]).all()


def test_no_labels_give_no_issues_and_broken_predictions_are_refused() -> None:
    assert len(find_issues(np.zeros(0, np.int64), np.zeros((0, 3))).rows) == 0
    p = np.full((2, 2), 0.5)
    for given, table, ratio in (
        (np.array([0]), p, 20.0),
        (np.array([0, 2]), p, 20.0),
        (np.array([0, -1]), p, 20.0),
        (np.array([0, 1]), p * np.nan, 20.0),
        (np.array([0, 1]), p, 0.5),
    ):
        with pytest.raises(ConfigError):
            find_issues(given, table, ratio)
