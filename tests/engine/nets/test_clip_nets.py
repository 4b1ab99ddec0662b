"""Text-image networks: a tiny one with weights made here, put where a person would put them."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from engine.errors import ConfigError
from engine.nets import clip_nets, frozen
from engine.nets.weights import quiet
from tests.tiny_clip import TINY, empty_checkpoints, put, random_net

CPU = torch.device("cpu")


def test_without_the_extra_it_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_nets, "TEXT_IMAGE_MODULE", "no_such_module")
    assert not clip_nets.installed()
    assert clip_nets.names_here() == []
    with pytest.raises(ConfigError, match="need the extra `clip`, which is not installed") as caught:
        frozen.check("frozen:clip/ViT-B-32/openai")
    assert "pip install open_clip_torch" in caught.value.way_out


def test_a_name_without_its_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="named by its model and its weights"):
        frozen.backbone("clip/ViT-B-32")


@pytest.fixture
def open_clip() -> Any:
    return pytest.importorskip("open_clip")


@pytest.fixture
def checkpoints(open_clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_checkpoints(tmp_path, monkeypatch)


@pytest.fixture
def net(checkpoints: Path) -> Any:
    return random_net()


@pytest.mark.parametrize("suffix", clip_nets.SUFFIXES)
def test_a_file_put_in_place_gives_the_image_towers_features(net: Any, checkpoints: Path, suffix: str) -> None:
    path = put(net, checkpoints / f"tiny-clip.made_here{suffix}")
    backbone = frozen.backbone(TINY)
    assert backbone.find() == backbone.fetch(quiet) == path
    assert (backbone.side, backbone.resample) == (32, "bicubic")
    assert frozen.weights_here(TINY)
    assert clip_nets.names_here() == [TINY]
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.inference_mode():
        expected = net.encode_image((images / 255 - mean) / deviation)
    trunk = frozen.load_frozen(TINY, CPU)
    assert trunk.width == 16
    torch.testing.assert_close(frozen.features_of(trunk, images, CPU, "float32"), expected, atol=1e-4, rtol=1e-3)


def test_a_class_lies_in_the_mean_direction_of_its_sentences_and_underscores_are_spaces(
    open_clip: Any, net: Any, checkpoints: Path
) -> None:
    put(net, checkpoints / "tiny-clip.made_here.safetensors")
    directions, scale = clip_nets.class_directions(TINY, ["polar_bear", "cup"])
    sentences = ["a photo of a polar bear.", "a picture of the polar bear.", "a close-up photo of a polar bear."]
    with torch.inference_mode():
        each = F.normalize(net.encode_text(open_clip.tokenize(sentences)))
    torch.testing.assert_close(directions[0], F.normalize(each.mean(0), dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(2))
    assert not torch.allclose(directions[0], directions[1], atol=1e-3)
    assert scale == pytest.approx(1 / 0.07, rel=1e-4)


def test_what_only_transformers_can_split_into_tokens_is_told(
    open_clip: Any, net: Any, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(net, checkpoints / "tiny-clip.made_here.safetensors")

    def absent(*_: object) -> None:
        raise ImportError("No module named 'transformers'")

    monkeypatch.setattr(open_clip, "get_tokenizer", absent)
    with pytest.raises(ConfigError, match=r"What splits text into tokens.*transformers"):
        clip_nets.class_directions(TINY, ["cup"])


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("trapped"),)


@pytest.mark.parametrize("content", [b"<html>", pickle.dumps(Trap(), protocol=2)], ids=["a page", "a pickle with code"])
@pytest.mark.parametrize("suffix", clip_nets.SUFFIXES)
def test_a_file_of_something_else_is_refused_and_runs_nothing(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, suffix: str
) -> None:
    monkeypatch.chdir(checkpoints)
    (checkpoints / f"tiny-clip.made_here{suffix}").write_bytes(content)
    with pytest.raises(ConfigError, match=f"does not hold the weights of {TINY}"):
        frozen.load_frozen(TINY, CPU)
    assert not (checkpoints / "trapped").exists()


def test_weights_of_another_model_are_refused(open_clip: Any, checkpoints: Path, net: Any) -> None:
    del net.visual.proj
    put(net, checkpoints / "tiny-clip.made_here.pt")
    with pytest.raises(ConfigError, match="does not hold the weights"):
        frozen.load_frozen(TINY, CPU)


def test_a_model_that_is_not_known_and_weights_that_nobody_publishes_are_told(checkpoints: Path) -> None:
    with pytest.raises(ConfigError, match="open_clip has no model of this name"):
        frozen.backbone("clip/ViT-Z-99/openai")
    with pytest.raises(ConfigError, match="publishes no weights made_here of tiny-clip") as caught:
        frozen.backbone(TINY).fetch(quiet)
    assert str(checkpoints / "tiny-clip.made_here.safetensors") in str(caught.value)
    assert not frozen.weights_here(TINY)


def test_offline_the_file_its_place_and_its_source_are_told(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", offline)
    with pytest.raises(ConfigError, match=r"cannot be downloaded \(no route to host\)") as caught:
        frozen.load_frozen("clip/ViT-B-32/laion2b_s34b_b79k", CPU)
    assert str(checkpoints / "ViT-B-32.laion2b_s34b_b79k.safetensors") in caught.value.way_out
    assert "/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/open_clip_model.safetensors" in caught.value.way_out


def test_published_weights_are_fetched_checked_and_lie_where_a_person_would_put_them(
    open_clip: Any, net: Any, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    source = put(net, tmp_path / "open_clip_model.safetensors")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    class Answer:
        etag = digest

    published = {"hf_hub": "somebody/tiny/", "interpolation": "bilinear"}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: published)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: Answer)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_: source.as_uri())
    told: list[str] = []
    backbone = frozen.backbone(TINY)
    assert backbone.resample == "bilinear"
    path = backbone.fetch(lambda label, *_: told.append(label))
    assert path == checkpoints / "tiny-clip.made_here.safetensors"
    assert set(told) == {f"Downloading {TINY} (MB)"}
    path.unlink()
    Answer.etag = "0" * 64
    with pytest.raises(ConfigError, match="should begin with 0000"):
        frozen.backbone(TINY).fetch(quiet)
    assert list(checkpoints.iterdir()) == []


def test_an_older_kind_of_file_is_fetched_where_the_safe_one_is_not_published(
    open_clip: Any, net: Any, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    source = put(net, tmp_path / "open_clip_pytorch_model.bin")

    def asked(url: str, **_: object) -> Any:
        if url.endswith(".safetensors"):
            raise EntryNotFoundError("404")
        return type("Answer", (), {"etag": "none"})

    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {"hf_hub": "somebody/tiny/"})
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", asked)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda _, file: (tmp_path / file).as_uri())
    assert frozen.backbone(TINY).fetch(quiet) == checkpoints / "tiny-clip.made_here.bin"
    assert (checkpoints / "tiny-clip.made_here.bin").read_bytes() == source.read_bytes()
