"""What a round needs before it may start, and the pinned plan its worker follows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import read_json
from engine.rounds.folder import files

if TYPE_CHECKING:
    pass

ROLES = ("train", "heldout", "unlabeled")
"""The pools. An image that was rejected has the role "excluded": it gets a prediction and is in no pool."""


@dataclass(frozen=True)
class RoundPlan:
    """A round's whole plan as its worker reads it from config.json.

    `config` and `train` are the fields of the algorithm's configuration and of TrainConfig. `classes` is the
    column order of every prediction. `spec` is the array size {size, channels}. `previous` is the round in
    force when this attempt was planned, {number, heldout}, or None. `token` fences the attempt; all else stays
    the same on a resume.
    """

    algorithm: str
    config: dict[str, Any]
    train: dict[str, Any]
    classes: list[str]
    project_root: str
    number: int
    token: str
    attempt: int
    code_version: str
    ledger_seq: int
    spec: dict[str, int]
    previous: dict[str, Any] | None = None


def round_folder(root: Path, number: int) -> Path:
    """Return the folder of a round."""
    return root / "rounds" / f"{number:04d}"


def read_plan(folder: Path) -> RoundPlan:
    """Read config.json of a round's folder.

    Raises:
        FileNotFoundError: the round was never planned.
    """
    found = read_json(folder / files.CONFIG)
    known = {field.name for field in fields(RoundPlan)}
    found["train"].setdefault("strong", "light")  # recorded before there was a choice
    return RoundPlan(**{key: value for key, value in found.items() if key in known})
