"""`starling bench formats`: whether each format goes out and comes back equal, and what its own tool reads of it.

Each set becomes a project, is exported in each format, and the export is imported into a new project: labels, the
images without one, classes and their order, splits and names of files must be the same, by the content of the images,
as far as the format can say them. Then the tools that the format is for read the export, where they are installed.
Formats that are only read here are named with the test that reads what their tool writes.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from app.benchmarks import format_sets
from app.benchmarks.format_checks import CARRIED, Told, content, not_back, not_told, source_of, told_by, unlike
from app.benchmarks.in_and_out import Figures, Say
from app.benchmarks.judges import JUDGES, Judge
from app.benchmarks.judges.apart import python_with
from app.benchmarks.judges.export import Export, unpacked
from app.benchmarks.map import check_counts
from app.benchmarks.memory import most_memory
from engine.errors import ConfigError, StarlingError
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.importers.formats import FORMATS
from engine.importers.names import tidy_label
from engine.project.opened import Project

SETS = ("digits", "photos", "odd", "many")
EQUAL, NOT_INSTALLED = "equal", "not installed"
FIRST = "first import"

_TESTS, _FORMATS = "tests/engine/importers", "tests/engine/importers/formats"
READ_BY_TESTS: Mapping[str, str] = {
    "label_studio_min": f"{_FORMATS}/test_label_studio_min.py::test_a_choice_is_a_label_and_several_are_a_question",
    "megadetector": f"{_FORMATS}/test_megadetector.py::test_the_surest_detection_is_a_prediction_and_never_a_label",
    "sagemaker": f"{_FORMATS}/test_sagemaker.py::test_what_a_person_annotated_is_a_label_the_rest_is_predicted",
    "vertex_jsonl": f"{_FORMATS}/test_vertex_jsonl.py::test_labels_splits_and_several_labels",
    "azure_ml": f"{_FORMATS}/test_azure_ml.py::test_a_text_is_a_label_and_a_list_of_several_a_question",
    "vertex_csv": f"{_TESTS}/test_vertex_csv.py::test_it_is_recognised_alone",
    "hf_arrow": f"{_FORMATS}/test_hf_arrow.py::test_what_datasets_writes_is_read",
    "imagenet_txt": f"{_FORMATS}/test_imagenet_txt.py::test_numbers_are_named_and_the_list_is_the_split",
    "imagenet_synsets": f"{_FORMATS}/test_imagenet_synsets.py::"
    "test_ids_become_the_first_word_and_equal_words_keep_their_id",
    "labels_txt": f"{_FORMATS}/test_labels_txt.py::test_the_files_of_cub_are_read_together",
    "pascal_voc": f"{_FORMATS}/test_pascal_voc.py::test_objects_of_one_class_give_the_label_wherever_the_files_lie",
    "labelme": f"{_FORMATS}/test_files_of_boxes.py::test_flags_or_shapes_of_labelme_are_the_label",
    "createml": f"{_FORMATS}/test_files_of_boxes.py::test_boxes_of_createml_give_the_label",
    "supervisely": f"{_FORMATS}/test_files_of_boxes.py::test_tags_or_objects_of_supervisely_are_the_label",
    "yolo_boxes": f"{_FORMATS}/test_yolo_boxes.py::test_the_class_that_all_boxes_of_an_image_have_is_its_label",
    "file_names": f"{_FORMATS}/test_file_names.py::test_beginnings_before_a_number_are_offered_and_read_if_wished",
    "text_an_image": f"{_FORMATS}/test_text_an_image.py::test_the_text_beside_an_image_is_its_class",
    "images_only": f"{_TESTS}/test_class_tree.py::test_one_flat_folder_is_not_taken_as_a_class",
}
"""By key of a format that is only read: the test that reads what its tool writes."""


@dataclass(frozen=True)
class FormatSettings:
    """Settings of the benchmark, each by `--set name=value`.

    Attributes:
        sets: of "digits", "photos", "odd" and "many", with commas.
        formats: export formats, with commas; all when empty.
        digits: how many digits.
        photos: how many photos of each folder of photos.
        classes: of the set of many, each of one image.
        unlabeled: further images of that set, without a label.
        judges: Pythons that have tools which cannot be installed beside Starling, with commas.

    Raises:
        ConfigError: a number is below 0, or there is no such set or format.
    """

    sets: str = ",".join(SETS)
    formats: str = ""
    digits: int = 300
    photos: int = 200
    classes: int = 10_000
    unlabeled: int = 2_000
    judges: str = ""

    def __post_init__(self) -> None:
        check_counts(self)
        _check("set", _words(self.sets), SETS)
        _check("format", _words(self.formats), EXPORTERS)


def run(data: Path | None, settings: FormatSettings, out: Path | None, say: Say) -> Figures:
    """Send every set round in every format and return what was found, as `say` hears it, tables at the end.

    Args:
        data: a folder of class folders of photos, or a folder of such; None leaves out the photos.
        settings: see there.
        out: a JSON file, saved after each export.
        say: called with each result in words.
    """
    pythons = [Path(word) for word in _words(settings.judges)]
    keys = _words(settings.formats) or [*EXPORTERS]
    sizes = (settings.digits, settings.photos, settings.classes, settings.unlabeled)
    figures: Figures = {
        "settings": asdict(settings), "machine": f"{platform.machine()}, {os.cpu_count()} cores", "sets": {},
    }  # fmt: skip
    for name, rows in format_sets.sets(_words(settings.sets), data, sizes).items():
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "project"
            about = figures["sets"][name] = {FIRST: _made(list(rows()), root)}
            say(f"{name}, {FIRST}: {_in_words(about[FIRST])}")
            for key in keys:
                about[key] = sent_round(key, root, Path(place), pythons)
                say(f"{name}, {key}: {_in_words(about[key])}")
                if out is not None:
                    out.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")
    say("\n".join(["", *_tables(figures["sets"], keys)]))
    return figures


def _made(rows: Sequence[format_sets.Row], root: Path) -> Figures:
    """Make the project of a set; return how well and how fast its table was read."""
    figures: Figures = {"images": len(rows)}
    with _measured(figures, "import"):
        format_sets.project_of(rows, root)
    with Project.open(root, read_only=True) as project:
        found = content(project)
    by_name = {name: sha for sha, names in found.names.items() for name in names}
    wanted = {by_name.get(path, path): tidy_label(label) or None for path, _, label, _ in rows}
    figures["comes in"] = [*unlike("label", wanted, found.labels)] or EQUAL
    return figures


def sent_round(key: str, root: Path, place: Path, pythons: Sequence[Path]) -> Figures:
    """Export a project, import the export into a new one, and have the tools of the format read it.

    Args:
        key: of the format.
        root: the project's folder.
        place: where files may be written; they are removed.
        pythons: further ones that may have a tool.

    Returns: by “goes out” and “comes back” EQUAL or the differences in words; by “tools” what each read; what it was
        read as; what was left out, if anything; seconds and memory.
    """
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=place) as inside:
        file, again = Path(inside) / f"out{EXPORTERS[key].suffix}", Path(inside) / "again"
        try:
            with Project.open(root) as project, _measured(figures, "export"):
                project.exports.write(ExportOptions(key), target=file)
                before = content(project)
            told = told_by(file)
            figures["goes out"] = [*not_told(CARRIED[key], told, before)] or EQUAL
            source = source_of(file, root, Path(inside) / "beside")
            with Project.create(again, "again") as project, _measured(figures, "import"):
                preview = project.imports.scan(source)
                project.imports.commit(preview)
            figures["read as"] = preview.reading
            if left := (*preview.refused, *preview.conflicts):
                figures["left out"] = [f"{one.name}: {one.reason}" for one in left]
            with Project.open(again, read_only=True) as project:
                after = content(project)
            export = unpacked(file, Path(inside) / "out")
            figures["comes back"] = [*not_back(CARRIED[key], export, before, after, told)] or EQUAL
            figures["tools"] = {judge.tool: judged(judge, export, told, pythons) for judge in JUDGES[key]}
        except StarlingError as error:
            figures["comes back"] = [str(error)]
    return figures


def judged(judge: Judge, export: Export, told: Told, pythons: Sequence[Path]) -> Any:
    """Return what a tool reads of an export: how many labels as its table says, a list of what differs, or why not."""
    python = python_with(judge.module, pythons)
    if python is None:
        return NOT_INSTALLED
    wanted = {sha: said for sha, said in told.said.items() if judge.unlabeled or said[0] is not None}
    try:
        found = judge.read(export, python)
    except Exception as error:  # whatever a tool raises is what it says of the export
        return [f"{type(error).__name__}: {str(error)[:300]}"]
    of_labels, of_splits = ({sha: said[at] for sha, said in wanted.items()} for at in (0, 1))
    wrong = [*unlike("label", of_labels, {sha: label for sha, (label, _) in found.items()})]
    if judge.splits:
        wrong += unlike("split", of_splits, {sha: split for sha, (_, split) in found.items()})
    return wrong or f"opened, {sum(label is not None for label, _ in found.values()):,} labels equal"


@contextmanager
def _measured(figures: Figures, what: str) -> Iterator[None]:
    """Enter the seconds of the block by the clock and of all its processes, and how many MB more they held at most."""
    before = psutil.Process().memory_info().rss / 2**20
    with most_memory() as memory:
        begun, used = time.perf_counter(), _cpu_seconds()
        yield
        figures[f"{what} s"] = round(time.perf_counter() - begun, 2)
        figures[f"{what} CPU s"] = round(_cpu_seconds() - used, 2)
    figures[f"{what} MB more"] = max(0, round(memory["most memory MB"] - before))


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _in_words(about: Figures) -> str:
    return "; ".join(f"{key}: {_listed(value)}" for key, value in about.items())


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_listed(one)}" for key, one in value.items())
    return "; ".join(value) if isinstance(value, list) else str(value)


def _tables(sets: Mapping[str, Figures], keys: Iterable[str]) -> Iterator[str]:
    """The lines of the tables: exports by set, then formats that are imported."""
    yield f"| export | comes back: {' | '.join(sets)} | opened by |"
    yield "|---" * (len(sets) + 2) + "|"
    for key in keys:
        found = [about[key] for about in sets.values()]
        yield f"| {key} | {' | '.join(_mark(one) for one in found)} | {_opened(found)} |"
    yield ""
    yield "| import | read right |"
    yield "|---|---|"
    for key in FORMATS:
        exports = [one for one in keys if any(about[one].get("read as") == key for about in sets.values())]
        right = all(_mark(about[one]) == EQUAL for one in exports for about in sets.values())
        by_export = f"as {', '.join(exports)} export{'' if len(exports) > 1 else 's'} it: {EQUAL if right else 'no'}"
        yield f"| {key} | {by_export if exports else READ_BY_TESTS.get(key, 'not asked')} |"


def _mark(figures: Figures) -> str:
    out, back = figures.get("goes out"), figures.get("comes back")
    return EQUAL if out == back == EQUAL else _listed([*(one for one in (out, back) if isinstance(one, list))][-1])


def _opened(found: Sequence[Figures]) -> str:
    """What each tool read of all sets: the number of labels that are equal, or what differs."""
    words = []
    for tool in dict.fromkeys(tool for one in found for tool in one.get("tools", {})):
        said = [one["tools"][tool] for one in found if "tools" in one]
        wrong = [_listed(one) for one in said if isinstance(one, list)]
        opened = [one for one in said if not isinstance(one, list) and one != NOT_INSTALLED]
        words.append(
            f"{tool} {len(opened)} of {len(said)}{''.join(f' ({one})' for one in wrong)}"
            if opened or wrong
            else f"{tool} {NOT_INSTALLED}"
        )
    return ", ".join(words)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _check(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [one for one in given if one not in known]:
        raise ConfigError(f"There is no such {what}", value=unknown[0], way_out=f"Use {', '.join(known)}.")
