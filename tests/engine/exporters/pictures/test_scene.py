"""What a picture of the map shows: checks, colours, counts and order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import MapError
from engine.exporters.pictures.scene import CLASS_COLOURS, LEVELS, OTHER, OTHER_COLOUR, Scene
from tests.engine.exporters.pictures.map_samples import a_scene, two_points

CANVAS = Path(__file__).resolve().parents[4] / "app" / "components" / "map_canvas"


def test_colours_shapes_and_opacities_are_those_of_the_app() -> None:
    palette = (CANVAS / "palette.js").read_text()
    listed = re.search(r"CLASS_COLOURS = \[(.*?)\]", palette, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"#[0-9a-f]{6}", listed[1])) == CLASS_COLOURS
    assert f'OTHER_COLOUR = "{OTHER_COLOUR}"' in palette
    sprites = (CANVAS / "sprites.js").read_text()
    assert f"LEVELS = [{', '.join(f'{level:g}' for level in LEVELS)}]" in sprites
    assert "k % 2 ? 0.48 : 1.16" in sprites


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"xy": np.zeros((12, 3), np.float32)}, "positions do not fit"),
        ({"xy": np.zeros((2, 12, 2), np.float32)}, "positions do not fit"),
        ({"xy": np.full((12, 2), np.nan, np.float32)}, "not finite"),
        ({"label": np.zeros((12, 1), np.int16)}, "labels do not fit"),
        ({"label": np.full(12, 3, np.int16)}, "label names no class"),
        ({"pseudo": np.zeros((3, 11), np.int16)}, "pseudo-labels do not fit"),
        ({"pseudo": np.full((3, 12), -2, np.int16)}, "pseudo-label names no class"),
        ({"confidence": np.zeros((2, 12), np.float32)}, "confidences do not fit"),
        ({"confidence": np.full((3, 12), np.nan, np.float32)}, "confidence is not between"),
        ({"confidence": np.full((3, 12), 1.5, np.float32)}, "confidence is not between"),
        ({"accuracy": (0.5,)}, "accuracies do not fit"),
        ({"accuracy": (0.5, 0.5, float("nan"))}, "labels right is not between"),
        ({"epochs": (1, 1, 2)}, "epochs do not rise"),
    ],
)
def test_a_scene_that_does_not_fit_together_is_refused(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(MapError, match=cause) as caught:
        a_scene(**changes)
    assert caught.value.value is not None
    assert caught.value.way_out


def test_a_map_without_images_is_refused() -> None:
    with pytest.raises(MapError, match="no image"):
        a_scene(n=0)


def test_confidence_is_not_read_where_there_is_no_pseudo_label() -> None:
    confidence = np.array([[np.nan, 0.5]], np.float32)
    assert two_points(confidence=confidence).levels(0).tolist() == [7, 4]  # round(0.5 * 7) = 4, half to even


def test_points_show_their_label_and_else_the_pseudo_label_of_the_epoch() -> None:
    scene = a_scene(n=4)
    assert scene.shown(0).tolist() == [0, 1, 2, 0]
    assert scene.shown(1).tolist() == [0, 2, 0, 0]
    assert scene.counts(1).tolist() == [3, 0, 1, 0]


def test_the_twenty_commonest_of_300_classes_have_colours_and_the_others_share_the_grey() -> None:
    label = np.concatenate([np.arange(300), np.repeat(np.arange(280, 300), 2)]).astype(np.int16)
    n = len(label)
    scene = Scene("many", tuple(map(str, range(300))), np.zeros((n, 2), np.float32), label,
                  np.empty((0, n), np.int16), np.empty((0, n), np.float32), ())  # fmt: skip
    slots = scene.slots()
    assert sorted(slots[280:].tolist()) == list(range(20))
    assert (slots[:280] == OTHER).all()
    *named, rest = scene.legend(0)
    assert [entry.name for entry in named] == [str(k) for k in range(280, 300)]
    assert {entry.count for entry in named} == {3}
    assert (rest.name, rest.count, rest.colour) == ("280 other classes", 280, OTHER_COLOUR)


def test_a_short_legend_merges_the_rarest_and_loses_no_count() -> None:
    label = np.repeat(np.arange(6), [9, 1, 8, 2, 7, 3]).astype(np.int16)
    n = len(label)
    scene = Scene("few", tuple("abcdef"), np.zeros((n, 2), np.float32), label,
                  np.empty((0, n), np.int16), np.empty((0, n), np.float32), ())  # fmt: skip
    found = scene.legend(0, 4)
    assert [(entry.name, entry.count) for entry in found] == [("a", 9), ("c", 8), ("e", 7), ("3 other classes", 6)]


def test_images_without_a_pseudo_label_are_a_row_of_their_own() -> None:
    scene = two_points(pseudo=np.array([[-1, -1]], np.int16))
    assert [(entry.name, entry.count) for entry in scene.legend(0)] == [("a", 1), ("b", 0), ("no pseudo-label", 1)]


def test_labeled_points_lie_on_top_in_a_fixed_order() -> None:
    scene = a_scene(n=60)
    order = scene.order()
    assert sorted(order.tolist()) == list(range(60))
    assert (np.diff((scene.label[order] >= 0).astype(int)) >= 0).all()
    assert (order == scene.order()).all()
