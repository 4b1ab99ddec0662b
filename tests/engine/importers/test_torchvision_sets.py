import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from engine.errors import ConfigError, SourceMissing
from engine.importers.scan import ImportSource, scan
from engine.importers.torchvision_sets import SETS
from tests.engine.importers.import_samples import quiet


def idx(values: np.ndarray) -> bytes:  # type: ignore[type-arg]
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.astype(np.uint8).tobytes()


def write_mnist(root: Path, name: str = "MNIST") -> np.ndarray:  # type: ignore[type-arg]
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28))
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(30) % 10))
    return images


def test_digits_come_scaled_with_all_labels(tmp_path: Path) -> None:
    preview = scan(ImportSource("torchvision", Path(), name="digits"), tmp_path, quiet)
    assert (len(preview.found), preview.source, preview.layout) == (1797, "digits", "digits, train split")
    assert (sum(preview.counts.values()), preview.unlabeled) == (1797, 0)
    first = next(image for image in preview.found if image.name == "train/00000.png")
    assert (first.width, first.height, first.channels, first.label) == (8, 8, 1, "0")
    original = load_digits().images[0]  # values 0..16
    assert np.array_equal(np.asarray(Image.open(first.staged)), np.rint(original * 255 / 16))


def test_labels_kept_are_exact_and_the_rest_is_truth(tmp_path: Path) -> None:
    source = ImportSource("torchvision", Path(), name="digits", labels_kept=100, seed=1)
    preview = scan(source, tmp_path, quiet)
    assert preview.counts == {str(digit): 10 for digit in range(10)}
    assert preview.unlabeled == 1697
    assert all((image.label is None) != (image.truth is None) for image in preview.found)


def test_classes_whose_labels_are_all_hidden_are_kept(tmp_path: Path) -> None:
    preview = scan(ImportSource("torchvision", Path(), name="digits", labels_kept=0), tmp_path, quiet)
    assert preview.counts == {str(digit): 0 for digit in range(10)}


@pytest.mark.parametrize(("name", "seventh"), [("MNIST", "7"), ("FashionMNIST", "Sneaker")])
def test_only_the_train_split_is_taken_from_torchvisions_layout(tmp_path: Path, name: str, seventh: str) -> None:
    images = write_mnist(tmp_path / "sets", name)
    preview = scan(ImportSource("torchvision", tmp_path / "sets", name=name), tmp_path / "staging", quiet)
    assert len(preview.found) == 30
    image = preview.found[7]
    assert (image.name, image.label) == ("train/00007.png", seventh)
    assert np.array_equal(np.asarray(Image.open(image.staged)), images[7])


@pytest.mark.parametrize("name", [name for name in SETS if name != "digits"])
def test_a_set_that_is_not_there_is_said_with_a_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceMissing, match="not found") as caught:
        scan(ImportSource("torchvision", tmp_path / "none", name=name), tmp_path / "staging", quiet)
    assert "download=True" in caught.value.way_out
    assert list((tmp_path / "staging").iterdir()) == []


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no set of this name"):
        scan(ImportSource("torchvision", tmp_path, name="IMAGENET"), tmp_path / "staging", quiet)


def test_packed_files_only_are_not_enough(tmp_path: Path) -> None:
    raw = tmp_path / "sets" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(SourceMissing):
        scan(ImportSource("torchvision", tmp_path / "sets", name="MNIST"), tmp_path / "staging", quiet)
