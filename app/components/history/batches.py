"""Batches of decisions, each with what it carries and an undo that asks first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import state
from app.components.lock import writing
from app.components.quality.words import some, when
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.percent import at_least, at_most
from engine.project.labels import new_uid
from engine.records.labels import Ack
from engine.records.quality import BatchInfo

SHOWN = 25
WIDTHS = [3, 2, 4, 6, 2]
DID = {
    "label": "labeled", "accept": "accepted", "correct": "corrected", "reject": "rejected", "skip": "skipped",
    "unsure": "marked unsure", "flag": "flagged", "import": "imported", "undo": "taken back", "mixed": "decided",
}  # fmt: skip


def batches_part(opened: OpenProject) -> None:
    """Draw the batches, newest first."""
    st.subheader("Batches")
    message = state.get("history_told")
    if message:
        (st.success if message[0] else st.warning)(message[1])
        state.forget("history_told")
    wanted = int(state.get("history_batches", SHOWN))
    batches = opened.project.store.batches(limit=wanted + 1)
    if not batches:
        st.caption(
            "Nothing was decided in a batch yet. Accepting in the grid, a region of the map or an audit makes one."
        )
        return
    for cell, title in zip(st.columns(WIDTHS), ("When", "Who", "What", "With", ""), strict=True):
        cell.caption(title)
    for one in batches[:wanted]:
        _row(opened, one)
    if len(batches) > wanted and st.button("Older batches", icon=":material/expand_more:", key="older_batches"):
        state.put("history_batches", wanted + SHOWN)
        st.rerun()
    asked = next((one for one in batches if one.batch == state.get("undoing")), None)
    if asked is not None:
        st.dialog("Undo this batch?", on_dismiss=lambda: state.forget("undoing"))(_dialog)(opened, asked)


def _row(opened: OpenProject, one: BatchInfo) -> None:
    cells = st.columns(WIDTHS, vertical_alignment="center")
    cells[0].markdown(f"{when(one.time)}")
    cells[1].markdown(state.plain(one.actor))
    cells[2].markdown(what(one))
    cells[3].markdown(state.plain(facts_in_words(one.facts)) or "–")
    if one.undone >= one.decisions:
        cells[4].markdown(":gray-badge[undone]")
    elif cells[4].button("Undo", icon=":material/undo:", key=f"undo_{one.batch}", **writing(opened)):
        state.put("undoing", one.batch)


def what(one: BatchInfo) -> str:
    """Return in words what a batch did, as Markdown: 500 accepted as cat, 3 of them undone."""
    label = f" as **{state.plain(one.label)}**" if one.label is not None else ""
    undone = f", {one.undone:,} of them undone" if 0 < one.undone < one.decisions else ""
    return f"{some(one.decisions, 'image')} {DID.get(one.action, state.plain(one.action))}{label}{undone}"


def facts_in_words(facts: Mapping[str, Any]) -> str:
    """Return what a batch carries as plain text: an audit's statement, or whatever else there is; "" for nothing."""
    if facts.get("statement"):
        name = f"Audit {facts['audit']} of round {facts.get('round', '?')}: " if facts.get("audit") is not None else ""
        return f"{name}{facts['statement']}"
    if isinstance(facts.get("bound"), int | float):
        sure = f" ({at_least(float(facts['level']))})" if isinstance(facts.get("level"), int | float) else ""
        return f"at most {at_most(float(facts['bound']))} wrong{sure}"
    simple = [f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int | float)]
    return ", ".join(simple)[:300]


def _dialog(opened: OpenProject, one: BatchInfo) -> None:
    left = one.decisions - one.undone
    st.markdown(
        f"{what(one)}, on {when(one.time)} by {state.plain(one.actor)}.\n\n{some(left, 'decision')} will be taken "
        "back: each image goes back to what was in force before, unless a later decision is. Nothing is erased from "
        "the ledger."
    )
    if st.button("Undo the batch", type="primary", icon=":material/undo:", key="confirm_undo"):
        state.forget("undoing")
        try:
            acks = opened.project.store.undo(
                new_uid(), state.actor(), one.batch, anyones=state.is_reviewer()
            )  # fmt: skip
        except StarlingError as error:
            state.show_error(error)
            return
        state.put("history_told", (all(ack.status == "saved" for ack in acks), result_in_words(acks)))
        st.rerun()
    if st.button("Keep it", key="keep_batch"):
        state.forget("undoing")
        st.rerun()


def result_in_words(acks: Sequence[Ack]) -> str:
    """Return what an undo changed, as Markdown: how many were taken back, and how many stay and why."""
    saved = sum(ack.status in {"saved", "duplicate"} for ack in acks)
    conflicts = sum(ack.status == "conflict" for ack in acks)
    refused = [ack.message for ack in acks if ack.status == "refused"]
    words = [f"{some(saved, 'decision')} taken back."]
    if conflicts:
        words.append(
            f"{conflicts:,} not: a later decision on {'that image' if conflicts == 1 else 'those images'} stays."
        )
    if refused:
        words.append(f"{len(refused):,} refused: {state.plain(refused[0])}.")
    return " ".join(words)
