"""What an import is taken for: the format, the questions it asks, and the classes it would make, before writing."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from app import state
from engine.errors import StarlingError
from engine.images.files import thumb_path
from engine.importers.formats import FORMATS, counted
from engine.importers.scan import ENCODING, read_again
from engine.importers.taken_frames import FRAMES
from engine.records.imports import ImportPreview, Question, Reading

PICTURED = 200
"""Classes that are shown with a picture at most."""
ROW, TALLEST = 44, 480
OF_THE_SOURCE = (ENCODING, FRAMES)
"""Questions whose answers hold whatever a source is taken for."""
USUAL_NUMBER = 10


def choose_reading(preview: ImportPreview) -> None:
    """Let the person change what the source is taken for and what it asks; another choice reads it again."""
    if not preview.reading:
        return
    doubtful = [one for one in preview.questions if one.doubtful]
    others = [one for one in preview.readings[1:] if one.labeled]
    with st.container(border=bool(doubtful or others)):
        reading = _reading(preview)
        answers = {one.key: _answer(preview, one) for one in doubtful}
        rest = [one for one in preview.questions if not one.doubtful]
        if rest:
            with st.expander("More choices"):
                answers |= {one.key: _answer(preview, one) for one in rest}
    asked = {one.key: one.chosen for one in preview.questions}
    if reading != preview.reading:
        _read(preview, reading, {key: answer for key, answer in answers.items() if key in OF_THE_SOURCE})
    elif answers != asked:
        _read(preview, reading, answers)


def _reading(preview: ImportPreview) -> str:
    found = {one.key: one for one in preview.readings}
    keys = [*found, *(key for key in FORMATS if key not in found)]
    chosen = st.selectbox(
        "Read as", keys, index=keys.index(preview.reading),
        format_func=lambda key: _words(found[key]) if key in found else f"{FORMATS[key].title} (does not fit)",
        key=f"reading_{preview.staging.name}_{preview.reading}",
    )  # fmt: skip
    st.caption(f"Taken for {state.plain(preview.layout)}: {state.plain(found[preview.reading].why)}.")
    return str(chosen)


def _words(one: Reading) -> str:
    if not one.labeled:
        return f"{one.title}: no labels"
    return f"{one.title}: {counted(one)}"


def _answer(preview: ImportPreview, question: Question) -> str:
    words = dict(question.options)
    keys = list(words)
    key = f"answer_{preview.staging.name}_{preview.reading}_{question.key}_{question.chosen}"
    chosen = st.selectbox(
        f":material/help: {question.title}" if question.doubtful else question.title, keys,
        index=keys.index(question.option), format_func=lambda option: words[option], help=question.hint or None,
        key=key,
    )  # fmt: skip
    if not question.counted:
        return str(chosen)
    answer = str(chosen)
    if chosen in question.counted:
        before = question.number if chosen == question.option else None
        number = st.number_input("n", 1, 1_000_000, before or USUAL_NUMBER, key=f"{key}_n_{chosen}")
        answer = f"{chosen}:{number}"
    if answer == question.chosen or not st.button("Take these", key=f"{key}_take"):
        return question.chosen
    return answer


def _read(preview: ImportPreview, reading: str, answers: Mapping[str, str]) -> None:
    bar = st.progress(0.0, "Reading again")

    def progress(label: str, done: int, total: int) -> None:
        bar.progress(done / total if total else 0.0, f"{label}: {done:,} of {total:,}" if total else label)

    try:
        again = read_again(preview, reading, answers, progress)
    except StarlingError as error:
        state.show_error(error)
        return
    finally:
        bar.empty()
    state.put("preview", again)
    st.rerun()


def class_table(preview: ImportPreview) -> None:
    """Show each class with its number of labeled images and one of them."""
    if not preview.counts:
        return
    first: dict[str, str] = {}
    for image in preview.found:
        if image.label is not None and len(first) < PICTURED:
            first.setdefault(image.label, image.sha256)
    pictures = {label: _picture(preview, sha256) for label, sha256 in first.items()}
    columns = {
        "example": [pictures.get(label) for label in preview.counts],
        "class": list(preview.counts),
        "labeled images": list(preview.counts.values()),
    }
    st.dataframe(
        pd.DataFrame(columns), hide_index=True, row_height=ROW, height=min(ROW * (len(preview.counts) + 1), TALLEST),
        column_config={"example": st.column_config.ImageColumn(width="small")},
    )  # fmt: skip


def _picture(preview: ImportPreview, sha256: str) -> str:
    data = thumb_path(preview.staging, sha256).read_bytes()
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
