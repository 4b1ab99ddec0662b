"""The labels as they were when a round began, beside those of now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app.components.quality.words import when
from app.server.workbench import OpenProject
from app.source_words import BRIEF
from engine.project import options

SOURCES = {
    "images": "images",
    "labeled": "labeled",
    **{name: words for name, words in BRIEF.items() if name not in ("pseudo", "unlabeled")},
    "unlabeled": "without label",
    "marked": "skipped, unsure, flagged, rejected",
}


def state_part(opened: OpenProject) -> None:
    """Draw the choice of a round and the counts at its start beside those of now."""
    st.subheader("The state at a round")
    rounds = {record.number: record for record in opened.project.store.rounds()}
    if not rounds:
        st.caption("No round has been started yet. Each one keeps the state of the ledger it was started on.")
        return
    number = st.selectbox(
        "Round",
        sorted(rounds, reverse=True),
        format_func=lambda one: f"Round {one} · {options.title(rounds[one].algorithm)}",
        key="history_round",
        width=420,
    )
    record = rounds[number]
    then = as_mapping(opened.project.store.counts_at(record.ledger_seq))
    now = as_mapping(opened.project.store.counts())
    st.caption(f"Round {number} was queued on {when(record.created)}, after entry {record.ledger_seq:,} of the ledger.")
    left, right = st.columns(2, gap="large")
    at = f"At round {number}"
    with left:
        rows = [(title, then.get(name, 0), now.get(name, 0)) for name, title in SOURCES.items()]
        st.dataframe(_table("Images", at, rows), hide_index=True, key="sources_then")
    with right:
        before, after = then.get("per_class") or {}, now.get("per_class") or {}
        names = [
            *opened.project.store.classes(),
            *(name for name in before if name not in opened.project.store.classes()),
        ]
        rows = [(name, before.get(name, 0), after.get(name, 0)) for name in names]
        if rows:
            st.dataframe(_table("Class", at, rows), hide_index=True, key="classes_then")


def as_mapping(counts: Any) -> Mapping[str, Any]:
    """Return counts by name."""
    return dataclasses.asdict(counts) if dataclasses.is_dataclass(counts) and not isinstance(counts, type) else counts


def _table(what: str, at: str, rows: list[tuple[str, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            what: [name for name, _, _ in rows],
            at: [then for _, then, _ in rows],
            "Now": [now for _, _, now in rows],
            "Change": [f"{now - then:+,}" if now != then else "" for _, then, now in rows],
        }
    )
