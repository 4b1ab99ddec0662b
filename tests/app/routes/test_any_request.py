"""Whatever is sent to any route, the answer is one of Starling's: what was asked for, or why not, in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.routes import requests as reading
from app.routes import table as routes
from app.server import workbench
from engine.errors import ConfigError
from engine.project.opened import Project
from engine.records.labels import is_reserved
from engine.store.rows import text_flaw
from tests.made_round import make_round

FIELDS = [
    "ids", "round", "limit", "exclude", "only", "strategy", "decisions", "uid", "image_id", "base_version", "action",
    "label", "confidence", "batch", "seconds", "seen_seconds", "asked", "blind", "actor", "target", "name", "from",
    "source", "k", "image", "kind", "layout", "epoch", "dark", "sort", "version",
]  # fmt: skip
SENSIBLE = [
    0, 1, 3, 5, 0.5, True, "left", "label", "accept", "all", "unreviewed", "audit:1", "selection", "u1", "start",
    "fresh", "cancel", "pixels", "1", "png", "moving", "local", [], [1, 2],
]  # fmt: skip
numbers = st.one_of(
    st.integers(-3, 12), st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**400]), st.floats()
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.sampled_from(["\ud800", "\x00", "\u202e", "", " ", "audit:" + "9" * 40, "audit:1:class:\ud83d", "x" * 5000]),
)  # fmt: skip
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts, st.sampled_from(SENSIBLE)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3)),
    max_leaves=4,
)
objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
decision = st.fixed_dictionaries(
    {"uid": values, "image_id": values, "base_version": values, "action": st.sampled_from(["label", "skip", 1])},
    optional=dict.fromkeys(["label", "actor", "batch", "asked", "blind", "round", "confidence"], values),
)  # fmt: skip
bodies = st.one_of(
    objects.map(json.dumps),
    st.lists(decision, max_size=3).map(lambda some: json.dumps({"decisions": some})),
    values.map(json.dumps),
    st.text(max_size=20),
    st.sampled_from(
        [
            '{"ids": [' + "9" * 5000 + "]}", '{"ids": ' + "[" * 100_000, '{"name": ' + '{"a": ' * 5000, '{"k": NaN}',
            '{"name": "a", "name": "b"}', '{"round": 1e999}', '{"round": -Infinity}', "",
        ]
    ),
).map(lambda text: text.encode(errors="surrogatepass"))  # fmt: skip
pieces = st.one_of(
    st.sampled_from(["1", "99", "-1", "9" * 5000, str(2**63), "..", "%2e%2e", "a%00b", "%ed%a0%80", "x" * 300]),
    texts.map(lambda text: quote(text.encode(errors="surrogatepass")) or "x"),
)  # fmt: skip
queries = st.dictionaries(
    st.sampled_from(FIELDS), st.one_of(texts, numbers.map(str), st.sampled_from(SENSIBLE).map(str)), max_size=5
)


@pytest.fixture
def project(client: TestClient) -> Project:
    """Of the six images 1 and 2 have no label; a round predicted all."""
    opened = workbench.current().opened()[0]
    opened.engine.stop()
    p = np.tile([0.3, 0.7], (6, 1))
    make_round(opened.project, p, epochs=[p], features=np.arange(12.0).reshape(6, 2))
    return opened.project


def _address(data: st.DataObject, path: str) -> str:
    found = path.removeprefix("/starling/p/{key}/")
    for name in ("image_id", "scan", "sha256", "file"):
        if f"{{{name}}}" in found:
            found = found.replace(f"{{{name}}}", data.draw(pieces, name))
    query = "&".join(
        f"{name}={quote(value.encode(errors='surrogatepass'))}" for name, value in data.draw(queries, "query").items()
    )
    return f"{found}?{query}"


OWN = [one for one in routes.ROUTES if "{key}" in one.path]


@pytest.mark.parametrize("route", OWN, ids=[one.path.removeprefix("/starling/p/{key}/") for one in OWN])
def test_any_request_is_answered_in_words(client: TestClient, project: Project, route: Any) -> None:
    before = project.store.classes()

    @settings(
        max_examples=60, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        method = data.draw(st.sampled_from(sorted((route.methods or set()) - {"HEAD"})), "method")
        body = data.draw(bodies, "body") if method == "POST" else None
        answer = client.request(method, _address(data, route.path), content=body)
        assert answer.status_code in {200, 206, 400, 404, 409}, answer.text
        if answer.text == "Not Found":
            assert answer.status_code == 404  # with its dots and slashes the address was that of no route
        elif answer.status_code >= 400:
            assert answer.json()["message"].strip()

    ask()
    after = project.store.classes()
    assert after[: len(before)] == before
    for name in after:
        assert text_flaw(name) is None
        assert not name.startswith(("[", "{")), "a list was taken for a name"
    decided = [one for one in project.store.entries() if one.action != "import"]
    assert not any(is_reserved(one.actor) or text_flaw(one.actor) for one in decided)
    assert project.store.verify() == []


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("classes", {"name": ["a"]}),
    ("classes", {"name": {"a": 1}}),
    ("classes", {"name": 7}),
    ("classes", {"name": "\ud83d"}),
    ("undo", {"uid": ["x"]}),
    ("undo", {"target": {"x": 1}}),
    ("queue", {"limit": -1}),
    ("queue", {"limit": 0}),
    ("queue", {"limit": 10**6}),
    ("queue", {"round": 2**63}),
    ("queue", {"round": -1}),
    ("queue", {"strategy": "x\ud800"}),
    ("queue", {"only": "audit:" + "9" * 30}),
    ("context", {"ids": [2**63]}),
    ("context", {"ids": [1], "round": -1}),
    ("map/selection", {"ids": [1, [2]]}),
    ("map/moving", {"round": 2**63, "action": "start"}),
    ("map/moving", {"round": 1, "action": ["start"]}),
]


@pytest.mark.parametrize(("path", "body"), WRONG, ids=[f"{path} {body!a}"[:50] for path, body in WRONG])
def test_field_that_is_something_else_is_refused_and_changes_nothing(
    client: TestClient, path: str, body: dict[str, Any]
) -> None:
    store = workbench.current().opened()[0].project.store
    before = (store.classes(), store.head_seq())
    answer = client.post(path, content=json.dumps(body))
    assert answer.status_code == 400
    assert answer.json()["message"]
    assert (store.classes(), store.head_seq()) == before


@pytest.mark.parametrize(
    "address",
    [
        "thumb/" + "9" * 5000, "item/9223372036854775808", "item/1?round=-1", "map/epochs?round=1&from=-1",
        "map/neighbours?image=1&k=0", "map/neighbours?image=1&k=1000000", "map/picture?epoch=" + "9" * 5000,
        "grid?round=1.5", "queue?limit=-1", "queue?exclude=1,x", "map/picture?dark=maybe", "item/²",
    ],
)  # fmt: skip
def test_address_that_is_something_else_is_refused(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 400
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too large"),
        (b'{"a": -' + b"9" * 5000 + b"}", "too large"),
        (b'{"a": NaN}', "no such number"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": "\xed\xa0\x80"}', "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b"", "not JSON"),
    ],
)
def test_body_that_is_no_object_is_refused_in_words(text: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        reading.parsed(text)
    assert len(str(caught.value)) < 300
    str(caught.value).encode()


def test_refusal_can_be_sent_whatever_the_value_was(client: TestClient) -> None:
    for text in ("\ud800", "\x00", "\u202eabc", "'\"<script>"):
        answer = client.post("queue", content=json.dumps({"strategy": text}))
        assert answer.status_code == 400
        assert answer.json()["message"]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda fields: fields.number("a"), True),
        (lambda fields: fields.number("a"), 1.0),
        (lambda fields: fields.number("a", 1, 3), 4),
        (lambda fields: fields.decimal("a"), float("nan")),
        (lambda fields: fields.decimal("a"), float("inf")),
        (lambda fields: fields.decimal("a"), 10**400),
        (lambda fields: fields.decimal("a"), -0.1),
        (lambda fields: fields.decimal("a", 1.0), 1.5),
        (lambda fields: fields.flag("a"), 1),
        (lambda fields: fields.flag("a"), "yes"),
        (lambda fields: fields.text("a", 3), "abcd"),
        (lambda fields: fields.ids("a", 2), [1, 2, 3]),
        (lambda fields: fields.ids("a", 2), [True]),
        (lambda fields: fields.each("a", 2), [{}, 1]),
        (lambda fields: fields.each("a", 2), [{}, {}, {}]),
        (lambda fields: fields.each("a", 2), None),
    ],
)
def test_value_that_is_no_such_thing_is_refused(read: Callable[[reading.Fields], Any], value: Any) -> None:
    with pytest.raises(ConfigError, match="“a”"):
        read(reading.Fields({"a": value}))
