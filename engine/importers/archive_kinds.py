"""Archives, tables and videos by the endings of their names: which are read piece by piece, and what the others are."""

from __future__ import annotations

ZIP = ".zip"
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
TABLES = (".arrow", ".parquet")
VIDEOS = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".asf", ".flv", ".ogv", ".3gp", ".3g2",
    ".mts", ".ts",
)  # fmt: skip
STREAMED = (ZIP, *TARS, *TABLES, *VIDEOS)
"""Endings of files that may be larger than one file else may be, since they are never in memory as a whole."""
_NOT_READ = {
    ".7z": "a 7z archive", ".rar": "a RAR archive", ".jar": "a Java archive", ".gz": "a file packed with gzip",
    ".bz2": "a file packed with bzip2", ".xz": "a file packed with xz", ".zst": "a file packed with Zstandard",
    ".tzst": "an archive packed with Zstandard", ".lz4": "a file packed with LZ4", ".iso": "an image of a disk",
}  # fmt: skip
_STARTS = {
    b"7z\xbc\xaf\x27\x1c": ".7z", b"Rar!\x1a\x07": ".rar", b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\0": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}  # fmt: skip


def unread_archive(name: str) -> str | None:
    """Return why a file of this name is not read, with the way out; None where it is no archive or one that is."""
    lowered = name.lower()
    if lowered.endswith(STREAMED):
        return None
    return next((_told(what) for ending, what in _NOT_READ.items() if lowered.endswith(ending)), None)


def archive_of(head: bytes) -> str | None:
    """Return what archive the first bytes of a file are of, other than a zip or a plain tar; None for any other."""
    return next((_NOT_READ[ending] for start, ending in _STARTS.items() if head.startswith(start)), None)


def _told(what: str) -> str:
    return f"{what}, which is not read here; unpack it and import what is in it"
