import hashlib
import io
import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import ConfigError, ImportRefused
from engine.importers import contents, staging
from engine.importers.scan import ImportSource, discard, place, read_again, scan
from tests.engine.images.image_samples import encoded, png_header, solid
from tests.engine.importers.import_samples import Importer, by_hand, folder, labels, png, quiet, reasons, zipped

CSV = b"filename,label\na.png,cat\nb.png,\nnone.png,dog\n"


def test_a_class_tree_is_found_with_counts(importer: Importer) -> None:
    preview = importer.files({"s/cat/1.png": png(1), "s/cat/2.png": png(2), "s/dog/3.png": png(3), "s/4.png": png(4)})
    assert (preview.layout, preview.counts, preview.unlabeled) == ("class tree", {"cat": 2, "dog": 1}, 1)
    assert preview.source == "set.zip"


def test_what_is_found_is_described_and_staged_by_content(importer: Importer) -> None:
    data = encoded(solid(5, (6, 3)))
    (image,) = importer.files({"x.jpg": data}).found
    assert (image.name, image.format, image.width, image.height, image.channels) == ("x.jpg", "PNG", 6, 3, 1)
    assert (image.bytes, image.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert image.staged.read_bytes() == data
    assert image.staged.name == image.sha256


def test_a_table_wins_over_folders(importer: Importer) -> None:
    preview = importer.files({"s/labels.csv": CSV, "s/x/a.png": png(1), "s/y/b.png": png(2)})
    assert preview.layout == "images + CSV"
    assert labels(preview) == {"s/x/a.png": "cat", "s/y/b.png": None}
    assert "no such file" in reasons(preview)["s/labels.csv, row 4: none.png"]
    assert any("s/labels.csv" in notice for notice in preview.notices)


def test_a_table_of_something_else_is_listed_as_refused(importer: Importer) -> None:
    preview = importer.files({"sizes.csv": b"a,b\n1,2\n", "cat/1.png": png(1), "dog/2.png": png(2)})
    assert preview.layout == "class tree"
    assert "table" in reasons(preview)["sizes.csv"]


@pytest.mark.parametrize(
    ("reading", "title", "counts"),
    [
        ("class_tree", "class tree", {"x": 1, "y": 1}), ("table", "images + CSV", {"cat": 1}),
        ("images_only", "images only", {}),
    ],
)  # fmt: skip
def test_the_format_can_be_chosen_at_once_or_afterwards(
    importer: Importer, reading: str, title: str, counts: dict[str, int]
) -> None:
    files = {"labels.csv": CSV, "x/a.png": png(1), "y/b.png": png(2)}
    chosen = importer.files(files, reading=reading)
    assert (chosen.counts, chosen.layout, chosen.reading) == (counts, title, reading)
    afterwards = read_again(importer.files(files), reading)
    assert (afterwards.counts, afterwards.layout, afterwards.reading) == (counts, title, reading)


def test_a_layout_that_does_not_fit_or_exist_is_refused(importer: Importer) -> None:
    with pytest.raises(ImportRefused, match="no table"):
        importer.files({"a.png": png(1)}, reading="table")
    with pytest.raises(ConfigError):
        importer.files({"a.png": png(1)}, reading="morse")
    assert importer.left() == []


def test_a_set_without_any_label_is_fine(importer: Importer) -> None:
    preview = importer.files({"a.png": png(1), "b.png": png(2)})
    assert (preview.layout, preview.counts, preview.unlabeled) == ("images only", {}, 2)


def test_copies_of_one_image_are_taken_once_under_the_first_name(importer: Importer) -> None:
    preview = importer.files({"cat/b.png": png(1), "cat/a.png": png(1), "dog/c.png": png(2)})
    assert labels(preview) == {"cat/a.png": "cat", "dog/c.png": "dog"}
    assert any("same content" in notice for notice in preview.notices)


def test_a_copy_gives_its_label_to_an_unlabeled_first(importer: Importer) -> None:
    preview = importer.files({"a.png": png(1), "cat/b.png": png(1), "dog/c.png": png(2)})
    assert labels(preview)["a.png"] == "cat"


def test_copies_with_different_labels_are_unlabeled_and_listed(importer: Importer) -> None:
    preview = importer.files({"cat/a.png": png(1), "dog/b.png": png(1), "dog/c.png": png(2)})
    assert labels(preview) == {"cat/a.png": None, "dog/c.png": "dog"}
    assert (preview.counts, preview.unlabeled) == ({"cat": 0, "dog": 1}, 1)
    (conflict,) = preview.conflicts
    assert conflict.name == "cat/a.png"
    assert "cat/a.png" in conflict.reason
    assert "dog/b.png" in conflict.reason


def test_rows_that_contradict_each_other_are_listed_as_a_conflict(importer: Importer) -> None:
    table = b"filename,label\na.png,cat\na.png,dog\nb.png,cat\n"
    preview = importer.files({"l.csv": table, "a.png": png(1), "b.png": png(2)})
    assert labels(preview) == {"a.png": None, "b.png": "cat"}
    assert preview.conflicts[0].reason == "different labels: “cat”, “dog”"


def test_names_that_collide_by_case_are_imported_and_listed(importer: Importer) -> None:
    preview = importer.files({"A.png": png(1), "a.png": png(2), "e\u0301.png": png(3), "\xe9.png": png(4)})
    assert len(preview.found) == 4
    assert sum("differ only in case" in notice for notice in preview.notices) == 2


def test_bad_files_are_refused_one_by_one_with_their_reasons(importer: Importer) -> None:
    files = {
        "empty.png": b"",
        "half.jpg": encoded(Image.effect_noise((64, 64), 90), "JPEG")[:900],
        "bomb.png": png_header(50_000, 50_000),
        "vector.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "page.jpg": b"<!DOCTYPE html><html></html>",
        "print.eps": b"%!PS-Adobe-3.0 EPSF-3.0",
        "star.fits": b"SIMPLE  =                    T",
        "ok.png": png(1),
    }
    preview = importer.files(files)
    found = reasons(preview)
    assert list(labels(preview)) == ["ok.png"]
    assert set(found) == set(files) - {"ok.png"}
    said = {"empty.png": "empty", "half.jpg": "cut off", "bomb.png": "pixels", "vector.png": "SVG", "page.jpg": "HTML"}
    assert {name for name, word in said.items() if word in found[name]} == set(said)


def test_a_wrong_ending_is_noticed_and_the_content_counts(importer: Importer) -> None:
    preview = importer.files({"a.jpg": png(1), "b.png": png(2), "c": png(3)})
    assert {image.format for image in preview.found} == {"PNG"}
    assert [notice for notice in preview.notices if "ending" in notice] == [
        "1 name has an ending of another format; the content counts (such as a.jpg)"
    ]


def test_every_copy_of_a_bad_file_is_listed(importer: Importer) -> None:
    preview = importer.files({"a.png": b"junk", "b.png": b"junk", "c.png": png(1)})
    assert list(reasons(preview)) == ["a.png", "b.png"]


def test_remarks_of_the_decoder_are_summed_up(importer: Importer) -> None:
    clear = [encoded(solid((0, 0, shade, 9), mode="RGBA")) for shade in (1, 2)]
    preview = importer.files({"a.png": clear[0], "b.png": clear[1]})
    assert "2 images: transparent parts are shown over white" in preview.notices
    assert preview.found[0].notices


def test_nothing_is_written_outside_the_staging_folder(importer: Importer) -> None:
    preview = importer.zip(zipped([("../../evil.png", png(1)), ("/tmp/evil.png", png(2)), ("ok.png", png(3))]))
    assert preview.staging.parent == importer.staging
    assert all(name.startswith("project/staging/import-") for name in importer.left())
    discard(preview)
    assert importer.left() == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(importer: Importer, failure: type[BaseException]) -> None:
    def progress(label: str, done: int, total: int) -> None:
        if done >= 64:
            raise failure

    root = folder(importer.source / "set", {f"{number}.png": png(number) for number in range(200)})
    with pytest.raises(failure):
        scan(ImportSource("folder", root), importer.staging, progress)
    assert importer.left() == []


def test_a_table_that_cannot_be_read_refuses_all_and_leaves_nothing(importer: Importer) -> None:
    with pytest.raises(ImportRefused):
        importer.files({"a.png": png(1), "labels.csv": b'filename,label\na.png,"cat\n'})
    assert importer.left() == []


def test_a_full_disk_refuses_all_and_leaves_nothing(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImportRefused, match="disk is full"):
        importer.files({"a.png": png(1)}, limits=contents.Limits(free_bytes=1 << 60))
    monkeypatch.setattr(staging, "_path_of", lambda folder, sha256: "/dev/full")
    with pytest.raises(ImportRefused, match="disk is full"):
        importer.files({"a.png": png(1)})
    assert importer.left() == []


def test_placing_moves_originals_and_thumbnails_by_content(importer: Importer) -> None:
    data = {"cat/a.png": png(1), "dog/b.png": png(2)}
    preview = importer.files(data)
    root = importer.home / "project"
    place(preview, root, quiet)
    for content in data.values():
        sha256 = hashlib.sha256(content).hexdigest()
        assert (root / "images" / sha256[:2] / sha256).read_bytes() == content
        thumb = (root / "thumbs" / sha256[:2] / f"{sha256}.webp").read_bytes()
        assert Image.open(io.BytesIO(thumb)).size == (5, 5)
    discard(preview)
    discard(preview)
    assert list(importer.staging.iterdir()) == []


def test_placing_twice_and_over_what_is_there_is_harmless(importer: Importer) -> None:
    root = importer.home / "project"
    for _ in range(2):
        preview = importer.files({"a.png": png(1)})
        place(preview, root, quiet)
        place(preview, root, quiet)
        discard(preview)
    assert len(list((root / "images").rglob("*"))) == 256 + 1


def test_nothing_that_was_refused_is_placed(importer: Importer, tmp_path: Path) -> None:
    files = {
        **{f"{number}.png": png(number) for number in range(30)},
        **{f"x{n}.png": bytes([n]) * 9 for n in range(99)},
    }
    preview = importer.files(files)
    assert len(preview.found) == 30
    root = tmp_path / "home"
    place(preview, root, quiet)
    expected = sorted(image.sha256 for image in preview.found)
    assert sorted(path.name for path in (root / "images").glob("*/*")) == expected
    assert sorted(path.stem for path in (root / "thumbs").glob("*/*")) == expected


def test_placing_what_was_discarded_is_refused(importer: Importer) -> None:
    preview = importer.files({"a.png": png(1)})
    shutil.rmtree(preview.staging)
    with pytest.raises(ImportRefused, match="could not be placed"):
        place(preview, importer.home / "project", quiet)


def test_labels_of_any_source_can_be_hidden(importer: Importer) -> None:
    root = folder(
        importer.source / "set",
        {f"{label}/{n}.png": png(n + 9 * (label == "dog")) for label in ("cat", "dog") for n in range(9)},
    )
    preview = scan(ImportSource("folder", root, labels_kept=4), importer.staging, quiet)
    assert preview.counts == {"cat": 2, "dog": 2}
    assert sum(image.truth is not None for image in preview.found) == 14
    with pytest.raises(ConfigError, match="More labels"):
        scan(ImportSource("folder", root, labels_kept=19), importer.staging, quiet)


def test_class_left_out_is_neither_declared_nor_labeled_but_its_truth_is_kept(importer: Importer) -> None:
    root = folder(
        importer.source / "set",
        {f"{label}/{n}.png": png(n + 9 * (label == "dog")) for label in ("cat", "dog") for n in range(9)},
    )
    preview = scan(ImportSource("folder", root, labels_kept=4, without=("dog",)), importer.staging, quiet)
    assert preview.counts == {"cat": 4}
    assert [image.truth for image in preview.found].count("dog") == 9
    every = scan(ImportSource("folder", root, without=("dog",)), importer.staging, quiet)
    assert every.counts == {"cat": 9}
    with pytest.raises(ConfigError, match="owl"):
        scan(ImportSource("folder", root, without=("owl",)), importer.staging, quiet)


def test_the_name_of_a_source_is_shown(importer: Importer) -> None:
    root = folder(importer.source / "set", {"a.png": png(1)})
    assert scan(ImportSource("folder", root, name="Mine"), importer.staging, quiet).source == "Mine"
    assert scan(ImportSource("folder", root), importer.staging, quiet).source == "set"


def test_progress_reaches_the_total(importer: Importer) -> None:
    told: list[tuple[int, int]] = []
    root = folder(importer.source / "set", {f"{number}.png": png(number) for number in range(70)})
    scan(ImportSource("folder", root), importer.staging, lambda label, done, total: told.append((done, total)))
    assert told[-1] == (70, 70)
    assert (64, 70) in told


def test_a_table_of_a_few_images_does_not_take_the_labels_of_the_folders_and_both_readings_are_told(
    importer: Importer,
) -> None:
    files = {f"{label}/{n}.png": png(10 * k + n) for k, label in enumerate(("cat", "dog")) for n in range(5)}
    preview = importer.files({**files, "checked.csv": b"filename,label\ncat/0.png,ok\ndog/3.png,blurry\n"})
    assert preview.counts == {"cat": 5, "dog": 5}
    assert [(one.key, one.labeled) for one in preview.readings[:2]] == [("class_tree", 10), ("table", 2)]
    assert any("could also be read as images + CSV" in notice for notice in preview.notices)
    assert read_again(preview, "table").counts == {"blurry": 1, "ok": 1}


def test_the_encoding_of_a_zips_names_can_be_changed_without_reading_it_again(importer: Importer) -> None:
    entries = []
    for number, label in enumerate(("猫", "犬", "鳥", "馬")):
        for copy in range(2):
            entries.append((f"{label}/{copy}.png".encode("cp932"), png(10 * number + copy)))
    preview = importer.zip(by_hand(entries))
    assert set(preview.counts) == {"猫", "犬", "鳥", "馬"}
    question = next(one for one in preview.questions if one.key == "encoding")
    assert question.chosen == "cp932"
    other = next(value for value, _ in question.options if value != "cp932")
    (importer.source / "set.zip").unlink()
    again = read_again(preview, answers={"encoding": other})
    assert len(again.counts) == 4
    assert not set(again.counts) & set(preview.counts)
    assert read_again(again, answers={"encoding": "cp932"}).counts == preview.counts
    with pytest.raises(ConfigError, match="encoding"):
        read_again(preview, answers={"encoding": "klingon"})


def test_an_empty_class_folder_is_a_class(importer: Importer) -> None:
    folder(importer.source / "set", {"cat/1.png": png(1), "dog/2.png": png(2)})
    (importer.source / "set" / "fox").mkdir()
    preview = scan(ImportSource("folder", importer.source / "set"), importer.staging, quiet)
    assert preview.counts == {"cat": 1, "dog": 1, "fox": 0}


def test_preview_of_many_images_holds_little_of_each(tmp_path: Path) -> None:
    count = 600
    (tmp_path / "set.zip").write_bytes(zipped({f"{k % 3}/{k:04d}.png": _numbered(k) for k in range(count)}))
    source = ImportSource("zip", tmp_path / "set.zip")
    discard(scan(source, tmp_path / "staging", quiet))  # what is made once
    tracemalloc.start()
    preview = scan(source, tmp_path / "staging", quiet)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(preview.found) == count
    assert held < 750 * count


def _numbered(number: int) -> bytes:
    """A PNG that no other number has."""
    pixels = np.zeros((4, 4), np.uint8)
    pixels[0] = [number % 256, number // 256, 0, 0]
    return encoded(Image.fromarray(pixels))


def test_classes_come_in_the_order_of_the_source_and_else_as_a_person_sorts_them(importer: Importer) -> None:
    about = json.dumps({"classes": ["owl", "cat", "none"], "labels": {"1": 1, "2": 0}}).encode()
    preview = importer.files({"data/1.png": png(1), "data/2.png": png(2), "labels.json": about})
    assert list(preview.counts.items()) == [("owl", 1), ("cat", 1), ("none", 0)]
    numbers = importer.files({f"{name}/1.png": png(at) for at, name in enumerate(("10", "9", "x²", "²", "b2", "B10"))})
    assert list(numbers.counts) == ["9", "10", "b2", "B10", "x²", "²"]
