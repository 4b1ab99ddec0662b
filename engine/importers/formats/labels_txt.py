"""A file and its label a line of a text file: “path label”, “path,label”, “path;label” or “path<tab>label”.

Of a path with spaces, the label is the last word, unless that finds no file and more words as the label do. Numbers are
named by a list of classes beside the file. Also the four files of CUB-200: images.txt, image_class_labels.txt,
classes.txt and train_test_split.txt, which go by a number that each image has.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from engine.errors import ImportRefused
from engine.importers.formats.base import LIKELY, POSSIBLE, SIGNATURE, Answers, Detection, Format
from engine.importers.formats.class_lists import list_in, names_of_numbers, nearest_list
from engine.importers.formats.several import settle
from engine.importers.formats.text_lists import find_file, lines_of, split_in, stems_of
from engine.importers.formats.voc_lists import find_lists
from engine.importers.labeling import Labeling, about_test
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView, folder_of
from engine.records.imports import Question, Refusal

TITLE = "text list of labels"
IMAGES, LABELS, SPLIT = "images.txt", "image_class_labels.txt", "train_test_split.txt"
ENDINGS = (".txt", ".lst", ".list")
SPACED = (".csv", ".tsv")
"""Endings of tables, which are lists where nothing but a space divides their cells."""
_HEAD = 16 * 1024
_LOOKED_AT = 2_000
_LINES = 100
_MOST_WORDS = 9
_NUMBER = re.compile(r"[-+]?\d+")
_MEASURE = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?|-\d+")
_SEPARATORS = ("\t", ",", ";", " ")


@dataclass
class _Said:
    """What the lists say so far."""

    given: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    splits: dict[str, str] = field(default_factory=dict)
    classes: dict[str, None] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    questions: dict[str, Question] = field(default_factory=dict)
    spelled: set[str] = field(default_factory=set)


def detect(source: SourceView) -> Detection | None:
    """Return that there is a text file whose lines are files and labels, or those of CUB-200."""
    numbered = _numbered(source)
    if numbered:
        return Detection(f"{shown(numbered[0], 80)} numbers the images that {LABELS} labels", SIGNATURE)
    lists = _lists(source)
    if not lists:
        return None
    why = f"the lines of {', '.join(shown(one, 80) for one in lists[:3])} are a file and a label"
    return Detection(why, LIKELY if any(_says_names(source, one) for one in lists) else POSSIBLE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all lists together; `answers` may hold "several" and "count_from".

    Raises:
        ImportRefused: there is no list, or one cannot be read.
    """
    numbered, lists = _numbered(source), _lists(source)
    if not numbered and not lists:
        raise ImportRefused(
            "There is no text file with an image and a label a line",
            way_out="Write lines such as “cats/1.jpg cat”, or choose another format.",
        )
    said = _Said()
    for name in numbered:
        _read_numbered(source, folder_of(name), said)
    for name in lists if not numbered else ():
        _read_list(source, name, said, answers)
    labels, conflicts, questions = settle(said.given, answers)
    found = Labeling(TITLE, labels, splits=said.splits)
    if found.test:
        said.notices.append(about_test(len(found.test)))
    return Labeling(
        TITLE, labels, tuple(said.refused), conflicts, tuple(said.notices), said.splits, tuple(said.classes),
        questions=(*questions, *said.questions.values()), used=frozenset(said.used), spelled=frozenset(said.spelled),
    )  # fmt: skip


def _lists(source: SourceView) -> list[str]:
    """The text files most of whose first lines are a file of the source and a label."""

    def look() -> list[str]:
        lists = source.ending(*ENDINGS)
        beside = stems_of(source) if lists else {}  # a text file for each image says something else: boxes, a caption
        lists += source.ending(*SPACED)
        signs = {one.name for one in find_lists(source)}  # 1 and -1 there are no labels
        names = [name for name in lists if name.rpartition(".")[0] not in beside and name not in signs]
        return [name for name in names[:_LOOKED_AT] if _is_list(source, name)]

    return source.once("text lists", look)


def _is_list(source: SourceView, name: str) -> bool:
    with source.files[name].open("rb") as file:
        data = file.read(_HEAD)
    lines = [line.strip("\r\n\ufeff ") for line in data.decode("utf-8", "replace").split("\n")]
    lines = [line for line in (lines[:-1] if len(data) == _HEAD else lines) if line.strip()][:_LINES]
    separator = _separator(source, lines, folder_of(name))
    if name.lower().endswith(SPACED) and (separator != " " or any(one in line for line in lines for one in "\t,;|")):
        return False
    fitting = sum(_split(source, line, folder_of(name), separator)[0] is not None for line in lines)
    return bool(lines) and 2 * fitting >= len(lines)


def _says_names(source: SourceView, name: str) -> bool:
    """Return whether the labels of a list are words, or numbers that a list of classes names."""
    try:
        words = {line.rpartition(_separator(source, [line], folder_of(name)))[2] for _, line in _first(source, name)}
    except ImportRefused:
        return True  # reading it says why
    return not all(_whole(_unquoted(word)) for word in words) or bool(nearest_list(source, name).names)


def _first(source: SourceView, name: str) -> list[tuple[int, str]]:
    return list(islice(lines_of(source, name), _LINES))


def _separator(source: SourceView, lines: list[str], folder: str) -> str:
    """Return the separator that finds the most files."""
    found = {one: sum(_split(source, line, folder, one)[0] is not None for line in lines) for one in _SEPARATORS}
    return max(_SEPARATORS, key=lambda one: found[one])


def _split(source: SourceView, line: str, folder: str, separator: str) -> tuple[str | None, str]:
    """Return the file of a line and its label: what follows the last separator, or, of words, the fewest last ones that
    leave a file; several words with numbers among them are no label but a table."""
    at = line.rfind(separator)
    for words in range(1, _MOST_WORDS if separator == " " else 2):
        if at < 0:
            break
        label = _unquoted(line[at + 1 :])
        if words > 1 and _is_table(label.split() or ["0"]):
            break
        name = find_file(source, _unquoted(line[:at]), folder)[0]
        if name is not None:
            return name, label
        at = line.rfind(separator, 0, at)
    return None, ""


def _is_table(words: list[str]) -> bool:
    return _NUMBER.fullmatch(words[0]) is not None or any(_MEASURE.fullmatch(one) for one in words)


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _read_list(source: SourceView, name: str, said: _Said, answers: Answers) -> None:
    folder = folder_of(name)
    lines = list(lines_of(source, name))
    separator = _separator(source, [line for _, line in lines[:_LINES]], folder)
    found = [(number, line, *_split(source, line, folder, separator)) for number, line in lines]
    labels = {label for _, _, image, label in found if image is not None and label}
    names: Mapping[int, str] = {}
    if labels and all(map(_whole, labels)):
        known = names_of_numbers(source, name, set(map(int, labels)), answers)
        names = known.names
        said.used |= {known.file} - {""}
        said.questions |= {one.key: one for one in known.questions}
        said.notices += known.notices
        said.notices.append(
            f"the names of the classes are read from {shown(known.file)}" if names
            else f"the labels of {shown(name, 80)} are numbers: no list of class names, as classes.txt, is beside it"
        )  # fmt: skip
        said.classes.update(dict.fromkeys(names.values()))
    split = split_in(name.rpartition("/")[2])
    said.used.add(name)
    said.notices.append(f"labels are read from {shown(name)}; folder names do not count")
    for number, line, image, label in found:
        _take(source, f"{shown(name, 100)}, row {number}: {shown(line, 200)}", image, label, names, split, said)


def _take(
    source: SourceView, place: str, image: str | None, label: str, names: Mapping[int, str], split: str, said: _Said
) -> None:
    reason = None
    if image is None:
        reason = "there is no such file"
    elif image not in source.taken:
        reason = "its image was refused"
    elif names and int(label or -1) not in names and label:
        reason = f"class {shown(label, 40)} is not among the {len(names):,} that are named"
    else:
        label = names[int(label)] if names and label else label
        reason = label_flaw(label) if label else None
    if reason is not None or image is None:
        said.refused.append(Refusal(place, reason or "there is no such file"))
        return
    if label:
        said.spelled.add(label)
        said.given[image].append(unicodedata.normalize("NFC", label))
    if split:
        said.splits[image] = split


def _numbered(source: SourceView) -> list[str]:
    """The images.txt that have an image_class_labels.txt beside them."""
    folders = {folder_of(one) for one in source.called(LABELS)}
    return [one for one in source.called(IMAGES) if folder_of(one) in folders]


def _read_numbered(source: SourceView, folder: str, said: _Said) -> None:
    def beside(base: str) -> str:
        return next((one for one in source.called(base) if folder_of(one) == folder), "")

    lists = {base: beside(base) for base in (IMAGES, LABELS, "classes.txt", SPLIT)}
    names = list_in(source, lists["classes.txt"]).names if lists["classes.txt"] else {}
    said.classes.update(dict.fromkeys(names.values()))
    said.used |= set(lists.values()) - {""}
    said.notices.append(f"labels are read from {shown(lists[LABELS])}")
    label_of = dict(_pairs(source, lists[LABELS], said))
    in_train = dict(_pairs(source, lists[SPLIT], said)) if lists[SPLIT] else {}
    known = {"1": "train", "0": "test"}
    for key, path in _pairs(source, lists[IMAGES], said):
        image, _ = find_file(source, path, folder)
        split = known.get(in_train.get(key, ""), "")
        label = label_of.get(key, "")
        place = f"{shown(lists[IMAGES], 100)}: {shown(path, 200)}"
        if names and label and not _whole(label):
            said.refused.append(Refusal(place, f"class {shown(label, 40)} is no number"))
            continue
        _take(source, place, image, label, names, split, said)


def _pairs(source: SourceView, name: str, said: _Said) -> Iterator[tuple[str, str]]:
    """Yield the number of an image and what a list says of it."""
    for number, line in lines_of(source, name):
        key, found, value = line.partition(" ")
        if found and value.strip():
            yield key, value.strip()
        else:
            said.refused.append(Refusal(f"{shown(name, 100)}, row {number}", "it has no two parts"))


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


FORMAT = Format("labels_txt", TITLE, detect, read)
