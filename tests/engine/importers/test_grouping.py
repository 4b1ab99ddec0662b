"""Which images of a source belong together: what a table says, and what names, folders and cameras suggest."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from engine.errors import ConfigError
from engine.importers.grouping import choose_grouping, find_groupings, is_group_header, warning
from engine.records.imports import Grouping
from tests.engine.importers.import_samples import Importer, png

FRAMES = [f"scene{scene}_frame{frame:03}.jpg" for scene in range(8) for frame in range(5)]


def found(names, labels=None, columns=None, taken=None) -> dict[str, Grouping]:
    return {one.key: one for one in find_groupings(names, labels or {}, columns or {}, taken or {})}


@pytest.mark.parametrize(
    "header",
    ["group", "Scene", "video_id", "sequence", "seq_id", "Session", "patient", "patientId", "camera_trap_seq", "burst",
     "Clip name", "subjects", "group-id"],
)  # fmt: skip
def test_headers_that_say_which_images_belong_together(header: str) -> None:
    assert is_group_header(header)


@pytest.mark.parametrize(
    "header", ["label", "seq_num_frames", "grouping_hint", "obsession", "width", "videographer", ""]
)
def test_headers_that_do_not(header: str) -> None:
    assert not is_group_header(header)


def test_a_column_called_so_is_sure_and_the_coarsest_of_several() -> None:
    names = [f"{number}.png" for number in range(12)]
    session = {name: f"s{number // 2}" for number, name in enumerate(names)}
    patient = {name: f"p{number // 4}" for number, name in enumerate(names)}
    weight = {name: f"{number // 6}" for number, name in enumerate(names)}
    groupings = find_groupings(names, {}, {"session": session, "patient": patient, "weight": weight}, {})
    assert [(one.key, one.sure, one.proposed) for one in groupings] == [
        ("column:patient", True, False), ("column:session", False, False), ("column:weight", False, False),
    ]  # fmt: skip
    sure = groupings[0]
    assert (sure.groups, sure.images, sure.largest, sure.names["4.png"]) == (3, 12, 4, "p1")


def test_a_column_that_only_repeats_the_classes_is_not_taken_unasked() -> None:
    names = [f"{number}.png" for number in range(12)]
    labels = {name: "ab"[number % 2] for number, name in enumerate(names)}
    way = found(names, labels, {"group": labels})["column:group"]
    assert not way.sure


def test_frames_of_scenes_are_proposed_by_their_names() -> None:
    way = found(FRAMES)["name"]
    assert way.proposed
    assert not way.sure
    assert (way.groups, way.images, way.largest) == (8, 40, 5)
    assert way.names["scene3_frame004.jpg"] == "scene3_frame"


@pytest.mark.parametrize(
    "names",
    [
        [f"IMG_{number}.jpg" for number in range(40)],
        [f"{number:05}.png" for number in range(40)],
        [f"image-{number}.png" for number in range(40)],
        [f"video_{number:06}.jpg" for number in range(40)],  # one video alone leaves nothing to measure with
        [f"name{'abcdefghijklmnopqrstuvwxyz'[number]}.png" for number in range(26)],
    ],
)
def test_numbered_names_alone_are_no_scenes(names: list[str]) -> None:
    assert not any(one.proposed or one.sure for one in find_groupings(names, {}, {}, {}))


def test_names_that_begin_with_their_class_are_no_scenes() -> None:
    names = [f"{breed}/{breed}_{number}.jpg" for breed in ("pug", "beagle", "boxer", "collie") for number in range(9)]
    labels = {name: name.split("/")[0] for name in names}
    assert not any(one.proposed for one in find_groupings(names, labels, {}, {}))


def test_burst_numbers_after_a_camera_s_number() -> None:
    names = [f"IMG_{photo}_{shot:02}.jpg" for photo in range(1200, 1210) for shot in range(4)]
    assert found(names)["name"].names["IMG_1203_02.jpg"] == "IMG_1203"


def test_deeper_folders_are_proposed_and_class_and_split_folders_do_not_count() -> None:
    names = [
        f"{split}/{label}/{session}/{number}.jpg"
        for split, session in (("train", "s1"), ("train", "s2"), ("val", "s3"), ("val", "s4"))
        for label in ("cat", "dog")
        for number in range(3)
    ]
    labels = {name: name.split("/")[1] for name in names}
    ways = found(names, labels)
    assert [key for key in ways if key.startswith("folder")] == ["folder:3"]
    assert ways["folder:3"].proposed
    assert ways["folder:3"].names["train/dog/s2/1.jpg"] == "s2"


def test_a_plain_class_tree_has_no_groups() -> None:
    names = [f"{label}/{number}.jpg" for label in ("cat", "dog", "owl") for number in range(9)]
    assert find_groupings(names, {name: name.split("/")[0] for name in names}, {}, {}) == ()


def test_photos_of_one_camera_within_two_seconds_are_a_burst() -> None:
    times = {
        "a.jpg": ("Canon", "2024-05-01T10:00:00"), "b.jpg": ("Canon", "2024-05-01T10:00:02"),
        "c.jpg": ("Canon", "2024-05-01T10:00:04"), "d.jpg": ("Nikon", "2024-05-01T10:00:01"),
        "e.jpg": ("Canon", "2024-05-01T10:00:06.500000"),
    }  # fmt: skip
    way = found(list("abcde"), taken={}).get("exif")
    assert way is None
    way = found([*times, "f.jpg"], taken=times)["exif"]
    assert way.proposed
    assert (way.groups, way.images) == (1, 3)
    assert len({way.names[name] for name in ("a.jpg", "b.jpg", "c.jpg")}) == 1
    assert len({way.names[name] for name in times}) == 3
    assert "f.jpg" not in way.names


def test_a_text_that_cannot_name_a_group_gets_a_name_that_can() -> None:
    long = {"a.png": "x" * 500, "b.png": "x" * 500, "c.png": "x" * 499, "d.png": "  tab\there "}
    names = found(list(long), columns={"scene": long})["column:scene"].names
    assert names["a.png"] == names["b.png"] != names["c.png"]
    assert all(len(name) <= 200 and name.isprintable() for name in names.values())


def test_the_warning_says_what_each_image_by_itself_would_mean() -> None:
    words = warning(find_groupings(FRAMES, {}, {}, {}))
    assert "40 of these images may be of 8 scenes" in words
    assert "better than it is on new scenes" in words
    assert warning(()) == ""


def test_a_way_that_is_not_there_is_refused_with_those_that_are() -> None:
    groupings = find_groupings(FRAMES, {}, {}, {})
    assert choose_grouping(groupings, "none") is None
    with pytest.raises(ConfigError, match=r"column:scene.*name, none"):
        choose_grouping(groupings, "column:scene")


def test_a_table_beside_a_class_tree_says_groups_and_leaves_the_tree_s_labels(importer: Importer) -> None:
    rows = "file_name,scene\n" + "".join(f"{'cat' if n < 6 else 'dog'}/{n}.png,s{n // 2}\n" for n in range(12))
    files = {f"{'cat' if n < 6 else 'dog'}/{n}.png": png(n) for n in range(12)} | {"scenes.csv": rows.encode()}
    preview = importer.files(files)
    assert (preview.layout, preview.counts) == ("class tree", {"cat": 6, "dog": 6})
    assert preview.group_by == "column:scene"
    assert preview.groupings[0].names["dog/7.png"] == "s3"
    assert preview.refused == ()


def test_the_further_columns_of_a_table_of_labels_are_ways_to_group(importer: Importer) -> None:
    rows = "filename,label,Patient ID,age\n" + "".join(f"{n}.png,{'ab'[n % 2]},P{n // 3},{n // 6}\n" for n in range(12))
    preview = importer.files({f"{n}.png": png(n) for n in range(12)} | {"labels.csv": rows.encode()})
    assert preview.counts == {"a": 6, "b": 6}
    assert preview.group_by == "column:Patient ID"
    assert "column:age" in [one.key for one in preview.groupings]


def shot(grey: int, seconds: int) -> bytes:
    """A photo with the camera and the time in its EXIF data."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "EOS R5"
    exif.get_ifd(0x8769)[0x9003] = f"2024:05:01 10:00:{seconds:02}"
    out = io.BytesIO()
    Image.new("RGB", (6, 6), (grey, 0, 0)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_bursts_are_found_in_the_files_themselves(importer: Importer) -> None:
    files = {f"{number}.jpg": shot(20 * number, second) for number, second in enumerate((0, 1, 2, 10, 11, 30))}
    preview = importer.files(files)
    [way] = [one for one in preview.groupings if one.key == "exif"]
    assert way.proposed
    assert preview.group_by == "none"
    assert (way.groups, way.images) == (2, 5)
    assert way.names["4.jpg"] == "Canon EOS R5 2024-05-01 10:00:10"
