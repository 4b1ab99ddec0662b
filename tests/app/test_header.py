"""The name under which decisions are recorded, on the way from the browser's cookie to the pages."""

from __future__ import annotations

import pytest

from app import state
from app.routes.review import actor_of


@pytest.mark.parametrize(
    ("cookie", "name"),
    [
        (None, "local"),
        ("", "local"),
        ("Ada", "Ada"),
        ("J%C3%BCrgen%20K.", "Jürgen K."),
        ("%00", "local"),
        ("x" * 99, "x" * 60),
    ],
)
def test_actor_is_what_the_cookie_says_or_local(cookie: str | None, name: str) -> None:
    assert actor_of({} if cookie is None else {"starling_who": cookie}) == name


def test_name_just_given_counts_before_the_browser_connects_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.st, "session_state", {})
    state.take_actor(None)
    assert state.st.session_state == {}
    state.take_actor("Ada")
    assert state.actor() == "Ada"
