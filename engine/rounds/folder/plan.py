"""Where the folders of a project's rounds lie, and the pinned plan that the worker of one follows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.records.rounds import HeldoutFigures
from engine.rounds.folder import files
from engine.rounds.folder.digests import ROUND

ROUNDS = "rounds"
ROLES = ("train", "heldout", "unlabeled")
"""The pools. Images of other roles get a prediction and are in no pool: "excluded" was rejected; "aside" has a label,
and another image of its group is held out."""


@dataclass(frozen=True)
class PreviousRound:
    """The round in force, which a new one is compared with."""

    number: int
    heldout: HeldoutFigures


@dataclass(frozen=True)
class RoundPlan:
    """A round's whole plan as its worker reads it from config.json.

    `config` and `train` are the fields of the algorithm's configuration and of TrainConfig. `classes` is the
    column order of every prediction. `spec` is the array size {size, channels}. `previous` is the round in
    force when this attempt was planned, or None. `token` fences the attempt; all else stays the same on a resume.
    `uid` is the round's, as in the store; None for one from before rounds had any. `labels_sha256` is of labels.parquet
    as it was planned; None for a live round, which writes it anew, and for one from before there was any.
    """

    algorithm: str
    config: dict[str, Any]
    train: dict[str, Any]
    classes: list[str]
    number: int
    token: str
    attempt: int
    code_version: str
    ledger_seq: int
    spec: dict[str, int]
    previous: PreviousRound | None = None
    uid: str | None = None
    labels_sha256: str | None = None


def round_folder(root: Path, number: int) -> Path:
    """Return the folder of a round of the project at `root`."""
    return root / ROUNDS / f"{number:04d}"


def round_folders(root: Path) -> list[Path]:
    """Return the folders of the project's rounds there are, in the order of their numbers."""
    return sorted((root / ROUNDS).glob("[0-9]*"))


def project_root(folder: Path) -> Path:
    """Return the project that a round's folder lies in, wherever both are mounted."""
    return folder.parents[1]


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a round's folder as it is stored. Raises as `read_plan`."""
    config: dict[str, Any] = json.loads(ROUND.content(folder, files.CONFIG))
    return config


def read_plan(folder: Path) -> RoundPlan:
    """Read config.json of a round's folder.

    Raises:
        FileNotFoundError: the round was never planned.
        ProjectCorrupt: it is not what the round ended with.
    """
    plan = read_config(folder)
    steps = plan["config"].pop("finetune_steps", None)  # a stored plan may count them
    if steps == 0:
        plan["config"]["finetune_share"] = 0.0
    previous = plan.pop("previous", None)
    if previous is not None:
        previous = PreviousRound(previous["number"], HeldoutFigures(**previous["heldout"]))
    return RoundPlan(**plan, previous=previous)
