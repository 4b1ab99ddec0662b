"""A text-image network small enough for tests, with random weights, put where a person would put real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TINY = "clip/tiny-clip/made_here"


def empty_checkpoints(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of weights of a person who has none, and whose open_clip knows of the tiny model."""
    import open_clip

    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub-of-others"))
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    known = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {**known, "tiny-clip": CONFIG})
    return folder


def random_net() -> Any:
    import open_clip

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return open_clip.create_model("tiny-clip").eval()


def put(net: Any, path: Path) -> Path:
    """Write its weights as a kind of file that the name's end tells."""
    from safetensors.torch import save_file

    values = {name: value.clone().contiguous() for name, value in net.state_dict().items()}
    save_file(values, path) if path.suffix == ".safetensors" else torch.save(values, path)
    return path
