"""The contract of a round's folder: every name in it and what stands under it.

Names are relative to the folder, epochs count from 1, and each file but events.jsonl is whole or absent.

config.json                       the plan (`RoundPlan`), written anew for each attempt, whose token it carries; its uid
                                  says which round the folder is of, see `identity`
labels.parquet                    image_id, sha256, label (class index, −1 none), role, group, stratum: pinned
events.jsonl                      what happens, a line an event (`events`); the last of an attempt says how it ended
worker.lock, worker.log           held while a worker lives (`lock`); what it prints
control/cancel                    there once a person cancelled
control/reserve                   disk space held back so that a full disk can still be told
checkpoints/<phase>/…             states to go on from, the newest two
predictions/epoch-003.parquet     image_id, class, confidence, margin, entropy of the unlabeled images, after an epoch
predictions/final.parquet         the same, role, and p_0 … of every image; calibrated if labels were held out
predictions/live-003.parquet      a live round's, in place of final.parquet: of its last fits; the report names the one
predictions/signals.parquet       image_id, flips, disagreement, teacher, bald of every image
features/ids.npy                  the tracked images (T,)
features/epoch-003.npy            their features (T, D) after an epoch: written last, so that the epoch has all else
features/student-003.npy          their probabilities (T, K) by the evaluated model; teacher-003.npy: by the teacher
features/final.npy                features (N, D) of every image, rows as in final.parquet
baseline.json, ablation.json      what was trained beside the round: `HeldoutFigures`, and the classes predicted
report.json                       `RoundReport`: there once the round is complete
digests.json                      what all of that was when the round ended (`digests`), written last
moving/                           the moving map: a job of its own writes here, see `engine.jobs`
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from engine.files import PARTIAL

CONFIG = "config.json"
LABELS = "labels.parquet"
EVENTS = "events.jsonl"
LOCK = "worker.lock"
LOG = "worker.log"
REPORT = "report.json"
DIGESTS = "digests.json"
BASELINE = "baseline.json"
ABLATION = "ablation.json"

CONTROL = "control"
CANCEL = "control/cancel"
RESERVE = "control/reserve"
CHECKPOINTS = "checkpoints"
PREDICTIONS = "predictions"
FINAL = "predictions/final.parquet"
SIGNALS = "predictions/signals.parquet"
FEATURES = "features"
TRACKED_IDS = "features/ids.npy"
FINAL_FEATURES = "features/final.npy"
MOVING = "moving"
FOLDERS = (CHECKPOINTS, PREDICTIONS, FEATURES, CONTROL)
"""Made with the plan."""

RESUME = "Resume the round; it continues from its last checkpoint."
"""The way out told with every end that a resume can mend."""


def epoch_predictions(epoch: int) -> str:
    """Return the name of the predictions of the unlabeled images after an epoch."""
    return f"{PREDICTIONS}/epoch-{epoch:03d}.parquet"


def live_predictions(epoch: int) -> str:
    """Return the name of a live round's predictions of all images by one fit."""
    return f"{PREDICTIONS}/live-{epoch:03d}.parquet"


def epoch_features(epoch: int) -> str:
    """Return the name of the tracked images' features after an epoch."""
    return f"{FEATURES}/epoch-{epoch:03d}.npy"


def epoch_student(epoch: int) -> str:
    """Return the name of the evaluated model's probabilities of the tracked images after an epoch."""
    return f"{FEATURES}/student-{epoch:03d}.npy"


def epoch_teacher(epoch: int) -> str:
    """Return the name of the teacher's probabilities of the tracked images after an epoch."""
    return f"{FEATURES}/teacher-{epoch:03d}.npy"


EPOCH_FILES = (epoch_predictions, epoch_features, epoch_student, epoch_teacher)


def checkpoints(phase: str) -> str:
    """Return the name of the folder of a phase's checkpoints."""
    return f"{CHECKPOINTS}/{phase}"


def checkpoint(phase: str, epoch: int) -> str:
    """Return the name of a phase's checkpoint after an epoch; the names sort by age."""
    return f"{checkpoints(phase)}/epoch-{epoch:05d}.ckpt"


def recorded(folder: Path, name: Callable[[int], str]) -> list[int]:
    """Return the epochs, ascending, that have a whole file of the names that `name` gives."""
    sample = PurePosixPath(name(0))
    before, after = sample.name.split("000")
    paths = (folder / sample.parent).glob(f"{before}*{after}")
    numbers = (path.name.removeprefix(before).removesuffix(after) for path in paths)
    return sorted(int(number) for number in numbers if number.isdecimal())


def sweep_partial(folder: Path) -> int:
    """Remove what writes that were cut off left behind, but for the moving map's; return how many files."""
    left = [path for path in folder.rglob(f"*{PARTIAL}") if path.parent.name != MOVING]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)
