"""Guesses the code page of the file names in a zip: old packers store the bytes and do not say which.

A decoder never fails by itself: the bytes of “猫” in Japan's page are “öL” in America's. So every page is asked how
likely its reading is as a name that a person would give: how common its characters are in the languages of that page,
and whether they go together (one script in a word, no capital after a small letter). The costs are −ln(probability),
roughly, and are added up over all names, since one archive comes from one packer. Names of one or two characters can be
read in several ways; what else is possible is therefore always returned.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.importers.letter_costs import MODELS, ascii_cost, text_cost

UTF8 = "utf-8"
FALLBACK = "cp437"
"""The page that the zip format names where an entry says nothing. It can decode any bytes."""

LANGUAGES: dict[str, str] = {
    UTF8: "Unicode",
    **dict.fromkeys(("cp437", "cp850", "cp1252", "mac_roman"), "Western European"),
    **dict.fromkeys(("cp852", "cp1250", "iso8859_2"), "Central European"),
    **dict.fromkeys(("cp857", "cp1254"), "Turkish"),
    **dict.fromkeys(("cp866", "cp1251", "koi8_r"), "Cyrillic"),
    **dict.fromkeys(("cp737", "cp1253"), "Greek"),
    **dict.fromkeys(("cp862", "cp1255"), "Hebrew"),
    **dict.fromkeys(("cp720", "cp1256"), "Arabic"),
    **{"cp874": "Thai", "cp932": "Japanese", "gb18030": "Chinese", "big5": "Traditional Chinese", "cp949": "Korean"},
}
"""What an encoding is for, in words."""

_PAGES: dict[str, tuple[str, float]] = {
    "cp437": ("western", 0.0),
    "cp850": ("western", 0.3),
    "cp1252": ("western", 0.3),
    "mac_roman": ("western", 3.0),
    "cp852": ("central", 1.6),
    "cp1250": ("central", 2.0),
    "iso8859_2": ("central", 3.0),
    "cp857": ("turkish", 2.0),
    "cp1254": ("turkish", 2.2),
    "cp932": ("japanese", 0.5),
    "gb18030": ("chinese", 0.5),
    "big5": ("taiwanese", 1.0),
    "cp949": ("korean", 0.7),
    "cp866": ("cyrillic", 0.5),
    "cp1251": ("cyrillic", 0.7),
    "koi8_r": ("cyrillic", 2.0),
    "cp737": ("greek", 2.7),
    "cp1253": ("greek", 2.7),
    "cp862": ("hebrew", 2.7),
    "cp1255": ("hebrew", 2.7),
    "cp720": ("arabic", 2.5),
    "cp1256": ("arabic", 2.5),
    "cp874": ("thai", 2.0),
}
ENCODINGS: tuple[str, ...] = (UTF8, *_PAGES)
"""What a person can choose. All keep ASCII as it is, and “/” is never a part of another character in any of them."""

_MOST_PARTS = 1000
_OTHERS = 5
_SURE = 8.0  # three thousand times as likely as the next reading
_BROKEN = 20.0
_DIGITS = re.compile(rb"[0-9]+")
_ALIASES = {"gbk": "gb18030", "gb2312": "gb18030", "cp950": "big5", "euc_kr": "cp949", "shift_jis": "cp932"}


@dataclass(frozen=True, slots=True)
class Guess:
    """How the bytes of names are probably meant.

    Attributes:
        encoding: one of ENCODINGS. A few damaged names may not be readable in it.
        alternatives: at most 5 others that read at least one name differently, the likeliest first.
        sure: no other reading is nearly as likely.
    """

    encoding: str
    alternatives: tuple[str, ...]
    sure: bool


def guess_encoding(raw_names: Sequence[bytes]) -> Guess:
    """Return the one encoding that all these names of an archive are probably in.

    Names in pure ASCII say nothing and are passed over; where there are no others, utf-8 is returned. Where all are
    valid UTF-8 they are taken for that. Looks at 1,000 different parts of paths at most.
    """
    names = _telling_parts(raw_names)
    parts = list(names)
    if not parts:
        return Guess(UTF8, (), True)
    costs = {encoding: _cost(parts, encoding) for encoding in _PAGES}
    order = sorted(costs, key=costs.__getitem__)
    if all(name_in(raw, UTF8) is not None for raw in raw_names):
        others = _different(UTF8, order, names)
        margin = costs[others[0]] - _cost_as_utf8(parts) if others else math.inf
        return Guess(UTF8, others[:_OTHERS], margin > _SURE or any(max(part.decode()) > "\u07ff" for part in parts))
    best = order[0]
    others = _different(best, order[1:], names)
    sure = not others or costs[others[0]] - costs[best] > _SURE
    return Guess(best, others[:_OTHERS], sure)


def name_in(raw: bytes, encoding: str) -> str | None:
    """Return the name that the bytes are in an encoding, None where they are none in it."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def known_encoding(name: str) -> str | None:
    """Return the member of ENCODINGS that a name or alias (“GBK”, “Windows-1252”) means, None where there is none."""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    ours = {codecs.lookup(encoding).name: encoding for encoding in ENCODINGS}
    return ours.get(_ALIASES.get(found, found))


def _telling_parts(raw_names: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the different parts of the paths that are not pure ASCII, those that differ in numbers only once, each
    with the first name that it is in."""
    parts: dict[bytes, tuple[bytes, bytes]] = {}
    for raw in raw_names:
        if raw.isascii():
            continue
        for part in raw.split(b"/"):
            if not part.isascii():
                parts.setdefault(_DIGITS.sub(b"0", part), (part, raw))
    found = list(parts.values())
    return dict(found[:: max(1, math.ceil(len(found) / _MOST_PARTS))])


def _different(taken: str, others: Sequence[str], parts: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Return those of the others that read as many parts, without any oddity, and whole names not as one before them
    does; a name that has a part which an encoding cannot read is read as none by it."""
    read = tuple(name_in(part, taken) for part in parts)
    names = tuple(dict.fromkeys(parts.values()))
    readings = {tuple(name_in(name, taken) for name in names)}
    different = []
    for encoding in others:
        reading = tuple(name_in(part, encoding) for part in parts)
        if reading.count(None) > read.count(None):
            continue
        if not all(name is None or name.isprintable() for name in reading):
            continue
        whole = tuple(name_in(name, encoding) for name in names)
        if whole in readings:
            continue
        readings.add(whole)
        different.append(encoding)
    return tuple(different)


def _cost(parts: Sequence[bytes], encoding: str) -> float:
    group, prior = _PAGES[encoding]
    broken = 0.0
    texts = []
    for part in parts:
        text = name_in(part, encoding)
        if text is None:
            broken += _BROKEN + sum(8.0 if byte > 127 else ascii_cost(chr(byte)) for byte in part)
        else:
            texts.append(text)
    return prior + broken + min(sum(text_cost(text, model) for text in texts) for model in MODELS[group])


def _cost_as_utf8(parts: Sequence[bytes]) -> float:
    """Return the cost in the language that fits best."""
    texts = [unicodedata.normalize("NFC", part.decode()) for part in parts]
    return min(sum(text_cost(text, model) for text in texts) for models in MODELS.values() for model in models)
