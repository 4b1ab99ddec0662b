"""Words on a picture: made safe, measured, cut to fit, and the font that can write them."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from engine.errors import MapError

SYSTEM_FONTS = (
    "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf", "DejaVuSans.ttf",
    "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "YuGothR.ttc", "malgun.ttf",
)  # fmt: skip
"""Looked for when a text has letters that the font within Pillow lacks: that one has little more than ASCII."""
_MEASURED = 100.0
"""Font size at which words are measured."""
_SLACK = 1.06
"""Small letters are rounded up to whole pixels, and a viewer of an SVG has other letters."""
_KEPT_FORMAT = "\u200c\u200d"  # joiners that some scripts and emoji are spelled with
_NO_LETTER = "\uffff"


def one_line(text: str) -> str:
    """Return the text as one line that every format can hold: no control, direction or half characters."""
    characters = (
        " " if character.isspace() else character
        for character in text
        if character in _KEPT_FORMAT
        or character.isspace()
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    return " ".join("".join(characters).split())


def fitted(text: str, size: float, width: float) -> str:
    """Return the text on one line, cut with "…" to at most `width` pixels at a font size."""
    text = one_line(text[:2000])
    if measure(text, size) <= width:
        return text
    shortest, longest = 0, len(text)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if measure(text[:middle].rstrip() + "…", size) <= width:
            shortest = middle
        else:
            longest = middle - 1
    return text[:shortest].rstrip() + "…"


def measure(text: str, size: float) -> float:
    """Return about the width in pixels of a text at a font size, rather too much than too little."""
    return _SLACK * float(font_for(text, _MEASURED).getlength(text)) * size / _MEASURED


def font_for(text: str, size: float) -> ImageFont.FreeTypeFont:
    """Return a font that can write the text: the one that comes with Pillow, so that pictures are the same on all
    machines, else the system's font with the fewest letters missing.

    Raises:
        MapError: this Pillow draws no scalable text.
    """
    return _load(_file_for(frozenset(text) - frozenset(_KEPT_FORMAT)), size)


@lru_cache(maxsize=4096)
def _file_for(letters: frozenset[str]) -> str:
    missing = _missing("", letters)
    if not missing:
        return ""
    missing_letters = {name: _missing(name, letters) for name in ("", *_installed())}
    return min(missing_letters, key=lambda name: missing_letters[name])


def _missing(file: str, letters: frozenset[str]) -> int:
    return sum(not _has(file, letter) for letter in letters if not letter.isspace())


@lru_cache(maxsize=16384)
def _has(file: str, letter: str) -> bool:
    """Whether a font draws something else for a letter than its box for an unknown one."""
    return " " < letter <= "~" or _drawn(file, letter) != _drawn(file, _NO_LETTER)


def _drawn(file: str, letter: str) -> bytes:
    image = Image.new("1", (48, 48))
    ImageDraw.Draw(image).text((8, 36), letter, fill=1, font=_load(file, 24.0), anchor="ls")
    return image.tobytes()


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    installed = []
    for name in SYSTEM_FONTS:
        try:
            ImageFont.truetype(name, 24.0)
        except OSError:
            continue
        installed.append(name)
    return tuple(installed)


@lru_cache(maxsize=128)
def _load(file: str, size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise MapError("Pillow cannot draw text here", value="no FreeType", way_out="Install Pillow's wheel.")
    return font
