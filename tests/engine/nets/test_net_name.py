from __future__ import annotations

import pytest

from engine.nets.net_name import NetName


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("auto", NetName("own", "auto")),
        ("frozen:mobilenet_v2", NetName("frozen", "mobilenet_v2")),
        ("torchvision:resnet18", NetName("torchvision", "resnet18")),
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
