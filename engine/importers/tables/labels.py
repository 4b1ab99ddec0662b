"""What the tables of a source say of its images, together."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from engine.importers.labeling import Labeling, about_test, split_of
from engine.importers.names import label_flaw, shown
from engine.importers.tables.columns import Plan
from engine.importers.tables.headers import plain
from engine.importers.tables.label_columns import is_yes
from engine.importers.tables.load import Table
from engine.importers.tables.rows import Answers, Rows, place
from engine.importers.tables.several import Several, find_several
from engine.importers.tables.shares import likeliest
from engine.records.imports import GivenPrediction, Question, Refusal

_LEAST_SEEN = ("train", "val", "test")
_OF_EXPORTS = frozenset({"file_name", "label", "label_source", "image_id", "sha256"})
_TAGS = frozenset({"tag", "tags", "labels", "attributes", "classes", "categories"})


def label_by_tables(
    layout: str,
    tables: Sequence[Table],
    taken: Collection[str],
    answers: Answers,
    classes: Mapping[str, str] | None = None,
) -> Labeling:
    """Return what some tables say of the images.

    Different labels for one image, be it in several rows, columns or in one cell, leave it unlabeled.

    Args:
        layout: the words a person reads.
        tables: those that say labels or predictions, and those that could be chosen to.
        taken: names of the images that can be imported.
        answers: may hold "several".
        classes: names of classes by the text that stands for them.
    """
    names = classes or {}
    several = _several(tables, answers)
    given: dict[str, dict[str, None]] = defaultdict(dict)
    refused: list[Refusal] = []
    splits: dict[str, str] = {}
    in_several: list[str] = []
    predictions: dict[str, GivenPrediction] = {}
    tidy: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}
    pseudo = 0
    for table in tables:
        rows, plan = table.rows, table.plan
        if not plan.labeled:
            continue
        refused += rows.refused
        sources = rows.columns[plan.source] if plan.source is not None else None
        words = _splits(table)
        said_most = likeliest(rows, plan.shares) if not plan.likeliest else []
        by_place = plan.split is None and plan.flag is None
        for at, labels in enumerate(_labels(table, several)):
            name, why = table.found[at]
            if (known := tidy.get(labels)) is None:
                flaws = [one for label in labels if (one := label_flaw(label)) is not None]
                written = tuple(unicodedata.normalize("NFC", names.get(label, label)) for label in labels)
                known = tidy[labels] = (flaws[0] if flaws else "", written)
            flaw, texts = known
            reason = flaw or (why if name is None else "" if name in taken else "its image was refused")
            if reason or name is None:
                cell = rows.columns[plan.file][at]
                refused.append(Refusal(place(rows.title, rows.lines[at], cell), reason))
                continue
            for text in texts:
                given[name][text] = None
            pseudo += sources is not None and sources[at] == "pseudo" and bool(labels)
            split = words[at] if words is not None else ""
            if split and by_place:
                split = _split_of_folder(name) or split
            if split and splits.setdefault(name, split) != split:
                in_several.append(name)
                splits[name] = max(splits[name], split, key=_LEAST_SEEN.index)
            if plan.prediction is not None and (said := rows.columns[plan.prediction][at]).strip():
                sure = rows.columns[plan.confidence][at] if plan.confidence is not None else ""
                if label_flaw(said) is None:
                    label = unicodedata.normalize("NFC", names.get(said, said))
                    share = said_most[at] if said_most and not sure else None
                    known_share = share[1] if share is not None and share[0] == said.strip() else confidence(sure)
                    predictions.setdefault(name, GivenPrediction(label, known_share))
            elif plan.prediction is None and said_most and (most := said_most[at]) is not None:
                label = unicodedata.normalize("NFC", most[0])
                predictions.setdefault(name, GivenPrediction(label, most[1]))
    many = {name: tuple(labels) for name, labels in given.items() if len(labels) > 1}
    labels_found = {name: next(iter(labels)) for name, labels in given.items() if len(labels) == 1}
    found = Labeling(
        layout, labels_found, tuple(refused), many, splits=splits, predictions=predictions,
        classes=tuple(dict.fromkeys(table.rows.header[at] for table in tables for at in table.plan.one_hot)),
        columns=columns_of_tables(tables, taken), questions=_questions(tables, several),
        used=frozenset(table.rows.name for table in tables),
        spelled=frozenset(label for labels in tidy for label in labels if not label.isascii()),
    )  # fmt: skip
    notices = _notices(tables, found, several, pseudo)
    if in_several:
        count = len(set(in_several))
        images = f"{count:,} {'image is' if count == 1 else 'images are'} in several splits (such as"
        notices = (*notices, f"{images} {shown(in_several[0], 80)}); test counts before val, and val before train")
    return replace(found, notices=notices)


def columns_of_tables(tables: Sequence[Table], taken: Collection[str]) -> dict[str, dict[str, str]]:
    """Return what the further columns of the tables say, by header: text by image name, the first where several do."""
    columns: dict[str, dict[str, str]] = {}
    for table in tables:
        for at in table.plan.others:
            said = columns.setdefault(table.rows.header[at], {})
            for (name, _), text in zip(table.found, table.rows.columns[at], strict=True):
                if name is not None and text.strip() and name in taken:
                    said.setdefault(name, text)
    return columns


def confidence(cell: str) -> float | None:
    """Return how sure a model was, 0..1, of a cell that says it as a share or in percent; None where it does not."""
    match = re.fullmatch(r"\s*(\d*\.?\d+(?:[eE][-+]?\d+)?)\s*(%?)\s*", cell)
    if match is None:
        return None
    value = float(match[1]) / (100 if match[2] else 1)
    return value if 0 <= value <= 1 else None


def _several(tables: Sequence[Table], answers: Answers) -> Several:
    cells: Counter[str] = Counter()
    tags = False
    for table in tables:
        for at in table.plan.labels if not _is_export(table) else ():
            cells.update(table.rows.columns[at])
            tags = tags or plain(table.rows.header[at]) in _TAGS
    return find_several(cells, answers, tags)


def _is_export(table: Table) -> bool:
    """Whether this is the table of an export from here, where an image has one label, whatever is in its name."""
    return set(table.rows.header) >= _OF_EXPORTS


def _labels(table: Table, several: Several) -> Iterator[tuple[str, ...]]:
    """The labels of each row."""
    rows, plan = table.rows, table.plan
    if plan.one_hot:
        ones: list[list[str]] = [[] for _ in rows.lines]
        for column in plan.one_hot:
            says_yes = {cell for cell in set(rows.columns[column]) if is_yes(cell)}
            for at, cell in enumerate(rows.columns[column]):
                if cell in says_yes:
                    ones[at].append(rows.header[column])
        yield from map(tuple, ones)
    elif plan.likeliest:
        yield from (() if most is None else (most[0],) for most in likeliest(rows, plan.shares))
    elif not plan.labels:
        yield from (() for _ in rows.lines)
    else:
        by_column = [rows.columns[at] for at in plan.labels]
        if _is_export(table):
            yield from (tuple(filter(str.strip, cells)) for cells in zip(*by_column, strict=True))
            return
        denied = _denied(rows, plan)
        for at, cells in enumerate(zip(*by_column, strict=True)):
            yield (
                () if at in denied else tuple(dict.fromkeys(label for cell in cells for label in several.labels(cell)))
            )


def _denied(rows: Rows, plan: Plan) -> frozenset[int]:
    """The rows that say that an image does not show a class."""
    if not plan.denied or plan.confidence is None:
        return frozenset()
    return frozenset(at for at, cell in enumerate(rows.columns[plan.confidence]) if confidence(cell) == 0)


def _split_of_folder(name: str) -> str:
    """Return the split that the nearest folder of a file that says one says, "" for none."""
    return next((split for part in reversed(name.split("/")[:-1]) if (split := split_of(part))), "")


def _splits(table: Table) -> list[str] | None:
    """The split of each row: as a column says, or the name of the table or of its folder; None where nothing does."""
    rows, plan = table.rows, table.plan
    if plan.split is not None:
        once = {cell: split_of(cell) for cell in set(rows.columns[plan.split])}
        return [once[cell] for cell in rows.columns[plan.split]]
    if plan.flag is not None:
        return [plan.flag_means if is_yes(cell) else "train" for cell in rows.columns[plan.flag]]
    folder, _, base = rows.name.rpartition("/")
    words = {split for word in re.split(r"[\W_]+", base.rpartition(".")[0]) if (split := split_of(word))}
    told = words or {split_of(folder.rpartition("/")[2])} - {""}
    return [next(iter(told))] * len(rows.lines) if len(told) == 1 else None


def _questions(tables: Sequence[Table], several: Several) -> tuple[Question, ...]:
    questions: dict[str, Question] = {}
    for table in tables:
        for one in (*table.rows.questions, *table.plan.questions):
            known = questions.setdefault(one.key, one)
            if one.doubtful and not known.doubtful:
                questions[one.key] = one
    return (*questions.values(), *several.questions())


def _notices(tables: Sequence[Table], found: Labeling, several: Several, pseudo: int) -> tuple[str, ...]:
    said = [table for table in tables if table.plan.says_labels]
    listed = ", ".join(dict.fromkeys(shown(table.rows.name) for table in said))
    notices = [f"labels are read from {listed}; folder names do not count"] if listed else []
    notices += dict.fromkeys(notice for table in tables for notice in table.plan.notices)
    if found.conflicts:
        count = len(found.conflicts)
        what = "image has several labels and stays" if count == 1 else "images have several labels and stay"
        notices.append(f"{count:,} {what} unlabeled")
    lists = sum(len(parts) == 1 for parts in several.parts.values())
    if lists and several.how != "whole":
        notices.append("labels that are written as lists of one are taken without the brackets")
    if found.test:
        notices.append(about_test(len(found.test)))
    if pseudo:
        notices.append(f"{pseudo:,} of the labels are pseudo-labels of a model; they are taken as labels")
    return tuple(notices)
