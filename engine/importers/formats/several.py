"""What becomes of an image that a source gives several labels: an image here has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.importers.formats.base import Answers
from engine.importers.names import shown
from engine.records.imports import Question

SEVERAL = "several"
LEAVE, FIRST = "leave", "first"


def settle(
    given: Mapping[str, Sequence[str]], answers: Answers
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], tuple[Question, ...]]:
    """Return the label of each image that has one, those of the others, and what a person may decide about these.

    Args:
        given: by image name, the labels that it is given, in the source's order; a repeated one counts once.
        answers: "several" may be "leave" (images of several labels stay unlabeled, and are listed) or "first".
    """
    distinct = {name: tuple(dict.fromkeys(labels)) for name, labels in given.items() if labels}
    labels = {name: many[0] for name, many in distinct.items() if len(many) == 1}
    several = {name: many for name, many in distinct.items() if len(many) > 1}
    if not several:
        return labels, {}, ()
    chosen = FIRST if answers.get(SEVERAL) == FIRST else LEAVE
    example = min(several)
    said = ", ".join(f"“{shown(label, 40)}”" for label in several[example][:4]) + " …" * (len(several[example]) > 4)
    count = "1 image has several labels" if len(several) == 1 else f"{len(several):,} images have several labels"
    question = Question(
        SEVERAL, "Images with several labels",
        ((LEAVE, "leave these images unlabeled"), (FIRST, "take the first label of each")), chosen,
        f"{count}, such as {shown(example, 80)}: {said}. An image has one label here.", doubtful=True,
    )  # fmt: skip
    if chosen == FIRST:
        return {**labels, **{name: many[0] for name, many in several.items()}}, {}, (question,)
    return labels, several, (question,)
