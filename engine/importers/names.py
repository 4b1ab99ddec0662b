"""Names inside a source are data: what keeps one out, how one is shown, when two count as the same."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

MAX_NAME_BYTES = 4096
MAX_LABEL = 200
_JUNK_FILES = frozenset({"thumbs.db", "desktop.ini"})
_SIDECARS = frozenset({"manifest.json", "provenance.jsonl"})
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DRIVE = re.compile(r"[A-Za-z]:/")


def is_junk(name: str) -> bool:
    """Return whether a file is left out without being listed: system litter, dotfiles, Starling's own manifests."""
    parts = name.split("/")
    if any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts):
        return True
    return parts[-1].casefold() in _JUNK_FILES or parts[-1] in _SIDECARS


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


def collisions(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of different names that share a key, sorted."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in set(names):
        groups[name_key(name)].append(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


_AROUND = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_SEPARATORS = re.compile(r"[\s_-]+")


def tidy_label(text: str) -> str:
    """Return a class name in NFC, without spaces and invisible characters around it."""
    label = unicodedata.normalize("NFC", text)
    start, end = 0, len(label)
    while start < end and unicodedata.category(label[start]) in _AROUND:
        start += 1
    while end > start and unicodedata.category(label[end - 1]) in _AROUND:
        end -= 1
    return label[start:end]


def twins(labels: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of labels that differ only in case, accent form, or spaces, underscores and hyphens; sorted."""
    groups: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        groups[_SEPARATORS.sub(" ", name_key(label)).strip() or label].add(label)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
