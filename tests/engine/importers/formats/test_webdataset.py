import json
from pathlib import Path

import pytest

from tests.engine.importers.container_samples import tarred
from tests.engine.importers.import_samples import Importer, labels, png, reasons


def shard(start: int, *classes: str | None) -> bytes:
    files: dict[str, bytes] = {}
    for number, label in enumerate(classes, start=start):
        if label is not None:
            files[f"{number:06}.cls"] = label.encode()
        files[f"{number:06}.png"] = png(number)
    return tarred(files)


def test_class_numbers_are_named_by_the_list_beside_the_shards(importer: Importer) -> None:
    files = {
        "train/000000.tar": shard(0, "0", "1"),
        "test/000000.tar": shard(9, "2", None),
        "classes.txt": b"cat\ndog\nowl\n",
    }
    preview = importer.folder(files)
    assert preview.reading == "webdataset"
    assert labels(preview) == {
        "train/000000/000000.png": "cat", "train/000000/000001.png": "dog", "test/000000/000009.png": "owl",
        "test/000000/000010.png": None,
    }  # fmt: skip
    assert dict(preview.counts) == {"cat": 1, "dog": 1, "owl": 1}
    assert [image.name for image in preview.found if image.test] == ["test/000000/000009.png"]
    assert preview.refused == ()


def test_a_list_inside_the_shard_and_text_labels_count_too(importer: Importer) -> None:
    inside = tarred({"0.png": png(0), "0.cls": b"1", "classes.txt": b"cat\ndog\n"})
    assert labels(importer.folder({"s-000.tar": inside})) == {"s-000/0.png": "dog"}


def test_text_in_cls_is_the_label(importer: Importer) -> None:
    assert set(labels(importer.folder({"s-000.tar": shard(0, "cat", " dog\n")})).values()) == {"cat", "dog"}


def test_shards_without_labels_are_unlabeled_and_no_classes(importer: Importer) -> None:
    preview = importer.folder({"000000.tar": shard(0, None, None), "000001.tar": shard(5, None)})
    assert (preview.reading, preview.unlabeled, dict(preview.counts)) == ("webdataset", 3, {})


def test_json_says_the_label_where_cls_is_absent_and_the_person_can_choose(importer: Importer) -> None:
    samples = {}
    for number, (label, age) in enumerate([("cat", "old"), ("dog", "young"), ("cat", "old")]):
        samples[f"{number}.png"] = png(number)
        samples[f"{number}.json"] = json.dumps({"label": label, "age": age, "box": {"x": 1}}).encode()
    preview = importer.folder({"s-000.tar": tarred(samples)})
    assert list(labels(preview).values()) == ["cat", "dog", "cat"]
    question = next(one for one in preview.questions if one.key == "column")
    assert [key for key, _ in question.options] == ["json:label", "json:age", "none"]
    from engine.importers.scan import read_again

    assert list(labels(read_again(preview, answers={"column": "json:age"})).values()) == ["old", "young", "old"]
    assert set(labels(read_again(preview, answers={"column": "none"})).values()) == {None}


def test_captions_are_no_classes_and_words_that_repeat_are(importer: Importer) -> None:
    captions = {f"{number}.{kind}": data for number in range(4)
                for kind, data in (("png", png(number)), ("txt", f"photo {number}".encode()))}  # fmt: skip
    assert set(labels(importer.folder({"s-000.tar": tarred(captions)})).values()) == {None}
    words = {f"{number}.{kind}": data for number in range(4)
             for kind, data in (("png", png(number)), ("txt", (b"cat", b"dog")[number % 2]))}  # fmt: skip
    assert list(labels(importer.folder({"s-000.tar": tarred(words)})).values()) == ["cat", "dog", "cat", "dog"]


def test_several_classes_in_json_are_left_to_a_person(importer: Importer) -> None:
    samples = {
        "0.png": png(0),
        "0.json": b'{"labels": ["cat", "dog"]}',
        "1.png": png(1),
        "1.json": b'{"labels": ["cat"]}',
    }
    preview = importer.folder({"s-000.tar": tarred(samples)})
    assert list(labels(preview).values()) == [None, "cat"]
    assert [refusal.name for refusal in preview.conflicts] == ["s-000/0.png"]
    assert "several" in {one.key for one in preview.questions}


def test_only_the_image_of_a_sample_has_its_label(importer: Importer) -> None:
    samples = {"0.cls": b"cat", "0.png": png(0), "0.mask.png": png(7), "0.npy": b"\x93NUMPY"}
    preview = importer.folder({"s-000.tar": tarred(samples)})
    assert labels(preview) == {"s-000/0.png": "cat", "s-000/0.mask.png": None}
    assert "s-000/0.npy" in reasons(preview)


def test_a_number_that_no_class_has_is_refused(importer: Importer) -> None:
    preview = importer.folder({"s-000.tar": shard(0, "0", "7", "-1"), "classes.txt": b"cat\ndog\n"})
    assert list(labels(preview).values()) == ["cat", None, None]
    assert reasons(preview)["s-000/000001.png"] == "class 7 is not among the 2 that are named"


def test_folders_in_a_tar_with_json_about_each_image_stay_a_class_tree(importer: Importer) -> None:
    files = {}
    for number, label in enumerate(("cat", "dog")):
        files[f"{label}/{number}.png"] = png(number)
        files[f"{label}/{number}.json"] = b'{"width": 5}'
    preview = importer.folder({"pets.tar": tarred(files)})
    assert (preview.reading, list(labels(preview).values())) == ("class_tree", ["cat", "dog"])


def test_an_unpacked_shard_is_read_the_same_way(importer: Importer) -> None:
    preview = importer.folder(
        {"0.png": png(0), "0.cls": b"1", "1.png": png(1), "1.cls": b"0", "classes.txt": b"cat\ndog\n"}
    )
    assert labels(preview) == {"0.png": "dog", "1.png": "cat"}
    assert preview.refused == ()


def test_what_webdataset_writes_is_read(importer: Importer) -> None:
    webdataset = pytest.importorskip("webdataset")
    folder = importer.source / "set"
    folder.mkdir()
    with webdataset.ShardWriter(str(folder / "%06d.tar"), maxcount=3, verbose=0) as writer:
        for number in range(7):
            sample = {"__key__": f"{number:06}", "png": png(number), "json": {"index": number}}
            writer.write(sample if number == 6 else sample | {"cls": number % 2})
    Path(folder / "classes.txt").write_text("cat\ndog\n")
    found = labels(importer.folder({}))
    assert list(found.values()) == ["cat", "dog", "cat", "dog", "cat", "dog", None]
    assert sorted(found)[-1] == "000002/000006.png"
