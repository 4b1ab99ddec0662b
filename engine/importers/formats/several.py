"""Images that were given several labels: never made into one class, left to the person."""

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
    """Return (labels, conflicts, questions) for images that were given any number of labels.

    Args:
        given: by image name its labels, in the order of the source; the same one again counts once.
        answers: "several" may be "leave" (an image with different labels stays unlabeled and is listed) or "first".

    Returns:
        labels: by image name, of those with one label, and with "first" of all; conflicts: by image name, the different
        labels of those that stay unlabeled; questions: asked where an image has different labels, else none.
    """
    distinct = {name: tuple(dict.fromkeys(labels)) for name, labels in given.items()}
    many = {name: labels for name, labels in distinct.items() if len(labels) > 1}
    first = answers.get(SEVERAL, LEAVE) == FIRST
    labels = {name: labels[0] for name, labels in distinct.items() if len(labels) == 1 or (labels and first)}
    if not many:
        return labels, {}, ()
    name, example = next(iter(many.items()))
    listed = ", ".join(shown(label, 40) for label in example[:4]) + " …" * (len(example) > 4)
    images = f"{len(many):,} {'image has' if len(many) == 1 else 'images have'} several labels"
    question = Question(
        SEVERAL, images, ((LEAVE, "leave them unlabeled and list them"), (FIRST, "take the first label of each")),
        FIRST if first else LEAVE, f"Such as {shown(name, 80)}: {listed}.", doubtful=True,
    )  # fmt: skip
    return labels, {} if first else many, (question,)
