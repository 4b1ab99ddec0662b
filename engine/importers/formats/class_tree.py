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

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.importers.formats.base import LIKELY, POSSIBLE, Answers, Detection, Format
from engine.importers.formats.class_lists import NOTHING, ClassNames, names_of_numbers, number_of
from engine.importers.labeling import Labeling, about_test, is_pool, split_of
from engine.importers.names import label_flaw, natural_key, shown
from engine.importers.source_view import SIDE_ENDINGS, SourceView
from engine.records.imports import Question, Refusal

CLASS_TREE = "class tree"
IMAGES_ONLY = "images only"
GENERIC = frozenset(
    {"images", "image", "imgs", "img", "data", "dataset", "photos", "pictures", "jpegimages", "jpg", "png"}
)
BESIDE = frozenset(
    {"docs", "doc", "documentation", "preview", "previews", "thumbnail", "thumbnails", "thumbs", "screenshot"}
    | {"screenshots", "figures", "mask", "masks", "annotation", "annotations", "label", "labels", "gt", "groundtruth"}
    | {"segmentation", "segmentations", "trimaps", "backup", "temp", "tmp", "deleted", "trash", "duplicates"}
    | {"unsorted", "tosort", "todo", "tolabel", "inbox", "unclassified", "uncategorized", "uncategorised"}
)
"""What folders beside the classes are called, casefolded, without marks between words."""
LEVEL, ASIDE, NAMES = "level", "aside", "names"
WORDS, NUMBERS = "words", "numbers"
NO_LEVEL, KEEP, LEAVE = "0", "keep", "leave"
MOST_LEVELS = 6
_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0?[1-9]|1[0-2])([-_. ]?\d{1,2})?)?|\d{1,2}[-_.]\d{1,2}[-_.](19|20)\d\d")
_SESSION = re.compile(r"(session|day|week|batch|part|run|visit|roll|card|dcim|\d{3}[a-z_]+)[-_ ]?\d*", re.IGNORECASE)

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """How the folders of a source are taken.

    Attributes:
        root: the folders that hold the set; what lies elsewhere has no class.
        splits: the folders that are splits.
        apart: folders right below the root that have no classes.
        split_at: how deep the splits lie, 0 at the top, -1 where there are none.
        class_at: how deep the classes lie, -1 where no folder names one.
        doubtful: other folders could be the classes as well.
        below: folders in the classes that are no classes.
    """

    root: Folders = ()
    splits: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    split_at: int = -1
    class_at: int = 0
    doubtful: bool = False
    below: tuple[str, ...] = ()


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
    shape = _shape(all_folders)
    level = answers.get(LEVEL, "")
    if level.isdigit() and int(level) <= MOST_LEVELS and int(level) != shape.class_at + 1:
        at = int(level) - 1
        split_at = -1 if shape.split_at == at else shape.split_at
        shape = replace(
            shape, root=shape.root[: max(at, 0)], apart=(), split_at=split_at, class_at=at, doubtful=False, below=()
        )
    spelled = {folder for folders in all_folders if (folder := class_folder(folders, shape)) is not None}
    declared = {unicodedata.normalize("NFC", folder) for folder in spelled}
    aside = sorted(label for label in declared if _words(label) in BESIDE)
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
        if label is None or label in left:
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
        notices=(*_notices(source, shape, labels, len(found.test), empty), *named.notices),
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


def class_folder(folders: Folders, shape: Shape) -> str | None:
    """Return the folder that names the class of a file in these folders, as it is written, None for none."""
    root = len(shape.root)
    if any(map(is_pool, folders)) or folders[:root] != shape.root or set(folders[root : root + 1]) & set(shape.apart):
        return None
    at = shape.class_at
    return folders[at] if 0 <= at < len(folders) else None


def _split(folders: Folders, shape: Shape) -> str:
    at = shape.split_at
    inside = 0 <= at < len(folders) and folders[: len(shape.root)][:at] == shape.root[:at]
    return split_of(folders[at]) if inside and folders[at] in shape.splits else ""


def _words(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


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
    doubtful = False
    while True:
        inside = _inside(paths, root)
        tops = sorted(inside)
        named = [top for top in tops if not split_of(top) and not is_pool(top)]
        pools = set(tops) - set(named)
        alone = len(named) == 1 and all(map(is_pool, pools))
        if alone and pools and not inside[named[0]] and _could_be_class(named[0]):
            doubtful = True
            break
        if alone and (not _are_sessions(inside[named[0]]) or _words(named[0]) in GENERIC):
            root = (*root, named[0])
            continue
        holding = [top for top in named if len(inside[top]) > 1]
        generic = [top for top in holding if top.casefold() in GENERIC]
        within = generic or [top for top in holding if all(_words(other) in BESIDE for other in named if other != top)]
        if len(within) == 1 and holding == within and len(named) > 1 and not any(map(split_of, tops)):
            root, doubtful = (*root, within[0]), True
            continue
        break
    at = len(root)
    splits = [top for top in tops if split_of(top) and (inside[top] or len(tops) == 1)]
    only_splits = bool(tops) and all(split_of(top) or is_pool(top) for top in tops)
    if only_splits and not splits and len({split_of(top) for top in tops} - {""}) > 1:
        return Shape(root, tuple(top for top in tops if split_of(top)), (), at, -1, doubtful=True)
    if splits and (only_splits or len(splits) > 1 or not any(inside[top] for top in named)):
        classes = set().union(*(inside[top] for top in splits))
        more = [top for top in named if inside[top] and set(inside[top]) <= classes]
        others = tuple(top for top in named if top not in more)
        kept = tuple(sorted([*splits, *more, *(top for top in tops if split_of(top) and top not in splits)]))
        lone = len(kept) == 1 and split_of(kept[0]) != "train"
        within_splits = [path for path in paths if path[:at] == root and len(path) > at and path[at] in kept]
        shape = _class_level(
            within_splits, Shape(root, kept, others, at, at + 1, doubtful=bool(others or more or lone))
        )
    else:
        shape = _class_level([path for path in paths if path[:at] == root], Shape(root, class_at=at))
    return replace(shape, doubtful=shape.doubtful or doubtful)


def _class_level(paths: Sequence[Folders], shape: Shape) -> Shape:
    """Return the shape with the level of the classes at or below the one it has, and with splits below that."""
    at, split_at, splits, doubtful = shape.class_at, shape.split_at, shape.splits, shape.doubtful
    while True:
        names, below = _level(paths, at), _level(paths, at + 1)
        inside: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            if len(path) > at + 1:
                inside[path[at]].add(path[at + 1])
        holding = [name for name in names if len(inside[name]) > 1]
        if split_at < 0 and names and below and all(map(split_of, names)):
            split_at, splits = at, tuple(sorted(names))
        elif len(names) == 1 and (_words(names[0]) in GENERIC or _holds_classes(below)):
            doubtful = doubtful or not below or _words(names[0]) not in GENERIC
        elif len(names) > 1 and (_lone_generic(holding) or (_are_sessions(names) and _share(inside))):
            doubtful = True
        else:
            break
        at += 1
    next_at = at + 1
    deepest = max(map(len, paths), default=0)
    levels = {level: _level(paths, level) for level in range(at + 1, deepest)}
    inner = next((level for level, folders in levels.items() if folders and all(map(split_of, folders))), -1)
    if split_at < 0 and inner >= 0:
        split_at, splits, next_at = inner, tuple(levels[inner]), inner + 1 if inner == next_at else next_at
        tops_of = Counter(name for name, _ in {(path[next_at], path[at]) for path in paths if len(path) > next_at})
        deeper = _level(paths, next_at)
        if inner == at + 1 and len(deeper) > 1 and not _are_sessions(deeper) and max(tops_of.values()) > 1:
            at, next_at, doubtful = next_at, next_at + 1, True
    further = {path[at] for path in paths if len(path) > next_at and not is_pool(path[next_at])}
    names, below = _level(paths, at), _level(paths, next_at)
    known = _are_sessions(below) or all(_words(name) in GENERIC or split_of(name) for name in below)
    several = bool(below) and not known and 2 * len(further) >= len(names)
    lone = len(names) == 1 and bool(below) and _are_sessions(below)
    odd = bool(names) and (_are_sessions(names) or all(map(split_of, names)))
    return replace(
        shape, splits=splits, split_at=split_at, class_at=at, doubtful=doubtful or several or lone or odd,
        below=tuple(below),
    )  # fmt: skip


def _could_be_class(folder: str) -> bool:
    """Whether a folder that holds all images may be named after what they show."""
    return _words(folder) not in GENERIC and not (split_of(folder) or is_pool(folder) or _are_sessions((folder,)))


def _lone_generic(holding: Sequence[str]) -> bool:
    return len(holding) == 1 and _words(holding[0]) in GENERIC


def _share(inside: Mapping[str, set[str]]) -> bool:
    """Whether several folders lie inside these, one of them in more than one."""
    counts = Counter(name for held in inside.values() for name in held)
    return len(counts) > 1 and max(counts.values()) > 1


def _holds_classes(folders: Sequence[str]) -> bool:
    return len(folders) > 1 and not _are_sessions(folders)


def _are_sessions(folders: Sequence[str]) -> bool:
    """Whether these are dates or sessions, which hold what was taken then and are no classes."""
    return bool(folders) and all(_DATE.fullmatch(name) or _SESSION.fullmatch(name) for name in folders)


def _level(paths: Sequence[Folders], at: int) -> list[str]:
    """The folders of this depth, sorted, without those of unlabeled images."""
    return sorted({path[at] for path in paths if len(path) > at and not any(map(is_pool, path))})


def _inside(paths: Sequence[Folders], root: Folders) -> dict[str, list[str]]:
    """The folders right below `root`, each with those in it, sorted."""
    depth = len(root)
    found: dict[str, set[str]] = {}
    for folders in paths:
        if len(folders) > depth and folders[:depth] == root:
            found.setdefault(folders[depth], set()).update(folders[depth + 1 : depth + 2])
    return {top: sorted(held) for top, held in found.items()}


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
    lone = not chosen and not answer and bool(shape.root) and _could_be_class(shape.root[-1])
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
