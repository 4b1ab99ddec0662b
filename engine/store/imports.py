"""Adding an import: images, classes, labels and hidden truth; all of it, or nothing at all.

The bytes must lie in images/ and thumbs/ before: a row never points to a file that is not there. An import of more
images than fit into one transaction is written down whole in one, which takes it in: from there on its parts are done
one after the other, and where the process dies, at the next start. Between them its images can be seen already.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import Connection, func, insert, select, update

from engine.errors import ConfigError, ImportRefused
from engine.importers.names import shown
from engine.records.imports import FoundImage, ImportResult, Refusal
from engine.store.bulk import insert_rows
from engine.store.groups import note_groups, put_into_groups
from engine.store.images import OTHER_NAMES, SPLITS, TEST_SPLIT, add_classes, read_classes
from engine.store.ledger import Appending, Draft
from engine.store.rows import Row, chunks, nfc, now, plain, text_flaw
from engine.store.schema import images, imports, truth
from engine.store.seals import check_truth, seal_truth
from engine.store.unfinished import Job, in_parts, packed, read_first, write_down

ACTOR = "import"
LISTED_REFUSALS = 1_000
_DIFFERS = "differs from the label in force"
_STAGED = Path()
"""The bytes are in their place when an image is written."""


@dataclass(frozen=True)
class Incoming:
    """One import as its importer hands it over; see Store.add_import. grouped_by: where groups come from, in words."""

    source: str
    layout: str
    images: Sequence[FoundImage]
    classes: Sequence[str]
    refused: Sequence[Refusal]
    grouped_by: str = ""

    @property
    def how_grouped(self) -> str:
        """Where groups come from, in words."""
        return self.grouped_by or f"import of {self.source}"


class _Head(NamedTuple):
    """What all parts of an import share: its id, the batch and the time of its ledger entries."""

    number: int
    batch: str
    time: str


class _First(NamedTuple):
    """What an import's first part holds: the head, where groups come from in words, classes that are new, the first of
    the refusals and how many there are."""

    head: _Head
    how: str
    classes: Sequence[str]
    refusals: Sequence[Sequence[str]]
    refused: int


class _Part(TypedDict):
    """What came of a part: `images` it held, `added` and `labels_added`; names of images whose label differs; ids of
    new images that measure, and of all by the name of their split; further names of images by id; how many images were
    put into the groups, by name."""

    images: int
    added: int
    labels_added: int
    differing: list[str]
    test: list[int]
    splits: dict[str, list[int]]
    other_names: list[tuple[int, str]]
    groups: dict[str, int]


class _Stored(NamedTuple):
    id: int
    name: str
    import_id: int


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
        ConfigError: a class name or the name of a group is not acceptable.
    """
    started = time.perf_counter()
    added_classes = add_classes(connection, incoming.classes)
    check(connection, incoming)
    head = _add_head(connection, incoming)
    part = _add_part(connection, head, incoming.images)
    refusals = [[one.name, one.reason] for one in incoming.refused[:LISTED_REFUSALS]]
    first = _First(head, incoming.how_grouped, added_classes, refusals, len(incoming.refused))
    result = _add_end(connection, first, [part], _digest(connection, head))
    return replace(result, seconds=time.perf_counter() - started)


def check(connection: Connection, incoming: Incoming) -> None:
    """Refuse what no part of the import could store. Raises as `add_import`; the classes need not be there yet."""
    known = read_classes(connection)
    spelling = {nfc(name): name for name in (*incoming.classes, *known)} | {name: name for name in known}
    names: set[str] = set()
    for image in incoming.images:
        if image.label is not None and image.label not in spelling and nfc(image.label) not in spelling:
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
        if image.group is not None:
            names.add(image.group)
    for name in names | ({incoming.how_grouped} if names else set()):
        if (flaw := text_flaw(name) or text_flaw(nfc(name))) is not None:
            raise ConfigError(
                f"not saved: the name of a group {flaw}", value=repr(name), way_out="Choose another name."
            )


def begin_parts(connection: Connection, incoming: Incoming, parts: Sequence[bytes]) -> tuple[Job, int]:
    """Take in an import of more than fits into one transaction: write it down, after its classes and its head. Return
    the job and the import's id.

    Args:
        connection: of the transaction.
        incoming: that `check` let through.
        parts: its images, from `parts_of`.

    Raises:
        ConfigError: a class name is not acceptable.
    """
    added_classes = add_classes(connection, incoming.classes)
    refusals = [[one.name, one.reason] for one in incoming.refused[:LISTED_REFUSALS]]
    head = _add_head(connection, incoming)
    first = _First(head, incoming.how_grouped, added_classes, refusals, len(incoming.refused))
    return write_down(connection, "import", incoming.source, [packed(first), *parts]), head.number


def parts_of(incoming: Incoming) -> list[bytes]:
    """Return the images as they are written down, a part at a time."""
    return [packed([_fields(image) for image in part]) for part in in_parts(incoming.images)]


def do_part(connection: Connection, content: Any, job: Job) -> tuple[Any, None]:
    """Do a part of what `begin_parts` has written down; return what the end needs of it."""
    first = read_first(connection, job)
    if first is None:  # this is it
        return content, None
    return _add_part(connection, _Head(*first[0]), [_image(one) for one in content]), None


def read_part_digest(connection: Connection, results: Sequence[Any]) -> str | None:
    """Return the digest of the images of an import whose parts are done; None where it was crossed out."""
    return _digest(connection, _Head(*results[0][0])) if results else None


def end_parts(connection: Connection, results: Sequence[Any], digest: str) -> ImportResult:
    """Write down what came of an import whose parts are done."""
    first = _First(*results[0])
    return _add_end(connection, first._replace(head=_Head(*first.head)), results[1:], digest)


def read_result(connection: Connection, number: int) -> ImportResult:
    """Return what came of an import that has ended; of what differed, the first as its refusals list them."""
    summary = connection.scalar(select(imports.c.summary).where(imports.c.id == number)) or {}
    counts = {name: int(summary[name]) for name in ("added", "already_there", "labels_added", "refused")}
    differing = tuple(Refusal(*one) for one in summary["refusals"] if one[1] == _DIFFERS)
    return ImportResult(**counts, classes_added=tuple(summary["classes_added"]), seconds=0.0, differing=differing)


_FIELDS = (
    "name", "sha256", "format", "width", "height", "channels", "bytes", "label", "truth", "group", "test", "split",
)  # fmt: skip
_given = attrgetter(*_FIELDS)


def _fields(image: FoundImage) -> list[Any]:
    return [*_given(image), list(image.copies)]


def _image(values: Sequence[Any]) -> FoundImage:
    *given, copies = values
    return FoundImage(staging=_STAGED, **dict(zip(_FIELDS, given, strict=True)), copies=tuple(copies))


def _add_head(connection: Connection, incoming: Incoming) -> _Head:
    number = (connection.scalar(select(func.max(imports.c.id))) or 0) + 1
    head = _Head(number, f"import/{secrets.token_hex(8)}", now())
    row = {"id": number, "time": head.time, "source": incoming.source, "layout": incoming.layout}
    connection.execute(insert(imports), {**row, "summary": {}, "digest": None})
    return head


def _add_part(connection: Connection, head: _Head, given: Sequence[FoundImage]) -> _Part:
    given = _spelled(given, read_classes(connection))
    stored = _known(connection, given)
    added = _add_new(connection, head, given, stored)
    ids = {sha256: row.id for sha256, row in stored.items()}
    labels_added, differing = _add_labels(connection, head, given, ids)
    groups = _add_groups(connection, given, ids)
    _add_truth(connection, given, ids)
    splits: dict[str, list[int]] = {}
    for image in given:
        if image.split:
            splits.setdefault(image.split, []).append(ids[image.sha256])
    names = ((stored[image.sha256], name) for image in given for name in (image.name, *image.copies))
    return {
        "images": len(given), "added": added, "labels_added": labels_added, "differing": differing,
        "test": _measuring(head, given, stored), "splits": splits,
        "other_names": [(row.id, name) for row, name in names if name != row.name], "groups": groups,
    }  # fmt: skip


def _add_end(connection: Connection, first: _First, parts: Sequence[_Part], digest: str) -> ImportResult:
    groups: Counter[str] = Counter()
    splits: dict[str, list[int]] = {}
    for part in parts:
        groups.update(part["groups"])
        for split, ids in part["splits"].items():
            splits.setdefault(split, []).extend(ids)
    if groups:
        note_groups(connection, first.how, list(groups.elements()))
    differing = [name for part in parts for name in part["differing"]]
    refusals = [*first.refusals, *([name, _DIFFERS] for name in differing)]
    result = ImportResult(
        added=sum(part["added"] for part in parts),
        already_there=sum(part["images"] - part["added"] for part in parts),
        labels_added=sum(part["labels_added"] for part in parts),
        classes_added=tuple(first.classes),
        refused=first.refused + len(differing),
        seconds=0.0,
        differing=tuple(Refusal(name, _DIFFERS) for name in differing),
    )
    summary = {
        "added": result.added,
        "already_there": result.already_there,
        "labels_added": result.labels_added,
        "classes_added": result.classes_added,
        "refused": result.refused,
        "refusals": refusals[:LISTED_REFUSALS],
        TEST_SPLIT: sorted({number for part in parts for number in part["test"]}),
        SPLITS: splits,
        OTHER_NAMES: [pair for part in parts for pair in part["other_names"]],
    }
    values = {"summary": plain(summary), "digest": digest}
    connection.execute(update(imports).where(imports.c.id == first.head.number).values(values))
    return result


def _digest(connection: Connection, head: _Head) -> str:
    rows = select(images).where(images.c.import_id == head.number).order_by(images.c.id)
    return digest_images(connection.execute(rows).mappings())


def _measuring(head: _Head, given: Sequence[FoundImage], stored: Mapping[str, _Stored]) -> list[int]:
    """The ids of the images that this import brought and that measure; one that was there before may have been trained
    on, and goes on as it was: an export that is imported again takes no label away."""
    measuring = (stored[image.sha256] for image in given if image.test and image.label is not None)
    return [row.id for row in measuring if row.import_id == head.number]


def _spelled(given: Sequence[FoundImage], known: Sequence[str]) -> list[FoundImage]:
    """Return the images with labels and truth as the class they mean is spelled, in NFC where there is none."""
    spelling = {nfc(name): name for name in known} | {name: name for name in known}

    def spell(label: str | None) -> str | None:
        if label is None or label in spelling:
            return None if label is None else spelling[label]
        return spelling.get(nfc(label), nfc(label))

    spelled = ((image, spell(image.label), spell(image.truth)) for image in given)
    return [
        image if (image.label, image.truth) == (label, truth) else replace(image, label=label, truth=truth)
        for image, label, truth in spelled
    ]


def _known(connection: Connection, given: Sequence[FoundImage]) -> dict[str, _Stored]:
    """Return the images whose content is there already, by SHA-256."""
    columns = (images.c.sha256, images.c.id, images.c.name, images.c.import_id)
    return {
        digest: _Stored(*row)
        for chunk in chunks(sorted({image.sha256 for image in given}))
        for digest, *row in connection.execute(select(*columns).where(images.c.sha256.in_(chunk)))
    }


def _add_new(connection: Connection, head: _Head, given: Sequence[FoundImage], stored: dict[str, _Stored]) -> int:
    """Insert the images whose content is new and enter them into `stored`; return how many there are."""
    following = (connection.scalar(select(func.max(images.c.id))) or 0) + 1
    rows = []
    for image in given:
        if image.sha256 in stored:
            continue
        stored[image.sha256] = _Stored(following, image.name, head.number)
        row = {
            "id": following,
            "sha256": image.sha256,
            "name": image.name,
            "format": image.format,
            "width": int(image.width),
            "height": int(image.height),
            "channels": int(image.channels),
            "bytes": int(image.bytes),
            "import_id": head.number,
            "key": unicodedata.normalize("NFC", image.name).casefold(),
        }
        rows.append(row)
        following += 1
    insert_rows(connection, images, rows)
    return len(rows)


def _add_labels(
    connection: Connection, head: _Head, given: Sequence[FoundImage], ids: Mapping[str, int]
) -> tuple[int, list[str]]:
    """Label the images that have no label yet; return how many, and the names of those whose label differs."""
    added, differing = 0, list[str]()
    labeled = [image for image in given if image.label is not None]
    appending = Appending(connection, (ids[image.sha256] for image in labeled), head.time)
    for image in labeled:
        image_id = ids[image.sha256]
        state = appending.states[image_id]
        if state.label is not None:
            if state.label != image.label:
                differing.append(shown(image.name))
            continue
        appending.add(
            Draft(
                uid=f"{head.batch}/{image_id}",
                image_id=image_id,
                action="import",
                actor=ACTOR,
                label=image.label,
                source="imported",
                reviewed=state.reviewed,
                mark=state.mark,
                batch=head.batch,
            )
        )
        added += 1
    appending.flush()
    return added, differing


def _add_groups(connection: Connection, given: Sequence[FoundImage], ids: Mapping[str, int]) -> Counter[str]:
    """Put the images into the groups that the source names; an image that is in a group already stays there. Return how
    many came into which."""
    named = {ids[image.sha256]: nfc(image.group) for image in reversed(given) if image.group is not None}
    for chunk in chunks(sorted(named)):
        query = select(images.c.id).where(images.c.id.in_(chunk), images.c.group.is_not(None))
        for number in connection.scalars(query):
            del named[number]
    put_into_groups(connection, named)
    return Counter(named.values())


def _add_truth(connection: Connection, given: Sequence[FoundImage], ids: Mapping[str, int]) -> None:
    hidden = {ids[image.sha256]: image.truth for image in reversed(given) if image.truth is not None}
    for chunk in chunks(sorted(hidden)):
        for known in connection.scalars(select(truth.c.image_id).where(truth.c.image_id.in_(chunk))):
            del hidden[known]
    if hidden:
        rows = [{"image_id": number, "label": label} for number, label in sorted(hidden.items())]
        check_truth(connection, hidden)
        connection.execute(insert(truth), rows)
        seal_truth(connection, hidden)
