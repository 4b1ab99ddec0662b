"""Ledger entries as tables: of one image, found by id or name, and the newest of the project."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.components.history.batches import DID
from app.components.quality.gallery import Tile, gallery
from app.components.quality.words import some, when
from app.server.workbench import OpenProject
from engine.records.labels import ImageItem, LedgerEntry

NEWEST = 200
MOST_FOUND = 100


def image_part(opened: OpenProject) -> None:
    """Draw the search for one image, its picture and its entries."""
    st.subheader("One image")
    text = st.text_input("Id or part of the name", key="history_search", width=420).strip()
    if not text:
        st.caption("The whole history of an image: who said what of it, when, and what was taken back.")
        return
    images = matching(opened.project.workspace.items(), text)
    if not images:
        st.info("No image has this id, and no name holds this text.")
        return
    item = images[0]
    if len(images) > 1:
        more = f"the first {MOST_FOUND}" if len(images) > MOST_FOUND else f"{len(images)}"
        item = st.selectbox(
            f"Which one ({more})", images[:MOST_FOUND], format_func=lambda one: f"{one.id} · {one.name}", width=420,
            key="history_image",
        )  # fmt: skip
    left, right = st.columns([1, 4])
    with left:
        gallery(opened, [Tile(item.id, item.name, f"image {item.id}, {item.width}×{item.height}")])
    with right:
        entries = opened.project.store.history(item.id, limit=NEWEST)
        if entries:
            st.dataframe(table(entries, with_image=False), hide_index=True, key="image_entries")
        else:
            st.info("Nobody has decided anything about this image, and no label came with it.")


def matching(items: Sequence[ImageItem], text: str) -> list[ImageItem]:
    """Return the image with this id, then those whose name holds the text, at most `MOST_FOUND` + 1."""
    wanted = text.casefold()
    by_id = [item for item in items if str(item.id) == text]
    matches = [*by_id]
    for item in items:
        if wanted in item.name.casefold() and item not in by_id:
            matches.append(item)
        if len(matches) > MOST_FOUND:
            break
    return matches


def newest_part(opened: OpenProject) -> None:
    """Draw the newest entries of the project."""
    st.subheader("Newest entries")
    entries = opened.project.store.history(limit=NEWEST)
    if not entries:
        st.caption("The ledger is empty: no label was imported or given yet.")
        return
    st.dataframe(table(entries, with_image=True), hide_index=True, key="newest_entries", height=420)
    st.caption(
        f"{f'The newest {NEWEST:,} entries' if len(entries) == NEWEST else some(len(entries), 'entry', 'entries')}, "
        "newest first. Every export carries the whole ledger."
    )


def table(entries: Sequence[LedgerEntry], *, with_image: bool) -> pd.DataFrame:
    """Return entries as a table, one row an entry in their order."""
    rows = [_row(one) for one in entries]
    frame = pd.DataFrame(rows)
    return frame if with_image else frame.drop(columns="Image")


def _row(one: LedgerEntry) -> dict[str, object]:
    did = "took back" if one.action == "undo" else DID.get(one.action, one.action)
    return {
        "Entry": one.seq,
        "When": when(one.time),
        "Who": one.actor,
        "Image": one.image_id,
        "What": did if one.undoes is None else f"{did} entry {one.undoes}",
        "Label after it": one.label or "",
        "Mark": one.mark or "",
        "Round shown": "" if one.round is None else str(one.round),
        "Seconds": "" if one.seconds is None else f"{one.seconds:.1f}",
        "Seconds as a tile": "" if one.seen_seconds is None else f"{one.seen_seconds:.1f}",
        "Asked blind by": " ".join((one.asked or "").split()[:2]),
        "Batch": one.batch or "",
    }
