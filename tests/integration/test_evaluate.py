"""Measuring a round on a test split that was never imported."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np

from engine.importers.scan import ImportSource
from engine.project.opened import Project
from engine.rounds.worker import apply
from tests.integration.conftest import RoundBench
from tests.integration.test_clear_messages import in_this_process


def _mnist_like(root: Path, prefix: str, count: int, seed: int) -> None:
    """Write `count` 28×28 images in MNIST's files: digit 0 is bright on the left, digit 1 on the right."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 2
    images = generator.integers(0, 60, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 14 * label : 14 * label + 14] += 150
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    for name, header, data in (
        ("images-idx3-ubyte", struct.pack(">IIII", 2051, count, 28, 28), images),
        ("labels-idx1-ubyte", struct.pack(">II", 2049, count), labels),
    ):
        (folder / f"{prefix}-{name}").write_bytes(header + data.tobytes())
        with gzip.open(folder / f"{prefix}-{name}.gz", "wb") as packed:
            packed.write(header + data.tobytes())


def test_accuracy_on_the_test_split_is_that_of_the_final_model(tmp_path: Path) -> None:
    _mnist_like(tmp_path, "train", 120, 1)
    _mnist_like(tmp_path, "t10k", 50, 2)
    with Project.create(tmp_path / "pair") as project:
        source = ImportSource("torchvision", tmp_path, name="MNIST", labels_kept=40)
        project.imports.commit(project.imports.scan(source))
        bench = RoundBench(project.root, project.store)
        number = bench.queue("supervised", epochs=3, steps_per_epoch=20, net="simple_cnn")
        assert in_this_process(bench, number)[0] == 0
    found = apply.test_accuracy(tmp_path / "pair" / "rounds" / "0001", "MNIST", tmp_path)
    assert (found["n"], found["correct"]) == (50, 50)
    for image in (tmp_path / "MNIST" / "raw").glob("t10k-labels*"):
        image.unlink()
    wrong = (np.arange(50, dtype=np.uint8) % 2) ^ (np.arange(50) < 10)
    _labels(tmp_path, wrong.astype(np.uint8))
    found = apply.test_accuracy(tmp_path / "pair" / "rounds" / "0001", "MNIST", tmp_path)
    assert found["accuracy"] == 0.8
    assert re.match(r"0\.66", f"{found['low']:.3f}")


def _labels(root: Path, labels: np.ndarray) -> None:  # type: ignore[type-arg]
    data = struct.pack(">II", 2049, len(labels)) + labels.tobytes()
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(data)
    with gzip.open(root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz", "wb") as packed:
        packed.write(data)
