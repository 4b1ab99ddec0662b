"""The text of a file whose encoding nobody wrote down: marks and UTF-8 are sure, all else is a guess to be shown.

A guess counts letters: accents among plain letters speak for a western code page, words of one script alone for a
Cyrillic, Greek or East Asian one. Symbols and unlikely mixtures speak against it.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

CANDIDATES = (
    "cp1252", "cp1251", "cp932", "gb18030", "cp949", "big5", "cp1250", "cp1253", "cp1254", "cp850", "mac_roman",
    "koi8_r", "iso8859_15", "latin_1",
)  # fmt: skip
SURE = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SAMPLE = 1 << 15
_WORD = re.compile(r"[^\W\d_]+|[^\x00-\x7f]")
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")


@dataclass(frozen=True)
class Decoded:
    """A text and its encoding; others: the further encodings that give another text, each with what it makes of
    `example`, the first cell that tells them apart, in the encoding that was taken. No others: it is sure."""

    text: str
    encoding: str
    example: str = ""
    others: tuple[tuple[str, str], ...] = ()


def decode(data: bytes, wanted: str = "") -> Decoded:
    """Return the text of a file.

    Args:
        data: its bytes.
        wanted: the encoding a person chose; it counts only where UTF-8 and marks do not tell, and where it can be.
    """
    for mark, encoding in SURE:
        if data.startswith(mark):
            try:
                return Decoded(data.decode(encoding), encoding)
            except UnicodeDecodeError:
                break
    if (wide := _wide(data)) is not None:
        return wide
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    sample = _odd_lines(data)
    possible = {encoding: text for encoding in CANDIDATES if (text := _try(sample, encoding)) is not None}
    order = sorted(possible, key=lambda encoding: -_likelihood(possible[encoding]))
    if wanted in possible:
        order = [wanted, *(encoding for encoding in order if encoding != wanted)]
    texts: dict[str, str] = {}
    for encoding in order:
        if possible[encoding] not in texts.values():
            texts[encoding] = possible[encoding]
    for taken in texts:
        text = _try(data, taken)
        if text is not None:
            break
    else:
        taken, text = "latin_1", data.decode("latin_1")
    cells = {encoding: _odd_cell(sampled) for encoding, sampled in texts.items()}
    example = cells.get(taken, "")
    others = tuple((encoding, cell) for encoding, cell in cells.items() if encoding != taken)
    return Decoded(text, taken, example, others)


def _wide(data: bytes) -> Decoded | None:
    """UTF-16 without a mark, told by every other byte being zero."""
    head = data[: _SAMPLE & ~1]
    if len(head) < 4:
        return None
    zeros = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    for encoding, here, there in (("utf-16-le", zeros[1], zeros[0]), ("utf-16-be", zeros[0], zeros[1])):
        if here > 0.4 * half and there < 0.1 * half and (text := _try(data, encoding)) is not None:
            return Decoded(text, encoding)
    return None


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _odd_lines(data: bytes) -> bytes:
    """The first lines that are not plain ASCII, enough to judge by."""
    kept, size = [], 0
    for line in data.splitlines():
        if not line.isascii():
            kept.append(line)
            size += len(line)
            if size > _SAMPLE:
                break
    return b"\n".join(kept)


def _odd_cell(text: str) -> str:
    cells = (cell.strip(' "') for cell in re.split(r"[,;\t|\n]", text))
    return next((cell for cell in cells if not cell.isascii()), "")[:60]


def _likelihood(text: str) -> float:
    """How likely a text is one that somebody wrote; only comparable between readings of the same bytes."""
    score = 0.0
    for word in dict.fromkeys(_WORD.findall(text)):
        if word.isascii():
            continue
        scripts = [_script(character) for character in word]
        mixed = "ASCII" in scripts
        alone = not mixed and len(word) > 2
        for at, (character, script) in enumerate(zip(word, scripts, strict=True)):
            if script == "ASCII":
                continue
            if script == "LATIN":
                score += -1 if alone else 1
                score -= at > 0 and character.isupper() and word[at - 1].islower()
            elif script in ("CYRILLIC", "GREEK"):
                score += -1 if mixed else 1.1 if character.islower() else 1
                score -= at > 0 and character.isupper() and word[at - 1].islower()
            elif script in _EAST_ASIAN:
                common = script in ("HIRAGANA", "KATAKANA") or _is_common(character)
                common = common and not (script == "CJK" and "HANGUL" in scripts)
                score += -2 if mixed and script in ("CJK", "HANGUL") else 2.4 if common else 0.6
                score += 0.1 * (common and script == "HANGUL")
            else:
                score -= 0.5 if script == "MARK" else 2
    return score


@lru_cache(maxsize=65536)
def _script(character: str) -> str:
    if character.isascii():
        return "ASCII"
    if unicodedata.category(character)[0] != "L":
        return "MARK" if unicodedata.category(character) in ("Pd", "Pi", "Pf", "Po") else "SYMBOL"
    return unicodedata.name(character, "SYMBOL").split()[0]


def _is_common(character: str) -> bool:
    """Return whether the old standards count a character among their frequent ones."""
    for encoding, first, last in (("gb2312", 0xB0, 0xD7), ("shift_jis", 0x88, 0x97), ("euc_kr", 0xB0, 0xC8)):
        try:
            lead = character.encode(encoding)[0]
        except UnicodeEncodeError:
            continue
        if first <= lead <= last:
            return True
    return False
