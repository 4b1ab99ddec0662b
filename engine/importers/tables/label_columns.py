"""Which columns of a table hold labels: one whose header says so, columns of 0 and 1, or one whose few texts repeat."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.importers.grouping import is_group_header
from engine.importers.tables.headers import is_file_header, label_rank
from engine.importers.tables.rows import Rows
from engine.importers.tables.shares import Shares, agrees

NO_COLUMN, ONE_HOT, ALL, LIKELIEST = "none", "one_hot", "all", "likeliest"
"""Answers for the label column beside a header: no labels; the columns of 0 and 1; all columns of a numbered row; the
class with the largest share."""
YES, NO = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "-1", "false"})
BINARY = YES | NO
_FEW = 10
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SERIES = re.compile(r"^(.*?)[\s_.-]*(\d+|[a-c])$", re.IGNORECASE)
_ONLY_SAID = "No header says that a column holds labels; what a model said is no label."


@dataclass(frozen=True)
class Choice:
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


def is_yes(cell: str) -> bool:
    """Return whether a cell of 0 and 1, or of -1 and 1, says 1."""
    return cell.strip().casefold() in YES


def is_binary(rows: Rows, at: int) -> bool:
    """Return whether a column holds nothing but words for yes and no, and at least one."""
    cells = {cell.strip().casefold() for cell in set(rows.columns[at])} - {""}
    return bool(cells) and cells <= BINARY


def label_columns(
    rows: Rows, taken: set[int], words: frozenset[str], prediction: int | None, shares: Shares, keys: Sequence[str],
    answer: str,
) -> Choice:  # fmt: skip
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
) -> Choice | None:  # fmt: skip
    if answer == NO_COLUMN:
        return Choice()
    if answer == ONE_HOT and binary:
        return Choice(one_hot=binary, key=ONE_HOT)
    if answer == ALL and series:
        return Choice(series, key=ALL)
    if answer == LIKELIEST and shares.columns:
        return Choice(key=LIKELIEST)
    if answer in keys:
        at = keys.index(answer)
        return Choice((at,), key=answer, prediction_is_label=at == prediction)
    return None


def _likeliest(
    rows: Rows, fit: dict[int, int], one_hot: tuple[int, ...], series: tuple[int, ...], strong: Sequence[int],
    prediction: int | None, shares: Shares, keys: Sequence[str], count: int,
) -> Choice:  # fmt: skip
    """Of `count` columns that are for nothing else, those that hold labels; fit: the rank of each that can."""
    if series and len(series) == len(strong):
        several = "Each of these columns gives a label; images with several stay unlabeled."
        return Choice(series, key=ALL, doubt=True, hint=several)
    if one_hot and not any(fit[at] <= 1 for at in strong):
        each = "Columns of 0 and 1 are taken as one class each."
        return Choice(one_hot=one_hot, key=ONE_HOT, doubt=bool(strong), hint=each)
    order = sorted(fit, key=lambda at: (fit[at], _is_number_column(rows, at) and fit[at] > 0, at))
    others = set(range(len(rows.header))) - {prediction, *shares.columns}
    if not order:
        only_shares = prediction is None and bool(shares.columns)
        unsure = only_shares or (prediction is not None and _unknown_texts(rows, others))
        return Choice(doubt=True, hint=_ONLY_SAID) if unsure else Choice()
    only_said = prediction is not None or (shares.columns and agrees(rows, order[0], shares))
    if only_said and fit[order[0]] > 3:
        return Choice(doubt=True, hint=_ONLY_SAID)
    best = order[0]
    rank = fit[best]
    if rank <= 2:
        rivals = [at for at in order[1:] if fit[at] <= max(rank, 1) and not _same_parts(rows, best, at)]
        named = next((at for at in order[1:] if fit[at] <= 2 and _same_parts(rows, best, at)), None)
        if named is not None and _is_number_column(rows, best) and not _is_number_column(rows, named):
            best = named
        doubt = bool(rivals)
        hint = "Several columns could hold labels; one is taken." if doubt else ""
        return Choice((best,), key=keys[best], doubt=doubt, hint=hint)
    alone = len(order) == 1 and (rank == 3 or not rows.headed) and count == 1 and _repeats(rows, best)
    hint = "No header says it; the one whose few texts repeat is proposed."
    return Choice((best,), key=keys[best], doubt=not alone, strong=alone, hint=hint)


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
    only = count == 1 and rank < 5 and (total < _FEW or len(counts) == 1) and (not rows.headed or not numbers)
    measures = numbers == total and len(counts) > max(20, total // 20)
    return (repeats or only or (rank == 3 and total < _FEW)) and not measures and len(max(counts, key=len)) <= 200


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
    return bool(header) and label_rank(header) in (3, 4) and not is_group_header(header) and is_binary(rows, at)


def _ones(rows: Rows, binary: Sequence[int]) -> list[int]:
    """How many of some columns of 0 and 1 say 1, row by row."""
    ones = [0] * len(rows.lines)
    for at in binary:
        yes = {cell for cell in set(rows.columns[at]) if is_yes(cell)}
        for row, cell in enumerate(rows.columns[at]):
            ones[row] += cell in yes
    return ones
