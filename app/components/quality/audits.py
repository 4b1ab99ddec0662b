"""Audits: what is frozen, the open one with its bound, and those of the past."""

from __future__ import annotations

import html

import pandas as pd
import streamlit as st

from app import state
from app.components.lock import writing
from app.components.quality.gallery import Tile, gallery, review_queue, titles_of
from app.components.quality.words import some, when
from app.server.workbench import OpenProject
from app.source_words import BRIEF, counted
from engine.errors import StarlingError
from engine.percent import at_least, at_most, percent
from engine.project.review.ref import OPEN, QueueRef
from engine.quality import audit
from engine.quality.standing import SHOWN, Audit, PartStanding
from engine.records.quality import AuditRecord, BatchInfo, PastAudit

FEW_CHANGES = 0.2
"""Share of the bound that changed labels may make up before freezing anew is advised."""
GO_ON = "The same frozen labels and the same random order, at no new charge."
PAST_STATES = {"accepted": "accepted", "abandoned": "given up"}


def audit_tab(opened: OpenProject) -> None:
    """Draw the tab: the open audit, or what would be frozen now; past ones below."""
    tell()
    found = opened.project.audits.opened()
    if found is None:
        _freeze(opened)
    else:
        open_audit(opened, found)
    explanation()
    past_audits(opened)


def tell() -> None:
    """Say once what the last click did."""
    message = state.get("quality_told")
    if message:
        st.success(message)
        state.forget("quality_told")


def _freeze(opened: OpenProject) -> None:
    """Say what an audit would be of, and offer to begin it."""
    labels = opened.project.audits.exported()
    if not len(labels):
        st.info("There is no label to audit yet. Label some images first, or train a round.")
        return
    st.markdown(
        f"An audit says how many labels are wrong at most. It would be of **{some(len(labels), 'label')}**, all that "
        f"an export of everything holds now: {counted(labels.per_source())}. They are frozen: noted as they are now, "
        "so that nothing said later changes what is judged. Then images are drawn at random, and you say what they "
        "show."
    )
    goal = opened.project.goals.goal()
    wanted_rate = min(50.0, max(0.1, 100 * goal.rate))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rate = st.number_input(
            "At most so many wrong, in percent", 0.1, 50.0, wanted_rate, 0.5, key="audit_rate", width=240,
            help="The goal you would like to show. The audit can be stopped and gone on with at any answer.",
        )  # fmt: skip
        wanted = st.button(
            "Freeze the labels", type="primary", icon=":material/fact_check:", key="freeze_audit", **writing(opened)
        )
    trusting = st.checkbox(
        "My answers are the truth", key="audit_trusting",
        help="Labels that a person looked at, one image at a time, are taken as right and not asked again: fewer "
        "answers are needed. The bound and the certificate say so. Leave it off to have them audited like all others.",
    )  # fmt: skip
    if not wanted:
        return
    try:
        found = opened.project.audits.freeze(
            rate=float(rate) / 100, alpha=round(1.0 - goal.level, 9), actor=state.actor(), trusting=trusting
        )
    except StarlingError as error:
        state.show_error(error)
        return
    begun(found)


def begun(found: Audit) -> None:
    """Say that an audit has begun, and draw the page anew."""
    state.put("quality_told", f"Audit {found.number}: {some(found.labels, 'label')} are frozen. Now answer its images.")
    st.rerun()


def open_audit(opened: OpenProject, found: Audit) -> None:
    """Draw an open audit: what it is of, what was seen, what follows, and what can be done."""
    with st.container(border=True):
        st.subheader(f"Audit {found.number}")
        st.markdown(
            f"{_what(found.record, found.labels)}, frozen on {when(found.record.created)} by "
            f"{state.plain(found.record.actor)}."
        )
        st.html(_large(audit.seen(found.total), audit.bound(found.total, found.level)))
        _how_far(found)
        _actions(opened, found)
        _notes(opened, found)
        _parts(opened, found)
        _wrong(opened, found)
    if state.get("accepting") == found.number:
        _confirm(opened, found)


def _what(record: AuditRecord, labels: int) -> str:
    if record.scope == "rule":
        return f"{some(labels, 'prediction')} of round {record.round} that a threshold accepts"
    return f"{some(labels, 'label')}, all that an export of everything held"


def _large(seen: str, bound: str) -> str:
    return (
        f'<p style="margin: 0.2rem 0;">{html.escape(seen, quote=True)}</p>'
        '<p style="font-size: 1.7rem; line-height: 1.3; font-weight: 600; margin: 0.2rem 0;">'
        f"{html.escape(bound[:1].upper() + bound[1:], quote=True)}</p>"
    )


def _how_far(found: Audit) -> None:
    """Draw the way to the first statement, or to the goal."""
    total, rate = found.total, found.record.rate
    if not total.shown:
        missing = SHOWN - total.random
        st.progress(total.random / SHOWN, f"A bound comes after {SHOWN} answers: {missing:,} to go.")
    elif rate is not None:
        reached = "**Reached**" if found.reached(rate) else "Not reached yet"
        st.markdown(f"{reached}: at most {at_most(rate)} wrong. Stop or go on at any answer; the answers stay.")


def _actions(opened: OpenProject, found: Audit) -> None:
    number, waiting = found.number, len(found.unanswered) + len(found.seconds)
    rule, shown = found.record.scope == "rule", found.total.shown
    ready = rule and shown and found.rest > 0
    with st.container(horizontal=True):
        if found.total.unseen:
            review_queue(QueueRef.of_audit(number), f"review_audit_{number}", "Answer its images", primary=not ready)
        if waiting:
            words = "Answer the one that is open" if waiting == 1 else f"Answer the {waiting:,} that are open"
            review_queue(QueueRef.of_audit(number, OPEN), f"review_open_{number}", words)
        if ready and st.button(
            f"Accept {some(found.rest, 'label')} as one batch", type="primary", icon=":material/done_all:",
            key=f"accept_audit_{number}", **writing(opened),
        ):  # fmt: skip
            state.put("accepting", number)
        if st.button("Close this audit", icon=":material/close:", key=f"close_audit_{number}", **writing(opened)):
            opened.project.audits.close(number)
            state.put("quality_told", f"Audit {number} is closed. Its answers stay as labels.")
            st.rerun()
    if rule and shown and not found.rest:
        st.markdown("Every one of these images is decided already: nothing is left to accept.")


def _notes(opened: OpenProject, found: Audit) -> None:
    """Say what else goes into the bound."""
    lines = []
    if found.seconds:
        lines.append(
            f"Waiting for a second look, because the answer differs from the label: {len(found.seconds):,}. "
            "Until then they count as wrong."
        )
    if found.unanswered:
        lines.append(f"Drawn without an answer, and counted as wrong until there is one: {len(found.unanswered):,}.")
    measured = f"by {found.people.asked:,} of your own labels asked again" if found.missed_is_measured else "assumed"
    if found.trusting:
        lines.append(
            f"People's answers are taken as the truth: {some(found.total.trusted, 'label')} that a person had looked "
            f"at before the freeze count as right. Audited are the other {found.labels:,}."
        )
    else:
        lines.append(
            f"People pass wrong labels too: the bound allows for {percent(found.missed)} of those, {measured}."
        )
    if found.changed:
        lines.append(
            f"Changed without a look since the freeze, which adds to the bound: {some(found.changed, 'label')}."
        )
    if found.added:
        lines.append(f"Came since the freeze, so that nothing is said of them: {some(found.added, 'label')}.")
    if found.place > 1:
        lines.append(f"It is audit {found.place} with an answer, so it needs stronger evidence than the first.")
    for line in lines:
        st.caption(line)
    if found.record.scope == "export" and found.total.shown and found.changed > FEW_CHANGES * found.left_wrong:
        st.warning(
            "Much has changed since the freeze. Close this audit and freeze the labels again: the bound will then be "
            "of the labels as they are."
        )


def _parts(opened: OpenProject, found: Audit) -> None:
    """Draw classes and sources, and offer the queue of one."""
    rows = [_part_row(part, found.level) for part in (*found.sources, *found.classes)]
    with st.expander("By source and class"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, key=f"audit_parts_{found.number}")
        st.caption(
            "These bounds hold together, so that each needs more evidence than one by itself. The bound of a class is "
            "of the labels of this class: it says nothing of images of the class that are called otherwise. Images of "
            "one class or source alone are drawn along an order of their own; for all labels together their answers "
            "count as looks."
        )
        parts = {str(one.part): one for one in (*found.classes, *found.sources) if one.unseen}
        if not parts:
            return
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = st.selectbox("Only images of", list(parts), format_func=_name, key=f"audit_part_{found.number}")
            review_queue(QueueRef.of_audit(found.number, chosen), f"review_part_{found.number}", "Answer these")


def _name(part: str) -> str:
    kind, _, name = part.partition(":")
    return BRIEF[name] if kind == "source" else name


def _part_row(part: PartStanding, level: float) -> dict[str, object]:
    return {
        "Labels of": _name(str(part.part)),
        "Labels": part.labels,
        "Seen": audit.seen(part),
        "Bound": audit.bound(part, level, tabled=True),
    }


def _wrong(opened: OpenProject, found: Audit) -> None:
    ids = found.wrong_ids
    if not ids:
        return
    with st.expander(f"The {some(len(ids), 'image')} that count{'s' * (len(ids) == 1)} as wrong"):
        names = titles_of(opened, ids[:60])
        gallery(opened, [Tile(one, names.get(one, ""), f"image {one}") for one in ids])


def _confirm(opened: OpenProject, found: Audit) -> None:
    st.dialog("Accept the predictions?", on_dismiss=lambda: state.forget("accepting"))(_dialog)(opened, found)


def _dialog(opened: OpenProject, found: Audit) -> None:
    """Say what will be accepted and with which bound; do it, or not."""
    limit = at_most(min(found.left_wrong, found.rest) / max(found.rest, 1))
    st.markdown(
        f"**{some(found.rest, 'prediction')}** of round {found.record.round} become labels, as one batch. What the "
        f"audit says:\n\n> {state.plain(audit.statement(found))}\n\n"
        f"Of these {found.rest:,}, at most {limit} are wrong ({at_least(found.level)} sure).\n\n"
        "This is kept with the batch, and exported with its labels. One undo on the History page takes all of it back."
    )
    if st.button(f"Accept {some(found.rest, 'label')}", type="primary", key="confirm_accept"):
        state.forget("accepting")
        try:
            _, count = opened.project.audits.accept(found.number, state.actor())
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
    """Say in words what an audit does and what its bound means."""
    with st.expander("What the bound means"):
        st.markdown(
            "- The labels are frozen, then images are drawn at random among them. You see the image alone, neither its "
            "label nor a prediction: that would sway you.\n"
            "- If your answer differs from the label, the image comes again later, to another person where there is "
            "one. Only if the second answer differs too the label was wrong.\n"
            f"- From {SHOWN} answers on a bound is shown. It is not the number to expect but one that is seldom "
            "exceeded, and it holds at every answer: stop when it is good enough, or go on later. Nothing is charged "
            "for stopping, for going on, or for an audit without answers.\n"
            "- Skipped and unsure images count as wrong until they are answered. Rejected ones were labeled wrong.\n"
            "- Other images that you look at meanwhile help too: what you find wrong there is put right.\n"
            "- Whoever freezes again and again until it looks good would find luck in the end. So a later audit that "
            "gets answers needs stronger evidence than the one before."
        )


def past_audits(opened: OpenProject) -> None:
    """Draw the table of audits that are over."""
    st.subheader("Past audits")
    audits = opened.project.audits
    closed, before = [one for one in audits.records() if one.state == "closed"], audits.past()
    if not closed and not before:
        st.caption("None yet.")
        return
    names = [name for name in [*(one.batch for one in closed), *(one.batch for one in before)] if name is not None]
    batches = {one.batch: one for one in opened.project.store.batches(len(names), names=names)}
    rows = [_closed_row(one, batches.get(one.batch or "")) for one in closed]
    rows += [_before_row(one, batches.get(one.batch or "")) for one in before]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="past_audits")
    _go_on(opened, [one for one in closed if one.batch is None])


def _go_on(opened: OpenProject, closed: list[AuditRecord]) -> None:
    """Offer to go on with an audit that was closed, where none is open."""
    if not closed or opened.project.audits.opened() is not None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        number = st.selectbox("A closed audit", [one.number for one in closed], key="reopen_number", width=160)
        wanted = st.button("Go on with it", icon=":material/replay:", key="reopen_audit", **writing(opened, help=GO_ON))
    if not wanted:
        return
    try:
        opened.project.audits.reopen(number)
    except StarlingError as error:
        state.show_error(error)
        return
    state.put("quality_told", f"Audit {number} is open again.")
    st.rerun()


def _closed_row(record: AuditRecord, batch: BatchInfo | None) -> dict[str, object]:
    return {
        "Audit": record.number,
        "Begun": when(record.created),
        "Who": record.actor,
        "Labels": int(record.facts.get("population", 0)),
        "Answered": int(record.facts.get("audited", 0)),
        "Wrong": int(record.facts.get("wrong", 0)),
        "Statement": str(record.facts.get("statement", "")),
        "State": ("closed" if record.batch is None else "accepted") + _taken_back(batch),
        "Batch": record.batch or "",
    }


def _before_row(record: PastAudit, batch: BatchInfo | None) -> dict[str, object]:
    answered = record.facts.get("answered", record.facts.get("audited", 0))
    return {
        "Audit": record.number,
        "Begun": when(record.created),
        "Who": record.actor,
        "Labels": record.population,
        "Answered": int(answered),
        "Wrong": int(record.facts.get("wrong", 0)),
        "Statement": str(record.facts.get("statement") or "given up"),
        "State": PAST_STATES[record.state] + _taken_back(batch),
        "Batch": record.batch or "",
    }


def _taken_back(batch: BatchInfo | None) -> str:
    """What of an accepted batch was undone, to be added to its state; "" for nothing."""
    if batch is None or not batch.undone:
        return ""
    whole = batch.undone == batch.decisions
    return ", taken back" if whole else f", {batch.undone:,} of {batch.decisions:,} taken back"
