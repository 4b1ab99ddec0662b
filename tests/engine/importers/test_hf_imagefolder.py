import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import ImportRefused
from engine.importers.formats import hf_imagefolder, read_labels
from engine.importers.labeling import Labeling
from tests.engine.importers.import_samples import Importer, labels, png
from tests.engine.importers.table_samples import asked, doubts, read_files

IMAGES = ["train/000.png", "train/sub/001.png", "test/000.png", "test/002.png"]
TRAIN = b'{"file_name": "000.png", "label": "cat"}\n{"file_name": "sub/001.png", "label": null}\n'
TEST = b'{"file_name": "000.png", "label": "dog"}\n'


def read(files: dict[str, bytes], images: list[str] | None = None, **answers: str) -> Labeling:
    return read_files(files, images or IMAGES, answers, hf_imagefolder.read)


def parquet(columns: dict[str, object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


FORMS = {
    "jsonl": (TRAIN, TEST),
    "csv": (b"file_name,label\n000.png,cat\nsub/001.png,\n", b"file_name,label\n000.png,dog\n"),
    "parquet": (
        parquet({"file_name": ["000.png", "sub/001.png"], "label": ["cat", None]}),
        parquet({"file_name": ["000.png"], "label": ["dog"]}),
    ),
}


@pytest.mark.parametrize("ending", FORMS)
def test_file_names_count_from_the_folder_of_the_metadata_and_splits_are_kept(ending: str) -> None:
    train, test = FORMS[ending]
    labeling = read({f"train/metadata.{ending}": train, f"test/metadata.{ending}": test})
    assert labeling.labels == {"train/000.png": "cat", "test/000.png": "dog"}
    assert labeling.splits == {"train/000.png": "train", "train/sub/001.png": "train", "test/000.png": "test"}
    assert labeling.test == {"test/000.png"}
    assert labeling.refused == ()
    assert any("1 images that no metadata names" in notice for notice in labeling.notices)
    assert doubts(labeling) == set()


def test_metadata_switches_folder_labels_off(importer: Importer) -> None:
    files = {"cat/1.png": png(1), "dog/2.png": png(2), "metadata.csv": b"file_name,label\ncat/1.png,owl\ndog/2.png,\n"}
    preview = importer.files(files)
    assert (preview.reading, preview.layout) == ("hf_imagefolder", "Hugging Face image folder")
    assert labels(preview) == {"cat/1.png": "owl", "dog/2.png": None}


def test_a_name_is_never_looked_for_in_another_folder() -> None:
    labeling = read({"train/metadata.csv": b"file_name,label\n002.png,cat\n../test/002.png,cat\n000,cat\n"})
    assert labeling.labels == {}
    assert len(labeling.refused) == 3


def test_columns_whose_name_ends_in_file_name_name_images_too() -> None:
    labeling = read({"train/metadata.csv": b"id,photo_file_name,label\n000.png,sub/001.png,cat\n"})
    assert labeling.labels == {"train/sub/001.png": "cat"}


README = """---
license: mit
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': cat
          '1': grey owl
---
# Cats
"""
INFO = {"features": {"label": {"names": ["cat", "grey owl"], "_type": "ClassLabel"}}}


@pytest.mark.parametrize(
    "named", [{"README.md": README.encode()}, {"train/dataset_info.json": json.dumps(INFO).encode()}]
)
def test_numbers_take_the_names_that_lie_beside_them(named: dict[str, bytes]) -> None:
    table = b"file_name,label\n000.png,1\nsub/001.png,0\n"
    labeling = read({"train/metadata.csv": table, **named})
    assert labeling.labels == {"train/000.png": "grey owl", "train/sub/001.png": "cat"}
    assert labeling.classes == ("cat", "grey owl")
    assert any("1 = grey owl" in notice for notice in labeling.notices)


@pytest.mark.parametrize(
    "readme", ["", "---\n: : [\n---\n", "---\n- 1\n---\n", README.replace("name: label", "name: x")]
)
def test_numbers_that_nothing_names_stay_numbers(readme: str) -> None:
    table = b"file_name,label\n000.png,1\nsub/001.png,0\n"
    labeling = read({"train/metadata.csv": table, "README.md": readme.encode()})
    assert labeling.labels == {"train/000.png": "1", "train/sub/001.png": "0"}


def test_metadata_of_captions_labels_nothing_and_leaves_the_folders_their_labels(importer: Importer) -> None:
    text = b"file_name,text\ncat/1.png,a cat on a mat\ndog/2.png,a dog in a fog\n"
    preview = importer.files({"cat/1.png": png(1), "dog/2.png": png(2), "metadata.csv": text})
    assert (preview.reading, preview.counts) == ("class_tree", {"cat": 1, "dog": 1})


def test_several_labels_are_asked() -> None:
    labeling = read({"train/metadata.jsonl": b'{"file_name": "000.png", "label": ["cat", "dog"]}\n'})
    assert labeling.conflicts == {"train/000.png": ("cat", "dog")}
    assert asked(labeling, "several") is not None


def test_a_source_without_metadata_is_none() -> None:
    with pytest.raises(ImportRefused, match="no metadata table"):
        read({"metadata.csv": b"path,label\ntrain/000.png,cat\n"})


def test_it_is_recognised_by_its_column(importer: Importer) -> None:
    preview = importer.files({"1.png": png(1), "metadata.csv": b"filename,label\n1.png,cat\n"})
    assert (preview.reading, preview.counts) == ("table", {"cat": 1})


def test_no_other_table_format_claims_it() -> None:
    def keys(source: object, answers: object) -> Labeling:
        found = read_labels(source)  # type: ignore[arg-type]
        assert next(one.key for one in found.readings) == "hf_imagefolder"
        assert "table" not in [one.key for one in found.readings]
        return found.labeling

    read_files({"train/metadata.jsonl": TRAIN}, IMAGES, {}, keys)
