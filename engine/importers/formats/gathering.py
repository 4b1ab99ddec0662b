"""What the records of JSON files say of images, gathered one by one; and how such files are looked at.

Nothing is taken for granted of a record: whatever it holds, it is either understood or refused with its place.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from engine.errors import ImportRefused
from engine.importers.formats.base import Answers
from engine.importers.formats.several import settle
from engine.importers.grouping import is_group_header
from engine.importers.labeling import Labeling, about_test, split_of
from engine.importers.names import label_flaw, shown
from engine.importers.source_view import SourceView, folder_of
from engine.records.imports import GivenPrediction, Question, Refusal

CONTROL = "control"
LISTED = 100
"""Records refused for one reason are listed up to so many, then counted."""
_LOOKED_AT = 1000
_MOST_CONTROLS = 50
_MOST_COLUMNS = 20
GROUP, SPLIT = "group", "split"
_SPLIT_KEYS = frozenset({"split", "subset", "partition"})
_PLACE_KEYS = frozenset({"location", "site", "camera"})
"""What a record says of where an image was taken: a column to group by, if a person wants to."""
JSON = (".json",)
LINES = (".jsonl", ".ndjson", ".manifest", ".json")

Record = Mapping[str, Any]


class Gathering:
    """Labels, predictions, splits and further columns of images, as the records of one reading say them.

    `labels` (in the order they were said), `predictions`, `splits`, `columns` and `classes` (declared) may be read and
    added to; `notices` is what a person should know.

    Args:
        source: where the records lie.
        files: all files that are read together, each of which is entered with `enter` before its records.
    """

    def __init__(self, source: SourceView, files: Sequence[str]) -> None:
        self.source = source
        self.labels: defaultdict[str, list[str]] = defaultdict(list)
        self.conflicts: dict[str, tuple[str, ...]] = {}
        self.predictions: dict[str, GivenPrediction] = {}
        self.splits: dict[str, str] = {}
        self.columns: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.classes: dict[str, None] = {}
        self.notices: list[str] = []
        self.questions: list[Question] = []
        self._files = tuple(files)
        self._refused: list[Refusal] = []
        self._reasons: Counter[str] = Counter()
        self._flaws: dict[str, str | None] = {}
        self._odd_scores = 0
        self._kinds: dict[str, str] = {}
        self._declared: set[str] = set()
        self._same: dict[str, None] = {}
        self._folders = {folder_of(name) for name in files}
        self._image_splits = {
            split for folder in {folder_of(name) for name in source.images} for split in _splits_in(folder)
        }
        self._file = self._folder = self._split = ""
        self._apart: tuple[str, ...] = ()

    def enter(self, file: str, split: str = "") -> None:
        """Read on in this file, whose images are of this split, "" for none."""
        self._file, self._folder, self._split = file, folder_of(file), split
        self._declared.clear()
        if repeated := self.source.repeated.get(file):
            keys = ", ".join(f"“{shown(key, 40)}”" for key in repeated[:3]) + " …" * (len(repeated) > 3)
            self.notices.append(f"{shown(file, 80)} has {counted(len(repeated), 'key')} twice, the last counts: {keys}")
        own = f"{self._folder}/" if self._folder else ""
        others = (f"{folder}/" if folder else "" for folder in self._folders)
        self._apart = tuple(other for other in others if not own.startswith(other) and not other.startswith(own))

    def refuse(self, key: str, reason: str) -> None:
        """List a record that was not taken; `key` says which one."""
        self._reasons[reason] += 1
        if self._reasons[reason] <= LISTED:
            self._refused.append(Refusal(f"{shown(self._file, 100)}, {shown(key, 200)}", reason))

    def find(self, path: object, *, under: Sequence[str] = (), stem: bool = False) -> tuple[str | None, str]:
        """Return (name, "") of the image that the present file calls so, or (None, why not)."""
        if not isinstance(path, str):
            return None, "it names no file" if path is None else "its file name is not text"
        name, why = self.source.match(path, self._folder, under=under, stem=stem)
        if name is not None and self._is_elsewhere(name, path):
            return None, "the only file of this name belongs to another split or label file"
        return name, why

    def image(self, path: object, key: str, *, under: Sequence[str] = (), stem: bool = False) -> str | None:
        """Return the name of the image that a record means, None where it means none, which is listed."""
        name, why = self.find(path, under=under, stem=stem)
        if name is None:
            self.refuse(f"{key}: {path}" if isinstance(path, str) and path != key else key, why)
        elif self._split:
            self.splits.setdefault(name, self._split)
        return name

    def _is_elsewhere(self, name: str, path: str) -> bool:
        """Whether an image lies in a folder of another file, or of another split, and its path does not say so."""
        by_split = self._split != "" and self._split in self._image_splits
        if not by_split and not (self._apart and name.startswith(self._apart)):
            return False
        folders, said = name.split("/")[:-1], path.replace("\\", "/").split("/")[:-1]
        while folders and said and folders[-1] == said[-1]:
            folders.pop()
            said.pop()
        unsaid = "/".join(folders)
        if self._apart and f"{unsaid}/".startswith(self._apart):
            return True
        splits = _splits_in(unsaid)
        return by_split and bool(splits) and self._split not in splits

    def label(self, name: str, label: object, key: str) -> None:
        """Take one label of an image; an empty one is none, an impossible one is listed."""
        text = self.class_name(label, key)
        if text is not None:
            self.labels[name].append(text)

    def class_name(self, label: object, key: str) -> str | None:
        """Return a class name in NFC; None for an empty one, and for an impossible one, which is listed."""
        text = text_of(label)
        if text is None:
            if label is not None:
                self.refuse(key, "its label is not text")
            return None
        if not text.strip():
            return None
        if text not in self._flaws:
            self._flaws[text] = label_flaw(text)
        if (flaw := self._flaws[text]) is not None:
            self.refuse(key, flaw)
            return None
        return text if text.isascii() else unicodedata.normalize("NFC", text)

    def declare(self, label: object, key: str) -> str | None:
        """Return a class name after declaring it as a class, perhaps without an image."""
        text = self.class_name(label, key)
        if text is not None:
            if text in self._declared:
                self._same.setdefault(text)
            self._declared.add(text)
            self.classes.setdefault(text)
        return text

    def predict(self, name: str, label: object, confidence: object, key: str) -> None:
        """Take what a model said of an image; of several predictions the surest counts, of equals the first."""
        text = self.class_name(label, key)
        if text is None:
            return
        score = number(confidence)
        if score is not None and not 0 <= score <= 1:
            self._odd_scores += 1
            score = None
        before = self.predictions.get(name)
        if before is None or (-1.0 if before.confidence is None else before.confidence) < (
            -1.0 if score is None else score
        ):
            self.predictions[name] = GivenPrediction(text, score)

    def keep(self, name: str, record: Record) -> None:
        """Keep what a record says of the group and split of an image, by keys that are called so."""
        for key, value in record.items():
            kind = self._kinds.get(key)
            if kind is None:
                kind = self._kinds[key] = _kind_of(key)
            if (
                kind == GROUP
                and (key in self.columns or len(self.columns) < _MOST_COLUMNS)
                and (text := text_of(value))
            ):
                self.columns[key].setdefault(name, text)
            elif kind == SPLIT and isinstance(value, str) and (split := split_of(value)):
                self.splits[name] = split

    def labeling(self, title: str, answers: Answers) -> Labeling:
        """Return all that was gathered; images with several labels are settled as `answers` say."""
        labels, several, questions = settle(self.labels, answers)
        for reason, count in self._reasons.items():
            if count > LISTED:
                self._refused.append(Refusal(counted(count - LISTED, "more record"), reason))
        if self._odd_scores:
            self.notices.append(f"left out, as they are not from 0 to 1: {counted(self._odd_scores, 'confidence')}")
        if self._same:
            names = ", ".join(f"“{shown(label, 40)}”" for label in list(self._same)[:5]) + " …" * (len(self._same) > 5)
            self.notices.append(f"several classes of one name are taken as one: {names}")
        found = Labeling(title, labels, splits=self.splits)
        if found.test:
            self.notices.append(about_test(len(found.test)))
        only_guessed = self.predictions and not (self.labels or self.conflicts)
        listed = ", ".join(shown(name, 80) for name in self._files[:3])
        more = f" and {len(self._files) - 3:,} more files" if len(self._files) > 3 else ""
        return Labeling(
            title, labels, tuple(self._refused), {**several, **self.conflicts},
            (f"predictions are read from {listed}{more}" if only_guessed
             else f"labels are read from {listed}{more}; folder names do not count", *self.notices), self.splits,
            tuple(self.classes), {header: cells for header, cells in self.columns.items() if cells},
            self.predictions, (*self.questions, *questions), frozenset(self._files),
            frozenset(text for text in self._flaws if not text.isascii()),
        )  # fmt: skip

    def choose(
        self, title: str, counts: Mapping[str, int], answers: Answers, hint: str, *, varied: Collection[str] = ()
    ) -> str:
        """Return which of several things that could each be the label is it, after asking where there are several.

        Args:
            title: of the question, whose key is "control".
            counts: by name, how many labels it would give; of equals the first is proposed.
            answers: "control" may be one of the names.
            hint: what the question is about.
            varied: those that give several classes, which go before the others.
        """
        if not counts:
            return ""
        names = sorted(counts, key=lambda name: (name not in varied, -counts[name]))[:_MOST_CONTROLS]
        keys = {shown(name, 80): name for name in reversed(names)}
        chosen = keys.get(answers.get(CONTROL, ""), names[0])
        if len(counts) > 1:
            options = tuple((shown(name, 80), f"{shown(name, 80)}: {counts[name]:,} labels") for name in names)
            self.questions.append(Question(CONTROL, title, options, shown(chosen, 80), hint, doubtful=True))
        return chosen


def json_files(source: SourceView, fits: Callable[[Any], bool]) -> list[tuple[str, Any]]:
    """Return the JSON files of a source that hold something that fits, by name."""
    return [(name, value) for name in source.ending(*JSON) if fits(value := source.json(name))]


def line_files(source: SourceView, fits: Callable[[Record], bool]) -> list[tuple[str, list[tuple[int, Any]]]]:
    """Return the files of a source with one JSON object a line, or a JSON list of objects, one of the first of which
    fits: by name, and (line or position from 1, value) of each."""
    found = []
    for name in source.ending(*LINES):
        records = _records(source, name)
        if any(isinstance(value, dict) and fits(value) for _, value in records[:_LOOKED_AT]):
            found.append((name, records))
    return found


def _records(source: SourceView, name: str) -> list[tuple[int, Any]]:
    whole = source.json(name) if name.lower().endswith(JSON) else None
    if isinstance(whole, list):
        return list(enumerate(whole, start=1))
    lines = source.json_lines(name) if whole is None else None
    if lines is None:
        return []
    if len(lines.records) == 1 and isinstance(lines.records[0][1], list):
        return list(enumerate(lines.records[0][1], start=1))
    return list(lines.records)


def damaged_files(source: SourceView, looks: Callable[[str], bool], *endings: str) -> dict[str, str]:
    """Return by name why a file that by its name would be of a format cannot be read, or not all of it."""
    for name in source.ending(*endings):
        if looks(name):
            _records(source, name)
    return {name: why for name, why in sorted(source.unparsed.items()) if looks(name)}


def refuse_damaged(gathering: Gathering, damaged: Mapping[str, str]) -> None:
    """List the files that would be of a format and cannot be read."""
    for name, why in damaged.items():
        gathering.enter(name)
        gathering.refuse("the file", why)


def no_such_file(title: str, damaged: Mapping[str, str] | None = None) -> ImportRefused:
    """Return why a source cannot be read as a format of which it has no file, or only damaged ones."""
    if damaged:
        name, why = next(iter(damaged.items()))
        return ImportRefused(
            f"A file of labels cannot be read: {why}", value=shown(name),
            way_out="Export it again, or take it out and import without it.",
        )  # fmt: skip
    return ImportRefused(f"There is no file of {title} in the source", way_out="Choose another format.")


def records_of(value: object) -> Iterator[tuple[int, Record | None]]:
    """Yield (position from 1, object) of a list; None for an entry that is no object, nothing where it is no list."""
    for at, one in enumerate(value if isinstance(value, list) else (), start=1):
        yield at, one if isinstance(one, dict) else None


def objects(value: object) -> list[Record]:
    """Return the objects of a list, none where it is no list."""
    return [one for _, one in records_of(value) if one is not None]


def has_object(value: object, fits: Callable[[Record], bool]) -> bool:
    """Return whether one of the first objects of a list fits."""
    return any(fits(one) for one in objects(value[:_LOOKED_AT] if isinstance(value, list) else None))


def counted(count: int, one: str, many: str = "") -> str:
    """Return “1 box” or “2 boxes”."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def text_of(value: object) -> str | None:
    """Return a text or a number as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return None


def number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def split_of_file(name: str) -> str:
    """Return the split that a file's own name says, or else the nearest folder that says one; "" for none."""
    path = name.rpartition(".")[0] or name
    for part in reversed(path.split("/")):
        words = {split_of(word) for word in (part, *re.split(r"[-_. ]+", part))} - {""}
        if len(words) == 1:
            return words.pop()
    return ""


def _kind_of(key: str) -> str:
    if key.casefold() in _SPLIT_KEYS:
        return SPLIT
    return GROUP if key in _PLACE_KEYS or is_group_header(key) else ""


def _splits_in(folder: str) -> set[str]:
    return {split for part in folder.split("/") if (split := split_of(part))}
