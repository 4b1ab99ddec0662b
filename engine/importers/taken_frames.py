"""Which frames of animations, TIFFs of several pages and videos become images: the question, and what its answer gives.

A frame is called after its file, its number in it (from 0 on, six digits or more), and what it is saved as:
`clip.mp4-000120.png`. Every export and every reader here takes such a name for an image's; and what stands before the
last number is the file, so that the group can be told from the name too.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.errors import ConfigError, DecodeError, ImportRefused
from engine.images.files import original_path
from engine.images.kinds import needs
from engine.images.pool import ChildLimits, DecodePool, Job
from engine.importers.contents import MEGABYTE, Limits
from engine.importers.frames import frames_of, frames_pool
from engine.importers.names import shown
from engine.importers.staging import Staged, check_free, full_disk_told, stage_image
from engine.records.imports import Question, Refusal
from engine.records.progress import Progress

FRAMES = "frames"
"""Key of the question."""
USUAL, FIRST, EVERY, SECONDS = "usual", "first", "every", "seconds"
_LABEL = "Taking frames of files"
_MOST = 1_000_000
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """Which frames to take of a file: the first and every so many frames or seconds after it; every=0: no other."""

    every: int
    unit: Literal["frames", "seconds"] = "frames"

    def words(self) -> str:
        """Return it in words."""
        one = {"frames": "every frame", "seconds": "one frame a second"}
        several = {"frames": f"one frame in {self.every:,}", "seconds": f"one frame each {self.every:,} seconds"}
        return "the first frame" if self.every == 0 else (one if self.every == 1 else several)[self.unit]


ONLY_FIRST = Wish(0)
A_SECOND = Wish(1, "seconds")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is taken of animations (and pages) and of videos, None where these are not read; the question about it."""

    of_animations: Wish = ONLY_FIRST
    of_videos: Wish | None = None
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class OfFile:
    """The frames of one file that were taken: (number, SHA-256, ending of the name); and why not all, "" where all."""

    frames: tuple[tuple[int, str, str], ...]
    flaw: str = ""


Frames = dict[tuple[str, Wish], OfFile]
"""What was taken, by SHA-256 of the file and what was wished of it."""


@dataclass(frozen=True, slots=True)
class WithFrames:
    """A staged source with frames among its images.

    Attributes:
        staged: its `names` are those of the images that there now are.
        frames: by name of a file, the names of its frames, in order; files that are images as they are are absent.
        file_of: by name of a frame, the name of its file.
        refused: files of which not all frames could be taken.
        notices: what a person should know.
    """

    staged: Staged
    frames: Mapping[str, tuple[str, ...]]
    file_of: Mapping[str, str]
    refused: tuple[Refusal, ...]
    notices: tuple[str, ...]


def choose(staged: Staged, answers: Mapping[str, str]) -> Choice:
    """Return what to take of the files of several frames that were staged.

    Args:
        staged: the files.
        answers: "frames" may be "first", "every:N" (frames), "seconds:N", or "usual" where there are both animations
            and videos.

    Raises:
        ConfigError: no such answer.
    """
    animations = sum(len(staged.names[sha256]) for sha256 in _animations(staged))
    videos = sum(map(len, staged.video_names.values())) if importlib.util.find_spec("av") is not None else 0
    if not animations and not videos:
        return Choice()
    both = bool(animations and videos)
    usual = USUAL if both else FIRST if animations else f"{SECONDS}:{A_SECOND.every}"
    chosen = answers.get(FRAMES, usual)
    of_animations, of_videos = _wishes(chosen, both)
    options = [(FIRST, "the first frame alone"), (EVERY, "every n-th frame"), (SECONDS, "one frame each n seconds")]
    if both:
        options.insert(0, (USUAL, "one frame a second of videos, the first picture of other files"))
    counted = [
        f"{count:,} {one if count == 1 else more}"
        for count, one, more in (
            (videos, "video", "videos"),
            (animations, "animation or file of several pages", "animations or files of several pages"),
        )
        if count
    ]
    hint = (
        f"For {' and '.join(counted)}. Each frame taken becomes an image of its own, with the label of its file; the "
        "frames of one file are a group."
    )
    question = Question(FRAMES, "Frames to take", tuple(options), chosen, hint, bool(videos), (EVERY, SECONDS))
    return Choice(of_animations, of_videos if videos else None, question)


def _wishes(answer: str, both: bool) -> tuple[Wish, Wish]:
    """Return what is taken of animations and of videos."""
    if answer == FIRST:
        return ONLY_FIRST, ONLY_FIRST
    if answer == USUAL and both:
        return ONLY_FIRST, A_SECOND
    kind, _, number = answer.partition(":")
    if kind in (EVERY, SECONDS) and number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= _MOST:
        wish = Wish(int(number), "frames" if kind == EVERY else "seconds")
        return wish, wish
    ways = ", ".join([*([USUAL] if both else []), FIRST, f"{EVERY}:N", f"{SECONDS}:N"])
    raise ConfigError("Frames cannot be taken in this way", value=shown(answer, 80), way_out=f"Choose one of {ways}.")


def _animations(staged: Staged) -> list[str]:
    """The SHA-256 of each image file of several frames or pages."""
    return [sha256 for sha256 in staged.names if staged.answers[sha256].get("framed")]


def take(
    staged: Staged, choice: Choice, frames: Frames, staging: Path, limits: Limits, workers: int, progress: Progress
) -> None:
    """Decode and stage the frames that are wished for and not in `frames` yet, and add them to it.

    Each file is decoded in a limited child, from where it is staged. The frames are staged and checked like other
    images; what is known of them is added to `staged`.

    Raises:
        ImportRefused: the disk is full, or there are more frames or bytes of them than an import may have.
    """
    asked = [
        *((sha256, original_path(staging, sha256), choice.of_animations) for sha256 in _animations(staged)),
        *((sha256, path, choice.of_videos) for sha256, path in staged.videos.items()),
    ]
    missing = [
        (sha256, path, wish) for sha256, path, wish in asked
        if wish is not None and (sha256, wish) not in frames and (wish != ONLY_FIRST or sha256 in staged.videos)
    ]  # fmt: skip
    if not missing:
        return
    found: Frames = {}
    progress(_LABEL, 0, len(missing))
    with full_disk_told(), DecodePool(workers, ChildLimits()) as pool:
        for job, answer in pool.run(_jobs(missing, found, staged, staging, limits, progress)):
            staged.answers[job["sha256"]] = answer
    frames.update(found)
    progress(_LABEL, len(missing), len(missing))


def _jobs(
    missing: list[tuple[str, Path, Wish]],
    found: Frames,
    staged: Staged,
    staging: Path,
    limits: Limits,
    progress: Progress,
) -> Iterator[Job]:
    """Stage the frames of these files; yield the jobs that check them."""
    count = length = 0
    seen = set(staged.answers)
    with frames_pool() as pool:
        for done, (file_sha256, path, wish) in enumerate(missing):
            taken: list[tuple[int, str, str]] = []
            flaw = ""
            try:
                only = 1 if wish.every == 0 else None
                for number, data in frames_of(
                    path, max(1, wish.every), unit=wish.unit, only=only, folder=staging, pool=pool
                ):
                    if count % 32 == 0:
                        progress(_LABEL, done, len(missing))
                        check_free(staging, limits)
                    count += 1
                    length += len(data)
                    _check_room(count, length, limits)
                    sha256 = hashlib.sha256(data).hexdigest()
                    taken.append((number, sha256, ".tif" if data.startswith((b"II", b"MM")) else ".png"))
                    if sha256 not in seen:
                        seen.add(sha256)
                        staged.sizes[sha256] = len(data)
                        yield stage_image(staging, data, sha256)
            except DecodeError as error:
                flaw = str(error)
            found[(file_sha256, wish)] = OfFile(tuple(taken), flaw)


def _check_room(count: int, length: int, limits: Limits) -> None:
    if count > limits.folder_files or length > limits.total_bytes:
        raise ImportRefused(
            f"There are more than {limits.folder_files:,} frames, or {limits.total_bytes // MEGABYTE:,} MB of them",
            way_out="Take fewer frames, or import in parts.",
        )


def with_frames(staged: Staged, choice: Choice, frames: Frames) -> WithFrames:
    """Return a source with the frames of its files in place of these, as chosen; `take` must have taken them.

    An animation of which no frame but the first is taken stays the image that it is.
    """
    names: dict[str, list[str]] = defaultdict(list)
    files = set(staged.files).union(*staged.names.values(), *staged.video_names.values())
    by_file: dict[str, tuple[str, ...]] = {}
    refused: list[Refusal] = []
    kept: list[str] = []
    counts: Counter[str] = Counter()
    for sha256, file_names in staged.names.items():
        of_file = frames.get((sha256, choice.of_animations)) if staged.answers[sha256].get("framed") else None
        if of_file is None or len(of_file.frames) < 2:
            names[sha256] += file_names
            kept += [
                f"{shown(name, 80)} ({of_file.flaw.rstrip('.')})" for name in file_names if of_file and of_file.flaw
            ]
        else:
            _replace(file_names, of_file, names, files, by_file, refused, staged)
            counts["animations"] += len(file_names)
    for sha256, file_names in staged.video_names.items():
        if choice.of_videos is None:
            refused += [Refusal(shown(name), str(needs("A video", "video"))) for name in file_names]
        else:
            _replace(file_names, frames[(sha256, choice.of_videos)], names, files, by_file, refused, staged)
            counts["videos"] += len(file_names)
    file_of = {frame: name for name, of_file in by_file.items() for frame in of_file}
    notices = []
    if file_of:
        words = choice.of_videos if counts["videos"] else choice.of_animations
        assert words is not None
        taken_files = "1 file" if len(by_file) == 1 else f"{len(by_file):,} files"
        images = "1 image is a frame" if len(file_of) == 1 else f"{len(file_of):,} images are frames"
        notices.append(f"{images} of {taken_files}, {words.words()} of each; the frames of a file are one group")
    if kept:
        more = f", and {len(kept) - _LISTED:,} more" if len(kept) > _LISTED else ""
        notices.append(f"the first picture alone is taken of {', '.join(kept[:_LISTED])}{more}")
    return WithFrames(replace(staged, names=dict(names)), by_file, file_of, tuple(refused), tuple(notices))


def _replace(
    file_names: list[str], of_file: OfFile, names: dict[str, list[str]], files: set[str],
    by_file: dict[str, tuple[str, ...]], refused: list[Refusal], staged: Staged,
) -> None:  # fmt: skip
    """Add the frames of a file under each of its names."""
    for file_name in file_names:
        mine = []
        for number, sha256, ending in of_file.frames:
            name = frame_name(file_name, number, ending, files)
            if "error" in staged.answers[sha256]:
                refused.append(Refusal(shown(name), str(staged.answers[sha256]["error"])))
                continue
            names[sha256].append(name)
            mine.append(name)
        if mine:
            by_file[file_name] = tuple(mine)
        if of_file.flaw:
            taken = f"{len(mine):,} {'frame is' if len(mine) == 1 else 'frames are'} taken, no more: "
            refused.append(Refusal(shown(file_name), f"{taken if mine else ''}{of_file.flaw}"))


def frame_name(file_name: str, number: int, ending: str, files: set[str]) -> str:
    """Return what a frame is called, with more hyphens where a file of the source has that name."""
    hyphens = "-"
    while (name := f"{file_name}{hyphens}{number:06}{ending}") in files:
        hyphens += "-"
    return name
