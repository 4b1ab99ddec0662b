from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from app.benchmarks import format_sets, judges
from app.benchmarks.format_checks import CARRIED, Content, Told, content, not_back, told_by
from app.benchmarks.formats import EQUAL, FIRST, NOT_INSTALLED, READ_BY_TESTS, FormatSettings, judged, run
from app.benchmarks.judges import apart
from app.benchmarks.judges.export import Export, unpacked
from engine.errors import ConfigError
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.importers.formats import FORMATS
from engine.project.opened import Project

ROOT = Path(__file__).parents[2]


def test_every_set_goes_out_and_comes_back_equal(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 12), (40 * number, 9, 9)).save(path)
    said: list[str] = []
    settings = FormatSettings(digits=20, photos=6, classes=30, unlabeled=3, formats="csv,coco,webdataset,fiftyone")
    figures = run(tmp_path / "photos", settings, tmp_path / "out.json", said.append)
    assert list(figures["sets"]) == ["digits", "photos of photos", "odd names", "30 classes"]
    for about in figures["sets"].values():
        assert about[FIRST]["comes in"] == EQUAL
        for key in ("csv", "coco", "webdataset", "fiftyone"):
            assert (about[key]["goes out"], about[key]["comes back"], about[key]["read as"]) == (
                EQUAL, EQUAL, CARRIED[key].reading,
            )  # fmt: skip
    tools = figures["sets"]["digits"]["webdataset"]["tools"]
    assert tools == {"webdataset": "opened, 18 labels equal", "datasets": "opened, 18 labels equal"}
    assert figures["sets"]["30 classes"]["csv"]["tools"] == {"pandas": "opened, 30 labels equal"}
    assert figures["sets"]["digits"]["fiftyone"]["tools"] == {"fiftyone": NOT_INSTALLED}
    assert json.loads((tmp_path / "out.json").read_text()) == figures
    assert "| coco | equal | equal | equal | equal | pycocotools 4 of 4, datumaro not installed |" in said[-1]
    assert "| fiftyone | as fiftyone exports it: equal |" in said[-1]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of some digits."""
    folder = tmp_path_factory.mktemp("digits") / "project"
    format_sets.project_of(list(format_sets.digits(20)), folder)
    return folder


def exported(root: Path, tmp_path: Path) -> tuple[Export, Content, Told]:
    with Project.open(root) as project:
        file = project.exports.write(ExportOptions("coco"), target=tmp_path / "out.zip")
        return unpacked(file, tmp_path / "out"), content(project), told_by(file)


def test_what_does_not_come_back_is_told(root: Path, tmp_path: Path) -> None:
    export, before, told = exported(root, tmp_path)
    splits = {sha: split for sha, (_, split) in told.said.items()}
    assert (
        list(not_back(CARRIED["coco"], export, before, Content(before.labels, splits, {}, before.classes), told)) == []
    )
    labeled = next(sha for sha, label in before.labels.items() if label is not None)
    labels = {**before.labels, labeled: "wrong"}
    after = Content(labels, {**splits, labeled: "nowhere"}, {}, (*reversed(before.classes),))
    words = list(not_back(CARRIED["coco"], export, before, after, told))
    assert re.fullmatch(r"1 labels differ: “\d” → “wrong”", words[0])
    assert words[1].startswith("1 splits differ")
    assert words[2].startswith("another order of classes")
    fewer = Content({}, splits, {}, before.classes[1:])
    words = list(not_back(CARRIED["coco"], export, before, fewer, told))
    assert words == [f"no label of {len(before.labels)} images", f"missing classes: “{before.classes[0]}”"]


def test_a_tool_that_reads_something_else_or_nothing_is_told(root: Path, tmp_path: Path) -> None:
    export, _, told = exported(root, tmp_path)
    judge = judges.JUDGES["coco"][0]
    assert judged(judge, export, told, []) == "opened, 18 labels equal"
    file = export.folder / "annotations" / "instances_train.json"
    about = json.loads(file.read_text())
    about["annotations"].pop()
    file.write_text(json.dumps(about))
    (words,) = judged(judge, export, told, [])
    assert re.fullmatch(r"1 labels differ: “\d” → none", words)
    file.write_text("{")
    (words,) = judged(judge, export, told, [])
    assert words.startswith("JSONDecodeError")


def test_a_tool_is_looked_for_in_the_pythons_given(tmp_path: Path) -> None:
    assert apart.python_with("json", []) == Path(sys.executable)
    assert apart.python_with("no_such_tool_anywhere", [Path(sys.executable)]) is None
    with pytest.raises(ConfigError, match="no Python"):
        apart.python_with("no_such_tool_anywhere", [tmp_path / "python"])


def test_a_script_that_fails_says_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="datumaro"):
        apart.asked(Path(sys.executable), "read_by_datumaro.py", str(tmp_path), "coco")


def test_every_format_has_its_line() -> None:
    assert CARRIED.keys() == judges.JUDGES.keys() == EXPORTERS.keys()
    assert READ_BY_TESTS.keys() | {one.reading for one in CARRIED.values()} == FORMATS.keys()
    for named in READ_BY_TESTS.values():
        file, _, test = named.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text()


def test_odd_names_are_distinct_and_many_classes_have_an_image_each() -> None:
    rows = list(format_sets.odd())
    assert len({path for path, *_ in rows}) == len(rows) == len({data for _, data, _, _ in rows})
    assert {label for *_, label, _ in rows} - {""} == set(format_sets.ODD_CLASSES)
    many = [label for *_, label, _ in format_sets.many(120, 5)]
    assert len(set(many) - {""}) == 120
    assert many.count("") == 5


@pytest.mark.parametrize(
    ("wrong", "words"), [({"sets": "digits,moons"}, "moons"), ({"formats": "morse"}, "morse"), ({"photos": -1}, "-1")]
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FormatSettings(**wrong)  # type: ignore[arg-type]
