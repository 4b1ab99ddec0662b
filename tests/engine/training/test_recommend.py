"""What is recommended for which images and labels: each rule by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.algorithms import ALGORITHMS
from engine.benchmarks.mnist import MNIST_FEW
from engine.benchmarks.spec import Context
from engine.training.config import TrainConfig
from engine.training.recommend import Alternative, DataFacts, Recommendation, lengths, recommend
from engine.training.settings import settings_from

TEN = dict.fromkeys("0123456789", 100)
DIGITS = DataFacts(side=28, one_size=True, channels=1, images=60_000, labels=TEN, device="cpu", cores=2)
COLOUR = dataclasses.replace(DIGITS, side=32, channels=3, images=50_000)
PHOTOS = dataclasses.replace(
    DIGITS, side=480, one_size=False, channels=3, images=900, labels=dict.fromkeys("abcdefghij", 10)
)
KNOWN = frozenset({"efficientnet_lite0"})
BOTH = KNOWN | {"mobilenet_v2"}


def _with(facts: DataFacts, **fields: Any) -> Recommendation:
    return recommend(dataclasses.replace(facts, **fields))


def _alternative(found: Recommendation, title: str) -> Alternative:
    return next(one for one in found.alternatives if one.title == title)


@pytest.mark.parametrize("each", [1, 10, 100])
def test_small_grey_images_are_labeled_as_a_set_whatever_the_number_of_labels(each: int) -> None:
    found = _with(DIGITS, labels=dict.fromkeys("0123456789", each))
    assert (found.algorithm, found.config, found.train) == ("transductive", {}, {})
    standard, thorough = found.lengths
    assert (standard.train, standard.config) == ({}, {})
    assert thorough.config == {"network": "on"}
    assert thorough.train["net"] == "article_convnet"


def test_fixmatch_on_the_article_net_without_mirrors_is_the_other_way_for_small_grey_images() -> None:
    other = _alternative(recommend(DIGITS), "FixMatch")
    assert (other.algorithm, other.config) == ("fixmatch", {})
    whole = settings_from(TrainConfig, other.train)
    assert (whole.net, whole.learning_rate) == ("article_convnet", 0.03)
    assert (whole.augment, whole.strong) == ("shift", "rand_augment")


@pytest.mark.parametrize(("side", "algorithm"), [(40, "transductive"), (41, "fixmatch")])
def test_small_ends_at_forty_pixels(side: int, algorithm: str) -> None:
    assert _with(DIGITS, side=side).algorithm == algorithm


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_small_colour_images_on_a_gpu_get_the_wide_net_and_mirrors_only_as_an_offer(device: str) -> None:
    found = _with(COLOUR, device=device, weights=KNOWN)
    assert (found.algorithm, found.train["net"]) == ("fixmatch", "wrn_28_2")
    assert "augment" not in found.train
    mirrored = _alternative(found, "With mirrored images")
    assert mirrored.train["augment"] == "shift_flip"
    assert mirrored.reason.startswith("If a mirrored image keeps its class")


@pytest.mark.parametrize(
    "facts",
    [PHOTOS, dataclasses.replace(PHOTOS, device="cuda"), COLOUR, dataclasses.replace(PHOTOS, channels=1)],
    ids=["photos", "photos on a GPU", "small colour on a CPU", "grey photos"],
)
def test_photos_and_colour_without_a_gpu_get_a_quick_round(facts: DataFacts) -> None:
    found = _with(facts, weights=KNOWN)
    train = {"net": "frozen:efficientnet_lite0"}
    assert (found.algorithm, found.config, found.train) == ("transductive", {}, train)
    assert [length.title for length in found.lengths] == ["Standard"]
    assert "once an image" in found.reason
    assert not found.warnings


def test_two_pretrained_networks_are_taken_where_both_are_there_and_the_one_that_is_where_one_is_missing() -> None:
    both = _with(PHOTOS, weights=BOTH)
    assert both.train["net"] == "frozen:efficientnet_lite0+mobilenet_v2"
    assert "features of efficientnet_lite0 and mobilenet_v2 come from networks" in both.reason
    assert _alternative(both, "The labels alone").train["net"] == "frozen:efficientnet_lite0+mobilenet_v2"
    assert _with(PHOTOS, weights=BOTH - KNOWN).train["net"] == "frozen:mobilenet_v2"


@pytest.mark.parametrize(("each", "device", "net"), [
    (20, "cuda", "tuned:efficientnet_lite0"), (19, "cuda", "frozen:efficientnet_lite0"),
    (20, "cpu", "frozen:efficientnet_lite0"),
])  # fmt: skip
def test_photos_with_twenty_labels_a_class_and_a_gpu_get_a_tuned_network(each: int, device: str, net: str) -> None:
    found = _with(PHOTOS, labels=dict.fromkeys("abcdefghij", each), device=device, weights=KNOWN)
    assert found.train["net"] == net
    tuned = (
        found.train if found.algorithm == "fixmatch" else _alternative(found, "Tune the network's last blocks").train
    )
    assert tuned["net"] == "tuned:efficientnet_lite0"
    assert tuned["start"] == "frozen:efficientnet_lite0"
    assert ("GPU" in found.reason) == (net == "tuned:efficientnet_lite0")
    costs = lengths(dataclasses.replace(PHOTOS, device=device), "fixmatch", tuned)
    assert [length.train["epochs"] for length in costs] == [3, 20, 60], "epochs of 30 steps, minutes on a GPU"


def test_a_download_of_weights_is_told_before_the_whole_network_is_trained() -> None:
    assert "14 MB" in _alternative(_with(PHOTOS, weights=KNOWN), "Train the whole network").reason
    assert "MB" not in _alternative(_with(PHOTOS, weights=BOTH), "Train the whole network").reason


def test_few_labels_of_small_colour_images_get_pretrained_features_on_a_gpu_too() -> None:
    few = _with(COLOUR, device="cuda", weights=KNOWN, labels=dict.fromkeys("abc", 10))
    assert (few.algorithm, few.train["net"]) == ("transductive", "frozen:efficientnet_lite0")
    assert [one.title for one in few.alternatives] == ["FixMatch", "The labels alone", "Train the whole network"]
    assert _alternative(few, "FixMatch").train["net"] == "wrn_28_2"
    assert _with(COLOUR, device="cuda", weights=KNOWN, labels=dict.fromkeys("abc", 11)).algorithm == "fixmatch"


@pytest.mark.parametrize(("device", "net"), [("cpu", "simple_cnn"), ("cuda", "wrn_28_2")])
def test_without_the_weights_what_runs_without_is_recommended_and_the_way_to_them_told(device: str, net: str) -> None:
    found = _with(PHOTOS, device=device)
    assert (found.algorithm, found.train["net"]) == ("fixmatch", net)
    assert any("pip install --force-reinstall" in warning for warning in found.warnings)
    assert "Quick round" not in [one.title for one in found.alternatives]


@pytest.mark.parametrize(
    ("facts", "net"),
    [(DIGITS, "article_convnet"), (dataclasses.replace(PHOTOS, weights=KNOWN), "frozen:efficientnet_lite0")],
    ids=["digits", "photos"],
)
def test_where_everything_is_labeled_the_labels_alone_are_trained_on(facts: DataFacts, net: str) -> None:
    found = _with(facts, images=facts.labeled)
    assert (found.algorithm, found.train["net"]) == ("supervised", net)
    assert all(one.algorithm == "supervised" for one in found.alternatives)


def test_one_image_left_unlabeled_is_worth_a_semi_supervised_round() -> None:
    assert _with(DIGITS, images=1001).algorithm == "transductive"


def test_few_labels_say_how_many_more_each_class_needs_and_align_to_equal_shares() -> None:
    labels = {"a": 3, "b": 4, "c": 5}
    found = _with(PHOTOS, labels=labels)
    assert found.config == {"align": "uniform"}
    assert any("a (2 more), b (1 more)." in warning for warning in found.warnings)
    assert not any("c (" in warning for warning in found.warnings)
    assert not any("one label" in warning for warning in found.warnings)
    single = _with(PHOTOS, labels=labels | {"d": 1}).warnings
    assert any("one label is learned from that image alone" in text and "d (4 more)" in text for text in single)


def test_few_and_uneven_labels_align_to_the_shares_of_the_labels() -> None:
    assert _with(PHOTOS, labels={"a": 3, "b": 7}).config == {"align": "prior"}


@pytest.mark.parametrize("each", [1, 2, 5, 10])
def test_few_labels_of_digits_get_what_the_table_of_few_labels_was_measured_with(each: int) -> None:
    other = _alternative(_with(DIGITS, labels=dict.fromkeys("0123456789", each)), "FixMatch")
    (row, *_) = MNIST_FEW.rows(Context(Path(), torch.device("cpu")))
    assert other.algorithm == row.algorithm
    spec = ALGORITHMS[row.algorithm].config
    assert settings_from(spec, other.config) == settings_from(spec, row.config)
    assert settings_from(TrainConfig, other.train) == settings_from(TrainConfig, row.train)
    assert "FreeMatch" in other.reason


def test_few_labels_of_digits_end_at_ten_a_class_on_average_and_uneven_ones_keep_their_shares() -> None:
    def fixmatch(**labels: int) -> Alternative:
        return _alternative(_with(DIGITS, labels=labels), "FixMatch")

    assert fixmatch(a=12, b=8).config == {"rule": "freematch", "align": "uniform"}
    assert fixmatch(a=13, b=8).config == {}
    assert fixmatch(a=9, b=4, none=0).config == {"rule": "freematch", "align": "prior"}
    assert fixmatch().config == {}
    assert "FreeMatch" not in fixmatch(a=13, b=8).reason


def test_what_cannot_be_measured_is_told_in_words() -> None:
    (text,) = [text for text in _with(DIGITS, labels={"a": 9, "b": 5}).warnings if "held out" in text]
    assert text.startswith("Fewer than 2 classes have more than 5 labels, so all are trained on")
    (text,) = [text for text in _with(DIGITS, labels={"a": 9, "b": 6, "c": 5}).warnings if "held out" in text]
    assert text.startswith("c has 5 labels or fewer")
    assert not any("held out" in text for text in _with(DIGITS, labels={"a": 9, "b": 6}).warnings)


@pytest.mark.parametrize("labels", [{}, {"a": 0}, {"a": 1, "b": 0}])
def test_with_labels_of_fewer_than_two_classes_no_round_can_start(labels: dict[str, int]) -> None:
    first, *_ = _with(DIGITS, labels=labels).warnings
    assert first == "A round cannot start yet: at least 2 classes need a labeled image."


def test_class_without_a_label_is_named() -> None:
    found = _with(DIGITS, labels={"a": 30, "b": 30, "empty": 0})
    assert found.config == {}
    assert [warning for warning in found.warnings if "empty" in warning] == list(found.warnings)
    assert "leaves it out" in found.warnings[0]
    one = _with(DIGITS, labels={"a": 30, "b": 30, "single": 1})
    assert not any("cannot start yet" in text for text in one.warnings)
    assert any("single (4 more)" in text for text in one.warnings)


@pytest.mark.parametrize(("most", "config", "warned"), [(100, {}, False), (101, {"align": "prior"}, True)])
def test_imbalance_beyond_ten_to_one_is_told_and_aligned(most: int, config: dict[str, str], warned: bool) -> None:
    found = _with(PHOTOS, labels={"large": most, "small": 10})
    assert found.config == config
    assert any("large has 101 labels, small 10" in warning for warning in found.warnings) is warned


def test_lengths_come_near_to_their_steps_and_shorten_a_long_epoch_for_the_quick_look() -> None:
    train = {"net": "article_convnet"}
    quick, standard, thorough = lengths(DIGITS, "fixmatch", train)
    # 59,000 unlabeled images, 256 in a step: 231 steps an epoch; three of them are more than 300 steps.
    assert quick.train == {"epochs": 3, "steps_per_epoch": 100}
    assert standard.train == {"epochs": 20}
    assert thorough.train == {"epochs": 60}
    # 1,707 unlabeled images: the least of 30 steps an epoch.
    small = dataclasses.replace(DIGITS, images=1827, labels=dict.fromkeys("0123456789", 12))
    quick, standard, thorough = lengths(small, "fixmatch", train)
    assert quick.train == {"epochs": 10}
    assert standard.train == {"epochs": 80}
    assert thorough.train == {"epochs": 320}


def test_gpu_gets_longer_runs() -> None:
    # 49,000 unlabeled images: 192 steps an epoch, 20,000 steps in all.
    assert _with(COLOUR, device="cuda").lengths[1].train == {"epochs": 100}


FACTS = [
    dataclasses.replace(facts, device=device, weights=weights, images=images, labels=labels)
    for facts in (DIGITS, COLOUR, PHOTOS)
    for device in ("cpu", "cuda")
    for weights in (frozenset[str](), KNOWN, BOTH)
    for labels, images in ((TEN, 50_000), (TEN, 1000), ({}, 30), ({"a": 2, "b": 40}, 500))
]


@pytest.mark.parametrize("facts", FACTS)
def test_every_recommendation_and_alternative_can_be_started_as_it_is(facts: DataFacts) -> None:
    found = recommend(facts)
    ways = [(found.algorithm, found.config | one.config, found.train | one.train) for one in found.lengths]
    ways += [(other.algorithm, other.config, other.train) for other in found.alternatives]
    for algorithm, config, train in ways:
        settings_from(ALGORITHMS[algorithm].config, config)
        whole = dataclasses.asdict(settings_from(TrainConfig, train))
        assert {name for name, value in train.items() if whole[name] != value} == set()
    defaults = dataclasses.asdict(TrainConfig())
    assert not {name for name, value in found.train.items() if value == defaults[name]}


def test_no_text_promises_an_accuracy() -> None:
    for found in map(recommend, FACTS):
        texts = [found.reason, *found.warnings, *(one.reason for one in found.alternatives)]
        assert not any("%" in text for text in texts)
