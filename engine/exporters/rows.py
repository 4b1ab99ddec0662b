"""One row an exported image, and the columns every table of an export has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ExportSource = Literal["imported", "human", "accepted", "pseudo"]

COLUMNS = (
    "file_name",
    "label",
    "label_source",
    "confidence",
    "round",
    "model",
    "reviewed",
    "reviewed_by",
    "reviewed_at",
    "split",
    "image_id",
    "sha256",
)


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One image with the label it is exported with.

    Attributes:
        image_id: its id in the project.
        name: the original relative path, with "/"; data only.
        sha256: names and checks the original bytes.
        format: the true format: JPEG, PNG, WEBP, BMP, GIF or TIFF.
        label: class name; None exports it as unlabeled.
        label_source: who the label is from; None without a label.
        confidence: calibrated, 0..1, of the prediction that was accepted or is exported as a pseudo-label.
        round: the round that made that prediction.
        model: name of the model behind it.
        reviewed: whether a person has confirmed or made the label.
        reviewed_by: who.
        reviewed_at: when, ISO 8601.
        split: name of the split; "" means "train" where a layout needs one.
    """

    image_id: int
    name: str
    sha256: str
    format: str
    label: str | None = None
    label_source: str | None = None
    confidence: float | None = None
    round: int | None = None
    model: str | None = None
    reviewed: bool = False
    reviewed_by: str | None = None
    reviewed_at: str | None = None
    split: str = ""


def cells(row: ExportRow, file_name: str, split: str) -> dict[str, Any]:
    """Return a row's values by column, with the given file name and split; absent values are None."""
    values = {column: getattr(row, column) for column in COLUMNS if column not in ("file_name", "split")}
    return {**values, "file_name": file_name, "split": split}


def as_text(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values as a CSV shows them: empty for None, "true"/"false", everything else unaltered."""
    return {key: _text(value) for key, value in values.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
