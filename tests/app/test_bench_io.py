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


def test_big_zip_is_imported_by_the_command_and_the_figures_say_what_that_took(tmp_path: Path) -> None:
    said: list[str] = []
    figures = run(tmp_path, IoSettings(big=True, many=30, gigabytes=0), None, said.append)
    (what,) = (one for one in figures if one.startswith("import of a zip of 30 images"))
    assert figures[what]["most memory MB"] >= figures[what]["of it the process MB"] > 0
    assert figures[what]["s"] > 0
    assert len(said) == 1


def test_a_size_below_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="gigabytes"):
        IoSettings(gigabytes=-1)


def test_big_zips_that_the_disk_has_no_room_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too little room"):
        run(tmp_path, IoSettings(big=True, many=0, gigabytes=1e6), None, print)


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such format"):
        IoSettings(formats="csv,morse")
