"""Sources made by hand: zips, also broken ones, and folders."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.importers.scan import ImportSource, scan
from engine.records.imports import ImportPreview
from tests.engine.images.image_samples import encoded, solid

Files = dict[str, bytes]


def quiet(label: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def png(grey: int) -> bytes:
    """A different small image for each number."""
    return encoded(solid((grey % 256, grey // 256, 7), (5, 5), "RGB"))


def zipped(files: Files | Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return out.getvalue()


def folder(root: Path, files: Files) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def by_hand(
    entries: Iterable[tuple[bytes, bytes]],
    system: int = 3,
    flags: int = 0,
    extra: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return a zip of stored entries with names as raw bytes, without ZIP64 and its count of entries by 16 bits.

    system: what APPNOTE calls "version made by"; flags: of each entry; extra: gives an entry's extra field by its name.
    """
    local, central = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
    bodies, records, at, count = [], [], 0, 0
    for name, data in entries:
        field, crc = extra(name) if extra else b"", zlib.crc32(data)
        same = (flags, 0, 0, 33, crc, len(data), len(data), len(name))
        bodies.append(local.pack(b"PK\3\4", 20, *same, 0) + name + data)
        records.append(central.pack(b"PK\1\2", 20 | system << 8, 20, *same, len(field), 0, 0, 0, 0, at) + name + field)
        at, count = at + len(bodies[-1]), count + 1
    directory, short = b"".join(records), count & 0xFFFF
    return b"".join(bodies) + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, len(directory), at, 0)


class Importer:
    """Scans sources into one staging folder; `outside` tells what else was written."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.staging = home / "project" / "staging"
        self.source = home / "source"
        self.source.mkdir()

    def zip(self, data: bytes, **options: object) -> ImportPreview:
        path = self.source / "set.zip"
        path.write_bytes(data)
        return scan(ImportSource("zip", path), self.staging, quiet, **options)  # type: ignore[arg-type]

    def files(self, files: Files, **options: object) -> ImportPreview:
        return self.zip(zipped(files), **options)

    def folder(self, files: Files, **options: object) -> ImportPreview:
        folder(self.source / "set", files)
        return scan(ImportSource("folder", self.source / "set"), self.staging, quiet, **options)  # type: ignore[arg-type]

    def left(self) -> list[str]:
        """Files and folders under home that neither the source nor the empty staging folder account for."""
        found = (path.relative_to(self.home).as_posix() for path in self.home.rglob("*"))
        return [name for name in found if not name.startswith("source") and name not in ("project", "project/staging")]


def labels(preview: ImportPreview) -> dict[str, str | None]:
    return {image.name: image.label for image in preview.found}


def reasons(preview: ImportPreview) -> dict[str, str]:
    return {refusal.name: refusal.reason for refusal in preview.refused}


def patched(data: bytes, change: Callable[[bytearray], None]) -> bytes:
    buffer = bytearray(data)
    change(buffer)
    return bytes(buffer)
