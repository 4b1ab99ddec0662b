"""Labels from folders: `<class>/<image>`, `<split>/<class>/<image>`, `<class>/<split>/<image>`, with anything above and
below.

1. Folders that hold the whole set are stripped, however many lie inside each other, whether images lie loose beside
   the inner one or not. Where one of several top folders has a generic name (images, data …) and folders of its own,
   and the others have none, the set is in it; so where all others are called as what only lies beside a set. A single
   folder of images beside one of unlabeled images is a class.
2. Where top folders are splits (train, val, test …), one more level is stripped. A folder beside them that has the
   same folders inside is one more split; one that has none is without labels. Splits may also lie inside the classes.
   Where all folders are splits and none has folders inside, nothing names a class.
3. The first folder that is left is the class; where the first level is dates or sessions that hold the same folders,
   the second. Images with no folder left, or in a folder such as unlabeled or no_label, are unlabeled.

Folders that are called by numbers have the names that a list of classes at the top gives them, if it names all.

All files count for the structure, refused ones and empty folders too: a class whose images cannot be read is a class.
The level can be chosen; where folders on another one could be the classes as well, or the only folder could, a person
should look. So where a class is called as what only lies beside a set (masks, previews, unsorted …).
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from engine.importers.formats.base import LIKELY, POSSIBLE, Answers, Detection, Format
from engine.importers.formats.class_lists import NOTHING, ClassNames, names_of_numbers, number_of
from engine.importers.formats.tree_shape import (
    BESIDE,
    GENERIC,
    Folders,
    Shape,
    class_folder,
    could_be_class,
    shape_of,
    words_of,
)
from engine.importers.labeling import Labeling, about_test, is_pool, split_of
from engine.importers.names import label_flaw, natural_key, shown
from engine.importers.source_view import SIDE_ENDINGS, SourceView
from engine.records.imports import Question, Refusal

CLASS_TREE = "class tree"
IMAGES_ONLY = "images only"
LEVEL, ASIDE, NAMES = "level", "aside", "names"
WORDS, NUMBERS = "words", "numbers"
NO_LEVEL, KEEP, LEAVE = "0", "keep", "leave"
MOST_LEVELS = 6


def detect(source: SourceView) -> Detection | None:
    """Return that folders name at least one class, or could."""
    labeling = read(source, {})
    if not labeling.labels:
        return Detection("folders could name classes", POSSIBLE) if labeling.questions else None
    classes = len(set(labeling.labels.values()))
    if classes == 1:
        return Detection("all images lie in one folder that could be a class", POSSIBLE)
    return Detection(f"the images lie in {classes:,} folders that name classes", LIKELY)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels that the folders say; `answers` may hold "level" and "aside", and "names" and "count_from"
    where a list of classes names the folders."""
    all_folders = _all_folders(source)
    shape = shape_of(all_folders)
    level = answers.get(LEVEL, "")
    if level.isdigit() and int(level) <= MOST_LEVELS and int(level) != shape.class_at + 1:
        at = int(level) - 1
        split_at = -1 if shape.split_at == at else shape.split_at
        shape = replace(
            shape, root=shape.root[: max(at, 0)], apart=(), split_at=split_at, class_at=at, doubtful=False, below=()
        )
    bare = _bare_splits(all_folders, shape)
    with_classes = [folders for folders in all_folders if not _in_bare(folders, shape, bare)]
    spelled = {folder for folders in with_classes if (folder := class_folder(folders, shape)) is not None}
    declared = {unicodedata.normalize("NFC", folder) for folder in spelled}
    aside = sorted(label for label in declared if words_of(label) in BESIDE)
    aside = aside if len(declared) > 1 else []
    left = frozenset(aside if answers.get(ASIDE) == LEAVE else ())
    labels: dict[str, str] = {}
    splits: dict[str, str] = {}
    refused: list[Refusal] = []
    for name in source.images:
        folders = tuple(name.split("/")[:-1])
        folder = class_folder(folders, shape)
        label = None if folder is None else unicodedata.normalize("NFC", folder)
        if split := _split(folders, shape):
            splits[name] = split
        if label is None or label in left or _in_bare(folders, shape, bare):
            continue
        if (flaw := label_flaw(label)) is not None:
            refused.append(Refusal(shown(name), f"{flaw}; imported without a label"))
        else:
            labels[name] = label
    named = _names_of_numbers(source, declared, answers)
    if named.names and answers.get(NAMES) != NUMBERS:
        by_folder = {label: named.names[int(label)] for label in declared if label not in left}
        labels = {name: by_folder[label] for name, label in labels.items()}
        declared = set(by_folder.values())
        spelled |= declared
    empty = sorted(label for label in declared - set(labels.values()) - left if label_flaw(label) is None)
    found = Labeling(CLASS_TREE if labels else IMAGES_ONLY, labels, splits=splits)
    return Labeling(
        found.layout, labels, tuple(refused), splits=splits,
        notices=(
            *_notices(source, shape, labels, len(found.test), empty), *_about_bare(source, shape, bare), *named.notices
        ),
        classes=tuple(sorted({*labels.values(), *empty}, key=natural_key)) if labels else (),
        questions=(
            *_level_question(source, shape, level), *_aside_question(aside, labels, bool(left)), *named.questions
        ),
        used=frozenset({named.file} - {""}), spelled=frozenset(spelled),
    )  # fmt: skip


def _names_of_numbers(source: SourceView, folders: Collection[str], answers: Answers) -> ClassNames:
    """Return the names of class folders that are all called by numbers, where a list at the top names each of them, and
    the question whether they are called so."""
    numbers = {folder: number_of(folder) for folder in folders}
    said = {number for number in numbers.values() if number is not None}
    if not said or None in numbers.values() or len(said) < len(numbers):
        return NOTHING
    found = names_of_numbers(source, "", said, answers)
    if not said <= found.names.keys():
        return ClassNames({}, questions=() if found.names else found.questions)
    first = sorted(numbers, key=natural_key)[:3]
    listed = ", ".join(f"{shown(one, 20)} is {shown(found.names[int(one)], 40)}" for one in first)
    by_number = answers.get(NAMES) == NUMBERS
    question = Question(
        NAMES, "Names of the classes",
        ((WORDS, f"those in {shown(found.file, 60)}: {listed}"), (NUMBERS, f"the folders: {', '.join(first)}")),
        NUMBERS if by_number else WORDS,
    )  # fmt: skip
    told = () if by_number else (f"the class folders are numbers, which {shown(found.file)} names: {listed}",)
    return replace(
        found, notices=(*(() if by_number else found.notices), *told), questions=(question, *found.questions)
    )


def _bare_splits(paths: Sequence[Folders], shape: Shape) -> frozenset[str]:
    """Return the splits whose images lie in a single folder of a generic name, where other splits have classes."""
    at, split_at = shape.class_at, shape.split_at
    if not 0 <= split_at < at:
        return frozenset()
    inside: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        if len(path) > at and path[split_at] in shape.splits and (folder := class_folder(path, shape)) is not None:
            inside[path[split_at]].add(folder)
    bare = {top for top, held in inside.items() if len(held) == 1 and words_of(next(iter(held))) in GENERIC}
    others = set().union(*(held for top, held in inside.items() if top not in bare))
    return frozenset(bare if len(others) > 1 and not any(words_of(one) in GENERIC for one in others) else ())


def _in_bare(folders: Folders, shape: Shape, bare: frozenset[str]) -> bool:
    return bool(bare) and len(folders) > shape.split_at and folders[shape.split_at] in bare


def _about_bare(source: SourceView, shape: Shape, bare: frozenset[str]) -> list[str]:
    if not bare:
        return []
    count = source.count(name for name in source.images if _in_bare(tuple(name.split("/")[:-1]), shape, bare))
    listed = ", ".join(shown(one, 40) for one in sorted(bare))
    return [f"{count:,} {'image' if count == 1 else 'images'} in {listed} have no class folder: unlabeled"]


def _split(folders: Folders, shape: Shape) -> str:
    at = shape.split_at
    inside = 0 <= at < len(folders) and folders[: len(shape.root)][:at] == shape.root[:at]
    return split_of(folders[at]) if inside and folders[at] in shape.splits else ""


def _all_folders(source: SourceView) -> list[Folders]:
    """The folders of every file that is not beside the images to describe them, and every empty folder."""
    described = {name for name in source.names if name.lower().endswith(SIDE_ENDINGS)}
    of_files = {tuple(name.split("/")[:-1]) for name in source.names - described}
    of_described = {tuple(name.split("/")[:-1]) for name in described}
    empty = {tuple(folder.strip("/").split("/")) for folder in source.folders if folder.strip("/")}
    parents = {folders[:depth] for folders in of_files | of_described for depth in range(len(folders) + 1)}
    return sorted(of_files | (empty - parents))


def _notices(
    source: SourceView, shape: Shape, labels: Mapping[str, str], test: int, empty: Sequence[str]
) -> tuple[str, ...]:
    notices: list[str] = []
    listed = ", ".join(shown(one, 60) for one in shape.splits)
    if shape.split_at >= 0 and source.images and not labels:
        inside = f" in {shown('/'.join(shape.root))}" if shape.root else ""
        notices.append(f"the folders {listed}{inside} are taken for splits, so that no folder names a class")
    elif shape.split_at > shape.class_at and labels:
        notices.append(f"the folders {listed} inside the classes are taken for splits")
    elif shape.split_at >= 0 and labels:
        notices.append(f"all splits are taken together: {listed}")
    pools: Counter[str] = Counter()
    for name in source.images:
        if pool := next(filter(is_pool, name.split("/")[:-1]), ""):
            pools[pool] += source.count((name,))
    if pools and labels:
        listed = ", ".join(shown(pool, 40) for pool in sorted(pools)[:5])
        notices.append(f"images in folders that say so have no label: {pools.total():,} in {listed}")
    if shape.below and labels:
        names = ", ".join(shown(one, 40) for one in shape.below[:5]) + " …" * (len(shape.below) > 5)
        notices.append(f"folders inside the classes are no classes: {names}")
    if test:
        notices.append(about_test(test))
    if empty and labels:
        words = "a class without an image that can be read" if len(empty) == 1 else "classes without an image"
        notices.append(f"{words}: {', '.join(shown(label, 60) for label in empty[:10])}{' …' * (len(empty) > 10)}")
    if shape.apart:
        count = source.count(name for name in source.images if _lies_in(name, shape, shape.apart))
        names = ", ".join(shown(one, 60) for one in shape.apart)
        notices.append(
            f"{count:,} images in {names} beside the splits are unlabeled: it is no split and has no classes"
        )
    loose = source.count(name for name in source.images if name.split("/")[:-1] == list(shape.root))
    if loose and labels:
        notices.append(f"{loose:,} {'image lies' if loose == 1 else 'images lie'} outside the class folders, unlabeled")
    outside = source.count(name for name in source.images if name.split("/")[: len(shape.root)] != list(shape.root))
    if shape.root and labels:
        beside = f"classes are the folders in {shown('/'.join(shape.root))}"
        are = "image beside it is" if outside == 1 else "images beside it are"
        notices.append(f"{beside}; {outside:,} {are} unlabeled" if outside else beside)
    if shape.root and not labels and source.images and shape.split_at < 0:
        only = shown("/".join(shape.root))
        notices.append(f"all images lie in one folder, {only}; a single folder is not taken as a class")
    return tuple(notices)


def _lies_in(name: str, shape: Shape, tops: Sequence[str]) -> bool:
    folders = name.split("/")[:-1]
    at = len(shape.root)
    return tuple(folders[:at]) == shape.root and len(folders) > at and folders[at] in tops


def _counted(folders: int, images: int) -> str:
    many = "1 folder" if folders == 1 else f"{folders:,} folders"
    return f"{many}, {'1 image' if images == 1 else f'{images:,} images'}"


def _level_question(source: SourceView, shape: Shape, answer: str) -> tuple[Question, ...]:
    """Ask which level of folders is the class, where more than one could be, or none."""
    by_level: dict[int, Counter[str]] = defaultdict(Counter)
    for name in source.images:
        for level, folder in enumerate(name.split("/")[:-1][:MOST_LEVELS], start=1):
            by_level[level][folder] += source.count((name,))
    chosen = shape.class_at + 1 if shape.class_at + 1 in by_level else 0
    if not by_level or (len(by_level) == 1 and chosen and not shape.doubtful and not answer):
        return ()
    options = []
    for level, counts in sorted(by_level.items()):
        names = ", ".join(shown(name, 30) for name, _ in counts.most_common(4))
        more = " …" if len(counts) > 4 else ""
        options.append((str(level), f"level {level}: {_counted(len(counts), counts.total())} ({names}{more})"))
    options.append((NO_LEVEL, "no folder: the images stay unlabeled"))
    lone = not chosen and not answer and bool(shape.root) and could_be_class(shape.root[-1])
    return (
        Question(
            LEVEL, "Folders that name the class", tuple(options), str(chosen),
            "Folders above it only hold them; folders below it may be sessions or scenes.", shape.doubtful or lone,
        ),
    )  # fmt: skip


def _aside_question(aside: Sequence[str], labels: Mapping[str, str], left: bool) -> tuple[Question, ...]:
    """Ask whether folders that are called as what lies beside a set are classes."""
    if not aside:
        return ()
    counts = Counter(labels.values())
    images = {one: f" ({counts[one]:,} {'image' if counts[one] == 1 else 'images'})" for one in aside if not left}
    listed = ", ".join(f"{shown(one, 40)}{images.get(one, '')}" for one in aside[:8])
    options = ((KEEP, "classes like the others"), (LEAVE, "no classes: their images stay unlabeled"))
    return (
        Question(ASIDE, f"Folders that may be no classes: {listed}", options, LEAVE if left else KEEP, "", not left),
    )


FORMAT = Format("class_tree", CLASS_TREE, detect, read)
