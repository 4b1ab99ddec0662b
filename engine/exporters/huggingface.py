"""A zip that `datasets` reads: images in the folder of their split, unlabeled ones too, with their metadata there.

    README.md               the splits by name, as `datasets` and the Hub read them
    <split>/metadata.parquet  `file_name` and all columns, typed; absent values are null
    <split>/<image>         in folders 0000/, 0001/ … below where there are more than the Hub takes in one

`load_dataset("imagefolder", data_dir=…)` finds the splits by the names that it knows (train, validation, val, test …),
`load_dataset(folder)` all of them. A metadata file counts only for the images of its own split: it lies in the split's
folder. Parquet keeps types: "007" stays a text, and the columns are equal in all splits also where one is empty.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from engine.exporters.bundle import (
    Contents,
    Files,
    Layout,
    Placed,
    as_json,
    some,
    split_folders,
    split_of,
    unique_paths,
    zipped,
)
from engine.exporters.rows import ExportRow, cells
from engine.exporters.tables import BATCH, SCHEMA

IN_A_FOLDER = 10_000
"""The most files in a folder that the Hub takes."""
METADATA = "metadata.parquet"
_SCHEMA = SCHEMA.append(pa.field("original_name", pa.string()))


def _place(rows: Sequence[ExportRow]) -> Placed:
    splits = split_folders(rows)
    sizes = Counter(split_of(row) for row in rows)
    met: Counter[str] = Counter()
    folders = []
    for row in rows:
        split = split_of(row)
        part = f"/{met[split] // (IN_A_FOLDER // 2):04}" if sizes[split] >= IN_A_FOLDER else ""
        met[split] += 1
        folders.append(f"{splits[split]}{part}")
    return Placed(unique_paths(rows, folders), [split_of(row) for row in rows])


def _annotate(contents: Contents, files: Files) -> None:
    folders = split_folders(contents.rows)
    by_split = contents.by_split()
    files.add("README.md", _card(contents, {split: folders[split] for split in by_split}).encode())
    for split, positions in by_split.items():
        with files.open(f"{folders[split]}/{METADATA}") as out, pq.ParquetWriter(out, _SCHEMA) as writer:
            for start in range(0, len(positions), BATCH):
                batch = list(_records(contents, positions[start : start + BATCH], len(folders[split]) + 1))
                writer.write_table(pa.Table.from_pylist(batch, schema=_SCHEMA))


def _records(contents: Contents, positions: Sequence[int], before: int) -> Iterator[dict[str, object]]:
    """The metadata of rows; `before`: how much of a path is the split's folder."""
    for at in positions:
        row = contents.rows[at]
        path, split = contents.placed.paths[at][before:], contents.placed.splits[at]
        yield {**cells(row, path, split), "original_name": row.name}


def _card(contents: Contents, folders: dict[str, str]) -> str:
    """The dataset card: without it `datasets` finds no split of another name than its own."""
    labeled = sum(row.label is not None for row in contents.rows)
    data_files = "".join(
        f"  - split: {as_json(split_name(split))}\n    path: {as_json(f'{literal(folder)}/**')}\n"
        for split, folder in folders.items()
    )
    first = "train" if "train" in folders or not folders else split_name(next(iter(folders)))
    data = (
        f'data["{first}"].filter(lambda label: label is not None, input_columns="label").class_encode_column("label")\n'
    )
    configs = f"configs:\n- config_name: default\n  data_files:\n{data_files}" if folders else ""
    return (
        f"---\n{configs}task_categories:\n- image-classification\n---\n\n"
        f"{some(len(contents.rows), 'image')}, {labeled:,} of them labeled, "
        f"{some(len(contents.classes), 'class', 'classes')}. "
        "An image without a label has a null there. `label_source` says where each label comes from; manifest.json "
        "describes all columns, provenance.jsonl holds every decision.\n\n"
        "```python\n"
        "from datasets import load_dataset\n\n"
        "data = load_dataset(FOLDER)  # where this file lies\n"
        f"{data if labeled else ''}"
        "```\n"
    )


def split_name(split: str) -> str:
    """Return a name that `datasets` takes for a split: word characters."""
    return re.sub(r"\W", "_", split)


def literal(folder: str) -> str:
    """Return a folder as a pattern that matches it alone; * and ? are in no folder's name."""
    return folder.replace("[", "[[]")


LAYOUT = Layout("huggingface", _place, _annotate)
write = zipped(LAYOUT)
