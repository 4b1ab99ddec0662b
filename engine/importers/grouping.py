"""Ways to put a source's images into groups that are not independent: frames of a scene, a burst, a video.

- Frames of one file: of an animation, pages, or a video.
- A column of a table beside the images. One whose header says so (scene, video, sequence, patient …) is taken as it is.
- The folders down to some level of the path. Folders that name a class, a split or an unlabeled pool do not count.
- The file name before its last number: `scene12_frame003` is of scene12.
- Bursts: photos of one camera, each at most two seconds after the one before, by their EXIF data.

All but the first two are guesses, which a person must choose; those that put many images into many groups are proposed.
Whatever is chosen, the frames of a file that it says nothing of are a group.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from engine.errors import ConfigError
from engine.importers.labeling import is_pool, split_of
from engine.importers.names import label_flaw, shown
from engine.records.imports import Grouping

NONE = "none"
"""The choice that each image is by itself."""
FILE, FRAMES_OF_ONE_FILE = "file", "frames of one file"
"""The way that frames are grouped by their file: its key and title."""
MOST_LEVELS = 8
BURST_SECONDS = 2.0
LEAST_GROUPS, MANY, LARGEST = 3, 0.5, 0.5
"""A guess is proposed from so many groups on, if they hold such a share of the images and none more than such a one."""
LEAST_BURSTS = 0.05
"""Bursts are proposed if they hold so large a share of the images."""
_CALLED_GROUP = re.compile(
    r"(^|_)(group|scene|video|clip|sequence|seq|session|patient|subject|burst|track|recording)"
    r"(s|_?id|_?name|_?no|_?nr|_?num|_?number|_?key)?$"
)
_LAST_NUMBER = re.compile(r"^(.*?)\d+\D*$")
_GENERIC = re.compile(
    r"_?(img|images?|dsc[nf]?|dcim|p|pxl|mvi|photos?|pictures?|pics?|frames?|files?|scans?|screenshot|mg|sam|gopr|dji)_?",
    re.IGNORECASE,
)
"""What cameras and programs begin every name with."""

Taken = tuple[str, str]
"""The camera and when it took an image, ISO 8601."""


def is_group_header(header: str) -> bool:
    """Return whether a column of this name says which images belong together."""
    plain = re.sub(r"([a-z])([A-Z])", r"\1_\2", header.strip())
    return _CALLED_GROUP.search(re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")) is not None


def find_groupings(
    names: Sequence[str],
    labels: Mapping[str, str],
    columns: Mapping[str, Mapping[str, str]],
    taken: Mapping[str, Taken],
    file_of: Mapping[str, str] | None = None,
) -> tuple[Grouping, ...]:
    """Return the ways to group images, the surest first, then those that are proposed.

    Of several columns that say so themselves the one with the fewest groups is sure: a patient has several sessions.

    Args:
        names: of the images.
        labels: label by image name, where there is one.
        columns: of the tables, by header: text by image name.
        taken: camera and time by image name, where known.
        file_of: by name of an image that is a frame, the file that it is of.
    """
    frames = file_of or {}
    classes = set(labels.values())
    found = [
        _grouping(f"column:{header}", f"column “{shown(header, 60)}”", cells, names)
        for header, cells in columns.items()
    ]
    found = [one for one in found if one.groups]
    called = [one for one in found if is_group_header(one.key.partition(":")[2])]
    said = [one for one in called if one.groups_of_any_size > max(1, len(classes))]
    sure = min(said, key=lambda one: one.groups_of_any_size, default=None)
    guesses = [*_by_folders(names, classes), _by_name(names, classes, frames), _by_burst(taken, names)]
    guesses = [one for one in guesses if one.groups]
    least = {"folder": max(LEAST_GROUPS, len(classes) + 1), "name": max(LEAST_GROUPS, 2 * len(classes) + 1)}
    proposed = [one for one in guesses if _worth_it(one, len(names), least.get(one.key.partition(":")[0], 1))]
    others = [one for one in (*found, *guesses) if one is not sure and one not in proposed]
    first = [replace(sure, sure=True)] if sure is not None else []
    if frames:
        of_files = _grouping(FILE, FRAMES_OF_ONE_FILE, frames, names)
        first = [*first, of_files] if first else [replace(of_files, sure=True)]
    ways = [*first, *(replace(one, proposed=True) for one in proposed), *others]
    return tuple(_filled(one, frames, names) for one in ways) if frames else tuple(ways)


def _filled(one: Grouping, frames: Mapping[str, str], names: Sequence[str]) -> Grouping:
    """Return a way in which the frames that it says nothing of are grouped by their file."""
    filled = _grouping(one.key, one.title, {**frames, **one.names}, names)
    return replace(filled, sure=one.sure, proposed=one.proposed)


def choose_grouping(groupings: Sequence[Grouping], key: str) -> Grouping | None:
    """Return the way of this key; None for "none".

    Raises:
        ConfigError: the source cannot be grouped in this way.
    """
    if key == NONE:
        return None
    for one in groupings:
        if one.key == key:
            return one
    ways = ", ".join([*(shown(one.key, 80) for one in groupings), NONE])
    cause = "These images cannot be grouped in this way"
    raise ConfigError(cause, value=shown(key, 80), way_out=f"Choose one of {ways}.")


def warning(groupings: Sequence[Grouping]) -> str:
    """Return what it would mean to take each image by itself where some may belong together; "" where none seem to."""
    guess = next((one for one in groupings if (one.sure or one.proposed) and one.key != FILE), None)
    if guess is None:
        return ""
    return (
        f"{guess.images:,} of these images may be of {guess.groups:,} scenes, by the {guess.title} (such as "
        f"{shown(guess.example, 80)}). If each image counts by itself, near-equal frames are trained on and measured "
        "with, and the accuracy looks better than it is on new scenes."
    )


def file_group(file: str) -> str:
    """Return the name of the group of a file's frames."""
    return _tidy(file)


def _by_folders(names: Sequence[str], classes: set[str]) -> list[Grouping]:
    plain = {unicodedata.normalize("NFC", name).casefold() for name in classes}
    folders = {name: name.split("/")[:-1] for name in names}
    deepest = min(max(map(len, folders.values()), default=0), MOST_LEVELS)
    found: list[Grouping] = []
    for level in range(1, deepest + 1):
        cells = {
            name: "/".join(part for part in parts[:level] if _may_name_group(part, plain))
            for name, parts in folders.items()
            if len(parts) >= level
        }
        one = _grouping(f"folder:{level}", f"folders down to level {level}", cells, names)
        if not found or one.names != found[-1].names:
            found.append(one)
    return found


def _by_name(names: Sequence[str], classes: set[str], frames: Mapping[str, str]) -> Grouping:
    plain = {unicodedata.normalize("NFC", name).casefold() for name in classes}
    cells = {}
    for name in names:
        *folders, base = frames.get(name, name).split("/")
        match = _LAST_NUMBER.match(base.rpartition(".")[0] or base)
        stem = match.group(1).rstrip("_-. ([") if match else ""
        if not stem or _GENERIC.fullmatch(stem):
            continue
        kept = [part for part in folders if _may_name_group(part, plain)]
        cells[name] = "/".join([*kept, stem])
    return _grouping("name", "file names before their last number", cells, names)


def _may_name_group(folder: str, classes: set[str]) -> bool:
    """Return whether a folder names no class, no split and no unlabeled pool."""
    return not (unicodedata.normalize("NFC", folder).casefold() in classes or split_of(folder) or is_pool(folder))


def _by_burst(taken: Mapping[str, Taken], names: Sequence[str]) -> Grouping:
    by_camera: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for name, (camera, time) in taken.items():
        by_camera[camera].append((datetime.fromisoformat(time), name))
    cells: dict[str, str] = {}
    gap = timedelta(seconds=BURST_SECONDS)
    for camera, photos in by_camera.items():
        begun = last = datetime.min
        for moment, name in sorted(photos):
            if moment > last + gap:
                begun = moment
            last = moment
            cells[name] = f"{camera} {begun.isoformat(sep=' ', timespec='seconds')}".strip()
    return _grouping("exif", "camera and time in the EXIF data", cells, names)


def _grouping(key: str, title: str, cells: Mapping[str, str], names: Sequence[str]) -> Grouping:
    """Return the way in which images of one text belong together; an image without a text is by itself."""
    tidy = {name: _tidy(cells[name]) for name in names if cells.get(name, "").strip()}
    counts = Counter(tidy.values())
    several = {name: count for name, count in counts.items() if count > 1}
    return Grouping(
        key=key,
        title=title,
        names=tidy,
        groups=len(several),
        groups_of_any_size=len(counts),
        images=sum(several.values()),
        largest=max(several.values(), default=0),
        example=next(iter(several), ""),
    )


def _worth_it(one: Grouping, images: int, least: int) -> bool:
    if one.key == "exif":
        return one.images >= LEAST_BURSTS * images
    return one.groups >= least and one.images >= MANY * images and one.largest <= LARGEST * images


def _tidy(text: str) -> str:
    """Return a text that can name a group: in NFC, without control characters, not too long."""
    name = unicodedata.normalize("NFC", text.strip())
    if label_flaw(name) is None:
        return name
    return f"{shown(name, 150)} {hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
