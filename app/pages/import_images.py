"""Import: choose or make a project, show what a source holds, then take it in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from app import state
from app.components.class_list import class_list
from app.components.import_deliveries import (
    drop,
    later,
    look_at,
    looked_at,
    offer,
    open_delivery,
    telling,
    waiting,
    watch,
)
from app.components.import_reading import ask, choose_reading, notices, why_read_so
from app.components.listing import listing
from app.components.next_step import next_step
from app.components.quality.goal import goal_line
from app.components.quality.words import some
from app.components.upload_box.component import upload_box
from app.server.deliveries import Delivery
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.importers.grouping import FILE, NONE, warning
from engine.importers.scan import ImportSource, kind_of
from engine.records.imports import Grouping, ImportPreview, ImportResult

TRAIN, REVIEW = "pages/train_rounds.py", "pages/review_labels.py"
ABOUT = """
- **Folders named after the classes**: `cat/001.jpg` or `train/cat/001.jpg` is labeled “cat”. Images outside these
  folders, or in `_unlabeled`, `unlabeled` or `no_label`, have no label.
- **A table beside the images**: CSV, TSV, Excel, JSON Lines or Parquet with any header, or one column a class. An empty
  cell is no label. Labels are text: “007” stays “007”, unless a list beside it (`classes.txt`, `data.yaml`, a table)
  names the numbers. Or lines such as `001.jpg cat`, or `001.txt` beside `001.jpg`. `train.txt` and `test.txt` with
  paths are splits.
- **Files of other tools**: Label Studio, FiftyOne, CVAT, COCO, Pascal VOC, YOLO, LabelMe, CreateML, Supervisely,
  Datumaro, Hugging Face, WebDataset, ImageNet lists, Ground Truth, Vertex, Azure ML; MegaDetector, or a table with a
  column of shares a class, is what a model said. Of boxes, the class that all have in an image is its label.
- **Archives**, zip or tar (also packed), and archives in these: each is a folder called like it, `cat.zip` a folder
  `cat`.
- **Animations, TIFFs of several pages, videos** (extra `video`): the first frame, every n-th, or one each n seconds, as
  you choose; frames have the label of their file and are one group.
- **Images that belong together**: a column of the table, such as `scene`, `video` or `patient`; folders, file names
  like `scene12_frame003.jpg`, or bursts by camera and time, which you choose.
- **Images**: JPEG, PNG, WebP, BMP, GIF, TIFF and AVIF; HEIC, JPEG XL, DICOM and many-band TIFF with extras.

You see what it is taken for, and can change it, before anything is written.
"""


def page() -> None:
    """Draw the page."""
    opened = state.current()
    if opened is None:
        _start()
    elif (delivery := looked_at(opened)) is not None:
        _draw(opened, delivery)
    else:
        add, project = st.columns([2, 1], gap="large")
        with add:
            _add(opened)
        with project:
            st.subheader("Project")
            _open(opened)
            _create(first=False)


def _draw(opened: OpenProject, delivery: Delivery) -> None:
    """Draw a delivery: how far the look into it is, or what was found."""
    if delivery.scan is None:
        offer(opened, delivery)
    elif state.get("preview") is None:
        watch(opened, delivery, delivery.scan)
    else:
        _confirm(opened, delivery, state.get("preview"))


def _start() -> None:
    """Draw what a person sees who has no project open."""
    st.subheader("Sort your images into classes")
    st.markdown("Give the project a name. Its images come next: a zip or a folder, labeled or not.")
    with st.container(width=480):
        _create(first=True)
        if state.projects():
            _open(None)


def _open(opened: OpenProject | None) -> None:
    projects = state.projects()
    roots = [str(path) for path in projects]
    at = roots.index(str(opened.project.root)) if opened is not None and str(opened.project.root) in roots else None

    def name(path: Path) -> str:
        return opened.project.store.name if opened is not None and path == opened.project.root else path.name

    chosen = st.selectbox(
        "Open a project",
        projects,
        index=at,
        format_func=name,
        placeholder="Choose a project",
        key=f"open_project_{opened.key if opened is not None else ''}",  # a new choice for each project looked at
    )
    if chosen is not None and (opened is None or chosen != opened.project.root):
        try:
            state.open_project(chosen)
        except StarlingError as error:
            state.show_error(error)
        else:
            st.rerun()


def _create(*, first: bool) -> None:
    with st.form("new_project", clear_on_submit=True, border=True):
        name = st.text_input("New project", placeholder="Name, such as Trash photos")
        locked, why = state.only_reads(), "Starling was started with --read-only."
        if st.form_submit_button(
            "Create", icon=":material/add:", type="primary" if first else "secondary", disabled=locked,
            help=why if locked else None,
        ):  # fmt: skip
            try:
                state.create_project(name)
            except StarlingError as error:
                state.show_error(error)
            else:
                st.rerun()


def _add(opened: OpenProject) -> None:
    """Draw the ways in."""
    _announce(opened)
    if opened.project.store.counts().images:
        goal_line(opened, "import")
    st.subheader("Add images")
    failed = state.get("scan_failed")
    if failed is not None:
        state.forget("scan_failed")
        state.show_error(failed)
    if state.get("went"):
        state.forget("went")
        st.info("What was shown here was imported or thrown away meanwhile, in another window.")
    if opened.read_only:
        st.info("Nothing can be imported into a project that is open read-only.")
        return
    waiting(opened)
    by_zip, by_folder = st.tabs(["Upload a zip or tar", "Folder on this machine"])
    with by_zip:
        uploaded = upload_box(opened.base, key=f"upload_{opened.key}")
        if uploaded is not None and (delivery := opened.deliveries.get(uploaded.id)) is not None:
            open_delivery(delivery)
    with by_folder, st.form("folder", border=False):
        text = st.text_input("Folder or file (zip, tar, Arrow, Parquet, video)", placeholder="/path/to/images")
        if st.form_submit_button("Look inside", icon=":material/search:") and text.strip():
            given = Path(text.strip()).expanduser()
            source = ImportSource(kind_of(given), given, name=given.name)
            open_delivery(opened.deliveries.begin(source, uploaded=False))
    with st.expander("What can be read"):
        st.markdown(ABOUT)


def _confirm(opened: OpenProject, delivery: Delivery, preview: ImportPreview) -> None:
    labeled = sum(preview.counts.values())
    st.subheader(f"Add images to {state.plain(opened.project.store.name)}")
    st.markdown(_summary(preview, labeled))
    if why := why_read_so(preview):
        st.caption(why)
    if labeled == 0:
        st.info(
            "Nothing here is labeled. Import the images as they are, and label a first batch on the Review page: at "
            "least 2 images in each of 2 classes."
        )
    elif len(preview.counts) == 1 and len(opened.project.store.classes()) <= 1:
        st.warning("All labels are of one class. At least 2 are needed; add another on the Review page.")
    read = partial(opened.deliveries.read_again, delivery)
    ask(preview, read)
    guessed = any(one.sure or one.proposed for one in preview.groupings)
    group_by = _groups(preview) if guessed else NONE
    class_list(opened.base, preview)
    notices(preview)
    listing("Refused files", preview.refused)
    listing("Conflicting labels: imported without a label", preview.conflicts)
    with st.expander("More choices"):
        choose_reading(preview, read)
        if not guessed:
            group_by = _groups(preview)
        use_labels = st.checkbox("Take the labels too", value=True, disabled=labeled == 0, key="take_labels")
    _bar(opened, delivery, preview, use_labels=use_labels, group_by=group_by)


def _summary(preview: ImportPreview, labeled: int) -> str:
    """Return in one line what a source holds; what there is none of is left out."""
    classes = some(len(preview.counts), "class", "classes")
    parts = [
        f"{labeled:,} labeled in {classes}" if labeled else "none labeled",
        f"{preview.unlabeled:,} unlabeled" if preview.unlabeled and labeled else "",
        f"{preview.predicted:,} with a prediction" if preview.predicted else "",
        f":orange[{some(len(preview.refused), 'file')} refused]" if preview.refused else "",
        f"{some(preview.skipped, 'file')} left out" if preview.skipped else "",
    ]
    return f"**{state.plain(preview.source)}**: **{some(len(preview.found), 'image')}**, " + ", ".join(
        filter(None, parts)
    )


def _bar(opened: OpenProject, delivery: Delivery, preview: ImportPreview, *, use_labels: bool, group_by: str) -> None:
    with next_step():
        wanted = st.button(
            f"Import {some(len(preview.found), 'image')}", type="primary", icon=":material/check:", key="import"
        )
        dropped = st.button("Discard", icon=":material/close:", key="discard")
        later()
        place = st.empty()
    if dropped:
        drop(opened, delivery)
    if wanted:
        with place:
            _commit(opened, delivery, preview, use_labels=use_labels, group_by=group_by)


def _groups(preview: ImportPreview) -> str:
    """Let the person choose which images belong together; return the key of the choice."""
    ways = {one.key: one for one in preview.groupings if one.sure or one.proposed or one.groups > 1}
    if not ways:
        return NONE
    keys = [*ways, NONE]
    alone = "each image by itself" + ", frames of a file together" * (FILE in ways)
    chosen = st.selectbox(
        "Images that belong together",
        keys,
        index=keys.index(preview.group_by),
        format_func=lambda key: alone if key == NONE else _group_words(ways[key]),
        key=f"group_by_{preview.staging.name}",
        help="Frames of one scene, of a burst or a video are nearly equal. A group is never trained on and measured "
        "with at the same time.",
    )
    if chosen == NONE:
        if words := warning(preview.groupings):
            st.warning(state.plain(words))
        return NONE
    one = ways[chosen]
    st.caption(
        f"For example {state.plain(one.example)}; the largest group has {some(one.largest, 'image')}. Figures will "
        "count groups, not images."
    )
    return str(chosen)


def _group_words(one: Grouping) -> str:
    mark = " (said by the source)" if one.sure else " (proposed)" if one.proposed else ""
    return f"{one.title}{mark}: {some(one.images, 'image')} in {some(one.groups, 'group')}"


def _commit(
    opened: OpenProject, delivery: Delivery, preview: ImportPreview, *, use_labels: bool, group_by: str
) -> None:
    bar = st.progress(0.0, "Importing")
    try:
        with opened.deliveries.taking(delivery):
            result = opened.project.imports.commit(
                preview, telling(bar.progress), use_labels=use_labels, group_by=group_by
            )
    except StarlingError as error:
        bar.empty()
        state.show_error(error)
        return
    look_at(None)
    state.put("imported", result)
    st.rerun()


def _announce(opened: OpenProject) -> None:
    """Say what came in, and lead on, until the next source is looked at."""
    result: ImportResult | None = state.get("imported")
    if result is None:
        return
    parts = [
        f"Imported {some(result.added, 'image')} with {some(result.labels_added, 'label')} in {result.seconds:.1f} s",
        f"{result.already_there:,} were already here" if result.already_there else "",
        f"{result.refused:,} refused" if result.refused else "",
    ]
    st.success("; ".join(filter(None, parts)) + ".")
    listing("Labels that differ from those in force: the ones in force stay", result.differing)
    counts = opened.project.store.counts()
    with st.container(horizontal=True, vertical_alignment="center"):
        if counts.unlabeled and st.button(
            "Review images" if counts.labeled else "Label a first batch", type="primary",
            icon=":material/keyboard:", key="go_review",
        ):  # fmt: skip
            st.switch_page(REVIEW)
        if counts.labeled and st.button(
            "Train a round", type="secondary" if counts.unlabeled else "primary", icon=":material/model_training:",
            key="go_train",
        ):  # fmt: skip
            st.switch_page(TRAIN)


page()
