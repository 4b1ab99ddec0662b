"""The goal, where the labels stand and the way to it, in the words of the pages and the command line."""

from __future__ import annotations

from app.source_words import BRIEF
from engine.percent import at_most, percent, short
from engine.quality.learning import LEAST_ANSWERS
from engine.records.goal import Goal, GoalReport, GoalStanding, Step, Way

STEPS = {
    "label": "Label a first batch",
    "train": "Train a round",
    "look": "Look at the doubtful images",
    "freeze": "Freeze the labels and audit",
    "audit": "Go on with the audit",
    "export": "Export",
}


def goal_words(goal: Goal) -> str:
    """Return a goal: at most 1 % of the labels wrong, 95 % sure."""
    of = "in every class " if goal.per_class else ""
    return f"at most {short(goal.rate)} of the labels wrong {of}({short(goal.level)} sure)"


def standing_words(standing: GoalStanding) -> str:
    """Return how many labels are wrong now, and what that rests on."""
    if not standing.labels:
        return "There are no labels and no predictions yet."
    share = percent(standing.wrong / standing.labels, 0 if standing.wrong >= 0.1 * standing.labels else None)
    of = f"of {standing.labels:,} labels and predictions"
    answers = f"{standing.answers:,} random {'answer' if standing.answers == 1 else 'answers'} of the audit"
    if standing.low is None or standing.high is None:
        how = "the model's own guess, unchecked"
        if standing.answers:
            how = f"too few to say more, {answers}"
        elif standing.measured:
            images = "1 image" if standing.measured == 1 else f"{standing.measured:,} images"
            how = f"the model's guess, corrected by {images} asked blind; an audit tells how many at most"
        return f"About {share} {of} are wrong now: {how}.{_rebuilt(standing)}"
    span = span_words(standing.low, standing.high, standing.labels)
    return f"About {share} {of} are wrong now, {span} by {answers}.{_rebuilt(standing)}"


def _rebuilt(standing: GoalStanding) -> str:
    if not standing.rebuilt:
        return ""
    return (
        " What was suspected before the answers was not noted at their time: it is worked out from what is known now."
    )


def span_words(low: int, high: int, labels: int) -> str:
    """Return an interval of wrong labels as shares."""
    return f"{percent(low / labels)} to {at_most(high / labels)}"


def source_words(standing: GoalStanding) -> str:
    """Return the share expected to be wrong in each source, the worst first, with what the audit has shown of it."""
    told = []
    for one in sorted(standing.by_source, key=lambda one: -one.wrong / one.labels):
        shown = "" if one.low is None or one.high is None else f" ({span_words(one.low, one.high, one.labels)})"
        told.append(f"{BRIEF[one.source]} {percent(one.wrong / one.labels)} of {one.labels:,}{shown}")
    return ", ".join(told)


def way_words(way: Way) -> str:
    """Return the way to the goal: what is labeled and looked at, how many answers that takes, and how long."""
    looks = f"label about {way.label:,} more, which live labels learn from, then " if way.label else ""
    looks += f"look at {way.first:,} doubtful {'image' if way.first == 1 else 'images'}, then " if way.first else ""
    pace = ""
    if way.minutes is not None:
        minutes = max(1, round(way.minutes))
        pace = f", about {minutes:,} {'minute' if minutes == 1 else 'minutes'} at your pace"
    answers = "audit answer" if way.audit == 1 else "audit answers"
    text = f"{looks}about {way.audit:,} {answers}{pace}: {_span(way.low, way.high)} in all."
    if way.first and not way.learns:
        text += " This supposes that no model learns from them."
    if way.label and way.supposed:
        text += " This supposes that twice the labels leave half as many wrong: how they learn here is measured once "
        text += f"{LEAST_ANSWERS} random images were asked blind."
    return text[0].upper() + text[1:]


def step_words(step: Step) -> str:
    """Return what a button to the next step says."""
    if step.kind in ("look", "label") and step.images:
        images = f"{step.images:,} {'image' if step.images == 1 else 'images'}"
        return f"Look at {images}" if step.kind == "look" else f"Label {images}"
    return STEPS[step.kind]


def next_words(report: GoalReport) -> str:
    """Return in one line what comes next and why."""
    if report.reached:
        return f"Reached: {report.reached}"
    if report.way is None:
        return report.why
    return way_words(report.way)


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
