import sys
import unicodedata
from collections.abc import Sequence

import pytest

from engine.exporters.names import folder_name
from engine.importers.formats import class_tree
from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView


def label_by_folder(names: Sequence[str], folders: Sequence[str] = ()) -> Labeling:
    return class_tree.read(SourceView(tuple(sorted(names)), frozenset(names), folders=frozenset(folders)), {})


def found(*names: str) -> dict[str, str | None]:
    labeling = label_by_folder(names)
    return {name: labeling.labels.get(name) for name in names}


def test_the_first_folder_is_the_class() -> None:
    assert found("cat/1.png", "dog/2.png") == {"cat/1.png": "cat", "dog/2.png": "dog"}


def test_deeper_folders_do_not_change_the_class() -> None:
    assert found("cat/young/1.png", "dog/2.png")["cat/young/1.png"] == "cat"


@pytest.mark.parametrize("wrapping", ["set", "set/images", "data/v1/set"])
def test_folders_that_hold_the_whole_set_are_stripped(wrapping: str) -> None:
    names = [f"{wrapping}/cat/1.png", f"{wrapping}/dog/2.png"]
    assert list(found(*names).values()) == ["cat", "dog"]


@pytest.mark.parametrize("pool", ["_unlabeled", "unlabeled", "no_label", "Unlabeled"])
def test_unlabeled_pools_are_unlabeled_at_every_level(pool: str) -> None:
    names = ["train/cat/1.png", f"{pool}/2.png", f"train/{pool}/3.png", f"{pool}/sub/4.png"]
    assert list(found(*names).values()) == ["cat", None, None, None]


def test_images_outside_the_class_folders_are_unlabeled() -> None:
    assert found("cat/1.png", "dog/2.png", "3.png")["3.png"] is None


def test_splits_are_stripped_and_named_in_a_notice() -> None:
    labeling = label_by_folder(["train/cat/1.png", "val/cat/2.png", "test/dog/3.png", "train/4.png"])
    assert labeling.labels == {"train/cat/1.png": "cat", "val/cat/2.png": "cat", "test/dog/3.png": "dog"}
    assert any("test, train, val" in notice for notice in labeling.notices)


def test_a_test_split_beside_others_is_there_to_measure() -> None:
    names = ["set/train/cat/1.png", "set/Test/cat/2.png", "set/val/dog/3.png", "set/Test/4.png"]
    labeling = label_by_folder(names)
    assert labeling.test == {"set/Test/cat/2.png"}
    assert any("they measure: 1 image" in notice for notice in labeling.notices)
    assert label_by_folder(["test/cat/1.png", "test/dog/2.png"]).test == frozenset()
    assert label_by_folder(["cat/1.png", "test/2.png"]).test == frozenset()


def test_a_train_folder_alone_is_a_split() -> None:
    assert list(found("set/train/cat/1.png", "set/train/dog/2.png").values()) == ["cat", "dog"]
    assert list(found("train/cat/1.png").values()) == ["cat"]


def test_a_class_called_test_among_others_is_a_class() -> None:
    assert list(found("cat/1.png", "test/2.png").values()) == ["cat", "test"]


def test_one_flat_folder_is_not_taken_as_a_class() -> None:
    labeling = label_by_folder(["holiday/1.png", "holiday/2.png"])
    assert (labeling.labels, labeling.layout) == ({}, "images only")
    assert any("holiday" in notice for notice in labeling.notices)


def test_the_layout_is_named() -> None:
    assert label_by_folder(["cat/1.png", "dog/2.png"]).layout == "class tree"
    assert label_by_folder(["1.png", "2.png"]).layout == "images only"


def test_accents_written_in_two_ways_are_one_class() -> None:
    names = [f"{unicodedata.normalize(form, 'café')}/{form}.png" for form in ("NFC", "NFD")]
    assert set(found(*names, "tea/1.png").values()) == {"café", "tea"}


def test_a_folder_name_too_long_for_a_class_leaves_its_images_unlabeled() -> None:
    labeling = label_by_folder([f"{'x' * 201}/1.png", "dog/2.png"])
    assert list(labeling.labels.values()) == ["dog"]
    assert "longer than 200" in labeling.refused[0].reason


def test_names_of_digits_stay_text() -> None:
    assert list(found("007/1.png", "7/2.png").values()) == ["007", "7"]


def tree(*names: str, folders: Sequence[str] = (), level: str = "") -> Labeling:
    """The labeling of images of these names; a name that ends with ! is a file that is no image that can be read."""
    images = tuple(sorted(name for name in names if not name.endswith("!")))
    files = frozenset(name.rstrip("!") for name in names)
    return class_tree.read(SourceView(images, files, folders=frozenset(folders)), {"level": level} if level else {})


def test_a_class_whose_images_cannot_be_read_keeps_the_other_folders_from_becoming_classes() -> None:
    sessions = [f"pets/cat/session{s}/{i}.jpg" for s in (1, 2) for i in range(2)]
    found = tree(*sessions, "pets/dog/0.heic!", "pets/dog/1.heic!")
    assert set(found.labels.values()) == {"cat"}
    assert found.classes == ("cat", "dog")
    assert any("dog" in notice for notice in found.notices)
    (question,) = found.questions
    assert (question.chosen, [value for value, _ in question.options]) == ("2", ["1", "2", "3", "0"])
    assert set(tree(*sessions, level="3").labels.values()) == {"session1", "session2"}


def test_an_image_beside_the_folder_of_the_set_is_unlabeled_and_told() -> None:
    found = tree("set/cat/1.png", "set/dog/2.png", "cover.png")
    assert found.labels == {"set/cat/1.png": "cat", "set/dog/2.png": "dog"}
    assert any("1 image" in notice and "unlabeled" in notice for notice in found.notices)


@pytest.mark.parametrize("extra", ["pred", "images_to_do"])
def test_a_flat_folder_beside_splits_has_no_labels(extra: str) -> None:
    names = [f"{split}/{label}/1.png" for split in ("train", "val") for label in ("cat", "dog")]
    found = tree(*names, f"{extra}/1.png", f"{extra}/2.png")
    assert set(found.labels.values()) == {"cat", "dog"}
    assert any(f"2 images in {extra}" in notice for notice in found.notices)
    assert set(tree(*names[:2], f"{extra}/1.png").labels.values()) == {"cat", "dog"}, "beside a single split too"


def test_a_folder_beside_splits_with_the_same_classes_is_one_more_split() -> None:
    names = [f"{split}/{label}/1.png" for split in ("train", "val", "holdout") for label in ("cat", "dog")]
    assert set(tree(*names).labels.values()) == {"cat", "dog"}
    assert len(tree(*names).labels) == 6


def test_the_splits_of_the_source_are_kept() -> None:
    found = tree("seg_train/cat/1.png", "Valid/cat/2.png", "seg_test/dog/3.png")
    assert found.splits == {"seg_train/cat/1.png": "train", "Valid/cat/2.png": "val", "seg_test/dog/3.png": "test"}


def test_the_folder_of_images_is_proposed_beside_one_of_documents_and_another_level_can_be_chosen() -> None:
    found = tree("images/cat/1.png", "images/dog/2.png", "docs/fig.png")
    assert found.labels == {"images/cat/1.png": "cat", "images/dog/2.png": "dog"}
    (question,) = found.questions
    assert (question.chosen, question.doubtful) == ("2", True)
    assert set(tree("images/cat/1.png", "images/dog/2.png", "docs/fig.png", level="1").labels.values()) == {
        "images", "docs",
    }  # fmt: skip


def test_dates_above_the_classes_are_no_classes() -> None:
    names = [f"2024-01-{day:02d}/{label}/{i}.png" for day in (1, 2) for label in ("cat", "dog") for i in range(2)]
    found = tree(*names)
    assert set(found.labels.values()) == {"cat", "dog"}
    assert found.questions[0].doubtful


def test_empty_folders_are_classes_without_images_but_not_those_of_descriptions() -> None:
    found = tree("cat/1.png", "dog/1.png", "annotations/a.json!", folders=["fox", "annotations", "cat"])
    assert found.classes == ("cat", "dog", "fox")
    assert any("fox" in notice for notice in found.notices)


@pytest.mark.parametrize("sessions", [("2024-01-01", "2024-01-02"), ("session1", "session2"), ("100CANON", "101CANON")])
def test_a_single_class_with_sessions_inside_is_the_class(sessions: tuple[str, ...]) -> None:
    names = [f"cat/{session}/{i}.png" for session in sessions for i in range(3)]
    assert set(tree(*names).labels.values()) == {"cat"}


@pytest.mark.parametrize(
    ("train", "test"),
    [("train_data", "test_data"), ("training_set", "test_set"), ("01_train", "02_test"), ("Train-Images", "eval"),
     ("Trainingsdaten", "Testdaten"), ("entrenamiento", "prueba"), ("训练集", "测试集")],
)  # fmt: skip
def test_splits_have_many_names(train: str, test: str) -> None:
    found = tree(*(f"{split}/{label}/1.png" for split in (train, test) for label in ("cat", "dog")))
    assert set(found.labels.values()) == {"cat", "dog"}
    assert found.splits[f"{train}/cat/1.png"] == "train"
    assert found.test == {f"{test}/cat/1.png", f"{test}/dog/1.png"}


@pytest.mark.parametrize("pool", ["Unlabelled", "No label", "not-labeled", "unannotated", "ohne Label"])
def test_pools_have_many_names(pool: str) -> None:
    found = tree("cat/1.png", "dog/1.png", f"{pool}/1.png")
    assert found.labels == {"cat/1.png": "cat", "dog/1.png": "dog"}
    assert any(f"1 in {pool}" in notice for notice in found.notices)
    assert tree("cat/1.png", f"{folder_name(pool)}/1.png").labels[f"{folder_name(pool)}/1.png"] == folder_name(pool)


def test_splits_inside_the_classes_are_kept_and_told() -> None:
    found = tree(*(f"{label}/{split}/1.png" for split in ("train", "test") for label in ("cat", "dog")))
    assert set(found.labels.values()) == {"cat", "dog"}
    assert found.test == {"cat/test/1.png", "dog/test/1.png"}
    assert any("test, train inside the classes are taken for splits" in notice for notice in found.notices)


def test_splits_between_places_and_classes_are_kept_and_asked_about() -> None:
    found = tree(
        *(f"{site}/{split}/{label}/1.png" for site in "ab" for split in ("train", "val") for label in ("cat", "dog"))
    )
    assert set(found.labels.values()) == {"cat", "dog"}
    assert set(found.splits.values()) == {"train", "val"}
    assert found.questions[0].doubtful


def test_a_folder_that_only_holds_the_classes_of_each_split_is_no_class() -> None:
    found = tree(*(f"{split}/images/{label}/1.png" for split in ("train", "val") for label in ("cat", "dog")))
    assert set(found.labels.values()) == {"cat", "dog"}
    assert not found.questions[0].doubtful
    assert tree("train/images/1.png", "val/images/2.png").labels == {}


def test_split_folders_without_folders_name_no_class_and_are_asked_about() -> None:
    names = ["train/1.png", "train/2.png", "test/3.png"]
    found = tree(*names)
    assert (found.labels, found.splits["test/3.png"]) == ({}, "test")
    assert any("test, train" in notice and "no folder names a class" in notice for notice in found.notices)
    assert found.questions[0].doubtful
    assert set(tree(*names, level="1").labels.values()) == {"train", "test"}


@pytest.mark.parametrize(
    "names",
    [
        [f"{site}/{label}/1.png" for site in ("berlin", "paris") for label in ("cat", "dog")],
        [f"{site}/cat/1.png" for site in ("berlin", "paris")],
        [f"{label}/{side}/1.png" for side in ("left", "right") for label in ("cat", "dog")],
        [f"cat/session{number}/1.png" for number in (1, 2)],
        ["2019/1.png", "2020/1.png"],
        ["test/left/1.png", "test/right/1.png"],
    ],
)
def test_where_folders_of_two_levels_could_be_the_classes_a_person_should_look(names: list[str]) -> None:
    (question,) = tree(*names).questions
    assert (question.key, question.doubtful) == ("level", True)


def test_dates_in_a_folder_with_a_generic_name_are_asked_about_and_the_folder_is_no_class() -> None:
    found = tree("dataset/part 1/1.png", "dataset/part 2/2.png")
    assert set(found.labels.values()) == {"part 1", "part 2"}
    assert found.questions[0].doubtful


def test_folders_inside_the_classes_are_named() -> None:
    found = tree(*(f"{label}/session{number}/1.png" for number in (1, 2) for label in ("cat", "dog")))
    assert not found.questions[0].doubtful
    assert any("inside the classes are no classes: session1, session2" in notice for notice in found.notices)


def test_folders_beside_the_set_are_asked_about_and_can_be_left_out() -> None:
    names = ["cat/1.png", "dog/1.png", "masks/1.png", "To sort/1.png"]
    found = tree(*names)
    assert set(found.labels.values()) == {"cat", "dog", "masks", "To sort"}
    (question,) = found.questions
    assert (question.key, question.doubtful) == ("aside", True)
    assert "masks (1 image)" in question.title
    left = class_tree.read(SourceView(tuple(sorted(names)), frozenset(names)), {"aside": "leave"})
    assert left.labels == {"cat/1.png": "cat", "dog/1.png": "dog"}
    assert left.classes == ("cat", "dog")


def test_a_pool_beside_the_folder_of_the_set_does_not_make_that_folder_a_class() -> None:
    found = tree("pets/cat/1.png", "pets/dog/1.png", "unlabeled/1.png")
    assert set(found.labels.values()) == {"cat", "dog"}


def test_the_folder_that_holds_the_classes_is_named() -> None:
    assert any("classes are the folders in pets" in one for one in tree("pets/cat/1.png", "pets/dog/1.png").notices)


def test_a_level_that_a_person_chose_keeps_the_splits() -> None:
    names = [f"set/{split}/{site}/{label}/1.png" for split in ("train", "test") for site in "ab" for label in "xy"]
    found = tree(*names, level="4")
    assert set(found.labels.values()) == {"x", "y"}
    assert set(found.splits.values()) == {"train", "test"}
    assert tree(*names, level="0").labels == {}


def test_the_time_for_a_tree_grows_with_its_folders_and_not_with_their_square() -> None:
    def steps(classes: int) -> int:
        names = tuple(sorted(f"c{number}/deep/{number}.png" for number in range(classes)))
        source, count = SourceView(names, frozenset(names)), 0

        def look(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += 1
            return look

        sys.settrace(look)  # type: ignore[arg-type]
        try:
            assert len(class_tree.read(source, {}).labels) == classes
        finally:
            sys.settrace(None)
        return count

    assert steps(400) < 6 * steps(100)


def doubtful(labeling: Labeling) -> list[str]:
    return [one.key for one in labeling.questions if one.doubtful]


@pytest.mark.parametrize("names", [("cat/1.png", "cat/2.png"), ("images/cat/1.png",), ("cat/1.png", "2.png")])
def test_an_only_folder_that_could_be_a_class_is_asked_about(names: tuple[str, ...]) -> None:
    labeling = label_by_folder(names)
    assert (labeling.labels, doubtful(labeling)) == ({}, ["level"])
    (question,) = labeling.questions
    level = next(key for key, words in question.options if "(cat)" in words)
    source = SourceView(tuple(sorted(names)), frozenset(names))
    assert set(class_tree.read(source, {"level": level}).labels.values()) == {"cat"}
    assert doubtful(class_tree.read(source, {"level": "0"})) == []


@pytest.mark.parametrize("only", ["images", "JPEGImages", "2024-05-01", "session_3", "train", "DCIM"])
def test_an_only_folder_that_says_nothing_of_what_is_shown_is_not_asked_about(only: str) -> None:
    assert doubtful(label_by_folder([f"{only}/1.png", f"{only}/2.png"])) == []


@pytest.mark.parametrize("above", ["", "export/"])
@pytest.mark.parametrize("pool", ["no_label", "_unlabeled"])
def test_an_only_folder_beside_one_of_unlabeled_images_is_a_class(above: str, pool: str) -> None:
    labeling = label_by_folder([f"{above}cat/1.png", f"{above}{pool}/2.png"])
    assert labeling.labels == {f"{above}cat/1.png": "cat"}


def test_an_only_folder_of_a_generic_name_beside_unlabeled_images_is_no_class() -> None:
    assert label_by_folder(["images/1.png", "unlabeled/2.png"]).labels == {}


def test_a_split_whose_images_lie_in_one_folder_of_a_generic_name_has_no_classes() -> None:
    names = ["train/cat/images/1.png", "train/dog/images/2.png", "val/images/3.png", "test/images/4.png"]
    labeling = label_by_folder(names)
    assert labeling.labels == {names[0]: "cat", names[1]: "dog"}
    assert "images" not in labeling.classes
    assert any("2 images in test, val have no class folder" in one for one in labeling.notices)


def test_a_class_of_a_generic_name_in_all_splits_is_one() -> None:
    names = ["train/data/1.png", "train/dog/2.png", "val/data/3.png"]
    assert label_by_folder(names).labels == {names[0]: "data", names[1]: "dog", names[2]: "data"}
