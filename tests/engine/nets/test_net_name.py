from __future__ import annotations

import pytest

from engine.nets.net_name import FeatureSource, NetName


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("auto", NetName("own", "auto")),
        ("frozen:mobilenet_v2", NetName("frozen", "mobilenet_v2")),
        ("torchvision:resnet18", NetName("torchvision", "resnet18")),
        ("tuned:timm/a.b", NetName("tuned", "timm/a.b")),
        ("", NetName("own", "")),
    ],
)
def test_a_name_is_read_and_written_alike(text: str, name: NetName) -> None:
    assert NetName.parse(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    ("text", "frozen", "torchvision", "vector", "known"),
    [
        ("wrn_28_2", False, False, False, True),
        ("mlp", False, False, True, True),
        ("frozen:mlp", True, False, False, True),
        ("torchvision:resnet18", False, True, False, True),
        ("resnet18", False, False, False, False),
        ("Frozen:resnet18", False, False, False, False),
    ],
)
def test_what_a_name_says_of_the_network(text: str, frozen: bool, torchvision: bool, vector: bool, known: bool) -> None:
    name = NetName.parse(text)
    assert (name.is_frozen, name.is_torchvision, name.is_vector, name.is_known) == (frozen, torchvision, vector, known)


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("frozen:mobilenet_v2", [FeatureSource("mobilenet_v2")]),
        ("frozen:a@whole+timm/b.c", [FeatureSource("a", whole=True), FeatureSource("timm/b.c")]),
        ("frozen:hog+efficientnet_lite0", [FeatureSource("hog"), FeatureSource("efficientnet_lite0")]),
        ("torchvision:resnet18", []),
        ("auto", []),
    ],
)
def test_frozen_names_are_joined_by_a_plus_and_each_may_see_whole_images(
    text: str, sources: list[FeatureSource]
) -> None:
    assert list(NetName.parse(text).sources) == sources
    assert NetName.parse(text).base.split("+") == [str(source) for source in sources] or not sources


def test_gradients_are_found_among_joined_names_and_nowhere_else() -> None:
    texts = ("frozen:hog", "frozen:efficientnet_lite0+hog", "frozen:resnet18", "hog", "torchvision:hog")
    assert [NetName.parse(text).has_gradients for text in texts] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wrn_28_2", "wrn_28_2"),
        ("torchvision:resnet18", "resnet18"),
        ("tuned:efficientnet_lite0", "efficientnet_lite0, its last blocks tuned"),
        ("frozen:hog", "features of gradients"),
        ("frozen:a", "features of a"),
        ("frozen:a@whole", "features of a (whole image)"),
        ("frozen:a+b+a@whole", "features of a (centre and whole image) and b"),
    ],
)
def test_a_name_is_told_in_words(text: str, words: str) -> None:
    assert NetName.parse(text).words == words
