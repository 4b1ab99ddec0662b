"""Labels from Label Studio's JSON-MIN: a list of flat objects, one an annotation.

Between `id` and `annotator` lie the fields that were annotated; before `id` lies what the task was made of.
"""

from __future__ import annotations

from collections import Counter

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    has_object,
    json_files,
    no_such_file,
    objects,
    records_of,
    text_of,
)
from engine.importers.formats.label_studio import (
    CONTROL_HINT,
    CONTROL_TITLE,
    Finder,
    Opinion,
    Opinions,
    image_key,
    who_said,
)
from engine.importers.labeling import Labeling
from engine.importers.names import shown
from engine.importers.source_view import SourceView

_OWN = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"})


def detect(source: SourceView) -> Detection | None:
    """Return that there are files of such objects."""
    names = [name for name, _ in json_files(source, _is_export)]
    if not names:
        return None
    return Detection(f"{shown(names[0], 80)} has objects with annotator and annotation_id", SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels of all such files in the source.

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_export)
    if not files:
        raise no_such_file(FORMAT.title)
    gathering = Gathering(source, [name for name, _ in files])
    finder, opinions = Finder(gathering), Opinions()
    for file, value in files:
        gathering.enter(file)
        key, _ = image_key(finder, objects(value))
        fields = _fields(objects(value), key)
        for at, record in records_of(value):
            place = f"annotation {at}"
            if record is None:
                gathering.refuse(place, "it is no annotation")
                continue
            place = f"annotation {shown(text_of(record.get('annotation_id')) or str(at), 40)}"
            path = record.get(key)
            name, why = finder.find(path)
            if name is None:
                gathering.refuse(f"{place}: {path}" if isinstance(path, str) else place, why)
                continue
            gathering.keep(name, {one: said for one, said in record.items() if one not in fields})
            choices = {field: said for field in fields if (said := _choices(record.get(field)))}
            opinions.add(name, place, Opinion(who_said(record.get("annotator")), choices))
    control = gathering.choose(CONTROL_TITLE, opinions.counts(), answers, CONTROL_HINT, varied=opinions.varied())
    opinions.settle(gathering, control)
    return gathering.labeling(FORMAT.title, answers)


def _is_export(value: object) -> bool:
    return has_object(value, lambda one: "annotation_id" in one and "annotator" in one and "data" not in one)


def _fields(records: list[Record], image: str) -> list[str]:
    """The keys that may be labels: those that lie where annotated fields do, or else all that are not known."""
    between: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for record in records:
        keys = list(record)
        start = keys.index("id") + 1 if "id" in record else 0
        end = keys.index("annotator") if "annotator" in record else len(keys)
        for at, key in enumerate(keys):
            if key != image and key not in _OWN and _choices(record[key]):
                (between if "id" in record and start <= at < end else others)[key] += 1
    return list(between or others)


def _choices(value: object) -> list[str]:
    if isinstance(value, dict):
        value = value.get("choices")
    if isinstance(value, list):
        return [text for one in value if not isinstance(one, dict) and (text := text_of(one)) is not None]
    text = text_of(value)
    return [] if text is None else [text]


FORMAT = Format("label_studio_min", "Label Studio JSON-MIN", detect, read)
