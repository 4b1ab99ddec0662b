"""Class folders called by WordNet ids (n01440764), with a file that says what each id means.

Such files: LOC_synset_mapping.txt, synset_words.txt, words.txt, imagenet_class_index.json. The class is the first word
of an id, or the id, as is chosen; where two ids have the same first word, the id is added. LOC_val_solution.csv, or
val_annotations.txt, gives the labels of images that lie in no class folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.errors import ImportRefused
from engine.importers.formats import class_tree
from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.text_lists import MAX_BYTES, find_file, lines_of, stems_of
from engine.importers.labeling import Labeling, split_of
from engine.importers.names import label_flaw, shown, tidy_label
from engine.importers.source_view import SourceView, folder_of
from engine.records.imports import Question, Refusal

TITLE = "ImageNet folders"
NAMES = "names"
IDS, WORDS = "ids", "words"
MAPPINGS = ("loc_synset_mapping.txt", "synset_words.txt", "imagenet_class_index.json", "words.txt")
SOLUTIONS = ("loc_val_solution.csv", "loc_train_solution.csv", "val_annotations.txt")
_ID = re.compile(r"n\d{8}")
_LINE = re.compile(r"(n\d{8})[ \t]+(\S.*)")
_SOLVED = re.compile(r"([^,\t]+)[,\t](n\d{8})\b(.*)")


def detect(source: SourceView) -> Detection | None:
    """Return that most class folders are called by WordNet ids, which a file beside them explains."""
    words, used = _words(source)
    if not words:
        return None
    ids = set(_labeling(source, {}).labels.values())
    known = sum(_ID.fullmatch(one) is not None for one in ids)
    solved = bool(source.called(*SOLUTIONS))
    if not (solved or (known and 2 * known >= len(ids))):
        return None
    return Detection(f"folders are called by WordNet ids, which {shown(used, 80)} explains", SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of the folders, by word or id; `answers` may hold "names", and "level" as for a class tree.

    Raises:
        ImportRefused: no file says what the ids mean, or one is too large.
    """
    words, used = _words(source)
    if not words:
        raise ImportRefused(
            "No file says what the WordNet ids mean",
            way_out="Put synset_words.txt or LOC_synset_mapping.txt beside the folders, or choose the class tree.",
        )
    tree = _labeling(source, answers)
    solved, refused = _solved(source, tree.labels)
    labels = {**tree.labels, **solved}
    ids = dict.fromkeys([*tree.classes, *labels.values()])
    by_words = answers.get(NAMES, WORDS) != IDS
    named = _named(ids, words) if by_words else {}
    unknown = sorted(one for one in ids if _ID.fullmatch(one) and one not in words)
    notices = list(tree.notices)
    if by_words:
        notices.append(f"the names of the classes are read from {shown(used)}")
    if unknown and by_words:
        listed = ", ".join(unknown[:5]) + " …" * (len(unknown) > 5)
        notices.append(f"{len(unknown):,} ids have no words there and stay as they are: {listed}")
    splits = dict(tree.splits)
    for name in solved:
        splits[name] = next((split for part in reversed(name.split("/")[:-1]) if (split := split_of(part))), "val")
    return replace(
        tree, layout=TITLE, labels={name: named.get(one, one) for name, one in labels.items()},
        classes=tuple(dict.fromkeys(named.get(one, one) for one in ids)), notices=tuple(notices), splits=splits,
        refused=(*tree.refused, *refused), questions=(*tree.questions, _question(ids, words, by_words)),
        used=frozenset([used, *source.called(*SOLUTIONS, *MAPPINGS)]),
    )  # fmt: skip


def _labeling(source: SourceView, answers: Answers) -> Labeling:
    level = answers.get(class_tree.LEVEL, "")
    return source.once(f"class tree {level}", lambda: class_tree.read(source, answers))


def _words(source: SourceView) -> tuple[dict[str, str], str]:
    """Return what the ids mean, as the first file of the source that says it has it, and its name."""

    def look() -> tuple[dict[str, str], str]:
        files = source.called(*MAPPINGS)
        for name in sorted(files, key=lambda one: MAPPINGS.index(one.rpartition("/")[2].casefold())):
            found = _meanings(source, name)
            if found:
                return found, name
        return {}, ""

    return source.once("words of synsets", look)


def _meanings(source: SourceView, name: str) -> dict[str, str]:
    if name.lower().endswith(".json"):
        held = source.json(name)
        pairs = held.values() if isinstance(held, dict) else ()
        return {
            pair[0]: pair[1].replace("_", " ")
            for pair in pairs
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
            and _ID.fullmatch(pair[0]) and label_flaw(pair[1]) is None
        }  # fmt: skip
    if source.files[name].stat().st_size > MAX_BYTES:
        return {}
    try:
        matches = [_LINE.fullmatch(line) for _, line in lines_of(source, name)]
    except ImportRefused:
        return {}
    return {match[1]: match[2].strip() for match in matches if match is not None}


def _named(ids: Iterable[str], words: Mapping[str, str]) -> dict[str, str]:
    """Return the class of each id that has words: the first of them, with the id where others have the same."""
    first = {one: tidy_label(unicodedata.normalize("NFC", words[one].partition(",")[0])) for one in ids if one in words}
    first = {one: name for one, name in first.items() if label_flaw(name) is None}
    counts = Counter(name.casefold() for name in first.values())
    taken = {one.casefold() for one in ids if one not in first}
    return {
        one: name if counts[name.casefold()] == 1 and name.casefold() not in taken else f"{name} ({one})"
        for one, name in first.items()
    }


def _solved(source: SourceView, labeled: Mapping[str, str]) -> tuple[dict[str, str], list[Refusal]]:
    """Return the ids of the images that a solution file names and that have none from their folder."""
    found: dict[str, str] = {}
    refused: list[Refusal] = []
    for table in source.called(*SOLUTIONS):
        missing = 0
        for number, line in lines_of(source, table):
            match = _SOLVED.fullmatch(line)
            if match is None:
                if number > 1:
                    refused.append(Refusal(f"{shown(table, 100)}, row {number}", "it has no WordNet id"))
                continue
            name = next(iter(stems_of(source).get(match[1], ())), None)
            name = name or find_file(source, match[1], folder_of(table))[0]
            ids = {match[2], *_ID.findall(match[3])}
            if name is None or name not in source.taken:
                missing += 1
            elif name in labeled and _ID.fullmatch(labeled[name]):
                continue
            elif len(ids) > 1:
                refused.append(Refusal(shown(name), f"boxes of several classes: {', '.join(sorted(ids))}"))
            else:
                found[name] = match[2]
        if missing:
            refused.append(Refusal(shown(table), f"{missing:,} of its images are not in the source"))
    return found, refused


def _question(ids: Iterable[str], words: Mapping[str, str], by_words: bool) -> Question:
    examples = [one for one in ids if one in words][:3]
    named = _named(examples, words)
    return Question(
        NAMES, "Names of the classes",
        ((WORDS, "words: " + ", ".join(shown(named.get(one, one), 40) for one in examples)),
         (IDS, "ids: " + ", ".join(examples))), WORDS if by_words else IDS,
    )  # fmt: skip


FORMAT = Format("imagenet_synsets", TITLE, detect, read)
