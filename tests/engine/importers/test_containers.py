import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DecodeError, ImportRefused, NothingToImport, SourceMissing
from engine.importers.containers import CONTAINERS, Given, Member, container_of
from engine.importers.contents import Limits
from engine.importers.formats import read_labels
from engine.importers.scan import ImportSource, kind_of, scan
from engine.importers.source_view import SourceView
from engine.records.imports import ImportPreview, Refusal
from tests.engine.importers.container_samples import arrow, parquet, table, tarred
from tests.engine.importers.import_samples import Importer, labels, png, quiet, reasons

ROWS = [{"image": {"bytes": png(number), "path": f"{number}.png"}, "label": number % 2} for number in range(5)]
TABLE = table(ROWS, ["cat", "dog"])


def expand(name: str, data: bytes, limits: Limits | None = None) -> list[Given]:
    kind = container_of(name)
    assert kind is not None
    return list(kind.expand(name, io.BytesIO(data), limits or Limits(), None))


def members(found: list[Given]) -> dict[str, bytes | None]:
    return {one.name: one.data for one in found if isinstance(one, Member)}


def refusals(found: list[Given]) -> dict[str, str]:
    return {one.name: one.reason for one in found if isinstance(one, Refusal)}


def one_file(importer: Importer, name: str, data: bytes, **options: object) -> ImportPreview:
    path = importer.source / name
    path.write_bytes(data)
    assert kind_of(path) == "file"
    return scan(ImportSource("file", path, name=name), importer.staging, quiet, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["pets.tar", "pets.tar.gz", "pets.tgz", "PETS.TAR"])
def test_a_tar_of_class_folders_is_a_class_tree(importer: Importer, name: str) -> None:
    packed = not name.lower().endswith(".tar")
    data = tarred({"cat/1.png": png(1), "dog/2.png": png(2), "._x": b"", "cat/": b""}, packed)
    preview = one_file(importer, name, data)
    stem = name.partition(".")[0]
    assert labels(preview) == {f"{stem}/cat/1.png": "cat", f"{stem}/dog/2.png": "dog"}
    assert (preview.reading, preview.skipped, preview.refused) == ("class_tree", 1, ())
    assert any(one.startswith("left out as no part of the set") for one in preview.notices)


def test_tars_in_a_folder_are_folders_called_like_them(importer: Importer) -> None:
    files = {
        "set/n01.tar": tarred({"a.png": png(1), "b.png": png(2)}), "set/n02.tar": tarred({"a.png": png(3)}),
        "set/n03/a.png": png(4),
    }  # fmt: skip
    preview = importer.folder(files)
    assert labels(preview) == {
        "set/n01/a.png": "n01", "set/n01/b.png": "n01", "set/n02/a.png": "n02", "set/n03/a.png": "n03",
    }  # fmt: skip


def test_a_tar_beside_a_folder_of_its_name_keeps_its_ending(importer: Importer) -> None:
    preview = importer.folder({"cat.tar": tarred({"a.png": png(1)}), "cat/a.png": png(2), "dog/a.png": png(3)})
    assert set(labels(preview)) == {"cat.tar/a.png", "cat/a.png", "dog/a.png"}


def test_a_table_in_a_tar_labels_its_images(importer: Importer) -> None:
    preview = one_file(importer, "x.tar", tarred({"a.png": png(1), "labels.csv": b"filename,label\na.png,cat\n"}))
    assert labels(preview) == {"x/a.png": "cat"}


def link(name: str, kind: bytes, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def test_nothing_but_plain_files_with_plain_names_is_taken() -> None:
    data = tarred(
        [
            ("/etc/passwd.png", b"a"), ("../up.png", b"b"), ("a/../../up.png", b"c"), ("C:/x.png", b"d"),
            ("back\\slash.png", b"e"), link("link.png", tarfile.SYMTYPE, "/etc/passwd"),
            link("hard.png", tarfile.LNKTYPE, "good.png"), link("pipe.png", tarfile.FIFOTYPE, ""),
            link("disk.png", tarfile.BLKTYPE, ""), ("inner.rar", b"f"), ("good.png", b"g"), ("good.png", b"h"),
            ("./dot.png", b"i"), ("x" * 300 + ".png", b"j"),
        ]
    )  # fmt: skip
    found = expand("x.tar", data)
    assert members(found) == {"good.png": b"g", "dot.png": b"i", "x" * 300 + ".png": b"j"}
    said = refusals(found)
    assert said["x.tar//etc/passwd.png"] == "the name is an absolute path"
    assert "“..”" in said["x.tar/../up.png"]
    assert "“..”" in said["x.tar/a/../../up.png"]
    assert said["x.tar/link.png"] == said["x.tar/hard.png"] == "a link inside the archive"
    assert said["x.tar/pipe.png"] == said["x.tar/disk.png"] == "not an ordinary file"
    assert said["x.tar/inner.rar"] == "a RAR archive, which is not read here; unpack it and import what is in it"
    assert said["x.tar/good.png"] == "the archive has several files of this name; the first is taken"
    assert len(said) == 11


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_kind_of_tar_gives_its_long_and_foreign_names(form: int) -> None:
    names = ["größe/Kätzchen.png", "d/" * 60 + "long.png"]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"ab"))
    assert members(expand("x.tar", out.getvalue())) == dict.fromkeys(names, b"ab")


def test_two_tars_one_after_the_other_are_both_read() -> None:
    data = tarred({"a.png": b"a"}) + tarred({"b.png": b"b"})
    assert members(expand("x.tar", data)) == {"a.png": b"a", "b.png": b"b"}


def test_a_tar_that_is_cut_off_or_damaged_gives_what_comes_before_and_says_so() -> None:
    data = tarred({"a.png": b"a" * 600, "b.png": b"b" * 600})
    cut = expand("x.tar", data[: 512 + 1024 + 512 + 100])
    assert list(members(cut)) == ["a.png"]
    assert refusals(cut) == {"x.tar/b.png": "the archive is cut off in this file"}
    at_the_seam = expand("x.tar", data[: 512 + 1024])
    assert refusals(at_the_seam) == {"x.tar": "the archive ends without its end mark; it may be cut off"}
    damaged = bytearray(data)
    damaged[512 + 1024 + 5] ^= 0xFF
    found = expand("x.tar", bytes(damaged))
    assert list(members(found)) == ["a.png"]
    assert refusals(found) == {"x.tar": "the archive is damaged at byte 1,536; the rest of it is not read"}
    packed = gzip.compress(data)
    assert "damaged or cut off" in refusals(expand("x.tar.gz", packed[:-30]))["x.tar.gz"]
    assert "damaged" in refusals(expand("x.tgz", b"no gzip at all"))["x.tgz"]
    assert "damaged" in refusals(expand("x.tar", b"no tar at all" * 99))["x.tar"]


def test_a_huge_header_is_refused_before_it_is_read() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    header = info.tobuf(tarfile.GNU_FORMAT)
    assert "damaged at byte 0" in refusals(expand("x.tar", header + bytes(4096)))["x.tar"]


def test_files_and_archives_over_the_caps_are_refused() -> None:
    data = tarred({"big.png": bytes(5000), "small.png": b"a"})
    found = expand("x.tar", data, Limits(entry_bytes=4000))
    assert members(found) == {"small.png": b"a"}
    assert "larger than" in refusals(found)["x.tar/big.png"]
    bomb = gzip.compress(tarred({"a.png": bytes(3_000_000)}))
    with pytest.raises(ImportRefused, match="unpacks to more than"):
        expand("x.tar.gz", bomb, Limits(total_bytes=1_000_000))


def test_the_caps_of_a_source_count_what_is_in_its_containers(importer: Importer) -> None:
    data = tarred({f"{number}.png": png(number) for number in range(9)})
    with pytest.raises(ImportRefused, match="more than 5 files in archives"):
        one_file(importer, "x.tar", data, limits=Limits(folder_files=5))
    with pytest.raises(ImportRefused, match="unpacks to more"):
        one_file(importer, "y.tar", data, limits=Limits(total_bytes=300))
    assert importer.left() == []


def test_a_tables_images_come_with_what_it_says_of_them() -> None:
    for name, data in (("x.arrow", arrow(TABLE)), ("x.parquet", parquet(TABLE))):
        found = expand(name, data)
        assert members(found) == {f"{number}.png": png(number) for number in range(5)}
        assert [one.record["row"] for one in found if isinstance(one, Member) and one.record] == [
            {"label": number % 2} for number in range(5)
        ]
        assert all(
            one.record["names"] == {"label": ("cat", "dog")} for one in found if isinstance(one, Member) and one.record
        )


def test_names_of_rows_are_unique_and_plain() -> None:
    paths = ["/home/u/a.png", "b/a.png", "..\\c.png", None, "..", "bad\x00.png"]
    rows = [{"image": {"bytes": png(at), "path": path}, "label": 0} for at, path in enumerate(paths)]
    assert list(members(expand("x.arrow", arrow(table(rows, ["cat"]))))) == [
        "a.png", "000001_a.png", "c.png", "000003.png", "000004.png", "000005.png",
    ]  # fmt: skip


def test_rows_without_an_image_and_further_images_are_told() -> None:
    rows = [
        {"image": {"bytes": png(0), "path": None}, "mask": {"bytes": b"x", "path": None}},
        {"image": None, "mask": None},
    ]
    found = expand("x.parquet", parquet(table(rows)))
    assert refusals(found) == {
        "x.parquet": "only the images of column “image” are read; not mask",
        "x.parquet, row 1": "the row has no image",
    }


def test_an_arrow_file_that_is_cut_off_gives_what_comes_before(importer: Importer) -> None:
    data = arrow(TABLE)
    preview = one_file(importer, "x.arrow", data[: len(data) - 300])
    assert len(preview.found) == 4
    assert "damaged or cut off after row 4; the rest is not read" in reasons(preview)["x.arrow"]


def test_a_table_without_images_is_a_file_like_any_other(importer: Importer) -> None:
    plain = pa.table({"file_name": ["a.png"], "label": ["cat"]})
    preview = importer.folder({"a.png": png(1), "t.parquet": parquet(plain), "t.arrow": arrow(plain)})
    assert [image.name for image in preview.found] == ["a.png"]
    assert {"t.arrow"} <= {refusal.name for refusal in preview.refused}


def test_other_shapes_of_tables_are_read(importer: Importer) -> None:
    raw = pa.table({"jpg": pa.array([png(1), png(2)], pa.large_binary()), "class": ["cat", "dog"]})
    preview = one_file(importer, "raw.parquet", parquet(raw))
    assert labels(preview) == {"raw/000000.png": "cat", "raw/000001.png": "dog"}
    out = io.BytesIO()
    with pa.ipc.new_file(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    assert len(one_file(importer, "feather.arrow", out.getvalue()).found) == 5


def test_a_file_of_another_kind_and_a_missing_one_are_refused(importer: Importer) -> None:
    other = importer.source / "movie.doc"
    other.write_bytes(b"x")
    with pytest.raises(ImportRefused, match="no images that can be read"):
        scan(ImportSource("file", other), importer.staging, quiet)
    with pytest.raises(SourceMissing):
        scan(ImportSource("file", importer.source / "gone.tar"), importer.staging, quiet)
    with pytest.raises(NothingToImport):
        one_file(importer, "empty.tar", tarred({}))
    assert (kind_of(other), kind_of(importer.source)) == ("zip", "folder")


TREE = tarred({"000.png": png(1), "000.cls": b"1", "a/000.json": b'{"label": "cat"}', "a/000.png": png(2)})
SAMPLES = {"x.tar": TREE, "x.tar.gz": gzip.compress(TREE), "x.arrow": arrow(TABLE), "x.parquet": parquet(TABLE)}


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(SAMPLES)))
    data = bytearray(SAMPLES[name])
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return name, bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@settings(max_examples=400, deadline=None)
@given(changed())
def test_a_changed_container_gives_members_and_refusals_only(sample: tuple[str, bytes]) -> None:
    name, data = sample
    kind = container_of(name)
    assert kind is not None
    with suppress(DecodeError, ImportRefused):
        if kind.holds_images(io.BytesIO(data)):
            found: Iterator[Given] = kind.expand(name, io.BytesIO(data), Limits(), None)
            taken = {f"x/{one.name}": one.record for one in found if isinstance(one, Member) and one.data is not None}
            records = {name: record for name, record in taken.items() if record is not None}
            labeling = read_labels(SourceView(tuple(sorted(taken)), frozenset(taken), records=records)).labeling
            assert labeling.labels.keys() <= taken.keys()


def test_containers_are_found_by_their_ending_alone() -> None:
    assert {ending for ending in CONTAINERS if container_of(f"a{ending.upper()}") is CONTAINERS[ending]} == set(
        CONTAINERS
    )
    assert container_of("tar") is None
    assert container_of("a.tar.png") is None


def test_the_source_is_left_as_it_was(importer: Importer, tmp_path: Path) -> None:
    one_file(importer, "x.tar", tarred({"../evil.png": png(1), "a.png": png(2)}))
    assert not (tmp_path / "evil.png").exists()
    assert [path.name for path in importer.source.iterdir()] == ["x.tar"]
