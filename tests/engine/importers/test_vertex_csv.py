import pytest

from engine.errors import ImportRefused
from engine.importers.formats import vertex_csv
from engine.importers.labeling import Labeling
from tests.engine.importers.import_samples import Importer, png, reasons
from tests.engine.importers.table_samples import doubts, read_files

IMAGES = ["img/a/0.jpg", "img/b/0.jpg", "img/1.jpg", "img/2.jpg"]


def read(text: str) -> Labeling:
    return read_files({"import.csv": text.encode()}, IMAGES, {}, vertex_csv.read)


def test_sets_addresses_and_labels_are_read() -> None:
    labeling = read(
        "TRAINING,gs://bucket/x/img/a/0.jpg,cat\nTEST,gs://bucket/x/img/b/0.jpg,dog\n"
        "UNASSIGNED,gs://bucket/1.jpg,cat\nVALIDATION,gs://bucket/2.jpg\n"
    )
    assert labeling.labels == {"img/a/0.jpg": "cat", "img/b/0.jpg": "dog", "img/1.jpg": "cat"}
    assert labeling.splits == {"img/a/0.jpg": "train", "img/b/0.jpg": "test", "img/2.jpg": "val"}
    assert labeling.test == {"img/b/0.jpg"}
    assert labeling.used == {"import.csv"}


def test_the_set_may_be_left_out_and_several_labels_are_none() -> None:
    labeling = read("gs://b/img/1.jpg,cat\ngs://b/img/2.jpg,cat,dog\n")
    assert labeling.labels == {"img/1.jpg": "cat"}
    assert labeling.conflicts == {"img/2.jpg": ("cat", "dog")}


def test_rows_that_name_nothing_are_listed() -> None:
    labeling = read("gs://b/img/1.jpg,cat\ngs://b/img/9.jpg,cat\n" + "gs://b/img/2.jpg,cat\n" * 20 + "oops,cat\n")
    assert [refusal.reason for refusal in labeling.refused] == [
        "there is no such file", "there is no gs:// address in this row"
    ]  # fmt: skip


def test_another_encoding_is_asked() -> None:
    text = "gs://b/img/1.jpg,größe\n".encode("cp1252")
    labeling = read_files({"import.csv": text}, IMAGES, {}, vertex_csv.read)
    assert labeling.labels == {"img/1.jpg": "größe"}
    assert "encoding:import.csv" in doubts(labeling)


def test_a_file_of_boxes_is_none() -> None:
    with pytest.raises(ImportRefused, match="no CSV of Vertex"):
        read("TRAIN,gs://b/img/1.jpg,cat,0.1,0.2,,,0.7,0.8,,\n")


def test_it_is_recognised_alone(importer: Importer) -> None:
    files = {"1.png": png(1), "2.png": png(2), "i.csv": b"TRAIN,gs://b/1.png,cat\nTEST,gs://b/2.png,dog\n"}
    preview = importer.files(files)
    assert (preview.reading, preview.counts) == ("vertex_csv", {"cat": 1, "dog": 1})
    assert "table" not in [one.key for one in preview.readings]
    assert reasons(preview) == {}
