"""Every format draws odd scenes and untrusted names."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest

from engine.exporters.pictures.kinds import MAP_PICTURES
from engine.exporters.pictures.page import html
from engine.exporters.pictures.scene import Scene
from engine.exporters.pictures.svg import svg
from tests.engine.exporters.pictures.map_samples import NASTY, SVG, a_scene, opened, page_data


def bad_scenes() -> dict[str, Scene]:
    n = 12
    return {
        "no round": a_scene(stops=0),
        "nothing known": a_scene(stops=0, classes=0, label=np.full(n, -1, np.int16)),
        "one point": a_scene(n=1),
        "one place": a_scene(xy=np.full((n, 2), 3, np.float32)),
        "far apart": a_scene(xy=np.linspace(-3e38, 3e38, 2 * n).reshape(n, 2).astype(np.float32)),
        "no labels": a_scene(label=np.full(n, -1, np.int16)),
        "no pseudo-labels": a_scene(pseudo=np.full((3, n), -1, np.int16)),
        "one class": a_scene(classes=1),
        "300 classes": a_scene(classes=300),
        "one epoch": a_scene(stops=1),
        "one moving frame": a_scene(stops=1, xy=np.zeros((1, n, 2), np.float32)),
        "no accuracy measured": a_scene(accuracy=(None, None, None)),
        "level accuracy": a_scene(accuracy=(0.5, 0.5, 0.5)),
        "nasty names": a_scene(classes=len(NASTY)),
    }


@pytest.mark.parametrize("kind", list(MAP_PICTURES))
@pytest.mark.parametrize("case", list(bad_scenes()))
def test_odd_scenes_are_drawn_in_every_format(kind: str, case: str) -> None:
    scene = bad_scenes()[case]
    if case == "nasty names":
        scene = dataclasses.replace(scene, classes=NASTY, title=NASTY[0] + NASTY[3])
    shares: list[float] = []
    data = MAP_PICTURES[kind](scene, report=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    if kind in {"png", "gif"}:
        frames = opened(data)
        frames.seek(getattr(frames, "n_frames", 1) - 1)
        assert len(frames.convert("RGB").getcolors(1 << 24) or []) > 3
    elif kind == "svg":
        root = ElementTree.fromstring(data)
        assert len(root.findall(f".//{SVG}use")) == scene.n
        assert not list(root.iter(f"{SVG}script"))
    else:
        assert page_data(data)["frames"] == scene.frames
        assert data.count(b"</script>") == 3


def test_names_are_shown_as_they_are_and_never_become_markup() -> None:
    names = ("<script>alert(1)</script>", "@@data@@", "\"'&lt;")
    scene = dataclasses.replace(a_scene(), title="<b>&", classes=names)
    words = [node.text for node in ElementTree.fromstring(svg(scene)).iter(f"{SVG}text")]
    assert {"<b>&", *names} <= set(words)
    page = html(scene)
    assert page_data(page)["classes"] == list(names)
    assert b"<title>&lt;b&gt;&amp;</title>" in page
    assert b"<script>alert" not in page
