"""Adding an import: images, classes, labels and hidden truth in one transaction, or nothing at all.

The bytes must lie in images/ and thumbs/ before: a row never points to a file that is not there.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from engine.errors import ImportRefused
from engine.importers.names import shown
from engine.records.imports import FoundImage, ImportResult, Refusal
from engine.store.groups import write_groups
from engine.store.images import OTHER_NAMES, SPLITS, TEST_SPLIT, add_classes, read_classes
from engine.store.ledger import Appending, Draft
from engine.store.rows import Row, chunks, nfc, now, plain
from engine.store.schema import images, imports, truth
from engine.store.seals import check_truth, seal_truth

ACTOR = "import"
LISTED_REFUSALS = 1_000
BLOCK = 10_000
"""How many images are written at a time, so that a large import needs little memory beyond what it was handed."""
_DIFFERS = "differs from the label in force"


@dataclass(frozen=True)
class Incoming:
    """One import as its importer hands it over; see Store.add_import. grouped_by: where groups come from, in words."""

    source: str
    layout: str
    images: Sequence[FoundImage]
    classes: Sequence[str]
    refused: Sequence[Refusal]
    grouped_by: str = ""


def digest_images(rows: Iterable[Row]) -> str:
    """Return the SHA-256, as hex, over image rows in the order of their ids; verify compares it.

    An image's group is left out: it may be set anew at any time.
    """
    names = [column.name for column in images.columns if column.name != "group"]
    encoder, state = json.JSONEncoder(separators=(",", ":")), hashlib.sha256()
    for row in rows:
        state.update(encoder.encode([row[name] for name in names]).encode())
    return state.hexdigest()


def add_import(connection: Connection, incoming: Incoming) -> ImportResult:
    """Add what is new; give known images without a label theirs; count what contradicts as refused.

    Raises:
        ImportRefused: a label is not among the classes, or a name cannot be stored.
        ConfigError: a class name is not acceptable.
    """
    started = time.perf_counter()
    added_classes = add_classes(connection, incoming.classes)
    known = read_classes(connection)
    incoming = replace(incoming, images=_spelled(incoming.images, known))
    _check(incoming, set(known))
    import_id = (connection.scalar(select(func.max(imports.c.id))) or 0) + 1
    head = {"id": import_id, "time": now(), "source": incoming.source, "layout": incoming.layout}
    connection.execute(insert(imports), {**head, "summary": {}, "digest": None})
    first = (connection.scalar(select(func.max(images.c.id))) or 0) + 1
    ids = _known(connection, incoming.images)
    before = len(ids)
    digest = digest_images(_inserted(connection, _new_rows(incoming.images, ids, first, import_id)))
    added = len(ids) - before
    labels_added, differing = _add_labels(connection, incoming.images, ids)
    _add_groups(connection, incoming, ids)
    _add_truth(connection, incoming.images, ids)
    refused = [*incoming.refused, *differing]
    result = ImportResult(
        added=added,
        already_there=len(incoming.images) - added,
        labels_added=labels_added,
        classes_added=added_classes,
        refused=len(refused),
        seconds=time.perf_counter() - started,
        differing=tuple(differing),
    )
    summary = {
        "added": result.added,
        "already_there": result.already_there,
        "labels_added": result.labels_added,
        "classes_added": added_classes,
        "refused": result.refused,
        "refusals": [[refusal.name, refusal.reason] for refusal in refused[:LISTED_REFUSALS]],
        TEST_SPLIT: _test_split(incoming.images, ids, first),
        SPLITS: _splits(incoming.images, ids),
        OTHER_NAMES: _other_names(connection, incoming.images, ids),
    }
    values = {"summary": plain(summary), "digest": digest}
    connection.execute(update(imports).where(imports.c.id == import_id).values(values))
    return result


def _test_split(incoming_images: Sequence[FoundImage], ids: Mapping[str, int], first: int) -> list[int]:
    """The ids of the new images, from `first` on, that measure; one that was there before may have been trained on, and
    goes on as it was: an export that is imported again takes no label away."""
    measuring = (ids[image.sha256] for image in incoming_images if image.test and image.label is not None)
    return sorted(number for number in measuring if number >= first)


def _splits(incoming_images: Sequence[FoundImage], ids: Mapping[str, int]) -> dict[str, list[int]]:
    splits: dict[str, list[int]] = {}
    for image in incoming_images:
        if image.split:
            splits.setdefault(image.split, []).append(ids[image.sha256])
    return splits


def _other_names(
    connection: Connection, incoming_images: Sequence[FoundImage], ids: Mapping[str, int]
) -> list[tuple[int, str]]:
    """The names of this import that the stored images do not bear."""
    found: list[tuple[int, str]] = []
    for block in _blocks(incoming_images):
        stored: dict[int, str] = {}
        for chunk in chunks(sorted({ids[image.sha256] for image in block})):
            query = select(images.c.id, images.c.name).where(images.c.id.in_(chunk))
            stored.update((number, name) for number, name in connection.execute(query))
        given = ((ids[image.sha256], name) for image in block for name in (image.name, *image.copies))
        found += [(number, name) for number, name in given if name != stored[number]]
    return found


def _spelled(incoming_images: Sequence[FoundImage], known: Sequence[str]) -> list[FoundImage]:
    """Return the images with labels and truth as the class they mean is spelled, in NFC where there is none."""
    spelling = {nfc(name): name for name in known} | {name: name for name in known}

    def spell(label: str | None) -> str | None:
        if label is None or label in spelling:
            return None if label is None else spelling[label]
        return spelling.get(nfc(label), nfc(label))

    spelled = ((image, spell(image.label), spell(image.truth)) for image in incoming_images)
    return [
        image if (image.label, image.truth) == (label, truth) else replace(image, label=label, truth=truth)
        for image, label, truth in spelled
    ]


def _check(incoming: Incoming, known: set[str]) -> None:
    for image in incoming.images:
        if image.label is not None and image.label not in known:
            raise ImportRefused(
                "not saved: a label is not among the confirmed classes",
                value=repr(image.label),
                way_out="Confirm the class, or leave the label out.",
            )
        for text in (image.name, *image.copies, image.label or "", image.truth or "", image.group or ""):
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                raise ImportRefused(
                    "not saved: a name is not valid Unicode", value=ascii(text), way_out="Rename the file."
                )


def _known(connection: Connection, incoming_images: Sequence[FoundImage]) -> dict[str, int]:
    """Return the ids of the images whose content is there already, by SHA-256."""
    ids: dict[str, int] = {}
    for chunk in chunks(sorted({image.sha256 for image in incoming_images})):
        query = select(images.c.sha256, images.c.id).where(images.c.sha256.in_(chunk))
        ids.update((digest, number) for digest, number in connection.execute(query))
    return ids


def _new_rows(
    incoming_images: Sequence[FoundImage], ids: dict[str, int], first: int, import_id: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the images whose content is new, which get the ids from `first` on; enter these into `ids`."""
    following = first
    for image in incoming_images:
        if image.sha256 in ids:
            continue
        ids[image.sha256] = following
        yield {
            "id": following,
            "sha256": image.sha256,
            "name": image.name,
            "format": image.format,
            "width": int(image.width),
            "height": int(image.height),
            "channels": int(image.channels),
            "bytes": int(image.bytes),
            "import_id": import_id,
            "key": unicodedata.normalize("NFC", image.name).casefold(),
        }
        following += 1


def _inserted(connection: Connection, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Insert the rows of images, some at a time, and yield each again."""
    while block := list(islice(rows, BLOCK)):
        connection.execute(insert(images), block)
        yield from block


def _blocks(incoming_images: Sequence[FoundImage]) -> Iterator[Sequence[FoundImage]]:
    for start in range(0, len(incoming_images), BLOCK):
        yield incoming_images[start : start + BLOCK]


def _add_labels(
    connection: Connection, incoming_images: Sequence[FoundImage], ids: Mapping[str, int]
) -> tuple[int, list[Refusal]]:
    batch, moment = f"import/{secrets.token_hex(8)}", now()
    added, differing = 0, list[Refusal]()
    for block in _blocks([image for image in incoming_images if image.label is not None]):
        appending = Appending(connection, (ids[image.sha256] for image in block), moment)
        for image in block:
            image_id = ids[image.sha256]
            state = appending.states[image_id]
            if state.label is not None:
                if state.label != image.label:
                    differing.append(Refusal(shown(image.name), _DIFFERS))
                continue
            appending.add(
                Draft(
                    uid=f"{batch}/{image_id}",
                    image_id=image_id,
                    action="import",
                    actor=ACTOR,
                    label=image.label,
                    source="imported",
                    reviewed=state.reviewed,
                    mark=state.mark,
                    batch=batch,
                )
            )
            added += 1
        appending.flush()
    return added, differing


def _add_groups(connection: Connection, incoming: Incoming, ids: Mapping[str, int]) -> None:
    """Put the images into the groups that the source names; an image that is in a group already stays there."""
    named = {ids[image.sha256]: image.group for image in reversed(incoming.images) if image.group is not None}
    for chunk in chunks(sorted(named)):
        query = select(images.c.id).where(images.c.id.in_(chunk), images.c.group.is_not(None))
        for number in connection.scalars(query):
            del named[number]
    if named:
        write_groups(connection, named, incoming.grouped_by or f"import of {incoming.source}")


def _add_truth(connection: Connection, incoming_images: Sequence[FoundImage], ids: Mapping[str, int]) -> None:
    hidden = {ids[image.sha256]: image.truth for image in reversed(incoming_images) if image.truth is not None}
    for chunk in chunks(sorted(hidden)):
        for known in connection.scalars(select(truth.c.image_id).where(truth.c.image_id.in_(chunk))):
            del hidden[known]
    if hidden:
        rows = [{"image_id": number, "label": label} for number, label in sorted(hidden.items())]
        check_truth(connection, hidden)
        connection.execute(insert(truth), rows)
        seal_truth(connection, hidden)
