"""Entries of the ledger that were lost, in words: for the command line and the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def loss_words(loss: Mapping[str, Any]) -> str:
    """Return what was lost and accepted, one of `Store.losses`, as a sentence."""
    noted = loss["noted_seq"]
    lost = "nobody knows how many entries" if noted is None else f"entries up to {noted:,}"
    return f"The ledger lost its end: {lost} are gone. It went on after entry {loss['seq']:,}, on {loss['time'][:10]}."
