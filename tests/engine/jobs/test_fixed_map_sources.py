"""What a source of map features stands for, and what is kept of them beside the map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from engine.errors import ConfigError, MapError
from engine.images.array_cache import ArraySpec
from engine.jobs import fixed_map_sources
from engine.maps.features import fit_basis
from engine.rounds.worker import feature_cache
from engine.training.config import TrainConfig
from tests.engine.nets.weights_samples import SMALL, save_weights
from tests.integration.conftest import write_project

SPEC = ArraySpec(8, 1)


def quiet(label: str, done: int, total: int) -> None:
    """Report to nobody."""


def digits(root: Path, count: int) -> tuple[Any, list[str]]:
    """Write a project of digits; return their pixels (count, 64) and hashes."""
    images = (load_digits().images[:count] * 15.9).astype(np.uint8)
    store = write_project(root, [(image, None) for image in images])
    shas = [item.sha256 for item in store.images()]
    store.close()
    return images.reshape(count, 64), shas


def a_round(folder: Path, algorithm: str = "pseudo_label", net: str = "auto", digest: str | None = "c0ffee") -> Path:
    """Write what a complete round leaves, as far as its source is told by it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"algorithm": algorithm, "train": {"net": net}}))
    if digest is not None:
        report = {"algorithm": algorithm, "checkpoint": {"file": "final.pt", "sha256": digest}}
        (folder / "report.json").write_text(json.dumps(report))
    return folder


@pytest.mark.parametrize(
    "source", ["", "pixel", "pixels2", "round-", "round-0", "round--1", "round-1/..", "pretrained-", "pretrained-../a"]
)
def test_a_source_that_is_none_is_refused_with_those_there_are(source: str, tmp_path: Path) -> None:
    for use in (
        lambda: fixed_map_sources.check(source),
        lambda: fixed_map_sources.identity(tmp_path, source),
        lambda: fixed_map_sources.stamp(tmp_path, source, SPEC),
        lambda: fixed_map_sources.features(tmp_path, source, SPEC, [], quiet),
    ):
        with pytest.raises(ConfigError, match='Use "pixels", "pretrained-<torchvision network>" or "round-<number>"'):
            use()


def test_a_round_is_known_by_its_final_checkpoint(tmp_path: Path) -> None:
    a_round(tmp_path / "rounds" / "0003")
    a_round(tmp_path / "rounds" / "0004", digest="beef")
    assert fixed_map_sources.identity(tmp_path, "round-3") == "round-3 c0ffee"
    assert fixed_map_sources.identity(tmp_path, "round-4") == "round-4 beef"
    assert fixed_map_sources.identity(tmp_path, "pixels") == "pixels"


def test_a_round_without_a_final_model_is_refused(tmp_path: Path) -> None:
    a_round(tmp_path / "rounds" / "0003", digest=None)
    with pytest.raises(MapError, match="has none yet: round-3"):
        fixed_map_sources.identity(tmp_path, "round-3")


def test_a_round_that_trains_no_network_says_so_and_names_the_way_out(tmp_path: Path) -> None:
    a_round(tmp_path / "rounds" / "0003", "classical_self_training")
    with pytest.raises(MapError, match=r"trains no network.*round-3.*Use .pixels."):
        fixed_map_sources.identity(tmp_path, "round-3")
    a_round(tmp_path / "rounds" / "0004", "classical_self_training", f"frozen:{SMALL}")
    assert fixed_map_sources.identity(tmp_path, "round-4") == "round-4 c0ffee"


def test_pixels_are_the_images_at_the_size_asked_for(tmp_path: Path) -> None:
    pixels, shas = digits(tmp_path, 12)
    found = fixed_map_sources.features(tmp_path, "pixels", SPEC, [shas[4], shas[1]], quiet)
    np.testing.assert_array_equal(found, pixels[[4, 1]])
    stamps = {fixed_map_sources.stamp(tmp_path, "pixels", ArraySpec(size, 1)) for size in (8, 16)}
    assert len(stamps) == 2


def test_pretrained_features_are_those_that_rounds_use_and_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    save_weights(tmp_path / "home")
    shas = digits(tmp_path / "project", 6)[1]
    root = tmp_path / "project"
    labels: list[str] = []
    found = fixed_map_sources.features(root, f"pretrained-{SMALL}", SPEC, shas, lambda label, *_: labels.append(label))
    assert feature_cache.LABEL in labels
    assert found.shape == (6, 1024)
    a_round(tmp_path / "project" / "rounds" / "0002", net=f"frozen:{SMALL}")
    labels.clear()
    again = fixed_map_sources.features(root, "round-2", SPEC, shas[::-1], lambda label, *_: labels.append(label))
    np.testing.assert_array_equal(again, found[::-1])
    assert feature_cache.LABEL not in labels
    train = TrainConfig(net=f"frozen:{SMALL}")
    known = feature_cache.project_features(tmp_path / "project", shas, train, torch.device("cpu"), quiet)
    np.testing.assert_array_equal(found, known.numpy())


def test_other_weights_of_a_pretrained_network_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    save_weights(tmp_path / "home", seed=0)
    first = fixed_map_sources.stamp(tmp_path, f"pretrained-{SMALL}", SPEC)
    save_weights(tmp_path / "home", seed=1)
    assert fixed_map_sources.stamp(tmp_path, f"pretrained-{SMALL}", SPEC) != first


def test_a_network_that_torchvision_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="goodnet"):
        fixed_map_sources.stamp(tmp_path, "pretrained-goodnet", SPEC)


def test_what_was_kept_comes_back_with_the_same_bits_and_memory_mapped(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 8))
    basis = fit_basis(rows, 3)
    fixed_map_sources.Components(basis.apply(rows), basis, "pixels 8 1", "pixels-0123").write(tmp_path)
    found = fixed_map_sources.read_components(tmp_path)
    assert found is not None
    assert isinstance(found.features, np.memmap)
    assert (found.stamp, found.previous) == ("pixels 8 1", "pixels-0123")
    np.testing.assert_array_equal(found.features, basis.apply(rows))
    np.testing.assert_array_equal(found.basis.apply(rows), basis.apply(rows))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["basis.npz", "features.npy"]


@pytest.mark.parametrize("lost", ["basis.npz", "features.npy"])
@pytest.mark.parametrize("how", ["gone", "empty", "cut"])
def test_half_of_what_was_kept_is_nothing(tmp_path: Path, lost: str, how: str) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 8))
    fixed_map_sources.Components(rows.astype(np.float32), fit_basis(rows), "pixels 8 1").write(tmp_path)
    path = tmp_path / lost
    data = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(data[: len(data) // 2] if how == "cut" else b"")
    assert fixed_map_sources.read_components(tmp_path) is None


def test_features_that_could_not_be_written_leave_no_basis_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    parts = fixed_map_sources.Components(rows, fit_basis(rows), "pixels 8 1")
    parts.write(tmp_path)
    real = np.savez

    def full(*args: Any, **values: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        fixed_map_sources.Components(-rows, fit_basis(rows), "pixels 8 1").write(tmp_path)
    monkeypatch.setattr(np, "savez", real)
    assert fixed_map_sources.read_components(tmp_path) is None
