"""Archives in archives: each is a folder called like it, all are bounded, and what is not read is told."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ArchiveRefused, ImportRefused
from engine.importers.archive import ZipContents
from engine.importers.contents import Limits
from engine.importers.folder import FolderContents
from engine.importers.scan import ImportSource, kind_of, read_again, scan
from engine.importers.unpacking import Unpacked, Unpacker
from tests.engine.importers.container_samples import tarred
from tests.engine.importers.import_samples import Files, Importer, by_hand, folder, labels, png, quiet, zipped

PACKERS = {
    ".zip": zipped,
    ".tar": tarred,
    ".tar.gz": lambda files: gzip.compress(tarred(files)),
    ".tgz": lambda files: gzip.compress(tarred(files)),
    ".tar.bz2": lambda files: bz2.compress(tarred(files)),
    ".tbz2": lambda files: bz2.compress(tarred(files)),
    ".tar.xz": lambda files: lzma.compress(tarred(files)),
    ".txz": lambda files: lzma.compress(tarred(files)),
}
ENDINGS = list(PACKERS)


def unpack(place: Path, files: Files, limits: Limits | None = None) -> tuple[dict[str, bytes], Unpacked]:
    """What is read of a folder of these files, and what became of its archives."""
    caps = limits or Limits()
    unpacker = Unpacker(FolderContents(folder(place, files), caps), place.parent, caps)
    return {name: data if isinstance(data, bytes) else b"".join(data) for name, data in unpacker.files()}, (
        unpacker.unpacked
    )


def said(unpacked: Unpacked) -> dict[str, str]:
    return {one.name: one.reason for one in unpacked.refused}


@pytest.mark.parametrize("outer", ["folder", ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_an_archive_a_class_in_any_archive(importer: Importer, outer: str) -> None:
    files = {f"class{at}{ending}": PACKERS[ending]({"a/1.png": png(at)}) for at, ending in enumerate(ENDINGS)}
    if outer == "folder":
        preview = importer.folder(files)
    else:
        path = importer.source / f"set{outer}"
        path.write_bytes(PACKERS[outer](files))
        preview = scan(ImportSource(kind_of(path), path, name=path.name), importer.staging, quiet)
    inside = "set/" if outer.startswith(".t") else ""
    assert labels(preview) == {f"{inside}class{at}/a/1.png": f"class{at}" for at in range(len(ENDINGS))}
    assert preview.refused == ()
    level = next(one for one in preview.questions if one.key == "level")
    assert read_again(preview, answers={"level": level.options[-2][0]}).counts == {"a": len(ENDINGS)}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_an_archive_is_is_said_by_its_bytes(tmp_path: Path, ending: str) -> None:
    others = [one for one in (".tar", ".tar.gz", ".tar.bz2", ".tar.xz") if ending != ".zip"] or [".zip"]
    for other in others:
        read, unpacked = unpack(tmp_path / other / "set", {f"x{ending}": PACKERS[other]({"1.png": b"1"})})
        assert (read, unpacked.refused) == ({"x/1.png": b"1"}, [])


def nested(depth: int, ending: str) -> bytes:
    """So many archives inside each other, with a file in each: 1 in the outermost."""
    files = {f"{depth}.png": b"%d" % depth}
    for level in range(depth, 0, -1):
        data = PACKERS[ending](files)
        files = {f"in{ending}": data, f"{level - 1}.png": b"%d" % (level - 1)}
    return data


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.xz"])
def test_two_archives_inside_each_other_are_read_and_no_more(tmp_path: Path, ending: str) -> None:
    read, unpacked = unpack(tmp_path / "set", {f"x{ending}": nested(4, ending)})
    assert read == {"x/1.png": b"1", "x/in/2.png": b"2"}
    assert list(said(unpacked)) == [f"x/in/in{ending}"]
    assert "more than 2 archives inside each other; unpack the outer one" in said(unpacked)[f"x/in/in{ending}"]


@pytest.mark.parametrize(
    ("ending", "data", "what"),
    [
        (".7z", b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
        (".rar", b"Rar!\x1a\x07\1\0", "a RAR archive"),
        (".png.gz", gzip.compress(b"x", mtime=0), "a file packed with gzip"),
        (".csv.bz2", bz2.compress(b"x"), "a file packed with bzip2"),
        (".tar.zst", b"\x28\xb5\x2f\xfd1234", "a file packed with Zstandard"),
    ],
)
def test_archives_that_are_not_read_are_named_as_what_they_are(
    tmp_path: Path, ending: str, data: bytes, what: str
) -> None:
    files = {f"x{ending}": data, "a.png": b"a"}
    told = f"{what}, which is not read here; unpack it and import what is in it"
    for outer in ("", ".zip", ".tar"):
        inside = {f"outer{outer}": PACKERS[outer](files)} if outer else files
        read, unpacked = unpack(tmp_path / f"set{outer}", inside)
        assert list(read.values()) == [b"a"]
        assert [one.reason for one in unpacked.refused] == [told]
    path = tmp_path / f"itself{ending}"
    path.write_bytes(data)
    with pytest.raises(ArchiveRefused, match=rf"This is {what}, not a zip.*Unpack it"):
        scan(ImportSource(kind_of(path), path), tmp_path / "staging", quiet)
    listed = ZipContents(io.BytesIO(zipped(files)), Limits()).listing
    assert [one.reason for one in listed.refused] == [told]


def test_a_damaged_an_encrypted_and_a_false_archive_are_refused_alone(tmp_path: Path) -> None:
    locked = bytearray(zipped({"1.png": b"1"}))
    locked[6] |= 1
    locked[locked.find(b"PK\1\2") + 8] |= 1
    inner = {
        "locked.zip": bytes(locked), "false.zip": b"no zip", "cut.tar.xz": lzma.compress(tarred({"1.png": b"1"}))[:-20],
        "cut.tar.bz2": bz2.compress(tarred({"1.png": b"1"}))[:-9], "cut.zip": zipped({"1.png": b"1"})[:-30],
        "good.zip": zipped({"1.png": b"good"}),
    }  # fmt: skip
    read, unpacked = unpack(tmp_path / "set", {"outer.zip": zipped(inner)})
    assert read["outer/good/1.png"] == b"good"
    assert set(said(unpacked)) == {f"outer/{name}" for name in inner if name != "good.zip"}
    assert "encrypted" in said(unpacked)["outer/locked.zip"]
    assert "not a zip" in said(unpacked)["outer/false.zip"]
    assert "damaged or cut off" in said(unpacked)["outer/cut.tar.xz"]


SMALL = Limits(whole_from=20_000, whole_ratio=10, ratio_from=1 << 40)


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_an_archive_that_unpacks_to_too_many_times_its_size_is_read_up_to_there(tmp_path: Path, ending: str) -> None:
    files = {f"{at}.bmp": b"BM" + bytes(4_998) for at in range(20)}
    read, unpacked = unpack(tmp_path / "set", {f"x{ending}": PACKERS[ending](files), "y.png": b"y"}, SMALL)
    assert 1 <= len(read) <= 6
    assert read["y.png"] == b"y"
    assert "unpacks to more than 10 times its size, as a bomb does" in said(unpacked)[f"x{ending}"]


@pytest.mark.parametrize("outer", [".zip", ".tar"])
def test_a_bomb_of_bombs_is_bounded_by_the_size_of_the_outermost(tmp_path: Path, outer: str) -> None:
    bomb = PACKERS[".tar.gz"]({"1.bmp": b"BM" + bytes(9_998)})
    data = PACKERS[outer]({f"{at}.tar.gz": bomb for at in range(60)})
    small = Limits(whole_from=20_000, whole_ratio=2, ratio_from=1 << 40)
    read, unpacked = unpack(tmp_path / "set", {f"x{outer}": data}, small)
    assert sum(map(len, read.values())) <= max(20_000, 2 * len(data))
    assert "as a bomb does" in said(unpacked)[f"x{outer}"]


def test_a_zip_inside_is_held_to_the_rules_of_a_zip(tmp_path: Path) -> None:
    bomb = zipped({"zeros.dat": bytes(3_000_000), "a.png": b"a"})
    read, unpacked = unpack(tmp_path / "set", {"outer.zip": zipped({"bomb.zip": bomb})})
    assert read == {"outer/bomb/a.png": b"a"}
    assert "as a zip bomb does" in said(unpacked)["outer/bomb.zip/zeros.dat"]
    many = zipped({f"{at}.png": b"x" for at in range(12)})
    read, unpacked = unpack(tmp_path / "many", {"many.zip": many}, Limits(entries=10))
    assert read == {}
    assert "more than 10 entries" in said(unpacked)["many.zip"]


def test_all_archives_together_are_bounded(tmp_path: Path) -> None:
    files = {f"{at}.zip": zipped({f"{n}.png": b"%d" % n for n in range(6)}) for at in range(4)}
    with pytest.raises(ImportRefused, match="more than 20 files in archives"):
        unpack(tmp_path / "a", files, Limits(folder_files=20))
    with pytest.raises(ImportRefused, match="are more than 0 MB together"):
        unpack(tmp_path / "b", files, Limits(total_bytes=20))
    read, unpacked = unpack(tmp_path / "c", {"x.zip": zipped({"big.png": bytes(5_000)})}, Limits(entry_bytes=4_000))
    assert read == {}
    assert "larger than" in said(unpacked)["x.zip/big.png"]


def test_an_xz_that_needs_much_memory_to_unpack_is_refused(tmp_path: Path) -> None:
    data = bytearray(lzma.compress(tarred({"1.png": b"1"})))
    assert data[14:16] == b"\x21\x01"  # the filter and the length of its setting, which is the size of its dictionary
    data[16] = 36  # 1 GiB
    data[20:24] = zlib.crc32(bytes(data[12:20])).to_bytes(4, "little")
    read, unpacked = unpack(tmp_path / "set", {"x.tar.xz": bytes(data)})
    assert read == {}
    assert "emory" in said(unpacked)["x.tar.xz"]


def test_several_streams_one_after_the_other_are_one_archive(tmp_path: Path) -> None:
    whole = tarred({"1.png": b"1", "2.png": b"2"})
    for pack, ending in ((bz2.compress, ".tar.bz2"), (lzma.compress, ".tar.xz")):
        parts = pack(whole[:700]) + pack(whole[700:])
        read, unpacked = unpack(tmp_path / ending / "set", {f"x{ending}": parts})
        assert (read, unpacked.refused) == ({"x/1.png": b"1", "x/2.png": b"2"}, [])


def test_an_archive_that_lies_unpacked_beside_it_is_no_second_source_of_labels(importer: Importer) -> None:
    images = {f"{label}/{at}.png": png(10 * at + (label == "dog")) for label in ("cat", "dog") for at in range(3)}
    files: Files = {**images, "pets.zip": zipped(images), "cat.tar": tarred({"0.png": png(0), "9.png": png(99)})}
    preview = importer.folder(files)
    assert preview.conflicts == ()
    assert {name: label for name, label in labels(preview).items() if name in images} == {
        name: name.partition("/")[0] for name in images
    }
    assert {image.name for image in preview.found} == {*images, "cat.tar/9.png"}
    assert any("pets.zip: 6 files of it also lie unpacked beside it" in one for one in preview.notices)
    assert any("cat.tar: 1 file of it also lie" in one for one in preview.notices)


def test_an_archive_of_images_that_lie_elsewhere_too_keeps_what_it_says(importer: Importer) -> None:
    files = {"all/1.png": png(1), "all/2.png": png(2), "cat.zip": zipped({"1.png": png(1)})}
    preview = importer.folder({**files, "dog.zip": zipped({"2.png": png(2)})})
    assert set(labels(preview).values()) == {"all"}
    assert any("2 images lie in an archive too, with another label there" in one for one in preview.notices)
    names = {name for image in preview.found for name in (image.name, *image.copies)}
    assert names == {"all/1.png", "all/2.png", "cat/1.png", "dog/2.png"}


def test_a_table_and_litter_and_an_empty_class_of_an_archive_inside(importer: Importer) -> None:
    inner = zipped(
        {"cat/1.png": png(1), "dog/2.png": png(2), "owl/": b"", "__MACOSX/._1.png": b"x", ".hidden/3.png": png(3)}
    )
    preview = importer.files({"inner.zip": inner})
    assert preview.counts == {"cat": 1, "dog": 1, "owl": 0}
    assert preview.skipped == 2
    told = "; ".join(preview.notices)
    assert "inner/.hidden is hidden" in told
    assert "__MACOSX" in told
    table = zipped({"1.png": png(1), "2.png": png(2), "labels.csv": b"filename,label\n1.png,cat\n2.png,dog\n"})
    assert labels(importer.files({"inner.zip": table})) == {"inner/1.png": "cat", "inner/2.png": "dog"}


def test_shards_in_a_zip_in_a_zip_are_samples(importer: Importer) -> None:
    shards = {f"train-{at:03}.tar": tarred({f"{at}.png": png(at), f"{at}.cls": b"%d" % (at % 2)}) for at in range(3)}
    preview = importer.files({"shards.zip": zipped({**shards, "classes.txt": b"cat\ndog\n"})})
    assert preview.reading == "webdataset"
    assert list(labels(preview).values()) == ["cat", "dog", "cat"]


def test_names_of_an_inner_zip_are_read_in_their_encoding_and_told(importer: Importer) -> None:
    inner = by_hand([(f"{label}/{at}.png".encode("cp932"), png(at)) for at, label in enumerate(("子猫", "子犬"))])
    preview = importer.files({"inner.zip": inner})
    assert set(preview.counts) == {"子猫", "子犬"}
    assert any(one.startswith("inner.zip: the encoding of file names") for one in preview.notices)


def test_another_encoding_renames_what_is_in_archives(importer: Importer) -> None:
    entries = [
        (f"{label}.zip".encode("cp932"), zipped({"1.png": png(at)})) for at, label in enumerate(("ねこ", "いぬ"))
    ]
    preview = importer.zip(by_hand(entries))
    assert set(labels(preview)) == {"ねこ/1.png", "いぬ/1.png"}
    other = next(
        value for one in preview.questions if one.key == "encoding" for value, _ in one.options if value != "cp932"
    )
    wanted = {f"{label}".encode("cp932").decode(other, "replace") + "/1.png" for label in ("ねこ", "いぬ")}
    assert set(labels(read_again(preview, answers={"encoding": other}))) == wanted


def test_the_same_name_twice_keeps_both(tmp_path: Path) -> None:
    inner = {"cat.zip": zipped({"1.png": b"zip"}), "cat.tar": tarred({"1.png": b"tar"}), "cat/1.png": b"plain"}
    for outer in (zipped, tarred):
        read, unpacked = unpack(
            tmp_path / outer.__name__ / "set", {"x.zip" if outer is zipped else "x.tar": outer(inner)}
        )
        assert sorted(read.values()) == [b"plain", b"tar", b"zip"]
        assert unpacked.refused == []


def test_a_video_in_an_archive_in_an_archive_is_given_in_pieces(tmp_path: Path) -> None:
    clip = b"\x1a\x45\xdf\xa3" + bytes(3_000_000)
    data = zipped({"in.tar": tarred({"clip.mkv": clip, "1.png": b"1"})})
    caps = Limits(entry_bytes=10_000, ratio_from=1 << 40)
    unpacker = Unpacker(FolderContents(folder(tmp_path / "set", {"x.zip": data}), caps), tmp_path, caps)
    largest = 0
    for name, one in unpacker.files():
        if name == "x/in/clip.mkv":
            assert not isinstance(one, bytes)
            pieces = list(one)
            assert b"".join(pieces) == clip
            largest = max(map(len, pieces))
    assert 0 < largest <= 1 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_uploaded_archive_is_called_as_it_was(importer: Importer) -> None:
    path = importer.source / "upload-1234.tar.gz"
    path.write_bytes(PACKERS[".tar.gz"]({"cat/1.png": png(1), "dog/2.png": png(2)}))
    preview = scan(ImportSource(kind_of(path), path, name="pets.tar.gz"), importer.staging, quiet)
    assert set(labels(preview)) == {"pets/cat/1.png", "pets/dog/2.png"}


NAMES = st.sampled_from(["1.png", "2.png", "cat/1.png", "cat/dog/3.png", "owl.bmp", "x y/ü.png"])
LEAVES = st.dictionaries(NAMES, st.binary(min_size=1, max_size=40), min_size=1, max_size=3)
Tree = dict[str, "bytes | Tree"]


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Tree:
    """Files, and archives of such trees."""
    files: Tree = dict(draw(LEAVES))
    for at in range(draw(st.integers(0, 2)) if depth else 0):
        files[f"archive{at}{draw(st.sampled_from(ENDINGS))}"] = draw(trees(depth - 1))
    return files


def packed(tree: Tree, ending: str) -> bytes:
    return PACKERS[ending](
        {name: one if isinstance(one, bytes) else packed(one, ending_of(name)) for name, one in tree.items()}
    )


def ending_of(name: str) -> str:
    return next(one for one in (*[e for e in ENDINGS if e.startswith(".tar.")], *ENDINGS) if name.endswith(one))


def expected(tree: Tree, prefix: str, depth: int) -> Iterator[tuple[str, bytes | None]]:
    """Every file by its name, and None by the name of each archive that lies too deep."""
    for name, one in tree.items():
        if isinstance(one, bytes):
            yield prefix + name, one
        elif depth == 2:
            yield prefix + name, None
        else:
            yield from expected(one, f"{prefix}{name.removesuffix(ending_of(name))}/", depth + 1)


@settings(max_examples=60, deadline=None)
@given(trees())
def test_any_tree_of_archives_is_read_whole_or_told(tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> None:
    place = tmp_path_factory.mktemp("tree") / "set"
    files = {name: one if isinstance(one, bytes) else packed(one, ending_of(name)) for name, one in tree.items()}
    read, unpacked = unpack(place, files)
    wanted = dict(expected(tree, "", 0))
    assert read == {name: data for name, data in wanted.items() if data is not None}
    assert set(said(unpacked)) == {name for name, data in wanted.items() if data is None}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_told_or_reads_true(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    contents = {f"{at}.png": bytes([at]) * 700 for at in range(3)}
    inner = data.draw(st.sampled_from(ENDINGS))
    outer = data.draw(st.sampled_from([".zip", ".tar"]))
    whole = bytearray(PACKERS[outer]({f"in{inner}": PACKERS[inner](contents)}))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    place = tmp_path_factory.mktemp("damage") / "set"
    read, unpacked = unpack(place, {f"x{outer}": bytes(whole)})
    whole_ones = [one for one in read.values() if one in contents.values()]
    if len(whole_ones) < 3:
        assert unpacked.refused or unpacked.left_out._files or len(read) == 3


def test_tar_members_that_are_archives_are_skipped_over_whole(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (("a.zip", zipped({"1.png": b"1"})), ("b.png", b"b"), ("ü" * 120 + ".tar", tarred({}))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    read, unpacked = unpack(tmp_path / "set", {"x.tar": out.getvalue()})
    assert (read, unpacked.refused) == ({"x/a/1.png": b"1", "x/b.png": b"b"}, [])
