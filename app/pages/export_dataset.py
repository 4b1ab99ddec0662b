"""Export: choose what goes in, see how many of each, write the file, download it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import get_args
from urllib.parse import quote, urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import state
from app.components.lock import writing
from app.components.next_step import next_step
from app.components.quality.goal import goal_line
from app.components.quality.words import some
from app.components.revisions import choose_revision, revisions_part
from app.server import workbench
from app.server.gate import COOKIE
from app.server.workbench import OpenProject
from app.source_words import FULL, counted
from engine.errors import ConfigError, StarlingError
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.exporters.split import Shares, shares_of
from engine.percent import percent
from engine.project.export_files import ExportFile
from engine.quality import scale
from engine.quality.audit import statement
from engine.records.labels import LabelSource

LABELS = frozenset(get_args(LabelSource))
_NEWEST_FIRST = """<style>@media (max-width: 640px) {
  [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] .st-key-export_files) {flex-wrap: wrap-reverse;}
}</style>"""
_SEEN = (
    "The file says it of each image. Reviewed is what a person had alone in front and answered for; of a tile it says "
    "how long it was on the screen."
)
_COMMAND = (
    "Run it again after a break. TOKEN is the one in the address that Starling printed when it started. A browser can "
    "go on with a download here too."
)
GUARD = "Guard cells for spreadsheets"
GUARD_HELP = (
    "A spreadsheet computes a cell that begins with =, +, -, @ or a tab, even in a CSV that somebody sent. With the "
    "guard an apostrophe stands before such names and labels, so that they are no longer what was stored: leave it off "
    "for programs and for importing the file again. No certificate goes with a guarded file. In an Excel table no text "
    "is ever computed."
)
SPLIT = "Split into train, val and test"
SPLIT_HELP = (
    "By class as far as it goes. Images of one group, such as frames of a scene, are all in one split. An image that "
    "came in a split stays there. The seed chooses which images go where: the same one gives the same splits."
)


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    if not opened.project.store.counts().images:
        st.info("This project has no images yet. Import some first; with their labels they leave from here.")
        st.page_link("pages/import_images.py", label="Go to Import", icon=":material/upload:")
        return
    goal_line(opened, "export")
    newest = state.get("exported")
    if newest:
        st.html(_NEWEST_FIRST)
    left, right = st.columns([2, 3], gap="large")
    with left:
        options, wrong, below_sources = _options(opened)
        refusal = opened.project.exports.refusal(options)
        if refusal is not None:
            with below_sources:
                state.show_error(refusal)
        counts = opened.project.exports.counts(options)
        st.caption(f"By where they come from: {counted(counts) or 'none'}.", help=_SEEN)
    with right:
        exports, revisions = st.tabs(["Exports", "Revisions"])
        with exports, st.container(key="export_files"):
            _exports(opened, newest)
        with revisions:
            revisions_part(opened)
    _bar(opened, options, counts, wrong or refusal)


def _bar(opened: OpenProject, options: ExportOptions, counts: Mapping[str, int], refusal: StarlingError | None) -> None:
    images = sum(counts.values())
    with next_step():
        wanted = st.button(
            f"Export {some(images, 'image')}", type="primary", icon=":material/archive:",
            key="run_export", **writing(opened, disabled=images == 0 or refusal is not None),
        )  # fmt: skip
        place = st.empty()
        place.caption(
            f"Not possible so: {state.plain(refusal.cause)}." if refusal else _contents(opened, options, counts)
        )
    if not wanted:
        return
    with place:
        bar = st.progress(0.0, "Exporting")

        def progress(label: str, done: int, total: int) -> None:
            bar.progress(done / total if total else 1.0, f"{label}: {done:,} of {total:,}" if total else label)

        try:
            target = opened.project.exports.write(options, progress)
        except StarlingError as error:
            bar.empty()
            state.show_error(error)
            return
    state.put("exported", target.name)
    st.rerun()


def _options(opened: OpenProject) -> tuple[ExportOptions, ConfigError | None, DeltaGenerator]:
    """Draw what can be chosen; return it, what is wrong with the split, and the place below the sources."""
    form = st.selectbox("Format", list(EXPORTERS), format_func=lambda key: EXPORTERS[key].title, key="export_format")
    st.caption(EXPORTERS[form].summary)
    at = choose_revision(opened)
    images = _selection(opened)
    sources, least = _sources(opened, images, at)
    below_sources = st.container()
    unlabeled = st.checkbox("Images without a label too", value=True, key="export_unlabeled")
    audit = None if at is not None else _audited(opened)
    shares, seed, wrong = _split()
    guard = form == "csv" and audit is None and st.checkbox(GUARD, key="export_guard", help=GUARD_HELP)
    if wrong is not None:
        state.show_error(wrong)
    options = ExportOptions(
        form, sources, least, unlabeled, images=images, split=shares, split_seed=seed, audit=audit, at=at,
        for_spreadsheets=guard,
    )  # fmt: skip
    return options, wrong, below_sources


def _sources(opened: OpenProject, images: frozenset[int] | None, at: str | None) -> tuple[frozenset[str], float]:
    """Draw the sources of which there are labels; return those that count, and the least confidence."""
    there = opened.project.exports.counts(ExportOptions(sources=LABELS, images=images, at=at))
    chosen = {source for source in LABELS if not there[source]}  # of which there is nothing to choose
    if len(chosen) < len(LABELS):
        st.markdown("What goes in")
    for source, text in FULL.items():
        if source in LABELS and there[source] and st.checkbox(
            f"{text}: {there[source]:,}", value=True, key=f"source_{source}"
        ):  # fmt: skip
            chosen.add(source)
    least = 0.95
    possible = at is None and opened.project.results.in_force() is not None
    if possible and st.checkbox(FULL["pseudo"], key="source_pseudo"):
        chosen.add("pseudo")
        least = st.slider("Least confidence of a pseudo-label", 0.0, 1.0, least, 0.01, help=_confidence_help(opened))
    return frozenset(chosen), least


def _contents(opened: OpenProject, options: ExportOptions, counts: Mapping[str, int]) -> str:
    """Return what the file will hold and how much of it is expected to be wrong, in words."""
    labels = sum(counts[source] for source in LABELS)
    parts = [
        some(labels, "label"),
        some(counts["pseudo"], "pseudo-label") if counts["pseudo"] else "",
        f"{counts['unlabeled']:,} unlabeled" if counts["unlabeled"] else "",
    ]
    return f"{', '.join(filter(None, parts))}. {_expected(opened, options, counts)}"


def _expected(opened: OpenProject, options: ExportOptions, counts: Mapping[str, int]) -> str:
    """Return how many labels of the file are expected to be wrong, in words; "" where nothing says it."""
    if options.audit is not None:
        return f"With a certificate: {state.plain(statement(opened.project.audits.get(options.audit)))}."
    labels = sum(counts[source] for source in LABELS)
    if options.at is not None or options.images is not None or not labels:
        return ""
    report = opened.project.goals.report(0.0)[0]
    if report is None:
        return ""
    there = [one for one in report.standing.by_source if one.source in options.sources and counts[one.source]]
    wrong = sum(one.wrong for one in there if one.source in LABELS)
    known = f"by {report.standing.answers:,} answers of the audit" if report.standing.answers else "nothing audited yet"
    beside = "; of pseudo-labels the Quality page says it" if counts["pseudo"] else ""
    return f"Expected wrong among the labels: about {percent(wrong / labels)}, {known}{beside}."


def _split() -> tuple[Shares | None, int, ConfigError | None]:
    """Return the shares of train, val and test where a split is wanted, its seed, and what is wrong with the shares."""
    if not st.checkbox(SPLIT, key="export_split", help=SPLIT_HELP):
        return None, 0, None
    left, right = st.columns([3, 1])
    text = left.text_input("Percent of train, val and test", "80, 10, 10", key="export_shares")
    seed = right.number_input("Seed", 0, value=0, key="export_seed")
    try:
        return shares_of(text), seed, None
    except ConfigError as error:
        return None, seed, error


def _audited(opened: OpenProject) -> int | None:
    """Return the audit whose frozen labels are exported where these are wanted; None for pseudo-labels of now."""
    record = opened.project.exports.audited()
    if record is None:
        return None
    found = opened.project.audits.get(record.number)
    wanted = st.checkbox(
        f"All {found.labels:,} labels as audit {record.number} froze them", key="export_audited",
        value=found.record.scope == "export" and found.total.shown,
        help="Images that have no label of their own take the prediction that was audited, however sure. Without it, "
        "predictions that are left out or have changed weaken what the certificate states.",
    )  # fmt: skip
    st.caption(f"A certificate is exported with them: {state.plain(statement(found))}.")
    return record.number if wanted else None


def _confidence_help(opened: OpenProject) -> str:
    """Say what stands behind the confidences of the round in force."""
    number = opened.project.results.in_force()
    about = f"The model's own number. It needs an audit of this threshold, or {scale.TENS} measured answers."
    return about if number is None else f"{about} {opened.project.measured.scale(number).note}"


def _selection(opened: OpenProject) -> frozenset[int] | None:
    """Return the images selected on the map where only those are wanted; None for all."""
    size = state.selection_size(opened)
    if not size or not st.checkbox(f"Only the {size:,} images selected on the map", key="export_selection"):
        return None
    return frozenset(opened.selection)


def _exports(opened: OpenProject, newest: str | None) -> None:
    files = opened.project.exports.finished.all()[:20]
    if not files:
        st.info("Nothing exported yet. Every export carries where each label came from, and the whole ledger.")
        return
    for file in files:
        left, right = st.columns([3, 1], vertical_alignment="center")
        mark = ":green[:material/check_circle:] " if file.name == newest else ""
        left.markdown(f"{mark}{state.plain(file.name)} &nbsp; {_size(file.size)}")
        if file.sha256 is not None:
            left.caption(f"SHA-256 `{file.sha256}`")
        elif left.button("Compute its SHA-256", key=f"sum_{file.name}", type="tertiary"):
            with st.spinner("Reading the file"):
                opened.project.exports.finished.sha256(file.name)
            st.rerun()
        right.link_button("Download", _address(opened, file), icon=":material/download:")
    with st.expander("By command, also on after a break"):
        st.code(_command(opened, files[0]), "bash", wrap_lines=True)
        st.caption(_COMMAND)


def _address(opened: OpenProject, file: ExportFile) -> str:
    """The path that the file is downloaded from; with its version, so that a part is never gone on with by another."""
    return f"{opened.base}/exports/{quote(os.fsencode(file.name))}?version={file.version}"


def _command(opened: OpenProject, file: ExportFile) -> str:
    """The command that downloads a file, or goes on where it broke off."""
    here = urlsplit(st.context.url or workbench.current().url)
    signed_in = any(name.startswith(COOKIE) for name in st.context.cookies)
    token = "--header 'Authorization: Bearer TOKEN' " if signed_in else ""
    address = shlex.quote(f"{here.scheme}://{here.netloc}{_address(opened, file)}")
    return f"curl --fail --continue-at - {token}--output {shlex.quote(file.name)} {address}"


def _size(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} bytes"


page()
