"""What is no part of a set is named with its number of files, in zips and in folders alike."""

from contextlib import closing
from pathlib import Path

import pytest

from engine.importers.archive import ZipContents
from engine.importers.contents import Limits, Listing
from engine.importers.folder import FolderContents
from tests.engine.importers.import_samples import Files, folder, zipped


@pytest.fixture(params=["zip", "folder"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def listed(tmp_path: Path, kind: str, files: Files) -> Listing:
    if kind == "folder":
        return FolderContents(folder(tmp_path / "set", files), Limits()).listing
    (tmp_path / "set.zip").write_bytes(zipped(files))
    with closing(ZipContents(tmp_path / "set.zip", Limits())) as contents:
        return contents.listing


def test_a_hidden_class_is_named_with_its_count_and_the_way_to_take_it_in(tmp_path: Path, kind: str) -> None:
    files = {f"{name}/{number}.jpg": b"x" for name in ("cat", ".net") for number in range(4)}
    listing = listed(tmp_path, kind, files)
    assert listing.left_out == {".net": 4}
    (told,) = listing.notices
    assert told.startswith("the folder .net is hidden")
    assert "4 files" in told
    assert "rename it" in told


def test_checkpoints_of_notebooks_are_summed_up_also_inside_hidden_folders(tmp_path: Path, kind: str) -> None:
    places = ("", "cat/", "dog/", ".net/")
    files = {f"{place}.ipynb_checkpoints/{number}.jpg": b"x" for place in places for number in range(2)}
    listing = listed(tmp_path, kind, {**files, "cat/1.jpg": b"x", ".net/1.jpg": b"x"})
    assert listing.left_out == {".ipynb_checkpoints in 4 folders": 8, ".net": 1}
    assert listing.skipped == 9
    assert "left out as no part of the set: .ipynb_checkpoints in 4 folders (8 files)" in listing.notices


def test_a_hidden_image_is_named(tmp_path: Path, kind: str) -> None:
    listing = listed(tmp_path, kind, {"cat/.hidden.jpg": b"x", "cat/1.jpg": b"x"})
    assert listing.left_out == {"cat/.hidden.jpg": 1}
    assert listing.notices == ["1 image is hidden (its name begins with a dot) and left out: cat/.hidden.jpg"]


def test_hidden_files_are_summed_up(tmp_path: Path, kind: str) -> None:
    listing = listed(tmp_path, kind, {"cat/.a": b"x", "cat/.b": b"x", "dog/.c/settings": b"x", "cat/1.jpg": b"x"})
    assert sorted(listing.left_out.values()) == [1, 2]
    assert listing.left_out["dog/.c"] == 1
    (told,) = listing.notices
    assert "hidden files such as cat/." in told
    assert "dog/.c (1 file)" in told


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("__MACOSX/cat/._1.jpg", "__MACOSX"),
        ("cat/._1.jpg", "cat/._1.jpg"),
        ("cat/.DS_Store", "cat/.DS_Store"),
        ("cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "cat/@eaDir"),
        ("$RECYCLE.BIN/1.jpg", "$RECYCLE.BIN"),
        (".thumbnails/1.jpg", ".thumbnails"),
        ("cat/Thumbs.db", "cat/Thumbs.db"),
        ("manifest.json", "manifest.json"),
    ],
)
def test_litter_is_named_but_never_called_hidden(tmp_path: Path, kind: str, name: str, key: str) -> None:
    listing = listed(tmp_path, kind, {name: b"x", "cat/1.jpg": b"x"})
    assert listing.left_out == {key: 1}
    assert listing.notices == [f"left out as no part of the set: {key} (1 file)"]
    assert [entry.name for entry in listing.entries] == ["cat/1.jpg"]


def test_long_lists_are_cut_but_the_data_are_whole(tmp_path: Path, kind: str) -> None:
    listing = listed(tmp_path, kind, {f".class{number:02}/1.jpg": b"x" for number in range(15)} | {"a.jpg": b"x"})
    assert len(listing.left_out) == listing.skipped == 15
    assert len(listing.notices) == 11
    assert listing.notices[-1] == "and 5 more hidden folders with images"


def test_a_set_without_litter_says_nothing(tmp_path: Path, kind: str) -> None:
    listing = listed(tmp_path, kind, {"cat/1.jpg": b"x", "a..b/@home/#1.jpg": b"x"})
    assert (listing.left_out, listing.skipped, listing.notices) == ({}, 0, [])
