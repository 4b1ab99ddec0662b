"""Deliveries on the page Import: which one a browser looks at, how far it is, what waits, what a stop has cut off."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from app import state
from app.server.deliveries import Delivery
from app.server.scans import BackgroundScan
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.records.progress import Progress

TOLD_AFTER = 2.0  # seconds after which it is said how long a piece of work will take
LOOKED_EVERY = 0.2  # seconds after which it is said anew how far a scan is


def looked_at(opened: OpenProject) -> Delivery | None:
    """Return the delivery that this browser looks at: the one it chose, and at first one that waits for a decision.

    A browser that has begun with none keeps its ways in, whatever others hand over meanwhile; they are listed there.
    """
    chosen = state.get("delivery")
    if chosen is None:
        first = next(iter(opened.deliveries.all()), None)
        look_at(first)
        return first
    delivery = opened.deliveries.get(chosen)
    if delivery is None and chosen:
        state.put("went", True)
        look_at(None)
    return delivery


def look_at(delivery: Delivery | None) -> None:
    """Look at this delivery from now on, or at none."""
    for name in ("preview", "foreseen"):
        state.forget(name)
    state.put("delivery", "" if delivery is None else delivery.id)


def waiting(opened: OpenProject) -> None:
    """Draw what was handed over and is not decided about, to be opened."""
    for one in opened.deliveries.all():
        with st.container(horizontal=True, vertical_alignment="center", key=f"waiting_{one.id}"):
            st.markdown(f"**{state.plain(one.source.name)}** {_how_far(one)}")
            if st.button("Show", icon=":material/visibility:", key=f"show_{one.id}"):
                open_delivery(one)


def _how_far(delivery: Delivery) -> str:
    if delivery.scan is None:
        return "was not read to its end"
    return "is read and waits for a decision" if delivery.scan.wait(0) else "is being read"


def open_delivery(delivery: Delivery) -> None:
    """Look at a delivery; the next run of the page shows nothing else."""
    state.forget("imported")
    look_at(delivery)
    st.rerun()


def offer(opened: OpenProject, delivery: Delivery) -> None:
    """Offer to read anew what a stop of Starling has cut off."""
    st.subheader(f"{state.plain(delivery.source.name)} is not imported yet")
    kept = "The upload is still here" if delivery.uploaded else f"It lies in {state.plain(delivery.source.path)}"
    st.markdown(
        f"Starling was stopped before anything of it was written to the project. {kept}, and what was chosen about it "
        "is remembered."
    )
    with st.container(horizontal=True):
        again = st.button("Look again", icon=":material/search:", type="primary", key="look_again")
        dropped = st.button("Discard", icon=":material/close:", key="discard")
        later()
    if again:
        opened.deliveries.look_again(delivery)
        st.rerun()
    if dropped:
        drop(opened, delivery)


def later() -> None:
    """Let a person add something else first."""
    if st.button("Add another source", type="tertiary", key="later", help="This one waits until you decide about it."):
        look_at(None)
        st.rerun()


def drop(opened: OpenProject, delivery: Delivery) -> None:
    """Throw a delivery away, and run the page again."""
    opened.deliveries.drop(delivery)
    look_at(None)
    st.rerun()


def watch(opened: OpenProject, delivery: Delivery, scan: BackgroundScan) -> None:
    """Draw how far a scan is until it ends. Leaving the page ends the drawing alone: it is taken up again here."""
    st.subheader(f"Reading {state.plain(scan.source.name)}")
    bar = st.progress(0.0, "Looking inside")
    st.caption(
        "You can use the other pages meanwhile, or close this one, and come back here. Nothing is written to the "
        "project before you say so."
    )
    with st.container(horizontal=True):
        stopped = st.button("Stop", icon=":material/close:", key="stop_scan")
        later()
    if stopped:
        drop(opened, delivery)
    tell = telling(bar.progress)
    while not scan.wait(LOOKED_EVERY):
        tell(scan.told.label, scan.told.done, scan.told.total)
    try:
        preview = delivery.preview or scan.preview()
    except StarlingError as error:
        state.put("scan_failed", error)
        drop(opened, delivery)
    else:
        state.put("preview", preview)  # None where another window has stopped it: then the delivery is gone, too
        st.rerun()


def telling(draw: Callable[[float, str], object]) -> Progress:
    """Return what tells a bar how far a piece of work is and, after a while, how long it will take."""
    begun: dict[str, float] = {}

    def progress(label: str, done: int, total: int) -> None:
        passed = time.monotonic() - begun.setdefault(label, time.monotonic())
        words = f"{label}: {done:,} of {total:,}" if total else label
        if passed > TOLD_AFTER and 0 < done < total:
            words += f" · {_left(passed * (total - done) / done)} left"
        draw(done / total if total else 0.0, words)

    return progress


def _left(seconds: float) -> str:
    return f"about {max(1, round(seconds)):,} s" if seconds < 90 else f"about {round(seconds / 60):,} min"
