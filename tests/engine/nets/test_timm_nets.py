"""Models of timm with weights made here, put where a person would put them."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from engine.errors import ConfigError
from engine.nets import frozen, timm_nets, weights
from engine.nets.weights import quiet

CPU = torch.device("cpu")
TINY = "timm/test_efficientnet.r160_in1k"


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-of-others"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def random_net(name: str = TINY) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        net = timm.create_model(name.removeprefix("timm/"), pretrained=False).train()
        for _ in range(3):
            net(torch.randn(4, 3, 96, 96))
    return net.eval()


def state(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone().contiguous() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_put_in_place_gives_the_models_features(checkpoints: Path, suffix: str) -> None:
    net = random_net()
    path = checkpoints / f"test_efficientnet.r160_in1k.{suffix}"
    save_file(state(net), path) if suffix == "safetensors" else torch.save(state(net), path)
    backbone = frozen.backbone(TINY)
    assert backbone.find() == backbone.fetch(quiet) == path
    config = timm.get_pretrained_cfg("test_efficientnet.r160_in1k")
    assert backbone.side == config.input_size[1] == 160
    images = torch.randint(0, 256, (5, 3, 160, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor(config.mean).view(3, 1, 1), torch.tensor(config.std).view(3, 1, 1)
    net.reset_classifier(0)
    with torch.inference_mode():
        expected = net((images / 255 - mean) / deviation)
    trunk = frozen.load_frozen(TINY, CPU)
    found = frozen.features_of(trunk, images, CPU, "float32")
    assert trunk.width == expected.shape[1]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in trunk.body.modules())


@pytest.mark.parametrize("change", ["missing", "shape", "unknown"])
def test_weights_that_do_not_fit_are_refused_by_name(checkpoints: Path, change: str) -> None:
    values = state(random_net())
    if change == "missing":
        del values["conv_stem.weight"]
    elif change == "shape":
        values["conv_stem.weight"] = values["conv_stem.weight"][:-1].contiguous()
    else:
        values["more"] = torch.zeros(1)
    path = checkpoints / "test_efficientnet.r160_in1k.safetensors"
    save_file(values, path)
    with pytest.raises(ConfigError, match=r"does not hold the weights of timm/test_efficientnet.r160_in1k") as caught:
        frozen.load_frozen(TINY, CPU)
    assert str(path) in str(caught.value)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("trapped"),)


@pytest.mark.parametrize("content", [b"<html>", pickle.dumps(Trap(), protocol=2)], ids=["a page", "a pickle with code"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_of_something_else_is_refused_and_runs_nothing(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, suffix: str
) -> None:
    monkeypatch.chdir(checkpoints)
    (checkpoints / f"test_efficientnet.r160_in1k.{suffix}").write_bytes(content)
    with pytest.raises(ConfigError, match="does not hold the weights"):
        frozen.load_frozen(TINY, CPU)
    assert not (checkpoints / "trapped").exists()


def test_a_published_name_tells_the_digest(checkpoints: Path) -> None:
    published = checkpoints / "resnet18_a1_0-d63eafa0.pth"
    published.write_bytes(b"cut short")
    with pytest.raises(ConfigError, match="its SHA-256 is not the one in its name"):
        frozen.backbone("timm/resnet18").fetch(quiet)


def test_offline_the_file_its_place_and_its_source_are_told(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", offline)
    with pytest.raises(
        ConfigError, match=r"timm/test_efficientnet.*cannot be downloaded \(no route to host\)"
    ) as caught:
        frozen.load_frozen(TINY, CPU)
    assert str(checkpoints / "test_efficientnet.r160_in1k.safetensors") in caught.value.way_out
    assert "/timm/test_efficientnet.r160_in1k/resolve/main/model.safetensors" in caught.value.way_out


def test_a_download_is_told_and_checked_and_lies_where_a_person_would_put_it(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    source = tmp_path / "model.safetensors"
    save_file(state(random_net()), source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    class Answer:
        etag = digest

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: Answer)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_: source.as_uri())
    told: list[str] = []
    path = frozen.backbone(TINY).fetch(lambda label, *_: told.append(label))
    assert path == checkpoints / "test_efficientnet.r160_in1k.safetensors"
    assert set(told) == {f"Downloading {TINY} (MB)"}
    assert frozen.backbone(TINY).find() == path
    path.unlink()
    Answer.etag = "0" * 64
    with pytest.raises(ConfigError, match="should begin with 0000"):
        frozen.backbone(TINY).fetch(quiet)
    assert list(checkpoints.iterdir()) == []


def test_a_stop_while_downloading_leaves_nothing(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    (tmp_path / "source").write_bytes(bytes(3 << 20))
    with pytest.raises(Stop):
        weights.fetch("a", (tmp_path / "source").as_uri(), tmp_path / "place" / "a.pth", "", stop)
    assert list((tmp_path / "place").iterdir()) == []


def test_the_side_and_the_resampling_are_those_of_the_weights() -> None:
    assert timm_nets.timm_backbone("timm/vit_small_patch14_dinov2.lvd142m").side == 518
    assert timm_nets.timm_backbone("timm/resnet18.tv_in1k").resample == "bilinear"
    assert timm_nets.timm_backbone("timm/resnet18").resample == "bicubic"
