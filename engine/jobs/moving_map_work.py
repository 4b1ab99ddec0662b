"""Computes a round's moving map: `python -m engine.jobs.moving_map_work ROUND_DIR/moving`.

Reads job.json {seed} and, as they appear, the features that the round recorded each epoch. Writes progress.json
{status, stage, fraction, points, error, pid, time} and frames.npz, both whole or not at all: `epochs` (E,), `xy`
(E, T, 2) float32, `repeated` (E,) bool, `reasons` (E,), `recall` (E,) float32 (mean share of the 10 nearest
neighbours in the features that are neighbours on the map, NaN where unknown), `stamps` (E,) of the features' files and
`smoothed`. It follows a round that runs; once the round has ended the whole course is smoothed with the last frame in
place, and the status becomes "ready". Never touches the database.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import MapError, StarlingError
from engine.files import read_json, write_atomic
from engine.jobs.fixed_map_work import Cancelled, Recorder, prepare_process, threads
from engine.rounds.folder import files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.maps.moving_map import MapFrame

FRAMES = "frames.npz"
JOB = "job.json"
POLL_SECONDS = 1.0
SILENT_SECONDS = 30.0
"""A round whose events stop for so long has ended without saying so: its worker writes one every second or two."""
ENDS = {"finished", "failed", "cancelled", "interrupted"}
NEIGHBOURS = 10
_LOOKED_AT = 4096  # bytes of a features file that tell it from another


@dataclass
class Course:
    """The frames so far, in the order of the epochs; `stamps` tell whether a features file was written anew."""

    epochs: list[int]
    frames: list[MapFrame]
    recall: list[float]
    stamps: list[int]
    smoothed: bool = False

    def write(self, folder: Path) -> None:
        """Replace frames.npz."""
        import numpy as np

        def fill(path: Path) -> None:
            with open(path, "wb") as handle:
                np.savez(
                    handle,
                    epochs=np.array(self.epochs, np.int64),
                    xy=np.stack([frame.xy for frame in self.frames]),
                    repeated=np.array([frame.repeated for frame in self.frames], bool),
                    reasons=np.array([frame.reason for frame in self.frames], dtype=np.str_),
                    recall=np.array(self.recall, np.float32),
                    stamps=np.array(self.stamps, np.int64),
                    smoothed=np.array(self.smoothed),
                )

        write_atomic(folder / FRAMES, fill)

    def drop_from(self, count: int) -> None:
        """Forget the frames after the first `count`: their epochs were trained anew."""
        for rows in (self.epochs, self.frames, self.recall, self.stamps):
            del rows[count:]


def run(folder: Path) -> int:
    """Compute the moving map of a round; return the exit status: 0 ready, 1 failed, 143 cancelled."""
    recorder = Recorder(folder)
    try:
        recorder.progress("running", "Starting", 0.0)
        _compute(folder, recorder)
        recorder.progress("ready", "Ready", 1.0)
    except Cancelled:
        recorder.progress("cancelled", "Cancelled", recorder.fraction)
        return 128 + signal.SIGTERM
    except Exception as error:
        traceback.print_exc()
        text = str(error) if isinstance(error, StarlingError) else f"{type(error).__name__}: {error}"
        recorder.progress("failed", recorder.stage, recorder.fraction, text)
        return 1
    return 0


def _compute(folder: Path, recorder: Recorder) -> None:
    """Follow the round to its end, then smooth; go on where an earlier attempt stopped."""
    course = read_course(folder)
    seed = int(read_json(folder / JOB)["seed"])
    source = folder.parent
    while True:
        over = round_over(source)  # asked before the epochs are listed, so that the last one is not missed
        course = _lay_out_new(folder, recorder, course, seed)
        if over:
            break
        wait = f"Epoch {course.epochs[-1]} laid out; waiting for the next" if course.epochs else "Waiting for an epoch"
        recorder.progress("running", wait, 0.5)
        time.sleep(POLL_SECONDS)
    if not course.epochs:
        raise MapError(
            "This round has recorded no features",
            value=source.name,
            way_out="It ended before its first epoch; resume it, or look at another round.",
        )
    if not course.smoothed and len(course.frames) > 1:
        _smooth(folder, recorder, course, seed)


def _lay_out_new(folder: Path, recorder: Recorder, course: Course, seed: int) -> Course:
    """Add a frame for every epoch that has features and no frame, or other features than when it was laid out."""
    import numpy as np

    from engine.maps.moving_map import MovingMap
    from engine.rounds.folder import results

    source = folder.parent
    known = results.tracked_epochs(source)
    stamps = [stamp(source, epoch) for epoch in known]
    kept = _agreeing(course, known, stamps)
    if kept == len(known) == len(course.epochs):
        return course
    if course.smoothed:  # smoothed frames are not the live ones that the next would go on from
        kept = 0
    course.drop_from(kept)
    course.smoothed = False
    if course.frames:
        course.write(folder)
    moving = MovingMap.resume(course.frames, seed=seed, threads=threads())
    for at in range(kept, len(known)):
        ids, features = results.tracked_features(source, known[at])
        recorder.points = len(ids)
        if at and np.array_equal(features, results.tracked_features(source, known[at - 1])[1], equal_nan=True):
            moving.frames.append(moving.frames[-1])  # a frozen network's: the very same picture
        else:
            moving.add(features)
        course.frames.append(moving.frames[-1])
        course.epochs.append(known[at])
        course.stamps.append(stamps[at])
        course.recall.append(kept_neighbours(features, course.frames[-1].xy))
        course.write(folder)
        recorder.progress("running", f"Laid out epoch {known[at]}", 0.5 * (at + 1) / len(known))
    return course


def _agreeing(course: Course, epochs: Sequence[int], stamps: Sequence[int]) -> int:
    """Return how many leading frames are of these epochs' files as they are now."""
    pairs = zip(zip(course.epochs, course.stamps, strict=True), zip(epochs, stamps, strict=True), strict=False)
    count = 0
    for mine, theirs in pairs:
        if mine != theirs:
            break
        count += 1
    return count


def _smooth(folder: Path, recorder: Recorder, course: Course, seed: int) -> None:
    import numpy as np

    from engine.maps.moving_map import replay
    from engine.rounds.folder import results

    source = folder.parent

    def features(at: int) -> NDArray[np.float16]:
        return results.tracked_features(source, course.epochs[at])[1]

    def report(share: float) -> None:
        recorder.progress("running", "Smoothing the course", 0.5 + 0.5 * share)

    if any(not np.array_equal(frame.xy, course.frames[0].xy) for frame in course.frames):
        course.frames = replay(course.frames, features, seed=seed, threads=threads(), report=report)
        course.recall = [kept_neighbours(features(at), frame.xy) for at, frame in enumerate(course.frames)]
    course.smoothed = True
    course.write(folder)


def kept_neighbours(features: NDArray[Any], xy: NDArray[np.float32]) -> float:
    """Return the mean share of the 10 nearest neighbours that the map keeps; NaN where that has no meaning."""
    import numpy as np

    from engine.maps.neighbours import recall

    if len(xy) <= NEIGHBOURS + 1 or not np.isfinite(features).all():
        return float("nan")
    return recall(features.astype(np.float32), xy, NEIGHBOURS)


def read_course(folder: Path) -> Course:
    """Return the frames written so far; none where there is no readable file."""
    import numpy as np

    from engine.maps.moving_map import MapFrame

    try:
        with open(folder / FRAMES, "rb") as handle, np.load(handle, allow_pickle=False) as found:
            rows = zip(found["xy"], found["repeated"], found["reasons"], strict=True)
            frames = [MapFrame(xy, bool(repeated), str(reason)) for xy, repeated, reason in rows]
            return Course(
                found["epochs"].tolist(), frames, found["recall"].tolist(), found["stamps"].tolist(),
                bool(found["smoothed"]),
            )  # fmt: skip
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return Course([], [], [], [])


def stamp(source: Path, epoch: int) -> int:
    """Return a number that changes with an epoch's features, by their size and last bytes; -1 when they are gone."""
    try:
        with open(source / "features" / f"epoch-{epoch:03d}.npy", "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - _LOOKED_AT))
            return zlib.crc32(handle.read(), size & 0xFFFFFFFF)
    except FileNotFoundError:
        return -1


def round_over(source: Path) -> bool:
    """Return whether the round's last event ends it, or none came for half a minute."""
    path = source / files.EVENTS
    try:
        if time.time() - path.stat().st_mtime > SILENT_SECONDS:
            return True
        with open(path, "rb") as handle:
            handle.seek(max(0, path.stat().st_size - 65536))
            lines = handle.read().split(b"\n")
    except FileNotFoundError:
        return True
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        return isinstance(event, dict) and event.get("type") in ENDS
    return False


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    prepare_process()
    sys.exit(run(Path(sys.argv[1])))
