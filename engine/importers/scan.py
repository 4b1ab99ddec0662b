"""The door of the import: look at a source, then place what was found into a project, or throw it away."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from engine import garbage
from engine.errors import ConfigError, ImportRefused, NothingToImport
from engine.files import replacing, syncing
from engine.images.files import original_path, thumb_path
from engine.images.pool import ChildLimits, DecodePool
from engine.importers.archive import ZipContents, encoding_notices, other_names
from engine.importers.archive_kinds import ZIP
from engine.importers.contents import Contents, Limits, Listing
from engine.importers.folder import FolderContents
from engine.importers.formats import AUTO, Found, about_others, check_reading, read_labels
from engine.importers.formats.base import Answers
from engine.importers.formats.csv_table import group_columns, mute_tables
from engine.importers.formats.text_an_image import texts_of_images
from engine.importers.grouping import file_group, find_groupings
from engine.importers.keep_labels import choose_kept
from engine.importers.labeling import Labeling, for_frames
from engine.importers.names import collisions, natural_key, shown
from engine.importers.one_file import OneFileContents, is_one_file
from engine.importers.source_view import SourceView
from engine.importers.spellings import choose_spelling
from engine.importers.staging import Staged, stage, summed_notices
from engine.importers.tables.excel import OLD_ENDINGS
from engine.importers.taken_frames import Frames, WithFrames, choose, take, with_frames
from engine.importers.tidy import tidied
from engine.importers.torchvision_sets import SetContents
from engine.records.imports import FoundImage, Grouping, ImportPreview, Refusal
from engine.records.progress import Progress

_LISTED_COLLISIONS = 20
_SYNCED_EVERY = 0.25  # seconds
_MUTE = (
    "a table that names images and has no column that is known to hold labels; read it as images + CSV to choose one"
)


def _quiet(label: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ImportSource:
    """Where images come from.

    Attributes:
        kind: a zip file, a folder on this machine, a single file of another kind that holds images, or a well-known set
            by name.
        path: the zip, the folder, the file, or the root torchvision keeps its sets in.
        name: what is shown; for kind "torchvision" the set's name, one of torchvision_sets.SETS.
        labels_kept: keep only that many labels, spread evenly over the classes; the rest is hidden and used only
            to show true accuracy. None keeps all.
        seed: chooses which labels are kept.
        without: classes that are taken for unknown: their labels are hidden and they are not declared, to try what
            happens with a class nobody has thought of.
    """

    kind: Literal["zip", "folder", "file", "torchvision"]
    path: Path
    name: str = ""
    labels_kept: int | None = None
    seed: int = 0
    without: tuple[str, ...] = ()


def kind_of(path: Path) -> Literal["zip", "folder", "file"]:
    """Return what a path on this machine is to be taken for; a zip where nothing says otherwise."""
    if path.is_file():
        return "file" if is_one_file(path.name) and not path.name.lower().endswith(ZIP) else "zip"
    return "folder"


def scan(
    source: ImportSource,
    staging_root: Path,
    progress: Progress,
    *,
    workers: int = 2,
    reading: str = AUTO,
    answers: Answers | None = None,
    limits: Limits | None = None,
) -> ImportPreview:
    """Read, check and stage everything a source holds; return what was found. The project itself is not touched.

    Args:
        source: what to look at.
        staging_root: everything is written into one new folder under it, removed again on any error.
        progress: told how far it is; an exception it raises ends the scan.
        workers: number of decoding children.
        reading: what to take it for: AUTO, or a key of formats.FORMATS.
        answers: what a person decided, by the key of the preview's questions.
        limits: caps on files and bytes.

    Raises:
        SourceMissing: the source does not exist.
        ArchiveRefused: the zip as a whole is not acceptable.
        NothingToImport: it holds no image that can be read.
        ImportRefused: another reason to refuse it all: a table that cannot be read, a full disk, too many files.
        ConfigError: no such layout or set, or an impossible number of labels to keep.
    """
    check_reading(reading)
    limits = limits or Limits()
    staging_root.mkdir(parents=True, exist_ok=True)
    if source.kind == "folder" and staging_root.resolve().is_relative_to(source.path.resolve()):
        raise ImportRefused(
            "The folder to import contains the project itself",
            value=shown(str(source.path)),
            way_out="Choose a folder below it.",
        )
    progress("Listing files", 0, 0)
    staging = Path(tempfile.mkdtemp(prefix="import-", dir=staging_root))
    try:
        contents = _open(source, limits)
        try:
            with DecodePool(workers, ChildLimits()) as pool, syncing(_SYNCED_EVERY):
                staged = stage(contents, staging, limits, pool, progress)
        finally:
            contents.close()
        with garbage.put_off():
            names = other_names(source.path, contents.listing, limits) if source.kind == "zip" else {}
            files = _files(contents.listing, staged)
            listing = replace(contents.listing, entries=[])
            scanned = Scanned(source, listing, contents.labels(), staged, staging, files, names, limits, workers)
            del contents  # the directory of a large zip is as much again as all that is found
            return _preview(scanned, reading, answers or {}, progress)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def place(preview: ImportPreview, project_root: Path, progress: Progress) -> None:
    """Move the staged originals and thumbnails into the project and wait until they are on the disk.

    Files are named by their content, so one that is already there is the same and may be replaced. Calling it again
    after an error continues where it stopped.

    Raises:
        ImportRefused: a staged file is gone, or the disk is full; the project's database knows nothing of it yet.
    """
    try:
        moved = _move_folders(preview, project_root)
        for done, image in enumerate(preview.found, start=1):
            if image.sha256[:2] not in moved:
                _move(image.staged, original_path(project_root, image.sha256))
                _move(thumb_path(preview.staging, image.sha256), thumb_path(project_root, image.sha256))
            if done % 1024 == 0:
                progress("Placing images", done, len(preview.found))
    except OSError as error:
        raise ImportRefused(
            f"The images could not be placed in the project ({error.strerror})",
            value=shown(str(error.filename)),
            way_out="Free some space if the disk is full, and import again.",
        ) from error
    os.sync()
    progress("Placing images", len(preview.found), len(preview.found))


def discard(preview: ImportPreview) -> None:
    """Throw away what a scan staged; fine when it is gone already."""
    shutil.rmtree(preview.staging, ignore_errors=True)


def _open(source: ImportSource, limits: Limits) -> Contents:
    if source.kind == "zip":
        return ZipContents(source.path, limits)
    if source.kind == "folder":
        return FolderContents(source.path, limits)
    if source.kind == "file":
        return OneFileContents(source.path, limits, source.name)
    return SetContents(source.name, source.path)


@dataclass(frozen=True)
class Scanned:
    """What a scan has read and staged; labels can be read from it again and again.

    listing: without its entries; files: the names of those that were no containers.
    names: by encoding that a zip's names could also be in, what each name would then be, where it is another.
    limits, workers: of the scan. frames: what was taken of files of several frames, by what was wished.
    """

    source: ImportSource
    listing: Listing
    known: dict[str, str] | None
    staged: Staged
    staging: Path
    files: frozenset[str]
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    workers: int = 2
    frames: Frames = field(default_factory=dict)


def _files(listing: Listing, staged: Staged) -> frozenset[str]:
    return frozenset(entry.name for entry in listing.entries if entry.name not in staged.unpacked.expanded)


def read_again(
    preview: ImportPreview, reading: str = AUTO, answers: Answers | None = None, progress: Progress = _quiet
) -> ImportPreview:
    """Return the preview of another reading of the same staged files.

    The source itself is not needed any more. Nothing is decoded again, but where the question which frames to take is
    answered in a way that it was not before: then the frames are decoded from the staged animations and videos, and
    kept for as long as the staged files.

    Args:
        preview: from `scan`.
        reading: AUTO, or a key of formats.FORMATS.
        answers: what a person decided, by the key of the preview's questions.
        progress: told how far decoding frames is; an exception it raises ends it, and the preview stays good.

    Raises:
        ConfigError: there is no such format.
        ImportRefused: the source cannot be read so; the preview stays good.
    """
    if not isinstance(preview.scanned, Scanned):
        raise ConfigError("This preview was not made by a scan", value=preview.source, way_out="Scan the source.")
    return _preview(preview.scanned, reading, answers or {}, progress)


def _preview(scanned: Scanned, reading: str, answers: Answers, progress: Progress) -> ImportPreview:
    source, listing = scanned.source, scanned.listing
    spelled = choose_spelling(listing.encoding, scanned.names, scanned.staged.unpacked.spellings, answers)
    choice = choose(scanned.staged, answers)
    take(scanned.staged, choice, scanned.frames, scanned.staging, scanned.limits, scanned.workers, progress)
    framed = with_frames(spelled.staged(scanned.staged), choice, scanned.frames)
    staged = framed.staged
    images = tuple(sorted(name for names in staged.names.values() for name in names))
    if not images:
        raise _nothing((*listing.refused, *staged.refused, *framed.refused))
    files = frozenset(map(spelled.name, scanned.files)) if spelled.renamed else scanned.files
    names = files | staged.unpacked.members if staged.unpacked.members else files
    folders = frozenset() if "" in spelled.renamed else frozenset(listing.folders) | staged.unpacked.folders
    images_and_files = sorted({framed.file_of.get(name, name) for name in images})
    view = SourceView(tuple(images_and_files), names, staged.files, folders, staged.unpacked.records, framed.frames)
    if scanned.known is None:
        found = read_labels(view, reading, answers)
        labeling = tidied(found.labeling, answers)
        columns, tables = group_columns(view)
        columns = for_frames(Labeling("", {}, columns=columns), framed.frames).columns
        others, readings = about_others(found), found.readings
        unread = _unread(view, found, tables)
    else:
        found, columns, others, readings, unread = None, {}, [], (), []
        labeling = Labeling(f"{source.name}, train split", scanned.known)
    found_images, conflicts, overruled = _found(framed, labeling, scanned.staging)
    labeled = Counter(image.label for image in found_images if image.label is not None)
    said = [image.predicted.label for image in found_images if image.predicted is not None]
    listed = dict.fromkeys(labeling.classes)
    order = (*listed, *sorted({*labeled, *said} - listed.keys(), key=natural_key))
    found_images = _hide(found_images, source)
    visible = Counter(image.label for image in found_images if image.label is not None)
    return ImportPreview(
        source=source.name or source.path.name,
        layout=labeling.layout,
        found=tuple(found_images),
        refused=(*listing.refused, *staged.refused, *framed.refused, *unread, *labeling.refused),
        counts={label: visible[label] for label in order if label not in source.without},
        unlabeled=len(found_images) - visible.total(),
        skipped=listing.skipped,
        conflicts=tuple(conflicts),
        notices=(
            *_without_spelling(listing), *spelled.notices, *framed.notices, *labeling.notices,
            *_about_overruled(overruled), *_about_predictions(said), *others,
            *_collision_notices(list(images)), *summed_notices(staged),
        ),
        staging=scanned.staging,
        groupings=() if found is None else _groupings(framed, labeling, {**columns, **labeling.columns}),
        reading="" if found is None else found.key,
        readings=readings,
        questions=(*spelled.questions, *(() if choice.question is None else (choice.question,)), *labeling.questions),
        predicted=len(said),
        scanned=scanned,
    )  # fmt: skip


def _without_spelling(listing: Listing) -> list[str]:
    """What is known of a source but for how its names are read, which a person may have decided since."""
    told = () if listing.encoding is None else encoding_notices(listing.encoding)
    return [notice for notice in listing.notices if notice not in told]


def _about_predictions(said: Sequence[str]) -> list[str]:
    if not said:
        return []
    images = f"{len(said):,} {'image comes' if len(said) == 1 else 'images come'} with what a model said of them"
    classes = f"{len(set(said)):,} {'class' if len(set(said)) == 1 else 'classes'}"
    return [f"{images} ({classes}): it is no label; live labels begin with it until answers overrule it"]


def _unread(view: SourceView, found: Found, tables: frozenset[str]) -> list[Refusal]:
    """The files beside the images that neither give labels nor groups, each with what it seems to be."""
    used = found.labeling.used | tables
    words = {".json": "a JSON file", ".jsonl": "JSON lines", ".xml": "an XML file", ".parquet": "a Parquet table",
             ".arrow": "an Arrow table", ".xlsx": "a spreadsheet", ".csv": "a table", ".tsv": "a table",
             **dict.fromkeys(OLD_ENDINGS, "a spreadsheet in a form (save it as .xlsx or CSV)")}  # fmt: skip
    refused = []
    mute = mute_tables(view)
    of_images = texts_of_images(view)
    for name in sorted(view.files.keys() - used):
        ending = f".{name.lower().rpartition('.')[2]}"
        what = "boxes, a caption or other text about an image" if name in of_images else words.get(ending, "text")
        why = view.unparsed.get(name) or (_MUTE if name in mute else None)
        refused.append(Refusal(shown(name), f"not an image; {why or f'{what} that is not read as labels here'}"))
    return refused


def _groupings(
    framed: WithFrames, labeling: Labeling, columns: Mapping[str, Mapping[str, str]]
) -> tuple[Grouping, ...]:
    """Return the ways to group the images, by the first name of each content."""
    staged = framed.staged
    first = sorted(names[0] for names in staged.names.values())
    taken = {
        names[0]: (str(answer["taken"][0]), str(answer["taken"][1]))
        for names, answer in ((names, staged.answers[sha256]) for sha256, names in staged.names.items())
        if answer.get("taken")
    }
    return find_groupings(first, labeling.labels, columns, taken, framed.file_of)


def _given(names: Sequence[str], labeling: Labeling) -> dict[str, str]:
    """Return the labels that a content is given, each with a name it has it under."""
    given = {labeling.labels[name]: name for name in names if name in labeling.labels}
    for name in names:
        given.update(dict.fromkeys(labeling.conflicts.get(name, ()), name))
    return given


def _about_overruled(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    lie = "1 image lies" if len(names) == 1 else f"{len(names):,} images lie"
    return [
        f"{lie} in an archive too, with another label there (such as {shown(names[0], 80)}): the label outside the "
        "archive is taken"
    ]


def _found(framed: WithFrames, labeling: Labeling, staging: Path) -> tuple[list[FoundImage], list[Refusal], list[str]]:
    """Return one image a content under its first name, those whose labels contradict each other, and the names in
    archives of those whose label there is not taken: copies outside of archives go before them."""
    images, conflicts, test, staged = [], [], labeling.test, framed.staged
    inside = staged.unpacked.places.keys()
    overruled: list[str] = []
    for sha256, names in sorted(staged.names.items(), key=lambda item: item[1][0]):
        given = _given(names, labeling)
        if len(given) > 1 and (outside := [name for name in names if framed.file_of.get(name, name) not in inside]):
            of_outside = _given(outside, labeling)
            if len(of_outside) == 1:
                overruled += [name for label, name in given.items() if label not in of_outside][:1]
                given = of_outside
        if len(given) > 1:
            conflicts.append(Refusal(shown(names[0]), _contradiction(given, len(names))))
        answer = staged.answers[sha256]
        images.append(
            FoundImage(
                name=names[0],
                staging=staging,
                sha256=sha256,
                format=str(answer["format"]),
                width=int(answer["width"]),
                height=int(answer["height"]),
                channels=int(answer["channels"]),
                bytes=staged.sizes[sha256],
                label=next(iter(given)) if len(given) == 1 else None,
                notices=tuple(answer["notices"]),
                group=file_group(framed.file_of[names[0]]) if names[0] in framed.file_of else None,
                test=any(name in test for name in names),
                split=next((labeling.splits[name] for name in names if name in labeling.splits), ""),
                copies=tuple(names[1:]),
                predicted=next((labeling.predictions[name] for name in names if name in labeling.predictions), None),
            )
        )
    return images, conflicts, overruled


def _contradiction(given: dict[str, str], copies: int) -> str:
    if copies == 1:
        return "different labels: " + ", ".join(f"“{shown(label, 80)}”" for label in sorted(given))
    labels = ", ".join(f"“{shown(label, 80)}” ({shown(name, 80)})" for label, name in sorted(given.items()))
    return f"copies of one image have different labels: {labels}"


def _hide(images: list[FoundImage], source: ImportSource) -> list[FoundImage]:
    """Keep the number of labels asked for; the rest becomes hidden truth."""
    if source.labels_kept is None and not source.without:
        return images
    given = {image.label for image in images} - {None}
    unknown = set(source.without) - given
    if unknown:
        raise ConfigError("There is no such class to leave out", value=", ".join(sorted(unknown)))
    labels = {one.name: one.label for one in images if one.label is not None and one.label not in source.without}
    if source.labels_kept is None:
        shown_labels = set(labels)
        return [
            image if image.name in shown_labels else replace(image, label=None, truth=image.label) for image in images
        ]
    if source.labels_kept > len(labels):
        raise ConfigError(
            "More labels are to be kept than there are",
            value=source.labels_kept,
            way_out=f"Choose at most {len(labels)}.",
        )
    shown_labels = choose_kept(labels, source.labels_kept, source.seed)
    return [image if image.name in shown_labels else replace(image, label=None, truth=image.label) for image in images]


def _collision_notices(images: list[str]) -> list[str]:
    groups = collisions(images)
    notices = [
        f"names that differ only in case or accents: {', '.join(shown(name, 80) for name in group)}"
        for group in groups[:_LISTED_COLLISIONS]
    ]
    if len(groups) > _LISTED_COLLISIONS:
        notices.append(f"and {len(groups) - _LISTED_COLLISIONS:,} more groups of such names")
    return notices


def _nothing(refused: Sequence[Refusal]) -> NothingToImport:
    listed = "; ".join(f"{refusal.name}: {refusal.reason}".rstrip(".") for refusal in refused[:3])
    more = f"; and {len(refused) - 3:,} more" if len(refused) > 3 else ""
    return NothingToImport(
        "No readable image was found",
        value=f"{listed}{more}" if refused else None,
        way_out="Starling reads JPEG, PNG, WebP, BMP, GIF, TIFF and AVIF; more with extras (heic, jxl, medical, "
        "geo, video).",
    )


def _move_folders(preview: ImportPreview, root: Path) -> set[str]:
    """Move the folders whole of which the project has nothing yet and that hold nothing refused; return those of which
    nothing is left to move."""
    found: dict[str, set[str]] = {f"{number:02x}": set() for number in range(256)}
    for image in preview.found:
        found[image.sha256[:2]].add(image.sha256)
    moved: set[str] = set()
    for name, wanted in found.items():
        staged = [preview.staging / kind / name for kind in ("images", "thumbs")]
        whole = all(one.is_dir() and {file.split(".")[0] for file in os.listdir(one)} <= wanted for one in staged)
        targets = [root / kind / name for kind in ("images", "thumbs")]
        if all([_move_folder(one, target, whole) for one, target in zip(staged, targets, strict=True)]):
            moved.add(name)
    return moved


def _move_folder(staged: Path, target: Path, whole: bool) -> bool:
    """Move a folder to where there is none, or an empty one, if it is to go whole; return whether it could be."""
    target.mkdir(parents=True, exist_ok=True)
    if not whole:
        return False
    try:
        os.rename(staged, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EXDEV, errno.ENOENT):
            raise
        return False
    return True


def _move(staged: Path, target: Path) -> None:
    try:
        os.replace(staged, target)
    except FileNotFoundError:
        if not target.is_file():
            raise
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with replacing(target, durable=False) as aside:  # staged on another disk
            shutil.copyfile(staged, aside)
