"""Staged sources made by hand, for the formats alone."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.importers.source_view import SourceView


def view(
    folder: Path, images: Iterable[str], texts: Mapping[str, str | bytes], refused: Iterable[str] = ()
) -> SourceView:
    """Return a source with these images, texts beside them, and names of images that were refused."""
    files = {}
    for number, (name, text) in enumerate(texts.items()):
        files[name] = folder / f"{number:06}"
        files[name].write_bytes(text.encode() if isinstance(text, str) else text)
    names = tuple(sorted(images))
    return SourceView(names, frozenset([*names, *texts, *refused]), files)
