"""Named revisions on the export page: name the labels of now, choose some to export, see what changed between two."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import state
from app.components.lock import writing
from app.components.quality.words import some, when
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.project.revisions import NOW, Change, Revision


def choose_revision(opened: OpenProject) -> str | None:
    """Draw the choice of which labels are exported; return the name of a revision, None for those of now."""
    known = _known(opened)
    if not known:
        return None
    chosen = st.selectbox(
        "Labels of", [NOW, *known], format_func=lambda name: _words(known, name), key="export_at",
        help="A revision holds the labels that people and imports had given when it was named, no predictions.",
    )  # fmt: skip
    return None if chosen == NOW else str(chosen)


def revisions_part(opened: OpenProject) -> None:
    """Draw the form that names the labels of now, and what changed between two revisions."""
    form = st.form("name_revision", clear_on_submit=True, border=False)
    with form, st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name the labels of now", placeholder="Such as v1", key="revision_name", width=240)
        wanted = st.form_submit_button("Name them", key="name_them", **writing(opened))
    if wanted:
        try:
            opened.project.exports.revisions.add(name)
        except StarlingError as error:
            state.show_error(error)
        else:
            st.rerun()
    known = _known(opened)
    if not known:
        st.caption("A name keeps these labels in reach: they can be exported later, and compared with others.")
        return
    _compare(opened, known)


def _compare(opened: OpenProject, known: dict[str, Revision]) -> None:
    names = [NOW, *known]
    form = st.form("compare_revisions", border=False)
    with form, st.container(horizontal=True, vertical_alignment="bottom"):
        before = st.selectbox("What changed from", names, index=1, width=240, key="compare_from")
        after = st.selectbox("to", names, width=240, key="compare_to")
        wanted = st.form_submit_button("Compare", key="compare")
    if wanted:
        state.put("compared", (before, after))
    compared = state.get("compared")
    if compared is None:
        return
    revisions = opened.project.exports.revisions
    try:
        pair = sorted((revisions.get(one) for one in compared), key=lambda one: one.seq)
        changes = revisions.diff(*pair)
    except StarlingError as error:
        state.show_error(error)
        return
    st.markdown(state.plain(_told(changes)))
    if changes:
        st.dataframe(_table(changes), hide_index=True, key="revision_changes")


def _known(opened: OpenProject) -> dict[str, Revision]:
    """The named revisions, the newest first."""
    return {one.name: one for one in reversed(opened.project.exports.revisions.all())}


def _words(known: dict[str, Revision], name: str) -> str:
    return "now" if name == NOW else f"{name}, {when(known[name].made)}"


def _told(changes: list[Change]) -> str:
    if not changes:
        return "No label differs."
    counts = {
        "newly labeled": sum(one.before is None and one.after is not None for one in changes),
        "changed": sum(one.before is not None and one.after is not None and one.before != one.after for one in changes),
        "without a label now": sum(one.before is not None and one.after is None for one in changes),
        "rejected": sum(one.rejected for one in changes),
        "no longer rejected": sum(not one.rejected and one.before == one.after for one in changes),
    }
    parts = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
    return f"{some(len(changes), 'image differs', 'images differ')}: {parts}."


def _table(changes: list[Change]) -> pd.DataFrame:
    rows = [
        {
            "Image": one.name, "Before": one.before or "–", "After": "rejected" if one.rejected else one.after or "–",
            "By": one.by, "When": when(one.at),
        }
        for one in changes
    ]  # fmt: skip
    return pd.DataFrame(rows)
