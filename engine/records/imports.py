"""What an import finds, what it refuses and what it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Refusal:
    """One file or row an import did not take, and why. `name` is escaped for display."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something about a source that a person may decide before anything is written.

    key: what `--set` takes; title: for a person; options: what may be chosen, each with its words, at least one;
    chosen: what was taken; hint: what it is about, "" for nothing; doubtful: it is likely enough that a person wants
    something else that they should look; counted: those of the options that take a number n from 1 on, as “every:10”;
    cells: where options are columns of a table, the first cells of each, by the option.
    """

    key: str
    title: str
    options: tuple[tuple[str, str], ...]
    chosen: str
    hint: str = ""
    doubtful: bool = False
    counted: tuple[str, ...] = ()
    cells: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def option(self) -> str:
        """The key of the option that was taken, without its number."""
        return self.chosen.partition(":")[0] if self.counted else self.chosen

    @property
    def number(self) -> int | None:
        """The number that was taken with it; None where it takes none."""
        return int(self.chosen.partition(":")[2]) if self.option in self.counted else None


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a source can be taken for: key, title and why; how many images it labels, in how many classes."""

    key: str
    title: str
    why: str
    labeled: int
    classes: int


@dataclass(frozen=True, slots=True)
class GivenPrediction:
    """What a model said of an image before it came here: a class, and how sure it was, 0..1, None where not said."""

    label: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One decodable file of a scanned source, staged but not yet part of the project.

    `staging` is the folder that it is staged in, one object for all: a path for each takes as much memory as all else.
    `label` is what the source says (None = unlabeled); `truth` is a label kept hidden from training and from the
    person, used only to show true accuracy in demos and benchmarks. `group` names the scene, burst or video that it is
    a frame of (None = by itself). `test`: the source sets it, or a copy of it, apart to measure. `split`: "train",
    "val" or "test" as the source says it. `copies`: the further names that its content has in the source.
    `predicted`: what a model said of it before.
    """

    name: str
    staging: Path
    sha256: str
    format: str
    width: int
    height: int
    channels: int
    bytes: int
    label: str | None = None
    truth: str | None = None
    notices: tuple[str, ...] = ()
    group: str | None = None
    test: bool = False
    split: str = ""
    copies: tuple[str, ...] = ()
    predicted: GivenPrediction | None = None

    @property
    def staged(self) -> Path:
        """Where the file lies until the import."""
        return self.staging / "images" / self.sha256[:2] / self.sha256


@dataclass(frozen=True)
class Grouping:
    """One way to put a source's images into groups of images that are not independent.

    key: "column:NAME", "file", "folder:LEVEL", "name" or "exif"; title: the same in words. names: the group of each
    image that is in one, by image name. sure: the source says it itself; proposed: it is a guess that seems to fit.
    groups: of two images or more; images: in these; largest: of how many images; example: the name of one;
    groups_of_any_size counts groups of one image too.
    """

    key: str
    title: str
    names: Mapping[str, str]
    groups: int
    groups_of_any_size: int
    images: int
    largest: int
    example: str
    sure: bool = False
    proposed: bool = False


@dataclass(frozen=True)
class ImportPreview:
    """What a source holds, shown before anything is written to the project.

    `counts` maps class name to number of labeled images, 0 for a class that is declared and has none: first those that
    the source lists, in its order, then the others as a person would sort them. `conflicts` are
    images whose copies carry different labels: they are imported unlabeled and listed. `staging` is the folder to throw
    away on refusal. `groupings` are the ways to put the images into groups, a sure one first. `reading` is the key of
    what the source was taken for, one of `readings`, the surest first; `questions` are what a person may decide about
    it. `predicted`: how many images come with what a model said of them. `scanned` is for
    `engine.importers.scan.read_again`.
    """

    source: str
    layout: str
    found: tuple[FoundImage, ...]
    refused: tuple[Refusal, ...]
    counts: Mapping[str, int]
    unlabeled: int
    skipped: int
    conflicts: tuple[Refusal, ...]
    notices: tuple[str, ...]
    staging: Path
    groupings: tuple[Grouping, ...] = ()
    reading: str = ""
    readings: tuple[Reading, ...] = ()
    questions: tuple[Question, ...] = ()
    predicted: int = 0
    scanned: object = field(default=None, repr=False, compare=False)

    @property
    def group_by(self) -> str:
        """The key of the way that the source says itself; "none" where it says none."""
        return next((one.key for one in self.groupings if one.sure), "none")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What one import changed.

    `differing` names the images whose imported label contradicts the one in force, which stays; `refused` counts
    them too.
    """

    added: int
    already_there: int
    labels_added: int
    classes_added: tuple[str, ...]
    refused: int
    seconds: float
    differing: tuple[Refusal, ...] = ()
