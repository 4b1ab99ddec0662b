"""Class names are tidied, and what is changed is told."""

from __future__ import annotations

import pytest

from engine.importers.labeling import Labeling
from engine.importers.tidy import tidied
from engine.records.imports import GivenPrediction
from tests.engine.importers.import_samples import Importer, png


def labeled(*labels: str, **others: object) -> Labeling:
    names = {f"{number}.png": label for number, label in enumerate(labels)}
    return Labeling("images + CSV", names, **others)  # type: ignore[arg-type]


def test_spaces_and_invisible_characters_around_names_go_and_it_is_told() -> None:
    found = tidied(labeled(" cat", "cat ", "\u200bcat", "\ufeffcat", "a cat"), {})
    assert list(found.labels.values()) == ["cat", "cat", "cat", "cat", "a cat"]
    (notice,) = [one for one in found.notices if "around class names" in one]
    assert "4 labels" in notice
    assert found.questions == ()


def test_untouched_names_say_nothing() -> None:
    found = tidied(labeled("cat", "dog", "007", "True", "=1+1"), {})
    assert list(found.labels.values()) == ["cat", "dog", "007", "True", "=1+1"]
    assert (found.notices, found.questions) == ((), ())


def test_twins_stay_apart_until_a_person_merges_them() -> None:
    spellings = ["Cat", "cat", "cat", "gold fish", "gold_fish", "owl"]
    apart = tidied(labeled(*spellings), {})
    assert list(apart.labels.values()) == spellings
    (question,) = apart.questions
    assert (question.key, question.chosen, question.doubtful) == ("merge", "keep", True)
    assert any("Cat, cat" in notice and "kept apart" in notice for notice in apart.notices)
    merged = tidied(labeled(*spellings), {"merge": "merge"})
    assert sorted(set(merged.labels.values())) == ["cat", "gold_fish", "owl"]
    assert any("merged" in notice for notice in merged.notices)


def test_a_conflict_of_two_spellings_of_one_name_is_none() -> None:
    given = labeled("dog", conflicts={"a.png": ("cat", " cat"), "b.png": ("cat", "dog")})
    found = tidied(given, {})
    assert found.labels["a.png"] == "cat"
    assert found.conflicts == {"b.png": ("cat", "dog")}


@pytest.mark.parametrize("answers", [{}, {"merge": "merge"}])
def test_declared_classes_and_predictions_go_by_the_same_names(answers: dict[str, str]) -> None:
    given = labeled("cat", classes=("cat ", "Owl"), predictions={"p.png": GivenPrediction(" cat", 0.5)})
    found = tidied(given, answers)
    assert found.classes == ("cat", "Owl")
    assert found.predictions == {"p.png": GivenPrediction("cat", 0.5)}


def test_labels_that_may_say_there_is_none_stay_and_are_asked_about() -> None:
    given = labeled("cat", "dog", "NaN", "?", "cat", classes=("cat", "dog", "NaN", "?"))
    found = tidied(given, {})
    assert list(found.labels.values()) == ["cat", "dog", "NaN", "?", "cat"]
    (question,) = found.questions
    assert (question.key, question.chosen, question.doubtful) == ("nothing", "keep", True)
    assert "NaN (1)" in question.title
    left = tidied(given, {"nothing": "leave"})
    assert left.labels == {"0.png": "cat", "1.png": "dog", "4.png": "cat"}
    assert left.classes == ("cat", "dog")
    assert [one.doubtful for one in left.questions] == [False]


def test_minus_1_among_other_classes_may_say_that_there_is_none() -> None:
    found = tidied(labeled("cat", "dog", "-1"), {"nothing": "leave"})
    assert found.labels == {"0.png": "cat", "1.png": "dog"}


@pytest.mark.parametrize("labels", [("+", "-"), ("none", "unknown"), ("no", "yes"), ("1", "-1")])
def test_labels_that_only_look_like_none_are_not_asked_about(labels: tuple[str, ...]) -> None:
    assert tidied(labeled(*labels), {}).questions == ()


def test_of_several_labels_those_that_say_there_is_none_can_be_left_out() -> None:
    given = labeled("cat", "nan", conflicts={"9.png": ("cat", "nan"), "8.png": ("cat", "dog", "nan")})
    found = tidied(given, {"nothing": "leave"})
    assert found.labels == {"0.png": "cat", "9.png": "cat"}
    assert found.conflicts == {"8.png": ("cat", "dog")}


FORMS = ("\u00e9tude", "e\u0301tude")  # é as one character, and as two


def _rows_of(names: list[str], written: list[str], line: str, header: str = "") -> bytes:
    rows = "".join(line.format(name, label) + "\n" for name, label in zip(names, written, strict=True))
    return (header + rows).encode()


TABLES: dict[str, tuple[str, str, str]] = {
    "table": ("labels.csv", "{},{}", "filename,label\n"),
    "text list": ("labels.txt", "{} {}", ""),
    "Hugging Face": ("metadata.jsonl", '{{"file_name": "{}", "label": "{}"}}', ""),
    "CVAT": ("a.xml", '<image name="{}"><tag label="{}"/></image>', ""),
    "Vertex CSV": ("v.csv", "gs://x/{},{}", ""),
    "Vertex lines": (
        "v.jsonl", '{{"imageGcsUri": "gs://x/{}", "classificationAnnotation": {{"displayName": "{}"}}}}', ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", [*TABLES, "folders", "folders of splits"])
@pytest.mark.parametrize("alike", [True, False])
def test_names_that_only_unicode_tells_apart_become_one_class_with_a_word(
    importer: Importer, what: str, alike: bool
) -> None:
    forms = FORMS[:1] * 2 if alike else FORMS
    if what in TABLES:
        file, line, header = TABLES[what]
        names = [f"{at}.png" for at in range(6)]
        body = _rows_of(names, [forms[0], forms[1], "cat"] * 2, line, header)
        body = b"<annotations><version>1.1</version>" + body + b"</annotations>" if file.endswith(".xml") else body
        files = {name: png(at) for at, name in enumerate(names)} | {file: body}
    elif what == "folders":
        folders = [*forms, "cat"]
        files = {f"{folder}/{at}{side}.png": png(2 * at + side) for at, folder in enumerate(folders) for side in (0, 1)}
    else:
        tops = [f"train/{forms[0]}", f"val/{forms[1]}", "train/cat", "val/cat"]
        files = {f"{top}/{at}.png": png(at) for at, top in enumerate(tops)}
    preview = importer.files(files)
    assert set(preview.counts) == {FORMS[0], "cat"}, preview.layout
    told = [one for one in preview.notices if "Unicode" in one and FORMS[0] in one]
    assert len(told) == (0 if alike else 1)
