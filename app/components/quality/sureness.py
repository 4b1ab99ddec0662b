"""How much too sure a round is: of all that is undecided, and of what would be accepted by a threshold."""

from __future__ import annotations

import streamlit as st

from app import state
from app.server.workbench import OpenProject
from engine.percent import percent
from engine.quality import scale
from engine.quality.reliability import Gap
from engine.records.quality import AcceptRule
from engine.records.rounds import RoundRecord


def sureness_part(opened: OpenProject, record: RoundRecord) -> None:
    """Say for both how far mean confidence and share right lie apart, or that too few answers say so."""
    measured = opened.project.measured
    st.markdown(f"- All undecided images: {gap_words(measured.sureness_of_undecided(record.number))}")
    rule = rule_in_use(opened, record.number)
    st.markdown(f"- What you would accept (see Accept by threshold): {gap_words(measured.sureness_above(rule))}")
    st.caption(
        "Mean confidence inside the model less the share right of random images asked blind, with its 95 % interval. "
        "An error of calibration cannot be told from so few answers: even a perfect model would seem to have one."
    )


def rule_in_use(opened: OpenProject, number: int) -> AcceptRule:
    """Return the rule that the person last chose under Accept by threshold, else the one that stands there first."""
    audits = opened.project.audits
    calibrated = opened.project.results.calibrated(number)
    way = str(state.get("accept_way", "by_class"))
    if not calibrated or way == "fixed":
        return audits.rule_at(number, float(state.get("accept_threshold", 0.95)))
    return audits.rule_for(number, float(state.get("accept_target", 0.01)), way == "by_class")


def gap_words(gap: Gap | None) -> str:
    """Return in words how much too sure a model is; of fewer than 20 answers that they are too few."""
    if gap is None:
        return "too few answers to say, or nothing is undecided."
    if gap.n < scale.SHARE:
        return f"too few answers to say ({gap.n:,} of {scale.SHARE})."
    low, high = gap.interval
    interval = f"{_points(low)} to {_points(high)}"
    if low <= 0 <= high:
        verdict = "not shown to be too sure or too unsure"
    else:
        verdict = "too sure" if low > 0 else "less sure than it might be"
    return (
        f"mean confidence {percent(gap.confidence, 0)}, {percent(gap.right, 0)} right: {_points(gap.value)} points "
        f"({interval}), {verdict}."
    )


def _points(share: float) -> str:
    """Return a difference of shares in points: -.031 → −3."""
    return f"{round(100 * share):+d}".replace("-", "−").replace("+0", "0")
