"""Containers made by hand: tars, also broken ones, and tables with images."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def tarred(files: Mapping[str, bytes] | Iterable[tuple[str | tarfile.TarInfo, bytes]], packed: bool = False) -> bytes:
    """Return a tar of these files; a TarInfo instead of a name is written as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if packed else "w") as archive:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def table(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str] = (), image: str = "image", metadata: bool = True
) -> Any:
    """Return an Arrow table as `datasets` makes it: `image` holds bytes and a path, “label” numbers of `classes`."""
    kinds = {image: pa.struct([("bytes", pa.binary()), ("path", pa.string())])}
    features: dict[str, Any] = {image: {"_type": "Image"}}
    if classes:
        kinds["label"] = pa.int64()
        features["label"] = {"names": list(classes), "_type": "ClassLabel"}
    columns = {name: pa.array([row.get(name) for row in rows], kinds.get(name)) for name in rows[0]}
    about = {"huggingface": json.dumps({"info": {"features": features}})} if metadata else None
    return pa.table(columns).replace_schema_metadata(about)


def arrow(made: Any, batch: int = 2) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, made.schema) as writer:
        writer.write_table(made, max_chunksize=batch)
    return out.getvalue()


def parquet(made: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(made, out, row_group_size=2)
    return out.getvalue()
