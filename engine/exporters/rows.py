"""One row an exported image, and the columns every table of an export has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, get_args

from engine.records.labels import LabelSource

ExportSource = LabelSource | Literal["pseudo"]
SOURCES: tuple[ExportSource, ...] = (*get_args(LabelSource), "pseudo")

MEANING = {
    "file_name": "the image's path: in the archive, or as it was imported",
    "label": "class name; empty for an image without a label here",
    "label_source": "imported: came with an import; human: given by a person; confirmed: a prediction that a person "
    "saw alone and agreed with; accepted_in_batch: a prediction accepted with others, its tile having been on the "
    "screen; accepted_by_threshold: a prediction accepted by a rule, or with others and on no screen; pseudo: a "
    "prediction that nobody accepted",
    "confidence": "0 to 1, the number inside the model that thresholds and orders go by, of the prediction that was "
    "accepted or is exported as a pseudo-label; no measured share of right labels, which manifest and certificate tell",
    "round": "the round that made that prediction",
    "model": "the model behind it",
    "reviewed": "true only where a person had this image alone in front and answered for it; a tile is seen, not "
    "reviewed",
    "reviewed_by": "who reviewed it; empty unless reviewed",
    "reviewed_at": "when, ISO 8601; empty unless reviewed",
    "seen_seconds": "how long the image, alone or as a tile, was on the screen before its label was given; 0: never; "
    "empty: not measured, as in batches of before tiles were timed",
    "batch": "what the label was recorded with, as in the ledger; empty for a decision of its own",
    "audit": "the number of the audit that let the batch in; empty for other batches",
    "bound": "upper limit of the share of wrong labels among those of the batch, by this audit, at its level",
    "group": "images of one group, such as frames of one scene, belong together; empty where the project has none",
    "other_names": "the other paths that the same content was imported under, a JSON list; empty where there are none",
    "split": "name of the split",
    "image_id": "the image's number in the project",
    "sha256": "of the original bytes",
}
"""The columns of every table, in their order, and what each says."""
COLUMNS = tuple(MEANING)
_middle = attrgetter(*COLUMNS[1:-3])


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One image with the label it is exported with; the columns' fields are those of MEANING, None for empty.

    Attributes:
        name: the original relative path, with "/"; data only.
        sha256: names and checks the original bytes.
        format: the true format: JPEG, PNG, WEBP, BMP, GIF or TIFF.
        split: name of the split; "" means "train" where a layout needs one.
        width, height: pixels, upright as its EXIF data say; in no table, for formats that ask for them.
    """

    image_id: int
    name: str
    sha256: str
    format: str
    label: str | None = None
    label_source: ExportSource | None = None
    confidence: float | None = None
    round: int | None = None
    model: str | None = None
    reviewed: bool = False
    reviewed_by: str | None = None
    reviewed_at: str | None = None
    seen_seconds: float | None = None
    batch: str | None = None
    audit: int | None = None
    bound: float | None = None
    group: str | None = None
    other_names: str | None = None
    split: str = ""
    width: int = 0
    height: int = 0


def cells(row: ExportRow, file_name: str, split: str) -> dict[str, Any]:
    """Return a row's values by column, with the given file name and split; absent values are None."""
    return dict(zip(COLUMNS, (file_name, *_middle(row), split, row.image_id, row.sha256), strict=True))


def as_text(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values as a CSV shows them: empty for None, "true"/"false", everything else unaltered."""
    return {key: _text(value) for key, value in values.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
