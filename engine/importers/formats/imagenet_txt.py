"""ImageNet lists as CVAT and Datumaro write them: `train.txt` with “000.png 0” a line, and the classes in synsets.txt.

A path with spaces is in quotes, with or without its ending. Several numbers on a line are several labels. A path
without an ending means the image with that name. What the list is called is the split.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping

from engine.errors import ImportRefused
from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.class_lists import counted_right, list_in
from engine.importers.formats.several import settle
from engine.importers.formats.text_lists import find_file, lines_of
from engine.importers.labeling import Labeling, about_test, split_of
from engine.importers.names import shown
from engine.importers.source_view import SourceView, folder_of
from engine.records.imports import Question, Refusal

TITLE = "ImageNet lists"
SYNSETS = "synsets.txt"
_HEAD = 16 * 1024


def detect(source: SourceView) -> Detection | None:
    """Return that there is a synsets.txt with lists beside it."""
    lists = _lists(source)
    if not lists:
        return None
    name, synsets = next(iter(lists.items()))
    return Detection(f"{shown(name, 80)} numbers the classes that {shown(synsets, 80)} names", SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all lists; `answers` may hold "several" and "count_from".

    Raises:
        ImportRefused: there is no synsets.txt with a list beside it, or one cannot be read.
    """
    lists = _lists(source)
    if not lists:
        raise ImportRefused(
            "There is no synsets.txt with a list of images beside it",
            way_out="A list has a file and the number of its class a line; or choose another format.",
        )
    given: dict[str, list[str]] = defaultdict(list)
    refused: list[Refusal] = []
    splits: dict[str, str] = {}
    classes: dict[str, None] = {}
    notices = [f"labels are read from {', '.join(shown(name, 80) for name in list(lists)[:5])}"]
    asked: dict[str, Question] = {}
    for name, synsets in lists.items():
        known = counted_right(list_in(source, synsets), _numbers_of(source, synsets, lists), answers)
        notices += [one for one in known.notices if one not in notices]
        asked |= {one.key: one for one in known.questions}
        names = {number: unicodedata.normalize("NFC", one) for number, one in known.names.items()}
        classes.update(dict.fromkeys(names.values()))
        split = split_of(name.rpartition("/")[2][: -len(".txt")])
        for number, line in lines_of(source, name):
            path, numbers = _parts(line)
            image, missing = find_file(source, path, folder_of(name))
            wrong = [one for one in numbers if not _whole(one) or int(one) not in names]
            if wrong:
                missing = f"class {shown(wrong[0], 40)} is not among the {len(names):,} of {shown(synsets, 80)}"
            elif image is not None and image not in source.taken:
                missing = "its image was refused"
            if missing is not None or image is None:
                place = f"{shown(name, 100)}, row {number}: {shown(path, 200)}"
                refused.append(Refusal(place, missing or "there is no such file"))
                continue
            given[image] += [names[int(one)] for one in numbers]
            if split:
                splits[image] = split
    labels, conflicts, questions = settle({name: labels for name, labels in given.items() if labels}, answers)
    found = Labeling(TITLE, labels, splits=splits)
    if found.test:
        notices.append(about_test(len(found.test)))
    return Labeling(
        TITLE, labels, tuple(refused), conflicts, tuple(notices), splits, tuple(classes),
        questions=(*questions, *asked.values()),
        used=frozenset([*lists, *lists.values()]),
    )  # fmt: skip


def _numbers_of(source: SourceView, synsets: str, lists: Mapping[str, str]) -> set[int]:
    """The numbers of all lists that go by one synsets.txt."""
    lines = (line for name, own in lists.items() if own == synsets for _, line in lines_of(source, name))
    return {int(one) for line in lines for one in _parts(line)[1]}


def _lists(source: SourceView) -> dict[str, str]:
    """The lists of a source, each with the synsets.txt that its numbers point to."""

    def look() -> dict[str, str]:
        found = {}
        for synsets in source.called(SYNSETS):
            folder = folder_of(synsets)
            if not list_in(source, synsets).names:
                continue
            for name in source.ending(".txt"):
                if name != synsets and folder_of(name) == folder and _is_list(source, name):
                    found[name] = synsets
        return found

    return source.once("imagenet lists", look)


def _is_list(source: SourceView, name: str) -> bool:
    """Return whether most of a file's first lines are a file of the source and numbers."""
    with source.files[name].open("rb") as file:
        text = file.read(_HEAD).decode("utf-8-sig", "replace")
    lines = [line.strip() for line in text.split("\n")[:200] if line.strip()]
    lines = lines[:-1] if len(lines) > 1 and len(text) >= _HEAD else lines
    fitting = sum(
        all(map(_whole, numbers)) and find_file(source, path, folder_of(name))[0] is not None
        for path, numbers in map(_parts, lines)
    )
    return bool(lines) and 2 * fitting >= len(lines)


def _parts(line: str) -> tuple[str, list[str]]:
    """Return the path of a line, and what follows it."""
    line = line.strip()
    if line.startswith('"') and (end := line.find('"', 1)) > 0:
        ending, _, rest = line[end + 1 :].partition(" ")  # Datumaro quotes the path without its ending
        return line[1:end] + ending, rest.split()
    words = line.split()
    numbers: list[str] = []
    while len(words) > 1 and _whole(words[-1]):
        numbers.insert(0, words.pop())
    path = line
    for one in reversed(numbers):
        path = path.rstrip().removesuffix(one)
    return path.strip(), numbers


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


FORMAT = Format("imagenet_txt", TITLE, detect, read)
