"""The review surface: images one after another in the browser, decisions by key, kept until the ledger has them."""

from __future__ import annotations

from collections.abc import Sequence

from app.components.mount import mount

_mount = mount("review_surface", "style.css")


def review_surface(
    base: str,
    *,
    strategy: str,
    round_number: int | None,
    only: str,
    classes: Sequence[str],
    key: str = "review_surface",
) -> None:
    """Show the review queue; decisions go from the browser straight to the project's routes, never through a rerun.

    Args:
        base: route base of the open project, such as ``/starling/p/digits``.
        strategy: key of QUERY_STRATEGIES that orders the queue.
        round_number: the round whose predictions are shown; None is the promoted one, if any.
        only: which images, as in the queue route: "unreviewed" leaves out what has a label or a mark; "marked" shows
            only what has a mark; "audit:3" what is left of that audit's sample; "issues", "conflicts", "all", ….
        classes: class names in key order.
        key: identity of this mount; the same key keeps its place in the queue over reruns.
    """
    data = {
        "base": base,
        "strategy": strategy,
        "round": round_number,
        "only": only,
        "classes": list(classes),
    }
    _mount(key=key, data=data)
