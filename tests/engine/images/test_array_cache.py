import errno
import os
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from engine.errors import ConfigError, DecodeError
from engine.images import block_sums
from engine.images.array_cache import ArraySpec, build_arrays, damaged_arrays, recommend_spec, stream_arrays
from engine.images.block_sums import sums_of, sums_path, write_sums
from engine.records.labels import ImageItem
from tests.engine.images.image_samples import encoded, keep, solid


def quiet(label: str, done: int, total: int) -> None:
    pass


def item(width: int, height: int, channels: int = 3) -> ImageItem:
    return ImageItem(1, "0" * 64, "a.png", "PNG", width, height, channels, 100)


@pytest.mark.parametrize(
    ("items", "size", "channels"),
    [
        ([item(28, 28, 1)] * 3, 28, 1),
        ([item(8, 8, 1)], 8, 1),
        ([item(32, 32)] * 3, 32, 3),
        ([item(64, 64)], 64, 3),
        ([item(96, 96)], 64, 3),
        ([item(28, 28, 1), item(28, 28, 3)], 28, 3),
        ([item(400, 300), item(30, 30)], 32, 3),
        ([item(400, 300), item(300, 400), item(30, 30)], 64, 3),
        ([item(2, 2)], 32, 3),
        ([item(32, 20)], 32, 3),
        ([], 64, 3),
    ],
)
def test_the_recommended_format_fits_the_set(items: list[ImageItem], size: int, channels: int) -> None:
    assert recommend_spec(items) == ArraySpec(size, channels)


@pytest.mark.parametrize(("size", "channels"), [(3, 3), (2000, 3), (32, 2)])
def test_impossible_formats_are_refused(size: int, channels: int) -> None:
    with pytest.raises(ConfigError):
        ArraySpec(size, channels)


def test_images_of_the_wanted_size_keep_their_pixels_in_the_order_asked(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 28, 28), dtype=np.uint8)
    shas = [keep(tmp_path, encoded(Image.fromarray(one))) for one in pixels]
    arrays = build_arrays(tmp_path, shas[::-1], ArraySpec(28, 1), quiet)
    assert np.array_equal(arrays, pixels[::-1, None])


def test_colour_lies_channel_first(tmp_path: Path) -> None:
    sha256 = keep(tmp_path, encoded(solid((10, 20, 30), (16, 16), "RGB")))
    arrays = build_arrays(tmp_path, [sha256], ArraySpec(16, 3), quiet)
    assert arrays.shape == (1, 3, 16, 16)
    assert arrays[0, :, 5, 5].tolist() == [10, 20, 30]


def test_the_centre_square_is_taken_without_padding(tmp_path: Path) -> None:
    wide = np.zeros((64, 192), np.uint8)
    wide[:, 64:128] = 200  # the middle third
    sha256 = keep(tmp_path, encoded(Image.fromarray(wide)))
    arrays = build_arrays(tmp_path, [sha256], ArraySpec(32, 1), quiet)
    assert (arrays == 200).all()


def test_building_again_from_nothing_gives_the_same_bytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 150, 200, 3), dtype=np.uint8)
    shas = [keep(tmp_path, encoded(Image.fromarray(one), "JPEG")) for one in noise]
    first = np.array(build_arrays(tmp_path, shas, ArraySpec(64, 3), quiet))
    (path,) = (tmp_path / "cache").glob("*.npy")
    before = path.read_bytes()
    path.unlink()
    again = build_arrays(tmp_path, shas, ArraySpec(64, 3), quiet, workers=1)
    assert np.array_equal(first, again)
    assert path.read_bytes() == before


def test_a_second_call_reads_the_cache(tmp_path: Path) -> None:
    sha256 = keep(tmp_path, encoded(solid(3, (16, 16))))
    spec = ArraySpec(16, 1)
    build_arrays(tmp_path, [sha256], spec, quiet)
    (tmp_path / "images" / sha256[:2] / sha256).unlink()
    cached = build_arrays(tmp_path, [sha256], spec, quiet)
    assert isinstance(cached, np.memmap)
    assert (cached == 3).all()


def test_writing_to_the_array_does_not_change_the_cache(tmp_path: Path) -> None:
    sha256 = keep(tmp_path, encoded(solid(3, (16, 16))))
    build_arrays(tmp_path, [sha256], ArraySpec(16, 1), quiet)[:] = 9
    assert (build_arrays(tmp_path, [sha256], ArraySpec(16, 1), quiet) == 3).all()


def test_a_broken_cache_is_made_again(tmp_path: Path) -> None:
    sha256 = keep(tmp_path, encoded(solid(3, (16, 16))))
    build_arrays(tmp_path, [sha256], ArraySpec(16, 1), quiet)
    (path,) = (tmp_path / "cache").glob("*.npy")
    path.write_bytes(path.read_bytes()[:100])
    assert (build_arrays(tmp_path, [sha256], ArraySpec(16, 1), quiet) == 3).all()


def test_images_of_a_block_with_a_flipped_byte_are_decoded_anew_with_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_sums, "BLOCK_BYTES", 3 * 16 * 16)
    pixels = np.random.default_rng(0).integers(0, 256, (10, 16, 16), dtype=np.uint8)
    shas = [keep(tmp_path, encoded(Image.fromarray(one))) for one in pixels]
    build_arrays(tmp_path, shas, ArraySpec(16, 1), quiet)
    (path,) = (tmp_path / "cache").glob("*.npy")
    whole = path.read_bytes()
    for at in (len(whole) - 1, len(whole) - 5 * 256):
        _flip(path, at)
    assert "4 images differ" in damaged_arrays(tmp_path)[path], "rows 3, 4, 5 and, in a block of its own, 9"
    for sha in shas[:3]:  # of sound blocks nothing is decoded
        (tmp_path / "images" / sha[:2] / sha).unlink()
    told: list[str] = []
    arrays = build_arrays(tmp_path, shas, ArraySpec(16, 1), lambda label, done, total: told.append(label))
    assert np.array_equal(arrays, pixels[:, None])
    assert path.read_bytes() == whole
    assert set(told) == {"Part of the image cache is damaged: 4 of 10 images are decoded anew"}
    assert damaged_arrays(tmp_path) == {}


@pytest.mark.parametrize("damage", ["no digests", "other digests", "another decoder"])
def test_a_cache_that_cannot_be_checked_is_made_anew(tmp_path: Path, damage: str) -> None:
    shas = [keep(tmp_path, encoded(solid(grey, (16, 16)))) for grey in (3, 4)]
    build_arrays(tmp_path, shas, ArraySpec(16, 1), quiet)
    (path,) = (tmp_path / "cache").glob("*.npy")
    _flip(path, -1)
    if damage == "no digests":
        sums_path(path).unlink()
    elif damage == "other digests":
        sums_path(path).write_text('{"rows": 4096, "sums": ["0", "0"]}')
    else:
        write_sums(path, sums_of(np.full((2, 1, 16, 16), 9, np.uint8)))
    assert list(damaged_arrays(tmp_path)) == [path]
    assert build_arrays(tmp_path, shas, ArraySpec(16, 1), quiet)[:, 0, -1, -1].tolist() == [3, 4]
    assert damaged_arrays(tmp_path) == {}


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_lost_or_changed_original_stops_the_build_and_leaves_nothing(tmp_path: Path, damage: str) -> None:
    shas = [keep(tmp_path, encoded(solid(grey, (16, 16)))) for grey in (1, 2)]
    path = tmp_path / "images" / shas[1][:2] / shas[1]
    path.unlink() if damage == "gone" else path.write_bytes(encoded(solid(7, (16, 16))))
    with pytest.raises(DecodeError, match=shas[1]):
        build_arrays(tmp_path, shas, ArraySpec(16, 1), quiet)
    assert list((tmp_path / "cache").iterdir()) == []


def test_only_the_arrays_used_last_are_kept(tmp_path: Path) -> None:
    shas = [keep(tmp_path, encoded(solid(grey, (16, 16)))) for grey in range(5)]
    for count in range(1, 6):
        build_arrays(tmp_path, shas[:count], ArraySpec(16, 1), quiet)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == len(list((tmp_path / "cache").glob("*.sums"))) == 3


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    shas = [keep(tmp_path, encoded(solid(grey, (16, 16)))) for grey in range(70)]
    told: list[tuple[int, int]] = []
    build_arrays(tmp_path, shas, ArraySpec(16, 1), lambda label, done, total: told.append((done, total)))
    assert told == [(64, 70), (70, 70)]


def test_no_images_give_an_empty_array(tmp_path: Path) -> None:
    assert build_arrays(tmp_path, [], ArraySpec(16, 3), quiet).shape == (0, 3, 16, 16)


def test_a_stream_gives_the_pixels_of_the_array_batch_by_batch_and_leaves_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 6, 6), dtype=np.uint8)
    shas = [keep(tmp_path, encoded(Image.fromarray(one))) for one in pixels]
    sizes, slow = [], []
    with closing(stream_arrays(tmp_path, shas, ArraySpec(6, 1), 100)) as batches:
        for batch in batches:
            if len(sizes) == 2:
                time.sleep(1)  # the decoder runs ahead now: what it must not do is write over this batch
            slow.append(batch.copy())
            sizes.append(len(batch))
    assert sizes == [100] * 9
    assert np.array_equal(np.concatenate(slow), pixels[:, None])
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_last_batch_of_a_stream_holds_the_rest(tmp_path: Path) -> None:
    shas = [keep(tmp_path, encoded(solid(grey, (4, 4)))) for grey in range(7)]
    found = [batch[:, 0, 0, 0].tolist() for batch in stream_arrays(tmp_path, shas, ArraySpec(4, 1), 3)]
    assert found == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(stream_arrays(tmp_path, [], ArraySpec(4, 1), 3)) == []


def test_a_stream_given_up_ends_its_decoders_and_removes_its_file(tmp_path: Path) -> None:
    shas = [keep(tmp_path, encoded(solid(grey, (4, 4)))) for grey in range(200)]
    with closing(stream_arrays(tmp_path, shas, ArraySpec(4, 1), 10)) as batches:
        next(batches)
        assert len(psutil.Process().children()) >= 1
    alive = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]  # not yet waited for
    assert alive == []
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_is_told_as_that_and_not_as_a_broken_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    sha256 = keep(tmp_path, encoded(solid(3, (16, 16))))
    for work in (build_arrays, lambda *args: list(stream_arrays(*args[:3], 4))):
        with pytest.raises(OSError, match="No space left"):
            work(tmp_path, [sha256], ArraySpec(16, 1), quiet)
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_whole_image_can_be_squeezed_to_the_square_and_is_kept_apart(tmp_path: Path) -> None:
    wide = np.zeros((64, 192), np.uint8)
    wide[:, 64:128] = 200  # the middle third
    sha256 = keep(tmp_path, encoded(Image.fromarray(wide)))
    for resample in ("bicubic", "bilinear"):
        (rows,) = (
            batch[0, 0].copy()
            for batch in stream_arrays(tmp_path, [sha256], ArraySpec(32, 1), 1, whole=True, resample=resample)
        )
        assert [rows[:, left : left + 6].mean().round() for left in (0, 13, 26)] == [0, 200, 0]
    (centre,) = (batch[0, 0].copy() for batch in stream_arrays(tmp_path, [sha256], ArraySpec(32, 1), 1))
    assert (centre == 200).all()
