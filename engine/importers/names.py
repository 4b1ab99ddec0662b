"""Names inside a source are data: what keeps one out, how one is shown, when two count as the same."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

MAX_NAME_BYTES = 4096
MAX_LABEL = 200
_SIDECARS = frozenset({"manifest.json", "provenance.jsonl"})
_LITTER_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
_LITTER = frozenset(
    {
        *("__macosx", ".ds_store", ".localized", ".apdisk", ".appledouble", ".spotlight-v100", ".fseventsd"),
        *(".temporaryitems", ".documentrevisions-v100", ".trash", ".trashes", ".directory", ".picasa.ini"),
        *("$recycle.bin", "#recycle", "@recycle", "@eadir", ".@__thumb", ".thumbnails", ".thumbs", ".cache"),
        *(".ipynb_checkpoints", ".git", ".svn", ".hg", ".bzr", ".dvc", ".dvcignore", ".idea", ".vscode", ".venv"),
        *(".gitignore", ".gitattributes", ".gitkeep", ".gitmodules", ".keep", ".mypy_cache", ".pytest_cache"),
    }
)
_MAYBE_JUNK = re.compile(r"(?i)(?:^|/)(?:[.#$@]|__macosx)|(?:thumbs\.db|desktop\.ini|\.jsonl?)$")
_LITTER_STARTS = ("._", ".trash-", ".nfs", ".fuse_hidden", ".~lock.")
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BLANKS = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")  # letters and marks that are drawn as nothing
_JOINS = re.compile(r"[\s_\-\u2010-\u2015\u2212]")
_NEGATIVE = re.compile(r"[-\u2212]\d")
_BETWEEN_DIGITS = re.compile(r"(?<=\d) +(?=\d)")
_DIGITS = re.compile(r"(\d+)")
_DRIVE = re.compile(r"[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class Junk:
    """Why a file is no part of a set.

    path: the file itself, or the folder above it that is left out as a whole. known: litter of a system or a tool, or
    Starling's own manifest; otherwise it is hidden only because its name begins with a dot.
    """

    path: str
    known: bool


def junk_of(name: str) -> Junk | None:
    """Return why a file of this relative path is left out: litter, else hidden; None for the others."""
    if _MAYBE_JUNK.search(name) is None:
        return None
    parts = name.split("/")
    hidden = 0
    for number, part in enumerate(parts, start=1):
        low = part.casefold()
        if low in _LITTER or low.startswith(_LITTER_STARTS):
            return Junk("/".join(parts[:number]), True)
        if not hidden and low.startswith(".") and low not in (".", ".."):
            hidden = number
    if hidden:
        return Junk("/".join(parts[:hidden]), False)
    if parts[-1].casefold() in _LITTER_FILES or parts[-1] in _SIDECARS:
        return Junk(name, True)
    return None


def is_junk(name: str) -> bool:
    """Return whether a file is left out and only counted: system litter, dotfiles, Starling's own manifests."""
    return junk_of(name) is not None


def name_flaw(name: str) -> str | None:
    """Return why a file of this relative path is refused, None when the name is fine."""
    if not name.isprintable() and any(unicodedata.category(character) in _CONTROL for character in name):
        return "the name contains a control character or is not valid Unicode"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"the name is longer than {MAX_NAME_BYTES} bytes"
    if "\\" in name:
        return "the name contains a backslash"
    if name.startswith("/") or _DRIVE.match(name):
        return "the name is an absolute path"
    parts = name.split("/")
    if ".." in parts:
        return "the name points outside the source (“..”)"
    if "" in parts or "." in parts:
        return "the name has an empty part"
    return None


def label_flaw(label: str) -> str | None:
    """Return why a text cannot be a class name, None when it can."""
    if not label.strip():
        return "the label is empty"
    if len(label) > MAX_LABEL:
        return f"the label is longer than {MAX_LABEL} characters"
    if any(unicodedata.category(character) in _CONTROL for character in label):
        return "the label contains a control character"
    return None


def tidy_label(text: str) -> str:
    """Return a class name in NFC, without what cannot be seen at its ends: spaces of all kinds, line ends, zero-width
    and control characters, byte order and direction marks, soft hyphens. What lies between stays as it is. "" where
    there is nothing else.
    """
    text = unicodedata.normalize("NFC", text)
    start, end = 0, len(text)
    while start < end and _unseen(text[start]):
        start += 1
    while end > start and _unseen(text[end - 1]):
        end -= 1
    return text[start:end]


def spelled_twice(texts: Iterable[str]) -> list[str]:
    """Return, in NFC and sorted, the texts that come in several Unicode forms, with accents as characters of their own
    or not: they look the same."""
    forms: dict[str, set[str]] = defaultdict(set)
    for text in texts:
        if not text.isascii():
            forms[unicodedata.normalize("NFC", text)].add(text)
    return sorted(text for text, written in forms.items() if len(written) > 1)


def twins(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of class names that are probably one: they differ only in case, in how accents are written, in
    what cannot be seen, or in the spaces, underscores and hyphens inside ("Ice cream", "ice_cream", "icecream").
    Between two digits such a mark counts, and as the sign of a number: "1-2" is no twin of "12", "-1" none of "1". Each
    group is sorted, as are the groups.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in set(labels):
        groups[_twin_key(label)].append(label)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def _twin_key(label: str) -> str:
    text = name_key(name_key(tidy_label(label)))
    sign = "-" if _NEGATIVE.match(text) else ""
    text = "".join(" " if _JOINS.match(one) else one for one in text if one in "\t\n\r" or not _zero_width(one))
    return sign + _BETWEEN_DIGITS.sub("-", text).replace(" ", "") or label


def _unseen(character: str) -> bool:
    return character in _BLANKS or _zero_width(character) or character.isspace()


def _zero_width(character: str) -> bool:
    """Return whether a character is not drawn; the tags that flags in emoji end with are."""
    return unicodedata.category(character) in ("Cc", "Cf") and not "\U000e0020" <= character <= "\U000e007f"


def shown(name: str, limit: int = 300) -> str:
    """Return a name safe to print: control, direction and invisible characters as escapes, the middle cut out."""
    text = (
        name
        if name.isprintable()
        else "".join(
            character if character == " " or unicodedata.category(character)[0] not in "CZ" else ascii(character)[1:-1]
            for character in name
        )
    )
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}…{text[-limit // 2 :]}"


def name_key(name: str) -> str:
    """Return what two names share when they differ only in case or in how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return what names are sorted by as a person would: “2” before “10”, in whatever case; no two share it."""
    parts = _DIGITS.split(name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts), name


def collisions(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of different names that share a key, sorted."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in set(names):
        groups[name_key(name)].append(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
