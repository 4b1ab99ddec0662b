"""Which columns of a table name the image, its labels, its split, and what a model said of it.

The file column is the one whose cells name most images of the source; of equals the one whose header says so. The
label column is one whose header says so, or else one whose few texts repeat. Where that leaves a doubt, the person is
asked, with the first cells of every column. Columns of 0 and 1 that say one class each are labels together; columns of
shares that add up to 1 are what a model said, and labels only where a person says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.errors import ImportRefused
from engine.importers.grouping import is_group_header
from engine.importers.labeling import split_of
from engine.importers.names import shown
from engine.importers.tables.cell_files import NAME, NUMBER, OTHER_ENDING, PREFIXED, CellFiles, looks_like_image
from engine.importers.tables.headers import (
    CONFIDENCE,
    FOLDER_WORDS,
    NO_GROUPS,
    PREDICTED,
    SPLIT_COLUMNS,
    SPLIT_FLAGS,
    SURE_FILE,
    file_rank,
    is_file_header,
    is_label_header,
    label_rank,
    plain,
    says_folder,
)  # fmt: skip
from engine.importers.tables.rows import Answers, Rows
from engine.importers.tables.shares import NO_SHARES, Shares, agrees, find_shares
from engine.records.imports import Question

FILE_COLUMN, LABEL_COLUMN = "file_column", "label_column"
NO_COLUMN, ONE_HOT, ALL, LIKELIEST = "none", "one_hot", "all", "likeliest"
"""Answers for the label column beside a header: no labels; the columns of 0 and 1; all columns of a numbered row; the
class with the largest share."""
MOST_OTHERS, MOST_OPTIONS, SHOWN_CELLS, FEW = 20, 60, 5, 10
_YES, _NO = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})
_BINARY = _YES | _NO
_CORNERS = frozenset({"xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max", "bbox_x", "bbox_y"})
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SERIES = re.compile(r"^(.*?)[\s_.-]*(\d+|[a-c])$", re.IGNORECASE)
_ONLY_SAID = "No header says that a column holds labels; what a model said is no label."
_WEIGHT = {NAME: 1.0, PREFIXED: 0.9, OTHER_ENDING: 0.8, NUMBER: 0.4}


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
    file, file_doubt, options = _file_column(rows, files, keys, wanted)
    if file is None:
        return None
    _check_single(rows, file, wanted)
    folder = _folder_column(rows, file, files)
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
    choice = _label_columns(rows, taken, words, prediction, shares, keys, answer)
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
    return Plan(
        file, folder, choice.labels, choice.one_hot, split, flag,
        "" if flag is None else SPLIT_FLAGS[plain(rows.header[flag])], prediction, shares, choice.key == LIKELIEST,
        confidence, by_word.get("label_source"), others, not (file_doubt or choice.doubt), choice.strong,
        tuple(questions), _notices(rows, folder, choice, prediction, shares),
    )  # fmt: skip


def column_keys(header: Sequence[str]) -> list[str]:
    """Return what each column is called in an answer: its header, or its number where that is no name of its own."""
    counts = Counter(header)
    special = {"", NO_COLUMN, ONE_HOT, ALL, LIKELIEST}
    return [
        one if counts[one] == 1 and one not in special else f"column {at}" for at, one in enumerate(header, start=1)
    ]


def is_yes(cell: str) -> bool:
    """Return whether a cell of 0 and 1 says 1."""
    return cell.strip().casefold() in _YES


@dataclass(frozen=True)
class _Choice:
    """The columns that hold labels, and how sure that is."""

    labels: tuple[int, ...] = ()
    one_hot: tuple[int, ...] = ()
    key: str = NO_COLUMN
    doubt: bool = False
    strong: bool = True
    hint: str = ""
    series: tuple[int, ...] = ()
    binary: tuple[int, ...] = ()
    prediction_is_label: bool = False


def _check_single(rows: Rows, at: int, answered: str) -> None:
    names = [header.strip().casefold() for header in rows.header]
    if rows.headed and names[at] and names.count(names[at]) > 1 and answered != f"column {at + 1}":
        raise ImportRefused(
            "A table has two columns of one name", value=f"{shown(rows.title)}, {shown(names[at])}",
            way_out="Rename one of them.",
        )  # fmt: skip


def _file_column(
    rows: Rows, files: CellFiles, keys: Sequence[str], wanted: str
) -> tuple[int | None, bool, tuple[int, ...]]:
    """Return the column that names images, whether there is a doubt, and all that could."""
    scores: dict[int, float] = {}
    found: dict[int, list[str | None]] = {}
    sample = rows.sample()
    for at in range(len(rows.header)):
        cells = [rows.columns[at][row] for row in sample]
        if not any(cells) or (len(set(cells)) <= 2 and _BINARY.issuperset(map(str.casefold, set(cells) - {""}))):
            continue
        answers = [files.find(cell, rows.folder) if cell.strip() else (None, "", "") for cell in cells]
        weight = {name: _WEIGHT.get(how, 0.5) for name, how, _ in answers if name is not None}
        known = is_file_header(rows.header[at])
        numbers = all(cell.strip().isdigit() for cell in cells)
        if numbers and not known and len(weight) < 0.9 * len(cells):
            continue  # counts, that happen to be the numbers of some files
        if weight:
            scores[at] = sum(weight.values())
            found[at] = [name for name, _, _ in answers]
    possible = tuple(sorted(scores))
    if wanted in keys:
        return keys.index(wanted), False, tuple(sorted({*possible, keys.index(wanted)}))
    sure = [at for word in SURE_FILE for at, one in enumerate(rows.header) if one.strip().casefold() == word]
    if not scores:
        by_rank = sorted(range(len(rows.header)), key=lambda at: file_rank(rows.header[at]))
        said = [at for at in by_rank if is_file_header(rows.header[at])]
        looks = [
            at for at in range(len(rows.header))
            if sample and 2 * sum(looks_like_image(rows.columns[at][row]) for row in sample) > len(sample)
        ]  # fmt: skip
        first = next(iter([*sure, *looks, *said]), None)
        return first, False, () if first is None else (first,)
    best = max(scores, key=lambda at: (round(scores[at], 6), -file_rank(rows.header[at])))
    for at in sure:
        if scores.get(at, 0) >= 0.5 * scores[best]:
            best = at
            break
    rivals = [at for at in scores if at != best and scores[at] >= 0.5 * scores[best]]
    differ = any(
        one is not None and other is not None and one != other
        for at in rivals
        for one, other in zip(found[best], found[at], strict=True)
    )
    known = is_file_header(rows.header[best]) or not rows.headed
    share = sum(name is not None for name in found[best]) / max(1, len(sample))
    full = all(_WEIGHT.get(files.find(rows.columns[best][row], rows.folder)[1]) for row in sample[:20])
    doubt = (differ and best not in sure) or not (known or (share >= 0.5 and full))
    return best, doubt, possible


def _folder_column(rows: Rows, file: int, files: CellFiles) -> int | None:
    """The column that holds folders: with it more rows name a file, or another one."""
    sample = rows.sample()
    cells = [rows.columns[file][row] for row in sample]
    alone = _named(cells, rows, files)
    best, most = None, alone
    for at, header in enumerate(rows.header):
        if at == file:
            continue
        folders = [rows.columns[at][row] for row in sample]
        known = plain(header) in FOLDER_WORDS
        if not known and not any(folder.strip() and files.is_folder(folder) for folder in folders[:50]):
            continue
        named = _named([joined(folder, cell) for folder, cell in zip(folders, cells, strict=True)], rows, files)
        if named > most or (known and named == most and named and says_folder(header)):
            best, most = at, named
    return best


def joined(folder: str, cell: str) -> str:
    """Return the path of a file in a folder, as two cells say them."""
    folder = folder.strip().replace("\\", "/").rstrip("/")
    return f"{folder}/{cell.strip()}" if folder else cell


def _named(cells: Sequence[str], rows: Rows, files: CellFiles) -> int:
    return len({name for cell in cells if (name := files.find(cell, rows.folder)[0]) is not None})


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
    return _is_binary(rows, at) and any(map(is_yes, set(rows.columns[at])))


def _is_binary(rows: Rows, at: int) -> bool:
    cells = {cell.strip().casefold() for cell in set(rows.columns[at])} - {""}
    return bool(cells) and cells <= _BINARY


def _may_group(rows: Rows, at: int) -> bool:
    """Return whether a column may say which images belong together: not what an export adds."""
    word = rows.header[at].strip().casefold()
    names = [header.strip().casefold() for header in rows.header]
    return bool(word) and names.count(word) == 1 and word not in NO_GROUPS and not is_file_header(rows.header[at])


def _label_columns(
    rows: Rows, taken: set[int], words: frozenset[str], prediction: int | None, shares: Shares, keys: Sequence[str],
    answer: str,
) -> _Choice:  # fmt: skip
    """Return the columns of labels: those that were answered, or the likeliest."""
    ranks = {at: label_rank(header, words) for at, header in enumerate(rows.header) if at not in taken}
    if prediction is not None:
        ranks[prediction] = 5
    own = {at: rank for at, rank in ranks.items() if at not in shares.columns}
    fit = {at: rank for at, rank in own.items() if _fits(rows, at, rank, len(ranks if rank == 5 else own))}
    binary = tuple(at for at in ranks if ranks[at] >= 3 and _is_class_column(rows, at))
    ones = _ones(rows, binary)
    several_ones = sum(count > 1 for count in ones)
    each_one = len(binary) > 1 and any(ones) and (2 * ones.count(1) >= several_ones or len(binary) > 2)
    one_hot = binary if rows.headed and each_one and min(fit.values(), default=9) > 0 else ()
    strong = [at for at in fit if fit[at] <= 2 and at not in one_hot]
    series = _series(rows, strong)
    choice = _answered(answer, keys, binary, series, prediction, shares)
    if choice is None:
        choice = _likeliest(rows, fit, one_hot, series, strong, prediction, shares, keys, len(own))
        if choice.one_hot and several_ones:
            choice = replace(choice, doubt=True)
    return replace(choice, series=series, binary=binary if len(binary) > 1 else ())


def _answered(
    answer: str, keys: Sequence[str], binary: tuple[int, ...], series: tuple[int, ...], prediction: int | None,
    shares: Shares,
) -> _Choice | None:  # fmt: skip
    if answer == NO_COLUMN:
        return _Choice()
    if answer == ONE_HOT and binary:
        return _Choice(one_hot=binary, key=ONE_HOT)
    if answer == ALL and series:
        return _Choice(series, key=ALL)
    if answer == LIKELIEST and shares.columns:
        return _Choice(key=LIKELIEST)
    if answer in keys:
        at = keys.index(answer)
        return _Choice((at,), key=answer, prediction_is_label=at == prediction)
    return None


def _likeliest(
    rows: Rows, fit: dict[int, int], one_hot: tuple[int, ...], series: tuple[int, ...], strong: Sequence[int],
    prediction: int | None, shares: Shares, keys: Sequence[str], count: int,
) -> _Choice:  # fmt: skip
    """Of `count` columns that are for nothing else, those that hold labels; fit: the rank of each that can."""
    if series and len(series) == len(strong):
        several = "Each of these columns gives a label; images with several stay unlabeled."
        return _Choice(series, key=ALL, doubt=True, hint=several)
    if one_hot and not any(fit[at] <= 1 for at in strong):
        each = "Columns of 0 and 1 are taken as one class each."
        return _Choice(one_hot=one_hot, key=ONE_HOT, doubt=bool(strong), hint=each)
    order = sorted(fit, key=lambda at: (fit[at], _is_number_column(rows, at) and fit[at] > 0, at))
    others = set(range(len(rows.header))) - {prediction, *shares.columns}
    if not order:
        only_shares = prediction is None and bool(shares.columns)
        unsure = only_shares or (prediction is not None and _unknown_texts(rows, others))
        return _Choice(doubt=True, hint=_ONLY_SAID) if unsure else _Choice()
    only_said = prediction is not None or (shares.columns and agrees(rows, order[0], shares))
    if only_said and fit[order[0]] > 3:
        return _Choice(doubt=True, hint=_ONLY_SAID)
    best = order[0]
    rank = fit[best]
    if rank <= 2:
        rivals = [at for at in order[1:] if fit[at] <= max(rank, 1) and not _same_parts(rows, best, at)]
        named = next((at for at in order[1:] if fit[at] <= 2 and _same_parts(rows, best, at)), None)
        if named is not None and _is_number_column(rows, best) and not _is_number_column(rows, named):
            best = named
        doubt = bool(rivals)
        hint = "Several columns could hold labels; one is taken." if doubt else ""
        return _Choice((best,), key=keys[best], doubt=doubt, hint=hint)
    alone = len(order) == 1 and (rank == 3 or not rows.headed) and count == 1 and _repeats(rows, best)
    hint = "No header says it; the one whose few texts repeat is proposed."
    return _Choice((best,), key=keys[best], doubt=not alone, strong=alone, hint=hint)


def _fits(rows: Rows, at: int, rank: int, count: int) -> bool:
    """Return whether the cells of a column can be labels: where its header does not say so, few that repeat."""
    if rank == 0:
        return True
    if is_group_header(rows.header[at]) and rank > 2:
        return False
    counts = Counter(rows.columns[at])
    blank = counts.pop("", 0)
    if not counts or (rank == 5 and count > 1):
        return False
    total = len(rows.columns[at]) - blank
    numbers = sum(n for cell, n in counts.items() if _NUMBER.fullmatch(cell.strip()))
    if rank <= 2:
        fractions = sum(n for cell, n in counts.items() if "." in cell and _NUMBER.fullmatch(cell.strip()))
        return not (fractions > 0.5 * total and len(counts) > max(20, total // 2))
    repeats = 2 * len(counts) <= total and len(counts) > 1
    only = count == 1 and rank < 5 and (total < FEW or len(counts) == 1) and (not rows.headed or not numbers)
    measures = numbers == total and len(counts) > max(20, total // 20)
    return (repeats or only or (rank == 3 and total < FEW)) and not measures and len(max(counts, key=len)) <= 200


def _unknown_texts(rows: Rows, columns: set[int]) -> bool:
    """Return whether one of some columns holds texts that could be labels, by a header that says nothing of them."""
    headers = rows.header
    return any(
        label_rank(headers[at]) in (3, 4) and not is_group_header(headers[at]) and not is_file_header(headers[at])
        and any(cell and not _NUMBER.fullmatch(cell) for cell in set(map(str.strip, rows.columns[at])))
        for at in columns
    )  # fmt: skip


def _repeats(rows: Rows, at: int) -> bool:
    cells = Counter(rows.columns[at])
    cells.pop("", None)
    return len(cells) > 1 and 2 * len(cells) <= cells.total()


def _is_number_column(rows: Rows, at: int) -> bool:
    return all(_NUMBER.fullmatch(cell.strip()) for cell in set(rows.columns[at]) - {""})


def _same_parts(rows: Rows, one: int, other: int) -> bool:
    """Return whether two columns divide the rows alike, as a number and a name of each class do."""
    pairs = set(zip(rows.columns[one], rows.columns[other], strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _series(rows: Rows, strong: Sequence[int]) -> tuple[int, ...]:
    """Columns of labels that differ in a number at the end alone: label_1, label_2."""
    by_base: dict[str, list[int]] = {}
    for at in strong:
        if match := _SERIES.match(rows.header[at].strip()):
            by_base.setdefault(match[1].casefold(), []).append(at)
    best = max(by_base.values(), key=len, default=[])
    return tuple(best) if len(best) > 1 else ()


def _is_class_column(rows: Rows, at: int) -> bool:
    header = rows.header[at]
    return bool(header) and label_rank(header) in (3, 4) and not is_group_header(header) and _is_binary(rows, at)


def _ones(rows: Rows, binary: Sequence[int]) -> list[int]:
    """How many of some columns of 0 and 1 say 1, row by row."""
    ones = [0] * len(rows.lines)
    for at in binary:
        yes = {cell for cell in set(rows.columns[at]) if is_yes(cell)}
        for row, cell in enumerate(rows.columns[at]):
            ones[row] += cell in yes
    return ones


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
    rows: Rows, keys: Sequence[str], file: int, choice: _Choice, shares: Shares
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


def _notices(
    rows: Rows, folder: int | None, choice: _Choice, prediction: int | None, shares: Shares
) -> tuple[str, ...]:
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
