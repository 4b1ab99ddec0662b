import json
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.importers.scan import ImportSource, read_again, scan
from tests.engine.importers.container_samples import arrow, parquet, table
from tests.engine.importers.import_samples import Importer, labels, png, quiet, reasons

CLASSES = ["cat", "dog", "owl"]


def rows(*given: int | None, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"image": {"bytes": png(number), "path": f"{number:03}.png"}, "label": label}
        for number, label in enumerate(given, start=start)
    ]


def saved(metadata: bool = True) -> dict[str, bytes]:
    """Return the files that save_to_disk writes for two splits."""
    files = {"dataset_dict.json": b'{"splits": ["train", "test"]}'}
    features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}
    for split, made in (("train", rows(0, 1, None)), ("test", rows(1, -1, start=9))):
        files[f"{split}/data-00000-of-00001.arrow"] = arrow(table(made, CLASSES, metadata=metadata))
        files[f"{split}/dataset_info.json"] = json.dumps({"features": features}).encode()
        files[f"{split}/state.json"] = b'{"_split": null}'
    return files


@pytest.mark.parametrize("metadata", [True, False])
def test_saved_splits_are_read_with_their_class_names(importer: Importer, metadata: bool) -> None:
    preview = importer.folder(saved(metadata))
    at = "data-00000-of-00001"
    assert preview.reading == "hf_arrow"
    assert labels(preview) == {
        f"train/{at}/000.png": "cat", f"train/{at}/001.png": "dog", f"train/{at}/002.png": None,
        f"test/{at}/009.png": "dog", f"test/{at}/010.png": None,
    }  # fmt: skip
    assert dict(preview.counts) == {"cat": 1, "dog": 2, "owl": 0}
    assert {image.name for image in preview.found if image.split == "test"} == {
        f"test/{at}/009.png",
        f"test/{at}/010.png",
    }
    assert [image.name for image in preview.found if image.test] == [f"test/{at}/009.png"]
    assert preview.refused == ()


def test_what_datasets_keeps_of_a_computation_is_not_read(importer: Importer) -> None:
    files = saved() | {"train/cache-0f3a9b2c4d5e6f70.arrow": arrow(table(rows(2, 2, start=50), CLASSES))}
    preview = importer.folder(files)
    assert (len(preview.found), list(reasons(preview))) == (5, ["train/cache-0f3a9b2c4d5e6f70.arrow"])


def test_it_is_read_from_a_zip_too(importer: Importer) -> None:
    assert sorted(map(str, labels(importer.files(saved())).values())) == ["None", "None", "cat", "dog", "dog"]


def test_parquet_of_the_hub_has_its_split_in_the_file_name(importer: Importer) -> None:
    files = {
        "data/train-00000-of-00001.parquet": parquet(table(rows(0, 1), CLASSES)),
        "data/test-00000-of-00001.parquet": parquet(table(rows(2, start=5), CLASSES)),
        "README.md": b"---\ndataset_info:\n",
    }
    preview = importer.folder(files)
    assert sorted(map(str, labels(preview).values())) == ["cat", "dog", "owl"]
    assert [image.label for image in preview.found if image.test] == ["owl"]


def test_a_column_of_words_is_the_label_and_others_can_be_chosen(importer: Importer) -> None:
    made = pa.table(
        {
            "img": pa.array([{"bytes": png(n), "path": None} for n in range(4)]),
            "species": ["cat", "dog", None, ""], "site": ["north", "north", "south", "south"], "id": [1, 2, 3, 4],
        }
    )  # fmt: skip
    preview = importer.folder({"x.parquet": parquet(made)})
    assert list(labels(preview).values()) == ["cat", "dog", None, None]
    assert list(labels(read_again(preview, answers={"column": "site"})).values()) == [
        "north",
        "north",
        "south",
        "south",
    ]


def test_two_columns_of_classes_are_asked_about(importer: Importer) -> None:
    made = table([one | {"coarse": 0} for one in rows(0, 1)], CLASSES)
    features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"},
                "coarse": {"names": ["animal"], "_type": "ClassLabel"}}  # fmt: skip
    made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    preview = importer.folder({"x.arrow": arrow(made)})
    assert list(labels(preview).values()) == ["cat", "dog"]
    question = next(one for one in preview.questions if one.key == "column")
    assert (question.doubtful, [key for key, _ in question.options]) == (True, ["label", "coarse", "none"])
    assert list(labels(read_again(preview, answers={"column": "coarse"})).values()) == ["animal", "animal"]


def test_lists_of_classes_are_left_to_a_person(importer: Importer) -> None:
    made = pa.table(
        {"image": pa.array([{"bytes": png(n), "path": None} for n in range(3)]), "label": [[0, 1], [1], []]}
    ).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": {
            "label": {"feature": {"names": CLASSES, "_type": "ClassLabel"}, "_type": "List"}}}})}
    )  # fmt: skip
    preview = importer.folder({"x.parquet": parquet(made)})
    assert list(labels(preview).values()) == [None, "dog", None]
    assert [one.name for one in preview.conflicts] == ["x/000000.png"]


def test_rows_that_only_name_a_file_label_that_file(importer: Importer) -> None:
    made = rows(0, 1, 2)
    for one, path in zip(made, ["images/a.png", "/home/u/set/images/b.png", "images/gone.png"], strict=True):
        one["image"] = {"bytes": None, "path": path}
    preview = importer.folder({"images/a.png": png(1), "images/b.png": png(2), "x.arrow": arrow(table(made, CLASSES))})
    assert labels(preview) == {"images/a.png": "cat", "images/b.png": "dog"}
    assert reasons(preview) == {"x.arrow: images/gone.png": "the table has no image of it, and there is no such file"}


def test_two_rows_of_one_file_that_disagree_are_a_conflict(importer: Importer) -> None:
    made = rows(0, 1)
    for one in made:
        one["image"] = {"bytes": None, "path": "a.png"}
    preview = importer.folder({"a.png": png(1), "x.arrow": arrow(table(made, CLASSES))})
    assert (labels(preview), [one.name for one in preview.conflicts]) == ({"a.png": None}, ["a.png"])


def test_what_datasets_writes_is_read(importer: Importer, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = pytest.importorskip("datasets")
        datasets.disable_progress_bars()
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
        made = datasets.Dataset.from_list(rows(0, 1, None), features=features)
        test = datasets.Dataset.from_list(rows(2, start=5), features=features)
        datasets.DatasetDict(train=made, test=test).save_to_disk(
            str(tmp_path / "saved"), num_shards={"train": 2, "test": 1}
        )
        (tmp_path / "data").mkdir()
        made.to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    for folder in ("saved", "data"):
        preview = scan(ImportSource("folder", tmp_path / folder), importer.staging, quiet)
        trained = [image.label for image in preview.found if not image.test]
        assert (preview.reading, trained) == ("hf_arrow", ["cat", "dog", None])
        assert preview.refused == ()
        assert set(preview.counts) == set(CLASSES)
