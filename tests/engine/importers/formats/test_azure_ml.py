from pathlib import Path

from engine.importers.formats import azure_ml
from tests.engine.importers.formats.json_samples import AZURE, IMAGES, lines, view


def test_a_text_is_a_label_and_a_list_of_several_a_question(tmp_path: Path) -> None:
    source = view(tmp_path, IMAGES, {"train_annotations.jsonl": lines(AZURE)})
    assert azure_ml.detect(source) is not None
    found = azure_ml.read(source, {})
    assert found.labels == {"000.png": "cat", "002.png": "dog"}
    assert found.conflicts == {"001.png": ("dog", "owl")}
    assert found.splits == {"000.png": "train", "001.png": "train", "002.png": "train"}
    assert found.refused == ()
    assert any("confidence below 1 as those of a model: 1 record" in notice for notice in found.notices)


def test_one_file_a_split(tmp_path: Path) -> None:
    files = {"train_annotations.jsonl": lines(AZURE[:1]), "validation_annotations.jsonl": lines(AZURE[2:])}
    found = azure_ml.read(view(tmp_path, IMAGES, files), {})
    assert found.splits == {"000.png": "train", "002.png": "val"}


def test_an_image_takes_the_label_that_its_boxes_share(tmp_path: Path) -> None:
    boxes = [{"label": "can", "topX": 0.2}, {"label": "can", "topX": 0.6}]
    records = [{"image_url": "AmlDatastore://a/000.png", "image_details": {}, "label": boxes}]
    found = azure_ml.read(view(tmp_path, IMAGES, {"boxes.jsonl": lines(records)}), {})
    assert found.labels == {"000.png": "can"}
    assert any("2 boxes" in notice for notice in found.notices)


def test_the_longest_ending_that_exists_is_the_image(tmp_path: Path) -> None:
    record = {"image_url": "azureml://subscriptions/s/datastores/d/paths/set/a b/1.png", "label": "cat"}
    source = view(tmp_path, ("a b/1.png", "1.png", "c/1.png"), {"all.jsonl": lines([record])})
    assert azure_ml.read(source, {}).labels == {"a b/1.png": "cat"}


def test_plain_records_are_not_mine(tmp_path: Path) -> None:
    assert (
        azure_ml.detect(view(tmp_path, IMAGES, {"a.jsonl": lines([{"file_name": "000.png", "label": "cat"}])})) is None
    )
