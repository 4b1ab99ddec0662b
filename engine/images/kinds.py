"""What kind of file some bytes are, by their first bytes alone: a file's name does not count."""

from __future__ import annotations

from engine.errors import DecodeError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "JPEG XL", "DICOM")
PLUGIN_KINDS = frozenset({"HEIF", "JPEG XL", "DICOM"})
"""Those that a plug-in reads, see engine.images.extra_formats."""
PACKAGE = "starling-workbench"
SEVERAL = "holds several pictures; the first is taken"
"""What is told of an animation, and of a file of several pages."""
FRAMED = ("PNG", "WEBP", "GIF", "TIFF", "AVIF", "HEIF")
"""Formats whose further pictures are frames or pages; those of a JPEG are the same one for other screens."""
SAVE_AS = "Save it as JPEG or PNG and import it again."
_ACCEPTED = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
)
_KNOWN_REFUSED = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"%PDF", "a PDF"),
    (b"SIMPLE  =", "a FITS file"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\1\0", "an icon file"),
    (b"SQLite format 3", "a database"),
)
_ARCHIVES = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x1f\x8b", "a file packed with gzip"),
    (b"BZh", "a file packed with bzip2"),
    (b"\xfd7zXZ\0", "a file packed with xz"),
    (b"\x28\xb5\x2f\xfd", "a file packed with Zstandard"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
)
_VIDEOS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\0\0\1\xba",  # MPEG program stream
    b"\0\0\1\xb3",  # MPEG video
    b"FLV\1",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
)
_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
_OTHER_BRANDS = {b"crx ": "a camera's raw file (CR3)", b"M4A ": "a sound file", b"M4B ": "a sound file"}


def sniff(data: bytes) -> str:
    """Return the format the bytes say, one of FORMATS.

    Args:
        data: a file's bytes; its first 1,024 are enough.

    Raises:
        DecodeError: no bytes, or not a format on the allow-list; the cause says what it is where known.
    """
    if not data:
        raise DecodeError("The file is empty (0 bytes)")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, name in _ACCEPTED:
        if data.startswith(magic):
            return name
    brands = _brands(data)
    if brands & _AVIF:
        return "AVIF"
    if brands & _HEIF:
        return "HEIF"
    if data[128:132] == b"DICM":
        return "DICOM"
    if is_video(data):
        raise DecodeError("This is a video, not an image", way_out="Save its frames as images and import those.")
    for magic, what in _ARCHIVES:
        if data.startswith(magic):
            raise DecodeError(f"Not an image: {what}", way_out="Unpack it and import what is in it.")
    for magic, what in (*_KNOWN_REFUSED, *((b"\0", what) for brand, what in _OTHER_BRANDS.items() if brand in brands)):
        if data.startswith(magic):
            raise DecodeError(f"Not an accepted image format: {what}", way_out=SAVE_AS)
    raise DecodeError(f"Not an accepted image format: {_text_kind(data[:1024])}", way_out=SAVE_AS)


def is_video(data: bytes) -> bool:
    """Return whether the first bytes of a file (1,024 are enough) are those of a video."""
    brands = _brands(data)
    if brands:
        return not brands & (_AVIF | _HEIF | set(_OTHER_BRANDS))
    transport = len(data) > 376 and data[0] == data[188] == data[376] == 0x47
    old_quicktime = data[4:8] in (b"moov", b"mdat", b"wide")
    return data.startswith(_VIDEOS) or data[:4] + data[8:12] == b"RIFFAVI " or transport or old_quicktime


def needs(what: str, extra: str) -> DecodeError:
    """Return the refusal of a file whose plug-in is not installed.

    Args:
        what: the kind of file, as the start of a sentence.
        extra: the name of the extra that brings the plug-in.
    """
    return DecodeError(
        f"{what} is read by a plug-in that is not installed",
        way_out=f"Install it with: pip install '{PACKAGE}[{extra}]' and import again, or save the file as JPEG or PNG.",
    )


def _brands(data: bytes) -> set[bytes]:
    """Return the brands that a file of the MP4 family names; empty for any other file."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), len(data), 1024)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}


def _text_kind(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "SVG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML file"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return "unknown data" if error.start < len(head) - 4 else "a text file"
    return "unknown data" if b"\0" in head else "a text file"
