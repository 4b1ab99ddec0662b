"""The tab "Labels to check": labels that predictions contradict, images that look the same, and conflicts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import state
from app.components.lock import writing
from app.components.quality.gallery import Tile, gallery, review_queue, review_these, titles_of
from app.components.quality.words import some, when
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.project.review.ref import QueueRef
from engine.records.quality import CheckKind, CheckState, DuplicateGroup, LabelIssue

POLL_SECONDS = 1.0
ISSUES_SHOWN, GROUPS_SHOWN, MOST_OF_A_GROUP = 48, 12, 12
STARTS: dict[CheckKind, str] = {"labels": "Check the labels", "duplicates": "Look for duplicates"}
ABOUT: dict[CheckKind, str] = {
    "labels": "Five models are trained, each on four fifths of the labels, and asked about the rest (confident "
    "learning). Labels that the model which never saw them contradicts come first. It runs in the background.",
    "duplicates": "All images are compared at 32×32 pixels, colours included. Copies with different labels come first. "
    "It runs in the background.",
}
CONFLICTS = {
    "prediction": "where a prediction contradicts the label",
    "duplicates": "between copies with different labels",
    "annotators": "between two people",
}


def labels_tab(opened: OpenProject) -> None:
    """Draw the tab."""
    _conflicts(opened)
    st.subheader("Suspected labels")
    if not opened.project.store.counts().labeled:
        st.info("No image has a label yet, so there is none to check.")
    elif _check(opened, "labels"):
        _issues(opened)
    st.subheader("Duplicates")
    if not opened.project.store.counts().images:
        st.info("This project has no images yet.")
    elif _check(opened, "duplicates"):
        _duplicates(opened)


def _conflicts(opened: OpenProject) -> None:
    conflicts = opened.project.lists.conflicts()
    if not conflicts:
        st.caption("No conflicts: nothing known contradicts a label.")
        return
    counts = {kind: sum(one.kind == kind for one in conflicts) for kind in CONFLICTS}
    parts = [f"{count:,} {CONFLICTS[kind]}" for kind, count in counts.items() if count]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{some(len(conflicts), 'conflict')}**: {', '.join(parts)}.")
        review_queue(QueueRef("conflicts"), "review_conflicts", "Look at them side by side")


def _check(opened: OpenProject, kind: CheckKind) -> bool:
    """Draw where a check stands and what can be done; return whether there is a result to show."""
    check = opened.project.checks.state(kind)
    if check.status == "running":
        st.fragment(_running, run_every=POLL_SECONDS)(opened, kind)
        return bool(check.made)
    if check.status == "failed":
        st.error(state.plain(check.error or "The check did not come to an end."))
    elif check.status == "cancelled":
        st.info("The check was cancelled.")
    has_result = check.status == "ready" or bool(check.made)
    if has_result:
        _tell_result(check)
    else:
        st.caption(ABOUT[kind])
    label = STARTS[kind] if not has_result else "Check again"
    urgent = not has_result or check.stale
    if st.button(
        label,
        type="primary" if urgent else "secondary",
        icon=":material/search:",
        key=f"check_{kind}",
        **writing(opened),
    ):
        _start(opened, kind)
    return has_result


def _tell_result(check: CheckState) -> None:
    stale = " Labels or images changed since; check again to take them in." if check.stale else ""
    st.caption(f"Checked on {when(check.made)}.{stale}" if check.made else f"Checked.{stale}")


def _start(opened: OpenProject, kind: CheckKind) -> None:
    try:
        opened.project.checks.start(kind)
    except StarlingError as error:
        state.show_error(error)
        return
    st.rerun()


def _running(opened: OpenProject, kind: CheckKind) -> None:
    """Show how far a check is; run the page anew when it ended."""
    check = opened.project.checks.state(kind)
    if check.status != "running":
        st.rerun()
    st.progress(min(max(check.fraction, 0.0), 1.0), text=state.plain(check.stage or "Starting"))
    if st.button("Cancel", icon=":material/close:", key=f"cancel_{kind}", **writing(opened)):
        opened.project.checks.cancel(kind)
        st.rerun()


def _issues(opened: OpenProject) -> None:
    issues = opened.project.checks.label_issues()
    if not issues:
        st.success("No label is suspected, or all suspected ones have been looked at.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{some(len(issues), 'suspected label')}**, most suspicious first: given → suggested by a model that "
            "never saw the label."
        )
        review_queue(QueueRef("issues"), "review_issues")
    gallery(opened, [_issue_tile(one) for one in issues[:ISSUES_SHOWN]])
    if len(issues) > ISSUES_SHOWN:
        st.caption(f"The first {ISSUES_SHOWN} of {len(issues):,}; the review page shows all of them.")


def _issue_tile(one: LabelIssue) -> Tile:
    return Tile(one.image_id, f"{one.given} → {one.suggested}")


def _duplicates(opened: OpenProject) -> None:
    groups = sorted(opened.project.checks.duplicates(), key=lambda one: not one.differing)
    if not groups:
        st.success("No two images look the same.")
        return
    differing = [one for one in groups if one.differing]
    exact = sum(one.exact for one in groups)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{some(len(groups), 'group')}** of images that look the same, {exact:,} of them the same at 32×32; "
            f"**{len(differing):,}** with different labels."
        )
        ids = [one for group in differing for one in group.image_ids]
        review_these(opened, ids, "review_duplicates", "Review those with different labels")
    _groups(opened, _page_of(groups))


def _page_of(groups: Sequence[DuplicateGroup]) -> Sequence[DuplicateGroup]:
    """Return the groups of the page chosen; all when they fit one."""
    pages = -(-len(groups) // GROUPS_SHOWN)
    if pages <= 1:
        return groups
    page = int(st.number_input(f"Page, of {pages:,}", 1, pages, 1, key="duplicates_page", width=160))
    return groups[(page - 1) * GROUPS_SHOWN : page * GROUPS_SHOWN]


def _groups(opened: OpenProject, groups: Sequence[DuplicateGroup]) -> None:
    shown = [image_id for group in groups for image_id in group.image_ids[:MOST_OF_A_GROUP]]
    names = titles_of(opened, shown)
    columns = st.columns(2)
    for place, group in enumerate(groups):
        with columns[place % 2], st.container(border=True):
            alike = "The same at 32×32" if group.exact else f"Similarity {group.similarity:.3f}"
            badge = " &nbsp; :orange-badge[different labels]" if group.differing else ""
            st.markdown(f"{alike}, {some(len(group.image_ids), 'image')}{badge}")
            pairs = list(zip(group.image_ids, group.labels, strict=True))
            gallery(
                opened,
                [Tile(one, label or "no label", names.get(one, "")) for one, label in pairs],
                most=MOST_OF_A_GROUP,
            )
