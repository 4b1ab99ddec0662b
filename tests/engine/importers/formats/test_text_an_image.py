"""A text file an image, and lists whose cells nothing but a space divides, also of one row."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.importers.formats import read_labels
from engine.importers.scan import read_again
from tests.engine.importers.formats.views import view
from tests.engine.importers.import_samples import Importer, labels, png

CLASSES = ["cat", "dog"] * 3
IMAGES = {f"{at:04d}.jpg": png(at) for at in range(6)}


def texts(*said: str) -> dict[str, bytes]:
    return {f"{at:04d}.txt": text.encode() for at, text in enumerate(said)}


def test_the_text_beside_an_image_is_its_class(importer: Importer) -> None:
    preview = importer.files({**IMAGES, **texts(*(f" {label}\r\n\n" for label in CLASSES))})
    assert list(labels(preview).values()) == CLASSES
    assert preview.refused == ()
    assert any("0000.txt, 0001.txt, 0002.txt and 3 more files" in one for one in preview.notices)


def test_one_image_and_its_text_are_enough(importer: Importer) -> None:
    assert labels(importer.files({"0001.jpg": png(1), "0001.txt": b"cat"})) == {"0001.jpg": "cat"}


def test_several_classes_in_a_text_are_asked_about(importer: Importer) -> None:
    preview = importer.files({**IMAGES, **texts("cat\ndog", *CLASSES[1:])})
    assert list(labels(preview).values()) == [None, *CLASSES[1:]]
    assert "several" in {one.key for one in preview.questions if one.doubtful}


def test_numbers_take_their_names_from_a_list_of_classes(importer: Importer) -> None:
    preview = importer.files({**IMAGES, **texts(*"010109"), "classes.txt": b"cat\ndog\n"})
    assert list(labels(preview).values()) == [*CLASSES[:5], None]
    assert any("class 9 is not among" in one.reason for one in preview.refused)


@pytest.mark.parametrize(
    "said",
    [
        [f"a photo of {label} number {at}, on a mat" for at, label in enumerate(CLASSES)],
        [f"cat 0.5 0.5 0.{at} 0.2" for at in range(6)],
        ["x" * 5000] * 6,
        ["\n".join(f"line {at}" for at in range(40))] * 6,
    ],
)
def test_captions_and_boxes_are_no_classes_and_are_listed(importer: Importer, said: list[str]) -> None:
    preview = importer.files({**IMAGES, **texts(*said)})
    assert set(labels(preview).values()) == {None}
    assert len(preview.refused) == 6
    assert all("boxes, a caption or other text about an image" in one.reason for one in preview.refused)


def test_folders_of_classes_stay_what_counts_and_the_texts_are_offered(importer: Importer) -> None:
    files = {f"{label}/{at}.jpg": png(at) for at, label in enumerate(CLASSES)}
    files |= {name.replace(".jpg", ".txt"): b"ok" if "cat" in name else b"blurred" for name in files}
    preview = importer.files(files)
    assert list(preview.counts) == ["cat", "dog"]
    assert any("text file an image" in one for one in preview.notices)
    assert set(read_again(preview, "text_an_image").counts) == {"ok", "blurred"}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_no_text_is_lost_in_silence(tmp_path_factory: pytest.TempPathFactory, said: list[bytes]) -> None:
    source = view(
        tmp_path_factory.mktemp("set"), [f"{at}.png" for at in range(len(said))],
        {f"{at}.txt": data for at, data in enumerate(said)},
    )  # fmt: skip
    found = read_labels(source).labeling
    if found.used:
        told = {one.name.partition(",")[0] for one in found.refused}
        for at, data in enumerate(said):
            name = f"{at}.png"
            assert (
                name in found.labels
                or name in found.conflicts
                or f"{at}.txt" in told
                or not data.strip(b"\xef\xbb\xbf\r\n\t \x0b\x0c\x1c\x1d\x1e\x1f")
            )


@pytest.mark.parametrize("file", ["labels.txt", "labels.csv", "labels.tsv", "labels.lst"])
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("space", [" ", "   "])
def test_lines_of_a_file_and_a_label_with_a_space_between_are_read(
    importer: Importer, file: str, rows: int, space: str
) -> None:
    names = list(IMAGES)[:rows]
    lines = "".join(f"{name}{space}{label}\n" for name, label in zip(names, CLASSES, strict=False))
    preview = importer.files({**{name: IMAGES[name] for name in names}, file: lines.encode()})
    assert list(labels(preview).values()) == CLASSES[:rows]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_table_with_separators_stays_a_table(importer: Importer, ending: str) -> None:
    separator = "," if ending == "csv" else "\t"
    lines = "".join(f"{name}{separator}a {label}\n" for name, label in zip(IMAGES, CLASSES, strict=True))
    preview = importer.files({**IMAGES, f"labels.{ending}": lines.encode()})
    assert preview.reading == "table"
    assert list(labels(preview).values()) == [f"a {label}" for label in CLASSES]
