"""Files of pretrained weights: where a person finds or puts them, and how they are fetched."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

import torch
from torch import nn

from engine.errors import ConfigError, first_line
from engine.files import replacing, sha256_of
from engine.records.progress import Progress

SECONDS = 30.0
"""So long a source may be silent."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Backbone:
    """A pretrained network as its library knows it; nothing is loaded or fetched before it is asked for.

    Attributes:
        name: as in `FeatureSource.name`.
        side: of the square images in pixels that the weights were measured with.
        resample: how Pillow brings images to that side.
        channels: of the images it takes, grey ones repeated in three.
        find: returns the file of its weights, None where it is not on this machine.
        fetch: returns that file, after fetching it where it is not there; told how far it is. Raises ConfigError, which
            names the file, its place and its source.
        build: returns the network with the weights of that file after its normalisation, an `nn.Sequential` of both,
            which takes images (B, 3, side, side) with values 0..255 and returns features (B, D). Raises ConfigError
            where they are not its weights.
    """

    name: str
    side: int
    find: Callable[[], Path | None]
    fetch: Callable[[Progress], Path]
    build: Callable[[Path], nn.Module]
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    channels: int = 3

    @property
    def here(self) -> bool:
        """Return whether its weights are on this machine."""
        return self.find() is not None

    def stamp(self, progress: Progress) -> str:
        """Return what its features depend on besides images and precision, the weights' SHA-256; may fetch them.

        Raises:
            ConfigError: they are not to be had.
        """
        return sha256_of(self.fetch(progress))


def quiet(label: str, done: int, total: int) -> None:
    """Tell nobody."""


def folder() -> Path:
    """Return where weights lie that torch has downloaded or a person has put there."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(name: str, url: str, path: Path, digest: str, progress: Progress) -> Path:
    """Download a file of weights to its place, whole and checked or not at all; return it.

    Args:
        name: of the network, for people.
        url: where it comes from.
        path: its place.
        digest: how its hex SHA-256 begins; "" where the source publishes none.
        progress: told megabytes; may raise to stop.

    Raises:
        ConfigError: it cannot be had; names the file, its place and its source.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            download(url, aside, digest, lambda done, total: progress(f"Downloading {name} (MB)", done, total))
    except (OSError, HTTPException, ValueError) as error:
        raise missing(name, url, path, f"are not on this machine and cannot be downloaded ({error})") from error
    return path


def missing(name: str, url: str, path: Path, what: str) -> ConfigError:
    """Return the error that says what the weights of a network lack, and where to get them and put them."""
    return ConfigError(
        f"The weights of {name} {what}",
        value=path,
        way_out=f"Download {url} on a machine with a connection and put the file at {path}.",
    )


@contextmanager
def read_by(library: str, name: str, path: Path, published: str) -> Iterator[None]:
    """Say of whatever a library raises while it reads a file that the file does not hold the network's weights.

    Args:
        library: that publishes them, for people, as are the others.
        name: of the network.
        path: of the file.
        published: what the library calls the weights.

    Raises:
        ConfigError: the library could not read it.
    """
    from safetensors import SafetensorError  # not on a machine that has torch alone

    try:
        yield
    except (RuntimeError, pickle.UnpicklingError, SafetensorError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"This file does not hold the weights of {name} ({first_line(error)})",
            value=path,
            way_out=f"Get the file that {library} publishes for {published}, or remove this one.",
        ) from error


def download(url: str, path: Path, digest: str, progress: Callable[[int, int], None]) -> None:
    """Write what lies at a URL into a file.

    Args:
        url: http or https; proxies are those of the environment.
        path: where to.
        digest: how its hex SHA-256 begins; "" takes any.
        progress: told megabytes so far and in all, 0 for unknown; may raise to stop.

    Raises:
        OSError: it cannot be read or written, is not whole, or has another digest.
    """
    sha = hashlib.sha256()
    with urlopen(url, timeout=SECONDS) as source, open(path, "wb") as target:
        size, done = int(source.headers.get("Content-Length") or 0), 0
        while block := source.read(_BLOCK):
            target.write(block)
            sha.update(block)
            done += len(block)
            progress(done >> 20, size >> 20)
    if size and done != size:
        raise OSError(f"{done} of {size} bytes came")
    if not sha.hexdigest().startswith(digest):
        raise OSError(f"its SHA-256 is {sha.hexdigest()} and should begin with {digest}")
