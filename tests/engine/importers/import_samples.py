"""Sources made by hand: zips, also broken ones, and folders."""

import io
import zipfile
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
