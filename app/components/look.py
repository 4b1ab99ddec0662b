"""What the theme cannot say."""

from __future__ import annotations

import streamlit as st

_STYLE = """<style>
[data-testid^="stBaseButton-primary"]:not(:disabled),
[data-testid^="stBaseButton-primary"]:not(:disabled) :is(p, span) {color: light-dark(#ffffff, #12161d);}
</style>"""


def look() -> None:
    """Give filled buttons a text that can be read on the light blue of the dark theme."""
    st.html(_STYLE)
