"""Folders as tools export them, with the files they put beside: the class tree reads them, nothing is in its way."""

import json

import pytest

from tests.engine.importers.import_samples import Files, Importer, labels, png

ULTRALYTICS: Files = {
    "train/cat/a.png": png(1), "train/dog/b.png": png(2), "val/cat/c.png": png(3), "test/dog/d.png": png(4),
    "data.yaml": b"path: .\ntrain: train\nval: val\nnames:\n  0: cat\n  1: dog\n",
}  # fmt: skip
CVAT: Files = {
    "train/cat/a.png": png(1), "train/dog/b.png": png(2), "train/no_label/c.png": png(3),
    "train/labels.json": json.dumps({"a": ["cat"], "b": ["dog"], "c": []}).encode(),
}  # fmt: skip
ROBOFLOW: Files = {
    "pets/train/cat/a_jpg.rf.1f3.jpg": png(1), "pets/valid/dog/b.jpg": png(2), "pets/test/dog/c.jpg": png(3),
    "pets/README.dataset.txt": b"# pets > v1\nhttps://example.org/pets\n",
    "pets/README.roboflow.txt": b"pets - v1\n==============\n\nThe dataset includes 3 images.\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "right"),
    [
        (ULTRALYTICS, ["test dog", "train cat", "train dog", "val cat"]),
        (CVAT, ["train None", "train cat", "train dog"]),
        (ROBOFLOW, ["test dog", "train cat", "valid dog"]),
    ],
    ids=["ultralytics", "cvat", "roboflow"],
)
def test_class_folders_are_read_whatever_lies_beside_them(importer: Importer, files: Files, right: list[str]) -> None:
    preview = importer.folder(files)
    assert preview.reading == "class_tree"
    parts = {name: name.removeprefix("pets/").partition("/")[0] for name in labels(preview)}
    assert sorted(f"{parts[name]} {label}" for name, label in labels(preview).items()) == right
    assert set(preview.counts) == {"cat", "dog"}


def test_an_image_that_cvat_puts_into_two_class_folders_is_left_to_a_person(importer: Importer) -> None:
    preview = importer.folder({"train/cat/a.png": png(1), "train/dog/a.png": png(1), "train/dog/b.png": png(2)})
    assert [image.label for image in preview.found] == [None, "dog"]
    assert len(preview.conflicts) == 1
