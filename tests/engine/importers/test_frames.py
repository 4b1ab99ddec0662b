"""Frames of animations, pages of TIFFs and frames of videos become images of their own, one by one."""

import contextlib
import io
import struct
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from engine.errors import ConfigError, DecodeError
from engine.images import kinds
from engine.images.decode import inspect_bytes
from engine.images.frame_reader import FrameReader
from engine.images.pool import ChildLimits
from engine.importers.frames import frames_of
from tests.engine.images.image_samples import encoded, solid

GREYS = [10, 60, 110, 160, 210]


def animation(kind: str, greys: Sequence[int] = GREYS, **options: Any) -> bytes:
    first, *rest = [solid((grey, grey, grey), (16, 16), "RGB") for grey in greys]
    return encoded(first, kind, save_all=True, append_images=rest, **options)


def video(path: Path, frames: int = 20, rate: int = 10, size: tuple[int, int] = (64, 48)) -> Path:
    """A video whose frame k is grey 10 · k, with a white upper left corner."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(frames):
            picture = np.full((size[1], size[0], 3), 10 * number % 250, np.uint8)
            picture[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def greys(found: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Number and grey in the middle of each frame."""
    result = []
    for number, data in found:
        with Image.open(io.BytesIO(data)) as image:
            grey = image.convert("L").getpixel((image.width // 2, image.height // 2))
            assert isinstance(grey, int)
            result.append((number, grey))
    return result


def near(found: list[tuple[int, int]], expected: list[tuple[int, int]]) -> bool:
    return [number for number, _ in found] == [number for number, _ in expected] and all(
        abs(grey - wanted) <= 4 for (_, grey), (_, wanted) in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_frames_of_an_animation_or_pages_of_a_tiff(kind: str) -> None:
    found = list(frames_of(animation(kind)))
    assert near(greys(found), list(enumerate(GREYS)))
    assert {data[:4] for _, data in found} == {b"\x89PNG"}
    assert list(frames_of(animation(kind))) == found


def test_the_first_frame_is_what_the_decoder_shows() -> None:
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 4, 8))
    data = encoded(clear, "GIF", save_all=True, append_images=[Image.new("RGBA", (8, 8), (0, 0, 200, 255))])
    (_, first), (_, second) = frames_of(data)
    assert inspect_bytes(first).image.tobytes() == inspect_bytes(data).image.convert("RGB").tobytes()
    assert inspect_bytes(second).image.getpixel((0, 0)) == (0, 0, 200)


def test_every_nth_frame() -> None:
    assert near(greys(list(frames_of(animation("GIF"), 2))), [(0, 10), (2, 110), (4, 210)])
    assert near(greys(list(frames_of(animation("TIFF"), 4))), [(0, 10), (4, 210)])


def test_seconds_of_an_animation() -> None:
    # frames of 0.4 s begin at 0, 0.4, 0.8, 1.2 and 1.6 s: the first at or after each second are 0 and 3
    for kind in ("GIF", "WEBP", "PNG"):
        found = list(frames_of(animation(kind, duration=400), 1, unit="seconds"))
        assert near(greys(found), [(0, 10), (3, 160)])
    with pytest.raises(DecodeError, match="how long"):
        list(frames_of(animation("TIFF"), 1, unit="seconds"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_single_picture_is_handed_on_as_it_came(kind: str) -> None:
    data = encoded(solid(7), kind)
    assert list(frames_of(data, 3)) == [(0, data)]


def test_pages_of_deep_grey_keep_their_values() -> None:
    pages = np.array([[[0, 819, 4095]], [[5, 300, 1000]]], np.uint16)
    out = io.BytesIO()
    tifffile.imwrite(out, pages, photometric="minisblack")
    found = [data for _, data in frames_of(out.getvalue())]
    with Image.open(io.BytesIO(found[1])) as second:
        assert (second.mode, np.asarray(second).tolist()) == ("I;16", [[5, 300, 1000]])
    assert list(inspect_bytes(found[0]).image.tobytes()) == [0, 51, 255]
    for kind in (np.float32, np.int16):
        out = io.BytesIO()
        tifffile.imwrite(out, pages.astype(kind) - kind(1000), photometric="minisblack")
        with Image.open(io.BytesIO([data for _, data in frames_of(out.getvalue())][1])) as second:
            assert np.asarray(second).tolist() == [[-995, -700, 0]]


def test_pages_where_the_least_is_white_are_turned_round() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.array([[[0, 819, 4095]], [[0, 1, 3000]]], np.uint16), photometric="miniswhite")
    first, second = [data for _, data in frames_of(out.getvalue())]
    assert list(inspect_bytes(first).image.tobytes()) == [255, 204, 0]
    assert list(inspect_bytes(second).image.tobytes()) == [255, 255, 68]  # (4095 − 3000) · 255 / 4095


def test_pages_that_would_lose_bits_or_bands_are_refused() -> None:
    planes = {"planarconfig": "separate", "compression": "zlib"}
    for shape, options in (((2, 4, 4, 3), {"photometric": "rgb"}), ((2, 5, 4, 4), planes)):
        out = io.BytesIO()
        tifffile.imwrite(out, np.full(shape, 3000, np.uint16), **{"photometric": "minisblack", **options})
        with pytest.raises(DecodeError, match="one file each"):
            list(frames_of(out.getvalue()))


def test_smaller_copies_and_masks_of_a_page_are_no_frames() -> None:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(np.full((8, 8), 50, np.uint8), photometric="minisblack")
        writer.write(np.full((4, 4), 50, np.uint8), photometric="minisblack", subfiletype=1)
        writer.write(np.full((8, 8), 90, np.uint8), photometric="minisblack")
    assert greys(list(frames_of(out.getvalue()))) == [(0, 50), (2, 90)]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "mov"])
def test_frames_of_a_video(tmp_path: Path, ending: str) -> None:
    path = video(tmp_path / f"clip.{ending}")
    assert near(greys(list(frames_of(path, 5))), [(0, 0), (5, 50), (10, 100), (15, 150)])
    assert near(greys(list(frames_of(path.read_bytes(), 1, unit="seconds"))), [(0, 0), (10, 100)])
    with Image.open(io.BytesIO(next(frames_of(path))[1])) as first:
        assert first.size == (64, 48)
        assert first.convert("L").getpixel((4, 4)) > 240  # type: ignore[operator]


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        # x' = a·x + c·y + tx, y' = b·x + d·y: (0, 0) goes to the upper right, the lower right, the lower left
        ((0, 1, -1, 0), (48, 64), (44, 4)),
        ((-1, 0, 0, -1), (64, 48), (60, 44)),
        ((0, -1, 1, 0), (48, 64), (4, 60)),
    ],
    ids=["quarter turn", "half turn", "three quarters"],
)
def test_a_phone_held_upright_gives_upright_frames(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    data = video(tmp_path / "clip.mp4").read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    a, b, c, d = (one << 16 for one in matrix)
    turned = data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + len(plain) :]
    with Image.open(io.BytesIO(next(frames_of(turned))[1])) as first:
        assert first.size == size
        assert first.convert("L").getpixel(corner) > 240  # type: ignore[operator]


def test_a_video_says_that_it_is_one() -> None:
    assert kinds.is_video(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2")
    assert not kinds.is_video(b"\0\0\0\x20ftypheic\0\0\0\0mif1heic")
    assert not kinds.is_video(encoded(solid(1)))


def test_more_frames_than_the_cap_are_refused_before_the_first_where_the_file_says_how_many(tmp_path: Path) -> None:
    for source in (animation("GIF"), animation("TIFF"), video(tmp_path / "clip.mp4")):
        with pytest.raises(DecodeError, match="more than 4 frames"):
            next(frames_of(source, most=4))
    assert len(list(frames_of(animation("GIF"), most=5))) == 5
    assert len(list(frames_of(animation("GIF"), 2, most=3))) == 3


def test_a_file_that_does_not_say_how_many_gives_the_cap_and_then_says_so(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mkv")
    found: list[tuple[int, bytes]] = []
    with pytest.raises(DecodeError, match="more than 7 frames"):
        found.extend(frames_of(path, most=7))
    assert len(found) == 7


def test_what_cannot_be_read_is_refused() -> None:
    for data in (b"", b"hello", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", b"\x1a\x45\xdf\xa3 nothing"):
        with pytest.raises(DecodeError):
            list(frames_of(data))
    damaged = animation("WEBP")
    with pytest.raises(DecodeError, match="after 0 frames"):
        list(frames_of(damaged[:20] + b"\xff" * 60 + damaged[80:]))
    cut = animation("TIFF")
    with pytest.raises(DecodeError, match=r"damaged|cut off"):
        list(frames_of(cut[: len(cut) * 3 // 5]))


def test_a_damaged_video_gives_the_frames_before_the_damage(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", frames=60)
    data = path.read_bytes()
    found: list[tuple[int, bytes]] = []
    with contextlib.suppress(DecodeError):
        found.extend(frames_of(data[: len(data) // 2], 5))
    assert near(greys(found)[:2], [(0, 0), (5, 50)])


def test_a_video_that_names_other_files_opens_none(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.mp4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n".encode()
    with pytest.raises(DecodeError, match="text"):
        list(frames_of(playlist))


def test_an_iterator_that_is_closed_leaves_nothing_behind(tmp_path: Path) -> None:
    found = frames_of(animation("GIF"), folder=tmp_path)
    next(found)
    assert list(tmp_path.iterdir())
    found.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_few_frames_lie_on_the_disk_at_a_time(tmp_path: Path) -> None:
    most = 0
    for _ in frames_of(animation("GIF", [number % 250 for number in range(1, 100, 2)]), folder=tmp_path):
        most = max(most, sum(1 for path in tmp_path.rglob("*") if path.is_file()))
    assert 1 <= most <= 17


def test_a_child_without_memory_refuses_the_file_alone() -> None:
    pages = [Image.new("RGB", (6000, 6000), (shade, 0, 0)) for shade in (1, 2)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    with pytest.raises(DecodeError, match="memory"):
        list(frames_of(data, limits=ChildLimits(memory_mb=220)))


def test_a_reader_that_was_started_anew_does_not_begin_again(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animation("GIF"))
    with pytest.raises(DecodeError, match="started anew"):
        FrameReader(str(path), 1, "frames", 100).write(3, str(tmp_path / "out"))


def test_impossible_wishes_are_refused_at_once() -> None:
    for wish in ({"every": 0}, {"most": 0}, {"unit": "minutes"}):
        with pytest.raises(ConfigError):
            frames_of(animation("GIF"), **wish)  # type: ignore[arg-type]


def test_without_its_plug_in_a_video_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "clip.mp4")
    monkeypatch.setitem(sys.modules, "av", None)  # what Python itself does for a module that must not be found
    with pytest.raises(DecodeError, match="video is read by a plug-in") as refused:
        FrameReader(str(path), 1, "frames", 100).write(0, str(tmp_path / "out"))
    assert "pip install 'starling-workbench[video]'" in refused.value.way_out


def test_the_video_library_stays_in_the_child(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mp4")
    script = f"""
import pathlib, sys
from engine.importers.frames import frames_of
assert len(list(frames_of(pathlib.Path({str(path)!r}), 10))) == 2
print("av" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
