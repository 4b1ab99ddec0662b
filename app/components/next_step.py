"""The bar with the button of the next step: at the end of a page, and in sight however long that is."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

KEY = "next_step"
_STYLE = f"""<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-{KEY}), .st-key-{KEY} {{position: sticky; bottom: 0; z-index: 90;}}
.st-key-{KEY} {{padding: 0.6rem 0 0.7rem; background: light-dark(#ffffff, #12161d);
  border-top: 1px solid light-dark(#d5dae2, #353d4a);}}
.st-key-{KEY} [data-testid="stMarkdownContainer"] p {{margin: 0;}}
[data-testid="stMainBlockContainer"]:has(.st-key-{KEY}) {{padding-bottom: 0;}}
@media (max-width: 640px) {{
  .st-key-{KEY} [data-testid="stElementContainer"] {{flex: 1 1 auto;}}
  .st-key-{KEY} button {{min-height: 44px;}}
}}
</style>"""


def next_step() -> DeltaGenerator:
    """Return the bar; what is drawn in it stands in a row. A page has one, as its last element."""
    st.html(_STYLE)
    return st.container(key=KEY, horizontal=True, vertical_alignment="center", gap="small")
