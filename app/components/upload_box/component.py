"""The upload box: one file that holds images, dropped or chosen, streamed from the browser to the upload route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.components.mount import mount, rerun
from engine.importers.archive_kinds import STREAMED

_mount = mount("upload_box", "style.css")


@dataclass(frozen=True, slots=True)
class Upload:
    """A finished upload: its id at the upload route, and the file's name in the browser (for display only)."""

    id: str
    name: str


def upload_box(
    base: str, *, accept: str = ",".join(STREAMED), key: str = "upload_box", on_uploaded: Callable[[], None] = rerun
) -> Upload | None:
    """Show the box; return the upload in the one run that follows its end, None in all others.

    Args:
        base: what `/upload` is appended to: the base of an open project, or the one for a new project.
        accept: file suffixes taken, separated by commas.
        key: identity of this mount.
        on_uploaded: called before the page runs again after an upload.
    """
    result = _mount(key=key, data={"base": base, "accept": accept}, on_uploaded_change=on_uploaded)
    uploaded = getattr(result, "uploaded", None)
    if not isinstance(uploaded, dict) or not isinstance(uploaded.get("id"), str):
        return None
    return Upload(uploaded["id"], str(uploaded.get("name", "")))
