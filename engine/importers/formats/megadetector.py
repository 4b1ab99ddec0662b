"""Predictions from MegaDetector and SpeciesNet results; they are never labels.

Of the detections of an image the surest counts, by the first of its classifications where it has some. SpeciesNet's
own answer is its `prediction`, by the last part of the taxonomy. An image without a detection gets no prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    counted,
    has_object,
    json_files,
    no_such_file,
    number,
    objects,
    records_of,
    text_of,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

Guess = tuple[object, object]


def detect(source: SourceView) -> Detection | None:
    """Return that there is such a file; what it says never stands before labels."""
    names = [name for name, _ in json_files(source, _is_results)]
    return Detection(f"{shown(names[0], 80)} has detections or predictions", SIGNATURE) if names else None


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the predictions of all such files in the source.

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_results)
    if not files:
        raise no_such_file(FORMAT.title)
    gathering = Gathering(source, [name for name, _ in files])
    failed = nothing = 0
    for file, value in files:
        gathering.enter(file)
        whole: Record = value if isinstance(value, dict) else {}
        records = value if isinstance(value, list) else whole.get("predictions" if _is_speciesnet(value) else "images")
        detected, classified = _names(whole, "detection_categories"), _names(whole, "classification_categories")
        for at, record in records_of(records):
            if record is None:
                gathering.refuse(f"image {at}", "it is no object")
                continue
            place = f"image {at}"
            name = gathering.image(record.get("filepath", record.get("file")), place)
            if name is None:
                continue
            guess = _answer(record) or _surest(record, detected, classified)
            if guess is not None:
                gathering.predict(name, guess[0], guess[1], place)
            elif record.get("failure") or record.get("failures"):
                failed += 1
            else:
                nothing += 1
    for count, why in ((failed, "the model could not read them"), (nothing, "without a detection")):
        if count:
            gathering.notices.append(f"no prediction, {why}: {counted(count, 'image')}")
    return gathering.labeling(FORMAT.title, answers)


def _is_results(value: object) -> bool:
    if isinstance(value, list):
        return has_object(
            value, lambda one: isinstance(one.get("file"), str) and isinstance(one.get("detections"), list)
        )
    if not isinstance(value, dict):
        return False
    return _is_speciesnet(value) or (
        isinstance(value.get("images"), list) and isinstance(value.get("detection_categories"), dict)
    )


def _is_speciesnet(value: object) -> bool:
    return isinstance(value, dict) and has_object(value.get("predictions"), lambda one: "filepath" in one)


def _names(whole: Record, key: str) -> Mapping[str, Any]:
    names = whole.get(key)
    return names if isinstance(names, dict) else {}


def _answer(record: Record) -> Guess | None:
    """SpeciesNet's answer for an image: of all its parts together, or else its classifier's first."""
    if isinstance(record.get("prediction"), str):
        return _last_part(record["prediction"]), record.get("prediction_score")
    said = record.get("classifications")
    classes, scores = (said.get("classes"), said.get("scores")) if isinstance(said, dict) else (None, None)
    if not isinstance(classes, list) or not classes:
        return None
    return _last_part(classes[0]), scores[0] if isinstance(scores, list) and scores else None


def _surest(record: Record, detected: Mapping[str, Any], classified: Mapping[str, Any]) -> Guess | None:
    """The surest detection: by the first of its classifications that has a name, or else its own category."""
    best: Guess | None = None
    surest = -1.0
    for one in objects(record.get("detections")):
        category = text_of(one.get("category")) or ""
        label = one.get("label") or detected.get(category) or (None if detected else category)
        score = one.get("conf", one.get("confidence"))
        if label and (number(score) or 0.0) > surest:
            surest, best = number(score) or 0.0, (label, score)
            said = one.get("classifications")
            for pair in said if isinstance(said, list) else ():
                if isinstance(pair, list) and len(pair) == 2 and (name := classified.get(text_of(pair[0]) or "")):
                    best = (_last_part(name), pair[1])
                    break
    return best


def _last_part(taxonomy: object) -> object:
    if not isinstance(taxonomy, str):
        return taxonomy
    parts = [part.strip() for part in taxonomy.split(";")]
    return next((part for part in reversed(parts) if part), "")


FORMAT = Format("megadetector", "MegaDetector or SpeciesNet results", detect, read)
