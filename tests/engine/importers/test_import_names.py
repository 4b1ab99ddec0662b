import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.importers.names import collisions, is_junk, label_flaw, name_flaw, shown


@given(st.text(max_size=500))
def test_a_shown_name_is_always_printable_and_bounded(name: str) -> None:
    assert shown(name).isprintable()
    assert len(shown(name)) <= 301


def test_a_plain_name_is_shown_as_it_is() -> None:
    assert shown("größe/日本 1.png") == "größe/日本 1.png"


@pytest.mark.parametrize("name", ["a.png", "a/b c.png", "a:b", "CON", "c:d.png", "-x", "a..b/..c.png"])
def test_harmless_names_have_no_flaw(name: str) -> None:
    assert name_flaw(name) is None


@pytest.mark.parametrize("name", ["manifest.json", "provenance.jsonl", "a/.x/b", "__MACOSX/a", "THUMBS.DB"])
def test_litter_and_own_manifests_are_junk(name: str) -> None:
    assert is_junk(name)


@pytest.mark.parametrize("name", ["a.png", "a/../b.png", "./a.png", "manifest.png"])
def test_images_are_no_junk(name: str) -> None:
    assert not is_junk(name)


def test_collisions_group_case_and_accent_forms() -> None:
    assert collisions(["A.png", "a.png", "b.png", "e\u0301", "\xe9", "b.png"]) == [
        ("A.png", "a.png"),
        ("e\u0301", "\xe9"),
    ]


@pytest.mark.parametrize("label", ["", " ", "a\nb", "x" * 201, "\ud800"])
def test_what_cannot_be_a_class_name_has_a_flaw(label: str) -> None:
    assert label_flaw(label)
