"""Data in and out: import, export, revisions, groups."""

from __future__ import annotations

import contextlib
import csv
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from app.cli.terminal import ProjectArgument, out, progress_bar
from app.source_words import counted
from engine.errors import ConfigError, SourceMissing
from engine.records.imports import Grouping

if TYPE_CHECKING:
    from engine.project.revisions import Change

PATH = "A folder, a zip, a tar (also packed), an Arrow or Parquet file with images, or a video."
GROUP_BY = (
    "How images that are not independent (frames of a scene, a burst, a video) are put into groups: column:NAME of a "
    "table beside the images, folder:LEVEL of the path, name (the file name before its last number), exif (camera and "
    "time), file (frames of one file, which are a group in any case) or none. A column called scene, video, patient "
    "and so on is taken if nothing is given."
)

AS_FORMAT = "What to read labels from, by the key of a format; what fits best if not given. --dry-run names what fits."
EVERY_QUESTION = "Show the questions whose answers are not in doubt, too, and every class."
SHOWN_CLASSES = 12
"""Classes that a preview names, and as many that are doubtful."""
MORE_TITLES = 6
"""Questions that are not shown and are named."""
ANSWERS = "An answer to what the import asks, as --dry-run prints it. May be repeated."


def import_(
    project: ProjectArgument,
    path: Annotated[Path | None, typer.Argument(help=PATH, metavar="[PATH]")] = None,
    torchvision: Annotated[str | None, typer.Option(help="A torchvision data set on disk, by name (MNIST, …).")] = None,
    root: Annotated[Path | None, typer.Option(help="Where the torchvision data set lies.")] = None,
    labels: Annotated[int | None, typer.Option(min=0, help="How many labels of it to keep, over all classes.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses which labels are kept.")] = 0,
    without: Annotated[
        list[str] | None, typer.Option(help="A class of it to leave out, as if nobody knew of it; may be repeated.")
    ] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Import the images without their labels.")] = False,
    group_by: Annotated[str | None, typer.Option(help=GROUP_BY)] = None,
    as_format: Annotated[str, typer.Option("--as", metavar="FORMAT", help=AS_FORMAT)] = "auto",
    answers: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=ANSWERS)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is inside and write nothing.")] = False,
    every_question: Annotated[bool, typer.Option("--all-questions", help=EVERY_QUESTION)] = False,
) -> None:
    """Import images into a project, which is made if it does not exist."""
    from engine.importers.scan import ImportSource, discard, kind_of
    from engine.project.imports import Imports
    from engine.project.workspace import Workspace, is_project

    if (path is None) == (torchvision is None):
        raise ConfigError("Give either a path or --torchvision NAME", way_out="See “starling import --help”.")
    if torchvision is not None:
        hidden = tuple(without or ())
        source = ImportSource(
            "torchvision", root or Path(), name=torchvision, labels_kept=labels, seed=seed, without=hidden
        )
    elif path is not None and path.expanduser().exists():
        path = path.expanduser().resolve()
        source = ImportSource(kind_of(path), path, name=path.name)
    else:
        raise SourceMissing("The path to import does not exist", value=path, way_out="Check it for typing errors.")
    given = _pairs(answers or [])
    began = time.monotonic()
    preview = None
    created = not is_project(project)
    target = Workspace.create(project) if created else Workspace.open(project)  # a whole Project would load torch
    imports = Imports(target)
    try:
        with progress_bar() as progress:
            preview = imports.scan(source, progress, reading=as_format, answers=given)
        _show_preview(preview, group_by, given, every_question)
        if dry_run:
            discard(preview)
            target.close()
            if created:
                remove_empty(project)
            return
        with progress_bar() as progress:
            result = imports.commit(preview, progress, use_labels=not no_labels, group_by=group_by)
    except BaseException:
        if preview is not None:
            discard(preview)
        target.close()
        if created:
            remove_empty(project)
        raise
    target.close()
    out.print(
        f"Imported {result.added:,} images with {result.labels_added:,} labels into {escape(str(project))} in "
        f"{time.monotonic() - began:.1f} s; {result.already_there:,} were already there, {result.refused:,} refused.",
        soft_wrap=True,
    )
    for row in result.differing[:20]:
        out.print(f"  label differs from the one in force: {escape(row.name)}: {escape(row.reason)}", soft_wrap=True)


def _pairs(given: list[str]) -> dict[str, str]:
    wrong = [one for one in given if "=" not in one]
    if wrong:
        raise ConfigError("An answer is not KEY=VALUE", value=wrong[0], way_out="Write --set merge=merge.")
    return dict(one.split("=", 1) for one in given)


def remove_empty(project: Path) -> None:
    """Remove a project that was just made, if it holds nothing."""
    import shutil

    from engine.project.workspace import Workspace, is_project

    if is_project(project):
        with contextlib.closing(Workspace.open(project)) as opened:
            empty = opened.store.counts().images == 0
        if empty:
            shutil.rmtree(project)


def _show_preview(preview: Any, group_by: str | None, given: Mapping[str, str], everything: bool) -> None:
    """Print what was found: of the questions those that are in doubt or were answered."""
    from engine.importers.formats import counted as counted_labels
    from engine.importers.grouping import choose_grouping, warning

    labeled = sum(preview.counts.values())
    classes = "1 class" if len(preview.counts) == 1 else f"{len(preview.counts):,} classes"
    out.print(
        f"{escape(preview.source)}: {len(preview.found):,} images ({preview.layout}), {labeled:,} labeled in "
        f"{classes}, {preview.unlabeled:,} unlabeled; {len(preview.refused):,} refused, "
        f"{preview.skipped:,} skipped.",
        soft_wrap=True,
    )
    for notice in preview.notices:
        out.print(f"  {escape(notice)}", soft_wrap=True)
    _show_classes(preview, everything)
    for one in preview.readings[1:]:
        if one.labeled:
            out.print(f"  --as {one.key}: {escape(one.title)}, {counted_labels(one)}")
    asked = [one for one in preview.questions if everything or one.doubtful or one.key in given]
    for question in asked:
        out.print(f"  {escape(question.title)}{'?' if question.doubtful else ''}", soft_wrap=True)
        for option, words in question.options:
            taken = option == question.option
            number = f":{question.number if taken else 'N'}" if option in question.counted else ""
            answer = escape(shlex.quote(f"{question.key}={option}{number}"))
            out.print(f"    --set {answer}: {escape(words)}{' (taken)' if taken else ''}", soft_wrap=True)
    if settled := [one for one in preview.questions if one not in asked]:
        answers = (
            "1 more question has an answer" if len(settled) == 1 else f"{len(settled):,} more questions have answers"
        )
        titles = escape("; ".join(one.title for one in settled[:MORE_TITLES]) + " …" * (len(settled) > MORE_TITLES))
        out.print(f"  {answers} without a doubt; --all-questions shows more: {titles}", soft_wrap=True)
    chosen = choose_grouping(preview.groupings, preview.group_by if group_by is None else group_by)
    if chosen is not None:
        out.print(f"  groups: {escape(chosen.title)}: {grouped(chosen)}", soft_wrap=True)
    elif group_by is None and (words := warning(preview.groupings)):
        out.print(f"  {escape(words)} Choose with --group-by, or --group-by none.", soft_wrap=True)
    for one in preview.groupings:
        if one is not chosen and (one.sure or one.proposed):
            out.print(f"  --group-by {escape(shlex.quote(one.key))}: {grouped(one)}", soft_wrap=True)
    for title, rows in (("refused", preview.refused), ("conflicting labels", preview.conflicts)):
        for row in rows[:20]:
            out.print(f"  {title}: {escape(row.name)}: {escape(row.reason)}", soft_wrap=True)
        if len(rows) > 20:
            out.print(f"  … and {len(rows) - 20:,} more {title}")


def _show_classes(preview: Any, everything: bool) -> None:
    """Print the classes with their numbers of images, the doubtful ones with the reason."""
    from engine.importers.doubts import doubts_of
    from engine.importers.names import shown

    doubts = doubts_of(preview)
    if not preview.counts:
        return
    named = list(preview.counts) if everything else list(preview.counts)[:SHOWN_CLASSES]
    listed = ", ".join(f"{shown(one, 60)} ({preview.counts[one]:,})" for one in named)
    more = len(preview.counts) - len(named)
    out.print(f"  classes: {escape(listed)}{f' and {more:,} more' if more else ''}", soft_wrap=True)
    odd = list(doubts) if everything else list(doubts)[:SHOWN_CLASSES]
    for one in odd:
        out.print(f"  check class {escape(shown(one, 60))}: {escape(doubts[one])}", soft_wrap=True)
    if len(doubts) > len(odd):
        out.print(f"  … and {len(doubts) - len(odd):,} more to check: --all-questions shows them.")


def grouped(one: Grouping) -> str:
    """Return how many groups a way to group makes."""
    return f"{one.images:,} images in {one.groups:,} groups, the largest of {one.largest:,}"


class Format(StrEnum):
    """Export formats: the keys of `engine.exporters.EXPORTERS`, here without importing it."""

    imagefolder_zip = "imagefolder_zip"
    huggingface = "huggingface"
    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"
    excel = "excel"
    fiftyone = "fiftyone"
    label_studio = "label_studio"
    cvat = "cvat"
    cvat_imagenet = "cvat_imagenet"
    coco = "coco"
    datumaro = "datumaro"
    ultralytics = "ultralytics"
    webdataset = "webdataset"


PSEUDO = (
    "Add pseudo-labels at least this confident. Needs an audit of this threshold, or 100 measured answers of the round."
)


GUARD = (
    "With --format csv: begin cells with an apostrophe that a spreadsheet would take for a formula. They are then no "
    "longer what was stored: leave it off for programs, and for importing them again."
)
AUDITED = (
    "Export the labels as the last audit of all labels froze them: predictions are those of then, however sure. Their "
    "certificate is in every export of audited labels."
)


AT = "Export the labels of this revision: a name given with `starling revisions`, or the number of a ledger entry."
PUSH = (
    "Write the files of the Hugging Face format into the folder given as target, then upload exactly these to this "
    "data set of the Hub, which is private if it has to be made. Needs the extra hf and a sign-in: hf auth login."
)
CHANGE_COLUMNS = ("image_id", "name", "before", "after", "rejected", "by", "at", "seq")


def export(
    project: ProjectArgument,
    target: Annotated[
        Path | None, typer.Argument(help="The file to write; the project's exports folder if not given.")
    ] = None,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.imagefolder_zip,
    pseudo: Annotated[float | None, typer.Option(min=0, max=1, help=PSEUDO)] = None,
    human_only: Annotated[
        bool, typer.Option("--human-only", help="Leave out labels that came with the import.")
    ] = False,
    labeled_only: Annotated[bool, typer.Option("--labeled-only", help="Leave out images without a label.")] = False,
    round: Annotated[int | None, typer.Option(help="The round whose pseudo-labels are taken.")] = None,
    audited: Annotated[bool, typer.Option("--audited", help=AUDITED)] = False,
    split: Annotated[
        str | None,
        typer.Option(
            help="Percent of train, val and test, as 80,10,10, for images that came in no split: by class as far as it "
            "goes, and no group of images is torn apart."
        ),
    ] = None,
    split_seed: Annotated[int, typer.Option(min=0, help="Chooses which images go into which split.")] = 0,
    at: Annotated[str | None, typer.Option(help=AT, metavar="REVISION")] = None,
    for_spreadsheets: Annotated[bool, typer.Option("--for-spreadsheets", help=GUARD)] = False,
    push: Annotated[str | None, typer.Option(help=PUSH, metavar="OWNER/NAME")] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: a data set that is made is public.")] = False,
) -> None:
    """Write the curated set, all or nothing."""
    from engine.exporters.collect import ExportOptions
    from engine.exporters.split import shares_of
    from engine.project.opened import Project
    from engine.project.workspace import is_writable
    from engine.records.labels import ACCEPTED

    sources = {"human", *ACCEPTED} | (set() if human_only else {"imported"})
    sources |= {"pseudo"} if pseudo is not None else set()
    opened = Project.open(project, read_only=not is_writable(project))
    try:
        last = opened.exports.audited() if audited else None
        if audited and last is None:
            raise ConfigError(
                "Nothing was audited yet", way_out="Freeze and audit the labels on the Quality page: `starling ui`."
            )
        options = ExportOptions(
            format.value, frozenset(sources), 0.95 if pseudo is None else pseudo, not labeled_only, round,
            split=None if split is None else shares_of(split), split_seed=split_seed,
            audit=None if last is None else last.number, at=at, for_spreadsheets=for_spreadsheets,
        )  # fmt: skip
        counts = None if at is not None else opened.exports.counts(options)
        with progress_bar() as progress:
            if push is not None and target is not None:
                written: Path | str = opened.exports.push_to_hub(options, push, target, progress, private=not public)
            elif push is not None:
                raise ConfigError("--push needs a folder for its files", way_out="Give a new folder after the project.")
            else:
                written = opened.exports.write(options, progress, target=target)
    finally:
        opened.close()
    of_what = f"the labels of revision {at}" if counts is None else counted(counts)
    out.print(f"Wrote {escape(str(written))}: {escape(of_what)}", soft_wrap=True)


def revisions(
    project: ProjectArgument,
    name: Annotated[str | None, typer.Option(help="Give the labels of now this name.")] = None,
    at: Annotated[int | None, typer.Option(min=0, help="With --name: those of this entry of the ledger.")] = None,
    diff: Annotated[
        tuple[str, str] | None, typer.Option(help="Show what changed from one revision to another.", metavar="FROM TO")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="With --diff: write all changes into this CSV.")] = None,
) -> None:
    """Name the labels as they are, list the names, or show what changed between two. “now” is a name too."""
    from engine.project.opened import Project
    from engine.project.workspace import is_writable

    if (at is not None and name is None) or (to is not None and diff is None):
        raise ConfigError("--at goes with --name, and --out with --diff", way_out="See “starling revisions --help”.")
    opened = Project.open(project, read_only=name is None and not is_writable(project))
    try:
        desk = opened.exports.revisions
        if name is not None:
            made = desk.add(name, at)
            out.print(f"Revision {escape(made.name)} is the labels at entry {made.seq:,} of the ledger.")
        elif diff is None:
            for one in desk.all():
                out.print(f"{escape(one.name)}: entry {one.seq:,}, named {one.made}", soft_wrap=True)
        if diff is not None:
            _show_changes(desk.diff(desk.get(diff[0]), desk.get(diff[1])), to)
    finally:
        opened.close()


def _show_changes(changes: Sequence[Change], to: Path | None) -> None:
    """Print how many images changed from what to what by whom, and write all of them where wanted."""
    kinds = Counter((one.before, "rejected" if one.rejected else one.after, one.by) for one in changes)
    out.print(f"{len(changes):,} images changed their label.")
    for (before, after, by), number in kinds.most_common():
        words = f"{before or 'no label'} → {after or 'no label'}, by {by}"
        out.print(f"  {number:,}: {escape(words)}", soft_wrap=True)
    if to is not None:
        with open(to, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(CHANGE_COLUMNS)
            writer.writerows([getattr(one, column) for column in CHANGE_COLUMNS] for one in changes)
        out.print(f"Wrote {escape(str(to))}", soft_wrap=True)


def groups(
    project: ProjectArgument,
    near_duplicates: Annotated[
        bool | None, typer.Option(help="Whether near-equal photos are grouped where nothing else says which are.")
    ] = None,
) -> None:
    """Show which images belong together and how that came about."""
    from engine.project.opened import Project
    from engine.project.workspace import is_writable

    opened = Project.open(project, read_only=near_duplicates is None and not is_writable(project))
    try:
        if near_duplicates is not None:
            opened.groups.turn(near_duplicates)
        out.print(escape(opened.groups.words() or "Each image is by itself."), soft_wrap=True)
        for entry in opened.store.groups_set():
            line = f"  {entry.time[:19]}: {entry.how}: {entry.images:,} images in {entry.groups:,} groups"
            out.print(escape(line), soft_wrap=True)
    finally:
        opened.close()
