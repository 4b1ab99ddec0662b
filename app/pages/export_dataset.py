"""Export: choose what goes in, see how many of each, write the file, download it."""

from __future__ import annotations

import os
import shlex
from urllib.parse import quote, urlsplit

import streamlit as st

from app import state
from app.components.quality.goal import goal_line
from app.server import workbench
from app.server.gate import COOKIE
from app.server.workbench import OpenProject
from app.source_words import FULL, counted
from engine.errors import ConfigError, StarlingError
from engine.exporters import EXPORTERS
from engine.exporters.collect import ExportOptions
from engine.exporters.split import Shares, shares_of
from engine.project.export_files import ExportFile
from engine.quality import scale
from engine.quality.audit import statement

_SEEN = (
    "The file says it of each image. Reviewed is what a person had alone in front and answered for; of a tile it says "
    "how long it was on the screen."
)
_COMMAND = (
    "Run it again after a break. TOKEN is the one in the address that Starling printed when it started. A browser can "
    "go on with a download here too."
)
SPLIT = "Split into train, val and test"
SPLIT_HELP = (
    "By class as far as it goes. Images of one group, such as frames of a scene, are all in one split. An image that "
    "came in a split stays there. The seed chooses which images go where: the same one gives the same splits."
)


def page() -> None:
    """Draw the page."""
    opened = state.need_project()
    goal_line(opened, "export")
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.subheader("What goes in")
        has_round = opened.project.results.in_force() is not None
        chosen = {
            source
            for source, text in FULL.items()
            if st.checkbox(
                text,
                value=source != "pseudo",
                key=f"source_{source}",
                disabled=source == "pseudo" and not has_round,
                help="Needs a round in force." if source == "pseudo" and not has_round else None,
            )
        }
        least = st.slider(
            "Least confidence of a pseudo-label", 0.0, 1.0, 0.95, 0.01, disabled="pseudo" not in chosen,
            help=_confidence_help(opened),
        )  # fmt: skip
        unlabeled = st.checkbox("Images without a label too", value=True)
        form = st.selectbox(
            "Format", list(EXPORTERS), format_func=lambda key: EXPORTERS[key].title, key="export_format"
        )
        st.caption(EXPORTERS[form].summary)
        shares, seed, wrong = _split()
        options = ExportOptions(
            form, frozenset(chosen), least, unlabeled, images=_selection(opened), split=shares, split_seed=seed,
            audit=_audited(opened),
        )  # fmt: skip
        counts = opened.project.exports.counts(options)
        refusal = wrong or opened.project.exports.refusal(options)
        if refusal is not None:
            state.show_error(refusal)
        cells = st.columns(3)
        cells[0].metric("Labels", f"{sum(counts.values()) - counts['pseudo'] - counts['unlabeled']:,}")
        cells[1].metric("Pseudo-labels", f"{counts['pseudo']:,}")
        cells[2].metric("Unlabeled", f"{counts['unlabeled']:,}")
        st.caption(f"By where they come from: {counted(counts) or 'none'}.", help=_SEEN)
        if st.button(
            "Export",
            type="primary",
            icon=":material/archive:",
            disabled=sum(counts.values()) == 0 or refusal is not None,
            key="run_export",
        ):
            bar = st.progress(0.0, "Exporting")

            def progress(label: str, done: int, total: int) -> None:
                bar.progress(done / total if total else 1.0, label)

            try:
                target = opened.project.exports.write(options, progress)
            except StarlingError as error:
                state.show_error(error)
            else:
                state.put("exported", target.name)
            bar.empty()
    with right:
        st.subheader("Exports")
        _exports(opened, state.get("exported"))


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
    cookie = f"{COOKIE}_{here.port or (443 if here.scheme == 'https' else 80)}"
    token = f"--cookie {cookie}=TOKEN " if cookie in st.context.cookies else ""
    address = shlex.quote(f"{here.scheme}://{here.netloc}{_address(opened, file)}")
    return f"curl --fail --continue-at - {token}--output {shlex.quote(file.name)} {address}"


def _size(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} bytes"


page()
