"""Labels from folders: `<class>/<image>` or `<split>/<class>/<image>`.

1. Folders that hold the whole set are stripped, however many lie inside each other.
2. Where every top folder is a split (train, val, test …) or an unlabeled pool, one more level is stripped. What lies in
   a test split beside others is there to measure.
3. The first folder that is left is the class, in NFC. Images with no folder left, or in a folder named _unlabeled,
   unlabeled or no_label, are unlabeled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from engine.importers.labeling import TEST, Labeling, about_test
from engine.importers.names import collisions, label_flaw, shown
from engine.records.imports import Refusal

CLASS_TREE = "class tree"
IMAGES_ONLY = "images only"
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
UNLABELED = frozenset({"_unlabeled", "unlabeled", "no_label"})


def label_by_folder(names: Sequence[str]) -> Labeling:
    """Return the labels that the folders of these images say."""
    paths = {name: name.split("/")[:-1] for name in names}
    wrapping = _wrapping(list(paths.values()))
    inner = {name: folders[wrapping:] for name, folders in paths.items()}
    tops = {folders[0].casefold() for folders in inner.values() if folders}
    splits = sorted(tops & SPLITS)
    has_splits = bool(splits) and tops <= SPLITS | UNLABELED
    labels: dict[str, str] = {}
    refused: list[Refusal] = []
    for name, folders in inner.items():
        label = _class_of(folders, has_splits)
        if label is None:
            continue
        if (flaw := label_flaw(label)) is not None:
            refused.append(Refusal(shown(name), f"{flaw}; imported without a label"))
        else:
            labels[name] = label
    beside_others = has_splits and not tops <= TEST
    test = frozenset(name for name in labels if beside_others and inner[name][0].casefold() in TEST)
    notices = _notices(labels, splits if has_splits else [], len(test))
    if wrapping and not labels and names:
        only = shown("/".join(paths[names[0]][:wrapping]))
        notices = (*notices, f"all images lie in one folder, {only}; a single folder is not taken as a class")
    return Labeling(CLASS_TREE if labels else IMAGES_ONLY, labels, tuple(refused), notices=notices, test=test)


def no_labels() -> Labeling:
    """Return a labeling without labels."""
    return Labeling(IMAGES_ONLY, {})


def _wrapping(paths: Sequence[Sequence[str]]) -> int:
    """Return how many leading folders all images share and that are neither a split nor an unlabeled pool."""
    depth = 0
    while paths and all(len(folders) > depth for folders in paths):
        top = paths[0][depth]
        if top.casefold() in SPLITS | UNLABELED or any(folders[depth] != top for folders in paths):
            break
        depth += 1
    return depth


def _class_of(folders: Sequence[str], has_splits: bool) -> str | None:
    if any(folder.casefold() in UNLABELED for folder in folders):
        return None
    rest = folders[1:] if has_splits else folders
    return unicodedata.normalize("NFC", rest[0]) if rest else None


def _notices(labels: dict[str, str], splits: Sequence[str], test: int) -> tuple[str, ...]:
    notices = [
        f"classes that differ only in case: {', '.join(map(shown, group))}" for group in collisions(labels.values())
    ]
    if splits:
        notices.append(f"all splits are taken together: {', '.join(splits)}")
    if test:
        notices.append(about_test(test))
    return tuple(notices)
