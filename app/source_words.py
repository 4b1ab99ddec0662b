"""Where labels come from, in the words of the pages and the command line; see `engine.records.labels`."""

from __future__ import annotations

from collections.abc import Mapping

BRIEF = {
    "imported": "imported",
    "human": "given by a person",
    "confirmed": "confirmed one by one",
    "accepted_in_batch": "accepted as tiles",
    "accepted_by_threshold": "accepted without a look",
    "pseudo": "pseudo-labels",
    "unlabeled": "unlabeled",
}
"""After a number of images."""
FULL = {
    "human": "Labels given or corrected by a person",
    "confirmed": "Predictions confirmed one by one",
    "accepted_in_batch": "Predictions accepted as tiles, in the grid or on the map",
    "accepted_by_threshold": "Predictions accepted without a look",
    "imported": "Labels that came with the import",
    "pseudo": "Pseudo-labels that nobody accepted, above a confidence",
}
"""What a source of labels is."""


def counted(counts: Mapping[str, int]) -> str:
    """Return how many images have a label of each source, by source; sources without any are left out."""
    return ", ".join(f"{counts[name]:,} {words}" for name, words in BRIEF.items() if counts.get(name))
