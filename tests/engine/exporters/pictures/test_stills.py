"""PNG and SVG put the right shape and colour in the right place."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ImageColor

from engine.errors import MapError
from engine.exporters.pictures.layout import DARK, LIGHT, Layout
from engine.exporters.pictures.png import png
from engine.exporters.pictures.scene import CLASS_COLOURS, Scene
from engine.exporters.pictures.svg import svg
from tests.engine.exporters.pictures.map_samples import HREF, SMALL, SVG, a_scene, colour_at, near, opened, two_points


def test_png_has_the_size_asked_for_and_the_ground_of_the_theme() -> None:
    for dark, theme in ((False, LIGHT), (True, DARK)):
        image = opened(png(a_scene(dark=dark), size=(640, 480)))
        assert (image.format, image.size) == ("PNG", (640, 480))
        assert image.getpixel((2, 2)) == ImageColor.getrgb(theme.ground)


def test_png_draws_a_labeled_point_as_an_outlined_circle_and_a_pseudo_label_as_a_star() -> None:
    scene = two_points()
    layout = Layout(scene, (800, 600))
    image = opened(png(scene, size=(800, 600)))
    labeled, star = layout.project(scene.places(0))
    assert labeled[0] < star[0]
    assert near(colour_at(image, labeled), CLASS_COLOURS[0])
    assert near(colour_at(image, star), CLASS_COLOURS[1])
    edge = labeled + np.array([1.06 * layout.labeled_radius, 0])
    assert near(colour_at(image, edge), LIGHT.ink, 60)
    down = np.array([0, 0.9 * layout.radius])
    tip, gap = star - down, star + down
    assert near(colour_at(image, tip), CLASS_COLOURS[1], 90)
    assert near(colour_at(image, gap), LIGHT.ground)


def test_up_on_the_map_is_up_on_the_picture_and_both_axes_have_one_scale() -> None:
    scene = two_points(xy=np.array([[0, 0], [1, 2]], np.float32))
    low, high = Layout(scene, SMALL).project(scene.places(0))
    assert high[1] < low[1]
    assert (high - low)[0] * 2 == pytest.approx(-(high - low)[1])


def test_unsure_points_are_fainter_only_when_asked() -> None:
    confidence = np.array([[0, 0.3]], np.float32)
    found = []
    for fade in (True, False):
        scene = two_points(confidence=confidence, fade=fade)
        found.append(colour_at(opened(png(scene, size=SMALL)), Layout(scene, SMALL).project(scene.places(0))[1]))
    assert min(found[0]) > min(found[1]) + 60
    assert near(found[1], CLASS_COLOURS[1])


def test_the_frame_asked_for_is_drawn() -> None:
    pseudo = np.array([[-1, 0], [-1, 1]], np.int16)
    scene = two_points(pseudo=pseudo, confidence=np.ones((2, 2), np.float32), epochs=(1, 2))
    place = Layout(scene, SMALL).project(scene.places(0))[1]
    assert near(colour_at(opened(png(scene, 0, SMALL)), place), CLASS_COLOURS[0])
    assert near(colour_at(opened(png(scene, -1, SMALL)), place), CLASS_COLOURS[1])
    with pytest.raises(MapError, match="no such frame"):
        png(scene, 2, SMALL)


@pytest.mark.parametrize("size", [(10, 10), (800, 40_000)])
def test_a_size_out_of_range_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(MapError, match="size is out of range"):
        png(a_scene(), size=size)


def test_svg_places_each_point_with_its_colour_and_shape() -> None:
    scene = two_points(confidence=np.array([[0, 0.7]], np.float32))
    root = ElementTree.fromstring(svg(scene, size=(800, 600)))
    kinds = {node.get("id"): node for node in root.find(f"{SVG}defs") or []}
    star, circle = root.findall(f".//{SVG}use")
    places = Layout(scene, (800, 600)).project(scene.places(0))
    for node, place in ((circle, places[0]), (star, places[1])):
        assert [float(node.get("x", "")), float(node.get("y", ""))] == pytest.approx(place.tolist(), abs=0.051)
    shape = kinds[circle.get(HREF, "")[1:]]
    assert (shape.tag, shape.get("fill"), shape.get("stroke")) == (f"{SVG}circle", CLASS_COLOURS[0], LIGHT.ink)
    shape = kinds[star.get(HREF, "")[1:]]
    assert (shape.tag, shape.get("fill"), shape.get("fill-opacity")) == (f"{SVG}path", CLASS_COLOURS[1], "0.71")


def test_svg_says_title_epoch_classes_counts_and_what_the_shapes_mean() -> None:
    root = ElementTree.fromstring(svg(a_scene(n=4), 1))
    words = [node.text for node in root.findall(f".//{SVG}text")]
    for wanted in (
        "Pets",
        "4 images, 2 labeled",
        "Epoch 2",
        "Held-out labels right",
        "60.0 %",
        "class 0",
        "3",
        "labeled",
    ):
        assert wanted in words
    assert "unlabeled, coloured by pseudo-label" in words
    assert "fainter: less sure" in words


def test_the_curve_marks_the_epoch_and_is_left_out_without_accuracy() -> None:
    def accents(scene: Scene, frame: int) -> list[float]:
        root = ElementTree.fromstring(svg(scene, frame))
        return [float(node.get("cx", "")) for node in root.iter(f"{SVG}circle") if node.get("fill") == LIGHT.accent]

    scene = a_scene(stops=3)
    first, middle, last = (accents(scene, frame)[0] for frame in range(3))
    assert first < middle < last
    assert middle == pytest.approx((first + last) / 2, abs=0.11)
    root = ElementTree.fromstring(svg(scene, 1))
    upright = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")]
    assert [f"{middle}"] * 2 in [[point.split(",")[0] for point in points] for points in upright]
    assert accents(a_scene(accuracy=None), 0) == []
    assert accents(a_scene(accuracy=(0.5, None, 0.6)), 1) == []  # not measured in this epoch


def test_svg_of_60000_points_stays_below_5_mb() -> None:
    rng = np.random.default_rng(0)
    scene = a_scene(n=60_000, stops=1, classes=10, xy=rng.normal(size=(60_000, 2)).astype(np.float32))
    found = svg(scene)
    assert found.count(b"<use ") == 60_000
    assert len(found) < 5_000_000


def test_rings_stand_around_the_points_that_have_one_in_png_and_svg() -> None:
    scene = two_points(ringed=np.array([False, True]), ring_text="turned right")
    layout = Layout(scene, (800, 600))
    image = opened(png(scene, size=(800, 600)))
    labeled, star = layout.project(scene.places(0))
    aside = np.array([1.6 * layout.radius, 0])
    assert max(colour_at(image, star + aside)) < 160  # ink on white
    assert near(colour_at(image, labeled + 3 * aside), LIGHT.ground)
    root = ElementTree.fromstring(svg(scene, size=(800, 600)))
    rings = [
        (float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter(f"{SVG}circle") if c.get("fill") == "none"
    ]
    assert rings[0] == pytest.approx(tuple(star), abs=0.1)
    assert len(rings) == 2  # and the one that says what it means
    assert "turned right" in [text.text for text in root.iter(f"{SVG}text")]


def test_rings_for_other_images_are_refused() -> None:
    with pytest.raises(MapError, match="rings do not fit"):
        two_points(ringed=np.array([True]))
