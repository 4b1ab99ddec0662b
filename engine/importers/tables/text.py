"""Rows of text files with separators: commas, tabs, semicolons or bars."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from engine.errors import ImportRefused
from engine.importers.names import shown
from engine.importers.tables import rows as limits
from engine.importers.tables.cell_files import CellFiles
from engine.importers.tables.encodings import Decoded, decode
from engine.importers.tables.rows import Answers, Row, Rows, has_header, make_rows, may_be_labels, says_labels
from engine.records.imports import Question

SEPARATORS = (",", "\t", ";", "|")
MAX_FIELD = 131_072
MOST_TITLES = 8
_SAMPLED_LINES = 64
_SINGLE_QUOTED = re.compile(r"\s*'[^']*'(?:\s*[,;\t|]\s*(?:'[^']*'|[\d.]*))+\s*")
_SAVE_UTF8 = "Save it as UTF-8 (in a spreadsheet: “CSV UTF-8”) to be sure."


def read_text(name: str, data: bytes, files: CellFiles, answers: Answers) -> Rows | None:
    """Return the table of a text file; None where neither its header nor its cells say that it is one about images.

    Args:
        name: of the file.
        data: its bytes.
        files: of the source.
        answers: "encoding:NAME" may hold an encoding.

    Raises:
        ImportRefused: too large, or unclosed quotes.
    """
    check_size(name, len(data))
    decoded = decode(data, answers.get(encoding_key(name), ""))
    text, separator = _told_separator(decoded.text)
    title, text = _without_title(text)
    text, single = _double_quoted(text)
    folder = name.rpartition("/")[0]
    separator = separator or _separator(text, files, folder, name.lower().endswith(".txt"))
    if not separator:
        return None
    questions, notices = about_encoding(name, decoded)
    if title:
        notices = (*notices, f"{shown(name)}: what stands above the table is left out: {shown(title[0], 80)}")
    if single:
        notices = (*notices, f"{shown(name)}: the single quotes around its cells are left out")
    other: list[int] = []
    rows = _evened(parsed(name, text, separator), files, folder, other)
    rows = ((number + len(title), row) for number, row in rows)
    made = make_rows(name, name, rows, files, questions=questions, notices=notices)
    if made is None or not other:
        return made
    lines = "1 row has" if len(other) == 1 else f"{len(other):,} rows have"
    told = f"{shown(name)}: {lines} another separator than its first one, such as row {other[0] + len(title):,}"
    return replace(made, notices=(*made.notices, told))


def encoding_key(name: str) -> str:
    """Return the key of the question about a file's encoding."""
    return f"encoding:{name}"


def check_size(name: str, size: int) -> None:
    """Raise ImportRefused where a file is too large for a table, in bytes."""
    if size > limits.MAX_BYTES:
        raise ImportRefused(
            f"A table is larger than {limits.MAX_BYTES >> 20} MB", value=shown(name),
            way_out="Split it, and import in parts.",
        )  # fmt: skip


def parsed(name: str, text: str, separator: str) -> Iterator[Row]:
    """Yield rows with the number of their record, leaving out blank lines.

    Raises:
        ImportRefused: a quote is not closed, or a cell is very long.
    """
    csv.field_size_limit(MAX_FIELD)
    spaced = re.search(rf'(^|{re.escape(separator)}) +"', text, re.MULTILINE) is not None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=spaced)
    try:
        for number, row in enumerate(reader, start=1):
            if row:
                yield number, row
    except csv.Error as error:
        raise ImportRefused(
            f"A table cannot be read ({error})", value=shown(name),
            way_out="Look for a quote that is not closed, or a very long cell, and import again.",
        ) from error  # fmt: skip


def _told_separator(text: str) -> tuple[str, str]:
    """Excel's first line may say what separates: `sep=;`."""
    first, _, rest = text.partition("\n")
    told = re.fullmatch(r'"?sep=(.)"?\r?', first, re.IGNORECASE)
    return (rest, told[1]) if told else (text, "")


def _without_title(text: str) -> tuple[list[str], str]:
    """Return up to MOST_TITLES lines above a table, which are comments or have no separator, and the rest; the text as
    it is where no line below has one."""
    lines = text.split("\n", MOST_TITLES)
    above: list[str] = []
    while len(lines) > 1 and (lines[0].startswith("#") or not any(one in lines[0] for one in SEPARATORS)):
        above.append(lines.pop(0).strip("\r"))
    below = any(one in lines[0] for one in SEPARATORS)
    told = [line for line in above if line.strip()]
    return (above, "\n".join(lines)) if told and below else ([], text)


def _double_quoted(text: str) -> tuple[str, bool]:
    """Return a text all of whose first lines are cells in single quotes with double ones, and whether it is one."""
    lines = [line for line in text[: 1 << 16].splitlines() if line.strip()][:_SAMPLED_LINES]
    if '"' in text or len(lines) < 2 or not all(map(_SINGLE_QUOTED.fullmatch, lines[:-1])):
        return text, False
    return text.replace("'", '"'), True


def _evened(rows: Iterable[Row], files: CellFiles, folder: str, other: list[int]) -> Iterator[Row]:
    """Yield rows; one of a single cell, in which another separator gives as many as the first row has, is divided by
    that, and its number is added to `other`. Of a space the first part must name a file."""
    width = 0
    for number, row in rows:
        width = width or len(row)
        if len(row) == 1 < width:
            for separator in SEPARATORS:
                cells = next(csv.reader([row[0]], delimiter=separator), [])
                if len(cells) == width:
                    row = [cell.strip() for cell in cells]
                    break
            else:
                parts = row[0].rsplit(None, 1)
                if len(parts) == width == 2 and files.find(parts[0], folder)[0] is not None:
                    row = parts
            if len(row) == width:
                other.append(number)
        yield number, row


def _separator(text: str, files: CellFiles, folder: str, only_files: bool) -> str:
    """Return the separator by which most files are named, or the header says what the table is; "" for none."""
    lines = _some_lines(text)
    csv.field_size_limit(MAX_FIELD)
    best, most = "", (0, 0, 0)
    for separator in SEPARATORS:
        if not any(separator in line for line in lines[:_SAMPLED_LINES]):
            continue
        rows = _split(lines, separator)
        if not rows or len(rows[0]) < 2:
            continue
        headed = has_header(rows[: limits.PEEKED], files, folder)
        header = [cell.strip() for cell in rows[0]] if headed else [""] * len(rows[0])
        named = may_be_labels(header, rows[headed:], files, folder)
        if only_files and named < 2:
            continue
        even = sum(len(row) == len(rows[0]) for row in rows)
        score = (named, int(says_labels(header)), even)
        if named and score > most:
            best, most = separator, score
    return best


def _split(lines: list[str], separator: str) -> list[list[str]]:
    """The rows of some lines, as far as they can be read."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # what was read before tells enough
        rows.extend(row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row)
    return rows


def _some_lines(text: str) -> list[str]:
    """The first lines, and some from all over the file; long ones cut off."""
    ends = [match.end() for match in re.finditer(r"[^\r\n]*(\r\n|\r|\n|$)", text[: 1 << 18])][:_SAMPLED_LINES]
    start = ends[-1] if ends else 0
    lines = text[:start].splitlines()
    step = (len(text) - start) // limits.SAMPLED
    for at in range(start, len(text), step) if step > 200 else ():
        begin = text.find("\n", at) + 1
        end = text.find("\n", begin)
        if begin and end > begin:
            lines.append(text[begin : min(end, begin + 4096)])
    if step <= 200:
        lines += text[start:].splitlines()[: 4 * limits.SAMPLED]
    return [line[:65536] for line in lines if line.strip()] or [""]


def about_encoding(name: str, decoded: Decoded) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """Return what a person may decide and should know of the encoding of a file; nothing where it is sure."""
    if not decoded.others:
        return (), ()
    options = ((decoded.encoding, decoded.example), *decoded.others)
    question = Question(
        encoding_key(name), f"Encoding of {shown(name, 60)}",
        tuple((encoding, f"{encoding}: {shown(example, 40)}") for encoding, example in options),
        decoded.encoding, "Nothing in the file says it; choose the one that writes the names right.", doubtful=True,
    )  # fmt: skip
    example = shown(decoded.example, 60)
    told = f"{shown(name)} is not UTF-8; it is read as {decoded.encoding}, such as “{example}”. {_SAVE_UTF8}"
    return (question,), (told,)
