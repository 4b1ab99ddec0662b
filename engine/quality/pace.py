"""How fast each person decides, and how often they let a prediction stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.records.quality import Pace

PAUSE_SECONDS = 60.0
_DECISIONS = ("label", "accept", "correct", "reject", "skip", "unsure", "flag")


def paces(
    actor: NDArray[np.object_],
    seconds: NDArray[np.float64],
    action: NDArray[np.object_],
    batch: NDArray[np.object_],
    time: NDArray[np.object_],
) -> list[Pace]:
    """Return one pace for each person, the busiest first, ties by name.

    A decision counts as single when it was timed, or when no other entry shares its batch; the rest, such as the
    acceptance of a whole page or of an audited rule, count as batch decisions and say nothing about speed or
    agreement. Speed is the median, which a few long pauses do not move; a decision that took longer than 60 seconds
    counts as 60, since somebody who left the desk did not decide all the while. Agreement is accept / (accept +
    correct) over single decisions.

    Args:
        actor: (N,) names.
        seconds: (N,) shown until decided, from 0; NaN where it was not measured.
        action: (N,) label, accept, correct, reject, skip, unsure or flag; others, such as import, are left out.
        batch: (N,) batch id, or None.
        time: (N,) ISO 8601 in UTC, which sorts as it runs.

    Raises:
        ConfigError: the columns differ in length.
    """
    if len({len(column) for column in (actor, seconds, action, batch, time)}) != 1:
        raise ConfigError("The columns of the decisions differ in length", way_out="Load the page again.")
    decided = np.isin(action, _DECISIONS)
    actor, action, batch, time = actor[decided], action[decided], batch[decided], time[decided]
    took = np.asarray(seconds, np.float64)[decided]
    timed = took >= 0.0  # false for NaN
    single = timed | ~_shared(batch)
    paces = []
    for name in sorted(set(actor.tolist())):
        own = actor == name
        alone = own & single
        shown = alone & np.isin(action, ("accept", "correct"))
        measured = np.minimum(took[own & timed], PAUSE_SECONDS)
        paces.append(
            Pace(
                actor=name,
                decisions=int(alone.sum()),
                batch_decisions=int((own & ~single).sum()),
                seconds=float(np.median(measured)) if len(measured) else None,
                agreement=float((action[shown] == "accept").mean()) if shown.any() else None,
                last=max(time[own].tolist()),
            )
        )
    return sorted(paces, key=lambda pace: (-pace.decisions - pace.batch_decisions, pace.actor))


def _shared(batch: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Whether another entry has the same batch id, (N,); never for None and the empty text."""
    times: dict[object, int] = {}
    for one in batch.tolist():
        times[one] = times.get(one, 0) + 1
    return np.array([bool(one) and times[one] > 1 for one in batch.tolist()], bool)
