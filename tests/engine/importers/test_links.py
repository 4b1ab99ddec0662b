"""Symbolic links: followed inside the source, never out of it, and each file taken once."""

import os
from pathlib import Path

import pytest

from engine.errors import DecodeError, ImportRefused
from engine.importers.contents import Limits
from engine.importers.folder import FolderContents
from engine.importers.scan import ImportSource, scan
from tests.engine.importers.import_samples import Importer, folder, labels, png, quiet, reasons


def links(root: Path, targets: dict[str, str]) -> None:
    for name, target in targets.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)


def names(root: Path) -> list[str]:
    return [entry.name for entry in FolderContents(root, Limits()).listing.entries]


def test_links_out_of_the_folder_are_refused_and_never_followed(importer: Importer) -> None:
    outside = folder(importer.home / "source" / "outside", {"secret.png": png(9)})
    root = folder(importer.source / "set", {"a.png": png(1)})
    links(root, {"file.png": str(outside / "secret.png"), "dir": str(outside), "loop": str(root)})
    preview = importer.folder({})
    assert labels(preview) == {"a.png": None}
    assert reasons(preview) == {
        "file.png": "a symbolic link out of the folder",
        "dir": "a symbolic link out of the folder",
        "loop": "a symbolic link to a folder that it lies in",
    }
    assert any("2 symbolic links are not followed" in notice and "cp -rL" in notice for notice in preview.notices)


def test_links_to_a_hidden_store_are_followed_under_their_own_names(importer: Importer) -> None:
    root = folder(importer.source / "set", {".git/annex/objects/1": png(1), ".git/annex/objects/2": png(2)})
    links(root, {"cat/a.png": "../.git/annex/objects/1", "dog/b.png": "../.git/annex/objects/2"})
    preview = importer.folder({"cat/real.png": png(3)})
    assert labels(preview) == {"cat/a.png": "cat", "cat/real.png": "cat", "dog/b.png": "dog"}
    assert preview.refused == ()
    assert "2 symbolic links are followed to files inside the folder" in preview.notices


def test_a_class_tree_of_links_to_one_store_gives_the_names(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {f"store/{number}": png(number) for number in range(4)})
    links(root, {"cat/0.png": "../store/0", "cat/1.png": "../store/1", "dog/2.png": "../store/2"})
    contents = FolderContents(root, Limits())
    assert [entry.name for entry in contents.listing.entries] == ["cat/0.png", "cat/1.png", "dog/2.png", "store/3"]
    assert [contents.read(entry) for entry in contents.listing.entries] == [png(number) for number in range(4)]
    assert any("cat/0.png, not store/0" in notice for notice in contents.listing.notices)


def test_a_folder_of_favourites_leaves_the_files_their_own_names(importer: Importer) -> None:
    root = folder(importer.source / "set", {"cat/0.png": png(0), "dog/1.png": png(1), "dog/2.png": png(2)})
    links(root, {"best/0.png": "../cat/0.png", "best/1.png": "../dog/1.png"})
    preview = importer.folder({})
    assert labels(preview) == {"cat/0.png": "cat", "dog/1.png": "dog", "dog/2.png": "dog"}
    assert preview.skipped == 2
    assert any("2 symbolic links are left out" in notice for notice in preview.notices)


def test_a_file_with_links_in_two_classes_is_told_as_a_contradiction(importer: Importer) -> None:
    root = folder(importer.source / "set", {".store/0": png(0), "cat/1.png": png(1), "dog/2.png": png(2)})
    links(root, {"cat/0.png": "../.store/0", "dog/0.png": "../.store/0"})
    preview = importer.folder({})
    assert labels(preview)["cat/0.png"] is None
    assert [conflict.name for conflict in preview.conflicts] == ["cat/0.png"]


def test_a_linked_folder_is_listed_where_the_link_is(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {".data/v2/cat/0.png": png(0), ".data/v2/dog/1.png": png(1)})
    links(root, {"train": ".data/v2"})
    listing = FolderContents(root, Limits()).listing
    assert [entry.name for entry in listing.entries] == ["train/cat/0.png", "train/dog/1.png"]
    assert listing.folders == ("train", "train/cat", "train/dog")


def test_a_linked_folder_gives_no_second_name_to_files_that_have_links_of_their_own(importer: Importer) -> None:
    root = folder(importer.source / "set", {f"store/{number}": png(number) for number in range(4)})
    links(root, {f"set/cat/{number}.png": f"../../store/{number}" for number in (0, 1)})
    links(root, {f"set/dog/{number}.png": f"../../store/{number}" for number in (2, 3)})
    links(root, {"set/more": "../store"})
    (root / "set" / "fox").mkdir()
    preview = importer.folder({})
    assert preview.counts == {"cat": 2, "dog": 2, "fox": 0}
    assert (preview.skipped, preview.conflicts) == (4, ())
    assert any("4 names by way of linked folders are left out" in notice for notice in preview.notices)
    assert FolderContents(root, Limits()).listing.folders == ("set", "set/cat", "set/dog", "set/fox")


def test_links_in_circles_and_to_nothing_are_refused_alone(importer: Importer) -> None:
    root = folder(importer.source / "set", {"a/1.png": png(1), "b/2.png": png(2)})
    links(
        root, {"a/up": "..", "a/b": "../b", "b/a": "../a", "self": "self", "gone.png": "/nowhere", "dev": "/dev/null"}
    )
    preview = importer.folder({})
    assert set(labels(preview)) == {"a/1.png", "b/2.png"}
    found = reasons(preview)
    assert found["gone.png"] == "a symbolic link to nothing"
    assert found["a/up"] == "a symbolic link to a folder that it lies in"
    assert "cannot be followed" in found["self"]
    assert found["dev"] == "a symbolic link out of the folder"
    assert found["a/b/a"] == found["b/a/b"] == "a symbolic link to a folder, inside a folder that is linked itself"
    assert preview.skipped == 2, "a/b/2.png and b/a/1.png, which are taken under their own names"


def test_many_folders_that_link_to_each_other_end_soon(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {f"{number}/x.png": b"x" for number in range(12)})
    links(root, {f"{one}/to{other}": f"../{other}" for one in range(12) for other in range(12) if one != other})
    listing = FolderContents(root, Limits()).listing
    taken = {entry.token for entry in listing.entries}
    assert taken == {f"{number}/x.png" for number in range(12)}
    assert len(listing.entries) + listing.skipped <= 12 * 12


def test_linked_files_count_under_the_cap(importer: Importer) -> None:
    root = folder(importer.source / "set", {".store/1": png(1)})
    links(root, {f"{number}.png": ".store/1" for number in range(4)})
    with pytest.raises(ImportRefused, match="more than 4 files"):
        importer.folder({}, limits=Limits(folder_files=4))


def test_a_folder_given_as_a_link_is_read(importer: Importer) -> None:
    folder(importer.source / "real", {"cat/a.png": png(1), "dog/b.png": png(2)})
    (importer.source / "set").symlink_to("real")
    preview = scan(ImportSource("folder", importer.source / "set"), importer.staging, quiet)
    assert labels(preview) == {"cat/a.png": "cat", "dog/b.png": "dog"}


def test_a_link_over_an_upper_folder_is_resolved_before_it_is_judged(tmp_path: Path) -> None:
    folder(tmp_path / "set-two", {"a.png": b"secret"})
    root = folder(tmp_path / "set", {"x/1.png": b"1", ".s/2.png": b"2"})
    links(root, {"x/out.png": "../../set-two/a.png", "x/in.png": "../../set/.s/2.png"})
    listing = FolderContents(root, Limits()).listing
    assert [entry.name for entry in listing.entries] == ["x/1.png", "x/in.png"]
    assert [refusal.name for refusal in listing.refused] == ["x/out.png"]


def test_a_folder_swapped_for_a_link_after_listing_is_not_read_through(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"cat/a.png": png(1)})
    folder(tmp_path / "outside", {"a.png": b"secret"})
    contents = FolderContents(root, Limits())
    (root / "cat").rename(root / "moved")
    links(root, {"cat": str(tmp_path / "outside")})
    with pytest.raises(DecodeError, match="cannot be read"):
        contents.read(contents.listing.entries[0])


def test_where_a_link_led_when_it_was_listed_is_what_is_read(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {".store/1": png(1)})
    outside = folder(tmp_path / "outside", {"1": b"secret"})
    links(root, {"a.png": ".store/1"})
    contents = FolderContents(root, Limits())
    (root / "a.png").unlink()
    links(root, {"a.png": str(outside / "1")})
    assert contents.read(contents.listing.entries[0]) == png(1)
    (root / ".store" / "1").unlink()
    links(root, {".store/1": str(outside / "1")})
    with pytest.raises(DecodeError, match="cannot be read"):
        contents.read(contents.listing.entries[0])


def test_folders_are_listed_also_empty_and_damaged_ones_but_not_litter(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"cat/1.png": b"1", "cat/.ipynb_checkpoints/1.png": b"1", ".net/1.png": b"2"})
    (root / "train" / "fox").mkdir(parents=True)
    (root / "pipes").mkdir()
    os.mkfifo(root / "pipes" / "1.png")
    assert FolderContents(root, Limits()).listing.folders == ("cat", "pipes", "train", "train/fox")
    assert names(root) == ["cat/1.png"]
