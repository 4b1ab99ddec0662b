"""A set of images as one file: coordinates, neighbours and whose they are, written whole or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import CheckpointCorrupt
from engine.files import write_atomic
from engine.live.graph import Graph
from engine.live.model import ImageSet
from engine.live.space import Space

VERSION = 1
_SPACE = "space_"


def save_set(path: Path, images: ImageSet, sha256s: Sequence[str]) -> None:
    """Write a set and the hex SHA-256 of each of its M images; the folder is made if missing.

    Raises:
        OSError: it could not be written; the file that was there is unchanged.
    """
    assert len(sha256s) == len(images.z), "one hash an image"
    arrays = {
        "version": np.array(VERSION),
        "sha256s": np.frombuffer(bytes.fromhex("".join(sha256s)), np.uint8).reshape(len(sha256s), -1),
        "z": images.z,
        "u": images.u,
        "near": images.graph.near.astype(np.int32),
        "squares": images.graph.squares,
        "built": np.array(images.built),
        **{_SPACE + name: np.asarray(value) for name, value in asdict(images.space).items()},
    }

    def fill(aside: Path) -> None:
        with open(aside, "wb") as handle:
            np.savez(handle, **arrays)  # type: ignore[arg-type]

    write_atomic(path, fill)


def load_set(path: Path) -> tuple[ImageSet, tuple[str, ...]]:
    """Return a stored set and the hex SHA-256 of its images, in the order of its rows.

    Raises:
        FileNotFoundError: it is not there.
        CheckpointCorrupt: it is damaged or of another version; it can be made anew from the features.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if int(arrays["version"]) != VERSION:
            raise ValueError(f"version {arrays['version']}")
        space: dict[str, Any] = {
            name.removeprefix(_SPACE): value for name, value in arrays.items() if name.startswith(_SPACE)
        }
        space["rooted"] = bool(space["rooted"])
        z, graph = arrays["z"], Graph.of(arrays["near"].astype(np.int64), arrays["squares"])
        made = Space(**space)
        images = ImageSet(made, z, arrays["u"], made.whitened(z), graph, int(arrays["built"]))
        hashes = tuple(row.tobytes().hex() for row in arrays["sha256s"])
        if not len(hashes) == len(z) == len(images.u) == len(graph.near):
            raise ValueError("rows that do not fit together")
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise CheckpointCorrupt(
            f"The state of live labels cannot be read ({error})",
            value=path,
            way_out="It is made anew from the features.",
        ) from error
    return images, hashes
