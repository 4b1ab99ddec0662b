"""The ways that labels come with images, and the choice among those that a source could be.

A format: one file here with a `Format`, one line in FORMATS, one test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.errors import ConfigError, ImportRefused
from engine.importers.formats import (
    azure_ml,
    class_tree,
    coco,
    createml,
    csv_table,
    cvat_images,
    datumaro,
    fiftyone,
    file_names,
    hf_arrow,
    hf_imagefolder,
    imagenet_synsets,
    imagenet_txt,
    images_only,
    label_studio,
    label_studio_min,
    labelme,
    labels_txt,
    megadetector,
    pascal_voc,
    sagemaker,
    supervisely,
    text_an_image,
    vertex_csv,
    vertex_jsonl,
    webdataset,
    yolo_boxes,
)
from engine.importers.formats.base import OFFERED, ONLY, POSSIBLE, Answers, Detection, Format
from engine.importers.formats.split_lists import about_lists, listed_splits
from engine.importers.labeling import Labeling, about_test, for_frames, split_of
from engine.importers.names import shown, tidy_label
from engine.importers.source_view import SourceView
from engine.records.imports import Reading

AUTO = "auto"
FORMATS: dict[str, Format] = {
    one.key: one
    for one in (
        label_studio.FORMAT,
        label_studio_min.FORMAT,
        fiftyone.FORMAT,
        coco.FORMAT,
        labelme.FORMAT,
        createml.FORMAT,
        supervisely.FORMAT,
        datumaro.FORMAT,
        megadetector.FORMAT,
        sagemaker.FORMAT,
        vertex_jsonl.FORMAT,
        azure_ml.FORMAT,
        hf_imagefolder.FORMAT,
        vertex_csv.FORMAT,
        hf_arrow.FORMAT,
        webdataset.FORMAT,
        cvat_images.FORMAT,
        pascal_voc.FORMAT,
        yolo_boxes.FORMAT,
        imagenet_txt.FORMAT,
        imagenet_synsets.FORMAT,
        labels_txt.FORMAT,
        text_an_image.FORMAT,
        csv_table.FORMAT,
        class_tree.FORMAT,
        images_only.FORMAT,
        file_names.FORMAT,
    )
}
"""By key; of two that fit equally well and label as many images, the earlier one is taken."""


@dataclass(frozen=True)
class Found:
    """What a source could be, and what it is taken for.

    Attributes:
        key: of the format that is taken, one of FORMATS.
        labeling: how it reads the source.
        readings: all that fit, the one that is taken first.
        failed: by key of a format that was recognised and could not be read, the reason.
        mute: by key of a format that was recognised and says nothing of any image, the first reason.
        same: keys of readings that give the same labels as the one that is taken.
    """

    key: str
    labeling: Labeling
    readings: tuple[Reading, ...]
    failed: Mapping[str, str]
    mute: Mapping[str, str] = field(default_factory=dict)
    same: frozenset[str] = frozenset()


def check_reading(key: str) -> None:
    """Raise ConfigError unless the key is AUTO or one of FORMATS."""
    if key != AUTO and key not in FORMATS:
        known = ", ".join((AUTO, *FORMATS))
        raise ConfigError("There is no such format", value=repr(key), way_out=f"Choose one of {known}.")


def read_labels(source: SourceView, reading: str = AUTO, answers: Answers | None = None) -> Found:
    """Return the labels of a source, as the format that fits best reads them or as `reading` does.

    The most surely recognised format that labels an image is taken; of several, the one that labels most images. One
    that is only offered is never taken by itself, and told only where no other gives labels. Where all images came in
    containers, the folders that these stand for are no classes, unless a person says so.

    Args:
        source: the staged source.
        reading: AUTO, or a key of FORMATS.
        answers: what a person decided, by the key of the question; of no use to formats that do not ask it.

    Raises:
        ConfigError: there is no such format.
        ImportRefused: the format that was asked for does not fit, or cannot be read; or the only one that would say
            something of the images cannot.
    """
    check_reading(reading)
    given = answers or {}
    detected = {key: found for key, one in FORMATS.items() if (found := one.detect(source)) is not None}
    if any(found.strength >= ONLY for found in detected.values()):
        detected.pop(class_tree.FORMAT.key, None)
    read: dict[str, Labeling] = {}
    failed: dict[str, ImportRefused] = {}
    for key in [*detected, *([reading] if reading != AUTO and reading not in detected else [])]:
        try:
            labeling = FORMATS[key].read(source, given if reading in (AUTO, key) else {})
            read[key] = for_frames(labeling, source.frames)
        except ImportRefused as error:
            if reading == key:
                raise
            failed[key] = error
    order = sorted(read, key=lambda key: _rank(detected.get(key), read[key]), reverse=True)
    taken = order[0] if reading == AUTO else reading
    if failed and reading == AUTO and not _says_something(read[taken]):
        raise next(iter(failed.values()))
    if _says_something(read[order[0]]):
        order = [key for key in order if key == taken or key not in detected or detected[key].strength != OFFERED]
    readings = tuple(
        Reading(
            key,
            FORMATS[key].title,
            detected[key].why if key in detected else "chosen",
            len(read[key].labels),
            len({tidy_label(label) for label in set(read[key].labels.values())}),
        )
        for key in (taken, *(key for key in order if key != taken and _worth_telling(key, read[key])))
    )
    others = [read[key] for key in order if key in detected] if taken != images_only.FORMAT.key else []
    mute = {
        key: f"{one.refused[0].name}: {one.refused[0].reason}" if one.refused else detected[key].why
        for key, one in read.items()
        if key in detected
        and key not in (taken, class_tree.FORMAT.key)
        and detected[key].strength >= POSSIBLE
        and not (one.labels or one.predictions)
    }
    labeling = _with_predictions(read[taken], others)
    if not labeling.splits and labeling.labels:
        labeling = _with_listed_splits(labeling, source)
    if taken != class_tree.FORMAT.key:
        labeling = _with_folder_splits(labeling, source)
    same = frozenset(key for key, one in read.items() if one.labels == read[taken].labels)
    return Found(taken, labeling, readings, {key: str(error) for key, error in failed.items()}, mute, same)


def _worth_telling(key: str, labeling: Labeling) -> bool:
    return bool(labeling.labels) or key == images_only.FORMAT.key


def _with_predictions(labeling: Labeling, others: Sequence[Labeling]) -> Labeling:
    """Return a labeling without predictions with those of the first other one that gives nothing else."""
    only = next((one for one in others if one.predictions and not (one.labels or one.conflicts)), None)
    if only is None or labeling.predictions:
        return labeling
    return replace(
        labeling, refused=(*labeling.refused, *only.refused), predictions=only.predictions,
        notices=(*labeling.notices, *only.notices), used=labeling.used | only.used,
        questions=(*labeling.questions, *only.questions),
    )  # fmt: skip


def _with_listed_splits(labeling: Labeling, source: SourceView) -> Labeling:
    """Return a labeling that says no splits with those of the lists of files that lie beside it, if several."""
    splits, lists = listed_splits(source, labeling.used)
    if not splits:
        return labeling
    found = replace(labeling, splits=splits, used=labeling.used | set(lists))
    told = [about_lists(splits, lists), *([about_test(len(found.test))] if found.test else [])]
    return replace(found, notices=(*labeling.notices, *told))


def _with_folder_splits(labeling: Labeling, source: SourceView) -> Labeling:
    """Return a labeling that says no splits with those that the folders of the images are called after, if several."""
    if labeling.splits or not labeling.labels:
        return labeling
    splits: dict[str, str] = {}
    folders: dict[str, None] = {}
    for name in source.images:
        for part in reversed(name.split("/")[:-1]):
            if split := split_of(part):
                splits[name] = split
                folders.setdefault(part)
                break
    if len(set(splits.values())) < 2:
        return labeling
    found = replace(labeling, splits=splits)
    told = [f"splits are taken from the folders {', '.join(shown(one, 40) for one in sorted(folders)[:6])}"]
    if found.test:
        told.append(about_test(len(found.test)))
    return replace(found, notices=(*labeling.notices, *told))


def _rank(detection: Detection | None, labeling: Labeling) -> tuple[bool, bool, int, int]:
    strength = 0 if detection is None else detection.strength
    if strength == OFFERED:
        return False, False, strength, 0
    labels = bool(labeling.labels or labeling.conflicts)
    return labels, _says_something(labeling), strength, len(labeling.labels)


def _says_something(labeling: Labeling) -> bool:
    return bool(labeling.labels or labeling.conflicts or labeling.predictions)


def counted(one: Reading) -> str:
    """Return how many labels a reading gives, in how many classes, in words."""
    labels = "1 label" if one.labeled == 1 else f"{one.labeled:,} labels"
    return f"{labels} in {'1 class' if one.classes == 1 else f'{one.classes:,} classes'}"


def about_others(found: Found) -> list[str]:
    """Return what a person should know of the readings that were not taken."""
    said = [
        f"this could also be read as {one.title}: {one.why}; {counted(one)}"
        for one in found.readings[1:]
        if one.labeled and one.key not in found.same
    ]
    failures = [f"{FORMATS[key].title} was recognised and not read: {shown(why)}" for key, why in found.failed.items()]
    mute = [f"{FORMATS[key].title} was recognised and gives no label here: {why}" for key, why in found.mute.items()]
    return [*said, *failures, *mute]
