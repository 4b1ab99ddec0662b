"""Answers of one audit, sorted to what they bound: all labels, the labels of one class, the labels of one source.

Each part has its own confidence sequence over its own N. An answer is a bet of a part where the image was drawn at
random among the part's images that nobody had looked at, and a look otherwise:

| drawn by the order of | all labels | its class | its source |
|---|---|---|---|
| all labels | bet | bet | bet |
| its class | look | bet | look |
| its source | look | look | bet |
| none | look | look | look |

Drawn among all labels and found to be in a class, it is a random one of that class. Drawn from the queue of a class it
is a random one neither of all labels nor of its source. Each order must be a permutation of its own: a class queue that
goes along the order of all labels takes that class out of the coming bets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.errors import ConfigError
from engine.quality.betting import Answer


class Part(NamedTuple):
    """What is bounded: all labels, or those whose exported class or whose source has this name."""

    kind: Literal["all", "class", "source"]
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read "all", "class:cat", "source:human": what `str` writes.

        Raises:
            ConfigError: it is none of these.
        """
        kind, colon, name = text.partition(":")
        if text == "all" or (kind in ("class", "source") and colon and name):
            return cls(kind, name)  # type: ignore[arg-type]
        raise ConfigError(
            "There is no such part of an audit", value=text, way_out="Use all, class:cat or source:human."
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


ALL = Part("all")


@dataclass(frozen=True, slots=True)
class Answered:
    """Images answered at once.

    ids: the images newly looked at, that of the order first; more than one where a whole group is asked. wrong: for
    each, whether its frozen label is wrong. order: whose random order drew the first; None for a look.
    """

    ids: tuple[int, ...]
    wrong: tuple[bool, ...]
    order: Part | None


def by_part(
    answered: Iterable[Answered], class_of: Mapping[int, str], source_of: Mapping[int, str]
) -> dict[Part, list[Answer]]:
    """Return the answers of all labels and of each class and source that has one, in their order.

    Of a group, a part takes the images that are its own. It is a bet where the drawn image is among them.

    Args:
        answered: in the order in which they were given.
        class_of: frozen class of at least the images answered.
        source_of: source of at least the images answered.

    Raises:
        ConfigError: an image comes twice, there is no answer to one of them, or it has no class or source.
    """
    parts: dict[Part, list[Answer]] = {ALL: []}
    seen: set[int] = set()
    for one in answered:
        if len(one.ids) != len(one.wrong) or not one.ids:
            raise ConfigError("Images and answers differ in number", value=f"{len(one.ids)} and {len(one.wrong)}")
        members: dict[Part, list[bool]] = {}
        firsts: dict[Part, int] = {}
        for image_id, wrong in zip(one.ids, one.wrong, strict=True):
            if image_id in seen:
                raise ConfigError("This image was looked at before", value=image_id, way_out="Count its first answer.")
            if image_id not in class_of or image_id not in source_of:
                raise ConfigError("This image is not in the audit", value=image_id, way_out="Freeze the labels again.")
            seen.add(image_id)
            for part in (ALL, Part("class", class_of[image_id]), Part("source", source_of[image_id])):
                members.setdefault(part, []).append(wrong)
                firsts.setdefault(part, image_id)
        for part, wrongs in members.items():
            drawn = firsts[part] == one.ids[0] and one.order in (ALL, part)
            answer = Answer(firsts[part], "random" if drawn else "look", len(wrongs), sum(wrongs) / len(wrongs))
            parts.setdefault(part, []).append(answer)
    return parts
