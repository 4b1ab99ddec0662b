"""The benchmarks of the review: what it costs a person, and whether the stated bounds and confidences hold.

To add one: one file, one line here, one test.
"""

from __future__ import annotations

from engine.benchmarks import BENCHMARKS, command
from engine.benchmarks.decisions_study import DECISIONS
from engine.benchmarks.honesty import AUDIT, CALIBRATION
from engine.benchmarks.label_issues_study import LABEL_ISSUES
from engine.benchmarks.options import Options
from engine.benchmarks.study import Say, Study

STUDIES: dict[str, Study] = {
    "decisions": DECISIONS,
    "audit": AUDIT,
    "calibration": CALIBRATION,
    "label-issues": LABEL_ISSUES,
}
"""Studies by the name that the command takes."""


def listing() -> str:
    """Return the names of benchmarks and studies with what each is."""
    width = max(map(len, (*BENCHMARKS, *STUDIES)))
    return "\n".join([command.listing(), *(f"{name:{width}}  {study.summary}" for name, study in STUDIES.items())])


def run(options: Options, say: Say = lambda line: None) -> str:
    """Run a study or a benchmark and return its table; see `command.run`."""
    if options.name in STUDIES:
        return STUDIES[options.name].run(options, say)
    return command.run(options, say)
