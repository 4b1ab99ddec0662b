"""Labels from a SageMaker Ground Truth manifest: one JSON object a line, with `source-ref` and what each job said.

A job's class is `class-name` of its `<job>-metadata`. What no person annotated is a prediction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    counted,
    damaged_files,
    line_files,
    no_such_file,
    refuse_damaged,
    split_of_file,
    text_of,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

_METADATA = "-metadata"
_TYPES = frozenset({"groundtruth/image-classification", "groundtruth/image-classification-multilabel"})


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file, or a manifest that cannot be read."""
    names = [name for name, _ in line_files(source, _is_entry)]
    if names:
        return Detection(f"{shown(names[0], 80)} has source-ref and the metadata of a labeling job", SIGNATURE)
    damaged = damaged_files(source, _is_manifest, ".manifest")
    return Detection(f"{shown(next(iter(damaged)), 80)} is a manifest", SIGNATURE) if damaged else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels and predictions of all manifests in the source.

    Raises:
        ImportRefused: there is none, or none that can be read.
    """
    files = line_files(source, _is_entry)
    names = {name for name, _ in files}
    damaged = damaged_files(source, lambda name: _is_manifest(name) or name in names, ".manifest")
    if not files:
        raise no_such_file(FORMAT.title, damaged)
    gathering = Gathering(source, [name for name, _ in files])
    counts, classes, others = Counter[str](), defaultdict[str, set[str]](set), Counter[str]()
    for _, records in files:
        for _, record in records:
            for job, metadata in _jobs(record):
                if _is_classification(metadata):
                    counts[job] += 1
                    classes[job].update(_labels(record, job, metadata)[:2])
                else:
                    others[shown(text_of(metadata.get("type")) or "unknown", 60)] += 1
    together = len(counts) > 1 and all(len(names) == 1 for names in classes.values())
    job = "" if together else gathering.choose(
        "Labeling job that is the label", counts, answers,
        "Several jobs labeled these images; one of them gives the label, the others are left out.",
    )  # fmt: skip
    unclear = 0
    for file, records in files:
        gathering.enter(file, split_of_file(file))
        for line, record in records:
            if not isinstance(record, dict) or not isinstance(record.get("source-ref"), str):
                gathering.refuse(f"line {line}", "it has no source-ref")
                continue
            name = gathering.image(record["source-ref"], f"line {line}")
            if name is None:
                continue
            gathering.keep(name, record)
            for one, metadata in _jobs(record):
                if not _is_classification(metadata) or not (together or one == job):
                    continue
                if metadata.get("failure-reason"):
                    gathering.refuse(f"line {line}: {record['source-ref']}", "its labeling failed")
                    continue
                labels = _labels(record, one, metadata)
                if metadata.get("human-annotated") != "no":
                    for label in labels:
                        gathering.label(name, label, f"line {line}")
                elif len(labels) == 1:
                    gathering.predict(name, labels[0], _confidence(record, one, metadata), f"line {line}")
                else:
                    unclear += bool(labels)
    if unclear:
        gathering.notices.append(f"left out: {counted(unclear, 'prediction')} of several labels")
    gathering.notices.extend(
        f"left out: {counted(count, 'result')} of type {what}" for what, count in sorted(others.items())
    )
    refuse_damaged(gathering, damaged)
    return gathering.labeling(FORMAT.title, answers)


def _is_entry(record: Record) -> bool:
    return isinstance(record.get("source-ref"), str) and any(True for _ in _jobs(record))


def _is_manifest(name: str) -> bool:
    return name.lower().endswith(".manifest")


def _jobs(record: object) -> Iterator[tuple[str, Record]]:
    """The name and metadata of each job that a line tells of."""
    for key, metadata in record.items() if isinstance(record, dict) else ():
        if key.endswith(_METADATA) and isinstance(metadata, dict):
            yield key.removesuffix(_METADATA), metadata


def _is_classification(metadata: Record) -> bool:
    kind = metadata.get("type")
    return kind in _TYPES if isinstance(kind, str) else "class-name" in metadata or "class-map" in metadata


def _labels(record: Record, job: str, metadata: Record) -> list[str]:
    """The classes that a job gave, by their names; by number where the names are not told."""
    value, names = record.get(job), metadata.get("class-map")
    if isinstance(value, list):
        known = names if isinstance(names, dict) else {}
        numbers = [text_of(one) for one in value]
        return [text_of(known.get(one)) or one for one in numbers if one is not None]
    label = text_of(metadata.get("class-name", value))
    return [] if label is None else [label]


def _confidence(record: Record, job: str, metadata: Record) -> object:
    scores = metadata.get("confidence-map")
    value = record.get(job)
    if isinstance(scores, dict) and isinstance(value, list) and value:
        return scores.get(text_of(value[0]))
    return metadata.get("confidence")


FORMAT = Format("sagemaker", "SageMaker Ground Truth manifest", detect, read)
