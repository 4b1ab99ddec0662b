"""Pascal VOC: an XML file an image; one class is its label, several are asked about, and nothing is lost in silence."""

from __future__ import annotations

import pytest

from engine.importers.scan import read_again
from tests.engine.importers.import_samples import Importer, labels, png, reasons

_LAUGHS = '<!DOCTYPE x [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;">]>'


def voc(file: str, *classes: str, start: str = "") -> bytes:
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>"
    objects = "".join(f"<object><name>{one}</name><difficult>0</difficult>{box}</object>" for one in classes)
    size = "<size><width>5</width><height>5</height><depth>3</depth></size>"
    return f"{start}<annotation><folder>x</folder><filename>{file}</filename>{size}{objects}</annotation>".encode()


@pytest.mark.parametrize("layout", [("JPEGImages/", "Annotations/"), ("", ""), ("a/images/", "a/xml/"), ("x/", "x/")])
def test_objects_of_one_class_give_the_label_wherever_the_files_lie(
    importer: Importer, layout: tuple[str, str]
) -> None:
    images, texts = layout
    files = {f"{images}{at:06d}.jpg": png(at) for at in range(5)}
    said = [("cat",), ("dog",), ("cat", "cat"), (), ("Größe",)]
    files |= {f"{texts}{at:06d}.xml": voc(f"{at:06d}.jpg", *classes) for at, classes in enumerate(said)}
    preview = importer.files(files)
    assert preview.reading == "pascal_voc"
    assert list(labels(preview).values()) == ["cat", "dog", "cat", None, "Größe"]
    assert preview.refused == ()
    assert any("where they lie in it is not taken in" in one for one in preview.notices)


def test_objects_of_several_classes_are_asked_about(importer: Importer) -> None:
    files = {"1.jpg": png(1), "2.jpg": png(2), "1.xml": voc("1.jpg", "cat", "dog"), "2.xml": voc("2.jpg", "cat")}
    preview = importer.files(files)
    assert labels(preview) == {"1.jpg": None, "2.jpg": "cat"}
    assert [one.name for one in preview.conflicts] == ["1.jpg"]
    (question,) = [one for one in preview.questions if one.doubtful]
    assert question.key == "several"
    assert labels(read_again(preview, answers={"several": "first"})) == {"1.jpg": "cat", "2.jpg": "cat"}


def test_an_image_that_was_renamed_is_found_by_the_name_of_its_file(importer: Importer) -> None:
    preview = importer.files({"new.png": png(1), "new.xml": voc("C:\\old\\IMG_1.jpg", "cat"), "o.png": png(2)})
    assert labels(preview) == {"new.png": "cat", "o.png": None}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (voc("1.jpg", "&b;", start=_LAUGHS), "entities or a document type"),
        (voc("1.jpg", "cat")[:-9], "damaged XML"),
        (voc("9.jpg", "cat"), "no such file"),
        (voc("1.jpg", "a\u2028b"), "control character"),
        (b"<annotation>" + b"<a>" * 100_000, "damaged XML"),
    ],
)
def test_what_cannot_be_read_is_listed_and_the_rest_is_taken(importer: Importer, data: bytes, why: str) -> None:
    files = {"1.jpg": png(1), "2.jpg": png(2), "odd.xml": data, "2.xml": voc("2.jpg", "dog")}
    preview = importer.files(files)
    assert labels(preview) == {"1.jpg": None, "2.jpg": "dog"}
    assert any(why in one for one in reasons(preview).values())


def listed(**lists: str) -> dict[str, bytes]:
    """Lists in ImageSets/Main by their names, with | between the lines, as the devkit aligns them; and six images."""
    files = {f"VOC/JPEGImages/{at:06d}.jpg": png(at) for at in range(6)}
    texts = {name: "".join(f"{line}\n" for line in text.split("|")).encode() for name, text in lists.items()}
    return files | {f"VOC/ImageSets/Main/{name}.txt": text for name, text in texts.items()}


def by_number(found: dict[str, str | None]) -> list[str | None]:
    return [found[f"VOC/JPEGImages/{at:06d}.jpg"] for at in range(6)]


def test_lists_of_classes_give_labels_and_splits(importer: Importer) -> None:
    preview = importer.files(
        listed(
            cat_train="000000  1|000001 -1", cat_val="000002 -1|000003  1", cat_trainval="000000 1|000003 1",
            dining_table_train="000000 -1|000001  1", dining_table_val="000002 -1|000003 -1", bird_train="000000 -1",
            train="000000|000001", val="000002|000003", trainval="000000|000001|000002|000003",
        )
    )  # fmt: skip
    assert (preview.reading, preview.refused) == ("pascal_voc", ())
    assert by_number(labels(preview)) == ["cat", "dining_table", None, "cat", None, None]
    assert list(preview.counts) == ["bird", "cat", "dining_table"], "a class without an image is declared"
    splits = {image.name[-5]: image.split for image in preview.found}
    assert splits == {"0": "train", "1": "train", "2": "val", "3": "val", "4": "", "5": ""}
    assert any("1 image of which the lists name no class" in one for one in preview.notices)
    assert not [one for one in preview.questions if one.doubtful]


def test_an_image_in_the_lists_of_several_classes_is_asked_about(importer: Importer) -> None:
    preview = importer.files(listed(cat_train="000000 1|000001 1", dog_train="000000 -1|000001 1"))
    assert by_number(labels(preview))[:2] == ["cat", None]
    assert [one.name[-5] for one in preview.conflicts] == ["1"]
    assert [one.key for one in preview.questions if one.doubtful] == ["several"]


def test_what_is_hard_to_see_is_asked_about(importer: Importer) -> None:
    preview = importer.files(listed(cat_train="000000 1|000001 0|000002 1", dog_train="000000 0|000001 -1|000002 -1"))
    assert by_number(labels(preview))[:3] == ["cat", None, "cat"]
    assert [one.key for one in preview.questions if one.doubtful] == ["difficult"]
    taken = read_again(preview, answers={"difficult": "take"})
    assert by_number(labels(taken))[:3] == [None, "cat", "cat"]
    assert [one.name[-5] for one in taken.conflicts] == ["0"]


def test_lists_that_contradict_themselves_or_cannot_be_read_are_told(importer: Importer) -> None:
    lines = "|".join(f"{at:06d} {1 if at > 3 else -1}" for at in range(6)) + "|000009 1" + "|000001 -1" * 20
    preview = importer.files(listed(cat_train=lines + "|000002 maybe|000003", cat_val="000005 -1", dog_val="000009 1"))
    assert by_number(labels(preview)) == [None, None, None, None, "cat", None]
    told = list(reasons(preview).values())
    assert told.count("there is no such file") == 1, "an image that is not there is told once, not by each list"
    assert sum("not an image and 1, 0 or -1" in one for one in told) == 2
    assert any("say 1 and -1 of “cat”" in one for one in told)


@pytest.mark.parametrize("place", ["ImageSets/Main/", "ImageSets/", "Main/"])
def test_lists_that_say_of_no_image_that_it_shows_a_class_give_no_labels(importer: Importer, place: str) -> None:
    texts = {f"{place}cat_{split}.txt": b"000001 -1\n000002 -1\n" for split in ("train", "val")}
    preview = importer.files(listed() | texts)
    assert set(labels(preview).values()) == {None}


def test_lists_of_splits_go_with_the_classes_of_the_files(importer: Importer) -> None:
    files = listed(train="000000|000001", test="000002", trainval="000000|000001|000003")
    files |= {f"VOC/Annotations/{at:06d}.xml": voc(f"{at:06d}.jpg", "cat" if at % 2 else "dog") for at in range(4)}
    preview = importer.files(files)
    assert by_number(labels(preview))[:4] == ["dog", "cat", "dog", "cat"]
    assert [image.split for image in preview.found] == ["train", "train", "test", "train", "", ""]
    assert [image.name[-5] for image in preview.found if image.test] == ["2"]


def test_lists_of_splits_alone_are_no_pascal_voc(importer: Importer) -> None:
    preview = importer.files({"cat/1.png": png(1), "dog/2.png": png(2), "ImageSets/Main/train.txt": b"1\n"})
    assert preview.reading == "class_tree"
