"""The desk of training: what to train, how long it takes, starting and stopping rounds.

Numeric libraries are imported when first asked: a page that shows no round needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import RoundState
from engine.jobs import timing
from engine.project import options
from engine.project.workspace import Workspace
from engine.records.rounds import RESUMABLE_STATES, RoundRecord
from engine.rounds.supervisor import prepare

if TYPE_CHECKING:
    from engine.training.recommend import Recommendation


class Training:
    """The rounds of one project, from the choice of settings to their end. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def queue(self, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> RoundRecord:
        """Queue a round at the ledger's present state; the engine thread starts it.

        Raises:
            RoundBlocked: the data do not allow it.
            RoundActive: another round is queued or running.
            DeviceMissing: the device asked for is not here.
        """
        prepare.check_round(self._workspace.store, algorithm, config, train)
        settings = options.whole_settings(algorithm, config, train)
        record = self._workspace.store.queue_round(algorithm, settings)
        timing.SHARED.drop_all()
        return record

    def cancel(self, number: int) -> RoundRecord:
        """Ask a queued or running round to stop; what it has done so far is kept."""
        store = self._workspace.store
        record = store.round(number)
        if record.state == "queued":
            return store.transition(number, "cancelled", token=record.token)
        if record.state == "running":
            return store.transition(number, "cancelling", token=record.token)
        if record.state == "cancelling":
            return record
        raise RoundState("This round is not running", value=f"round {number} is {record.state}")

    def resume(self, number: int) -> RoundRecord:
        """Queue a stopped round again; it continues from its last checkpoint with the same split and labels.

        Raises:
            RoundState: it is complete or running.
            RoundActive: another round is queued or running.
        """
        record = self._workspace.store.round(number)
        if record.state not in RESUMABLE_STATES:
            raise RoundState("Only a stopped round can be resumed", value=f"round {number} is {record.state}")
        record = self._workspace.store.transition(number, "queued", token=record.token)
        timing.SHARED.drop_all()
        return record

    def recommendation(self) -> Recommendation | None:
        """Return what to train first on the images and labels as they are now; None while there is no image."""
        from engine.project import advice
        from engine.training.recommend import recommend

        facts = advice.facts(self._workspace)
        return recommend(facts) if self._workspace.items() else None

    def time(self, algorithm: str, config: Mapping[str, Any], train: Mapping[str, Any]) -> timing.Timing:
        """Return about how long a round would take, as far as that is known; what is not is timed meanwhile.

        Raises:
            ConfigError: a setting is outside its range.
        """
        from engine.algorithms import ALGORITHMS
        from engine.project import advice
        from engine.training.estimate import OF_A_SET

        if ALGORITHMS[algorithm].labels_a_set:
            return timing.Timing(how=OF_A_SET, done=True)
        job = advice.timing_job(self._workspace, algorithm, config, train)
        if job is None:
            return timing.Timing(how="there are not enough labels yet", done=True)
        if advice.weights_missing(train):
            return timing.Timing(how=advice.NO_WEIGHTS, done=True)
        return timing.SHARED.ask(job)
