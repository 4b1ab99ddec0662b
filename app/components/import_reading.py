"""What an import is taken for: the questions it asks with what follows from each answer, and other ways to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from app import state
from app.components.quality.words import some
from engine.errors import StarlingError
from engine.importers.formats import FORMATS, class_tree, csv_table, file_names, images_only
from engine.importers.formats.class_lists import COUNT_FROM
from engine.importers.scan import read_again
from engine.importers.spellings import ENCODING, INNER
from engine.importers.tables.columns import DENIED, FILE_COLUMN, LABEL_COLUMN
from engine.importers.taken_frames import FRAMES
from engine.importers.tidy import NOTHING, TWINS
from engine.records.imports import ImportPreview, Question, Reading
from engine.records.progress import Progress

MOST_SIDE_BY_SIDE = 6
"""Answers that are shown beside each other at most; more are a list that opens."""
FORESEEN = (
    class_tree.LEVEL, class_tree.ASIDE, TWINS, NOTHING, LABEL_COLUMN, FILE_COLUMN, "several", "column", "control",
    "names", "difficult", COUNT_FROM, DENIED,
)  # fmt: skip
"""How the keys of questions begin whose answers are tried out, to say what follows: they read the labels anew, and
decode nothing."""
MOST_FORESEEN = 5000
"""Images up to which that is quick."""
NAMED = 4
"""Classes that are named of an answer."""
OF_THE_SOURCE = (ENCODING, INNER, FRAMES)
"""Questions whose answers hold whatever a source is read as."""
USUAL_NUMBER = 10
ReadAgain = Callable[[ImportPreview, str, Mapping[str, str], Progress], ImportPreview]
"""Returns the preview of another reading, as `engine.importers.scan.read_again` does."""
_TITLES = {
    class_tree.FORMAT.key: "Folders named after the classes",
    csv_table.FORMAT.key: "A table beside the images",
    images_only.FORMAT.key: "The images alone, without labels",
    file_names.FORMAT.key: "How the names of the files begin",
}
"""What a format is called for a person, where it has no name that is known."""


def title_of(reading: str) -> str:
    """Return what a format is called for a person."""
    return _TITLES.get(reading, FORMATS[reading].title)


def ask(preview: ImportPreview, read: ReadAgain) -> None:
    """Draw what is doubtful about a source, to be answered; another answer has it read again by `read`."""
    failed = state.get("reading_failed")
    if failed is not None:
        state.forget("reading_failed")
        state.show_error(failed)
        st.caption(f"It is still read as: {state.plain(title_of(preview.reading))}.")
    doubtful = [one for one in preview.questions if one.doubtful]
    others = [one for one in preview.readings[1:] if one.labeled]
    if not doubtful and not others:
        return
    with st.container(border=True):
        st.markdown("**Please check**")
        reading = _which(preview, others) if others else preview.reading
        answers = {one.key: _beside_table(preview, one) for one in doubtful}
    _take(preview, read, reading, answers)


def choose_reading(preview: ImportPreview, read: ReadAgain) -> None:
    """Draw what need not be asked: what the source is read as, and the questions that are not doubtful; another choice
    has it read again by `read`."""
    if not preview.reading:
        return
    found = {one.key: one for one in preview.readings}
    keys = [*found, *(key for key in FORMATS if key not in found)]
    reading = st.selectbox(
        "Read as", keys, index=keys.index(preview.reading),
        format_func=lambda key: _words(found[key]) if key in found else f"{title_of(key)} (does not fit)",
        key=f"reading_{_key(preview)}",
    )  # fmt: skip
    answers = {one.key: _answer(preview, one) for one in preview.questions if not one.doubtful}
    _take(preview, read, str(reading), answers)


def why_read_so(preview: ImportPreview) -> str:
    """Return what the source is read as and why, in one line of Markdown; "" where there is no choice."""
    why = next((one.why for one in preview.readings if one.key == preview.reading), "")
    return f"Read as: {state.plain(title_of(preview.reading))}. {state.plain(_sentence(why))}" if why else ""


def notices(preview: ImportPreview) -> None:
    """Draw what a person should know of how the source was read; the first few in sight."""
    told = [f"- {state.plain(_sentence(one))}" for one in preview.notices]
    if told:
        st.markdown("\n".join(told[:3]))
    if len(told) > 3:
        with st.expander(f"{len(told) - 3:,} more"):
            st.markdown("\n".join(told[3:]))


def _sentence(words: str) -> str:
    """Return words as a sentence; a file name they begin with stays as it is."""
    first = words.partition(" ")[0]
    begun = words[0].upper() + words[1:] if first.isalpha() else words
    return begun if begun.endswith((".", "?", "…")) else f"{begun}."


def _key(preview: ImportPreview) -> str:
    """Part of the keys of the widgets: another reading has other ones, and so has one that failed."""
    return f"{preview.staging.name}_{preview.reading}_{state.get('readings_failed', 0)}"


def _which(preview: ImportPreview, others: list[Reading]) -> str:
    options = {one.key: one for one in (preview.readings[0], *others)}
    chosen = st.radio(
        "Several things here could say the labels. Which one counts?", list(options),
        index=list(options).index(preview.reading) if preview.reading in options else 0,
        format_func=title_of, captions=[_follows(one) for one in options.values()],
        key=f"which_{_key(preview)}",
    )  # fmt: skip
    return str(chosen)


def _follows(one: Reading) -> str:
    labels = f"{some(one.labeled, 'label')} in {some(one.classes, 'class', 'classes')}" if one.labeled else "no labels"
    return f"→ {labels}: {state.plain(one.why)}"


def _words(one: Reading) -> str:
    if not one.labeled:
        return title_of(one.key)
    return f"{title_of(one.key)}: {some(one.labeled, 'label')} in {some(one.classes, 'class', 'classes')}"


def _answer(preview: ImportPreview, question: Question) -> str:
    words, columns = dict(question.options), dict(question.cells)
    keys = list(words)
    key = f"answer_{_key(preview)}_{question.key}_{question.chosen}"
    title, hint = state.plain(question.title), state.plain(question.hint) or None
    if not question.doubtful or question.counted or len(keys) > MOST_SIDE_BY_SIDE:
        chosen = st.selectbox(
            title, keys, index=keys.index(question.option), format_func=lambda one: words[one], help=hint, key=key,
        )  # fmt: skip
    else:
        follows = _foreseen(preview, question)
        chosen = st.radio(
            title, keys, index=keys.index(question.option), help=hint, key=key,
            format_func=lambda one: state.plain(one if one in columns else words[one]),
            captions=[f"→ {state.plain(follows[one])}" if one in follows else "" for one in keys],
        )  # fmt: skip
    return _with_number(question, str(chosen), key) if question.counted else str(chosen)


def _with_number(question: Question, chosen: str, key: str) -> str:
    """Draw the number that an answer needs and the button that takes it, since files are decoded again."""
    answer = chosen
    if chosen in question.counted:
        before = question.number if chosen == question.option else None
        number = st.number_input("n", 1, 1_000_000, before or USUAL_NUMBER, key=f"{key}_n_{chosen}")
        answer = f"{chosen}:{number}"
    if answer == question.chosen or not st.button("Take these", key=f"{key}_take"):
        return question.chosen
    return answer


def _beside_table(preview: ImportPreview, question: Question) -> str:
    """Draw a question, and beside it the first rows of the table that it is about."""
    if not question.cells:
        return _answer(preview, question)
    left, right = st.columns(2)
    with left:
        chosen = _answer(preview, question)
    with right:
        st.dataframe(_table(question), hide_index=True, height="content")
    return chosen


def _table(question: Question) -> pd.DataFrame:
    """The first rows of the table that a question is about."""
    columns = dict(question.cells)
    longest = max(map(len, columns.values()), default=0)
    return pd.DataFrame({name: [*cells, *[""] * (longest - len(cells))] for name, cells in columns.items()})


def _foreseen(preview: ImportPreview, question: Question) -> dict[str, str]:
    """Return what follows from each answer to a question, in words; nothing where that would take long."""
    if not question.key.startswith(FORESEEN) or len(preview.found) > MOST_FORESEEN:
        return {}
    asked = {one.key: one.chosen for one in preview.questions}
    which = (preview.staging.name, preview.reading, tuple(asked.items()), question.key)
    known = state.get("foreseen", {})
    if which not in known:
        known = {**known, which: {key: _outcome(preview, {**asked, question.key: key}) for key, _ in question.options}}
        state.put("foreseen", known)
    return dict(known[which])


def _outcome(preview: ImportPreview, answers: Mapping[str, str]) -> str:
    try:
        found = read_again(preview, preview.reading, answers)
    except StarlingError as error:
        return f"cannot be read so: {error.cause}"
    labeled = sum(found.counts.values())
    if not labeled:
        return "no labels"
    named = ", ".join(sorted(found.counts, key=lambda label: -found.counts[label])[:NAMED])
    more = ", …" if len(found.counts) > NAMED else ""
    return f"{some(labeled, 'label')} in {some(len(found.counts), 'class', 'classes')}: {named}{more}"


def _take(preview: ImportPreview, read: ReadAgain, reading: str, answers: Mapping[str, str]) -> None:
    """Read the source again where something else was chosen than it was read by."""
    asked = {one.key: one.chosen for one in preview.questions}
    now = {**asked, **answers}
    if reading != preview.reading:
        _read(preview, read, reading, {key: answer for key, answer in now.items() if key in OF_THE_SOURCE})
    elif now != asked:
        _read(preview, read, reading, now)


def _read(preview: ImportPreview, read: ReadAgain, reading: str, answers: Mapping[str, str]) -> None:
    bar = st.progress(0.0, "Reading again")

    def progress(label: str, done: int, total: int) -> None:
        bar.progress(done / total if total else 0.0, f"{label}: {done:,} of {total:,}" if total else label)

    try:
        state.put("preview", read(preview, reading, answers, progress))
    except StarlingError as error:
        state.put("reading_failed", error)
        state.put("readings_failed", state.get("readings_failed", 0) + 1)
    st.rerun()
