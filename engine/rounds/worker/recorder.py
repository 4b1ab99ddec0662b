"""Everything a worker writes into its round's folder: events, predictions per epoch, features, the report."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.files import sha256_of, write_atomic, write_json
from engine.rounds.folder import files

RESERVED_BYTES = 256 * 1024


class RoundRecorder:
    """Writes one attempt's results; each file is whole or absent, each event one line.

    Events carry `type`, `time` (Unix seconds) and `token`, the fencing token of the attempt that wrote them,
    so that a reader can pass over an attempt that was given up. A little disk space is held back so that a
    full disk can still be told.

    Args:
        folder: the round's folder.
        token: the attempt's token.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.folder = folder
        self.token = token
        self._lock = threading.Lock()
        self._handle = os.open(folder / files.EVENTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self.last_written = time.monotonic()
        self._end_broken_line()

    def event(self, kind: str, /, *, durable: bool = False, **fields: Any) -> None:
        """Append one event. Thread-safe.

        Args:
            kind: its type.
            durable: return only when it would survive a power cut.
            fields: JSON values; NaN and infinities become null.

        Raises:
            OSError: it could not be written, even with the space held back.
        """
        entry = {"type": kind, "time": round(time.time(), 3), "token": self.token, **_finite(fields)}
        line = (json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n").encode()
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                (self.folder / files.RESERVE).unlink(missing_ok=True)
                self._append(line)
            if durable:
                os.fsync(self._handle)
            self.last_written = time.monotonic()

    def hold_reserve(self) -> None:
        """Hold back some disk space for the events that tell of a full disk."""
        path = self.folder / files.RESERVE
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(RESERVED_BYTES))

    def give_reserve(self) -> None:
        """Give the space held back free."""
        (self.folder / files.RESERVE).unlink(missing_ok=True)

    def in_place(self) -> bool:
        """Return whether the events file is still the one in the round's folder (the project was not
        removed)."""
        try:
            there = os.stat(self.folder / files.EVENTS)
        except OSError:
            return False
        own = os.fstat(self._handle)
        return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)

    def epoch_predictions(self, epoch: int, ids: NDArray[np.int64], probabilities: NDArray[np.float32]) -> None:
        """Write predictions/epoch-EEE.parquet: one row an unlabeled image.

        Args:
            epoch: counted from 1.
            ids: (U,) image ids.
            probabilities: (U, K), rows sum to 1.
        """
        frame = pd.DataFrame({"image_id": ids.astype(np.int64), **summary_columns(probabilities)})
        self._parquet(files.epoch_predictions(epoch), frame)

    def final_predictions(
        self,
        ids: NDArray[np.int64],
        roles: NDArray[np.object_],
        probabilities: NDArray[np.float32],
        *,
        calibrated: bool,
        name: str = files.FINAL,
    ) -> str:
        """Write predictions/final.parquet for all N images, ids ascending; return its SHA-256.

        Args:
            ids: (N,) image ids.
            roles: (N,) of the images in the round.
            probabilities: (N, K), rows sum to 1.
            calibrated: whether there were held-out labels to calibrate them by.
            name: of the file.
        """
        columns: dict[str, Any] = {"image_id": ids.astype(np.int64), "role": roles}
        columns |= summary_columns(probabilities)
        columns |= {f"p_{k}": probabilities[:, k].astype(np.float32) for k in range(probabilities.shape[1])}
        columns["calibrated"] = np.full(len(ids), calibrated)
        self._parquet(name, pd.DataFrame(columns))
        return sha256_of(self.folder / name)

    def array(self, name: str, values: NDArray[Any]) -> None:
        """Write an array as .npy."""

        def fill(temporary: Path) -> None:
            with open(temporary, "wb") as handle:
                np.save(handle, values, allow_pickle=False)

        write_atomic(self.folder / name, fill)

    def signals(self, features: NDArray[np.float16] | None, table: pd.DataFrame) -> None:
        """Write features/final.npy, or remove it where there are none, and predictions/signals.parquet."""
        if features is None:
            (self.folder / files.FINAL_FEATURES).unlink(missing_ok=True)
        else:
            self.array(files.FINAL_FEATURES, features)
        self._parquet(files.SIGNALS, table)

    def forget_epochs(self) -> None:
        """Remove what was recorded of the epochs so far: the main phase begins anew. The tracked images stay."""
        for name in files.EPOCH_FILES:
            for epoch in files.recorded(self.folder, name):
                (self.folder / name(epoch)).unlink(missing_ok=True)

    def json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file; NaN and infinities become null."""
        write_json(self.folder / name, _finite(dict(value)))

    def close(self) -> None:
        """Close the events file."""
        os.close(self._handle)

    def _parquet(self, name: str, frame: pd.DataFrame) -> None:
        write_atomic(self.folder / name, lambda temporary: frame.to_parquet(temporary, index=False))

    def _append(self, line: bytes) -> None:
        written = os.write(self._handle, line)
        while written < len(line):
            written += os.write(self._handle, line[written:])

    def _end_broken_line(self) -> None:
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            self._append(b"\n")


def summary_columns(probabilities: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return class, confidence p₁, margin p₁ − p₂ and entropy (nats) of each row.

    Args:
        probabilities: (N, K), rows sum to 1.
    """
    wide = probabilities.astype(np.float64)
    if len(wide) == 0:
        empty = np.zeros(0, np.float32)
        return {"class": np.zeros(0, np.int16), "confidence": empty, "margin": empty, "entropy": empty}
    top = np.sort(wide, axis=1)[:, ::-1]
    second = top[:, 1] if top.shape[1] > 1 else np.zeros(len(top))
    logs = np.log(np.where(wide > 0, wide, 1.0))
    return {
        "class": wide.argmax(1).astype(np.int16),
        "confidence": top[:, 0].astype(np.float32),
        "margin": (top[:, 0] - second).astype(np.float32),
        "entropy": -(wide * logs).sum(1).astype(np.float32),
    }


def _finite(value: Any) -> Any:
    """Return the value as plain JSON data."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
