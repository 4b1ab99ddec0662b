"""A list of files with what is said of each, whole and readable on a narrow screen too."""

from __future__ import annotations

import html
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.records.imports import Refusal

OPEN, AS_TEXT = 5, 200
"""Up to so many are shown at once; up to so many as text that wraps, more as a table that is drawn in part."""
_STYLE = """<style>
.listing {display: grid; grid-template-columns: minmax(8rem, 2fr) 3fr; max-height: 20rem; overflow: auto;}
.listing > * {padding: 0.3rem 0.75rem 0.3rem 0; overflow-wrap: anywhere; min-width: 0; font-size: 0.9rem;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent);}
@media (max-width: 640px) {
  .listing {grid-template-columns: 1fr;}
  .listing > :nth-child(odd) {border-bottom: 0; padding-bottom: 0; font-weight: 600;}
}
</style>"""


def listing(title: str, rows: Sequence[Refusal]) -> None:
    """Draw the list, closed where it is long; nothing where it is empty."""
    if not rows:
        return
    with st.expander(f"{title} ({len(rows):,})", expanded=len(rows) <= OPEN):
        if len(rows) <= AS_TEXT:
            cells = "".join(f"<span>{_text(one.name)}</span><span>{_text(one.reason)}</span>" for one in rows)
            st.html(f'{_STYLE}<div class="listing" tabindex="0" role="group" aria-label="{_text(title)}">{cells}</div>')
        else:
            table = pd.DataFrame([(one.name, one.reason) for one in rows], columns=["File", "Why"])
            st.dataframe(table, hide_index=True, column_config={"Why": st.column_config.TextColumn(width="large")})


def _text(words: str) -> str:
    return html.escape(words, quote=True)
