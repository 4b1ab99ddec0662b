"""Chooses how the labels of a source are found."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.errors import ConfigError, ImportRefused
from engine.importers.class_tree import CLASS_TREE, IMAGES_ONLY, label_by_folder, no_labels
from engine.importers.csv_table import IMAGES_AND_CSV, Table, label_by_tables
from engine.importers.labeling import Labeling

LAYOUTS = ("auto", CLASS_TREE, IMAGES_AND_CSV, IMAGES_ONLY)


def check_layout(layout: str) -> None:
    """Raise ConfigError unless the layout is one of LAYOUTS."""
    if layout not in LAYOUTS:
        raise ConfigError("There is no such layout", value=repr(layout), way_out=f"Choose one of {', '.join(LAYOUTS)}.")


def find_labels(layout: str, images: Sequence[str], names: Collection[str], tables: Sequence[Table]) -> Labeling:
    """Return the labels of the images. "auto": a table wins over folders; neither gives an unlabeled set.

    Args:
        layout: one of LAYOUTS.
        images: names of the images that can be imported.
        names: names of all files in the source.
        tables: those with columns for file and label.

    Raises:
        ImportRefused: "images + CSV" was asked for and there is no such table.
    """
    if layout == IMAGES_ONLY:
        return no_labels()
    tables = [table for table in tables if table.labeled]
    if layout == IMAGES_AND_CSV and not tables:
        raise ImportRefused(
            "There is no table of labels in the source",
            way_out="Add a CSV with the columns filename,label, or choose another layout.",
        )
    if layout == IMAGES_AND_CSV or (layout == "auto" and tables):
        return label_by_tables(tables, images, names)
    return label_by_folder(images)
