from __future__ import annotations

import json
from pathlib import Path

from engine.benchmarks import command
from engine.benchmarks.options import Options


def test_images_near_the_rare_class_are_found_sooner_than_by_chance(tmp_path: Path) -> None:
    out = tmp_path / "rare.json"
    shown = command.run(Options("rare", None, "1", "cpu", out, ("looks=50",)), lambda _: None)
    assert all(name in shown for name in ("near the rare class", "least confident", "least sure", "random"))
    (run,) = json.loads(out.read_text())["runs"]
    more = run["more"]
    assert more["near the rare class, 50"] > more["random, 50"] + 20
    assert 0 < more["swept"] < 15
    assert more["named"] >= 0.8
