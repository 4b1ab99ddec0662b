"""Names in zips that do not say their encoding: what is read, what is told, and what a person can choose."""

import struct
import unicodedata
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.importers.archive import ZipContents
from engine.importers.contents import Limits, Listing
from engine.importers.scan import ImportSource, kind_of, read_again, scan
from engine.importers.spellings import AS_GUESSED, ENCODING, INNER
from engine.records.imports import ImportPreview, Question
from tests.engine.importers.container_samples import tarred
from tests.engine.importers.import_samples import Importer, by_hand, folder, labels, png, quiet, zipped

UTF8_FLAG = 0x800


def listed(tmp_path: Path, data: bytes, encoding: str | None = None) -> Listing:
    path = tmp_path / "set.zip"
    path.write_bytes(data)
    with closing(ZipContents(path, Limits(), encoding)) as contents:
        return contents.listing


def named(names: Iterable[str], encoding: str, system: int = 3, flags: int = 0) -> bytes:
    return by_hand(((name.encode(encoding), name.encode()) for name in names), system, flags)


def names_of(listing: Listing) -> list[str]:
    return [entry.name for entry in listing.entries]


def unicode_path(raw: bytes, name: str, version: int = 1, checksum: int | None = None) -> bytes:
    """Return extra fields for an entry of this raw name: a time stamp, then the name in Unicode."""
    data = name.encode()
    head = struct.pack("<BL", version, zlib.crc32(raw) if checksum is None else checksum)
    return struct.pack("<HH", 0x5455, 5) + b"\3abcd" + struct.pack("<HH", 0x7075, len(data) + 5) + head + data


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp932", ["犬/犬0.png", "犬/犬1.png", "猫/猫0.png", "表/ソ.png"]),
        ("cp1252", ["Bär/Bär0.png", "Käfer/Käfer0.png", "Käfer/Käfer1.png"]),
        ("gb18030", ["缺陷/1.png", "正常/1.png"]),
        ("cp949", ["강아지/1.png", "고양이/1.png"]),
        ("cp866", ["Кошки/1.png", "Собаки/1.png"]),
    ],
)
def test_classes_have_the_names_that_people_gave_them(importer: Importer, encoding: str, names: list[str]) -> None:
    files = ((name.encode(encoding), png(number)) for number, name in enumerate(names))
    preview = importer.zip(by_hand(files, system=0))
    assert labels(preview) == {name: name.partition("/")[0] for name in names}
    (told,) = (notice for notice in preview.notices if "encoding" in notice)
    assert encoding in told
    assert any(name in told for name in names)


def test_what_was_guessed_comes_with_what_else_it_could_be(tmp_path: Path) -> None:
    listing = listed(tmp_path, named(["猫/1.png", "猫/2.png", "犬/1.png", "鳥/1.png", "plain.png"], "cp932"))
    found = listing.encoding
    assert found is not None
    assert (found.chosen, found.names, found.forced) == ("cp932", 4, False)
    assert found.examples == ("猫/1.png", "犬/1.png", "鳥/1.png")
    assert 1 <= len(found.alternatives) <= 5
    for encoding, examples in found.alternatives.items():
        assert examples == tuple(name.encode("cp932").decode(encoding) for name in found.examples)


def test_a_doubtful_guess_says_what_else_it_could_be(tmp_path: Path) -> None:
    listing = listed(tmp_path, named(["狗/1.png"], "gb18030"))
    assert listing.encoding is not None
    assert not listing.encoding.sure
    assert "it could also be" in listing.notices[0]


def test_a_person_can_choose_the_encoding(tmp_path: Path) -> None:
    listing = listed(tmp_path, named(["Käfer/1.png", "plain.png"], "cp1252"), "Windows-1251")
    assert names_of(listing) == ["Kдfer/1.png", "plain.png"]
    assert listing.encoding is not None
    assert (listing.encoding.chosen, listing.encoding.forced, listing.encoding.sure) == ("cp1251", True, True)
    assert listing.encoding.alternatives["cp1252"] == ("Käfer/1.png",)
    assert any("cp1251" in notice for notice in listing.notices)


def test_an_unknown_encoding_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'klingon'.*cp932.*koi8_r"):
        listed(tmp_path, named(["Käfer/1.png"], "cp1252"), "klingon")


def test_names_that_the_chosen_encoding_cannot_read_are_refused_one_by_one(tmp_path: Path) -> None:
    data = by_hand([("犬/1.png".encode("cp932"), b"a"), (b"\xe0 .png", b"b"), (b"plain.png", b"c")])
    listing = listed(tmp_path, data, "cp932")
    assert names_of(listing) == ["plain.png", "犬/1.png"]
    assert [refusal.reason for refusal in listing.refused] == ["the name cannot be read as cp932"]


def test_one_encoding_is_taken_for_the_whole_archive(tmp_path: Path) -> None:
    names = [f"{word}/1.png" for word in ("正常", "划痕", "裂纹", "气孔", "凹坑")]  # the last alone reads as Korean
    assert names_of(listed(tmp_path, named(names[-1:], "gb18030"))) != names[-1:]
    assert names_of(listed(tmp_path, named(names, "gb18030"))) == sorted(names)


def test_names_that_say_they_are_utf8_are_exact_whatever_is_chosen(tmp_path: Path) -> None:
    listing = listed(tmp_path, named(["猫/1.png"], "utf-8", flags=UTF8_FLAG), "cp932")
    assert (names_of(listing), listing.encoding, listing.notices) == (["猫/1.png"], None, [])


def test_utf8_without_the_flag_is_read_in_silence_and_can_be_changed(tmp_path: Path) -> None:
    names = [unicodedata.normalize("NFD", name) for name in ("set/Bär/é1.png", "set/Käfer/é1.png")]
    listing = listed(tmp_path, named(names, "utf-8"))
    assert (names_of(listing), listing.notices) == (names, [])
    assert listing.encoding is not None
    assert listing.encoding.chosen == "utf-8"


def test_a_unicode_path_is_taken_where_it_belongs_to_the_name(tmp_path: Path) -> None:
    data = by_hand([("Käfer/1.png".encode("cp850"), b"x")], extra=lambda raw: unicode_path(raw, "Käfer/1.png"))
    listing = listed(tmp_path, data, "cp1251")
    assert (names_of(listing), listing.encoding) == (["Käfer/1.png"], None)


@pytest.mark.parametrize(("version", "checksum"), [(1, 7), (2, None)])
def test_a_unicode_path_made_for_another_name_is_not(tmp_path: Path, version: int, checksum: int | None) -> None:
    data = by_hand(
        [("Käfer/1.png".encode("cp850"), b"x")],
        extra=lambda raw: unicode_path(raw, "Löwe/1.png", version, checksum),
    )
    listing = listed(tmp_path, data)
    assert names_of(listing) == ["Käfer/1.png"]
    assert listing.encoding is not None


def test_a_unicode_path_is_checked_like_any_name(importer: Importer) -> None:
    data = by_hand([(b"x.png", png(1)), (b"y.png", png(2))], extra=lambda raw: unicode_path(raw, f"../{raw.decode()}"))
    with pytest.raises(Exception, match="outside the source"):
        importer.zip(data)


def test_backslashes_inside_japanese_characters_are_no_separators(tmp_path: Path) -> None:
    names = ["表\\ソース1.png", "表\\能2.png"]  # each of 表, ソ and 能 has a byte that is a backslash in ASCII
    assert names_of(listed(tmp_path, named(names, "cp932", system=0))) == ["表/ソース1.png", "表/能2.png"]


def test_plain_names_have_no_encoding(tmp_path: Path) -> None:
    assert listed(tmp_path, zipped({"a.png": b"x"})).encoding is None


def _inner(word: str, encoding: str, *more: tuple[bytes, bytes]) -> bytes:
    """A zip of two images in a folder of this name, which does not say its encoding."""
    raw = word.encode(encoding)
    return by_hand([(raw + b"/1.png", png(len(raw))), (raw + b"/2.png", png(len(raw) + 90)), *more])


def _question(preview: ImportPreview) -> Question:
    return next(one for one in preview.questions if one.key == INNER)


@pytest.mark.parametrize("outer", ["zip", "folder", "tar"])
def test_names_in_a_zip_inside_are_asked_about_as_those_of_an_outer_one(importer: Importer, outer: str) -> None:
    files = {"in.zip": _inner("猫と犬", "cp932"), "plain/3.png": png(7)}
    path = importer.source / outer
    if outer == "folder":
        folder(path, files)
    else:
        path = path.with_suffix(f".{outer}")
        path.write_bytes(zipped(files) if outer == "zip" else tarred(files))
    preview = scan(ImportSource(kind_of(path), path, name=path.name), importer.staging, quiet)
    asked = _question(preview)
    assert asked.chosen == AS_GUESSED
    assert "猫と犬/1.png" in dict(asked.options)[AS_GUESSED]
    assert any("in.zip: the encoding of file names" in one for one in preview.notices)
    names = {one.name for one in preview.found}
    assert sum("猫と犬/" in one for one in names) == 2
    encoding, words = next(one for one in asked.options if one[0] != AS_GUESSED)
    other = read_again(preview, answers={INNER: encoding})
    wrong = "猫と犬".encode("cp932").decode(encoding)
    assert wrong in words
    assert {one.name for one in other.found} == {one.replace("猫と犬", wrong) for one in names}
    assert _question(other).chosen == encoding
    assert not any("猫と犬" in one for one in other.notices), "a notice of the reading before"
    assert {one.name for one in read_again(other, answers={INNER: AS_GUESSED}).found} == names


def test_an_encoding_that_cannot_be_is_refused_for_zips_inside(importer: Importer) -> None:
    preview = importer.files({"in.zip": _inner("猫と犬", "cp932")})
    with pytest.raises(ConfigError, match=r"klingon.*guessed, cp932"):
        read_again(preview, answers={INNER: "klingon"})


def test_zips_inside_of_several_packers_each_read_as_it_seems_and_together_as_chosen(importer: Importer) -> None:
    plain = zipped({"x/1.png": png(1)})
    files = {"a.zip": _inner("Käfer", "cp1252"), "b.zip": _inner("Собаки и кошки", "cp866"), "c.zip": plain}
    preview = importer.files(files)
    asked = _question(preview)
    assert "cp1252, cp866" in dict(asked.options)[AS_GUESSED]
    found = {one.name for one in preview.found}
    assert found == {"a/Käfer/1.png", "a/Käfer/2.png", "b/Собаки и кошки/1.png", "b/Собаки и кошки/2.png", "c/x/1.png"}
    assert {"cp1252", "cp866"} <= dict(asked.options).keys()
    again = read_again(preview, answers={INNER: "cp1252"})
    assert {"a/Käfer/1.png", "c/x/1.png"} <= {one.name for one in again.found}


def test_the_name_of_a_zip_in_a_zip_is_that_of_its_folder_in_every_encoding(importer: Importer) -> None:
    deep = by_hand([("鳥の巣.zip".encode("cp932"), _inner("猫と犬", "cp932"))])
    preview = importer.files({"top.zip": deep})
    assert {one.name for one in preview.found} == {f"top/鳥の巣/猫と犬/{at}.png" for at in (1, 2)}
    encoding = next(key for key, _ in _question(preview).options if key not in (AS_GUESSED, "cp932"))
    again = read_again(preview, answers={INNER: encoding})
    nest, pets = (word.encode("cp932").decode(encoding) for word in ("鳥の巣", "猫と犬"))
    assert {one.name for one in again.found} == {f"top/{nest}/{pets}/{at}.png" for at in (1, 2)}


def test_what_is_told_of_names_follows_what_was_chosen(importer: Importer) -> None:
    preview = importer.zip(by_hand([("Käfer/1.png".encode("cp1252"), png(1)), ("Bär/1.png".encode("cp1252"), png(2))]))
    asked = next(one for one in preview.questions if one.key == ENCODING)
    assert any("(cp1252)" in one for one in preview.notices)
    other = next(key for key, _ in asked.options if key != asked.chosen)
    told = read_again(preview, answers={ENCODING: other}).notices
    assert any(f"({other})" in one for one in told)
    assert not any("(cp1252)" in one for one in told)
