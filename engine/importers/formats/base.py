"""The shape of a format: how it is recognised, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.importers.labeling import Labeling
from engine.importers.source_view import SourceView

ONLY, SIGNATURE, LIKELY, POSSIBLE, OFFERED = 4, 3, 2, 1, -1
"""How surely a format is recognised: by containers that all images came in, whose folders are no classes; by keys or
names that only it has; by what fits well; by what could be; by what a person alone may take for labels, where nothing
else gives any."""

Answers = Mapping[str, str]
"""What a person decided, by the key of the question; what is absent is the format's own proposal."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Why a source may be of a format.

    Attributes:
        why: for a person, as “labels.json has the keys classes and labels”.
        strength: ONLY, SIGNATURE, LIKELY, POSSIBLE or OFFERED.
    """

    why: str
    strength: int


@dataclass(frozen=True, slots=True)
class Format:
    """One way that labels come with images.

    Attributes:
        key: what `--as` takes.
        title: for a person.
        detect: returns why a source may be of this format, None where it is not. It must not raise for a foreign file.
        read: returns the labels; raises ImportRefused where the file is damaged or cannot be this format.
    """

    key: str
    title: str
    detect: Callable[[SourceView], Detection | None]
    read: Callable[[SourceView, Answers], Labeling]
