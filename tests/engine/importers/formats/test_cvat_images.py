import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ImportRefused
from engine.importers.formats import cvat_images
from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView
from tests.engine.importers.formats.views import view

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><name>pets</name>'
    "<labels><label><name>cat</name><attributes><attribute><name>fur</name></attribute></attributes></label>"
    "<label><name>dog</name></label><label><name>owl</name></label></labels></task></meta>"
)
IMAGES = ["000.png", "001.png", "002.png"]


def source(folder: Path, body: str, images: list[str] | None = None, head: str = HEAD) -> SourceView:
    return view(folder, images or IMAGES, {"annotations.xml": f"{head}{body}</annotations>"})


def read(folder: Path, body: str, images: list[str] | None = None, **answers: str) -> Labeling:
    return cvat_images.read(source(folder, body, images), answers)


def image(name: str, inside: str, more: str = "") -> str:
    return f'<image id="0" name="{name}" width="5" height="5" {more}>{inside}</image>'


def test_tags_are_labels_with_and_without_a_source(tmp_path: Path) -> None:
    body = (
        image("000.png", '<tag label="cat"></tag>')
        + image("001.png", '<tag label="dog" source="manual"><attribute name="fur">long</attribute></tag>')
        + image("002.png", "")
    )
    assert cvat_images.detect(source(tmp_path, body)) is not None
    labeling = read(tmp_path, body)
    assert labeling.labels == {"000.png": "cat", "001.png": "dog"}
    assert labeling.classes == ("cat", "dog", "owl")
    assert (labeling.refused, labeling.used) == ((), {"annotations.xml"})


def test_several_tags_are_left_to_a_person(tmp_path: Path) -> None:
    body = image("000.png", '<tag label="dog"/><tag label="cat"/>') + image("001.png", '<tag label="owl"/>')
    labeling = read(tmp_path, body)
    assert (labeling.labels, labeling.conflicts) == ({"001.png": "owl"}, {"000.png": ("dog", "cat")})
    assert labeling.questions[0].key == "several"
    assert read(tmp_path, body, several="first").labels["000.png"] == "dog"


def test_shapes_of_one_class_are_its_label_and_of_several_none(tmp_path: Path) -> None:
    boxes = '<box label="{}" xtl="0" ytl="0" xbr="1" ybr="1"/>'
    body = (
        image("000.png", boxes.format("cat") + '<polygon label="cat" points="0,0;1,1"/>')
        + image("001.png", boxes.format("cat") + boxes.format("dog"))
        + image("002.png", '<tag label="owl"/>' + boxes.format("dog"))
    )
    labeling = read(tmp_path, body)
    assert labeling.labels == {"000.png": "cat", "002.png": "owl"}
    assert [one.reason for one in labeling.refused] == [
        "shapes of several classes (cat, dog); imported without a label"
    ]
    assert any(one.startswith("1 image has no tag and shapes of one class") for one in labeling.notices)
    assert any("the shapes of 1 images that have a tag are not read" in one for one in labeling.notices)


def test_subsets_are_splits_and_folders_of_a_project(tmp_path: Path) -> None:
    images = ["images/Train/a.png", "images/Test/a.png"]
    body = image("a.png", '<tag label="cat"/>', 'subset="Train"') + image(
        "a.png", '<tag label="dog"/>', 'subset="Test"'
    )
    labeling = read(tmp_path, body, images)
    assert labeling.labels == {"images/Train/a.png": "cat", "images/Test/a.png": "dog"}
    assert labeling.splits == {"images/Train/a.png": "train", "images/Test/a.png": "test"}
    assert labeling.test == {"images/Test/a.png"}


def test_a_file_for_each_split_is_that_split(tmp_path: Path) -> None:
    texts = {
        f"{split}.xml": HEAD + image(name, '<tag label="cat"></tag>') + "</annotations>"
        for split, name in (("train", "000.png"), ("test", "001.png"))
    }
    labeling = cvat_images.read(view(tmp_path, IMAGES, texts), {})
    assert (labeling.splits, labeling.test) == ({"000.png": "train", "001.png": "test"}, {"001.png"})


def test_images_that_are_not_there_and_tracks_are_told(tmp_path: Path) -> None:
    body = image("gone.png", '<tag label="cat"/>') + '<track id="0" label="cat"><box frame="0"/></track>'
    labeling = read(tmp_path, body)
    assert [(one.name, one.reason) for one in labeling.refused] == [
        ("annotations.xml: gone.png", "there is no such file")
    ]
    assert "1 tracks of videos are not read" in labeling.notices


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;&b;&b;">]><annotations>&c;',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><image name="&x;"/>',
        "<!DOCTYPE a><annotations>",
    ],
)
def test_entities_and_document_types_are_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(ImportRefused, match="entities"):
        cvat_images.read(source(tmp_path, image("000.png", '<tag label="cat"/>'), head=head), {})


def test_a_damaged_file_is_refused_and_a_foreign_one_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="damaged"):
        read(tmp_path, "<image><tag></image>")
    with pytest.raises(ImportRefused, match="damaged"):
        read(tmp_path, "<a>" * 100 + "</a>" * 100)
    assert cvat_images.detect(view(tmp_path, IMAGES, {"a.xml": "<annotation><object/></annotation>"})) is None
    with pytest.raises(ImportRefused, match="no XML file of CVAT"):
        cvat_images.read(view(tmp_path, IMAGES, {}), {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    body = image("000.png", '<tag label="cat"/>') + image("001.png", '<box label="dog"/>', 'subset="test"')
    text = bytearray(f"{HEAD}{body}</annotations>".encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    changed = view(tmp_path, IMAGES, {"annotations.xml": bytes(text)})
    cvat_images.detect(changed)
    with suppress(ImportRefused):
        assert set(cvat_images.read(changed, {}).labels) <= set(IMAGES)


@pytest.mark.speed
def test_a_hundred_thousand_images_are_read_in_seconds(tmp_path: Path) -> None:
    names = [f"{number:06}.png" for number in range(100_000)]
    big = source(tmp_path, "".join(image(name, '<tag label="cat"/>') for name in names), names)
    began = time.monotonic()
    assert len(cvat_images.read(big, {}).labels) == 100_000
    assert time.monotonic() - began < 8


def test_labels_that_no_task_declares_come_after_those_declared_and_sorted(tmp_path: Path) -> None:
    body = image("000.png", '<tag label="b10"/>') + image("001.png", '<tag label="b9"/>')
    assert read(tmp_path, body).classes == ("cat", "dog", "owl", "b9", "b10")
