"""Audits: the open one with its progress and statement, its acceptance as one batch, and those of the past."""

from __future__ import annotations

import html

import pandas as pd
import streamlit as st

from app import state
from app.components.quality.gallery import Tile, gallery, review_queue, titles_of
from app.components.quality.words import some, when
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.percent import at_least
from engine.project.quality.audits import LEVEL
from engine.project.review.ref import QueueRef
from engine.quality.audit import joint_level, rest_statement
from engine.records.quality import AuditResult, BatchInfo

STATES = {"open": "open", "accepted": "accepted", "abandoned": "given up"}


def open_audit(opened: OpenProject, result: AuditResult) -> None:
    """Draw an open audit: what it is of, how far it is, and what can be done with it."""
    record = result.record
    with st.container(border=True):
        st.subheader(f"Audit {record.number} of round {record.round}")
        second = f" It is look {record.look} at this round, so its level is stricter." if record.look > 1 else ""
        st.markdown(
            f"{some(len(record.sample), 'image')} drawn at random from the {len(record.population):,} that would be "
            f"accepted, on {when(record.created)} by {state.plain(record.actor)}; the bound is one-sided at "
            f"{at_least(record.level)}.{second}"
        )
        size = len(record.sample)
        st.progress(result.answered / size if size else 1.0, f"{result.answered:,} of {size:,} answered")
        if result.bound is None:
            st.markdown(f"**{result.wrong:,}** wrong so far. The bound comes when every image has an answer.")
        else:
            st.html(_large(result.statement))
            if result.rest and result.rest_bound is not None:
                st.markdown(state.plain(rest_statement(result.rest, result.rest_bound, record.level)) + ".")
        _actions(opened, result)
        _wrong(opened, result)
    if state.get("accepting") == record.number:
        _confirm(opened, result)


def _large(statement: str) -> str:
    return (
        '<p style="font-size: 1.7rem; line-height: 1.3; font-weight: 600; margin: 0.2rem 0;">'
        f"{html.escape(statement, quote=True)}</p>"
    )


def _actions(opened: OpenProject, result: AuditResult) -> None:
    number = result.record.number
    with st.container(horizontal=True):
        if result.bound is None:
            review_queue(QueueRef.of_audit(number), f"review_audit_{number}", "Review the audit images", primary=True)
        else:
            left = result.rest
            if left == 0:
                st.markdown("Every one of these images is decided already: nothing is left to accept.")
            elif st.button(
                f"Accept {some(left, 'label')} as one batch", type="primary", icon=":material/done_all:",
                key=f"accept_audit_{number}",
            ):  # fmt: skip
                state.put("accepting", number)
        if st.button("Give this audit up", icon=":material/close:", key=f"abandon_audit_{number}"):
            opened.project.audits.abandon(number)
            state.put("quality_told", f"Audit {number} was given up. The answers you gave stay as labels.")
            st.rerun()


def _wrong(opened: OpenProject, result: AuditResult) -> None:
    if not result.wrong_ids:
        return
    with st.expander(f"The {some(result.wrong, 'image')} that counted as wrong"):
        names = titles_of(opened, result.wrong_ids[:60])
        gallery(opened, [Tile(one, names.get(one, ""), f"image {one}") for one in result.wrong_ids])


def _confirm(opened: OpenProject, result: AuditResult) -> None:
    st.dialog("Accept the predictions?", on_dismiss=lambda: state.forget("accepting"))(_dialog)(opened, result)


def _dialog(opened: OpenProject, result: AuditResult) -> None:
    """Say what will be accepted and with which bound; do it, or not."""
    record = result.record
    left = result.rest
    st.markdown(
        f"**{some(left, 'prediction')}** of round {record.round} become labels, as one batch. What the audit says:\n\n"
        f"> {state.plain(result.statement)}\n\n"
        f"> {state.plain(rest_statement(result.rest, result.rest_bound or 0.0, record.level))}\n\n"
        "This is kept with the batch, and exported with its labels. One undo on the History page takes all of it back."
    )
    if st.button(f"Accept {some(left, 'label')}", type="primary", key="confirm_accept"):
        state.forget("accepting")
        try:
            _, count = opened.project.audits.accept(record.number, state.actor())
        except StarlingError as error:
            state.show_error(error)
            return
        state.put(
            "quality_told", f"Accepted {some(count, 'label')} as one batch. History shows it and can take it back."
        )
        st.rerun()
    if st.button("Not now", key="confirm_not"):
        state.forget("accepting")
        st.rerun()


def explanation() -> None:
    """Say in words what the bound means."""
    with st.expander("What the bound means"):
        st.markdown(
            "- A random sample of exactly the predictions that would be accepted is shown to you. The number of "
            "answers that differ from the prediction gives an upper limit for the share of wrong predictions among all "
            "of them (Clopper–Pearson, exact). It is not the share to expect but one that is seldom exceeded: at "
            "95%, in at most 5 of 100 such audits.\n"
            "- Every image of the sample needs an answer. Rejected and unsure answers count as wrong.\n"
            "- Looking again at the same round until a sample comes out well would make the limit too good. So a "
            "second look at the same round gets a stricter level (97.5%), and a third a stricter one still. Each "
            "statement holds at its own level; that all of several looks hold is less sure: "
            f"{at_least(joint_level(LEVEL, 2))} for two.\n"
            "- Images that got a label in the meantime keep it: accepting never overwrites a decision."
        )


def past_audits(opened: OpenProject, results: list[AuditResult]) -> None:
    """Draw the table of audits that are accepted or given up."""
    st.subheader("Past audits")
    past = [one for one in results if one.record.state != "open"]
    if not past:
        st.caption("None yet.")
        return
    names = [one.record.batch for one in past if one.record.batch is not None]
    batches = {one.batch: one for one in opened.project.store.batches(len(names), names=names)}
    rows = [_row(one, batches.get(one.record.batch or "")) for one in past]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="past_audits")


def _row(result: AuditResult, batch: BatchInfo | None) -> dict[str, object]:
    record = result.record
    return {
        "Audit": record.number,
        "Drawn": when(record.created),
        "Who": record.actor,
        "Round": record.round,
        "Images": len(record.sample),
        "Answered": result.answered,
        "Wrong": result.wrong,
        "Level": at_least(record.level),
        "Statement": str(record.facts.get("statement") or result.statement),
        "State": STATES[record.state] + _taken_back(batch),
        "Batch": record.batch or "",
    }


def _taken_back(batch: BatchInfo | None) -> str:
    """What of an accepted batch was undone, to be added to its state; "" for nothing."""
    if batch is None or not batch.undone:
        return ""
    whole = batch.undone == batch.decisions
    return ", taken back" if whole else f", {batch.undone:,} of {batch.decisions:,} taken back"
