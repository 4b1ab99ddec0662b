"""The review grid: many predictions at once; the wrong ones are marked, all others accepted as one batch."""

from __future__ import annotations

from collections.abc import Sequence

from app.components.mount import mount, rerun

_mount = mount("review_grid", "style.css")


def review_grid(
    base: str,
    *,
    round_number: int | None,
    only: str,
    classes: Sequence[str],
    sorts: Sequence[tuple[str, str]],
    key: str = "review_grid",
) -> None:
    """Show predictions as a grid; batches go from the browser straight to the project's routes, never through a rerun.

    The page runs again after a batch was saved or taken back, so that the counts outside the grid are those of now.

    Args:
        base: route base of the open project, such as ``/starling/p/digits``.
        round_number: the round whose predictions are shown; None is the promoted one, if any.
        only: which images, as `/grid` takes it: "unreviewed", "marked", "all", "selection", "audit:<n>" and so on.
        classes: class names in key order.
        sorts: key and title of each order that `/grid` can give, the default first.
        key: identity of this mount; the same key keeps page, marks and choices over reruns.
    """
    data = {
        "base": base,
        "round": round_number,
        "only": only,
        "classes": list(classes),
        "sorts": [list(one) for one in sorts],
    }
    _mount(key=key, data=data, on_saved_change=rerun)
