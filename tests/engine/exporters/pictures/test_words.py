"""Words on pictures: any name becomes one line that fits, in a font that can write it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.exporters.pictures import words
from engine.exporters.pictures.words import fitted, font_for, measure, one_line
from tests.engine.exporters.pictures.map_samples import NASTY


def drawn(letter: str) -> bytes:
    image = Image.new("L", (60, 60))
    ImageDraw.Draw(image).text((10, 50), letter, fill=255, font=font_for(letter, 40), anchor="ls")
    return image.tobytes()


def test_plain_words_are_written_with_the_font_within_pillow() -> None:
    assert font_for("Epoch 12 …", 20).getname()[0] == "Aileron"


@pytest.mark.skipif(not words._installed(), reason="needs one of the fonts in SYSTEM_FONTS")
def test_umlauts_are_letters_of_their_own() -> None:
    letters = "äöüßÄÖÜé"
    assert len({drawn(letter) for letter in letters + "aouAOUe"}) == len(letters) + 7


def test_without_a_system_font_a_name_is_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_installed", lambda: ())
    words._file_for.cache_clear()
    assert np.frombuffer(drawn("ä"), np.uint8).any()
    words._file_for.cache_clear()


def test_long_names_are_cut_to_fit() -> None:
    cut = fitted("x" * 3000, 20, 300)
    assert cut.endswith("…")
    assert 250 < measure(cut, 20) <= 300
    assert fitted("short", 20, 300) == "short"


def test_names_become_one_line_without_control_characters() -> None:
    assert [one_line(name) for name in NASTY[2:7]] == ["Größe", "猫 neko", "ab", "null", "half"]
