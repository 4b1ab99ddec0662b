"""Splits from lists of files: train.txt, val.txt and test.txt with a path a line, whatever the labels come from."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from engine.errors import ImportRefused
from engine.importers.formats.text_lists import find_file, lines_of
from engine.importers.labeling import split_of
from engine.importers.names import shown
from engine.importers.source_view import SourceView, folder_of

_LOOKED_AT = 50


def listed_splits(source: SourceView, used: frozenset[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the split of each image that one list names, and the lists; nothing where there are not lists of several
    splits.

    A list is called as a split (train.txt, test_images.txt), holds nothing but files of the source in its first lines,
    and says no labels. An image that lists of several splits name has none.

    Args:
        source: the staged source.
        used: files that are read as something else.
    """
    lists = {name: split for name in source.ending(".txt") if name not in used and (split := _split(source, name))}
    if len(set(lists.values())) < 2:
        return {}, ()
    said: dict[str, str] = {}
    several: set[str] = set()
    for name, split in lists.items():
        for image in _images(source, name):
            if said.setdefault(image, split) != split:
                several.add(image)
    found = {image: split for image, split in said.items() if image not in several and image in source.taken}
    return (found, tuple(lists)) if len(set(found.values())) > 1 else ({}, ())


def about_lists(splits: Mapping[str, str], lists: tuple[str, ...]) -> str:
    """Return what a person should know of splits that lists give."""
    images = "1 image" if len(splits) == 1 else f"{len(splits):,} images"
    return f"splits of {images} are taken from {', '.join(shown(name, 60) for name in lists[:4])}"


def _split(source: SourceView, name: str) -> str:
    split = split_of(name.rpartition("/")[2].rpartition(".")[0])
    if not split:
        return ""
    try:
        first = [line for _, line in islice(lines_of(source, name), _LOOKED_AT)]
    except ImportRefused:
        return ""
    known = [find_file(source, line.strip(), folder_of(name))[0] is not None for line in first]
    return split if known and sum(known) >= 0.9 * len(known) else ""


def _images(source: SourceView, name: str) -> list[str]:
    found = (find_file(source, line.strip(), folder_of(name))[0] for _, line in lines_of(source, name))
    return [image for image in found if image is not None]
