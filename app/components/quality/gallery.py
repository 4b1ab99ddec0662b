"""Small pictures side by side with words below, and the way from them to the review page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app import state
from app.server.workbench import OpenProject
from engine.images import thumbnails
from engine.project.review.ref import QueueRef

REVIEW_PAGE = "pages/review_labels.py"
_STYLE = """<style>
.tiles {display: flex; flex-wrap: wrap; gap: 0.6rem;}
.tiles figure {margin: 0; width: 7rem;}
.tiles img {width: 7rem; height: 7rem; object-fit: contain; image-rendering: pixelated; border-radius: 0.3rem;
  background: rgba(128, 136, 150, 0.16);}
.tiles figcaption {font-size: 0.8rem; line-height: 1.25; overflow-wrap: anywhere; padding-top: 0.15rem;}
.tiles small {opacity: 0.72;}
</style>"""


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a gallery: a line of words below it, and a smaller second one."""

    image_id: int
    title: str = ""
    detail: str = ""


def tiles_html(base: str, tiles: Sequence[Tile]) -> str:
    """Return the HTML of a gallery; titles and details are data and are escaped.

    Args:
        base: start of the project's routes, from which the thumbnails come.
        tiles: what is shown, in order.
    """
    return f'{_STYLE}<div class="tiles">{"".join(_figure(base, tile) for tile in tiles)}</div>'


def _figure(base: str, tile: Tile) -> str:
    source = html.escape(f"{base}/thumb/{int(tile.image_id)}?look={thumbnails.VERSION}", quote=True)
    words = html.escape(tile.title, quote=True)
    detail = f"<br><small>{html.escape(tile.detail, quote=True)}</small>" if tile.detail else ""
    return (
        f'<figure><img src="{source}" loading="lazy" alt="image {int(tile.image_id)} {words}">'
        f"<figcaption>{words}{detail}</figcaption></figure>"
    )


def gallery(opened: OpenProject, tiles: Sequence[Tile], most: int = 60) -> None:
    """Draw the first `most` tiles, and say how many more there are."""
    st.html(tiles_html(opened.base, tiles[:most]))
    if len(tiles) > most:
        st.caption(f"The first {most:,} of {len(tiles):,}; the review page shows all of them.")


def review_these(opened: OpenProject, ids: Sequence[int], key: str, label: str = "Review these") -> None:
    """Draw the button that hands these images over to the review page."""
    if st.button(label, icon=":material/keyboard:", key=key, disabled=not ids):
        opened.selection = tuple(int(one) for one in ids)
        state.take_selection("review")
        st.switch_page(REVIEW_PAGE)


def review_queue(ref: QueueRef, key: str, label: str = "Review these", *, primary: bool = False) -> None:
    """Draw the button that opens the review page on one of its queues."""
    if st.button(label, icon=":material/keyboard:", key=key, type="primary" if primary else "secondary"):
        state.take_queue(ref)
        st.switch_page(REVIEW_PAGE)


def titles_of(opened: OpenProject, ids: Sequence[int]) -> dict[int, str]:
    """Return the names of images by id."""
    return {item.id: item.name for item in opened.project.store.images(list(ids))} if ids else {}
