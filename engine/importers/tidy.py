"""Class names as one would write them by hand: in NFC, without spaces around them that nobody sees.

What is changed is told, with examples. Names that still differ only in case, accents or separators stay apart, and are
offered for merging. Names that may say that there is no label (nan, None, “?”) stay classes, and are asked about.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from engine.importers.formats.base import Answers
from engine.importers.labeling import Labeling, is_pool
from engine.importers.names import shown, spelled_twice, tidy_label, twins
from engine.records.imports import Question

TWINS, NOTHING = "merge", "nothing"
KEEP, MERGE, LEAVE = "keep", "merge", "leave"
_NOTHINGS = frozenset(
    {"nan", "none", "null", "na", "n/a", "#n/a", "<na>", "nil", "nul", "-", "--", "—", "?", "??", "???", "unlabeled"}
    | {"unlabelled", "no label", "no_label", "not labeled", "not labelled", "undefined", "missing", "tbd", "todo"}
    | {"to do", "empty", "blank", "k.a.", "keine", "ohne", "n.a.", "no data", "unknown", "<none>", "(empty)"}
)
"""Texts that may stand for no label, casefolded."""
_LISTED = 8


def tidied(labeling: Labeling, answers: Answers) -> Labeling:
    """Return a labeling with tidy class names, which says what was changed and asks about twins.

    Args:
        labeling: as a format reads it.
        answers: "merge" may be "keep" (as is) or "merge": each group of twins takes its most frequent spelling.
            "nothing" may be "keep" or "leave": labels that may say that there is none are left out.
    """
    nothings, asked = _nothings(labeling, answers)
    if answers.get(NOTHING) == LEAVE:
        labeling = _without(labeling, nothings)
    written = {*labeling.labels.values(), *labeling.classes}
    written |= {label for labels in labeling.conflicts.values() for label in labels}
    written |= {one.label for one in labeling.predictions.values()}
    tidy = {label: tidy_label(label) or label for label in written}
    counts = Counter(tidy[label] for label in labeling.labels.values())
    groups = twins(tidy.values())
    merged = answers.get(TWINS, KEEP) == MERGE
    if merged:
        common = {name: _commonest(group, counts) for group in groups for name in group}
        tidy = {label: common.get(name, name) for label, name in tidy.items()}
    return replace(
        _renamed(labeling, tidy),
        notices=(*labeling.notices, *_notices(labeling, tidy, groups, merged)),
        questions=(*labeling.questions, *_questions(groups, counts, merged), *asked),
    )


def _nothings(labeling: Labeling, answers: Answers) -> tuple[frozenset[str], tuple[Question, ...]]:
    """Return the labels that may say that there is none, and the question about them."""
    counts = Counter(labeling.labels.values())
    found = [label for label in counts if tidy_label(label).casefold() in _NOTHINGS or is_pool(label)]
    if any(tidy_label(label) == "+" for label in counts):
        found = [label for label in found if tidy_label(label) != "-"]
    if "-1" in counts and set(counts) - {"1", "-1"}:  # beside 1 alone it is the other of two classes
        found.append("-1")
    if not found or len(found) == len(counts):
        return frozenset(), ()
    listed = ", ".join(f"{shown(label, 40)} ({counts[label]:,})" for label in sorted(found)[:_LISTED])
    left = answers.get(NOTHING) == LEAVE
    options = ((KEEP, "they are classes"), (LEAVE, "these images have no label"))
    title = f"Labels that may say that there is none: {listed}{' …' * (len(found) > _LISTED)}"
    return frozenset(found), (Question(NOTHING, title, options, LEAVE if left else KEEP, "", not left),)


def _without(labeling: Labeling, labels: frozenset[str]) -> Labeling:
    kept = {name: tuple(one for one in many if one not in labels) for name, many in labeling.conflicts.items()}
    settled = {name: many[0] for name, many in kept.items() if len(many) == 1}
    return replace(
        labeling,
        labels={name: label for name, label in labeling.labels.items() if label not in labels} | settled,
        classes=tuple(label for label in labeling.classes if label not in labels),
        conflicts={name: many for name, many in kept.items() if len(many) > 1},
    )


def _renamed(labeling: Labeling, tidy: Mapping[str, str]) -> Labeling:
    conflicts = {name: tuple(dict.fromkeys(tidy[label] for label in many)) for name, many in labeling.conflicts.items()}
    settled = {name: many[0] for name, many in conflicts.items() if len(many) == 1}
    return replace(
        labeling,
        labels={name: tidy[label] for name, label in labeling.labels.items()} | settled,
        classes=tuple(dict.fromkeys(tidy[label] for label in labeling.classes)),
        conflicts={name: many for name, many in conflicts.items() if len(many) > 1},
        predictions={name: replace(one, label=tidy[one.label]) for name, one in labeling.predictions.items()},
    )


def _commonest(group: tuple[str, ...], counts: Mapping[str, int]) -> str:
    return max(group, key=lambda name: (counts.get(name, 0), name))


def _notices(labeling: Labeling, tidy: Mapping[str, str], groups: list[tuple[str, ...]], merged: bool) -> list[str]:
    notices = []
    changed = sorted(label for label in tidy if tidy_label(label) != unicodedata.normalize("NFC", label))
    if changed:
        count = sum(label in set(changed) for label in labeling.labels.values())
        examples = ", ".join(f"“{shown(label, 40)}”" for label in changed[:3])
        notices.append(
            f"spaces and invisible characters around class names are left out: {count:,} labels ({examples})"
        )
    if twice := spelled_twice({*tidy, *labeling.spelled}):
        listed = ", ".join(f"“{shown(tidy_label(name), 40)}”" for name in twice[:_LISTED]) + " …" * (
            len(twice) > _LISTED
        )
        notices.append(
            "names that look the same and differ only in how Unicode stores their accents (é as one character or as "
            f"two) are one class: {listed}"
        )
    if groups:
        listed = "; ".join(", ".join(shown(name, 40) for name in group) for group in groups[:_LISTED])
        listed += " …" * (len(groups) > _LISTED)
        how = "are merged" if merged else "are kept apart"
        notices.append(f"classes that differ only in case, accents or separators {how}: {listed}")
    return notices


def _questions(groups: list[tuple[str, ...]], counts: Mapping[str, int], merged: bool) -> tuple[Question, ...]:
    if not groups:
        return ()
    examples = "; ".join(
        f"{', '.join(shown(name, 40) for name in group)} → {shown(_commonest(group, counts), 40)}"
        for group in groups[:_LISTED]
    )
    return (
        Question(
            TWINS, "Classes that differ only in case, accents or separators",
            ((KEEP, "keep them apart"), (MERGE, f"merge them ({examples})")), MERGE if merged else KEEP,
            "Merged classes take the spelling that most labels have.", doubtful=True,
        ),
    )  # fmt: skip
