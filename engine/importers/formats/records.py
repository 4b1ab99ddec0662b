"""Labels from what containers say of their images: which column is the label, and what its values mean."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.importers.formats.base import Answers
from engine.importers.formats.class_lists import names_of_numbers
from engine.importers.formats.several import settle
from engine.importers.formats.text_lists import split_in
from engine.importers.labeling import Labeling, about_test
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView
from engine.records.imports import Question, Refusal

COLUMN, NONE = "column", "none"
LABEL_WORDS = (
    "cls", "label", "labels", "class", "class_name", "classname", "class_label", "category", "target", "y",
    "fine_label", "species", "annotation", "txt", "text",
)  # fmt: skip
FREE_TEXT = frozenset({"txt", "text"})
MOST_OPTIONS = 20
MOST_CLASSES = 10_000
_LISTED = 1_000


def records_of(source: SourceView, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the records of the images that came in containers of a kind, by image name."""
    return source.once(
        f"records {kind}",
        lambda: {
            name: record
            for name in source.images
            if (record := source.records.get(name)) is not None and record["kind"] == kind
        },
    )


def read_records(
    source: SourceView, records: Mapping[str, Mapping[str, Any]], title: str, answers: Answers
) -> Labeling:
    """Return the labels that one column of the records gives: a column of class numbers before others, or as answered.

    Args:
        source: for lists of class names beside the containers.
        records: by image name.
        title: of the format.
        answers: "column" may name the column, or "none"; "several" as in `settle`, "count_from" as in `class_lists`.
    """
    counts, classes = _columns(records)
    fitting = _fitting(records, counts, classes)
    chosen = answers.get(COLUMN, "")
    if chosen not in counts and chosen != NONE:
        chosen = fitting[0] if fitting else NONE
    given: dict[str, list[str]] = {}
    refused: list[Refusal] = []
    notices: list[str] = []
    names: Mapping[int, str] = {}
    asked: tuple[Question, ...] = ()
    spelled: set[str] = set()
    used = ""
    tables = {id(record["names"]): record["names"] for record in records.values()}  # few, shared by many records
    by_table = {key: dict(enumerate(table.get(chosen, ()))) for key, table in tables.items()}
    if chosen != NONE:
        if chosen not in classes and _whole(record["row"].get(chosen) for record in records.values()):
            named = names_of_numbers(source, next(iter(records)), _numbers(records, chosen), answers)
            names, used, asked = named.names, named.file, named.questions
            notices += named.notices
            notices.append(
                f"the names of the classes are read from {shown(used)}" if used
                else "the labels are numbers: no list of class names (such as classes.txt) lies beside them"
            )  # fmt: skip
        for name, record in records.items():
            known = by_table[id(record["names"])] or names
            labels, flaw = _labels(record["row"].get(chosen), known)
            if flaw:
                refused.append(Refusal(shown(name), flaw))
            spelled.update(labels)
            if labels:
                given[name] = [unicodedata.normalize("NFC", label) for label in labels]
        notices.insert(0, f"labels are read from “{shown(chosen, 60)}” of the records")
    labels_by_name, conflicts, questions = settle(given, answers)
    splits = {name: split for name in records if (split := split_in(name.rpartition("/")[0]))}
    found = Labeling(title, labels_by_name, splits=splits)
    if found.test:
        notices.append(about_test(len(found.test)))
    return Labeling(
        title, labels_by_name, tuple(refused), conflicts, tuple(notices), splits,
        tuple(dict.fromkeys([*(one for several in by_table.values() for one in several.values()), *names.values()])),
        _texts(records, [one for one in counts if one != chosen]),
        questions=(*_questions(counts, fitting, chosen), *asked, *questions),
        used=frozenset({used} - {""}), spelled=frozenset(spelled),
    )  # fmt: skip


def _columns(records: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, int], set[str]]:
    """Return how many records say something in each column, and the columns of class numbers with names."""
    counts: dict[str, int] = {}
    classes: set[str] = set()
    for record in records.values():
        for column, value in record["row"].items():
            counts[column] = counts.get(column, 0) + (value not in (None, "", []))
    for table in {id(record["names"]): record["names"] for record in records.values()}.values():
        classes.update(table)
    return {column: count for column, count in counts.items() if count}, classes & counts.keys()


def _fitting(records: Mapping[str, Mapping[str, Any]], counts: Mapping[str, int], classes: Iterable[str]) -> list[str]:
    """Return the columns that look like the label, the likeliest first."""
    named = [column for column in counts if _word(column) in LABEL_WORDS and column not in classes]
    fitting = [
        column for column in named
        if _word(column) not in FREE_TEXT or _repeats(records, column)
    ]  # fmt: skip
    place = {word: at for at, word in enumerate(LABEL_WORDS)}
    return sorted([*classes, *fitting], key=lambda one: (one not in classes, place.get(_word(one), len(place)), one))


def _word(column: str) -> str:
    return column.casefold().rpartition(":")[2].rpartition(".")[2]


def _repeats(records: Mapping[str, Mapping[str, Any]], column: str) -> bool:
    """Return whether a column of text names classes rather than describing each image."""
    values = [value for record in records.values() if isinstance(value := record["row"].get(column), str) and value]
    short = all(label_flaw(value) is None for value in values[:_LISTED])
    return short and bool(values) and 2 * len(set(values)) <= len(values)


def _whole(values: Iterable[Any]) -> bool:
    """Return whether all values that there are are whole numbers, also as text."""
    some = False
    for value in values:
        for one in value if isinstance(value, list) else [value]:
            if one is None or one == "":
                continue
            if isinstance(one, bool) or not _number(one):
                return False
            some = True
    return some


def _number(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.removeprefix("-").isdigit() and len(value) < 10
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _numbers(records: Mapping[str, Mapping[str, Any]], column: str) -> set[int]:
    """Return the class numbers in a column that holds nothing else; -1, which `datasets` writes for “not known”, is
    none."""
    values = (record["row"].get(column) for record in records.values())
    every = (one for value in values for one in (value if isinstance(value, list) else [value]))
    return {int(one) for one in every if one not in (None, "") and _number(one)} - {-1}


def _labels(value: Any, names: Mapping[int, str]) -> tuple[list[str], str]:
    """Return the labels that a cell gives, and what is wrong with it, "" for nothing."""
    labels: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        if one is None or (isinstance(one, str) and not one.strip()) or one != one:
            continue
        if names and not isinstance(one, bool) and _number(one):
            if int(one) == -1:  # `datasets` writes it for “not known”
                continue
            if int(one) not in names:
                return [], f"class {shown(str(one), 20)} is not among the {len(names):,} that are named"
            one = names[int(one)]
        text = str(int(one)) if isinstance(one, float) and one.is_integer() else str(one)
        flaw = label_flaw(text)
        if flaw is not None:
            return [], f"{flaw}; imported without a label"
        labels.append(text)
    return labels, ""


def _questions(counts: Mapping[str, int], fitting: Sequence[str], chosen: str) -> tuple[Question, ...]:
    others = [column for column in counts if column not in fitting]
    columns = list(islice(dict.fromkeys([*fitting, *([chosen] if chosen != NONE else []), *others]), MOST_OPTIONS))
    if not columns:
        return ()
    options = tuple((column, f"{shown(column, 60)}: {counts[column]:,} images") for column in columns)
    return (
        Question(
            COLUMN, "The column with the label", (*options, (NONE, "none: without labels")), chosen,
            "The other columns can say which images belong together.", doubtful=len(fitting) != 1,
        ),
    )  # fmt: skip


def _texts(records: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what the other columns say, as text."""
    found: dict[str, dict[str, str]] = {column: {} for column in columns[:MOST_OPTIONS]}
    for name, record in records.items():
        for column, texts in found.items():
            value = record["row"].get(column)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                named = record["names"].get(column, ())
                texts[name] = named[value] if isinstance(value, int) and 0 <= value < len(named) else str(value)
    return found
