"""Labels from a Label Studio export: a list of tasks with `data` and `annotations`, `completions` or `predictions`.

A choice of a finished annotation is a label, a cancelled annotation is none. Where annotations of an image differ, it
stays unlabeled, with who said what; one marked as ground truth counts alone. Predictions stay predictions. The classes
of boxes and outlines count where no task has a choice. A labeling configuration beside the tasks, an XML file, lists
the classes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from engine.importers.formats.base import SIGNATURE, Answers, Detection, Format
from engine.importers.formats.gathering import (
    Gathering,
    Record,
    counted,
    has_object,
    json_files,
    no_such_file,
    objects,
    records_of,
    text_of,
)
from engine.importers.labeling import Labeling
from engine.importers.name_index import MISSING
from engine.importers.names import name_key, shown
from engine.importers.source_view import SourceView

SAID = ("annotations", "completions", "predictions")
CONTROL_TITLE = "Label Studio field that is the label"
CONTROL_HINT = "These images were asked several questions; one of them gives the label, the others are left out."
_USUAL = ("image", "img", "url", "picture", "photo")
_HASH = re.compile(r"^[0-9a-f]{8}-(?=.)")
_UPLOAD_HASH = re.compile(r"^[0-9a-f]{2,32}-(?=.)")
_LOST_IN_UPLOAD = re.compile(r"[^-\w.]")
_LOOKED_AT = 1000
_MOST_CONFIG = 64 << 20
_LISTED = 5


@dataclass
class Opinion:
    """What one annotation says of an image: by whom, and the choices by field."""

    who: str
    choices: dict[str, list[str]]
    truth: bool = False


@dataclass
class Opinions:
    """All that annotations say, by image name, with the place of the first record of each."""

    by_image: defaultdict[str, list[Opinion]] = field(default_factory=lambda: defaultdict(list))
    places: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, place: str, opinion: Opinion) -> None:
        """Take what one annotation says of an image."""
        self.places.setdefault(name, place)
        self.by_image[name].append(opinion)

    def counts(self) -> Counter[str]:
        """Return how many annotations answer each field."""
        return Counter(
            control
            for opinions in self.by_image.values()
            for opinion in opinions
            for control, choices in opinion.choices.items()
            if choices
        )

    def varied(self) -> frozenset[str]:
        """Return the fields that are answered in several ways."""
        given: defaultdict[str, set[str]] = defaultdict(set)
        for opinions in self.by_image.values():
            for opinion in opinions:
                for control, choices in opinion.choices.items():
                    given[control].update(choices)
        return frozenset(control for control, choices in given.items() if len(choices) > 1)

    def settle(self, gathering: Gathering, control: str) -> None:
        """Put the labels of images on which all agree into `gathering`, the others into its conflicts."""
        apart: list[str] = []
        by_truth = 0
        for name, opinions in self.by_image.items():
            said = [(one, [label for label in one.choices.get(control, ()) if label.strip()]) for one in opinions]
            said = [(one, labels) for one, labels in said if labels]
            if len({frozenset(labels) for _, labels in said}) > 1:
                truths = [(one, labels) for one, labels in said if one.truth]
                if len({frozenset(labels) for _, labels in truths}) == 1:
                    said, by_truth = truths, by_truth + 1
            if len({frozenset(labels) for _, labels in said}) > 1:
                names = [gathering.class_name(label, self.places[name]) for _, labels in said for label in labels]
                distinct = tuple(dict.fromkeys(label for label in names if label is not None))
                if len(distinct) > 1:
                    gathering.conflicts[name] = distinct
                    who = ", ".join(
                        f"“{shown(' + '.join(labels), 60)}”{f' ({shown(one.who, 40)})' if one.who else ''}"
                        for one, labels in said[:4]
                    )
                    apart.append(f"{shown(name, 80)}: {who}{' …' * (len(said) > 4)}")
                    continue
            for label in said[0][1] if said else ():
                gathering.label(name, label, self.places[name])
        if apart:
            listed = "; ".join(apart[:_LISTED]) + " …" * (len(apart) > _LISTED)
            gathering.notices.append(f"annotations differ and {counted(len(apart), 'image')} stay unlabeled: {listed}")
        if by_truth:
            gathering.notices.append(
                f"where annotations differ, one marked as ground truth counts: {counted(by_truth, 'image')}"
            )


class Finder:
    """Finds the image that a task means, though Label Studio has put a hash before its name and changed letters."""

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._changed: dict[str, list[str]] | None = None

    def find(self, path: object) -> tuple[str | None, str]:
        """Return (name, "") of an image by what a task calls it, or (None, why not)."""
        name, why = self._gathering.find(path)
        if name is not None or not isinstance(path, str) or why != MISSING:
            return name, why
        folder, slash, base = path.rpartition("/")
        mark = _UPLOAD_HASH if "/upload/" in path or path.startswith("upload/") else _HASH
        plain = mark.sub("", base, count=1)
        if plain != base:
            name, why = self._gathering.find(f"{folder}{slash}{plain}")
            if name is None and why == MISSING:
                name, why = self._uploaded(plain)
        return name, why

    def _uploaded(self, base: str) -> tuple[str | None, str]:
        """The only image whose name becomes this one by an upload: spaces as underscores, other signs left out."""
        if self._changed is None:
            self._changed = defaultdict(list)
            for name in self._gathering.source.images:
                self._changed[_as_uploaded(name.rpartition("/")[2])].append(name)
        alike = self._changed.get(_as_uploaded(base), [])
        if len(alike) == 1:
            return alike[0], ""
        return None, "several files have this name" if alike else MISSING


def image_key(finder: Finder, records: Iterable[Record]) -> tuple[str, list[str]]:
    """Return the key whose texts name most images, and the others that name any; "" where none does."""
    tried, found = Counter[str](), Counter[str]()
    for _, record in zip(range(_LOOKED_AT), records, strict=False):
        for key, value in record.items():
            if isinstance(value, str):
                tried[key] += 1
                found[key] += finder.find(value)[0] is not None
    keys = sorted(tried, key=lambda key: (-found[key], _usual(key)))
    if not keys:
        return "", []
    first = keys[0] if found[keys[0]] else next((key for key in keys if _usual(key) < len(_USUAL)), keys[0])
    return first, [key for key in keys if key != first and found[key] and _usual(key) < len(_USUAL)]


def who_said(value: object) -> str:
    """Return who made an annotation: an e-mail address or name, else the number of the account; "" if not known."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("email", "username", "id") if value.get(key)), None)
    return "" if isinstance(value, bool) else text_of(value) or ""


def detect(source: SourceView) -> Detection | None:
    """Return that there are files of tasks."""
    names = [name for name, _ in json_files(source, _is_export)]
    if not names:
        return None
    return Detection(f"{shown(names[0], 80)} has tasks with data and {' or '.join(SAID[::2])}", SIGNATURE)


def read(source: SourceView, answers: Answers) -> Labeling:
    """Return the labels and predictions of all exports in the source.

    Raises:
        ImportRefused: there is none.
    """
    files = json_files(source, _is_export)
    if not files:
        raise no_such_file(FORMAT.title)
    gathering = Gathering(source, [name for name, _ in files])
    finder, opinions, left = Finder(gathering), Opinions(), Counter[str]()
    guesses: list[tuple[str, str, dict[str, list[str]], object]] = []
    cancelled = 0
    boxed = not any(_has_choices(task) for _, value in files for task in objects(_tasks(value)))
    for file, value in files:
        gathering.enter(file)
        tasks = _tasks(value)
        key, others = image_key(finder, (_data(task) for task in objects(tasks)))
        if others:
            both = f"“{shown(key, 40)}” and “{shown(others[0], 40)}”"
            gathering.notices.append(f"tasks of {shown(file, 80)} name images as {both}; only the first counts")
        for at, task in records_of(tasks):
            if task is None:
                gathering.refuse(f"task {at}", "it is no task")
                continue
            place = f"task {shown(text_of(task.get('id')) or str(at), 40)}"
            name = _image(gathering, finder, task, key, place)
            if name is None:
                continue
            gathering.keep(name, _data(task))
            for annotation in _made(task, left):
                if annotation.get("was_cancelled") is True or annotation.get("skipped") is True:
                    cancelled += 1
                    continue
                who = who_said(annotation.get("completed_by") or annotation.get("created_username"))
                made = _choices(annotation, left, boxed)
                opinions.add(name, place, Opinion(who, made, annotation.get("ground_truth") is True))
            for prediction in _predicted(task, left):
                guesses.append((name, place, _choices(prediction, left, boxed), prediction.get("score")))
    counts = opinions.counts() or Counter(control for _, _, choices, _ in guesses for control in choices)
    control = gathering.choose(CONTROL_TITLE, counts, answers, CONTROL_HINT, varied=opinions.varied())
    opinions.settle(gathering, control)
    if boxed and control:
        gathering.notices.append("the class of its boxes is an image's label; where they lie in it is not taken in")
    for name, place, choices, score in guesses:
        said = choices.get(control, [])
        if len(said) == 1:
            gathering.predict(name, said[0], score, place)
        elif said:
            left["predictions of several labels"] += 1
        elif choices:
            left["predictions of other fields"] += 1
    if cancelled:
        gathering.notices.append(f"left out, as they were cancelled: {counted(cancelled, 'annotation')}")
    gathering.notices.extend(f"left out: {what}: {count:,}" for what, count in sorted((+left).items()))
    config = _declare(gathering, source, control)
    found = gathering.labeling(FORMAT.title, answers)
    return replace(found, used=found.used | config)


def _declare(gathering: Gathering, source: SourceView, control: str) -> set[str]:
    """Declare the choices that labeling configurations list for a field, or for the only one where no task answers one;
    return the names of these files."""
    used = set()
    for name in source.ending(".xml"):
        if source.files[name].stat().st_size > _MOST_CONFIG or b"<Choice" not in source.data(name):
            continue
        try:
            fields = [*fromstring(source.data(name), forbid_dtd=True).iter("Choices")]
        except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
            continue  # it is listed as a file that is not read
        fields = [one for one in fields if one.get("name") == control] if control else fields[:2]
        if len(fields) == 1:
            gathering.enter(name)
            used.add(name)
            for at, choice in enumerate(fields[0].iter("Choice"), start=1):
                gathering.declare(choice.get("alias") or choice.get("value"), f"choice {at}")
    return used


def _is_export(value: object) -> bool:
    return _is_task(value) if isinstance(value, dict) else has_object(value, _is_task)


def _is_task(task: Record) -> bool:
    return isinstance(task.get("data"), dict) and any(isinstance(task.get(key), list) for key in SAID)


def _data(task: Record) -> Record:
    data = task.get("data")
    return data if isinstance(data, dict) else {}


def _image(gathering: Gathering, finder: Finder, task: Record, key: str, place: str) -> str | None:
    """The image of a task: as its data name it, or else as the file that was uploaded for it was called."""
    path = _data(task).get(key)
    name, why = finder.find(path)
    if name is None and why in (MISSING, "it names no file"):
        name = finder.find(task.get("file_upload"))[0]
    if name is None:
        gathering.refuse(f"{place}: {path}" if isinstance(path, str) else place, why)
    return name


def _made(task: Record, left: Counter[str]) -> Iterator[Record]:
    for key in ("annotations", "completions"):
        listed = task.get(key)
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict):
                yield one
            else:
                left["annotations that are given as numbers only"] += 1
    drafts = task.get("drafts")
    left["drafts"] += len(drafts) if isinstance(drafts, list) else 0


def _predicted(task: Record, left: Counter[str]) -> Iterator[Record]:
    listed = task.get("predictions")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict):
            yield one
        else:
            left["predictions that are given as numbers only"] += 1


def _tasks(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _has_choices(task: Record) -> bool:
    """Whether a task has a choice for the whole image."""
    return any(_choices(one, Counter()) for one in (*_made(task, Counter()), *_predicted(task, Counter())))


def _choices(annotation: Record, left: Counter[str], boxed: bool = False) -> dict[str, list[str]]:
    """The choices of an annotation by field; what it says beside them is counted in `left`.

    Args:
        annotation: or a prediction.
        left: what is left out, by what it is.
        boxed: the classes of boxes and outlines count as choices do, each once.
    """
    choices: dict[str, list[str]] = {}
    for result in objects(annotation.get("result")):
        value = result.get("value")
        said = value.get("choices") if isinstance(value, dict) else None
        if isinstance(said, str):
            said = [said]
        if boxed and isinstance(value, dict):
            known = choices.setdefault(text_of(result.get("from_name")) or "label", [])
            every = [one for key, many in value.items() if key.endswith("labels") for one in _listed(many)]
            known += [text for one in every if (text := text_of(one)) is not None and text not in known]
            if every:
                continue
        if not isinstance(said, list) or (isinstance(value, dict) and "width" in value and "x" in value):
            left[f"results of type {shown(text_of(result.get('type')) or 'unknown', 40)}"] += 1
            continue
        texts = [text for one in said if (text := text_of(one)) is not None]
        left["choices that are not text"] += len(said) - len(texts)
        choices.setdefault(text_of(result.get("from_name")) or "choice", []).extend(texts)
    return choices


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _usual(key: str) -> int:
    return _USUAL.index(key.casefold()) if key.casefold() in _USUAL else len(_USUAL)


def _as_uploaded(base: str) -> str:
    return name_key(_LOST_IN_UPLOAD.sub("", base.strip().replace(" ", "_")))


FORMAT = Format("label_studio", "Label Studio JSON", detect, read)
