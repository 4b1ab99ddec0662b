"""How the folders of a source are taken: which hold the set, which are splits, and which name the classes.

See `engine.importers.formats.class_tree` for the rules.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.importers.labeling import is_pool, split_of

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


def shape_of(paths: Sequence[Folders]) -> Shape:
    """Return how folders are taken, of every file and every empty one."""
    root: Folders = ()
    doubtful = False
    while True:
        inside = _inside(paths, root)
        tops = sorted(inside)
        named = [top for top in tops if not split_of(top) and not is_pool(top)]
        pools = set(tops) - set(named)
        alone = len(named) == 1 and all(map(is_pool, pools))
        if alone and pools and not inside[named[0]] and could_be_class(named[0]):
            doubtful = True
            break
        if alone and (not are_sessions(inside[named[0]]) or words_of(named[0]) in GENERIC):
            root = (*root, named[0])
            continue
        holding = [top for top in named if len(inside[top]) > 1]
        generic = [top for top in holding if top.casefold() in GENERIC]
        within = generic or [
            top for top in holding if all(words_of(other) in BESIDE for other in named if other != top)
        ]
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
        elif len(names) == 1 and (words_of(names[0]) in GENERIC or _holds_classes(below)):
            doubtful = doubtful or not below or words_of(names[0]) not in GENERIC
        elif len(names) > 1 and (_lone_generic(holding) or (are_sessions(names) and _share(inside))):
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
        if inner == at + 1 and len(deeper) > 1 and not are_sessions(deeper) and max(tops_of.values()) > 1:
            at, next_at, doubtful = next_at, next_at + 1, True
    further = {path[at] for path in paths if len(path) > next_at and not is_pool(path[next_at])}
    names, below = _level(paths, at), _level(paths, next_at)
    known = are_sessions(below) or all(words_of(name) in GENERIC or split_of(name) for name in below)
    several = bool(below) and not known and 2 * len(further) >= len(names)
    lone = len(names) == 1 and bool(below) and are_sessions(below)
    odd = bool(names) and (are_sessions(names) or all(map(split_of, names)))
    return replace(
        shape, splits=splits, split_at=split_at, class_at=at, doubtful=doubtful or several or lone or odd,
        below=tuple(below),
    )  # fmt: skip


def could_be_class(folder: str) -> bool:
    """Whether a folder that holds all images may be named after what they show."""
    return words_of(folder) not in GENERIC and not (split_of(folder) or is_pool(folder) or are_sessions((folder,)))


def _lone_generic(holding: Sequence[str]) -> bool:
    return len(holding) == 1 and words_of(holding[0]) in GENERIC


def _share(inside: Mapping[str, set[str]]) -> bool:
    """Whether several folders lie inside these, one of them in more than one."""
    counts = Counter(name for held in inside.values() for name in held)
    return len(counts) > 1 and max(counts.values()) > 1


def _holds_classes(folders: Sequence[str]) -> bool:
    return len(folders) > 1 and not are_sessions(folders)


def are_sessions(folders: Sequence[str]) -> bool:
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


def class_folder(folders: Folders, shape: Shape) -> str | None:
    """Return the folder that names the class of a file in these folders, as it is written, None for none."""
    root = len(shape.root)
    if any(map(is_pool, folders)) or folders[:root] != shape.root or set(folders[root : root + 1]) & set(shape.apart):
        return None
    at = shape.class_at
    return folders[at] if 0 <= at < len(folders) else None


def words_of(name: str) -> str:
    """Return a name without case and what is between its words."""
    return re.sub(r"[\W_]+", "", name.casefold())
