"""The names of classes for the numbers that stand for them: lists beside the images, and how their numbers count.

A list is a class a line, or has the number before or after each; JSON or YAML: a list, or by number, or as `datasets`
describes a ClassLabel; or a table with a number and a name of each class. Where it has no numbers its classes are
counted from 0, unless what is to be named shows that they are counted from 1; where it shows neither, a person decides.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from engine.importers.containers import class_names
from engine.importers.contents import MEGABYTE
from engine.importers.formats.base import Answers
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView, folder_of
from engine.importers.tables.class_tables import ENDINGS as TABLES
from engine.importers.tables.class_tables import names_in_table
from engine.importers.tables.encodings import decode
from engine.records.imports import Question

COUNT_FROM, NUMBERS = "count_from", "numbers"
MAX_BYTES = 64 * MEGABYTE
MOST_CLASSES = 100_000
_YAML, _JSON = (".yaml", ".yml"), ".json"
_ENDINGS = (".txt", ".names", _JSON, *_YAML)
_CALLED = re.compile(
    r"(classes|class[-_]?(names?|list|labels?|map(ping)?|to[-_]?idx|ind(ex|ices)?)|categories|labels?"
    r"|label[-_]?(names?|map(ping)?|to[-_]?idx|encod\w+)|idx[-_]?to[-_]?(class|label)|synsets?|names|obj|dataset_infos?)"
    r"([-_].*)?\.(txt|names|json|ya?ml)|(data|dataset|coco\d*)\.ya?ml"
)
_NUMBERED = re.compile(r"(\d{1,9})\s*[ \t,:;=]\s*(\S.*)")
_SYNSET = re.compile(r"n\d{8}[ \t]+(\S.*)")
_NUMBER_LAST = re.compile(r"(\S.*?)\s*[ \t,:;=]\s*(\d{1,9})")
_WHOLE = re.compile(r"(\d{1,9})(?:\.0+)?")
_EXAMPLES = 3


@dataclass(frozen=True)
class ClassList:
    """A list of classes.

    Attributes:
        names: by number.
        file: that it stands in, "" for none.
        counted: the numbers are not in it; they are the places of the names, from 0.
    """

    names: Mapping[int, str]
    file: str = ""
    counted: bool = False


@dataclass(frozen=True)
class ClassNames:
    """What the numbers of a reading mean: `names` by number, {} where nothing names them; the `file` that says it; what
    a person should know and may decide about it."""

    names: Mapping[int, str]
    file: str = ""
    notices: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


NOTHING = ClassNames({})


def number_of(text: str) -> int | None:
    """Return the whole number that stands for a class, as “3” or “3.0”; None for any other text."""
    match = _WHOLE.fullmatch(text.strip()) if text.isascii() else None
    return None if match is None else int(match[1])


def names_of_numbers(source: SourceView, file: str, numbers: Collection[int], answers: Answers) -> ClassNames:
    """Return what the numbers in a file mean, by the list of classes that lies nearest to it.

    Args:
        source: the staged source.
        file: in which the numbers stand.
        numbers: all that stand for classes there.
        answers: "count_from" may be "0", "1" or "numbers" (nothing is named), for a list without numbers.
    """
    return counted_right(nearest_list(source, file, numbers), numbers, answers)


def counted_right(found: ClassList, numbers: Collection[int], answers: Answers) -> ClassNames:
    """Return what numbers mean by a list, of which 0 or 1 is the first class; see `names_of_numbers`."""
    if not found.names or not found.counted or not numbers or 0 in numbers:
        return ClassNames(found.names, found.file)
    last = len(found.names)
    if max(numbers) > last:
        return ClassNames(found.names, found.file)
    sure = max(numbers) == last
    fitting = (1,) if sure else (0, 1)
    answer = answers.get(COUNT_FROM, "")
    by = {str(first): {at + first: name for at, name in found.names.items()} for first in fitting}
    chosen = answer if answer in {*by, NUMBERS} else str(fitting[0])
    options = tuple((first, f"{first}: {_examples(names, numbers)}") for first, names in by.items())
    hint = f"{shown(found.file, 80)} has no numbers, and those of the images fit both ways." if not sure else ""
    question = Question(
        COUNT_FROM, f"Number of the first class in {shown(found.file, 60)}",
        (*options, (NUMBERS, "none: the numbers themselves are the classes")), chosen, hint, doubtful=not sure,
    )  # fmt: skip
    names = by.get(chosen, {})
    told = f"the classes of {shown(found.file)} are counted from 1, as the numbers are: {_examples(names, numbers)}"
    return ClassNames(names, found.file if names else "", (told,) if chosen == "1" else (), (question,))


def nearest_list(source: SourceView, file: str, numbers: Collection[int] = ()) -> ClassList:
    """Return the list of classes nearest to a file, in its folder or one above it; of several in one folder the one
    that names all of some numbers, then the one with the shortest name, then JSON, which has no comments."""
    folder = folder_of(file)
    lists = [one for one in source.ending(*_ENDINGS) if one != file and _CALLED.fullmatch(_base(one))]
    lists += [one for one in source.ending(*TABLES) if one != file]
    near = [one for one in lists if not folder_of(one) or f"{folder}/".startswith(f"{folder_of(one)}/")]

    def order(one: str) -> tuple[Any, ...]:
        stem = one.rpartition(".")[0]
        names = list_in(source, one).names
        lacking = bool(names) and not all(number in names or number == len(names) for number in numbers)
        return -len(folder_of(one)), lacking, one.lower().endswith(TABLES), len(stem), stem, not _is_json(one)

    return next((found for one in sorted(near, key=order) if (found := list_in(source, one)).names), ClassList({}))


def list_in(source: SourceView, name: str) -> ClassList:
    """Return the classes that a file lists; names is {} where it is no such list."""

    def read() -> ClassList:
        if source.files[name].stat().st_size > MAX_BYTES:
            return ClassList({})
        if _is_json(name):
            names, counted = _from_value(source.json(name))
        elif name.lower().endswith(TABLES):
            names, counted = names_in_table(name, source.data(name)), False
        elif name.lower().endswith(_YAML):
            names, counted = _from_value(_yaml(source.data(name)), only_names=True)
        else:
            names, counted = _from_lines(source, name)
        distinct = len(set(names.values())) == len(names)  # a label an image repeats, a list of classes does not
        fits = distinct and len(names) <= MOST_CLASSES and all(label_flaw(label) is None for label in names.values())
        return ClassList(names, name, counted) if fits else ClassList({})

    return source.once(f"class names {name}", read)


def _examples(names: Mapping[int, str], numbers: Collection[int]) -> str:
    return ", ".join(f"{one} is {shown(names[one], 40)}" for one in sorted(numbers)[:_EXAMPLES] if one in names)


def _from_lines(source: SourceView, name: str) -> tuple[dict[int, str], bool]:
    lines = _classes_of(decode(source.data(name)).text)
    if len(lines) > MOST_CLASSES:
        return {}, False
    synsets = [_SYNSET.fullmatch(line) for line in lines]
    if lines and all(synsets):
        first = [match[1].partition(",")[0].strip() for match in synsets if match is not None]
        return dict(enumerate(first if len(set(first)) == len(first) else lines)), True
    if sum(source.index.find(line, folder_of(name))[0] is not None for line in lines[:20]):
        return {}, False  # a list of files
    for pattern, number, label in ((_NUMBERED, 1, 2), (_NUMBER_LAST, 2, 1)):
        matches = [match for line in lines if (match := pattern.fullmatch(line)) is not None]
        names = {int(match[number]): match[label].strip() for match in matches}
        if len(names) != len(lines) or not names:
            continue
        if pattern is _NUMBER_LAST and _are_files(source, name, names):
            return {}, False
        if pattern is _NUMBERED or max(names) - min(names) < len(names):
            return names, False
    return dict(enumerate(lines)), True


def _classes_of(text: str) -> list[str]:
    """The lines of a list that are not blank; those at its top that start with “#” are comments, later ones classes."""
    lines = [line for one in text.split("\n") if (line := one.strip("\r\n\ufeff ").strip())]
    return list(itertools.dropwhile(lambda line: line.startswith("#"), lines)) or lines


def _are_files(source: SourceView, name: str, names: Mapping[int, str]) -> bool:
    return any(source.index.find(one, folder_of(name))[0] is not None for one in list(names.values())[:20])


def _yaml(data: bytes) -> Any:
    try:
        return yaml.safe_load(decode(data).text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _from_value(held: Any, *, only_names: bool = False) -> tuple[dict[int, str], bool]:
    """Return the names that a value of JSON or YAML holds, and whether they are only counted.

    Args:
        held: the value.
        only_names: nothing but what it has under “names” is looked at.
    """
    if isinstance(held, list) and held and len(held) <= MOST_CLASSES and all(isinstance(one, str) for one in held):
        return ({}, False) if only_names else (dict(enumerate(held)), True)
    if not isinstance(held, dict):
        return {}, False
    if len(held) == 1 and isinstance(only := next(iter(held.values())), dict) and "features" in only:
        held = only  # dataset_infos.json: by configuration
    named = class_names(held.get("features"))
    if len(named) == 1:
        return dict(enumerate(next(iter(named.values())))), False
    if isinstance(held.get("names"), list | dict):
        names, _ = _from_value(held["names"])
        return names, False  # YOLO counts from 0
    if only_names:
        return {}, False
    if held and all(isinstance(one, str) for one in held.values()):
        numbers = {key: number_of(str(key)) for key in held}
        if all(number is not None for number in numbers.values()):
            return {number: held[key] for key, number in numbers.items() if number is not None}, False
    if held and all(type(one) is int for one in held.values()) and len(set(held.values())) == len(held):
        return {number: str(key) for key, number in held.items()}, False
    return {}, False


def _is_json(name: str) -> bool:
    return name.lower().endswith(_JSON)


def _base(name: str) -> str:
    return name.rpartition("/")[2].casefold()
