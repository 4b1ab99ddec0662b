"""Deliveries as people make them, their truth known, and what a preview leaves out of it without a word.

`trees()` draws folders of classes with all that lies above, below and beside them; `Door` looks at a delivery as the
import does, with one set of decoding children for all; `unsaid` names what a preview has wrong and does not tell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shutil
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from hypothesis import strategies as st

from engine.images.pool import ChildLimits, DecodePool
from engine.importers.archive import ZipContents, other_names
from engine.importers.contents import Limits
from engine.importers.folder import FolderContents
from engine.importers.names import shown, tidy_label
from engine.importers.scan import ImportSource, Scanned, read_again
from engine.importers.staging import stage
from engine.records.imports import ImportPreview
from tests.engine.importers.import_samples import by_hand, folder, png, quiet, zipped

WRAPPERS = ("dataset", "data", "My photos (1)", "archive", "images", "Fotos 2024", "v1", "export", "pets", "2024-05-01")
CLASSES = (
    ("cat", "dog", "owl", "fox"), ("Käfer", "Bär", "Möwe", "Grün"), ("猫", "犬", "鳥"), ("кошка", "собака", "сова"),
    ("007", "7", "07"), ("0", "1", "2", "3"), ("nan", "None", "null", "yes"), ("2019", "2020", "2021"),
    ("Cat", "cat", "dog"), ("ice cream", "ice_cream", "soup"), ("test", "val", "cat"), ("train", "bus", "car"),
    ("test", "control"), ("data", "cat", "dog"), ("images", "text", "table"), ("card", "coin", "note"),
    ("day", "night", "dusk"), ("part 1", "part 2", "part 3"), ("2024-01-02", "2024-01-03"), ("good", "bad"),
    ("u\u0308ber", "unter", "neben"), ("cat ", "dog"), ("cat\u200b", "dog", "owl"), ("unknown", "cat", "dog"),
    ("a.b", "c.d", "e"), ("n01440764", "n02102040"), ("class 1", "class 2"), ("positive", "negative"),
    ("label", "no label here"), ("masks", "no masks"), ("annotations", "cat"), ("dev", "ops", "qa"), ("1.0", "2.0"),
)  # fmt: skip
SPLITS = (
    {"train": "train", "val": "val", "test": "test"}, {"train": "train", "test": "test"},
    {"train": "train", "valid": "val"}, {"Training": "train", "Testing": "test"}, {"Train": "train"},
    {"seg_train": "train", "seg_test": "test"}, {"training_set": "train", "test_set": "test"},
    {"train_data": "train", "test_data": "test"}, {"train_images": "train", "val_images": "val"},
    {"training": "train", "validation": "val", "testing": "test"}, {"01_train": "train", "02_test": "test"},
    {"trainset": "train", "testset": "test"}, {"dev": "val", "train": "train"}, {"test": "test"},
    {"train-images": "train", "test-images": "test"}, {"train_set": "train", "eval": "test"},
)  # fmt: skip
SESSIONS = (
    ("session1", "session2"), ("2024-01-01", "2024-01-02"), ("100CANON", "101CANON"), ("raw", "edited"), ("images",),
    ("a", "b", "c"), ("Monday", "Tuesday"), ("left", "right"), ("20240101", "20240102"), ("1", "2"),
)  # fmt: skip
ABOVE = (
    ("2024-01-01", "2024-01-02"), ("session 1", "session 2"), ("camera A", "camera B"), ("site1", "site2"),
    ("patient_01", "patient_02", "patient_03"), ("berlin", "paris"),
    ("20240101", "20240102"), ("images",), ("2023", "2024"),
)  # fmt: skip
BESIDE = ("README.txt", "notes.txt", "Thumbs.db", ".DS_Store", "license.md", "._x.png", "desktop.ini", "info.json")


@dataclass(frozen=True)
class Truth:
    """What an image is: its class, None for none; its split, "" for none; `folder` that says its class."""

    label: str | None
    split: str = ""


@dataclass(frozen=True)
class Delivery:
    """What somebody sends.

    Attributes:
        files: bytes by name; a name is a path with slashes.
        truth: of each of them that is an image.
        folders: empty ones.
        empty: classes that have no image that can be read.
        encoding: of the names in a zip, which does not say it; "" for a folder, "utf-8" for a zip that says so.
        backslashes: the zip has them for slashes.
    """

    files: Mapping[str, bytes]
    truth: Mapping[str, Truth]
    folders: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    encoding: str = ""
    backslashes: bool = False


@dataclass
class _Making:
    files: dict[str, bytes] = field(default_factory=dict)
    truth: dict[str, Truth] = field(default_factory=dict)
    made: int = 0

    def image(self, name: str, truth: Truth, data: bytes | None = None) -> None:
        if name not in self.files:
            self.files[name] = png(self.made) if data is None else data
            self.truth[name] = truth
            self.made += 1


@st.composite
def trees(draw: st.DrawFn) -> Delivery:
    """Draw folders of classes."""
    making = _Making()
    wrappers = draw(st.lists(st.sampled_from(WRAPPERS), max_size=3))
    top = "".join(f"{one}/" for one in wrappers)
    classes = draw(st.lists(st.sampled_from(draw(st.sampled_from(CLASSES))), min_size=1, max_size=4, unique=True))
    if draw(st.integers(0, 3)) == 0:
        classes = draw(st.lists(st.sampled_from(sorted(set().union(*CLASSES))), min_size=2, max_size=5, unique=True))
    where = draw(st.sampled_from(["", "", "above", "above", "below"]))
    splits = draw(st.sampled_from(SPLITS)) if where else {}
    above = draw(st.sampled_from(ABOVE)) if draw(st.integers(0, 4)) == 0 else ("",)
    below = draw(st.sampled_from(SESSIONS)) if draw(st.integers(0, 3)) == 0 else ("",)
    between = draw(st.sampled_from(["", "", "", "images"])) if where == "above" else ""
    naming = draw(st.sampled_from(["{}", "IMG_{:04d}", "{label} ({})", "{label}_{}", "scene{}_01"]))
    ending = draw(st.sampled_from([".png", ".PNG", ".jpg"]))
    every = draw(st.booleans())
    for split in splits or ("",):
        for place in above:
            for label in classes:
                if not every and draw(st.integers(0, 5)) == 0:
                    continue
                for session in below:
                    before = [split if where == "above" else "", between, place]
                    after = [label, split if where == "below" else "", session]
                    path = "/".join(part for part in (*before, *after) if part)
                    for number in range(draw(st.integers(1, 3))):
                        base = naming.format(number, label=label.strip("\u200b ")) + ending
                        making.image(f"{top}{path}/{base}", Truth(label, splits.get(split, "")))
    if not making.truth:
        making.image(f"{top}{classes[0]}/1.png", Truth(classes[0]))
    folders, empty = _beside(draw, making, top, classes, splits if where == "above" else {})
    _copies(draw, making)
    encoding = draw(st.sampled_from(["", "", "", "utf-8", "cp437", "cp932", "gbk", "cp1252"]))
    if encoding not in ("", "utf-8") and any(_lost(name, encoding) for name in making.files):
        encoding = "utf-8"
    return Delivery(
        making.files, making.truth, folders, empty, encoding, bool(encoding) and draw(st.integers(0, 5)) == 0
    )


def _beside(
    draw: st.DrawFn, making: _Making, top: str, classes: list[str], splits: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put stray files and folders beside the classes; return empty folders, and classes without an image."""
    first = next(iter(making.truth))
    inner = first.rpartition("/")[0]
    folders: list[str] = []
    empty: list[str] = []
    kinds = ["image at the top", "image beside", "file", "annotations", "docs", "pool", "flat", "empty", "damaged",
             "mac", "hidden", "masks"]  # fmt: skip
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=3, unique=True)):
        split = next(iter(splits), "")
        level = f"{top}{split}/" if split else top
        match kind:
            case "image at the top":
                making.image(draw(st.sampled_from(["cover.png", "all.jpg", "1.png"])), Truth(None))
            case "image beside":
                making.image(f"{level}overview.png", Truth(None, splits.get(split, "")))
            case "file":
                place = draw(st.sampled_from(["", top, f"{inner}/"]))
                making.files[f"{place}{draw(st.sampled_from(BESIDE))}"] = b"{}"
            case "annotations":
                for number in range(2):
                    making.files[f"{top}annotations/{number}.xml"] = b"<annotation/>"
            case "docs":
                making.image(f"{top}{draw(st.sampled_from(['docs', 'previews', 'screenshots']))}/a.png", Truth(None))
            case "pool":
                pool = draw(
                    st.sampled_from(["unlabeled", "_unlabeled", "Unlabelled", "no_label", "No label", "unsorted"])
                )
                for number in range(2):
                    making.image(f"{level}{pool}/{number}.png", Truth(None, splits.get(split, "")))
            case "flat" if splits:
                for number in range(2):
                    making.image(
                        f"{top}{draw(st.sampled_from(['pred', 'seg_pred', 'to_do']))}/{number}.png", Truth(None)
                    )
            case "empty":
                folders.append(f"{level}empty one")
                empty.append("empty one")
            case "damaged":
                making.files[f"{level}broken/1.jpg"] = b"\xff\xd8\xff no image"
                empty.append("broken")
            case "mac":
                making.files[f"__MACOSX/{first.rpartition('/')[0]}/._{first.rpartition('/')[2]}"] = b"\0\5\x16\7"
            case "hidden":
                making.files[f"{level}.hidden/1.png"] = png(60_000)
            case "masks":
                making.image(f"{top}{draw(st.sampled_from(['masks', 'labels']))}/a.png", Truth(None))
            case _:
                pass
    return tuple(folders), tuple(empty)


def _copies(draw: st.DrawFn, making: _Making) -> None:
    """Make some images the copy of another."""
    names = sorted(making.truth)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        one, other = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        making.files[one] = making.files[other]


def _lost(name: str, encoding: str) -> bool:
    try:
        return name.encode(encoding).decode(encoding) != name or b"\\" in name.encode(encoding)
    except UnicodeError:
        return True


class Door:
    """Looks at deliveries as the import does."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._pool = DecodePool(1, ChildLimits())
        self._number = 0

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def look(self, delivery: Delivery, answers: Mapping[str, str] | None = None) -> ImportPreview:
        """Return the preview of a delivery, with what it staged already thrown away.

        Raises:
            StarlingError: what the import refuses.
        """
        self._number += 1
        root = self._home / f"{self._number}"
        try:
            return self._scan(delivery, root, answers or {})
        finally:
            shutil.rmtree(root)

    def _scan(self, delivery: Delivery, root: Path, answers: Mapping[str, str]) -> ImportPreview:
        root.mkdir()
        contents: FolderContents | ZipContents
        if delivery.encoding:
            (root / "set.zip").write_bytes(packed(delivery))
            source, contents = ImportSource("zip", root / "set.zip"), ZipContents(root / "set.zip", Limits())
        else:
            folder(root / "set", dict(delivery.files))
            for name in delivery.folders:
                (root / "set" / name).mkdir(parents=True, exist_ok=True)
            source, contents = ImportSource("folder", root / "set"), FolderContents(root / "set", Limits())
        try:
            (root / "staging").mkdir()
            staged = stage(contents, root / "staging", Limits(), self._pool, quiet)
        finally:
            contents.close()
        files = frozenset(one.name for one in contents.listing.entries if one.name not in staged.unpacked.expanded)
        names = other_names(source.path, contents.listing, Limits()) if source.kind == "zip" else {}
        scanned = Scanned(source, contents.listing, None, staged, root / "staging", files, names)
        empty = ImportPreview("", "", (), (), {}, 0, 0, (), (), root / "staging", scanned=scanned)
        return read_again(empty, answers=answers)


def packed(delivery: Delivery) -> bytes:
    """Return the zip."""
    slash = "\\" if delivery.backslashes else "/"
    names = [*delivery.files, *(f"{one}/" for one in delivery.folders)]
    spelled = {name: name.replace("/", slash) for name in names}
    data = {name: delivery.files.get(name, b"") for name in names}
    if delivery.encoding == "utf-8" and not delivery.backslashes:
        return zipped(data)
    flags = 0x800 if delivery.encoding == "utf-8" else 0
    return by_hand([(spelled[name].encode(delivery.encoding), data[name]) for name in names], 0, flags)


_OTHER_READING = (
    r"could also be read|was recognised and|a table that names images and has no column|is not read as labels"
)
_DOUBTS = {"level", "aside", "encoding", "file_column", "label_column", "several", "nothing"}


def unsaid(delivery: Delivery, preview: ImportPreview) -> list[str]:
    """Return what a preview has otherwise than it is and does not tell.

    Told is a label or a split that a doubtful question is about, or that a notice or a refusal is about that names the
    file, its folder or the class, or the table that says something else. That all splits are taken together tells
    nothing.
    """
    doubts = {one.key.partition(":")[0] for one in preview.questions if one.doubtful} & _DOUBTS
    guessed = any(notice.startswith("the encoding of file names") for notice in preview.notices)
    if guessed or "encoding" in doubts:
        return []
    lines = [*preview.notices, *(f"{one.name}: {one.reason}" for one in (*preview.refused, *preview.conflicts))]
    said = "\n".join(line for line in lines if not line.startswith("all splits are taken"))
    table = next((name for name in delivery.files if name.endswith((".csv", ".tsv"))), "")
    other = any(table in line and re.search(_OTHER_READING, line) for line in lines) if table else False
    found = {one.sha256: one for one in preview.found}
    names: dict[str, list[str]] = defaultdict(list)
    for name in delivery.truth:
        names[hashlib.sha256(delivery.files[name]).hexdigest()].append(name)
    wrong: list[str] = []
    for sha256, same in names.items():
        wanted = {tidy_label(label) for name in same if (label := delivery.truth[name].label) is not None}
        splits = {delivery.truth[name].split for name in same} - {""}
        one = found.get(sha256)
        if one is None:
            wrong += [f"{name} is gone" for name in same if name not in said]
            continue
        told = bool(doubts) or other or any(_about(name, delivery.truth[name], one.label, said) for name in same)
        listed = one.label is None and _word(one.name, said)
        if len(wanted) > 1 and not listed and not (told and one.label not in wanted):
            wrong.append(f"{same[0]} has the label {one.label!r}, of {sorted(wanted)}")
        elif len(wanted) < 2 and one.label not in (wanted or {None}) and not told:
            wrong.append(f"{same[0]} has the label {one.label!r}, not {sorted(wanted)}")
        if one.split not in (splits or {"", "train"}) and not told and not _split_said(same, said):
            wrong.append(f"{same[0]} has the split {one.split!r}, not {sorted(splits)}")
    for label in delivery.empty:
        if label not in preview.counts and not _word(label, said) and not doubts:
            wrong.append(f"the class {label} is gone")
    return wrong


def _about(name: str, truth: Truth, got: str | None, said: str) -> bool:
    inner, _, base = name.rpartition("/")
    words = {base, base.rpartition(".")[0], inner, inner.rpartition("/")[2], truth.label, got} - {None, ""}
    text = "\n".join(line for line in said.split("\n") if not line.startswith("this could also be read"))
    return any(_word(str(one), text) for one in words)


def _split_said(names: list[str], said: str) -> bool:
    parts = {part for name in names for part in name.split("/")[:-1]}
    return any(_word(part, said) for part in parts if any(part in one for one in SPLITS))


def _word(word: str, text: str) -> bool:
    word = unicodedata.normalize("NFC", shown(word))
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", unicodedata.normalize("NFC", text)) is not None


FILE_HEADERS = (
    "filename", "file_name", "path", "image", "image_id", "Image", "img_path", "file", "name", "id", "Bild", "foto",
    "Dateiname", "fichier", "archivo", "arquivo", "файл", "画像", "文件名", "파일명", "Image Name", "src",
    "image-path", "ImageID", "Filename ", "photo", "immagine", "bestand", "plik", "Bilddatei", "image file", "img",
    "filepath", "wort",
)  # fmt: skip
LABEL_HEADERS = (
    "label", "class_name", "class", "Category", "target", "species", "diagnosis", "Klasse", "image_label", "Etikett",
    "catégorie", "clase", "rótulo", "класс", "ラベル", "标签", "라벨", "Class Label", "class-name", "LABEL", " label",
    "gt", "art", "type", "Ergebnis", "sorte", "result", "etiqueta", "tag", "y", "annotation", "grade", "zahl",
)  # fmt: skip
LABELS = (
    ("cat", "dog", "owl"), ("0", "1", "2"), ("007", "7", "07"), ("größe", "Käfer", "Bär"), ("кошка", "собака", "сова"),
    ("cat, domestic", "dog, wild", "owl"), ("猫", "犬", "鳥"), ("yes", "no", "NaN"), ("None", "null", "ok"),
    ("Cat", "cat", "dog"), ("cat", "dog|wild", "owl"), ("2024-01-02", "2024-01-03"), ("1.0", "2.0", "3.0"), ("-", "+"),
    ("true", "false"), ("N/A", "good", "bad"), ("a;b", "c"), ("good", "unlabeled"), ("1", "0"), ("=1+1", "@x"),
    ("cat ", "dog"), ("train", "bus", "car"), ("1,5", "2,5"), ("unknown", "cat", "dog"), ("test", "control"),
    ('say "cat"', "dog"), ("class 1", "class 2"), ("1e3", "1000"), ("TRUE", "FALSE"), ("image", "label"),
)  # fmt: skip
COLUMNS = ("width", "note", "camera", "date", "score", "scene", "split", "reviewed", "nr", "empty", "", "is_valid",
           "set", "fold", "annotator", "Unnamed: 0", "confidence", "predicted")  # fmt: skip


@st.composite
def labeled_tables(draw: st.DrawFn) -> Delivery:
    """Draw images with a table that says what they are."""
    making = _Making()
    count = draw(st.integers(3, 14))
    stem = draw(st.sampled_from(["{}", "IMG_{:04d}", "bird {}", "x.{}", "é{}", "{:03d}", "a{}b", "P{:02d}%20x"]))
    ending = draw(st.sampled_from([".png", ".PNG", ".jpg"]))
    places = draw(
        st.sampled_from([("",), ("images/",), ("set/images/",), ("a/", "b/"), ("train/", "test/"), ("data/x y/",)])
    )
    same = len(places) > 1 and draw(st.booleans())
    names = [
        f"{places[number % len(places)]}{stem.format(number // len(places) if same else number)}{ending}"
        for number in range(count)
    ]
    pool = draw(st.sampled_from(LABELS))
    choices = st.sampled_from([*pool, *pool, ""])
    labels = draw(st.lists(choices, min_size=count, max_size=count))
    form = draw(st.sampled_from(["base", "full", "full", "stem", "windows", "unix", "address", "upload", "escaped",
                                 "case", "dot", "back", "wrapped", "other ending", "number"]))  # fmt: skip
    cells = [_cell(form, name, number) for number, name in enumerate(names)]
    given = {name: [label] for name, label in zip(names, labels, strict=True)}
    rows = list(zip(cells, labels, strict=True))
    match draw(st.sampled_from(["", "", "", "", "twice", "conflict", "missing row", "missing image"])):
        case "twice":
            rows.append(rows[0])
        case "conflict":
            rows.append((rows[0][0], pool[-1]))
            given[names[0]].append(pool[-1])
        case "missing row":
            rows.pop()
            given[names[-1]] = []
        case "missing image":
            rows.append((_cell(form, f"{places[0]}gone{ending}", 99), pool[0]))
        case _:
            pass
    for number, name in enumerate(names):
        told = {label for label in given[name] if label}
        split = {"train/": "train", "test/": "test"}.get(places[number % len(places)], "")
        making.image(name, Truth(next(iter(told)) if len(told) == 1 else None, split), png(number))
    file_header, label_header = draw(st.sampled_from(FILE_HEADERS)), draw(st.sampled_from(LABEL_HEADERS))
    columns = {file_header: [row[0] for row in rows], label_header: [row[1] for row in rows]}
    for extra in draw(
        st.lists(st.sampled_from(COLUMNS), max_size=2, unique_by=lambda one: "set" if one == "split" else one)
    ):
        columns[extra] = [_extra(extra, number, pool) for number in range(len(rows))]
        if extra in ("split", "set"):
            for at, cell in reversed(list(enumerate(columns[extra]))):
                if at < count:
                    making.truth[names[at]] = Truth(making.truth[names[at]].label, cell)
                elif rows[at] != (_cell(form, f"{places[0]}gone{ending}", 99), pool[0]):
                    columns[extra][at] = columns[extra][0]
            if len(rows) < count:
                making.truth[names[-1]] = Truth(None, "")
    order = draw(st.permutations(list(columns))) if draw(st.booleans()) else list(columns)
    headed = draw(st.integers(0, 7)) > 0
    table = [[columns[header][at] for header in order] for at in range(len(rows))]
    data, suffix = _written(draw, [list(order), *table] if headed else table)
    where = draw(st.sampled_from(["", "", "" if same else places[0], "annotations/"]))
    making.files[f"{where}{draw(st.sampled_from(['labels', 'data', 'Tabelle1', 'annotations', 'train']))}{suffix}"] = (
        data
    )
    return Delivery(making.files, making.truth)


def _cell(form: str, name: str, number: int) -> str:
    base = name.rpartition("/")[2]
    bare = base.rpartition(".")[0]
    return {
        "base": base, "full": name, "stem": bare, "windows": "C:\\me\\" + name.replace("/", "\\"),
        "unix": f"/home/me/{name}", "address": f"https://host.example/{quote(name)}", "escaped": quote(name),
        "upload": f"/data/upload/1/{number:08x}-{base}", "case": name.upper(), "dot": f"./{name}",
        "back": name.replace("/", "\\"), "wrapped": f"project/{name}", "other ending": f"{bare}.tif",
        "number": bare.lstrip("0") or "0",
    }[form]  # fmt: skip


def _extra(kind: str, number: int, pool: tuple[str, ...]) -> str:
    return {
        "width": str(640 + number % 2), "note": "", "camera": f"X{number % 2}", "date": f"2024-01-{number + 1:02d}",
        "score": f"0.{number}", "scene": f"s{number // 3}", "split": ("train", "val", "test")[number % 3],
        "reviewed": str(number % 2), "nr": str(number), "empty": "", "": str(number), "is_valid": "False",
        "set": ("train", "test")[number % 2], "fold": str(number % 5), "annotator": ("anna", "ben")[number % 2],
        "Unnamed: 0": str(number), "confidence": f"0.{number % 10}1", "predicted": pool[number % len(pool)],
    }[kind]  # fmt: skip


def _written(draw: st.DrawFn, rows: list[list[str]]) -> tuple[bytes, str]:
    """Return a table as some program writes it, and the ending of its name."""
    separator = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n"])))
    space = quoting == csv.QUOTE_MINIMAL and draw(st.integers(0, 3)) == 0
    for row in rows:
        writer.writerow([row[0], *(f" {cell}" for cell in row[1:])] if space else row)
        if draw(st.integers(0, 30)) == 0:
            out.write("\n")
    text = out.getvalue()
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1251", "cp932", "gbk"]))
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        data = text.encode()
    return data, ".tsv" if separator == "\t" else ".csv"
