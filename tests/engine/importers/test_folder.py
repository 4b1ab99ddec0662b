import os
from pathlib import Path

import pytest

from engine.errors import DecodeError, ImportRefused, NothingToImport, SourceMissing
from engine.importers.contents import Entry, Limits
from engine.importers.folder import FolderContents
from engine.importers.scan import ImportSource, scan
from tests.engine.importers.import_samples import Importer, folder, labels, png, quiet, reasons


def test_a_file_swapped_for_a_link_after_listing_is_not_read(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"a.png": png(1)})
    (tmp_path / "secret").write_bytes(b"secret")
    contents = FolderContents(root, Limits())
    (root / "a.png").unlink()
    (root / "a.png").symlink_to(tmp_path / "secret")
    with pytest.raises(DecodeError, match="cannot be read"):
        contents.read(contents.listing.entries[0])


def test_a_pipe_is_refused_without_waiting_for_it(importer: Importer) -> None:
    folder(importer.source / "set", {"a.png": png(1)})
    os.mkfifo(importer.source / "set" / "pipe.png")
    assert reasons(importer.folder({})) == {"pipe.png": "not an ordinary file"}


def test_a_name_that_is_no_unicode_is_refused(importer: Importer) -> None:
    folder(importer.source / "set", {"a.png": png(1)})
    with open(os.fsencode(importer.source / "set") + b"/\xff.png", "wb") as file:
        file.write(png(2))
    preview = importer.folder({})
    assert reasons(preview) == {"\\udcff.png": "the name contains a control character or is not valid Unicode"}


def test_dotfiles_are_skipped_and_counted(importer: Importer) -> None:
    preview = importer.folder({".git/a.png": png(1), ".hidden.png": png(2), "a.png": png(3)})
    assert (preview.skipped, list(labels(preview))) == (2, ["a.png"])


def test_a_missing_folder_a_file_and_an_empty_folder_are_told_apart(importer: Importer) -> None:
    with pytest.raises(SourceMissing, match="no such folder"):
        scan(ImportSource("folder", importer.source / "none"), importer.staging, quiet)
    (importer.source / "file").write_bytes(png(1))
    with pytest.raises(ImportRefused, match="file, not a folder"):
        scan(ImportSource("folder", importer.source / "file"), importer.staging, quiet)
    (importer.source / "empty").mkdir()
    with pytest.raises(NothingToImport, match="No readable image"):
        scan(ImportSource("folder", importer.source / "empty"), importer.staging, quiet)
    assert importer.left() == []


def test_a_folder_that_contains_the_project_is_refused(importer: Importer) -> None:
    with pytest.raises(ImportRefused, match="contains the project"):
        scan(ImportSource("folder", importer.home), importer.staging, quiet)


def test_too_many_files_are_refused(importer: Importer) -> None:
    with pytest.raises(ImportRefused, match="more than 3 files"):
        importer.folder({f"{number}.png": png(number) for number in range(4)}, limits=Limits(folder_files=3))
    assert importer.left() == []


def test_folders_deeper_than_the_cap_are_refused_alone(importer: Importer) -> None:
    preview = importer.folder({"a/b/c/d.png": png(1), "x.png": png(2)}, limits=Limits(folder_depth=2))
    assert reasons(preview) == {"a/b/c": "too many folders inside each other"}


def test_a_file_over_the_cap_is_refused(importer: Importer) -> None:
    preview = importer.folder({"large.png": png(1) * 50, "a.png": png(2)}, limits=Limits(entry_bytes=1000))
    assert "larger" in reasons(preview)["large.png"]


def test_the_originals_are_left_as_they_were(importer: Importer) -> None:
    files = {"cat/a.png": png(1), "dog/b.png": png(2)}
    importer.folder(files)
    root = importer.source / "set"
    assert {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")} == files


def test_entries_are_sorted_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"b.png": b"1", "a/z.png": b"2", "a.png": b"3"})
    assert [entry.name for entry in FolderContents(root, Limits()).listing.entries] == ["a.png", "a/z.png", "b.png"]
    assert isinstance(FolderContents(root, Limits()).listing.entries[0], Entry)
