"""A zip of WebDataset shards, to be unpacked: <split>-000000.tar, -000001 …

    <key>.<suffix>          the original; the key is the image's number, for a key may have no dot
    <key>.cls               position of the class in classes.txt; none without a label
    <key>.json              the label by name, the original file name and all other columns

`classes.txt` has a class a line, `classes.json` the same as a list, for names that look like numbers or comments.
`README.md` tells `datasets` the splits and the types of all fields, which it cannot guess: a sample without a label has
no .cls, and most columns are empty in some. The table's `file_name` is the tar's name, "/" and the name in the tar.
"""

from __future__ import annotations

import io
import itertools
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.exporters.bundle import (
    Contents,
    Files,
    Layout,
    Placed,
    as_json,
    original,
    some,
    split_folders,
    split_of,
    zipped,
)
from engine.exporters.huggingface import literal, split_name
from engine.exporters.names import file_name
from engine.exporters.rows import ExportRow, cells
from engine.exporters.tables import SCHEMA
from engine.records.progress import Progress

IN_A_SHARD = 5_000
_BATCH = 500


def _place(rows: Sequence[ExportRow]) -> Placed:
    folders = split_folders(rows)
    met: Counter[str] = Counter()
    paths = []
    for row in rows:
        split = split_of(row)
        shard = met[split] // IN_A_SHARD
        met[split] += 1
        suffix = file_name(row.name, row.format).rpartition(".")[2].lower()
        paths.append(f"{folders[split]}-{shard:06}.tar/{row.image_id:09}.{suffix}")
    return Placed(paths, [split_of(row) for row in rows])


def _annotate(contents: Contents, files: Files) -> None:
    files.add("classes.json", as_json(contents.classes).encode())
    files.add("classes.txt", "".join(f"{name}\n" for name in contents.classes).encode())
    files.add("README.md", _card(contents).encode())


def _card(contents: Contents) -> str:
    """What `datasets` goes by: the shards of each split, and the type of each field."""
    folders = split_folders(contents.rows)
    shards = [{"split": split_name(one), "path": f"{literal(folders[one])}-*.tar"} for one in contents.by_split()]
    endings = sorted({path.rpartition(".")[2] for path in contents.placed.paths})
    columns = {**{field.name: str(field.type) for field in SCHEMA}, "original_name": "string"}
    kinds = [{"name": name, "dtype": "float64" if kind == "double" else kind} for name, kind in columns.items()]
    features = [
        *({"name": ending, "dtype": "image"} for ending in endings), {"name": "cls", "dtype": "int64"},
        {"name": "json", "struct": kinds}, *({"name": name, "dtype": "string"} for name in ("__key__", "__url__")),
    ]  # fmt: skip
    about = {"configs": [{"config_name": "default", "data_files": shards}], "dataset_info": {"features": features}}
    return (
        f"---\n{as_json(about) if shards else '{}'}\n---\n\n"
        f"{some(len(contents.rows), 'image')} in WebDataset shards, "
        f"{some(len(contents.classes), 'class', 'classes')}. `cls` counts the "
        "lines of classes.txt from 0, a sample without a label has none. manifest.json describes the columns.\n\n"
        "```python\n"
        "from datasets import load_dataset\n\n"
        "data = load_dataset(FOLDER)  # where this file lies\n"
        "```\n"
    )


def _images(contents: Contents, files: Files, progress: Progress) -> None:
    number = {name: at for at, name in enumerate(contents.classes)}
    paths, done = contents.placed.paths, 0
    order = sorted(range(len(paths)), key=lambda at: paths[at].partition("/")[0])  # a tar is written in one go
    for shard, positions in itertools.groupby(order, key=lambda at: paths[at].partition("/")[0]):
        with files.open(shard, huge=True) as out, tarfile.open(fileobj=out, mode="w|") as tar:
            for at in positions:
                if done % _BATCH == 0:
                    progress("Writing images", done, len(paths))
                done += 1
                for name, data in _sample(contents, at, number):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def _sample(contents: Contents, at: int, number: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    row, path, split = contents.rows[at], contents.placed.paths[at], contents.placed.splits[at]
    name = path.rpartition("/")[2]
    key = name.rpartition(".")[0]
    yield name, original(contents.root, row)
    if row.label is not None:
        yield f"{key}.cls", str(number[row.label]).encode()
    yield f"{key}.json", as_json({**cells(row, name, split), "original_name": row.name}).encode()


LAYOUT = Layout("webdataset", _place, _annotate, _images)
write = zipped(LAYOUT)
