import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.importers.names import collisions, is_junk, label_flaw, name_flaw, natural_key, shown, tidy_label, twins

UNSEEN = st.text(
    st.sampled_from(
        " \t\n\r\x00\x85\xa0\xad\u034f\u115f\u180e\u2003\u200b\u200d\u200e\u2028\u202e\u2060\u2800\u3000\u3164\ufeff"
    ),
    max_size=4,
)


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


@given(st.text())
def test_a_tidy_label_is_nfc_and_stays_as_it_is(text: str) -> None:
    tidy = tidy_label(text)
    assert unicodedata.is_normalized("NFC", tidy)
    assert tidy_label(tidy) == tidy
    assert tidy in unicodedata.normalize("NFC", text)


@given(UNSEEN, UNSEEN, UNSEEN)
def test_what_cannot_be_seen_goes_at_the_ends_and_stays_inside(before: str, inside: str, after: str) -> None:
    assert tidy_label(f"{before}ice{inside}cream{after}") == f"ice{inside}cream"
    assert tidy_label(before + after) == ""


@pytest.mark.parametrize(
    "label",
    [
        "cat",
        "ice  cream",
        "0",
        "-",
        "_x_",
        "❤\ufe0f",
        "👩\u200d🚀",
        "🏴\U000e0067\U000e0062\U000e007f",
        "ไม้",
        "می\u200cخواهم",
    ],
)
def test_what_can_be_seen_is_kept(label: str) -> None:
    assert tidy_label(f" \ufeff{label}\xa0\u200e") == unicodedata.normalize("NFC", label)


def test_accents_are_put_together() -> None:
    assert tidy_label("Ka\u0308fer ") == "Käfer"


def test_twins_differ_only_in_case_accent_form_and_marks_between() -> None:
    labels = ["Cat", "cat", "cat ", "dog", "ice cream", "Ice_Cream", "icecream", "ice-cream", "Ka\u0308fer", "Käfer"]
    assert twins(labels) == [
        ("Cat", "cat", "cat "),
        ("Ice_Cream", "ice cream", "ice-cream", "icecream"),
        ("Ka\u0308fer", "Käfer"),
    ]


def test_marks_between_digits_and_alone_tell_labels_apart() -> None:
    assert twins(["1-2", "12", "1_23", "12_3", "-", "_", "a1", "a2", "Kafer", "Käfer", "cat", "cat"]) == []
    assert twins(["1-2", "1_2"]) == [("1-2", "1_2")]
    assert twins(["-1", "1", "\u22121"]) == [("-1", "\u22121")]


@given(st.lists(st.text(max_size=4)))
def test_twins_are_sorted_groups_of_different_labels_each_in_one(labels: list[str]) -> None:
    groups = twins(labels)
    members = [label for group in groups for label in group]
    assert len(members) == len(set(members))
    assert set(members) <= set(labels)
    assert all(len(group) > 1 and list(group) == sorted(group) for group in groups)


@given(st.text("aB1ä -_", min_size=1).map(lambda text: f"x{text}y"))
def test_case_form_and_marks_never_part_twins(label: str) -> None:
    same = {label, label.upper(), f" {label}\u200b", unicodedata.normalize("NFD", label), label.replace(" ", "_")}
    assert twins(same) == [tuple(sorted(same))]


def test_names_that_differ_in_case_alone_have_one_order_too() -> None:
    twins = {"cat", "Cat", "CAT", "cat 2", "cat 10"}
    assert sorted(twins, key=natural_key) == ["CAT", "Cat", "cat", "cat 2", "cat 10"]
    assert len({natural_key(name) for name in twins}) == len(twins)
