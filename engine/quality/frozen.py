"""What an audit freezes, as a digest that anybody can compute again, and the random orders along which it asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.quality.parts import ALL, Part
from engine.query.order import random_order


def frozen_digest(labels: Iterable[tuple[int, str, str, str]], trusted: Iterable[int] | None = None) -> str:
    """Return the SHA-256, as hex, of one line a label: image id, image SHA-256, label and source, between tabs.

    Args:
        labels: these four of each frozen label, ascending by image id.
        trusted: images whose labels are taken as right and are not among these, ascending; one line each, with the word
            "trusted", after a line that says so. None where no answer is taken as the truth.
    """
    digest = hashlib.sha256()
    digest.update("".join(f"{number}\t{sha}\t{label}\t{source}\n" for number, sha, label, source in labels).encode())
    if trusted is not None:
        digest.update("".join(["answers are the truth\n", *(f"{number}\ttrusted\n" for number in trusted)]).encode())
    return digest.hexdigest()


def order_salt(ledger_hash: str, audit: int, part: Part = ALL) -> int:
    """Return the salt, 0 ≤ salt < 2^60, of the random order of a part of an audit.

    It is the beginning of the SHA-256 of the ledger's head at the freeze and the purpose, "audit 3" or "audit 3
    class:cat". So each part has an order of its own, which nobody could know before the labels were given.
    """
    purpose = f"audit {audit}" if part == ALL else f"audit {audit} {part}"
    return int(hashlib.sha256(f"{ledger_hash} {purpose}".encode()).hexdigest()[:15], 16)


def along(image_ids: NDArray[np.int64], salt: int) -> NDArray[np.int64]:
    """Return the places (N,) of these images in the order of this salt, the first to be asked first."""
    return np.lexsort((image_ids, random_order(image_ids, salt))).astype(np.int64)
