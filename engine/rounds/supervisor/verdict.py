"""What comes of a finished round: the verdict of its worker, corrected by the measured set.

A worker knows nothing of the round in force: labels that each round held out are of different images, many of them
chosen for being hard. Where enough images of the measured set are answered, both rounds are scored on the same ones: a
round is held back as worse by evidence alone, else the newest comes into force. What the worker holds a round back for
stays.

The measured set then chooses between rounds, which it must hardly do: evidence of 20 is reached by luck in at most 1 of
20 comparisons of equals, and what is not held back was no choice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import StarlingError
from engine.quality.scale import SHARE
from engine.quality.stopping import Comparison
from engine.records.rounds import RoundRecord, RoundReport, RoundStateName, Verdict
from engine.rounds.supervisor import prepare

if TYPE_CHECKING:
    from engine.store import Store

Compare = Callable[[int, int], Comparison]
"""How two rounds, by number, do on the images of the measured set that neither has learned from."""
log = logging.getLogger("starling.rounds")


def judge(store: Store, record: RoundRecord, compare: Compare | None = None) -> None:
    """Promote a finished round or hold it back, as its report and the measured set say.

    Args:
        store: the open project.
        record: the round.
        compare: None where nothing is measured.
    """
    report = record.report or RoundReport()
    verdict = _measured(store, record, report.verdict, compare)
    state: RoundStateName = "promoted" if verdict.promoted else "held_back"
    if verdict == report.verdict:
        store.transition(record.number, state, token=record.token)
    else:
        whole = replace(report, verdict=verdict).to_json()
        store.transition(record.number, state, token=record.token, report=whole)


def by_evidence(verdict: Verdict, measured: Comparison, previous: int) -> Verdict:
    """Return the verdict on a round that the measured set compares with the one in force.

    Args:
        verdict: of the worker, which promotes it.
        measured: this round against the one in force.
        previous: the number of that one.
    """
    counts = (
        f"of the same {measured.n:,} random images, asked blind, it alone has {measured.only_this:,} right, round "
        f"{previous} alone {measured.only_other:,}"
    )
    if measured.told_apart and measured.only_other > measured.only_this:
        return Verdict(False, f"Held back: {counts}. That is worse, by evidence; round {previous} stays in force.")
    shown = "better, by evidence" if measured.told_apart else "they cannot be told apart"
    return replace(verdict, reason=f"{verdict.reason} {counts[0].upper()}{counts[1:]}: {shown}.")


def _measured(store: Store, record: RoundRecord, verdict: Verdict, compare: Compare | None) -> Verdict:
    """The verdict by the measured set where it decides, else the worker's."""
    previous = prepare.previous_round(store, record.number)
    if compare is None or previous is None or not verdict.promoted:
        return verdict
    try:
        measured = compare(record.number, previous.number)
    except (StarlingError, OSError, ValueError, KeyError):  # a damaged round in force must not stop the next one
        log.warning("round %d cannot be compared with round %d", record.number, previous.number, exc_info=True)
        return verdict
    return by_evidence(verdict, measured, previous.number) if measured.n >= SHARE else verdict
