import stat
import struct
import tracemalloc
import zipfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.errors import ArchiveRefused, DecodeError, ImportRefused, NothingToImport, SourceMissing
from engine.importers.archive import ZipContents
from engine.importers.contents import Limits
from engine.importers.scan import ImportSource, scan
from tests.engine.images.image_samples import encoded
from tests.engine.importers.import_samples import Importer, by_hand, labels, patched, png, quiet, reasons, zipped

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def raw_name(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace a name in both headers; zipfile's writer would have altered it."""
    assert len(old) == len(new)
    return data.replace(old, new)


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x.png", "outside"),
        ("a/../x.png", "outside"),
        ("/etc/x.png", "absolute"),
        ("C:/x/y.png", "absolute"),
        ("//host/x.png", "absolute"),
        ("a//x.png", "empty part"),
    ],
)
def test_a_path_that_leaves_the_source_is_refused(importer: Importer, name: str, said: str) -> None:
    preview = importer.zip(zipped([(name, png(1)), ("ok/a.png", png(2))]))
    assert said in reasons(preview)[name]
    assert list(labels(preview)) == ["ok/a.png"]


@pytest.mark.parametrize(
    ("name", "shown", "said"),
    [
        (b"a\\b\\x.png", "a\\b\\x.png", "backslash"),
        (b"C:\\ab\\x.png", "C:\\ab\\x.png", "backslash"),
        (b"a\nb.png", "a\\nb.png", "control"),
        (b"a\0b.png", "a\\x00b.png", "control"),
        (b"\0", "\\x00", "control"),
        (b"a/\0b.png", "a/\\x00b.png", "control"),
        (b"a\x1b[0m.png", "a\\x1b[0m.png", "control"),
    ],
)
def test_backslashes_and_control_characters_are_refused_and_shown_escaped(
    importer: Importer, name: bytes, shown: str, said: str
) -> None:
    plain = b"N" * len(name)
    data = raw_name(zipped([(plain.decode(), png(1)), ("ok.png", png(2))]), plain, name)
    preview = importer.zip(data)
    assert said in reasons(preview)[shown]
    assert list(labels(preview)) == ["ok.png"]


@pytest.mark.parametrize(
    "name",
    [
        "CON.png",
        "nul",
        "a.",
        "b ",
        "a:b.png",
        "-rf.png",
        "\u202egnp.exe.png",
        "ä/ö.png",
        "x" * 300 + ".png",
        "日本.png",
    ],
)
def test_odd_names_are_accepted_as_data(importer: Importer, name: str) -> None:
    assert list(labels(importer.files({name: png(1)}))) == [name]


def test_a_direction_override_is_escaped_in_the_listing(importer: Importer) -> None:
    preview = importer.files({"\u202egnp.txt": b"text", "a.png": png(1)})
    assert list(reasons(preview)) == ["\\u202egnp.txt"]


def test_utf8_names_without_the_flag_are_read_as_utf8(importer: Importer) -> None:
    data = raw_name(zipped({"QQ/a.png": png(1), "b.png": png(2)}), b"QQ/", "é/".encode())
    assert "é/a.png" in labels(importer.zip(data))


def test_a_leading_dot_slash_is_taken_off(importer: Importer) -> None:
    preview = importer.files({"./": b"", "./cat/": b"", "./cat/a.png": png(1)})
    assert (list(labels(preview)), preview.refused) == (["cat/a.png"], ())


def test_the_paths_of_a_windows_packer_are_read_as_folders(importer: Importer) -> None:
    entries = [(b"set\\cat\\1.png", png(1)), (b"set\\dog\\2.png", png(2)), (b"set\\fox\\", b""), (b"..\\x.png", png(3))]
    preview = importer.zip(by_hand([*entries, (b"readme.txt", b"text"), (b"\\\\host\\x.png", png(4))], system=0))
    assert labels(preview) == {"set/cat/1.png": "cat", "set/dog/2.png": "dog"}
    assert "outside" in reasons(preview)["../x.png"]
    assert "absolute" in reasons(preview)["//host/x.png"]
    assert any("backslashes" in notice and "set\\cat\\1.png as set/cat/1.png" in notice for notice in preview.notices)


def test_backslashes_are_folders_where_all_entries_have_them(importer: Importer) -> None:
    entries = [(b"cat\\1.png", png(1)), (b"dog\\2.png", png(2))]
    assert labels(importer.zip(by_hand(entries, system=3))) == {"cat/1.png": "cat", "dog/2.png": "dog"}
    mixed = importer.zip(by_hand([*entries, (b"owl/3.png", png(3))], system=3))
    assert set(reasons(mixed).values()) == {"the name contains a backslash"}


def test_a_backslash_beside_a_slash_is_refused_also_from_windows(importer: Importer) -> None:
    preview = importer.zip(by_hand([(b"a\\b/1.png", png(1)), (b"ok\\2.png", png(2))], system=0))
    assert (list(labels(preview)), list(reasons(preview))) == (["ok/2.png"], ["a\\b/1.png"])


def test_folders_are_listed_also_empty_ones_and_those_of_refused_files(tmp_path: Path) -> None:
    files = {"./": b"", "a/fox/": b"", "cat/1.png": b"x", "zips/in.zip": b"x", ".git/x/": b"", "__MACOSX/cat/": b""}
    path = tmp_path / "set.zip"
    path.write_bytes(zipped({**files, "../evil/x.png": b"x", ".net/1.png": b"x"}))
    with closing(ZipContents(path, Limits())) as contents:
        assert contents.listing.folders == ("a", "a/fox", "cat", "zips")


@pytest.mark.parametrize(("mode", "said"), [(stat.S_IFLNK | 0o777, "link"), (stat.S_IFIFO | 0o644, "ordinary")])
def test_links_and_special_files_are_refused_by_mode(importer: Importer, mode: int, said: str) -> None:
    preview = importer.zip(zipped([(special("l.png", mode), b"/etc/passwd"), ("ok.png", png(1))]))
    assert said in reasons(preview)["l.png"]


def test_both_entries_of_one_name_are_refused(importer: Importer) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped([("a.png", png(1)), ("a.png", png(2)), ("b.png", png(3))])
    preview = importer.zip(data)
    assert [refusal.name for refusal in preview.refused] == ["a.png", "a.png"]
    assert list(labels(preview)) == ["b.png"]


def test_system_litter_is_skipped_and_counted(importer: Importer) -> None:
    litter = dict.fromkeys(("__MACOSX/._a.png", ".DS_Store", "x/.hidden/a.png", "x/Thumbs.db", "desktop.ini"), b"x")
    preview = importer.files({**litter, "a.png": png(1)})
    assert (preview.skipped, preview.refused) == (5, ())
    told = "; ".join(preview.notices)
    assert all(name in told for name in ("__MACOSX (1 file)", ".DS_Store (1 file)", "x/Thumbs.db", "desktop.ini"))
    assert "folder x/.hidden is hidden" in told


def test_an_archive_under_the_name_of_an_image_is_refused_as_what_it_is(importer: Importer) -> None:
    preview = importer.files({"renamed.png": zipped({"a.png": png(1)}), "ok.png": png(2)})
    assert reasons(preview) == {"renamed.png": "Not an image: a zip archive. Unpack it and import what is in it."}


def encrypt(data: bytearray) -> None:
    at = data.find(LOCAL)
    data[at + 6] |= 1
    data[data.find(CENTRAL) + 8] |= 1


def test_an_encrypted_entry_is_refused_alone(importer: Importer) -> None:
    preview = importer.zip(patched(zipped({"a.png": png(1), "b.png": png(2)}), encrypt))
    assert reasons(preview) == {"a.png": "encrypted"}


def test_an_encrypted_archive_is_refused_with_a_way_out(importer: Importer) -> None:
    with pytest.raises(ArchiveRefused, match=r"encrypted.*password"):
        importer.zip(patched(zipped({"a.png": png(1)}), encrypt))
    assert importer.left() == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bounds_are_refused(importer: Importer, method: int) -> None:
    with pytest.raises(NothingToImport, match="deflate"):
        importer.zip(zipped({"a.png": png(1)}, method))


def test_a_bomb_is_refused_without_being_unpacked(importer: Importer) -> None:
    data = zipped({"bomb.bmp": b"\0" * 50_000_000, "ok.png": png(1)})
    tracemalloc.start()
    preview = importer.zip(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bomb" in reasons(preview)["bomb.bmp"]
    assert peak < 20_000_000


def test_blank_scans_and_masks_are_no_bombs(importer: Importer) -> None:
    scans = {f"blank/{shade}.bmp": encoded(Image.new("RGB", (1600, 1200), (shade,) * 3), "BMP") for shade in (254, 255)}
    data = zipped({**scans, "labels.csv": b"filename,label\n254.bmp,blank\n" + b",\n" * 2_000_000})
    assert sum(map(len, scans.values())) > 400 * len(data)
    preview = importer.zip(data, reading="class_tree")
    assert (list(labels(preview)), preview.refused) == (sorted(scans), ())


@pytest.mark.parametrize("start", [b"BM", b"II*\0"])
def test_a_bomb_that_begins_as_an_image_is_bounded_by_its_size(importer: Importer, start: bytes) -> None:
    files = {f"{number}.bmp": start + b"\0" * 5_000_000 for number in range(3)}
    preview = importer.files({**files, "ok.png": png(1)}, limits=Limits(entry_bytes=4_000_000))
    assert set(reasons(preview).values()) == {"larger than 3 MB"}
    with pytest.raises(ArchiveRefused, match="unpacks to more than 9 MB"):
        importer.files(files, limits=Limits(total_bytes=10_000_000))


def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_refused_as_a_whole(importer: Importer) -> None:
    files = {f"{number}.bmp": b"BM" + b"\0" * 2_000_000 for number in range(3)}
    with pytest.raises(ArchiveRefused, match=r"1,000 times its size.*import the folder"):
        importer.files(files, limits=Limits(whole_from=5_000_000))
    with pytest.raises(NothingToImport):  # the same below the floor: read, and no images
        importer.files(files)


def test_an_entry_over_the_cap_is_refused(importer: Importer) -> None:
    preview = importer.files({"large.png": png(1) * 50, "ok.png": png(2)}, limits=Limits(entry_bytes=1000))
    assert "larger" in reasons(preview)["large.png"]


def test_an_archive_over_the_total_cap_is_refused_while_it_is_read(importer: Importer) -> None:
    files = {f"{number}.png": png(number) for number in range(30)}
    with pytest.raises(ArchiveRefused, match="unpacks to more"):
        importer.files(files, limits=Limits(total_bytes=1000))
    assert importer.left() == []


def lying_size(field: int, value: int) -> object:
    def change(data: bytearray) -> None:
        struct.pack_into("<L", data, data.find(CENTRAL) + field, value)

    return change


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_entry_that_lies_about_its_size_is_refused(importer: Importer, size: int) -> None:
    data = patched(zipped({"a.png": png(1), "b.png": png(2)}), lying_size(24, size))  # type: ignore[arg-type]
    preview = importer.zip(data)
    assert "directory" in reasons(preview)["a.png"]
    assert list(labels(preview)) == ["b.png"]


def test_a_damaged_entry_is_refused(importer: Importer) -> None:
    def change(data: bytearray) -> None:
        data[40] ^= 0xFF

    preview = importer.zip(patched(zipped({"a.png": png(1), "b.png": png(2)}, zipfile.ZIP_STORED), change))
    assert list(reasons(preview)) == ["a.png"]


def test_overlapping_entries_refuse_the_archive(importer: Importer) -> None:
    def change(data: bytearray) -> None:
        second = data.rfind(CENTRAL)
        struct.pack_into("<L", data, second + 42, 0)  # the second entry claims the bytes of the first

    with pytest.raises(ArchiveRefused, match="overlap"):
        importer.zip(patched(zipped({"a.png": png(1), "b.png": png(2)}), change))
    assert importer.left() == []


def test_too_many_entries_are_refused_before_the_directory_is_parsed(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> object:
        raise AssertionError("zipfile has parsed the directory")

    data = zipped({f"{number}": b"" for number in range(101)})
    monkeypatch.setattr("engine.importers.archive.zipfile.ZipFile", never)
    with pytest.raises(ArchiveRefused, match="more than 100 entries"):
        importer.zip(data, limits=Limits(entries=100))


def test_a_directory_that_understates_its_entries_is_refused(importer: Importer) -> None:
    def change(data: bytearray) -> None:
        struct.pack_into("<HH", data, data.rfind(END) + 8, 1, 1)

    data = patched(zipped({f"{number}": b"" for number in range(300)}), change)
    with pytest.raises(ArchiveRefused, match="lies about"):
        importer.zip(data)
    with pytest.raises(ArchiveRefused, match="more than 100"):
        importer.zip(data, limits=Limits(entries=100))


def test_600_000_empty_entries_are_refused(tmp_path: Path) -> None:
    names = [f"{number}" for number in range(600_000)]
    record = struct.Struct("<4s6H3L5H2L")
    central = b"".join(
        record.pack(CENTRAL, 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name.encode() for name in names
    )
    data = LOCAL + b"\0" * 26 + central + struct.pack("<4s4H2LH", END, 0, 0, 500, 500, len(central), 30, 0)
    path = tmp_path / "many.zip"
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="more than 500,000 entries"):
        ZipContents(path, Limits())


@pytest.mark.parametrize("count", [65_536, 70_000])
def test_more_entries_than_16_bits_count_are_read_as_finder_writes_them(tmp_path: Path, count: int) -> None:
    entries = ((f"set/class{number % 7}/{number}.png".encode(), b"x") for number in range(count))
    path = tmp_path / "finder.zip"
    path.write_bytes(by_hand(entries))
    with closing(ZipContents(path, Limits())) as contents:
        assert len({entry.name for entry in contents.listing.entries}) == count
        assert contents.read(contents.listing.entries[-1]) == b"x"
    with pytest.raises(ArchiveRefused, match="more than 65,535 entries"):
        ZipContents(path, Limits(entries=65_535))


def test_a_count_that_is_no_remainder_is_a_lie_also_beyond_16_bits(tmp_path: Path) -> None:
    data = bytearray(by_hand((f"{number}".encode(), b"") for number in range(70_000)))
    struct.pack_into("<HH", data, data.rfind(END) + 8, 4465, 4465)
    path = tmp_path / "lie.zip"
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match="lies about"):
        ZipContents(path, Limits())


def test_zip64_that_contradicts_the_plain_directory_is_refused(importer: Importer) -> None:
    data = zipped({"a.png": png(1)})
    at = data.rfind(END)
    _, _, _, here, total, size, offset, _ = struct.unpack("<4s4H2LH", data[at : at + 22])
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 9, 9, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    with pytest.raises(ArchiveRefused, match="ZIP64"):
        importer.zip(data[:at] + record + locator + data[at:])
    honest = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, here, total, size, offset)
    assert labels(importer.zip(data[:at] + honest + locator + data[at:])) == {"a.png": None}


def test_a_second_zip64_record_elsewhere_is_refused(importer: Importer) -> None:
    data = zipped({"a.png": png(1)})
    at = data.rfind(END)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 2**64 - 1, 1)
    with pytest.raises(ArchiveRefused, match="ZIP64"):
        importer.zip(data[:at] + b"\0" * 56 + locator + data[at:])


def test_an_entry_that_starts_beyond_the_file_is_refused(importer: Importer) -> None:
    def change(data: bytearray) -> None:
        struct.pack_into("<L", data, data.find(CENTRAL) + 42, 0xFFFFFFF0)

    with pytest.raises(ArchiveRefused, match=r"overlap|damaged"):
        importer.zip(patched(zipped({"a.png": png(1)}), change))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a zip"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "not a zip"),
        (b"\xff\xd8\xff" + zipped({"a.png": png(1)}), "not a zip"),
        (zipped({}), "empty"),
        (zipped({"a.png": png(1)})[:-30], "cut off"),
        (zipped({"a.png": png(1)}) + b"more", "at its end"),
        (LOCAL + b"\0" * 100, "cut off"),
    ],
)
def test_what_is_no_whole_zip_is_refused(importer: Importer, data: bytes, said: str) -> None:
    with pytest.raises(ArchiveRefused, match=said) as caught:
        importer.zip(data)
    assert caught.value.way_out
    assert importer.left() == []


@pytest.mark.parametrize("files", [{"a.txt": b"text"}, {"cat/": b""}, {".DS_Store": b"x"}, {"a.png": b""}])
def test_a_zip_without_images_is_refused(importer: Importer, files: dict[str, bytes]) -> None:
    with pytest.raises(NothingToImport):
        importer.files(files)
    assert importer.left() == []


def test_a_missing_zip_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="no such file"):
        scan(ImportSource("zip", tmp_path / "none.zip"), tmp_path / "staging", quiet)
    with pytest.raises(ArchiveRefused, match="folder"):
        scan(ImportSource("zip", tmp_path), tmp_path / "staging", quiet)
    assert list((tmp_path / "staging").iterdir()) == []


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(
    ["../../x", "/x", "..", ".", "a/..", "\\\\host\\x", "C:\\x", "a/b/c.png", "x" * 5000]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_any_names_are_either_listed_plainly_or_refused(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "any.zip"
    entries: list[tuple[str | zipfile.ZipInfo, bytes]] = []
    for name in names:
        info = zipfile.ZipInfo("x")
        info.filename = name
        entries.append((info, b"data"))
    path.write_bytes(zipped(entries))
    try:
        contents = ZipContents(path, Limits())
    except ArchiveRefused:
        return
    with closing(contents):
        listing = contents.listing
        for entry in listing.entries:
            assert not entry.name.startswith("/")
            assert ".." not in entry.name.split("/")
            assert "\\" not in entry.name
            assert contents.read(entry) == b"data"
    assert all(refusal.name.isprintable() for refusal in listing.refused)
    slashed = all("\\" in name and "/" not in name for name in names)
    folders = sum(name.endswith(("/", "\\") if slashed else "/") for name in names)
    assert len(listing.entries) + len(listing.refused) + listing.skipped + folders == len(names)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_damage_to_a_zip_is_refused_or_reads_true(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(zipped({"a.png": b"A" * 50, "b.png": b"B" * 50}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.zip"
    path.write_bytes(whole)
    try:
        contents = ZipContents(path, Limits())
    except ImportRefused:
        return
    with closing(contents):
        for entry in contents.listing.entries:
            with suppress(DecodeError):
                assert contents.read(entry) in (b"A" * 50, b"B" * 50)
