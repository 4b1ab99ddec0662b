"""Any model of timm (PyTorch Image Models) with pretrained weights, as "timm/NAME" or "timm/NAME.TAG".

A file of weights that a person puts into torch's folder of checkpoints is taken first: as "NAME.TAG.safetensors" or
"NAME.TAG.pth", or under the name it was published with. Then one that timm has downloaded before, and otherwise it is
fetched from where timm has it. timm itself fits its keys to the model; none may be missing or left over.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from engine.errors import ConfigError
from engine.files import sha256_of
from engine.nets import weights
from engine.nets.classifier import Normalize
from engine.nets.weights import Backbone
from engine.records.progress import Progress

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

PREFIX = "timm/"
SHA256 = re.compile(r"[0-9a-f]{64}")
_PUBLISHED = re.compile(r"-([0-9a-f]{8,})\.[a-z]+$")
"""How names of files end that tell the beginning of their SHA-256."""


def timm_backbone(name: str) -> Backbone:
    """Return a timm model without its classifier, with the normalisation, side and resampling of its weights.

    Raises:
        ConfigError: timm has no model of that name, or none with published weights.
    """
    config = _config(name)
    source = config.hf_hub_id or config.url
    if not source:
        raise ConfigError("timm publishes no weights of this model", value=name, way_out="Choose another one.")
    return Backbone(
        name=name,
        side=int(config.input_size[1]),
        find=lambda: _find(config),
        fetch=lambda progress: _fetch(name, config, progress),
        build=lambda path: _build(name, config, path),
        resample="bilinear" if config.interpolation == "bilinear" else "bicubic",
    )


def places(config: PretrainedCfg) -> list[Path]:
    """Return where a person may put the weights, the first being where they are downloaded to."""
    plain = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    names = [f"{plain}.safetensors", f"{plain}.pth"]
    if config.url:
        names.append(str(config.url).rsplit("/", 1)[-1])
    return [weights.folder() / name for name in names]


def _config(name: str) -> PretrainedCfg:
    import timm

    plain = name.removeprefix(PREFIX)
    try:
        config = timm.get_pretrained_cfg(plain, allow_unregistered=False)
    except RuntimeError as error:
        raise ConfigError(
            f"timm has no pretrained model of this name ({error})",
            value=name,
            way_out="timm.list_models(pretrained=True) lists them, as timm/vit_small_patch14_dinov2.lvd142m.",
        ) from error
    assert config is not None
    if not config.architecture:
        config.architecture = plain.partition(".")[0]
    return config


def _find(config: PretrainedCfg) -> Path | None:
    for path in places(config):
        if path.exists():
            return path
    if config.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        kept = try_to_load_from_cache(config.hf_hub_id, _hub_file(config))
        if isinstance(kept, str):
            return Path(kept)
    return None


def _fetch(name: str, config: PretrainedCfg, progress: Progress) -> Path:
    """Return the file of weights, downloading it when it is not there."""
    found = _find(config)
    if found is not None:
        _check_published(name, found)
        return found
    if not config.hf_hub_id:
        url = str(config.url)
        path = weights.folder() / url.rsplit("/", 1)[-1]
        published = _PUBLISHED.search(path.name)
        return weights.fetch(name, url, path, published.group(1) if published else "", progress)
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(config.hf_hub_id, _hub_file(config))
    path = places(config)[0].with_suffix(Path(_hub_file(config)).suffix)
    try:
        tag = str(get_hf_file_metadata(url, timeout=weights.SECONDS).etag)  # of large files it is the SHA-256
    except Exception as error:  # of huggingface_hub and of whichever HTTP library it uses
        what = f"are not on this machine and cannot be downloaded ({error})"
        raise weights.missing(name, url, path, what) from error
    return weights.fetch(name, url, path, tag if SHA256.fullmatch(tag) else "", progress)


def _hub_file(config: PretrainedCfg) -> str:
    return config.hf_hub_filename or "model.safetensors"


def _check_published(name: str, path: Path) -> None:
    """Raise ConfigError if the file's name tells its SHA-256 and its content has another."""
    published = _PUBLISHED.search(path.name)
    if published and not sha256_of(path).startswith(published.group(1)):
        raise ConfigError(
            f"The file of {name}'s weights is damaged: its SHA-256 is not the one in its name",
            value=path,
            way_out="Remove it and get it again.",
        )


def _build(name: str, config: PretrainedCfg, path: Path) -> nn.Module:
    """Return the model with the weights of a file; a pickle is read without running code in it."""
    import timm

    plain: dict[str, Any] = {"file": str(path)}
    with weights.read_by("timm", name, path, f"{config.architecture}.{config.tag}"):
        net: Any = timm.create_model(name.removeprefix(PREFIX), pretrained=True, pretrained_cfg_overlay=plain)
    net.reset_classifier(0)
    return nn.Sequential(Normalize(list(config.mean), list(config.std)), net)
