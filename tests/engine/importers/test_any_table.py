"""Any table that a person could write, its truth known: its labels come back, or a question with a doubt is there."""

import contextlib
import csv
import io
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ImportRefused
from engine.importers.labeling import Labeling
from tests.engine.importers.table_samples import doubts, read_files

FILE_HEADERS = ["filename", "file_name", "path", "image", "image_id", "Image", "img_path", "file", "name", "id", "Bild"]
LABEL_HEADERS = ["label", "class_name", "class", "Category", "target", "species", "diagnosis", "Klasse", "image_label"]
ODD_HEADERS = ["foo", "what is it", "bar", "q7"]
CLASSES = [
    ["cat", "dog", "owl"], ["0", "1", "2"], ["007", "7", "07"], ["größe", "Käfer", "Bär"], ["кошка", "собака", "сова"],
    ["cat, domestic", "dog, wild", "owl"], ["猫", "犬", "鳥"], ["yes", "no", "NaN"], ["a b", "c d", "e"],
    ['q"uote', "x", "-"],
]  # fmt: skip
EXTRAS = ["width", "note", "camera", "date", "score", "scene", "split", "reviewed", "nr", "empty"]


@dataclass(frozen=True)
class Written:
    """A table, the images beside it, what it says of them, and whether its headers tell its columns."""

    data: bytes
    name: str
    truth: dict[str, str]
    images: list[str]
    told: bool
    unicode: bool


@st.composite
def tables(draw: st.DrawFn) -> Written:
    count = draw(st.integers(4, 24))
    stem = draw(st.sampled_from(["{}", "IMG_{:04d}", "bird {}", "x.{}", "é{}", "{:03d}be"]))
    folder = draw(st.sampled_from(["", "images/", "set/train/"]))
    ending = draw(st.sampled_from([".jpg", ".PNG", ".jpeg"]))
    images = [f"{folder}{stem.format(number)}{ending}" for number in range(count)]
    names = draw(st.sampled_from(CLASSES))[: draw(st.integers(2, 3))]
    labels = [
        names[0],
        names[1],
        *draw(st.lists(st.sampled_from([*names, ""]), min_size=count - 2, max_size=count - 2)),
    ]
    if draw(st.booleans()):
        labels = [names[number % len(names)] for number in range(count)]
    cells = [image.rpartition("/")[2] for image in images]
    match draw(st.sampled_from(["base", "full", "stem", "windows", "address", "upload"])):
        case "full":
            cells = images
        case "stem":
            cells = [cell.rpartition(".")[0] for cell in cells]
        case "windows":
            cells = ["C:\\me\\" + image.replace("/", "\\") for image in images]
        case "address":
            cells = [f"https://host.example/{image}" for image in images]
        case "upload":
            cells = [f"/data/upload/1/{number:08x}-{cell}" for number, cell in enumerate(cells)]
    file_header = draw(st.sampled_from([*FILE_HEADERS, *ODD_HEADERS[:2]]))
    label_header = draw(st.sampled_from([*LABEL_HEADERS, *ODD_HEADERS[2:]]))
    columns = {file_header: cells, label_header: labels}
    numbers = draw(st.permutations(range(count)))
    for extra in draw(st.lists(st.sampled_from(EXTRAS), max_size=3, unique=True)):
        columns[extra] = [_extra(extra, number) for number in numbers]
    order = draw(st.permutations(list(columns)))
    if draw(st.booleans()):
        order = list(columns)
    headed = draw(st.integers(0, 4)) > 0
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    space = draw(st.booleans()) and quoting == csv.QUOTE_MINIMAL
    rows = [list(row) for row in zip(*(columns[header] for header in order), strict=True)]
    for row in [order, *rows] if headed else rows:
        writer.writerow([row[0], *(f" {cell}" for cell in row[1:])] if space else row)
    text = out.getvalue()
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1251", "cp932"]))
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        data = text.encode()
    truth = {image: label for image, label in zip(images, labels, strict=True) if label}
    told = headed and file_header in FILE_HEADERS and label_header in LABEL_HEADERS
    return Written(
        data, f"{draw(st.sampled_from(['', folder]))}labels.csv", truth, images, told, encoding.startswith("utf")
    )


def _extra(kind: str, number: int) -> str:
    return {
        "width": str(640 + number % 2), "note": "", "camera": f"X{number % 2}", "date": f"2024-01-{number + 1:02d}",
        "score": f"0.{number}", "scene": f"s{number // 3}", "split": ("train", "val", "test")[number % 3],
        "reviewed": str(number % 2), "nr": str(number), "empty": "",
    }[kind]  # fmt: skip


def said(labeling: Labeling) -> dict[str, str]:
    return {name: label.strip() for name, label in labeling.labels.items()}


@settings(max_examples=400, deadline=None)
@given(tables())
def test_labels_come_back_or_a_person_is_asked(written: Written) -> None:
    try:
        labeling = read_files({written.name: written.data}, written.images)
    except ImportRefused:
        assert not written.told
        return
    wrong = {name: label for name, label in said(labeling).items() if written.truth.get(name) != label}
    assert not wrong or doubts(labeling)
    if written.told:
        assert said(labeling) == written.truth or doubts(labeling)
        if written.unicode:
            assert said(labeling) == written.truth, labeling.questions
            assert labeling.refused == ()


@settings(max_examples=100, deadline=None)
@given(tables(), st.data())
def test_a_broken_table_is_refused_or_read_and_never_crashes(written: Written, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(written.data)))
    broken = written.data[:at] + data.draw(st.binary(max_size=4)) + written.data[at + data.draw(st.integers(0, 9)) :]
    for name in ("labels.csv", "labels.jsonl", "labels.json", "labels.xlsx", "labels.parquet"):
        with contextlib.suppress(ImportRefused):
            read_files({name: broken}, written.images)
