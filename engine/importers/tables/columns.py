"""Which columns of a table name the image, its labels, its split, and what a model said of it.

The file column is the one whose cells name most images of the source; of equals the one whose header says so. The
label column is one whose header says so, or else one whose few texts repeat. Where that leaves a doubt, the person is
asked, with the first cells of every column. Columns of 0 and 1 that say one class each are labels together; columns of
shares that add up to 1 are what a model said, and labels only where a person says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import ImportRefused
from engine.importers.labeling import split_of
from engine.importers.names import shown
from engine.importers.tables.cell_files import CellFiles
from engine.importers.tables.file_column import file_column, folder_column
from engine.importers.tables.headers import (
    CONFIDENCE,
    NO_GROUPS,
    PREDICTED,
    SPLIT_COLUMNS,
    SPLIT_FLAGS,
    is_file_header,
    is_label_header,
    plain,
)  # fmt: skip
from engine.importers.tables.label_columns import (
    ALL,
    LIKELIEST,
    NO_COLUMN,
    ONE_HOT,
    YES,
    Choice,
    is_binary,
    is_yes,
    label_columns,
)
from engine.importers.tables.rows import Answers, Rows
from engine.importers.tables.shares import NO_SHARES, Shares, find_shares
from engine.records.imports import Question

FILE_COLUMN, LABEL_COLUMN, DENIED = "file_column", "label_column", "confidence_0"
LEAVE, KEEP = "leave", "keep"
MOST_OTHERS, MOST_OPTIONS, SHOWN_CELLS = 20, 60, 5
_ZERO = frozenset({"0", "0.0"})
_CORNERS = frozenset({"xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max", "bbox_x", "bbox_y"})


@dataclass(frozen=True)
class Plan:
    """What the columns of a table are for, each by its position; None for none.

    Attributes:
        file: names the image.
        folder: holds the folder it lies in.
        labels: columns of labels: one; or several that each give one.
        one_hot: columns of 0 and 1 that are named like classes.
        split: says the split.
        flag: says by yes or no whether the image is in the split `flag_means`.
        flag_means: "val" or "test".
        prediction: what a model said.
        shares: how likely a model takes each class for, one column a class.
        likeliest: the class with the largest share is the label.
        confidence: how sure it was.
        source: says of each label whether it is a pseudo-label.
        others: further columns, which may say which images belong together.
        sure: nothing of it is a guess.
        strong: the header says which column has the labels.
        questions: what a person may decide.
        notices: what a person should know.
        put_back: it could hold labels, which do not count beside a better table.
        denied: rows whose confidence is 0 say that the image does not show the class.
    """

    file: int
    folder: int | None = None
    labels: tuple[int, ...] = ()
    one_hot: tuple[int, ...] = ()
    split: int | None = None
    flag: int | None = None
    flag_means: str = ""
    prediction: int | None = None
    shares: Shares = NO_SHARES
    likeliest: bool = False
    confidence: int | None = None
    source: int | None = None
    others: tuple[int, ...] = ()
    sure: bool = True
    strong: bool = True
    questions: tuple[Question, ...] = ()
    notices: tuple[str, ...] = ()
    put_back: bool = False
    denied: bool = False

    @property
    def says_labels(self) -> bool:
        """Whether the table says labels."""
        return bool(self.labels or self.one_hot or self.likeliest)

    @property
    def labeled(self) -> bool:
        """Whether the table says labels or what a model said."""
        return bool(self.says_labels or self.prediction is not None or self.shares.columns)


def plan_columns(rows: Rows, files: CellFiles, answers: Answers, suffix: str = "") -> Plan | None:
    """Return what the columns of a table are for; None where none names images.

    Args:
        rows: the table.
        files: of the source.
        answers: may hold "file_column" and "label_column", each with `suffix`.
        suffix: tells the questions of several tables apart, "" where there is one.

    Raises:
        ImportRefused: two columns have the name of the one that is needed.
    """
    keys = column_keys(rows.header)
    wanted = answers.get(FILE_COLUMN + suffix, "")
    file, file_doubt, options = file_column(rows, files, keys, wanted)
    if file is None:
        return None
    _check_single(rows, file, wanted)
    folder = folder_column(rows, file, files)
    words = frozenset(map(plain, rows.header))
    split = _split_column(rows, file)
    flag = next((at for at, one in enumerate(rows.header) if plain(one) in SPLIT_FLAGS and _is_flag(rows, at)), None)
    prediction = next((at for at, one in enumerate(rows.header) if plain(one) in PREDICTED and at != file), None)
    by_word = {header.strip().casefold(): at for at, header in enumerate(rows.header)}
    confidence = next((by_word[word] for word in CONFIDENCE if word in by_word), None)
    taken = {file, *(at for at in (split, flag, confidence) if at is not None)}
    if folder is not None and not is_label_header(rows.header[folder]):
        taken.add(folder)
    answer = answers.get(LABEL_COLUMN + suffix, "")
    shares = find_shares(rows, taken)
    choice = label_columns(rows, taken, words, prediction, shares, keys, answer)
    if choice.prediction_is_label:
        prediction = None
    for at in choice.labels if len(choice.labels) == 1 else ():
        _check_single(rows, at, answer)
    used = taken | {*choice.labels, *choice.one_hot, *shares.columns} | ({prediction} - {None})
    others = tuple(at for at in range(len(rows.header)) if at not in used and _may_group(rows, at))[:MOST_OTHERS]
    questions = []
    if len(options) > 1 or file_doubt:
        every = [*options, *(at for at in range(len(keys)) if at not in options)]
        questions.append(
            Question(
                FILE_COLUMN + suffix, f"Column of {shown(rows.title, 60)} that names the image",
                _options(rows, keys, every), keys[file], "The one whose cells name most files is proposed.", file_doubt,
                cells=_cells(rows, keys),
            )
        )  # fmt: skip
    if label_options := _label_options(rows, keys, file, choice, shares):
        questions.append(
            Question(
                LABEL_COLUMN + suffix, f"Column of {shown(rows.title, 60)} that holds the labels",
                label_options, choice.key, choice.hint, choice.doubt, cells=_cells(rows, keys),
            )
        )  # fmt: skip
    denied = None
    if confidence is not None and choice.labels and prediction is None:
        denied = _denied_question(rows, confidence, answers, suffix)
        questions += [] if denied is None else [denied]
    return Plan(
        file, folder, choice.labels, choice.one_hot, split, flag,
        "" if flag is None else SPLIT_FLAGS[plain(rows.header[flag])], prediction, shares, choice.key == LIKELIEST,
        confidence, by_word.get("label_source"), others, not (file_doubt or choice.doubt), choice.strong,
        tuple(questions), _notices(rows, folder, choice, prediction, shares),
        denied=denied is not None and denied.chosen == LEAVE,
    )  # fmt: skip


def _denied_question(rows: Rows, confidence: int, answers: Answers, suffix: str) -> Question | None:
    """Return the question what rows of confidence 0 say, in a column of nothing but 0 and 1, as that of labels that
    people verify; None for any other column."""
    cells = {cell.strip() for cell in set(rows.columns[confidence])} - {""}
    if {"file_name", "label", "label_source"} <= set(rows.header) or not (cells & _ZERO and cells <= _ZERO | YES):
        return None
    count = sum(cell.strip() in _ZERO for cell in rows.columns[confidence])
    chosen = answers.get(DENIED + suffix, "")
    chosen = chosen if chosen in (LEAVE, KEEP) else LEAVE if cells & YES else KEEP
    options = (
        (LEAVE, "that the image does not show the class: no label"),
        (KEEP, "that it does: labels like the others"),
    )
    hint = f"{count:,} of {len(rows.lines):,} rows have 0 in “{shown(rows.header[confidence], 40)}”, the others have 1."
    title = f"What rows of {shown(rows.title, 60)} with a confidence of 0 say"
    return Question(DENIED + suffix, title, options, chosen, hint, doubtful=True)


def column_keys(header: Sequence[str]) -> list[str]:
    """Return what each column is called in an answer: its header, or its number where that is no name of its own."""
    counts = Counter(header)
    special = {"", NO_COLUMN, ONE_HOT, ALL, LIKELIEST}
    return [
        one if counts[one] == 1 and one not in special else f"column {at}" for at, one in enumerate(header, start=1)
    ]


def _check_single(rows: Rows, at: int, answered: str) -> None:
    names = [header.strip().casefold() for header in rows.header]
    if rows.headed and names[at] and names.count(names[at]) > 1 and answered != f"column {at + 1}":
        raise ImportRefused(
            "A table has two columns of one name", value=f"{shown(rows.title)}, {shown(names[at])}",
            way_out="Rename one of them.",
        )  # fmt: skip


def _split_column(rows: Rows, file: int) -> int | None:
    """The column whose cells are mostly words for splits: one that is called so, or one that has two of them."""
    best = None
    for at, header in enumerate(rows.header):
        counts = Counter(rows.columns[at])
        counts.pop("", None)
        if at == file or not counts or len(counts) > 12:
            continue
        splits = {split_of(cell) for cell in counts} - {""}
        share = sum(count for cell, count in counts.items() if split_of(cell)) / counts.total()
        if plain(header) in SPLIT_COLUMNS and share >= 0.5:
            return at
        if not is_label_header(header) and len(splits) > 1 and share == 1 and best is None:
            best = at
    return best


def _is_flag(rows: Rows, at: int) -> bool:
    """Return whether a column says yes or no, and yes at least once: of no alone nothing follows."""
    return is_binary(rows, at) and any(map(is_yes, set(rows.columns[at])))


def _may_group(rows: Rows, at: int) -> bool:
    """Return whether a column may say which images belong together: not what an export adds."""
    word = rows.header[at].strip().casefold()
    names = [header.strip().casefold() for header in rows.header]
    return bool(word) and names.count(word) == 1 and word not in NO_GROUPS and not is_file_header(rows.header[at])


def _cells(rows: Rows, keys: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The first cells of each column, to be looked at beside a question."""
    columns = zip(keys[:MOST_OPTIONS], rows.columns[:MOST_OPTIONS], strict=True)
    return tuple((key, tuple(shown(cell, 60) for cell in column[:SHOWN_CELLS])) for key, column in columns)


def _options(rows: Rows, keys: Sequence[str], columns: Sequence[int]) -> tuple[tuple[str, str], ...]:
    options = []
    for at in columns[:MOST_OPTIONS]:
        first = list(rows.columns[at][:SHOWN_CELLS])
        cells = ", ".join(shown(cell, 30) or "(empty)" for cell in first)
        options.append((keys[at], f"{shown(keys[at], 60)}: {cells}"))
    return tuple(options)


def _label_options(
    rows: Rows, keys: Sequence[str], file: int, choice: Choice, shares: Shares
) -> tuple[tuple[str, str], ...]:
    columns = [at for at in range(len(rows.header)) if at != file and at not in shares.columns]
    if choice.binary:
        columns = [at for at in columns if at not in choice.binary] + list(choice.binary)
    options = list(_options(rows, keys, columns))
    if choice.binary:
        names = ", ".join(shown(rows.header[at], 30) for at in choice.binary[:5])
        options.append((ONE_HOT, f"the columns of 0 and 1, one class each: {names}"))
    if choice.series:
        names = ", ".join(shown(rows.header[at], 30) for at in choice.series[:5])
        options.append((ALL, f"all of {names}"))
    if shares.columns:
        names = ", ".join(shown(one, 30) for one in shares.classes[:5]) + " …" * (len(shares.classes) > 5)
        options.append((LIKELIEST, f"the class with the largest share, of {names}"))
    if not options:
        return ()
    if choice.key not in {key for key, _ in options} and choice.labels:
        options += _options(rows, keys, choice.labels)
    without = (
        "no column: the shares are what a model said" if shares.columns else "no column: the images stay unlabeled"
    )
    return (*options, (NO_COLUMN, without))


def _notices(rows: Rows, folder: int | None, choice: Choice, prediction: int | None, shares: Shares) -> tuple[str, ...]:
    notices = list(rows.notices)
    title = shown(rows.title)
    if not rows.headed:
        notices.append(f"{title} has no header; its first row is read as a row like the others")
    if folder is not None:
        notices.append(f"{title}: the column {shown(rows.header[folder], 60)} is the folder of each file")
    if len(_CORNERS & set(map(plain, rows.header))) > 1:
        notices.append(f"{title} is about boxes in images; an image has a label where all its boxes have the same one")
    if choice.one_hot:
        notices.append(f"{title}: {len(choice.one_hot)} columns of 0 and 1 are read as one class each")
    if shares.columns and prediction is None:
        names = ", ".join(shown(one, 40) for one in shares.classes[:3]) + " …" * (len(shares.classes) > 3)
        as_what = "the class with the largest is the label" if choice.key == LIKELIEST else "it is what a model said"
        notices.append(f"{title}: {len(shares.columns)} columns of shares that add up to 1 ({names}): {as_what}")
    return tuple(notices)
