"""Classes one by one: a table of how common each is and how good its predictions are, and a warning about rare ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import state
from app.components.quality.gallery import review_queue
from app.components.quality.words import some
from app.server.workbench import OpenProject
from engine.percent import percent
from engine.project.quality.by_class import ClassFigures
from engine.project.review.ref import QueueRef
from engine.quality.scale import SHARE
from engine.records.quality import AcceptRule, Estimate
from engine.records.rounds import RoundRecord


def classes_part(opened: OpenProject, record: RoundRecord) -> None:
    """Draw the table of a round's classes."""
    st.subheader("Class by class")
    figures = opened.project.by_class.figures(record.number)
    st.dataframe(pd.DataFrame(class_rows(figures)), hide_index=True, key="classes")
    st.caption(
        "Labels: in force. Predicted: images without a decision. Measured right: of the random images that the round "
        "predicts as this class. Of all images: the class's share of the whole set, by the blind answers to random "
        "images, which no model learns. Intervals are exact at 95 %, each by itself. Rare: labels and predictions "
        "together are fewer than a third of an even share."
    )
    if any(one.rare for one in figures):
        review_queue(QueueRef("rare"), "review_rare", "Look at images near rare classes")


def class_rows(figures: Sequence[ClassFigures]) -> list[dict[str, str]]:
    """Return the table's rows, one a class."""
    return [
        {
            "Class": f"{one.name} (rare)" if one.rare else one.name,
            "Labels": f"{one.labels:,}",
            "Predicted": f"{one.predicted:,}",
            "Measured right": _told(one.right, f"{one.right.right:,} of {one.right.n:,}"),
            "Of all images": _told(one.share, percent(one.share.value, 0)),
        }
        for one in figures
    ]


def _told(estimate: Estimate, words: str) -> str:
    """Return an estimate in words with its interval; below 20 answers that they are too few."""
    if estimate.n < SHARE:
        return f"too few ({estimate.n:,})"
    return f"{words} ({percent(estimate.low, 0)} to {percent(estimate.high, 0)})"


def warn_of_rare(opened: OpenProject, rule: AcceptRule) -> None:
    """Warn where a rule would accept images as a common class that lie near a rare one, and offer to look at them."""
    swept = opened.project.by_class.swept(rule)
    if not len(swept.image_ids):
        return
    names = state.plain(", ".join(dict.fromkeys(swept.rare)))
    count = len(swept.image_ids)
    st.warning(
        f"{some(count, 'image')} that would be accepted {'has' if count == 1 else 'have'} an image of a rare class "
        f"among the ten nearest ({names}): such a class is easily swept into a common one. Look at them first.",
        icon=":material/warning:",
    )
    review_queue(QueueRef("rare"), "review_swept", "Look at images near rare classes")
