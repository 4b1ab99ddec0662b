"""History: what was decided, by whom and when; batches to undo, one image's history, the state at a round."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.history.batches import batches_part
from app.components.history.entries import image_part, newest_part
from app.components.history.then_and_now import state_part
from app.loss_words import loss_words


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    if not opened.project.store.counts().images:
        st.info("This project has no images yet. Import some first; every decision on them is then kept here.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return
    for loss in opened.project.store.losses():
        st.warning(loss_words(loss))
    for words in opened.project.store.finished:
        st.info(state.plain(words))
    for draw in (batches_part, image_part, newest_part, state_part):
        state.guarded(draw)(opened)


page()
