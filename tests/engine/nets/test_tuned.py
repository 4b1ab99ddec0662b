"""Pretrained networks whose last blocks are trained, on the real weights that come with the program."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.algorithms import ALGORITHMS, Algorithm
from engine.errors import ConfigError
from engine.nets import frozen
from engine.nets.build import build_net
from engine.nets.classifier import Classifier
from engine.nets.tuned import TunedTrunk, blocks_of, check
from engine.training import checkpoint
from engine.training.config import TrainConfig
from engine.training.pools import Pools
from tests.engine.nets.weights_samples import SMALL, save_weights

CPU = torch.device("cpu")
NET = "tuned:efficientnet_lite0"
NO_STATISTICS = ([0.0] * 3, [1.0] * 3)
SETTINGS = TrainConfig(
    net=NET, epochs=2, steps_per_epoch=2, batch_size=4, unlabeled_ratio=2, learning_rate=0.05, device="cpu",
    precision="float32",
)  # fmt: skip


def net_of(blocks: int = 2, name: str = NET, side: int = 32) -> Classifier:
    torch.manual_seed(0)
    return build_net(name, (3, side, side), 3, NO_STATISTICS, tuned_blocks=blocks)


def pools(side: int = 32, channels: int = 3) -> Pools:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, channels, side, side), generator=generator, dtype=torch.uint8)
    rows = torch.arange(20)
    return Pools(images, rows[:9], rows[:9] % 3, rows[9:9], rows[9:9], rows[9:], 3)


def a_run(key: str = "supervised", settings: TrainConfig = SETTINGS, **config: object) -> Algorithm:
    spec = ALGORITHMS[key]
    return spec.build(spec.config(**config), settings, pools(), CPU)


def trained(run: Algorithm, epochs: int = 2) -> Algorithm:
    for epoch in range(epochs):
        for metrics in run.steps(epoch):
            assert metrics
    return run


def weights_of(run: Algorithm) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in run.eval_model().state_dict().items()}


def learning(net: nn.Module) -> list[str]:
    return [name for name, p in net.named_parameters() if p.requires_grad]


@pytest.mark.parametrize(
    ("net", "count", "last"),
    [
        ("timm/tf_efficientnet_lite0", 16, "blocks.6.0"),
        ("timm/convnext_tiny", 18, "stages.3.blocks.2"),
        ("timm/vit_small_patch14_dinov2", 12, "blocks.11"),
        ("timm/swin_tiny_patch4_window7_224", 12, "layers.3.blocks.1"),
        ("mobilenet_v2", 17, "features.17"),
        ("mobilenet_v3_small", 11, "features.11"),
        ("efficientnet_b0", 16, "features.7.0"),
        ("resnet18", 8, "layer4.1"),
        ("densenet121", 4, "features.denseblock4"),
        ("vit_b_16", 12, "encoder.layers.encoder_layer_11"),
        ("alexnet", 8, "classifier.6"),
    ],
)
def test_blocks_are_what_the_networks_lists_repeat(net: str, count: int, last: str) -> None:
    with torch.device("meta"):
        built = (
            timm.create_model(net.removeprefix("timm/"), pretrained=False, num_classes=0)
            if net.startswith("timm/")
            else torchvision.models.get_model(net, weights=None)
        )
    found = blocks_of(built)
    assert len(found) == count
    assert found[-1] == last


def test_only_the_last_blocks_and_what_runs_after_them_learn() -> None:
    parts = {".".join(name.split(".")[:5]) for name in learning(net_of()) if "blocks" in name}
    assert parts == {"trunk.body.blocks.5.3", "trunk.body.blocks.6.0"}
    others = {name.split(".")[-2] for name in learning(net_of()) if "blocks" not in name}
    assert others == {"conv_head", "bn2", "head"}
    whole = net_of(0)
    assert learning(whole) == [name for name, _ in whole.named_parameters()]
    assert {name.split(".")[4] for name in learning(net_of(1)) if "blocks" in name} == {"0"}


def test_before_training_its_features_are_those_of_the_frozen_network() -> None:
    images = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected = frozen.features_of(frozen.load_frozen("efficientnet_lite0", CPU), images, CPU, "float32")
    for blocks in (0, 2, 16):
        net = net_of(blocks, side=224).train()
        torch.testing.assert_close(net.features(images).detach(), expected, atol=1e-3, rtol=1e-3)


def test_a_transformer_is_tuned_too_and_refuses_other_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    base = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    save_file(timm.create_model(base).state_dict(), tmp_path / "checkpoints" / f"{base}.safetensors")
    name = f"tuned:timm/{base}"
    net = net_of(1, name, 224).train()
    assert learning(net)[0].startswith("trunk.body.blocks.")
    assert {part.split(".")[3] for part in learning(net) if "blocks" in part} == {"11"}
    assert net.trunk.body.pos_embed.requires_grad is False  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=r"timm/vit_tiny_.* does not take images of this size.*32×32.*224"):
        net_of(1, name)


def test_grey_images_are_repeated() -> None:
    torch.manual_seed(0)
    net = build_net(NET, (1, 32, 32), 3, ([0.0], [1.0])).eval()
    grey = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(net(grey), net(grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("key", "config"),
    [("supervised", {}), ("fixmatch", {"threshold": 0.0}), ("meta_pseudo_labels", {"mode": "exact"}), ("vat", {})],
)
def test_training_moves_the_last_blocks_alone(key: str, config: dict[str, object]) -> None:
    run = a_run(key, **config)
    before = weights_of(run)
    after = weights_of(trained(run))
    learns = set(learning(net_of()))
    assert all(not torch.equal(before[name], after[name]) for name in learns if name.endswith("weight"))
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - learns)
    norms = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert any("blocks.6.0" in name for name in norms)


def test_what_does_not_learn_gets_no_gradient_and_stays_in_evaluation_mode() -> None:
    net = net_of().train()
    trunk = net.trunk
    assert isinstance(trunk, TunedTrunk)
    assert net.training
    assert not any(module.training for module in trunk.modules())
    net(pools().images).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in net.named_parameters() if p.grad is not None] == learning(net)


def test_nothing_is_dropped_in_the_pretrained_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    save_weights(tmp_path)
    net = net_of(1, f"tuned:{SMALL}", 64)
    assert isinstance(net.trunk, TunedTrunk)
    dropping = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    trunk = TunedTrunk(dropping).train()
    x = torch.ones(4, 2)
    assert torch.equal(trunk(x), trunk(x))
    assert dropping[0].p == 0.0


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    one, same, other = (
        weights_of(trained(a_run("fixmatch", dataclasses.replace(SETTINGS, seed=seed)), 1)) for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_run_goes_on_from_its_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    whole = a_run("fixmatch")
    trained(whole, 1)
    digest = checkpoint.save(tmp_path / "a.pt", whole, 0, {})
    resumed = a_run("fixmatch")
    assert checkpoint.load(tmp_path / "a.pt", digest, resumed)[0] == 0
    resumed_end = [list(resumed.steps(1)), weights_of(resumed)][1]
    checkpoint.load(tmp_path / "a.pt", digest, whole)  # the generators too
    whole_end = [list(whole.steps(1)), weights_of(whole)][1]
    assert all(torch.equal(whole_end[name], resumed_end[name]) for name in whole_end)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("efficientnet_lite0+resnet18", "Only one network"),
        ("efficientnet_lite0@whole", "Only one network"),
        ("resnet19", "no classifier of this name"),
        ("hog", "no classifier of this name"),
        ("timm/resnet19", "no pretrained model of this name"),
        ("", "no classifier of this name"),
    ],
)
def test_a_network_that_there_is_not_is_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(name)


def test_weights_that_are_not_to_be_had_are_an_error_and_no_random_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ConfigError, match="weights of shufflenet_v2_x0_5 are not on this machine"):
        net_of(1, f"tuned:{SMALL}", 64)


def test_more_blocks_than_there_are_are_refused_by_name() -> None:
    assert len(learning(net_of(16))) < len(learning(net_of(0)))
    with pytest.raises(ConfigError, match=r"tuned:efficientnet_lite0 has fewer blocks.*17 of 16.*at most 16"):
        net_of(17)
    for blocks in (-1, 33):
        with pytest.raises(ConfigError, match="Tuned blocks is too"):
            TrainConfig(net=NET, tuned_blocks=blocks)


def test_the_setting_says_how_many_blocks_learn() -> None:
    one = a_run(settings=dataclasses.replace(SETTINGS, tuned_blocks=1))
    before, after = weights_of(one), weights_of(trained(one))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("blocks.5" in name for name in moved)
    assert any("blocks.6" in name for name in moved)
