import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from engine.errors import ConfigError, ImportRefused
from engine.records.imports import Refusal
from engine.records.labels import Decision
from engine.store import LabelTable, Store, imports, unfinished
from engine.store.schema import classes
from engine.store.seals import seal_classes
from tests.engine.store.store_samples import found

Make = Callable[..., Decision]


def test_an_import_adds_images_classes_labels_and_truth(url: str) -> None:
    images = [found("a.png", "cat", truth="cat"), found("b.png", truth="dog"), found("c.png")]
    with Store.create(url, "demo") as store:
        result = store.add_import("folder", "csv", images, ["dog", "cat"], [Refusal("d.txt", "not an image")])
        assert (result.added, result.already_there, result.labels_added, result.refused) == (3, 0, 1, 1)
        assert result.classes_added == store.classes() == ("dog", "cat")
        assert [item.name for item in store.images()] == ["a.png", "b.png", "c.png"]
        assert store.truth() == {1: "cat", 2: "dog"}
        [entry] = store.history()
        assert (entry.action, entry.source, entry.actor, entry.label) == ("import", "imported", "import", "cat")
        assert not store.states()[0].reviewed


def test_content_that_is_known_is_not_added_again(store: Store) -> None:
    images = [found("copy.png", content="train/0.png"), found("new.png"), found("new-copy.png", content="new.png")]
    result = store.add_import("again", "flat", images, [], [])
    assert (result.added, result.already_there) == (1, 2)
    assert store.image(9).name == "new.png"
    assert store.image(1).name == "train/0.png"


def test_only_new_images_with_a_label_join_the_test_split(store: Store) -> None:
    given = [found("train/0.png"), found("new.png", "fox"), found("blank.png")]
    store.add_import("again", "tree", [replace(one, test=True) for one in given], ["fox"], [])
    assert [store.image(one).name for one in store.test_split().tolist()] == ["new.png"]


def test_a_known_image_without_a_label_gets_the_imported_one(store: Store) -> None:
    result = store.add_import("again", "tree", [found("train/4.png", "fox")], ["fox"], [])
    assert (result.labels_added, store.state_at(3)[5]) == (1, "fox")


def test_a_label_that_contradicts_the_one_in_force_is_left_out_and_counted(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "label", "fox")])
    images = [found("train/0.png", "dog"), found("train/4.png", "dog"), found("train/1.png", "dog")]
    result = store.add_import("again", "tree", images, ["dog"], [])
    assert (result.labels_added, result.refused) == (0, 2)
    reason = "differs from the label in force"
    assert result.differing == (Refusal("train/0.png", reason), Refusal("train/4.png", reason))
    assert store.state_at(store.head_seq()) == {1: "cat", 2: "dog", 5: "fox"}


def test_a_contradicting_image_is_named_safe_to_print_and_other_refusals_are_not_repeated(store: Store) -> None:
    images = [replace(found("train/0.png", "dog"), name="a\u202eb.png")]
    result = store.add_import("again", "tree", images, ["dog"], [Refusal("d.txt", "not an image")])
    assert result.refused == 2
    assert [refusal.name for refusal in result.differing] == ["a\\u202eb.png"]


COMPOSED, SPLIT = "caf\u00e9", "cafe\u0301"


def test_a_class_in_two_spellings_of_its_accents_is_one_class(store: Store) -> None:
    store.add_class(SPLIT)
    store.add_class(COMPOSED)
    images = [found("n.png", SPLIT), found("m.png", COMPOSED), found("h.png", truth=SPLIT)]
    result = store.add_import("x", "csv", images, [SPLIT, COMPOSED], [])
    assert store.classes() == ("cat", "dog", "fox", COMPOSED)
    assert (result.classes_added, result.labels_added) == ((), 2)
    assert (store.state_at(4)[9], store.state_at(4)[10], store.truth()) == (COMPOSED, COMPOSED, {11: COMPOSED})
    again = store.add_import("x", "csv", [found("m.png", SPLIT)], [SPLIT], [])
    assert (again.refused, again.differing) == (0, ())


def test_a_class_stored_in_the_other_spelling_before_still_takes_labels(store: Store) -> None:
    store._write(lambda connection: connection.execute(insert(classes), {"name": SPLIT, "position": 3}))
    store._write(seal_classes)
    result = store.add_import("x", "csv", [found("n.png", COMPOSED)], [COMPOSED], [])
    [ack] = store.record([Decision("u1", 8, 0, "label", SPLIT)])
    assert (result.labels_added, result.classes_added, ack.status) == (1, (), "saved")
    assert store.counts().per_class == {"cat": 1, "dog": 1, "fox": 0, SPLIT: 2}


def test_an_imported_label_keeps_a_mark_a_person_set(store: Store, decide: Make) -> None:
    store.record([decide("u1", 5, "reject", None)])
    store.add_import("again", "tree", [found("train/4.png", "fox")], [], [])
    [state] = store.states([5])
    assert (state.label, state.mark) == ("fox", "reject")


def test_a_failure_at_the_end_of_an_import_leaves_nothing_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("pulled plug")

    monkeypatch.setattr(imports, "_add_truth", fail)
    before = (store.counts(), store.head_seq(), store.classes(), store.image_ids().tolist())
    with pytest.raises(RuntimeError, match="pulled plug"):
        store.add_import("x", "tree", [found("new.png", "owl"), found("train/4.png", "owl")], ["owl"], [])
    assert (store.counts(), store.head_seq(), store.classes(), store.image_ids().tolist()) == before
    assert store.verify() == []


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (found("new.png", "owl"), "not among the confirmed classes"),
        (replace(found("x.png"), name="caf\udce9.png"), "not valid Unicode"),
    ],
)
def test_an_import_that_cannot_be_stored_is_refused_as_a_whole(store: Store, image: object, error: str) -> None:
    with pytest.raises(ImportRefused, match=error):
        store.add_import("x", "tree", [found("fine.png"), image], ["bee"], [])  # type: ignore[list-item]
    assert len(store.image_ids()) == 8
    assert "bee" not in store.classes()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\ud800"])
def test_a_class_name_that_cannot_be_shown_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ConfigError, match="class name"):
        store.add_class(name)
    assert store.classes() == ("cat", "dog", "fox")


def test_a_class_is_added_once_at_the_end(store: Store) -> None:
    store.add_class("ant")
    store.add_class("cat")
    assert store.classes() == ("cat", "dog", "fox", "ant")


def test_ten_thousand_classes_keep_their_order(url: str) -> None:
    names = [f"class {number:05d}" for number in reversed(range(10_000))]
    with Store.create(url, "demo") as store:
        store.add_import("x", "tree", [found("a.png", names[-1])], names, [])
        assert store.classes() == tuple(names)


def test_images_are_given_in_the_order_asked_for(store: Store) -> None:
    assert [item.id for item in store.images([5, 1, 5])] == [5, 1, 5]


@pytest.mark.parametrize("number", [0, 9, -1, 2**80])
def test_an_image_that_is_not_there_is_named(store: Store, number: int) -> None:
    with pytest.raises(ConfigError, match=str(number)):
        store.images([1, number])


@pytest.mark.speed
def test_sixty_thousand_images_are_imported_and_tabled_fast(url: str) -> None:
    labels = ["cat" if number < 1_000 else None for number in range(60_000)]
    images = [found(f"train/{number:05d}.png", label) for number, label in enumerate(labels)]
    with Store.create(url, "demo") as store:
        started = time.process_time()
        store.add_import("x", "tree", images, ["cat"], [])
        assert time.process_time() - started < 6
        store.record_batch([Decision(f"u{n}", n, 0, "label", "cat") for n in range(1_001, 60_001)], "b")
        table, first = on_the_clock(store.label_table)
        store.record([Decision("last", 7, 7, "flag")])
        after, again = on_the_clock(store.label_table)
        assert (first < 0.6, again < 0.05) == (True, True)
        assert (table.mark[6], after.mark[6], set(table.label.tolist())) == (None, "flag", {"cat"})


def on_the_clock(read: Callable[[], LabelTable]) -> tuple[LabelTable, float]:
    """Return the table and the processor seconds it took; those of other programs on the machine do not count."""
    started = time.thread_time()
    return read(), time.thread_time() - started


def test_the_splits_of_the_source_and_every_name_of_an_image_are_kept(store: Store) -> None:
    given = [
        replace(found("set/new.png", "fox"), split="val", copies=("set/again.png", "b/new.png")),
        replace(found("other/0.png", content="train/0.png"), split="train"),
        found("blank.png"),
    ]
    store.add_import("more", "tree", given, ["fox"], [])
    ids = {item.name: item.id for item in store.images()}
    assert store.given_splits() == {ids["set/new.png"]: "val", ids["train/0.png"]: "train"}
    assert store.other_names() == {
        ids["set/new.png"]: ("set/again.png", "b/new.png"), ids["train/0.png"]: ("other/0.png",),
    }  # fmt: skip
    store.add_import("again", "tree", [replace(given[0], split="test")], ["fox"], [])
    assert store.given_splits()[ids["set/new.png"]] == "val", "the first one counts"
    assert store.other_names()[ids["set/new.png"]] == ("set/again.png", "b/new.png")


def test_an_import_in_parts_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [
        replace(
            found("train/1.png", "cat", content="one"), test=True, split="test", group="scene", copies=("other.png",)
        ),
        replace(found("train/2.png", "dog"), split="train", group="scene"),
        found("train/3.png", truth="dog"),
        replace(found("again/1.png", "dog", content="one"), group="another"),
        replace(found("train/4.png", "cat", truth="cat"), test=True, split="test"),
        found("train/3.png", "cat"),
        found("train/5.png", "cat"),
    ]
    held = []
    for name, size in (("whole", 10_000), ("parts", 2)):
        monkeypatch.setattr(unfinished, "PART", size)
        with Store.create(f"sqlite:///{tmp_path / name}.db", "demo") as store:
            result = store.add_import("folder", "csv", images, ["dog", "cat"], [])
            history = [(one.seq, one.image_id, one.label, one.reviewed) for one in store.entries()]
            assert len({one.time for one in store.entries()}) == 1
            assert store.verify() == []
            held.append(
                (replace(result, seconds=0), store.images(), history, store.truth(), store.group_names(),
                 store.test_split().tolist(), store.given_splits(), store.other_names())
            )  # fmt: skip
    assert held[0] == held[1]
    assert held[0][0].added == 5


def test_import_needs_little_memory_beyond_the_images_it_is_handed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "PART", 100)
    images = [found(f"{number}.png", "cat") for number in range(3_000)]
    with Store.create(url, "demo") as store:
        store.add_import("first", "tree", [found("first.png", "cat")], ["cat"], [])  # what is made once
        tracemalloc.start()
        store.add_import("folder", "tree", images, ["cat"], [])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 500 * len(images)
