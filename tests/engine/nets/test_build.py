from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from engine.errors import ConfigError
from engine.nets import backbones, weights
from engine.nets.build import build_net, choose_net

GREY: tuple[list[float], list[float]] = ([0.2], [0.3])
COLOUR: tuple[list[float], list[float]] = ([0.2] * 3, [0.3] * 3)


@pytest.mark.parametrize(
    ("name", "shape", "width"),
    [
        ("article_convnet", (1, 28, 28), 150),
        ("article_convnet", (1, 8, 8), 150),
        ("article_convnet", (3, 4, 5), 150),
        ("article_convnet", (1, 21, 33), 150),
        ("simple_cnn", (3, 32, 32), 128),
        ("simple_cnn", (3, 8, 8), 128),
        ("simple_cnn", (1, 65, 50), 128),
        ("wrn_28_2", (3, 32, 32), 128),
        ("wrn_28_2", (1, 8, 8), 128),
        ("torchvision:resnet18", (3, 32, 32), 512),
        ("torchvision:mobilenet_v2", (1, 8, 8), 1280),
    ],
)
def test_a_net_gives_features_and_logits_at_any_size(name: str, shape: tuple[int, int, int], width: int) -> None:
    net = build_net(name, shape, 7, GREY if shape[0] == 1 else COLOUR).eval()
    x = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    found = net.features(x)
    assert found.shape == (2, width)
    assert net(x).shape == (2, 7)
    torch.testing.assert_close(net.head(found), net(x))


def test_the_articles_net_has_its_layers_at_28_pixels() -> None:
    net = build_net("article_convnet", (1, 28, 28), 10, GREY, dropout=0.5)
    shapes = [tuple(p.shape) for p in net.parameters() if p.ndim > 1]
    assert shapes == [(20, 1, 5, 5), (40, 20, 5, 5), (150, 640), (10, 150)]
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout2d)] == [0.5]
    assert (net(torch.zeros(64, 1, 28, 28)) < 0).any()  # logits: no final ReLU


def test_simple_cnn_has_its_layers_at_32_pixels_and_one_more_block_at_64() -> None:
    small = build_net("simple_cnn", (3, 32, 32), 10, COLOUR)
    large = build_net("simple_cnn", (3, 64, 64), 10, COLOUR)
    weights = [[tuple(p.shape) for p in net.parameters() if p.ndim > 1] for net in (small, large)]
    assert weights[0] == [(32, 3, 3, 3), (64, 32, 3, 3), (128, 4096), (10, 128)]
    assert weights[1] == [(32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (128, 8192), (10, 128)]


def test_wide_resnet_28_2_has_1_5_million_weights_and_leaky_relu() -> None:
    net = build_net("wrn_28_2", (3, 32, 32), 10, COLOUR)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(1.47e6, rel=0.01)
    assert {m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)} == {0.1}
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in net.modules()) == 25


def test_images_are_normalised_inside_the_net() -> None:
    net = build_net("article_convnet", (1, 28, 28), 2, GREY)
    x = torch.full((1, 1, 28, 28), 51, dtype=torch.uint8)
    assert float(net.normalize(x).mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(net.normalize(torch.full_like(x, 255)).mean()) == pytest.approx(0.8 / 0.3, rel=1e-5)


@pytest.mark.parametrize(
    ("channels", "size", "chosen"),
    [(1, 28, "article_convnet"), (1, 8, "article_convnet"), (1, 33, "simple_cnn"), (3, 32, "simple_cnn")],
)
def test_auto_chooses_by_channels_and_size(channels: int, size: int, chosen: str) -> None:
    assert choose_net("auto", channels, size) == chosen
    assert choose_net("wrn_28_2", channels, size) == "wrn_28_2"


def test_a_size_one_network_has_its_images_enlarged() -> None:
    trunk, width, own = backbones.torchvision_trunk("vit_b_32", (1, 28, 28), "")
    assert isinstance(trunk, backbones.TorchvisionTrunk)
    assert (trunk.side, width, own) == (224, 768, None)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("torchvision:resnet19", (3, 32, 32), "no classifier of this name"),
        ("torchvision:fcn_resnet50", (3, 32, 32), "no classifier of this name"),
        ("torchvision:squeezenet1_0", (3, 64, 64), "does not end in a linear layer"),
        ("torchvision:resnet18", (2, 32, 32), "grey or colour"),
        ("perceptron", (1, 28, 28), "not known"),
        ("simple_cnn", (1, 3, 3), "too small"),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_net(name, shape, 2, GREY)


def test_weights_that_cannot_be_had_are_an_error_naming_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "urlopen", offline)
    with pytest.raises(ConfigError, match=r"resnet18.*cannot be downloaded") as caught:
        build_net("torchvision:resnet18", (3, 32, 32), 2, COLOUR, weights="DEFAULT")
    assert str(tmp_path / "checkpoints" / "resnet18-f37072fd.pth") in str(caught.value)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in caught.value.way_out


def test_a_file_that_is_not_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"<html>not found</html>")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ConfigError, match="not a file of network weights"):
        build_net("torchvision:resnet18", (3, 32, 32), 2, COLOUR, weights="DEFAULT")


def test_pretrained_weights_are_loaded_with_their_own_normalisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    (tmp_path / "checkpoints").mkdir()
    torch.manual_seed(5)
    kept = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(kept, tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    net = build_net("torchvision:resnet18", (3, 32, 32), 4, COLOUR, weights="DEFAULT")
    assert torch.equal(net.trunk.body.conv1.weight, kept["conv1.weight"])
    assert net.head.weight.shape == (4, 512)
    assert (net.normalize.mean.flatten() / 255).tolist() == pytest.approx([0.485, 0.456, 0.406])
