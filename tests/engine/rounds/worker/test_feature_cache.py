from __future__ import annotations

import fcntl
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import ConfigError, DecodeError
from engine.files import PARTIAL
from engine.images import feature_parts
from engine.images.array_row import array_row
from engine.nets import frozen
from engine.nets.hog import hog_features
from engine.rounds.worker import feature_cache
from engine.training.config import TrainConfig
from tests.engine.images.image_samples import encoded, keep
from tests.engine.nets.weights_samples import SMALL, save_weights

CPU = torch.device("cpu")
TRAIN = TrainConfig(net=f"frozen:{SMALL}", precision="float32")


class Stop(Exception):
    pass


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass of the network took."""
    save_weights(tmp_path / "home")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    counts: list[int] = []
    real = frozen.features_of

    def features_of(trunk: frozen.FrozenTrunk, images: torch.Tensor, *rest: object) -> torch.Tensor:
        counts.append(len(images))
        return real(trunk, images, *rest)

    monkeypatch.setattr(frozen, "features_of", features_of)
    return counts


def pictures(n: int, first: int = 0) -> list[Image.Image]:
    """Small colour noise, each image of its own brightness."""
    found = []
    for number in range(first, first + n):
        noise = np.random.default_rng(number).integers(0, 60, (20, 30, 3), dtype=np.uint8)
        found.append(Image.fromarray(noise + np.uint8(3 * number % 190)))
    return found


def put(root: Path, n: int, first: int = 0) -> list[str]:
    return [keep(root, encoded(picture)) for picture in pictures(n, first)]


def features(root: Path, shas: list[str], progress=lambda *_: None, train: TrainConfig = TRAIN) -> np.ndarray:
    return feature_cache.project_features(root, shas, train, CPU, progress).numpy()


def parts(root: Path) -> list[Path]:
    return sorted((root / "cache").glob("features-*/part-*.npz"))


def test_each_image_has_the_features_of_its_own_centre_square(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 18)
    trunk = frozen.load_frozen(SMALL, CPU)
    rows = np.stack([array_row(picture, 224, 3) for picture in pictures(18)])
    expected = frozen.features_of(trunk, torch.from_numpy(rows), CPU, "float32").numpy()
    found = features(tmp_path, shas[::-1])[::-1]
    assert found.dtype == np.float32
    assert found.shape == (18, 1024)
    np.testing.assert_allclose(found, expected, atol=5e-3, rtol=5e-3)
    assert np.abs(expected[1:] - expected[:-1]).max(1).min() > 0.05  # so that an order mixed up would be seen


def test_a_second_call_computes_nothing_and_gives_the_same_numbers(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 5)
    first = features(tmp_path, shas)
    assert sum(computed) == 5
    for sha in shas:
        (tmp_path / "images" / sha[:2] / sha).unlink()
    assert np.array_equal(features(tmp_path, shas), first)
    assert sum(computed) == 5


def test_only_new_images_are_computed_and_told(tmp_path: Path, computed: list[int]) -> None:
    old = put(tmp_path, 20)
    before = features(tmp_path, old)
    computed.clear()
    told: list[tuple[str, int, int]] = []
    new = put(tmp_path, 19, first=20)
    mixed = [*new[:9], *old, *new[9:]]
    found = features(tmp_path, mixed, lambda *args: told.append(args))
    assert sum(computed) == 19
    assert [entry for entry in told if entry[0] == "Computing features"] == [
        ("Computing features", done, 19) for done in (0, 16, 19)
    ]
    assert np.array_equal(found[9:29], before)
    assert not (found == 0).all(1).any()


def test_a_stop_keeps_what_was_computed(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 40)

    def stop(label: str, done: int, total: int) -> None:
        if done == 32:
            raise Stop

    with pytest.raises(Stop):
        features(tmp_path, shas, stop)
    assert len(parts(tmp_path)) == 1
    computed.clear()
    features(tmp_path, shas)
    assert sum(computed) == 8
    assert not list((tmp_path / "cache").glob(".tmp-*"))


def test_parts_are_written_on_the_way_so_that_a_kill_loses_little(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_parts, "PART_IMAGES", 16)
    seen: list[int] = []
    features(tmp_path, put(tmp_path, 40), lambda *_: seen.append(len(parts(tmp_path))))
    assert seen == [0, 0, 1, 2, 2]
    assert len(parts(tmp_path)) == 3


def test_two_sets_of_weights_lie_side_by_side(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 4)
    first = features(tmp_path, shas)
    save_weights(tmp_path / "home", seed=1)
    other = features(tmp_path, shas)
    assert sum(computed) == 8
    assert np.abs(first - other).max() > 0.1
    save_weights(tmp_path / "home", seed=0)
    assert np.array_equal(features(tmp_path, shas), first)
    assert sum(computed) == 8


@pytest.mark.parametrize("place", [0, 10, 40, 200, 2000, -200, -10])
def test_a_damaged_part_is_made_again(tmp_path: Path, computed: list[int], place: int) -> None:
    shas = put(tmp_path, 3)
    first = features(tmp_path, shas)
    (part,) = parts(tmp_path)
    data = bytearray(part.read_bytes())
    data[place] ^= 0xFF
    part.write_bytes(data)
    assert np.array_equal(features(tmp_path, shas), first)
    assert np.array_equal(features(tmp_path, shas), first)
    assert sum(computed) <= 6


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a cache"])
def test_a_part_cut_short_is_made_again(tmp_path: Path, computed: list[int], content: bytes) -> None:
    shas = put(tmp_path, 3)
    first = features(tmp_path, shas)
    (part,) = parts(tmp_path)
    part.write_bytes(content)
    assert np.array_equal(features(tmp_path, shas), first)
    assert sum(computed) == 6


def test_a_lost_original_is_named_and_the_others_are_kept(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 20)
    (tmp_path / "images" / shas[18][:2] / shas[18]).unlink()
    with pytest.raises(DecodeError, match=shas[18]):
        features(tmp_path, shas)
    computed.clear()
    features(tmp_path, shas[:16])
    assert computed == []


def test_numbers_beyond_half_precision_are_held_at_its_limit(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "features_of", lambda trunk, images, *_: torch.full((len(images), 2), 1e6))
    assert features(tmp_path, put(tmp_path, 1)).tolist() == [[65504.0, 65504.0]]


def test_leftovers_of_a_killed_worker_are_swept_when_they_are_old(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shas = put(tmp_path, 1)
    features(tmp_path, shas)
    folder = parts(tmp_path)[0].parent
    for path in (folder / f"part-x.npz.1{PARTIAL}", tmp_path / "cache" / ".tmp-stream-x"):
        path.write_bytes(b"left")
    features(tmp_path, shas)
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(feature_parts, "LEFTOVER_SECONDS", -1.0)
    features(tmp_path, shas)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {folder.name, feature_cache.LOCK}
    assert list(folder.iterdir()) == parts(tmp_path)


def test_arrays_from_outside_are_prepared_like_the_projects_own(tmp_path: Path, computed: list[int]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (18, 28, 28), dtype=np.uint8)
    shas = [keep(tmp_path, encoded(Image.fromarray(one))) for one in grey]
    found = feature_cache.array_features(grey[:, None], TRAIN, CPU).numpy()
    np.testing.assert_allclose(found, features(tmp_path, shas), atol=5e-3, rtol=5e-3)
    assert feature_cache.array_features(grey[:0, None], TRAIN, CPU).shape == (0, 1024)


BOTH = TrainConfig(net=f"frozen:efficientnet_lite0+{SMALL}", precision="float32")
PACKAGED = TrainConfig(net="frozen:efficientnet_lite0", precision="float32")


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_joined_features_are_those_of_each_network_brought_to_length_one(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 5)
    found = features(tmp_path, shas, train=BOTH)
    assert found.shape == (5, 1280 + 1024)
    assert sum(computed) == 10
    np.testing.assert_allclose(found[:, :1280], unit(features(tmp_path, shas, train=PACKAGED)), atol=1e-6)
    np.testing.assert_allclose(found[:, 1280:], unit(features(tmp_path, shas)), atol=1e-6)
    assert sum(computed) == 10
    grey = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    kept = features(tmp_path, [keep(tmp_path, encoded(Image.fromarray(one))) for one in grey], train=BOTH)
    np.testing.assert_allclose(feature_cache.array_features(grey[:, None], BOTH, CPU).numpy(), kept, atol=5e-3)


def test_one_image_added_is_computed_once_by_each_network_and_told_once(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 3)
    before = features(tmp_path, shas, train=BOTH)
    computed.clear()
    told: list[tuple[str, int, int]] = []
    after = features(tmp_path, [*shas, *put(tmp_path, 1, first=3)], lambda *args: told.append(args), BOTH)
    assert computed == [1, 1]
    assert [entry[1:] for entry in told if entry[0] == "Computing features"] == [(0, 1), (1, 1)]
    assert np.array_equal(after[:3], before)


def test_networks_joined_compute_what_each_lacks(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 18)
    features(tmp_path, shas[:17], train=PACKAGED)
    first = features(tmp_path, shas[5:])
    computed.clear()
    found = features(tmp_path, shas, train=BOTH)
    assert sum(computed) == 1 + 5
    np.testing.assert_allclose(found[5:, 1280:], unit(first), atol=1e-6)
    assert not (found == 0).all(1).any()


def test_the_whole_image_is_another_source_than_its_centre(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 3)
    whole = TrainConfig(net="frozen:efficientnet_lite0@whole", precision="float32")
    found, centre = features(tmp_path, shas, train=whole), features(tmp_path, shas, train=PACKAGED)
    assert sum(computed) == 6
    assert np.abs(found - centre).max() > 0.1
    rows = np.stack([array_row(picture, 224, 3, whole=True) for picture in pictures(3)])
    trunk = frozen.load_frozen("efficientnet_lite0", CPU)
    expected = frozen.features_of(trunk, torch.from_numpy(rows), CPU, "float32").numpy()
    np.testing.assert_allclose(found, expected, atol=5e-3, rtol=5e-3)


HOG = TrainConfig(net="frozen:hog", precision="float32")
WITH_HOG = TrainConfig(net=f"frozen:hog+{SMALL}", precision="float32")


def grey_noise(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (n, side, side), dtype=np.uint8)


@pytest.mark.parametrize("side", [8, 28, 32])
def test_gradients_are_those_of_the_images_small_arrays(tmp_path: Path, computed: list[int], side: int) -> None:
    grey = grey_noise(20, side)
    expected = hog_features(torch.from_numpy(grey[:, None])).numpy()
    shas = [keep(tmp_path, encoded(Image.fromarray(one))) for one in grey]
    found = features(tmp_path, shas, train=HOG)
    assert found.shape == (20, 1352)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 if side == 28 else 0.02)  # half precision
    again = features(tmp_path, shas, train=HOG)
    assert np.array_equal(found, again)
    assert sum(computed) == 20
    outside = feature_cache.array_features(grey[:, None], HOG, CPU).numpy()
    np.testing.assert_array_equal(outside, found)
    assert feature_cache.weights_stamp(HOG.net) == "hog hog 1"


def test_gradients_of_colour_images_are_those_of_their_grey(tmp_path: Path, computed: list[int]) -> None:
    grey = np.stack([array_row(picture, 28, 1, resample="bilinear") for picture in pictures(3)])
    expected = hog_features(torch.from_numpy(grey)).numpy()
    np.testing.assert_allclose(features(tmp_path, put(tmp_path, 3), train=HOG), expected, rtol=1e-3, atol=1e-4)


def test_gradients_are_joined_with_a_network_by_length_one(tmp_path: Path, computed: list[int]) -> None:
    shas = [keep(tmp_path, encoded(Image.fromarray(one))) for one in grey_noise(6, 28)]
    found = features(tmp_path, shas, train=WITH_HOG)
    assert sum(computed) == 12
    np.testing.assert_allclose(found[:, :1352], unit(features(tmp_path, shas, train=HOG)), atol=1e-6)
    np.testing.assert_allclose(found[:, 1352:], unit(features(tmp_path, shas)), atol=1e-6)
    assert sum(computed) == 12


def test_an_unknown_network_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no classifier of this name"):
        features(tmp_path, [], train=TrainConfig(net="frozen:efficientnet_lite0+nothing"))
    assert not (tmp_path / "cache").exists()


def test_what_another_process_computes_is_waited_for_and_not_computed_twice(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shas, told = put(tmp_path, 3), []
    monkeypatch.setattr(feature_cache, "WAIT_SECONDS", 0.01)
    (tmp_path / "cache").mkdir()
    other = open(tmp_path / "cache" / feature_cache.LOCK, "a")  # noqa: SIM115 - closed while it is waited for
    fcntl.flock(other, fcntl.LOCK_EX)

    def tell(label: str, done: int, total: int) -> None:
        told.append(label)
        if told.count(feature_cache.WAITING) == 3 and not other.closed:  # the other one has computed them, and ends
            path = tmp_path / "cache" / feature_cache.LOCK
            path.rename(path.with_suffix(".held"))
            features(tmp_path, shas)
            path.with_suffix(".held").rename(path)
            other.close()

    waited = features(tmp_path, shas, tell)
    assert told.count(feature_cache.WAITING) >= 3
    assert sum(computed) == 3, "each image once"
    np.testing.assert_array_equal(waited, features(tmp_path, shas))


def test_a_stop_ends_the_waiting(tmp_path: Path, computed: list[int]) -> None:
    shas = put(tmp_path, 1)
    (tmp_path / "cache").mkdir()
    with open(tmp_path / "cache" / feature_cache.LOCK, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def stop(label: str, done: int, total: int) -> None:
            if label == feature_cache.WAITING:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            features(tmp_path, shas, stop)
    assert not computed
