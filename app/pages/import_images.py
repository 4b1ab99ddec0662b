"""Import: choose or make a project, show what a source holds, then take it in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from app import state
from app.components.import_reading import choose_reading, class_table
from app.components.quality.goal import goal_line
from app.components.upload_box.component import upload_box
from app.server.workbench import OpenProject
from engine.errors import StarlingError
from engine.importers.grouping import NONE, warning
from engine.importers.scan import ImportSource, discard, kind_of
from engine.records.imports import ImportPreview, ImportResult


def page() -> None:
    """Draw the page."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        _projects()
    with right:
        opened = state.current()
        if opened is None:
            st.subheader("Start here")
            st.markdown(
                "1. Make a project.\n2. Upload a zip with your images. Those you have labeled lie in a folder a class, "
                "or are named in a CSV beside them.\n3. Train a round; look at its pseudo-labels; correct those it is "
                "least sure of; export."
            )
            return
        _import(opened)


def _projects() -> None:
    st.subheader("Project")
    opened = state.current()
    projects = state.projects()
    if projects:
        roots = [str(path) for path in projects]
        at = roots.index(str(opened.project.root)) if opened is not None and str(opened.project.root) in roots else None
        chosen = st.selectbox(
            "Open a project",
            projects,
            index=at,
            format_func=lambda path: path.name,
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
    with st.form("new_project", clear_on_submit=True, border=True):
        name = st.text_input("New project", placeholder="Name")
        if st.form_submit_button("Create", icon=":material/add:"):
            try:
                state.create_project(name)
            except StarlingError as error:
                state.show_error(error)
            else:
                st.rerun()


def _import(opened: OpenProject) -> None:
    if opened.project.store.counts().images:
        goal_line(opened, "import")
    st.subheader("Add images")
    _announce()
    preview: ImportPreview | None = state.get("preview")
    if preview is not None:
        _confirm(opened, preview)
        return
    by_zip, by_folder, rules = st.tabs(["Upload a zip", "Folder on this machine", "How labels are found"])
    with by_zip:
        uploaded = upload_box(opened.base, key=f"upload_{opened.key}")
        path = opened.uploads.pop(uploaded.id, None) if uploaded is not None else None
        if uploaded is not None and path is not None:
            try:
                _scan(opened, ImportSource("zip", path, name=uploaded.name))
            finally:
                path.unlink(missing_ok=True)
    with by_folder, st.form("folder", border=False):
        text = st.text_input("Folder or file (zip, tar, Arrow, Parquet)", placeholder="/path/to/images")
        if st.form_submit_button("Look inside", icon=":material/search:") and text.strip():
            given = Path(text.strip()).expanduser()
            _scan(opened, ImportSource(kind_of(given), given, name=given.name))
    with rules:
        st.markdown(
            "- **Class tree**: `cat/001.jpg` or `train/cat/001.jpg` is labeled “cat”. Images outside the class "
            "folders, or in `_unlabeled`, `unlabeled` or `no_label`, are unlabeled.\n"
            "- **Tables** beside the images: CSV, TSV, Excel, JSON Lines or Parquet with any header, or one column a "
            "class. An empty label is unlabeled. Labels are text: “007” stays “007”.\n"
            "- **Files of other tools**: Label Studio, FiftyOne, CVAT, COCO, Datumaro, Hugging Face, WebDataset, "
            "ImageNet lists, Ground Truth, Vertex, Azure ML; MegaDetector as predictions.\n"
            "- **What it is taken for** is shown with the classes it would make, what else it could be and what is "
            "doubtful; you can change it before anything is written.\n"
            "- **Images that belong together**: a column of the table, such as `scene`, `video` or `patient`; folders, "
            "file names like `scene12_frame003.jpg`, or bursts by camera and time, which you choose.\n"
            "- JPEG, PNG, WebP, BMP, GIF, TIFF and AVIF; HEIC, JPEG XL, DICOM and many-band TIFF with extras. "
            "Everything is looked at before anything is written, and what is refused is listed with the reason."
        )


def _scan(opened: OpenProject, source: ImportSource) -> None:
    bar = st.progress(0.0, "Looking inside")

    def progress(label: str, done: int, total: int) -> None:
        bar.progress(done / total if total else 0.0, f"{label}: {done:,} of {total:,}" if total else label)

    try:
        preview = opened.project.imports.scan(source, progress)
    except StarlingError as error:
        bar.empty()
        state.show_error(error)
        return
    state.put("preview", preview)
    st.rerun()


def _confirm(opened: OpenProject, preview: ImportPreview) -> None:
    labeled = sum(preview.counts.values())
    st.markdown(
        f"**{state.plain(preview.source)}** holds **{len(preview.found):,} images** ({state.plain(preview.layout)}): "
        f"{labeled:,} labeled in {len(preview.counts)} classes, {preview.unlabeled:,} unlabeled; "
        f"{len(preview.refused):,} files refused, {preview.skipped:,} skipped."
    )
    if labeled == 0:
        st.warning(
            "Nothing here is labeled. A round needs at least 2 labeled images in each of 2 classes. You can import the "
            "images as they are and label a first batch on the Review page."
        )
    elif len(preview.counts) == 1 and len(opened.project.store.classes()) <= 1:
        st.warning(
            "All labels are of one class. A round needs at least 2; add a class and label some on the Review page."
        )
    choose_reading(preview)
    for notice in preview.notices:
        st.caption(f":material/info: {state.plain(notice)}")
    class_table(preview)
    _listing("Refused files", preview.refused)
    _listing("Conflicting labels: imported without a label", preview.conflicts)
    group_by = _groups(preview)
    use_labels = st.checkbox("Take the labels too", value=True, disabled=labeled == 0)
    yes, no, _ = st.columns([1, 1, 3])
    if yes.button("Import", type="primary", icon=":material/check:", width="stretch"):
        _commit(opened, preview, use_labels=use_labels, group_by=group_by)
    if no.button("Discard", icon=":material/close:", width="stretch"):
        discard(preview)
        state.forget("preview")
        st.rerun()


def _groups(preview: ImportPreview) -> str:
    """Let the person choose which images belong together; return the key of the choice."""
    if not preview.groupings:
        return NONE
    ways = {one.key: one for one in preview.groupings}
    keys = [*ways, NONE]

    def title(key: str) -> str:
        if key == NONE:
            return "each image by itself"
        one = ways[key]
        mark = " (said by the source)" if one.sure else " (proposed)" if one.proposed else ""
        return f"{one.title}{mark}: {one.images:,} images in {one.groups:,} groups"

    chosen = st.selectbox(
        "Images that belong together",
        keys,
        index=keys.index(preview.group_by),
        format_func=title,
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
        f"For example {state.plain(one.example)}; the largest group has {one.largest:,} images. Figures will count "
        "groups, not images."
    )
    return str(chosen)


def _listing(title: str, rows: object) -> None:
    listed = [(row.name, row.reason) for row in rows]  # type: ignore[attr-defined]
    if listed:
        with st.expander(f"{title} ({len(listed):,})", expanded=len(listed) <= 10):
            st.dataframe(pd.DataFrame(listed, columns=["file", "reason"]), hide_index=True)


def _commit(opened: OpenProject, preview: ImportPreview, *, use_labels: bool, group_by: str) -> None:
    bar = st.progress(0.0, "Importing")

    def progress(label: str, done: int, total: int) -> None:
        bar.progress(done / total if total else 1.0, f"{label}: {done:,} of {total:,}" if total else label)

    try:
        result = opened.project.imports.commit(preview, progress, use_labels=use_labels, group_by=group_by)
    except StarlingError as error:
        bar.empty()
        state.show_error(error)
        return
    state.forget("preview")
    state.put("imported", result)
    st.rerun()


def _announce() -> None:
    result: ImportResult | None = state.get("imported")
    if result is None:
        return
    state.forget("imported")
    st.success(
        f"Imported {result.added:,} images with {result.labels_added:,} labels in {result.seconds:.1f} s; "
        f"{result.already_there:,} were already here, {result.refused:,} refused."
    )
    _listing("Labels that differ from those in force: the ones in force stay", result.differing)
    st.page_link("pages/train_rounds.py", label="Next: train a round", icon=":material/arrow_forward:")


page()
