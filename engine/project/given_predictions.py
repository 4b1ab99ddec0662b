"""What models elsewhere said of the images, as it came with an import: a first guess for live labels.

It is kept by content in `given_predictions.parquet` in the project's folder, one row an image: sha256, label,
confidence (null where the source says none); a digest over all of them stands in the file's metadata. A later import of
the same image replaces its row. As a guess, an image's class has its confidence, the other classes share the rest, and
an image without a prediction says nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import RESTORE, ProjectCorrupt
from engine.files import write_atomic
from engine.jobs.guess import NameGuess
from engine.records.imports import GivenPrediction
from engine.records.labels import ImageItem

FILE = "given_predictions.parquet"
NET = "given"
"""In `NameGuess.net`: the guess is of predictions that came with the images."""
UNSAID, MOST = 0.6, 0.99
"""The confidence of a prediction that comes without one, and the most that any is taken for."""


_DIGEST = b"starling digest"
_WAY_OUT = f"Move the file away; import the source again, or take it from a backup: {RESTORE}"


def keep(root: Path, predictions: Mapping[str, GivenPrediction]) -> None:
    """Add predictions, by SHA-256 of the image, to those of the project at `root`."""
    if not predictions:
        return
    merged = {**read(root), **predictions}
    table = pa.table({
        "sha256": pa.array(merged, pa.string()),
        "label": pa.array([one.label for one in merged.values()], pa.string()),
        "confidence": pa.array([one.confidence for one in merged.values()], pa.float64()),
    })  # fmt: skip
    table = table.replace_schema_metadata({_DIGEST: _digest(table)})
    write_atomic(root / FILE, lambda aside: pq.write_table(table, aside))


def read(root: Path) -> dict[str, GivenPrediction]:
    """Return the predictions that came with the images of the project at `root`, by SHA-256; none without a file.

    Raises:
        ProjectCorrupt: the file is damaged, or holds others than were kept.
    """
    path = root / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProjectCorrupt(
            "The predictions that came with an import cannot be read", value=path, way_out="See why and try again."
        ) from error
    try:
        table = pq.read_table(io.BytesIO(content), columns=["sha256", "label", "confidence"])
        columns = table.to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise ProjectCorrupt(
            "The predictions that came with an import cannot be read", value=path, way_out=_WAY_OUT
        ) from error
    digest = (table.schema.metadata or {}).get(_DIGEST)  # files of earlier versions have none
    if digest is not None and digest != _digest(table):
        raise ProjectCorrupt(
            "The predictions that came with an import are not those that were kept", value=path, way_out=_WAY_OUT
        )
    rows = zip(columns["sha256"], columns["label"], columns["confidence"], strict=True)
    return {sha256: GivenPrediction(label, confidence) for sha256, label, confidence in rows}


def _digest(table: pa.Table) -> bytes:
    rows = json.dumps(table.to_pydict(), sort_keys=True)
    return hashlib.sha256(rows.encode()).hexdigest().encode()


def first_guess(root: Path, items: Sequence[ImageItem], classes: Sequence[str]) -> NameGuess | None:
    """Return these predictions as a guess of all images; None where none is of an image and a class of the project.

    Args:
        root: the project's folder.
        items: the images, ascending by id.
        classes: the class names, from two.
    """
    given = read(root)
    column = {name: at for at, name in enumerate(classes)}
    shares = np.full((len(items), len(classes)), 1 / len(classes), np.float32)
    known = False
    for row, item in enumerate(items):
        one = given.get(item.sha256)
        if one is None or one.label not in column:
            continue
        known = True
        confidence = min(max(UNSAID if one.confidence is None else one.confidence, 1 / len(classes)), MOST)
        shares[row] = (1 - confidence) / (len(classes) - 1)
        shares[row, column[one.label]] = confidence
    if not known:
        return None
    return NameGuess(tuple(classes), tuple(item.sha256 for item in items), np.log(shares), NET)
