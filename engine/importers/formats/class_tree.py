"""Labels from folders: `<class>/<image>`, `<split>/<class>/<image>`, with anything above and below.

1. Folders that hold the whole set are stripped, however many lie inside each other, whether images lie loose beside
   the inner one or not. Where one of several top folders has a generic name (images, data …) and folders of its own,
   and the others have none, the set is in it.
2. Where top folders are splits (train, val, test …), one more level is stripped. A folder beside them that has the
   same folders inside is one more split; one that has none is without labels.
3. The first folder that is left is the class; where the first level is dates or sessions that hold the same folders,
   the second. Images with no folder left, or in a folder named _unlabeled, unlabeled or no_label, are unlabeled.

All files count for the structure, refused ones and empty folders too: a class whose images cannot be read is a class.
The level can be chosen.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.importers.formats.base import LIKELY, POSSIBLE, Answers, Detection, Format
from engine.importers.labeling import UNLABELED, Labeling, about_test, split_of
from engine.importers.names import label_flaw, natural_key, shown
from engine.importers.source_view import SIDE_ENDINGS, SourceView
from engine.records.imports import Question, Refusal

CLASS_TREE = "class tree"
IMAGES_ONLY = "images only"
GENERIC = frozenset(
    {"images", "image", "imgs", "img", "data", "dataset", "photos", "pictures", "jpegimages", "jpg", "png"}
)
LEVEL = "level"
MOST_LEVELS = 6
_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0?[1-9]|1[0-2])([-_. ]?\d{1,2})?)?|\d{1,2}[-_.]\d{1,2}[-_.](19|20)\d\d")
_SESSION = re.compile(r"(session|day|week|batch|part|run|visit|roll|card|dcim|\d{3}[a-z_]+)[-_ ]?\d*", re.IGNORECASE)

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """How the folders of a source are taken: `root` is stripped, `splits` are the tops below it that are splits,
    `apart` those that have no classes, and the class is the folder `skip` levels further down."""

    root: Folders
    splits: tuple[str, ...]
    apart: tuple[str, ...]
    skip: int
    doubtful: bool


def detect(source: SourceView) -> Detection | None:
    """Return that folders would name at least one class."""
    labeling = read(source, {})
    if not labeling.labels:
        return None
    classes = len(set(labeling.labels.values()))
    if classes == 1:
        return Detection("all images lie in one folder that could be a class", POSSIBLE)
    return Detection(f"the images lie in {classes:,} folders that name classes", LIKELY)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels that the folders say; `answers` may hold "level"."""
    all_folders = _all_folders(source)
    shape = _shape(all_folders)
    level = answers.get(LEVEL, "")
    chosen = len(shape.root) + bool(shape.splits) + shape.skip + 1
    if level.isdigit() and 1 <= int(level) <= MOST_LEVELS and int(level) != chosen:
        chosen, shape = int(level), Shape((), (), (), int(level) - 1, False)
    labels: dict[str, str] = {}
    splits: dict[str, str] = {}
    refused: list[Refusal] = []
    for name in source.images:
        folders = tuple(name.split("/")[:-1])
        label = class_of(folders, shape)
        if (split := _split(folders, shape)) and label is not None:
            splits[name] = split
        if label is None:
            continue
        if (flaw := label_flaw(label)) is not None:
            refused.append(Refusal(shown(name), f"{flaw}; imported without a label"))
        else:
            labels[name] = label
    declared = {label for folders in all_folders if (label := class_of(folders, shape)) is not None}
    empty = sorted(label for label in declared - set(labels.values()) if label_flaw(label) is None)
    found = Labeling(CLASS_TREE if labels else IMAGES_ONLY, labels, splits=splits)
    return Labeling(
        found.layout, labels, tuple(refused), splits=splits,
        notices=_notices(source, shape, labels, len(found.test), empty),
        classes=tuple(sorted({*labels.values(), *empty}, key=natural_key)) if labels else (),
        questions=_questions(source.images, shape, chosen) if labels else (),
    )  # fmt: skip


def class_of(folders: Folders, shape: Shape) -> str | None:
    """Return the class that a file in these folders has, None for none."""
    if any(folder.casefold() in UNLABELED for folder in folders) or folders[: len(shape.root)] != shape.root:
        return None
    rest = folders[len(shape.root) :]
    if shape.splits:
        if not rest or rest[0] not in shape.splits:
            return None
        rest = rest[1:]
    elif rest and rest[0] in shape.apart:
        return None
    return unicodedata.normalize("NFC", rest[shape.skip]) if len(rest) > shape.skip else None


def _split(folders: Folders, shape: Shape) -> str:
    rest = folders[len(shape.root) :]
    return split_of(rest[0]) if shape.splits and rest and rest[0] in shape.splits else ""


def _all_folders(source: SourceView) -> list[Folders]:
    """The folders of every file that is not beside the images to describe them, and every empty folder."""
    described = {name for name in source.names if name.lower().endswith(SIDE_ENDINGS)}
    of_files = {tuple(name.split("/")[:-1]) for name in source.names - described}
    of_described = {tuple(name.split("/")[:-1]) for name in described}
    empty = {tuple(folder.strip("/").split("/")) for folder in source.folders if folder.strip("/")}
    parents = {folders[:depth] for folders in of_files | of_described for depth in range(len(folders) + 1)}
    return sorted(of_files | (empty - parents))


def _shape(paths: Sequence[Folders]) -> Shape:
    root: Folders = ()
    while True:
        tops = _tops(paths, root)
        inside = _inside(paths, root, tops)
        named = [top for top in tops if not split_of(top) and top.casefold() not in UNLABELED]
        if len(tops) == 1 and named and not _are_sessions(inside[named[0]]):
            root = (*root, named[0])
            continue
        holding = [top for top in named if len(inside[top]) > 1]
        generic = [top for top in holding if top.casefold() in GENERIC]
        if len(generic) == 1 and holding == generic and not any(split_of(top) for top in tops) and len(tops) > 1:
            return Shape((*root, generic[0]), (), (), 0, doubtful=True)
        break
    splits = [top for top in tops if split_of(top) and (inside[top] or len(tops) == 1)]
    only_splits = all(split_of(top) or top.casefold() in UNLABELED for top in tops)
    if splits and (only_splits or len(splits) > 1 or not any(inside[top] for top in named)):
        classes = set().union(*(inside[top] for top in splits))
        more = [top for top in named if inside[top] and set(inside[top]) <= classes]
        others = tuple(top for top in named if top not in more)
        kept = tuple(sorted([*splits, *more, *(top for top in tops if split_of(top) and top not in splits)]))
        return Shape(root, kept, others, 0, doubtful=bool(others or more))
    by_date = [top for top in named if _are_sessions([top])]
    below = Counter(name for top in by_date for name in set(inside[top]))
    if len(by_date) > 1 and by_date == named and len(below) > 1 and max(below.values()) > 1:
        return Shape(root, (), (), 1, doubtful=True)
    return Shape(root, (), (), 0, doubtful=bool(by_date) and len(by_date) == len(named))


def _are_sessions(folders: Sequence[str]) -> bool:
    """Whether these are dates or sessions, which hold what was taken then and are no classes."""
    return bool(folders) and all(_DATE.fullmatch(name) or _SESSION.fullmatch(name) for name in folders)


def _tops(paths: Sequence[Folders], root: Folders) -> list[str]:
    """The folders right below `root`, sorted."""
    depth = len(root)
    return sorted({folders[depth] for folders in paths if len(folders) > depth and folders[:depth] == root})


def _inside(paths: Sequence[Folders], root: Folders, tops: Sequence[str]) -> dict[str, list[str]]:
    """The folders right below each of the tops below `root`, sorted; in one go, for there may be 10,000 tops."""
    depth, found = len(root), defaultdict[str, set[str]](set)
    for folders in paths:
        if len(folders) > depth + 1 and folders[:depth] == root:
            found[folders[depth]].add(folders[depth + 1])
    return {top: sorted(found[top]) for top in tops}


def _notices(
    source: SourceView, shape: Shape, labels: Mapping[str, str], test: int, empty: Sequence[str]
) -> tuple[str, ...]:
    notices: list[str] = []
    if shape.splits and labels:
        notices.append(f"all splits are taken together: {', '.join(map(shown, shape.splits))}")
    if test:
        notices.append(about_test(test))
    if empty and labels:
        words = "a class without an image that can be read" if len(empty) == 1 else "classes without an image"
        notices.append(f"{words}: {', '.join(shown(label, 60) for label in empty[:10])}{' …' * (len(empty) > 10)}")
    if shape.apart:
        count = sum(_lies_in(name, shape, shape.apart) for name in source.images)
        names = ", ".join(shown(one, 60) for one in shape.apart)
        notices.append(
            f"{count:,} images in {names} beside the splits are unlabeled: it is no split and has no classes"
        )
    loose = sum(name.split("/")[:-1] == list(shape.root) for name in source.images)
    if loose and labels:
        notices.append(f"{loose:,} {'image lies' if loose == 1 else 'images lie'} outside the class folders, unlabeled")
    outside = sum(name.split("/")[: len(shape.root)] != list(shape.root) for name in source.images)
    if shape.root and labels and outside:
        beside = f"classes are the folders in {shown('/'.join(shape.root))}"
        are = "image beside it is" if outside == 1 else "images beside it are"
        notices.append(f"{beside}; {outside:,} {are} unlabeled")
    if shape.root and not labels and source.images:
        only = shown("/".join(shape.root))
        notices.append(f"all images lie in one folder, {only}; a single folder is not taken as a class")
    return tuple(notices)


def _lies_in(name: str, shape: Shape, tops: Sequence[str]) -> bool:
    folders = name.split("/")[:-1]
    at = len(shape.root)
    return tuple(folders[:at]) == shape.root and len(folders) > at and folders[at] in tops


def _questions(images: Sequence[str], shape: Shape, chosen: int) -> tuple[Question, ...]:
    """Ask which level of folders is the class, where more than one could be."""
    by_level: dict[int, Counter[str]] = defaultdict(Counter)
    for name in images:
        for level, folder in enumerate(name.split("/")[:-1][:MOST_LEVELS], start=1):
            by_level[level][folder] += 1
    if len(by_level) < 2:
        return ()
    options = []
    for level, counts in sorted(by_level.items()):
        names = ", ".join(shown(name, 30) for name, _ in counts.most_common(4))
        more = " …" if len(counts) > 4 else ""
        options.append(
            (str(level), f"level {level}: {len(counts):,} folders, {sum(counts.values()):,} images ({names}{more})")
        )
    return (
        Question(
            LEVEL, "Folders that name the class", tuple(options), str(chosen),
            "Folders above it only hold them; folders below it may be sessions or scenes.", shape.doubtful,
        ),
    )  # fmt: skip


FORMAT = Format("class_tree", CLASS_TREE, detect, read)
