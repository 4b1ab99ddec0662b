"""The lists of Pascal VOC in ImageSets/Main: a file a class with “000012  1” a line, a file a split with its images.

In the list of a class 1 says that an image shows it, -1 that it does not, 0 that it does and is hard to see. The name
of a list ends in its split (cat_train.txt); the lists of the splits alone (train.txt, val.txt) go before that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.importers.formats.gathering import Gathering, counted
from engine.importers.formats.text_lists import lines_of
from engine.importers.labeling import split_of
from engine.importers.names import shown
from engine.importers.source_view import SourceView
from engine.records.imports import Question

DIFFICULT = "difficult"
LEAVE, TAKE = "leave", "take"
_FOLDERS = re.compile(r"(?:.*/)?(?:imagesets(?:/main)?|main)", re.IGNORECASE)
_NAME = re.compile(r"(?P<label>.+)_(?P<split>train|val|trainval|test)", re.IGNORECASE)
_LINE = re.compile(r"(?P<image>\S(?:.*\S)?)\s+(?P<says>[+-]?1|0)")
_LOOKED_AT = 20
_BOTH = "trainval"
"""The split of a list that holds those of two others: what says more goes before it."""


@dataclass(frozen=True, slots=True)
class ListFile:
    """One list: of a class, or with label "" of a split; its split as the name has it, "" where it has none."""

    name: str
    label: str
    split: str


@dataclass
class _Said:
    """What the lists say of one image: by class the signs that they give it, and the splits that it is listed in."""

    signs: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    splits: set[str] = field(default_factory=set)
    of_class_lists: set[str] = field(default_factory=set)


def find_lists(source: SourceView) -> list[ListFile]:
    """Return the lists of classes and of splits that a source has."""

    def look() -> list[ListFile]:
        found = [
            _list_of(source, name)
            for name in source.ending(".txt")
            if _FOLDERS.fullmatch(name.rpartition("/")[0]) and source.files[name].stat().st_size
        ]
        return [one for one in found if one is not None]

    return source.once("voc lists", look)


def read_lists(gathering: Gathering, lists: list[ListFile], answers: Mapping[str, str]) -> None:
    """Add what the lists say to what is known of the images; `answers` may hold "difficult".

    Raises:
        ImportRefused: a list cannot be read as text.
    """
    images: dict[str, str | None] = {}
    said: defaultdict[str, _Said] = defaultdict(_Said)
    for one in lists:
        gathering.enter(one.name)
        label = gathering.declare(one.label, "its name") if one.label else None
        for number, line in lines_of(gathering.source, one.name):
            match = _LINE.fullmatch(line) if one.label else None
            path = line if match is None else match["image"]
            if one.label and match is None:
                gathering.refuse(f"row {number}: {line}", "it is not an image and 1, 0 or -1")
                continue
            if path not in images:  # each image stands in many lists: one that is not there is told once
                images[path] = gathering.image(path, f"row {number}", stem=True)
            image = images[path]
            if image is None:
                continue
            if one.split:
                (said[image].of_class_lists if one.label else said[image].splits).add(one.split)
            if match is not None and label is not None:
                said[image].signs[label].add(match["says"].lstrip("+"))
    _take_splits(gathering, said)
    _take_labels(gathering, said, answers)


def _list_of(source: SourceView, name: str) -> ListFile | None:
    stem = name.rpartition("/")[2][: -len(".txt")]
    lines = [line for _, (_, line) in zip(range(_LOOKED_AT), lines_of(source, name), strict=False)]
    if lines and all(_LINE.fullmatch(line) for line in lines):
        match = _NAME.fullmatch(stem)
        return ListFile(name, stem, "") if match is None else ListFile(name, match["label"], match["split"].casefold())
    split = stem.casefold() if stem.casefold() == _BOTH else split_of(stem)
    return ListFile(name, "", split) if split else None


def _take_splits(gathering: Gathering, said: Mapping[str, _Said]) -> None:
    several = []
    for image, one in said.items():
        splits = one.splits or one.of_class_lists
        exact = splits - {_BOTH} or ({"train"} if splits else set())
        if len(exact) == 1:
            gathering.splits[image] = exact.pop()
        elif exact:
            several.append(image)
    if several:
        stand = "1 image stands" if len(several) == 1 else f"{len(several):,} images stand"
        gathering.notices.append(
            f"{stand} in the lists of several splits and get none, such as {shown(several[0], 80)}"
        )


def _take_labels(gathering: Gathering, said: Mapping[str, _Said], answers: Mapping[str, str]) -> None:
    """Take the classes that are said to be in an image; what is hard to see as `answers` say."""

    def of(wanted: Callable[[set[str]], bool]) -> dict[str, list[str]]:
        found = {image: [label for label, signs in one.signs.items() if wanted(signs)] for image, one in said.items()}
        return {image: labels for image, labels in found.items() if labels}

    for image, labels in of(lambda signs: "1" in signs and "-1" in signs).items():
        gathering.refuse(image, f"the lists say 1 and -1 of “{shown(labels[0], 80)}”")
    for image, labels in of(lambda signs: "1" in signs and "-1" not in signs).items():
        gathering.labels[image] += labels
    hard = {
        image: labels
        for image, labels in of(lambda signs: "0" in signs and "1" not in signs).items()
        if not set(labels) <= set(gathering.labels.get(image, ()))
    }
    if hard:
        take = answers.get(DIFFICULT) == TAKE
        example = min(hard)
        gathering.questions.append(
            Question(
                DIFFICULT, "Classes that are marked as hard to see (0)",
                ((LEAVE, "they are no labels"), (TAKE, "they are labels like the others")), TAKE if take else LEAVE,
                f"{counted(len(hard), 'image')}, such as {shown(example, 80)}: “{shown(hard[example][0], 40)}”",
                doubtful=True,
            )
        )  # fmt: skip
        for image, labels in hard.items() if take else ():
            gathering.labels[image] += labels
    none = sum(bool(one.signs) and not gathering.labels.get(image) for image, one in said.items())
    none -= sum(not gathering.labels.get(image) for image in hard)
    if none > 0:
        gathering.notices.append(f"{counted(none, 'image')} of which the lists name no class: unlabeled")
