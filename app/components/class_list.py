"""The classes that an import would make: each with a few of its images and their number, doubtful ones first."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from urllib.parse import quote

import streamlit as st

from engine.importers.doubts import doubts_of
from engine.records.imports import ImportPreview

FEW, MANY = 3, 24
"""Images shown of each class, and of a source without classes."""
ALL_FEW = 30
"""Up to so many classes show all of theirs, more of them one each: their names need the room."""
SEARCHED, MOST = 20, 300
"""From so many classes on, one can be searched; so many stand in the list at most."""
_STYLE = """<style>
.found-classes {display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 0 1.5rem;
  max-height: 23rem; overflow: auto; padding: 2px;}
.found-classes > div {display: flex; align-items: center; gap: 0.75rem; padding: 0.3rem 0; min-width: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent);}
.found-pictures {display: flex; flex-wrap: wrap; gap: 3px; flex: none;}
.found-pictures img {width: 44px; height: 44px; object-fit: cover; border-radius: 4px;
  background: color-mix(in srgb, currentColor 9%, transparent);}
.found-pictures.large img {width: 96px; height: 96px;}
.found-name {flex: 1; min-width: 0; overflow-wrap: anywhere; line-height: 1.3;}
.found-name small {display: block; color: light-dark(#9a5b00, #f2b84b);}
.found-name .rest {opacity: 0.72;}
.found-number {flex: none; font-variant-numeric: tabular-nums; text-align: right;}
</style>"""


def class_list(base: str, preview: ImportPreview) -> None:
    """Draw the classes, or a few images where there are none.

    Args:
        base: start of the project's routes, from which the small pictures come.
        preview: what a scan found.
    """
    if not preview.counts:
        shas = [image.sha256 for image in preview.found[:MANY]]
        st.html(f"{_STYLE}{_pictures(base, preview, shas, large=True)}")
        return
    doubts, wanted = doubts_of(preview), ""
    words = f"{len(preview.counts):,} {'class' if len(preview.counts) == 1 else 'classes'}"
    if doubts:
        words += f", {len(doubts):,} of them doubtful" if len(doubts) < len(preview.counts) else ", doubtful"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{words}**")
        if len(preview.counts) >= SEARCHED:
            wanted = st.text_input(
                "Find a class", placeholder="Find a class", label_visibility="collapsed", width=260,
                key=f"find_class_{preview.staging.name}",
            ).strip()  # fmt: skip
    labels = ordered(preview.counts, doubts)
    if wanted:
        labels = [label for label in labels if wanted.casefold() in label.casefold()]
        if not labels:
            st.caption("No class has this in its name.")
            return
    examples = _examples(preview, FEW if len(preview.counts) <= ALL_FEW else 1)
    rows = [
        _row(_pictures(base, preview, examples.get(label, [])), label, doubts.get(label, ""), preview.counts[label])
        for label in labels[:MOST]
    ]
    if preview.unlabeled and not wanted and len(labels) <= MOST:
        blank = _pictures(base, preview, examples.get(None, []))
        rows.append(_row(blank, "without a label", "", preview.unlabeled, rest=True))
    st.html(f'{_STYLE}<div class="found-classes" tabindex="0" role="group" aria-label="Classes">{"".join(rows)}</div>')
    if len(labels) > MOST:
        st.caption(f"The first {MOST:,} of {len(labels):,} classes; the search finds the others.")


def ordered(counts: Mapping[str, int], doubts: Mapping[str, str]) -> list[str]:
    """Return the classes: doubtful ones first, then by number of images, the largest first, then by name."""
    return sorted(counts, key=lambda label: (label not in doubts, -counts[label], _natural(label)))


def _natural(label: str) -> list[tuple[int, int, str]]:
    """Sort key by which “class 9” comes before “class 10”."""
    parts = re.split(r"(\d+)", label.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _examples(preview: ImportPreview, most: int) -> dict[str | None, list[str]]:
    """The contents of a few images of each class, and of those without, by label."""
    found: dict[str | None, list[str]] = {}
    for image in preview.found:
        shas = found.setdefault(image.label, [])
        if len(shas) < most:
            shas.append(image.sha256)
    return found


def _pictures(base: str, preview: ImportPreview, shas: list[str], *, large: bool = False) -> str:
    start = html.escape(f"{base}/staged/{quote(preview.staging.name)}", quote=True)
    images = "".join(f'<img src="{start}/{sha}" loading="lazy" alt="">' for sha in shas)
    return f'<span class="found-pictures{" large" if large else ""}">{images}</span>'


def _row(pictures: str, label: str, doubt: str, count: int, *, rest: bool = False) -> str:
    why = f"<small>{html.escape(doubt, quote=True)}</small>" if doubt else ""
    name = re.sub(r"([_./-])", r"\1<wbr>", html.escape(label, quote=True))
    words = f'<span class="rest">{name}</span>' if rest else name
    number = f'<span class="found-number">{count:,}</span>'
    return f'<div>{pictures}<span class="found-name">{words}{why}</span>{number}</div>'
