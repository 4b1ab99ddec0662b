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
