"""Tables of what a model said, with a column of shares a class: never labels without a word, never lost without one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.importers.doubts import doubts_of
from engine.importers.scan import read_again
from engine.importers.tables.label_columns import LIKELIEST, NO_COLUMN
from engine.records.imports import GivenPrediction
from tests.engine.importers.import_samples import Importer, labels, png
from tests.engine.importers.table_samples import asked, doubts, read_text

CLASSES = ["cat", "dog", "owl"]
IMAGES = [f"{at}.jpg" for at in range(9)]
RIGHT = {name: CLASSES[at % 3] for at, name in enumerate(IMAGES)}
SAID = {name: GivenPrediction(label, 0.7) for name, label in RIGHT.items()}
FORMS = ["{}", "prob_{}", "p({})", "{}_score", "P {}", "confidence.{}", "{} probability"]


def shares(at: int) -> list[str]:
    return ["0.7" if number == at % 3 else ("0.2" if number == (at + 1) % 3 else "0.1") for number in range(3)]


def table(form: str = "{}", other: str = "", cells: list[str] | None = None) -> str:
    headers = ["filename", *([other] if other else []), *map(form.format, CLASSES)]
    rows = [[name, *([cells[at]] if cells else []), *shares(at)] for at, name in enumerate(IMAGES)]
    return "".join(",".join(row) + "\n" for row in (headers, *rows))


@pytest.mark.parametrize("form", FORMS)
def test_shares_are_what_a_model_said_and_it_is_asked_whether_they_are_labels(form: str) -> None:
    found = read_text(table(form), IMAGES)
    assert (found.labels, found.predictions) == ({}, SAID)
    assert doubts(found) == {"label_column"}
    assert any("add up to 1" in one and "cat, dog, owl" in one for one in found.notices)
    question = asked(found, "label_column")
    assert question is not None
    assert [option for option, _ in question.options] == [LIKELIEST, NO_COLUMN], "a share is no class"
    chosen = read_text(table(form), IMAGES, answers={"label_column": LIKELIEST})
    assert (chosen.labels, chosen.predictions) == (RIGHT, {})


@pytest.mark.parametrize("header", ["verdict", "foo", "what", "final call", "person_2"])
@pytest.mark.parametrize("same", [True, False])
def test_a_column_that_is_not_recognised_beside_shares_is_asked_about(header: str, same: bool) -> None:
    cells = [CLASSES[(at if same else at // 3) % 3] for at in range(9)]
    found = read_text(table(other=header, cells=cells), IMAGES)
    question = asked(found, "label_column")
    assert question is not None
    assert question.doubtful
    assert header in dict(question.options)
    assert question.chosen == (NO_COLUMN if same else header)
    assert found.predictions == SAID
    taken = read_text(table(other=header, cells=cells), IMAGES, answers={"label_column": header})
    assert taken.labels == dict(zip(IMAGES, cells, strict=True))


def test_texts_too_few_to_tell_beside_a_prediction_are_asked_about() -> None:
    text = "filename,prediction,verdict\n0.jpg,cat,yes it is\n1.jpg,dog,no\n2.jpg,cat,never\n"
    found = read_text(text, IMAGES)
    assert doubts(found) == {"label_column"}
    assert found.predictions["1.jpg"].label == "dog"


def test_a_column_of_labels_stays_what_counts_and_the_shares_are_predictions() -> None:
    cells = [CLASSES[at // 3] for at in range(9)]
    found = read_text(table(other="label", cells=cells), IMAGES)
    assert found.labels == dict(zip(IMAGES, cells, strict=True))
    assert (found.predictions, doubts(found)) == (SAID, set())


def test_the_share_of_the_class_that_is_predicted_is_how_sure_it_is() -> None:
    cells = [CLASSES[at % 3] for at in range(9)]
    found = read_text(table("prob_{}", "prediction", cells), IMAGES)
    assert (found.predictions, doubts(found)) == (SAID, set())


@pytest.mark.parametrize(
    "rows",
    [
        ["0.7,0.9"] * 3,
        ["0.5,0.5"] * 3,
        ["0.7,0.3", "x,0.5", "0.5,0.5"],
        ["1,0", "0,1", "1,0"],
        ["50,50", "20,80", "1,99"],
    ],
)
def test_numbers_that_are_no_shares_are_not_taken_for_any(rows: list[str]) -> None:
    text = "filename,red,green\n" + "".join(f"{at}.jpg,{row}\n" for at, row in enumerate(rows))
    found = read_text(text, IMAGES)
    assert found.predictions == {}
    assert not any("add up" in one for one in found.notices)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3).filter(any), min_size=2, max_size=9))
def test_the_largest_share_is_the_prediction_whatever_the_numbers(rows: list[list[int]]) -> None:
    told = [[f"{one / sum(row):.3f}" for one in row] for row in rows]
    text = "filename,cat,dog,owl\n" + "".join(f"{at}.jpg,{','.join(row)}\n" for at, row in enumerate(told))
    found = read_text(text, IMAGES)
    if not found.predictions:  # the same in all rows, or 0 and 1 alone
        assert len({tuple(row) for row in told}) == 1 or {cell for row in told for cell in row} <= {"0.000", "1.000"}
    for at, row in enumerate(told if found.predictions else []):
        most = max(map(float, row))
        said = found.predictions[f"{at}.jpg"]
        assert (said.confidence, float(row[CLASSES.index(said.label)])) == (most, most)


def test_the_preview_shows_predictions_and_takes_them_for_labels_when_told(importer: Importer) -> None:
    files = {name: png(at) for at, name in enumerate(IMAGES)} | {"preds.csv": table().encode()}
    preview = importer.files(files)
    assert (preview.predicted, set(labels(preview).values())) == (9, {None})
    assert "label_column" in {one.key for one in preview.questions if one.doubtful}
    assert labels(read_again(preview, answers={"label_column": LIKELIEST})) == RIGHT


def test_a_guess_at_labels_is_not_put_aside_for_a_table_of_predictions(importer: Importer) -> None:
    verdicts = "foo,bar\n" + "".join(f"{name},{label}\n" for name, label in RIGHT.items())
    files = {name: png(at) for at, name in enumerate(IMAGES)}
    preview = importer.files({**files, "preds.csv": table().encode(), "verdicts.csv": verdicts.encode()})
    assert labels(preview) == RIGHT
    assert preview.predicted == 9


def test_a_class_that_a_model_alone_names_is_no_doubtful_one(importer: Importer) -> None:
    files = {name: png(at) for at, name in enumerate(IMAGES)}
    assert doubts_of(importer.files({**files, "preds.csv": table().encode()})) == {}
    trees = {f"{label}/{at}.png": png(at) for at, label in enumerate(["cat", "cat", "dog", "dog"])}
    preview = importer.files({**trees, "owl/1.png": b"\x89PNG\r\n\x1a\n damaged"})
    assert set(doubts_of(preview)) == {"owl"}
