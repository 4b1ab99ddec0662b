from engine.importers.formats.several import settle

GIVEN = {"a.png": ["cat"], "b.png": ["dog", "cat"], "c.png": ["cat", "cat"], "d.png": []}


def test_images_with_different_labels_stay_unlabeled_and_are_asked_about() -> None:
    labels, conflicts, questions = settle(GIVEN, {})
    assert labels == {"a.png": "cat", "c.png": "cat"}
    assert conflicts == {"b.png": ("dog", "cat")}
    assert [(one.key, one.chosen, [key for key, _ in one.options]) for one in questions] == [
        ("several", "leave", ["leave", "first"])
    ]
    assert "1 image has several labels" in questions[0].title
    assert "b.png: dog, cat" in questions[0].hint


def test_the_first_label_counts_if_a_person_says_so() -> None:
    labels, conflicts, questions = settle(GIVEN, {"several": "first"})
    assert labels == {"a.png": "cat", "b.png": "dog", "c.png": "cat"}
    assert (conflicts, questions[0].chosen) == ({}, "first")


def test_nothing_is_asked_where_each_image_has_one_label() -> None:
    assert settle({"a.png": ["cat"]}, {}) == ({"a.png": "cat"}, {}, ())
