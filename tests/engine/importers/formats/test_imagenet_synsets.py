from pathlib import Path

import pytest

from engine.errors import ImportRefused
from engine.importers.formats import imagenet_synsets, read_labels
from tests.engine.importers.formats.views import view

IMAGES = [
    "train/n01440764/a.JPEG",
    "train/n02012849/b.JPEG",
    "train/n03126707/c.JPEG",
    "val/ILSVRC2012_val_00000001.JPEG",
]
WORDS = (
    "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\nn01443537 goldfish, Carassius auratus\n"
)  # fmt: skip


@pytest.mark.parametrize("name", ["LOC_synset_mapping.txt", "sub/synset_words.txt"])
def test_ids_become_the_first_word_and_equal_words_keep_their_id(tmp_path: Path, name: str) -> None:
    found = read_labels(view(tmp_path, IMAGES, {name: WORDS}))
    assert found.key == "imagenet_synsets"
    assert found.labeling.labels == {
        "train/n01440764/a.JPEG": "tench",
        "train/n02012849/b.JPEG": "crane (n02012849)",
        "train/n03126707/c.JPEG": "crane (n03126707)",
    }
    assert found.labeling.used == {name}


def test_the_ids_can_be_kept(tmp_path: Path) -> None:
    labeling = imagenet_synsets.read(view(tmp_path, IMAGES, {"synset_words.txt": WORDS}), {"names": "ids"})
    assert set(labeling.labels.values()) == {"n01440764", "n02012849", "n03126707"}
    question = next(one for one in labeling.questions if one.key == "names")
    assert (question.chosen, [key for key, _ in question.options]) == ("ids", ["words", "ids"])


def test_other_files_of_words_are_read(tmp_path: Path) -> None:
    index = '{"0": ["n01440764", "tench"], "1": ["n02012849", "great_crane"]}'
    labeling = imagenet_synsets.read(view(tmp_path, IMAGES, {"imagenet_class_index.json": index}), {})
    assert labeling.labels["train/n02012849/b.JPEG"] == "great crane"
    assert labeling.labels["train/n03126707/c.JPEG"] == "n03126707"
    assert any("1 ids have no words there and stay as they are: n03126707" in one for one in labeling.notices)
    words = "n01440764\ttench, Tinca tinca\nn02012849\tcrane\n"
    assert (
        imagenet_synsets.read(view(tmp_path, IMAGES, {"words.txt": words}), {}).labels["train/n01440764/a.JPEG"]
        == "tench"
    )


def test_a_solution_labels_the_images_without_a_class_folder(tmp_path: Path) -> None:
    solution = (
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01443537 85 1 499 272 n01443537 1 2 3 4 \n"
        "ILSVRC2012_val_00000002,n01440764 1 2 3 4\nbroken\n"
    )
    texts = {"LOC_synset_mapping.txt": WORDS, "LOC_val_solution.csv": solution}
    labeling = imagenet_synsets.read(view(tmp_path, IMAGES, texts), {})
    assert labeling.labels["val/ILSVRC2012_val_00000001.JPEG"] == "goldfish"
    assert labeling.splits["val/ILSVRC2012_val_00000001.JPEG"] == "val"
    assert [(one.name, one.reason) for one in labeling.refused] == [
        ("LOC_val_solution.csv, row 4", "it has no WordNet id"),
        ("LOC_val_solution.csv", "1 of its images are not in the source"),
    ]


def test_folders_without_ids_or_without_words_are_a_class_tree(tmp_path: Path) -> None:
    assert imagenet_synsets.detect(view(tmp_path, IMAGES, {})) is None
    assert imagenet_synsets.detect(view(tmp_path, ["cat/1.png", "dog/2.png"], {"words.txt": WORDS})) is None
    with pytest.raises(ImportRefused, match="WordNet"):
        imagenet_synsets.read(view(tmp_path, IMAGES, {}), {})


def test_the_images_of_a_split_without_folders_are_labeled_by_its_annotations(tmp_path: Path) -> None:
    """As Tiny ImageNet comes: val/images/val_0.JPEG, and val/val_annotations.txt with boxes."""
    train = [f"train/{one}/images/{one}_{at}.JPEG" for one in ("n01440764", "n02012849") for at in range(2)]
    val = [f"val/images/val_{at}.JPEG" for at in range(3)]
    said = "val_0.JPEG\tn02012849\t0\t32\t44\t62\nval_1.JPEG\tn01440764\t52\t55\t57\t59\n"
    found = read_labels(view(tmp_path, [*train, *val], {"words.txt": WORDS, "val/val_annotations.txt": said}))
    assert found.key == "imagenet_synsets"
    assert [found.labeling.labels.get(name) for name in train] == ["tench", "tench", "crane", "crane"]
    assert [found.labeling.labels.get(name) for name in val] == ["crane", "tench", None]
    assert found.labeling.splits[val[0]] == "val"
