"""Review: the images a person should look at next, one after another or as a grid, decided by key."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.live_labels import live_labels
from app.components.quality.goal import goal_line, reached_line
from app.components.review_grid.component import review_grid
from app.components.review_surface.component import review_surface
from app.server.workbench import OpenProject
from engine.project import options
from engine.project.review.grid import LIKENESS, SORTS
from engine.project.review.queue import DEFAULT
from engine.project.review.ref import OPEN, QueueRef
from engine.query import QUERY_STRATEGIES

ONE, GRID = "One by one", "Grid"
LOOK_AGAIN_SECONDS = 1.0
SHOWN = {
    "unreviewed": "Not yet decided",
    "marked": "Skipped, unsure, flagged",
    "labeled": "Labeled",
    "all": "All images",
}


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    if not opened.project.store.counts().images:
        st.info("This project has no images yet. Import some first; labels are then given here.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return
    if opened.read_only:
        st.caption("What is decided here is not recorded. This browser keeps it until the project can be written.")
    reached = reached_line(opened, "review")
    live_labels(opened)
    for notice in opened.project.signals.notices:
        st.warning(state.plain(notice))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = st.container(width="content")  # drawn last: what it offers hangs on the others
        ref = _images(opened)
        number = _round(opened, listed=ref.kind in ("issues", "audit"))
        order = st.container()
    rounds = opened.project.results.complete()
    predicted = bool(rounds) and number is not None
    with way:
        as_grid = _way(ref, predicted or opened.project.likeness.possible or _features_come(opened))
    if as_grid:
        _grid(opened, ref, number, predicted)
        if not reached:
            goal_line(opened, "review")
        return
    with order:
        strategy = DEFAULT if ref.is_list else _strategy(opened, number)
    if ref.kind == "audit":
        st.page_link("pages/check_quality.py", label="What the audit shows so far", icon=":material/verified:")
    elif not rounds and not opened.project.live.wanted:
        st.caption("No round has finished yet: images come without predictions. Label a first batch by key.")
    elif number is None and not opened.project.live.wanted:
        st.caption("No round is in force. A round chosen above shows its predictions all the same.")
    followed = number is not None and number == opened.project.live.state().number
    review_surface(
        opened.base,
        strategy=strategy,
        round_number=None if followed else number,  # what is in force, also where that changes: the deck goes on
        only=str(ref),
        classes=opened.project.store.classes(),
        key=f"review_{opened.key}",
    )
    if not reached:
        goal_line(opened, "review")


def _way(ref: QueueRef, to_be_had: bool) -> bool:
    """Draw the choice of one by one or grid; a list is looked at one by one."""
    possible = to_be_had and not ref.is_list
    if not possible:
        state.preset("review_way", ONE, again=True)
    else:
        state.preset("review_way", ONE)
    chosen = st.segmented_control(
        "Show as", [ONE, GRID], key="review_way", disabled=not possible,
        help="The grid shows many images at once. Before any round like ones lie together: mark a group, and one key "
        "labels it. With predictions of a round: mark the wrong ones, accept the rest with one key. It needs either "
        "features, which live labels compute, or a round.",
    )  # fmt: skip
    return chosen == GRID


def _features_come(opened: OpenProject) -> bool:
    """Whether features are being computed, or soon will be."""
    return opened.live is not None and opened.project.live.wanted


def _grid(opened: OpenProject, ref: QueueRef, number: int | None, predicted: bool) -> None:
    """Draw the grid, or why it is not there yet."""
    sorts = _sorts(opened, number, predicted)
    if not sorts:
        st.fragment(_await_features, run_every=LOOK_AGAIN_SECONDS)(opened)
        return
    review_grid(
        opened.base,
        round_number=number,
        only=str(ref),
        classes=opened.project.store.classes(),
        sorts=sorts,
        key=f"grid_{opened.key}",
    )


def _await_features(opened: OpenProject) -> None:
    """Say what the grid waits for; run the page anew when it is there. How far it is stands above."""
    if opened.project.likeness.possible:
        st.rerun(scope="app")
    if opened.project.live.state().status == "failed":
        st.info("The grid lays like images together, and their features could not be computed. They are tried again.")
    else:
        st.info("The grid lays like images together. It opens here as soon as their features are computed.")
    st.caption("Meanwhile images can be labeled one by one.")


def _images(opened: OpenProject) -> QueueRef:
    """Draw the choice of images; return it."""
    titles = dict(SHOWN)
    if state.selection_size(opened):
        titles["selection"] = f"Selected ({state.selection_size(opened):,})"
    titles |= _audit_titles(opened)
    titles["measured"] = "Random images, asked blind"
    titles["doubtful"] = "Doubtful, for the goal"
    titles["issues"] = "Suspected labels"
    titles["conflicts"] = "Conflicts, side by side"
    titles["rare"] = "Near rare classes"
    if st.session_state.get("review_only") not in titles:
        state.preset("review_only", "unreviewed", again=True)
    return QueueRef.parse(st.selectbox("Show", list(titles), format_func=lambda one: titles[one], key="review_only"))


def _audit_titles(opened: OpenProject) -> dict[str, str]:
    """The queues of the open audit: all its labels, and a part that another page led to."""
    number = next((one.number for one in opened.project.audits.records() if one.state == "open"), None)
    if number is None:
        return {}
    titles = {str(QueueRef.of_audit(number)): f"Audit {number}, asked blind"}
    chosen = str(st.session_state.get("review_only") or "")
    start = f"{QueueRef.of_audit(number)}:"
    if chosen.startswith(start):
        part = chosen.removeprefix(start)
        titles[chosen] = f"Audit {number}, {'what is open' if part == OPEN else part.partition(':')[2]}"
    return titles


def _round(opened: OpenProject, *, listed: bool) -> int | None:
    """Draw the choice of the round whose predictions are shown; return its number. Some lists bring their own."""
    rounds = {record.number: record for record in opened.project.results.complete()}
    in_force = opened.project.results.in_force()
    numbers: list[int | None] = [*([None] if in_force is None else []), *sorted(rounds, reverse=True)]

    def title(one: int | None) -> str:
        if one is None:
            return "no round"
        text = f"round {one} · {options.title(rounds[one].algorithm)}"
        return f"{text} · in force" if one == in_force else text

    last, chosen = state.get("review_in_force"), st.session_state.get("review_round")
    follow = chosen not in numbers or chosen == last != in_force  # who looks at what is in force goes on doing so
    state.preset("review_round", in_force if follow else chosen, again=follow)
    state.put("review_in_force", in_force)
    return st.selectbox(
        "Predictions of",
        numbers,
        format_func=title,
        disabled=not rounds or listed,
        key="review_round",
    )


def _strategy(opened: OpenProject, number: int | None) -> str:
    """Draw the choice of the query strategy; those this round does not allow are left out. Return its key."""
    reasons = opened.project.queue.strategies(number)
    usable = [key for key in QUERY_STRATEGIES if not reasons.get(key)]
    if st.session_state.get("review_strategy") not in usable:
        state.preset("review_strategy", DEFAULT, again=True)
    missing = [f"**{QUERY_STRATEGIES[key].title}**: not now. {why}" for key, why in reasons.items() if why]
    about = [f"**{QUERY_STRATEGIES[key].title}**: {QUERY_STRATEGIES[key].summary}" for key in usable]
    return str(
        st.selectbox(
            "Which come first",
            usable,
            format_func=lambda key: QUERY_STRATEGIES[key].title,
            help="\n\n".join([*about, *missing]),
            key="review_strategy",
        )
    )


def _sorts(opened: OpenProject, number: int | None, predicted: bool) -> list[tuple[str, str]]:
    """The orders of the grid that are to be had, as [key, title]; of images without predictions, likeness at most."""
    reasons = opened.project.queue.strategies(number) if predicted else dict.fromkeys(SORTS, "There is no prediction.")
    reasons = {**reasons, LIKENESS: "" if opened.project.likeness.possible else "There are no features."}
    return [(key, title) for key, title in SORTS.items() if not reasons.get(key)]


page()
