import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import ConfigError, ProjectReadOnly
from engine.records.imports import FoundImage
from engine.store import Store
from tests.engine.store.store_samples import found


def in_group(name: str, group: str | None) -> FoundImage:
    image = found(name)
    return FoundImage(image.name, image.staged, image.sha256, "PNG", 28, 28, 1, 300, group=group)


def test_without_groups_every_image_has_a_number_of_its_own(store: Store) -> None:
    assert store.groups().tolist() == store.label_table().image_ids.tolist()
    assert store.groups_set() == []


def test_images_of_one_name_share_the_id_of_the_first(store: Store) -> None:
    ids = store.label_table().image_ids.tolist()
    assert store.set_groups({ids[1]: "b", ids[2]: "a", ids[3]: "a"}, "by hand") == 3
    assert store.groups().tolist() == [ids[0], ids[1], ids[2], ids[2], *ids[4:]]
    assert store.group_names() == {ids[1]: "b", ids[2]: "a", ids[3]: "a"}
    [entry] = store.groups_set()
    assert (entry.how, entry.images, entry.groups) == ("by hand", 3, 2)


def test_a_group_is_taken_back_and_what_changes_nothing_is_not_noted(store: Store) -> None:
    first, second = store.label_table().image_ids.tolist()[:2]
    store.set_groups({first: "a", second: "a"}, "by hand")
    assert store.set_groups({first: "a"}, "again") == 0
    assert store.set_groups({second: None}, "apart") == 1
    assert store.groups().tolist()[:2] == [first, second]
    assert [entry.how for entry in store.groups_set()] == ["by hand", "apart"]


def test_numbers_are_read_once_until_images_or_groups_change(store: Store) -> None:
    before = store.groups()
    assert store.groups() is before
    assert not before.flags.writeable
    store.add_import("more", "test", [found("late.png")], [], [])
    assert len(store.groups()) == len(before) + 1
    assert store.groups()[: len(before)].tolist() == before.tolist()


def test_another_process_sees_groups_that_were_set(store: Store, url: str) -> None:
    with Store.open(url) as other:
        ids = other.groups().tolist()
        store.set_groups({ids[0]: "x", ids[2]: "x"}, "by hand")
        assert other.groups()[2] == ids[0]


@pytest.mark.parametrize(
    ("names", "how"), [({10**6: "a"}, "h"), ({1: " "}, "h"), ({1: "a\nb"}, "h"), ({1: "a" * 201}, "h"), ({1: "a"}, "")]
)
def test_what_cannot_be_a_group_is_refused_and_nothing_is_saved(
    store: Store, names: dict[int, str | None], how: str
) -> None:
    with pytest.raises(ConfigError, match="not saved"):
        store.set_groups({2: "fine"} | names, how)
    assert store.group_names() == {}
    assert store.groups_set() == []


def test_an_import_brings_groups_and_leaves_those_there_are(store: Store) -> None:
    images = [in_group("s1.png", "scene 1"), in_group("s2.png", "scene 1"), in_group("s3.png", None)]
    store.add_import("scenes", "csv", images, [], [], "column “scene”")
    names = store.group_names()
    assert sorted(names.values()) == ["scene 1", "scene 1"]
    assert store.groups_set()[0].how == "column “scene”"
    again = [in_group("s1.png", "other"), in_group("s3.png", "other")]
    store.add_import("again", "csv", again, [], [])
    assert sorted(store.group_names().values()) == ["other", "scene 1", "scene 1"]
    assert store.groups_set()[1].how == "import of again"
    assert store.verify() == []


def test_groups_set_later_do_not_look_like_damage(store: Store) -> None:
    store.set_groups({1: "a", 2: "a"}, "by hand")
    assert store.verify() == []


def test_a_project_open_for_reading_says_its_groups_and_takes_none(store: Store, url: str) -> None:
    store.set_groups({1: "a", 2: "a"}, "by hand")
    store.close()
    with Store.open(url, read_only=True) as reading:
        assert reading.groups()[1] == 1
        with pytest.raises(ProjectReadOnly):
            reading.set_groups({1: None}, "by hand")


def test_the_column_is_called_group(store: Store, tmp_path: Path) -> None:
    store.set_groups({1: "a"}, "by hand")
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        assert connection.execute('SELECT "group" FROM images WHERE id = 1').fetchone() == ("a",)
