"""Labels from COCO files: the category of an image is the only one that its annotations have.

Annotations may be of the image or of boxes in it. An image of several categories is left to decide, one without
annotations is unlabeled. A split in the name of the file or its folders (instances_train2017.json, valid/) is that of
its images. What COCO Camera Traps say of place and sequence is kept as columns.
"""

from __future__ import annotations

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    counted,
    damaged_files,
    has_object,
    json_files,
    no_such_file,
    records_of,
    refuse_damaged,
    split_of_file,
    text_of,
)
from engine.importers.labeling import Labeling, split_of
from engine.importers.names import shown
from engine.importers.source_view import SourceView


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file, or one that by its name should be one and cannot be read."""
    names = [name for name, _ in json_files(source, _is_coco)]
    if names:
        return Detection(f"{shown(names[0], 80)} has images, annotations and categories", SIGNATURE)
    damaged = damaged_files(source, _is_called_coco, ".json")
    return Detection(f"{shown(next(iter(damaged)), 80)} is called so", SIGNATURE) if damaged else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files in the source.

    Raises:
        ImportRefused: there is none, or none that can be read.
    """
    files = json_files(source, _is_coco)
    damaged = damaged_files(source, _is_called_coco, ".json")
    if not files:
        raise no_such_file(FORMAT.title, damaged)
    gathering = Gathering(source, [name for name, _ in files])
    boxed = 0
    for file, value in files:
        gathering.enter(file, split_of_file(file))
        used = {text_of(one.get("category_id")) for _, one in records_of(value["annotations"]) if one is not None}
        categories = _categories(gathering, value["categories"], used)
        images = _images(gathering, value["images"], _folders(file))
        for at, annotation in records_of(value["annotations"]):
            if annotation is None:
                gathering.refuse(f"annotation {at}", "it is no object")
                continue
            image, category = text_of(annotation.get("image_id")), text_of(annotation.get("category_id"))
            if image not in images:
                gathering.refuse(f"annotation {at}", "its image_id is not among the images")
            elif category not in categories:
                gathering.refuse(f"annotation {at}", "its category_id is not among the categories")
            else:
                name, label = images[image], categories[category]
                if name is not None and label is not None:
                    gathering.labels[name].append(label)
                    boxed += bool(annotation.get("bbox"))
    if boxed:
        gathering.notices.append(
            f"an image takes the category that all its boxes share: {counted(boxed, 'box', 'boxes')}"
        )
    refuse_damaged(gathering, damaged)
    return gathering.labeling(FORMAT.title, answers)


def _is_coco(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("annotations"), list)
        and isinstance(value.get("categories"), list)
        and has_object(value.get("images"), lambda one: "file_name" in one and "id" in one)
    )


def _is_called_coco(name: str) -> bool:
    base = name.rpartition("/")[2].casefold()
    return base.endswith(".coco.json") or (base.startswith("instances_") and base.endswith(".json"))


def _categories(gathering: Gathering, listed: object, used: set[str | None]) -> dict[str | None, str | None]:
    """The class of each category; one that only stands above others, and has no annotation, is not declared."""
    records = list(records_of(listed))
    above = {text_of(one.get("supercategory")) for _, one in records if one is not None}
    categories: dict[str | None, str | None] = {}
    for at, one in records:
        place = f"category {at}"
        key = None if one is None else text_of(one.get("id"))
        if one is None or key is None:
            gathering.refuse(place, "it has no id")
        elif key in categories:
            gathering.refuse(place, "another category has the same id")
        elif key not in used and text_of(one.get("name")) in above:
            continue
        else:
            categories[key] = gathering.declare(one.get("name"), place)
    return categories


def _images(gathering: Gathering, listed: object, under: tuple[str, ...]) -> dict[str | None, str | None]:
    """The name of each image by its id, None for one that is no file; their columns are kept."""
    images: dict[str | None, str | None] = {}
    for at, one in records_of(listed):
        key = None if one is None else text_of(one.get("id"))
        if one is None or key is None:
            gathering.refuse(f"image {at}", "it has no id")
        elif key in images:
            gathering.refuse(f"image {at}", "another image has the same id")
        else:
            name = images[key] = gathering.image(one.get("file_name"), f"image {shown(key, 40)}", under=under)
            if name is not None:
                gathering.keep(name, one)
    return images


def _folders(file: str) -> tuple[str, ...]:
    """Where the images of a file may lie, from any folder above it: as people name the folders of a split."""
    stem = file.rpartition("/")[2].rpartition(".")[0]
    parts = stem.split("_")
    words = [*(word for word in parts if split_of(word)), parts[-1]]
    return (*dict.fromkeys(f"{top}{word}" for word in words for top in ("images/", "")), "images", "data")


FORMAT = Format("coco", "COCO", detect, read)
