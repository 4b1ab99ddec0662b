"""A part of the map without labels is found when the labels suffice to tell, and nothing else is."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from engine.errors import MapError
from engine.maps.features import pixels
from engine.maps.fixed_map import fixed_map
from engine.maps.regions import Region, flag_regions

EACH = 300


@dataclass
class Scene:
    """Round clusters of 300 rows in a row on the map; features are the map and noise."""

    features: NDArray[np.float32]
    xy: NDArray[np.float32]
    y: NDArray[np.int64]
    labeled: NDArray[np.bool_]
    predicted: NDArray[np.int16]
    confidence: NDArray[np.float32]

    def flagged(self, seed: int = 0) -> list[Region]:
        return flag_regions(self.features, self.xy, self.labeled, self.predicted, self.confidence, seed=seed)


def scene(labels: dict[int, int], unsure: tuple[int, ...] = (), clusters: int = 5, seed: int = 0) -> Scene:
    """So many labels by cluster; the model calls an unsure cluster the one before it, at 0.6 instead of 0.95."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(clusters), EACH)
    xy = (np.stack([10.0 * y, np.zeros(len(y))], axis=1) + rng.normal(0, 1, (len(y), 2))).astype(np.float32)
    features = np.concatenate([xy, rng.normal(0, 0.1, (len(y), 3))], axis=1).astype(np.float32)
    labeled = np.zeros(len(y), dtype=bool)
    for cluster, count in labels.items():
        labeled[rng.choice(np.flatnonzero(y == cluster), count, replace=False)] = True
    doubtful = np.isin(y, unsure)
    confidence = np.where(doubtful, 0.6, 0.95) + rng.uniform(-0.04, 0.04, len(y))
    predicted = np.where(doubtful, y - 1, y).astype(np.int16)
    predicted[labeled], confidence[labeled] = -1, np.nan  # a round predicts the unlabeled images only
    return Scene(features, xy, y, labeled, predicted, confidence.astype(np.float32))


FOUR_OF_FIVE = {0: 25, 1: 25, 2: 25, 4: 25}


def without_predictions(s: Scene) -> Scene:
    s.predicted[:], s.confidence[:] = -1, np.nan
    return s


def test_the_cluster_without_labels_is_the_region() -> None:
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    (region,) = s.flagged()
    assert sorted(region.rows) == np.flatnonzero(s.y == 3).tolist()
    assert region.rows.dtype == np.int64
    assert (region.size, region.labeled) == (EACH, 0)
    assert region.expected_labeled == pytest.approx(20)  # 100 labels, a fifth of the rows
    assert region.confidence == pytest.approx(0.6, abs=0.01)
    assert region.overall_confidence == pytest.approx(float(np.nanmean(s.confidence)), abs=1e-6)
    assert region.called == ((2, 1.0),)
    assert np.hypot(*(region.centre - [30, 0])) < 1
    assert region.p < 1e-3
    assert region.reason == (
        "300 images with 0 labels where 20 would be expected; the model is unsure of them and calls them mostly 2"
    )
    assert region.reason_with(["a", "b", "owl"]).endswith("and calls them mostly owl")


def test_the_most_typical_rows_come_first() -> None:
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    (region,) = s.flagged()
    away = np.linalg.norm(s.features[region.rows] - s.features[s.y == 3].mean(axis=0), axis=1)
    assert (np.diff(away) >= -1e-5).all()


def test_labels_everywhere_raise_no_alarm_even_where_the_model_is_unsure() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        counts = dict(enumerate(rng.multinomial(100, [0.2] * 5).tolist()))
        assert scene(counts, unsure=(3,), seed=seed).flagged() == []
        assert without_predictions(scene(counts, seed=seed)).flagged() == []


@pytest.mark.parametrize(("confidence", "regions"), [(0.999, 0), (0.9, 1)])
def test_an_empty_cluster_the_model_is_sure_of_raises_no_alarm(confidence: float, regions: int) -> None:
    # As after asking for labels where the model was unsure: the easy cluster got none. Elsewhere it is sure at 0.95.
    s = scene(FOUR_OF_FIVE)
    s.predicted[s.y == 3] = np.random.default_rng(0).choice([0, 1, 2, 4], EACH)
    s.confidence[s.y == 3] = confidence
    assert len(s.flagged()) == regions


def test_predictions_of_labeled_rows_are_not_looked_at() -> None:
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    (before,) = s.flagged()
    s.predicted[s.labeled], s.confidence[s.labeled] = 0, 0.1
    (after,) = s.flagged()
    assert (after.reason, after.p, after.overall_confidence) == (before.reason, before.p, before.overall_confidence)


def test_a_region_is_at_most_half_of_the_map() -> None:
    regions = without_predictions(scene({0: 50, 1: 50})).flagged()  # three of five clusters are empty
    assert sorted(region.size for region in regions) == [EACH, 2 * EACH]


@pytest.mark.parametrize(("each", "regions"), [(3, 0), (25, 1)])
def test_too_few_labels_to_tell_say_nothing(each: int, regions: int) -> None:
    # 12 labels: 2.4 expected, none found in 1 of 11 evenly labeled maps. 100 labels: 20 expected.
    assert len(scene(dict.fromkeys((0, 1, 2, 4), each), unsure=(3,)).flagged()) == regions


def test_without_confidences_the_shortage_alone_must_be_clearer() -> None:
    (region,) = without_predictions(scene(FOUR_OF_FIVE)).flagged()
    assert region.size == EACH
    assert np.isnan([region.confidence, region.overall_confidence]).all()
    assert region.called == ()
    assert region.reason == "300 images with 0 labels where 20 would be expected"
    fewer = dict.fromkeys((0, 1, 2, 4), 12)  # 9.6 expected
    s = scene(fewer, unsure=(3,))
    s.predicted[s.y == 3] = np.random.default_rng(0).choice([0, 1, 2, 4], EACH)
    assert len(s.flagged()) == 1
    assert without_predictions(scene(fewer)).flagged() == []


def test_images_added_since_the_round_are_not_taken_for_a_class() -> None:
    # No labels and no predictions there, predictions elsewhere.
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    s.predicted[s.y == 3], s.confidence[s.y == 3] = -1, np.nan
    assert s.flagged() == []


def test_one_label_in_four_of_the_due_is_no_gap() -> None:
    # 300 of 1,500 rows with 25 of 425 labels: 85 are due, so few that chance is ruled out, but labeled they are.
    s = scene({0: 100, 1: 100, 2: 100, 3: 25, 4: 100}, unsure=(3,))
    s.predicted[(s.y == 3) & ~s.labeled] = np.random.default_rng(0).choice([0, 1, 2, 4], EACH - 25)
    assert s.flagged() == []


def test_a_class_with_few_labels_that_the_model_knows_raises_no_alarm() -> None:
    # Labels were drawn class by class: the model calls cluster 3 by its own name, which has 2 labels for 300 images.
    s = scene({0: 60, 1: 60, 2: 60, 3: 2, 4: 60})
    s.confidence[s.y == 3] = 0.7
    assert s.flagged() == []
    s.predicted[s.y == 3] = 2
    assert len(s.flagged()) == 1


def test_neighbouring_branches_are_one_region_and_far_ones_two() -> None:
    labels = dict.fromkeys((0, 1, 3, 5, 7), 60)
    s = scene(labels, unsure=(2, 6), clusters=8)
    assert sorted(r.size for r in s.flagged()) == [EACH, EACH]
    # In the features 2 and 6 are one cloud that the map tore apart.
    s.features[s.y == 6, 0] -= 40
    (region,) = s.flagged()
    assert sorted(region.rows) == np.flatnonzero(np.isin(s.y, [2, 6])).tolist()
    assert min(np.hypot(*(region.centre - at)) for at in ([20, 0], [60, 0])) < 5  # on an image, not between


def test_rows_that_are_not_finite_are_in_no_region() -> None:
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    bad = np.flatnonzero(s.y == 3)[:2]
    s.features[bad[0], 1], s.xy[bad[1], 0] = np.nan, np.inf
    (region,) = s.flagged()
    assert sorted(region.rows) == np.flatnonzero(s.y == 3)[2:].tolist()


def test_odd_confidences_count_as_none() -> None:
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    three = np.flatnonzero(s.y == 3)
    s.confidence[three[:40]], s.confidence[three[40:80]], s.confidence[three[80:120]] = -1, np.nan, 7
    (region,) = s.flagged()
    assert region.size == EACH
    assert region.confidence == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(("n", "regions"), [(0, 0), (1, 0), (5, 0), (49, 0), (50, 1)])
def test_fewer_than_50_rows_have_no_region(n: int, regions: int) -> None:
    # The first half and one have labels, the rest has none.
    labeled = np.arange(n) < n // 2 + 1
    xy = np.random.default_rng(0).normal(0, 1, (n, 2)).astype(np.float32)
    xy[~labeled] += 20
    nothing = np.full(n, -1, np.int16)
    assert len(flag_regions(xy, xy, labeled, nothing, nothing.astype(np.float32))) == regions


def test_one_class_or_one_place_or_no_label_or_all_labels_raise_no_alarm() -> None:
    assert scene({0: 60}, clusters=1).flagged() == []
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    for value in (False, True):
        s.labeled[:] = value
        assert s.flagged() == []
    s = scene(FOUR_OF_FIVE, unsure=(3,))
    s.xy[:] = 1
    assert s.flagged() == []


def test_the_same_input_gives_the_same_regions() -> None:
    first, again = (scene(dict.fromkeys((0, 1, 4), 40), unsure=(2, 3)).flagged(3) for _ in range(2))
    assert len(first) == len(again) >= 1
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.rows, b.rows)
        assert (a.p, a.reason) == (b.p, b.reason)


def test_arrays_of_different_length_are_refused() -> None:
    s = scene(FOUR_OF_FIVE)
    with pytest.raises(MapError, match="one row an image"):
        flag_regions(s.features, s.xy[:-1], s.labeled, s.predicted, s.confidence)


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    images, y = load_digits(return_X_y=True)
    rows = pixels((images * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8))
    return rows, fixed_map(rows, seed=0, report=lambda *_: None), y


def predictions(
    rows: NDArray[np.float32], y: NDArray[np.int64], labeled: NDArray[np.bool_]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    model = LogisticRegression(C=10, max_iter=500).fit(rows[labeled], y[labeled])
    probabilities = model.predict_proba(rows)
    return model.classes_[probabilities.argmax(1)].astype(np.int16), probabilities.max(1).astype(np.float32)


@pytest.mark.parametrize("missing", [0, 7])
def test_a_digit_left_out_of_the_labels_is_the_region(digits, missing: int) -> None:
    rows, xy, y = digits
    labeled = np.zeros(len(y), dtype=bool)
    labeled[np.random.default_rng(0).choice(np.flatnonzero(y != missing), 150, replace=False)] = True
    (region,) = flag_regions(rows, xy, labeled, *predictions(rows, y, labeled))
    assert (y[region.rows] == missing).mean() >= 0.9
    assert np.isin(np.flatnonzero(y == missing), region.rows).mean() >= 0.85
    assert (y[region.rows[:30]] == missing).all()
    assert region.confidence < region.overall_confidence


def test_digits_labeled_in_all_ten_classes_raise_no_alarm(digits) -> None:
    rows, xy, y = digits
    for seed in range(5):
        labeled = np.zeros(len(y), dtype=bool)
        labeled[np.random.default_rng(seed).choice(len(y), 150, replace=False)] = True
        assert flag_regions(rows, xy, labeled, *predictions(rows, y, labeled)) == []
