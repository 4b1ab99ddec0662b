"""Page configuration and navigation, nothing else."""

from pathlib import Path

import streamlit as st

from app import garbage, state
from app.components.header import header
from app.components.lock import notice
from app.components.look import look

st.set_page_config(page_title="Starling", page_icon=str(Path(__file__).with_name("favicon.png")), layout="wide")
page = st.navigation(
    [
        st.Page("pages/import_images.py", title="Import", icon=":material/upload:", default=True),
        st.Page("pages/train_rounds.py", title="Train", icon=":material/model_training:"),
        st.Page("pages/inspect_map.py", title="Map", icon=":material/scatter_plot:"),
        st.Page("pages/review_labels.py", title="Review", icon=":material/keyboard:"),
        st.Page("pages/check_quality.py", title="Quality", icon=":material/verified:"),
        st.Page("pages/read_ledger.py", title="History", icon=":material/history:"),
        st.Page("pages/export_dataset.py", title="Export", icon=":material/download:"),
    ],
    position="top",
)
look()
state.guarded(header)(page.title == "Review")
state.guarded(notice)()
state.guarded(page.run)()
garbage.spare_modules()
