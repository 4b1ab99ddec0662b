"""The GIF shows every epoch whole, and the way between them when positions move."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from engine.errors import MapError
from engine.exporters.pictures.gif import gif, moments
from engine.exporters.pictures.layout import DARK, LIGHT, Layout
from engine.exporters.pictures.png import Painter
from engine.exporters.pictures.scene import CLASS_COLOURS
from tests.engine.exporters.pictures.map_samples import SMALL, a_scene, colour_at, moving, near, opened


def gif_frames(data: bytes) -> tuple[list[Image.Image], list[int]]:
    image = opened(data)
    frames, waits = [], []
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        frames.append(image.convert("RGB"))
        waits.append(image.info["duration"])
    return frames, waits


def test_gif_of_a_fixed_map_has_a_frame_an_epoch_loops_and_holds_the_last() -> None:
    data = gif(a_scene(stops=4), SMALL, seconds_per_epoch=0.4)
    assert opened(data).info["loop"] == 0
    _, waits = gif_frames(data)
    assert waits == [400, 400, 400, 2000]


@pytest.mark.parametrize("dark", [False, True])
def test_gif_frames_look_like_the_stills(dark: bool) -> None:
    """Only changes are written from frame to frame: laid over each other they must give every frame whole."""
    scene = a_scene(n=200, stops=4, classes=10, dark=dark)
    painter = Painter(Layout(scene, SMALL), 2)
    frames, _ = gif_frames(gif(scene, SMALL))
    for number, frame in enumerate(frames):
        still, found = np.asarray(painter.paint(number), np.int16), np.asarray(frame, np.int16)
        ground = ImageColor.getrgb((DARK if dark else LIGHT).ground)
        bare = (still == ground).all(axis=-1)
        assert (found[bare] == ground).all()
        assert np.abs(still - found).max() <= 64
        assert np.abs(still - found)[~bare].mean() < 8


def test_gif_of_a_moving_map_shows_the_way_between_epochs() -> None:
    scene = moving(stops=3)
    frames, waits = gif_frames(gif(scene, SMALL, seconds_per_epoch=0.4, tween=3))
    assert waits == [100] * 8 + [2000]
    layout = Layout(scene, SMALL)
    for number, frame in enumerate(frames):
        moment = number / 4
        if 0 < moment < 2:  # at the ends it lies under the labeled ones
            place = layout.project(np.array([[moment, 0.0]]))[0]
            assert near(colour_at(frame, place), CLASS_COLOURS[1], 40)


@pytest.mark.parametrize(
    ("stops", "tween", "most", "wanted"),
    [
        (3, 1, 150, [0, 0.5, 1, 1.5, 2]),
        (3, 3, 6, [0, 0.5, 1, 1.5, 2]),
        (3, 3, 3, [0, 1, 2]),
        (9, 3, 3, [0, 4, 8]),
        (9, 3, 1, [8]),
        (1, 3, 150, [0]),
    ],
)
def test_frames_between_epochs_go_first_then_epochs_never_the_last(
    stops: int, tween: int, most: int, wanted: list[float]
) -> None:
    assert moments(moving(stops=stops), tween, most) == wanted


@pytest.mark.parametrize("changes", [{"seconds_per_epoch": 0}, {"tween": -1}, {"most_frames": 0}])
def test_gif_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MapError, match="out of range"):
        gif(a_scene(), SMALL, **changes)


def test_rings_glide_with_their_points_and_the_first_frame_can_stay_longer() -> None:
    scene = dataclasses.replace(moving(stops=2), ringed=np.array([False, False, True]))
    frames, waits = gif_frames(gif(scene, SMALL, seconds_per_epoch=0.4, tween=3, first_seconds=1.5))
    assert waits == [1600, 100, 100, 100, 2000]
    layout = Layout(scene, SMALL)
    for number in (1, 2, 3):
        place = layout.project(np.array([[number / 4, 0.0]]))[0]
        edge = colour_at(frames[number], place + np.array([0, 1.6 * layout.radius]))
        assert max(edge) < 160  # ink on white
