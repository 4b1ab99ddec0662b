from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from engine.errors import ConfigError
from engine.nets import backbones, frozen, weights
from engine.nets.hog import hog_features
from tests.engine.nets.weights_samples import SMALL, save_weights

CPU = torch.device("cpu")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return save_weights(tmp_path)


def noise(n: int, channels: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=generator)


def test_features_are_what_the_network_gives_before_its_last_layer(small: Path) -> None:
    images = noise(20, 3, 224)
    net = torchvision.models.get_model(SMALL, weights=None).eval()
    net.load_state_dict(torch.load(small, weights_only=True))
    net.fc = nn.Identity()
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = net((images / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))
    found = frozen.features_of(frozen.load_frozen(SMALL, CPU), images, CPU, "float32")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_grey_images_are_repeated_and_small_ones_enlarged_to_the_weights_own_side(small: Path) -> None:
    trunk = frozen.load_frozen(SMALL, CPU)
    seen: list[tuple[int, ...]] = []
    trunk.body.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    grey = noise(2, 1, 28)
    found = frozen.features_of(trunk, grey, CPU)
    assert seen == [(2, 3, 224, 224)]
    assert found.shape == (2, trunk.width) == (2, 1024)
    assert torch.equal(found, frozen.features_of(trunk, grey.expand(-1, 3, -1, -1), CPU))


def test_a_frozen_network_keeps_its_weights_and_running_statistics(small: Path) -> None:
    trunk = frozen.load_frozen(SMALL, CPU)
    before = {name: value.clone() for name, value in trunk.body.state_dict().items()}
    first = frozen.features_of(trunk, noise(4, 3, 224), CPU)
    torch.testing.assert_close(first[:1], frozen.features_of(trunk, noise(4, 3, 224)[:1], CPU), atol=1e-4, rtol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in trunk.body.state_dict().items())
    assert not any(parameter.requires_grad for parameter in trunk.body.parameters())


def test_no_images_give_no_features(small: Path) -> None:
    trunk = frozen.load_frozen(SMALL, CPU)
    assert frozen.features_of(trunk, noise(0, 3, 224), CPU).shape == (0, 1024)


class Narrow(nn.Module):
    """Takes at most `most` images, as a device with little memory would."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.taken: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        self.taken.append(len(x))
        return x.float().mean((1, 2, 3))[:, None]


def test_out_of_memory_halves_the_batch_and_loses_no_image() -> None:
    body = Narrow(5)
    images = noise(21, 3, 8)
    found = frozen.features_of(frozen.FrozenTrunk("narrow", body, 1, 8), images, CPU)
    torch.testing.assert_close(found[:, 0], images.float().mean((1, 2, 3)))
    assert sorted(body.taken) == [1, 4, 4, 4, 4, 4]  # two threads may share the batches


def test_out_of_memory_with_one_image_is_given_up() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        frozen.features_of(frozen.FrozenTrunk("narrow", Narrow(0), 1, 8), noise(2, 3, 8), CPU)


def test_weights_that_are_nowhere_are_an_error_and_never_a_random_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "urlopen", offline)
    for load in (lambda: frozen.load_frozen(SMALL, CPU), lambda: frozen.backbone(SMALL).fetch(weights.quiet)):
        with pytest.raises(ConfigError, match=r"shufflenet_v2_x0_5.*cannot be downloaded") as caught:
            load()
        assert str(tmp_path / "hub" / "checkpoints" / "shufflenetv2_x0.5") in str(caught.value)
        assert "https://download.pytorch.org/models/shufflenetv2_x0.5" in caught.value.way_out


def test_networks_that_cannot_be_frozen_are_refused_by_name_alone() -> None:
    for name, message in (("resnet19", "no classifier of this name"), ("squeezenet1_0", "not end in a linear layer")):
        with pytest.raises(ConfigError, match=message):
            backbones.check_name(name)


def test_every_other_classifier_is_accepted_by_name_and_knows_its_side() -> None:
    for name in ("resnet18", "mobilenet_v3_small", "regnet_y_400mf", "vit_b_32", "inception_v3", "swin_t"):
        backbones.check_name(name)
    assert [frozen.backbone(name).side for name in ("mobilenet_v2", "efficientnet_v2_s")] == [224, 384]


def test_names_joined_are_all_checked_and_none_may_come_twice() -> None:
    assert [str(one) for one in frozen.check("frozen:efficientnet_lite0@whole+resnet18")] == [
        "efficientnet_lite0@whole", "resnet18",
    ]  # fmt: skip
    for net, message in (
        ("frozen:efficientnet_lite0+resnet19", "no classifier of this name"),
        ("frozen:efficientnet_lite0+", "no classifier of this name"),
        ("frozen:", "no classifier of this name"),
        ("frozen:resnet18+resnet18", "named twice"),
        ("frozen:timm/resnet19", "no pretrained model of this name"),
        ("frozen:timm/resnet18.no_such_tag", "no pretrained model of this name"),
    ):
        with pytest.raises(ConfigError, match=message):
            frozen.check(net)
    assert len(frozen.check("frozen:resnet18+resnet18@whole")) == 2


def test_gradients_are_computed_in_full_precision_and_fetch_nothing() -> None:
    source = frozen.source_of("hog")
    assert (source.here, source.side, source.channels) == (True, 28, 1)
    assert source.stamp(weights.quiet) == "hog 1"
    trunk = frozen.load_frozen("hog", CPU)
    images = noise(300, 1, 28)
    features, direct = frozen.features_of(trunk, images, CPU, "bfloat16"), hog_features(images)
    torch.testing.assert_close(features, direct, rtol=1e-4, atol=1e-6)  # of parts of another size, in another order
    assert not torch.allclose(features, direct.bfloat16().float(), rtol=1e-4, atol=1e-6)  # it would be seen
    assert frozen.features_of(trunk, images[:0], CPU).shape == (0, trunk.width) == (0, 1352)


def test_regnet_whose_layout_is_computed_has_its_width_found() -> None:
    _, width, _ = backbones.torchvision_trunk("regnet_y_400mf", (3, 32, 32), "")
    assert width == 440


def test_files_of_weights_are_named_as_the_look_for_them_expects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in torchvision.models.list_models(module=torchvision.models):
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        assert url.rsplit("/", 1)[-1].startswith(name.partition("_")[0]), (name, url)
    assert not frozen.weights_here(SMALL)
    save_weights(tmp_path)
    assert frozen.weights_here(SMALL)
    assert frozen.weights_here("hog")


def test_features_are_the_same_on_one_thread_and_on_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    save_weights(tmp_path)
    trunk, images, threads = frozen.load_frozen(SMALL, CPU), noise(11, 3, 224), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = frozen.features_of(trunk, images, CPU, "float32")
        torch.set_num_threads(3)
        together = frozen.features_of(trunk, images, CPU, "float32")
        assert torch.get_num_threads() == 3, "the process's own number is not put back"
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)
