"""Text-image networks of open_clip, as "clip/MODEL/PRETRAINED", for example "clip/ViT-B-32/laion2b_s34b_b79k".

The image tower gives features like any other network; the text tower says where among them the names of classes lie.
open_clip is an extra of this program. A file of weights that a person puts into torch's folder of checkpoints is taken
first, as "MODEL.PRETRAINED.safetensors" (or .pt, .pth, .bin); any PRETRAINED will do for it. Then one that open_clip
has downloaded before, and otherwise what it publishes under that name is fetched.

Sources: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, section 3.1,
for the class names in sentences whose directions are averaged; Ilharco et al., OpenCLIP (2021).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.errors import ConfigError, first_line
from engine.nets import weights
from engine.nets.classifier import Normalize
from engine.nets.net_name import TEXT_IMAGE, TEXT_IMAGE_MODULE
from engine.nets.timm_nets import SHA256
from engine.nets.weights import Backbone
from engine.records.progress import Progress

EXTRA = "clip"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
TEMPLATES = ("a photo of a {}.", "a picture of the {}.", "a close-up photo of a {}.")
"""Sentences a class name is put into; the mean of their directions is the class's."""
EXAMPLE = "clip/ViT-B-32/laion2b_s34b_b79k"


def installed() -> bool:
    """Return whether the extra is there; nothing is imported."""
    return importlib.util.find_spec(TEXT_IMAGE_MODULE) is not None


def clip_backbone(name: str) -> Backbone:
    """Return the image tower of a text-image network, with the normalisation, side and resampling of its weights.

    Raises:
        ConfigError: the extra is not installed, or open_clip has no model of that name.
    """
    model, tag = _parts(name)
    known = _model_config(name, model)
    published = _published(model, tag)
    return Backbone(
        name=name,
        side=_side(known),
        find=lambda: _find(model, tag),
        fetch=lambda progress: _fetch(name, progress),
        build=lambda path: _image_tower(name, path),
        resample="bilinear" if published.get("interpolation") == "bilinear" else "bicubic",
    )


def names_here() -> list[str]:
    """Return the text-image networks whose weights are on this machine, by name; none without the extra."""
    if not installed():
        return []
    import open_clip

    names = set()
    for model in open_clip.list_models():
        for path in weights.folder().glob(f"{escape(model)}.*"):
            tag = path.name.removeprefix(f"{model}.").removesuffix(path.suffix)
            if tag and path.suffix in SUFFIXES:
                names.add(f"{TEXT_IMAGE}{model}/{tag}")
    names |= {f"{TEXT_IMAGE}{model}/{tag}" for model, tag in open_clip.list_pretrained() if _downloaded(model, tag)}
    return sorted(names)


def class_directions(name: str, classes: Sequence[str], progress: Progress = weights.quiet) -> tuple[Tensor, float]:
    """Return where classes lie among the features (K, D), of length 1, and by what a cosine is multiplied for a logit.

    Args:
        name: of the network; its weights are fetched where they are not here.
        classes: their names; underscores are read as spaces.
        progress: told of a download.

    Raises:
        ConfigError: the extra, the network, its weights or what reads its text is not to be had.
    """
    import open_clip

    path = clip_backbone(name).fetch(progress)
    model = _built(name, path)
    try:
        tokenizer = open_clip.get_tokenizer(_parts(name)[0])
    except Exception as error:  # of transformers or huggingface_hub, which some models' text needs
        raise ConfigError(
            f"What splits text into tokens for {name} is not on this machine ({first_line(error)})",
            value=name,
            way_out=f"Take a model whose tokens open_clip makes itself, such as {EXAMPLE}.",
        ) from error
    directions = []
    with torch.inference_mode():
        for spoken in (one.replace("_", " ") for one in classes):
            sentences = tokenizer([template.format(spoken) for template in TEMPLATES])
            directions.append(F.normalize(F.normalize(model.encode_text(sentences)).mean(0), dim=0))
        return torch.stack(directions).float(), float(model.logit_scale.exp())


def _parts(name: str) -> tuple[str, str]:
    """Return the model and the name of its weights."""
    model, _, tag = name.removeprefix(TEXT_IMAGE).partition("/")
    if not model or not tag:
        raise ConfigError(
            "A text-image network is named by its model and its weights", value=name, way_out=f"For example {EXAMPLE}."
        )
    return model, tag


def _model_config(name: str, model: str) -> dict[str, Any]:
    if not installed():
        raise ConfigError(
            f"Text-image networks need the extra `{EXTRA}`, which is not installed",
            value=name,
            way_out="Install it: pip install open_clip_torch, or this program as '.[clip]'.",
        )
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(model) if model in open_clip.list_models() else None
    if config is None:
        raise ConfigError(
            "open_clip has no model of this name",
            value=name,
            way_out=f"open_clip.list_pretrained() lists them, as {EXAMPLE}.",
        )
    return config


def _side(config: dict[str, Any]) -> int:
    size = config["vision_cfg"].get("image_size", 224)
    return int(size if isinstance(size, int) else size[0])


def _published(model: str, tag: str) -> dict[str, Any]:
    """Return what open_clip says of the weights of that name; nothing where it publishes none."""
    import open_clip

    published: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    return published


def _places(model: str, tag: str) -> list[Path]:
    """Return where a person may put the weights, the first being where they are downloaded to."""
    return [weights.folder() / f"{model}.{tag}{suffix}" for suffix in SUFFIXES]


def _hub_files(model: str, tag: str) -> list[tuple[str, str]]:
    """Return the repository and the files that hold the published weights, the safe kind first."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, file = str(_published(model, tag).get("hf_hub", "")).rpartition("/")
    if not repository:
        return []
    if not file:
        return [(repository, HF_SAFE_WEIGHTS_NAME), (repository, HF_WEIGHTS_NAME)]
    safe = str(Path(file).with_suffix(".safetensors"))
    return [(repository, one) for one in dict.fromkeys((safe, file))]


def _find(model: str, tag: str) -> Path | None:
    return next((path for path in _places(model, tag) if path.exists()), None) or _downloaded(model, tag)


def _downloaded(model: str, tag: str) -> Path | None:
    """Return the file that open_clip has downloaded before."""
    from huggingface_hub import try_to_load_from_cache

    for repository, file in _hub_files(model, tag):
        kept = try_to_load_from_cache(repository, file)
        if isinstance(kept, str):
            return Path(kept)
    return None


def _fetch(name: str, progress: Progress) -> Path:
    """Return the file of weights, downloading it when it is not there."""
    model, tag = _parts(name)
    found = _find(model, tag)
    if found is not None:
        return found
    place, files = _places(model, tag)[0], _hub_files(model, tag)
    if not files:
        raise ConfigError(
            f"open_clip publishes no weights {tag} of {model}, and no file of them is here",
            value=place,
            way_out="Put the file there, or name published ones: open_clip.list_pretrained() lists them.",
        )
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for repository, file in files:
        url = hf_hub_url(repository, file)
        try:
            digest = str(get_hf_file_metadata(url, timeout=weights.SECONDS).etag)  # of large files it is the SHA-256
        except EntryNotFoundError:
            if (repository, file) == files[-1]:
                raise weights.missing(name, url, place, "are no longer where open_clip publishes them") from None
            continue
        except Exception as error:  # of huggingface_hub and of whichever HTTP library it uses
            what = f"are not on this machine and cannot be downloaded ({error})"
            raise weights.missing(name, url, place, what) from error
        path = place.with_name(f"{model}.{tag}{Path(file).suffix}")
        return weights.fetch(name, url, path, digest if SHA256.fullmatch(digest) else "", progress)
    raise AssertionError("the last file was fetched or refused")


def _built(name: str, path: Path) -> Any:
    """Return the whole network with the weights of a file; a pickle is read without running code in it."""
    import open_clip

    model, tag = _parts(name)
    quick = bool(_published(model, tag).get("quick_gelu", False))
    with weights.read_by("open_clip", name, path, f"{model}, {tag}"):
        net = open_clip.create_model(model, pretrained=str(path), force_quick_gelu=quick, weights_only=True)
    return net.eval().requires_grad_(False)


class _ImageTower(nn.Module):
    """The part of a text-image network that sees images; some give parts of the image beside its features."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of normalised images (B, 3, side, side)."""
        features = self.visual(x)
        pooled: Tensor = features[0] if isinstance(features, tuple) else features
        return pooled


def _image_tower(name: str, path: Path) -> nn.Module:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    published = _published(*_parts(name))
    mean, deviation = published.get("mean", OPENAI_DATASET_MEAN), published.get("std", OPENAI_DATASET_STD)
    return nn.Sequential(Normalize(list(mean), list(deviation)), _ImageTower(_built(name, path).visual))
