"""An import of animations, pages and videos: which frames become images is asked, and what holds for a file holds for
each of its frames."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.errors import ConfigError, NothingToImport
from engine.exporters.collect import ExportOptions
from engine.images.files import thumb_path
from engine.importers.contents import Limits
from engine.importers.scan import ImportSource, discard, read_again
from engine.project.opened import Project
from engine.records.imports import ImportPreview, Question
from tests.engine.importers.container_samples import tarred
from tests.engine.importers.import_samples import Files, Importer, labels, png, reasons, zipped
from tests.engine.importers.test_frames import GREYS, animation, video


def asked(preview: ImportPreview) -> Question:
    return next(one for one in preview.questions if one.key == "frames")


def frames(name: str, numbers: list[int]) -> list[str]:
    return [f"{name}-{number:06}.png" for number in numbers]


def groups(preview: ImportPreview) -> dict[str, str | None]:
    return {image.name: image.group for image in preview.found}


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """A video of 2 seconds, 20 frames of a grey each."""
    pytest.importorskip("av")
    return video(tmp_path / "clip.mp4").read_bytes()


def from_folder(importer: Importer, files: Files, **options: Any) -> ImportPreview:
    return importer.folder(files, **options)


def from_zip(importer: Importer, files: Files, **options: Any) -> ImportPreview:
    return importer.files(files, **options)


def from_a_tar_in_a_zip(importer: Importer, files: Files, **options: Any) -> ImportPreview:
    return importer.files({"inner.tar": tarred(files)}, **options)


SOURCES = pytest.mark.parametrize("source", [from_folder, from_zip])


@SOURCES
def test_the_first_frame_of_an_animation_is_taken_unless_asked_otherwise(
    importer: Importer, source: Callable[..., ImportPreview]
) -> None:
    files = {"cat/a.gif": animation("GIF"), "dog/b.tif": animation("TIFF", [20, 40, 80]), "dog/c.png": png(9)}
    preview = source(importer, files)
    assert labels(preview) == {"cat/a.gif": "cat", "dog/b.tif": "dog", "dog/c.png": "dog"}
    question = asked(preview)
    assert (question.chosen, question.doubtful, question.counted) == ("first", False, ("every", "seconds"))
    assert any("holds several pictures; the first is taken" in one for one in preview.notices)

    again = read_again(preview, answers={"frames": "every:2"})
    assert labels(again) == {
        **dict.fromkeys(frames("cat/a.gif", [0, 2, 4]), "cat"),
        **dict.fromkeys(frames("dog/b.tif", [0, 2]), "dog"),
        "dog/c.png": "dog",
    }
    assert again.counts == {"cat": 3, "dog": 3}
    assert asked(again).chosen == "every:2"
    assert not any("the first is taken" in one for one in again.notices)
    assert any("5 images are frames of 2 files, one frame in 2 of each" in one for one in again.notices)
    assert next(one for one in again.readings if one.key == again.reading).labeled == 6

    assert labels(read_again(again, answers={"frames": "first"})) == labels(preview)


def test_each_frame_is_staged_with_its_picture(importer: Importer) -> None:
    preview = importer.folder({"a.gif": animation("GIF")}, answers={"frames": "every:1"})
    greys = []
    for image in preview.found:
        with Image.open(io.BytesIO(image.staged.read_bytes())) as opened:
            greys.append(opened.convert("L").getpixel((8, 8)))
        with Image.open(thumb_path(preview.staging, image.sha256)) as thumb:
            assert abs(thumb.convert("L").getpixel((3, 3)) - greys[-1]) <= 6  # type: ignore[operator]
        assert (image.width, image.height, image.format) == (16, 16, "PNG")
    assert greys == GREYS


@pytest.mark.parametrize("source", [from_folder, from_zip, from_a_tar_in_a_zip])
def test_of_a_video_one_frame_a_second_is_taken(
    importer: Importer, clip: bytes, source: Callable[..., ImportPreview]
) -> None:
    preview = source(importer, {"cat/clip.mp4": clip, "dog/a.png": png(1), "dog/b.png": png(2)})
    inside = "inner/" if source is from_a_tar_in_a_zip else ""
    assert labels(preview) == {
        **dict.fromkeys(frames(f"{inside}cat/clip.mp4", [0, 10]), "cat"),
        f"{inside}dog/a.png": "dog", f"{inside}dog/b.png": "dog",
    }  # fmt: skip
    assert (asked(preview).chosen, asked(preview).doubtful, preview.refused) == ("seconds:1", True, ())
    assert any("2 images are frames of 1 file, one frame a second of each" in one for one in preview.notices)
    first = read_again(preview, answers={"frames": "first"})
    assert [image.name for image in first.found if image.group] == frames(f"{inside}cat/clip.mp4", [0])
    assert read_again(preview, answers={"frames": "every:5"}).counts == {"cat": 4, "dog": 2}
    discard(preview)
    assert [one for one in importer.left() if "staging/" in one] == []


def test_videos_and_animations_have_each_their_own_usual_way(importer: Importer, clip: bytes) -> None:
    preview = importer.folder({"clip.mp4": clip, "a.gif": animation("GIF")})
    assert asked(preview).chosen == "usual"
    assert [image.name for image in preview.found] == ["a.gif", *frames("clip.mp4", [0, 10])]
    every = importer.folder({}, answers={"frames": "every:4"})
    assert [image.name for image in every.found] == [
        *frames("a.gif", [0, 4]), *frames("clip.mp4", [0, 4, 8, 12, 16]),
    ]  # fmt: skip


@SOURCES
def test_what_a_table_says_of_a_file_holds_for_its_frames(
    importer: Importer, clip: bytes, source: Callable[..., ImportPreview]
) -> None:
    table = b"filename,label,split,weather\nclip.mp4,cat,train,rain\na.gif,dog,test,sun\nb.png,cat,train,sun\n"
    files = {"labels.csv": table, "clip.mp4": clip, "a.gif": animation("GIF"), "b.png": png(1)}
    preview = source(importer, files, answers={"frames": "every:4"})
    assert labels(preview) == {
        **dict.fromkeys(frames("a.gif", [0, 4]), "dog"),
        **dict.fromkeys(frames("clip.mp4", [0, 4, 8, 12, 16]), "cat"),
        "b.png": "cat",
    }
    assert {image.name for image in preview.found if image.test} == set(frames("a.gif", [0, 4]))
    weather = next(one for one in preview.groupings if one.key == "column:weather")
    assert weather.names["clip.mp4-000008.png"] == "rain"
    assert next(one for one in preview.readings if one.key == "table").labeled == 8


def test_predictions_of_a_file_are_of_its_frames(importer: Importer, clip: bytes) -> None:
    said = (
        b'[{"data": {"image": "clip.mp4"}, "predictions": [{"score": 0.5, "result": [{"from_name": "c", '
        b'"to_name": "image", "type": "choices", "value": {"choices": ["dog"]}}]}]}]'
    )
    preview = importer.folder({"tasks.json": said, "clip.mp4": clip})
    assert [one.predicted and one.predicted.label for one in preview.found] == ["dog", "dog"]


def test_the_frames_of_a_file_are_one_group_whatever_is_chosen(importer: Importer, tmp_path: Path) -> None:
    files = {f"{label}/{label}.gif": animation("GIF", greys) for label, greys in (("cat", [1, 2, 3]), ("dog", [7, 8]))}
    files["dog/x.png"] = png(4)
    preview = importer.folder(files, answers={"frames": "every:1"})
    expected = {
        **dict.fromkeys(frames("cat/cat.gif", [0, 1, 2]), "cat/cat.gif"),
        **dict.fromkeys(frames("dog/dog.gif", [0, 1]), "dog/dog.gif"),
    }
    assert groups(preview) == {**expected, "dog/x.png": None}
    assert (preview.group_by, preview.groupings[0].groups, preview.groupings[0].images) == ("file", 2, 5)
    for group_by in (None, "none"):
        with Project.create(tmp_path / f"project-{group_by}") as project:
            source = ImportSource("folder", importer.source / "set")
            mine = project.imports.scan(source, answers={"frames": "every:1"})
            project.imports.commit(mine, group_by=group_by)
            names = project.store.group_names()
            assert sorted(names.values()) == sorted(expected.values())


def test_a_column_of_scenes_goes_before_the_file(importer: Importer) -> None:
    table = b"filename,label,scene\na.gif,x,s1\nb.gif,y,s1\nc.png,x,s2\nd.png,y,s2\n"
    files = {
        "labels.csv": table, "a.gif": animation("GIF", [1, 2]), "b.gif": animation("GIF", [3, 4]),
        "c.png": png(1), "d.png": png(2), "e.gif": animation("GIF", [5, 6]),
    }  # fmt: skip
    preview = importer.folder(files, answers={"frames": "every:1"})
    assert preview.group_by == "column:scene" or preview.groupings[0].key == "file"
    scenes = next(one for one in preview.groupings if one.key == "column:scene").names
    assert {scenes[name] for name in frames("a.gif", [0, 1]) + frames("b.gif", [0, 1])} == {"s1"}
    assert {scenes[name] for name in frames("e.gif", [0, 1])} == {"e.gif"}


def test_a_damaged_video_gives_the_frames_before_the_damage_and_is_told(importer: Importer, tmp_path: Path) -> None:
    pytest.importorskip("av")
    data = video(tmp_path / "clip.avi", frames=60).read_bytes()
    at = len(data) // 2
    preview = importer.folder({"clip.avi": data[:at], "whole.png": png(1)}, answers={"frames": "every:5"})
    names = [image.name for image in preview.found]
    assert names[:2] == frames("clip.avi", [0, 5])
    assert len(names) < 13
    told = reasons(preview)["clip.avi"]
    assert told.startswith(f"{len(names) - 1} frames are taken, no more: ")
    assert "damaged" in told
    destroyed = importer.folder({"clip.avi": data[:400] + bytes(9000)})
    assert [image.name for image in destroyed.found] == ["whole.png"]
    assert "clip.avi" in reasons(destroyed)


def test_a_damaged_animation_gives_the_pages_before_the_damage_and_is_told(importer: Importer) -> None:
    pages = animation("TIFF", [10, 60, 110, 160])
    preview = importer.folder({"a.tif": pages[: len(pages) * 3 // 4]}, answers={"frames": "every:1"})
    if len(preview.found) > 1:
        assert "frames are taken, no more" in reasons(preview)["a.tif"]
    else:
        assert any("the first picture alone is taken of a.tif" in one for one in preview.notices)


def test_pages_that_do_not_say_how_long_they_last_give_the_first_and_say_so(importer: Importer) -> None:
    preview = importer.folder({"a.tif": animation("TIFF")}, answers={"frames": "seconds:1"})
    assert [image.name for image in preview.found] == ["a.tif"]
    assert any("does not say how long" in one for one in preview.notices)


def test_a_video_without_its_plug_in_is_named_with_the_command(
    importer: Importer, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    preview = importer.folder({"clip.mp4": clip, "a.png": png(1)})
    assert [image.name for image in preview.found] == ["a.png"]
    assert "pip install 'starling-workbench[video]'" in reasons(preview)["clip.mp4"]
    assert not any(one.key == "frames" for one in preview.questions)
    with pytest.raises(NothingToImport, match="pip install"):
        importer.files({"clip.mp4": clip})


def test_what_is_called_a_video_and_is_none_is_what_it_is(importer: Importer) -> None:
    preview = importer.folder({"a.mp4": png(1), "b.ts": b"export const a = 1;", "c.png": png(2)})
    assert [image.name for image in preview.found] == ["a.mp4", "c.png"]
    assert "text" in reasons(preview)["b.ts"]


def test_a_video_under_another_name_is_one(importer: Importer, clip: bytes) -> None:
    preview = importer.folder({"clip.dat": clip})
    assert [image.name for image in preview.found] == frames("clip.dat", [0, 10])


@SOURCES
def test_a_video_may_be_larger_than_any_other_file(
    importer: Importer, clip: bytes, source: Callable[..., ImportPreview]
) -> None:
    assert len(clip) > 2_000 > len(png(1))
    preview = source(importer, {"clip.mp4": clip, "a.png": png(1)}, limits=Limits(entry_bytes=2_000))
    assert len(preview.found) == 3


def test_an_answer_that_is_none_is_refused_and_one_without_a_question_is_of_no_use(importer: Importer) -> None:
    preview = importer.folder({"a.gif": animation("GIF")})
    for answer in ("every", "every:0", "every:x", "seconds:-1", "all", "usual", "every:²", "first:2"):
        with pytest.raises(ConfigError, match="first, every:N, seconds:N"):
            read_again(preview, answers={"frames": answer})
    assert len(importer.files({"a.png": png(1)}, answers={"frames": "every:3"}).found) == 1


def test_a_frame_does_not_take_the_name_of_a_file(importer: Importer) -> None:
    preview = importer.folder(
        {"a.gif": animation("GIF", [1, 2]), "a.gif-000001.png": png(3)}, answers={"frames": "every:1"}
    )
    assert sorted(image.name for image in preview.found) == [
        "a.gif--000001.png",
        "a.gif-000000.png",
        "a.gif-000001.png",
    ]


def test_equal_frames_are_one_image_and_told(importer: Importer) -> None:
    same = Image.new("RGB", (8, 8), (9, 9, 9))
    out = io.BytesIO()
    same.save(out, "TIFF", save_all=True, append_images=[same, Image.new("RGB", (8, 8), (90, 9, 9))])
    preview = importer.folder({"a.tif": out.getvalue()}, answers={"frames": "every:1"})
    assert [(image.name, image.copies) for image in preview.found] == [
        ("a.tif-000000.png", ("a.tif-000001.png",)), ("a.tif-000002.png", ()),
    ]  # fmt: skip


def test_the_same_import_again_adds_nothing_and_an_export_comes_back_with_its_names(
    importer: Importer, clip: bytes, tmp_path: Path
) -> None:
    data = zipped({"cat/clip.mp4": clip, "dog/a.gif": animation("GIF"), "dog/b.png": png(1)})
    (importer.source / "set.zip").write_bytes(data)
    source = ImportSource("zip", importer.source / "set.zip")
    with Project.create(tmp_path / "one") as project:
        answers = {"frames": "every:4"}
        first = project.imports.commit(project.imports.scan(source, answers=answers))
        assert (first.added, first.labels_added) == (5 + 2 + 1, 8)
        second = project.imports.commit(project.imports.scan(source, answers=answers))
        assert (second.added, second.already_there, second.labels_added) == (0, 8, 0)
        sources = frozenset({"imported"})
        written = {
            kind: project.exports.write(ExportOptions(kind, sources), target=tmp_path / f"out-{kind}.zip")
            for kind in ("imagefolder_zip", "fiftyone", "webdataset")
        }
        table = project.exports.write(ExportOptions("csv", sources), target=tmp_path / "labels.csv").read_bytes()
        found = project.imports.scan(source, answers=answers).found
        names = {image.name.rpartition("/")[2] for image in found}
        with_table = importer.folder({"labels.csv": table, **{one.name: one.staged.read_bytes() for one in found}})
        again = read_again(with_table, "table")
        assert labels(again) == {one.name: one.label for one in found}
        assert again.counts == {"cat": 5, "dog": 3}
    for kind, path in written.items():
        with Project.create(tmp_path / kind) as other:
            preview = other.imports.scan(ImportSource("zip", path))
            result = other.imports.commit(preview)
            assert (result.added, result.labels_added) == (8, 8)
            if kind != "webdataset":
                assert {image.name.rpartition("/")[2] for image in preview.found} == names
