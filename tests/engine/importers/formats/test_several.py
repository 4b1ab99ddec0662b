from engine.importers.formats.several import settle

GIVEN = {"a.png": ["cat", "outdoor"], "b.png": ["dog", "dog"], "c.png": []}


def test_images_of_several_labels_stay_unlabeled_until_a_person_says_otherwise() -> None:
    labels, conflicts, (question,) = settle(GIVEN, {})
    assert (labels, conflicts) == ({"b.png": "dog"}, {"a.png": ("cat", "outdoor")})
    assert (question.key, question.chosen, question.doubtful) == ("several", "leave", True)
    assert "1 image has several labels, such as a.png: “cat”, “outdoor”" in question.hint


def test_the_first_label_of_each_can_be_taken_and_the_question_stays() -> None:
    labels, conflicts, (question,) = settle(GIVEN, {"several": "first"})
    assert (labels, conflicts, question.chosen) == ({"a.png": "cat", "b.png": "dog"}, {}, "first")


def test_an_unknown_answer_is_the_cautious_one() -> None:
    assert settle(GIVEN, {"several": "all"})[1] == {"a.png": ("cat", "outdoor")}


def test_one_label_each_asks_nothing() -> None:
    assert settle({"a.png": ["cat"]}, {}) == ({"a.png": "cat"}, {}, ())
