from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.benchmarks.in_and_out import IoSettings, run
from engine.errors import ConfigError


def test_images_come_in_and_go_out_and_the_figures_say_how_fast(tmp_path: Path) -> None:
    said: list[str] = []
    figures = run(tmp_path, IoSettings(images=40, side=8), tmp_path / "io.json", said.append)
    assert json.loads((tmp_path / "io.json").read_text()) == figures
    for way in ("import of a folder", "import of a zip"):
        assert figures[way]["images a second"] > 0
        assert figures[way]["most memory MB"] > 0
    for name in ("imagefolder_zip", "csv", "parquet"):
        assert figures[f"export as {name}"]["rows a second"] > 0
    assert len(said) == 5


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such format"):
        IoSettings(formats="csv,morse")
