"""Whatever people send: every label and every split is right, or the preview tells what may not be."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from engine.errors import ImportRefused
from tests.engine.importers.deliveries import Delivery, Door, Truth, labeled_tables, trees, unsaid
from tests.engine.importers.import_samples import png

EXAMPLES = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Door(tmp_path_factory.mktemp("door")) as opened:
        yield opened


@EXAMPLES
@given(trees())
def test_no_label_of_a_folder_is_wrong_or_lost_without_a_word(door: Door, delivery: Delivery) -> None:
    assert unsaid(delivery, door.look(delivery)) == []


@EXAMPLES
@given(labeled_tables())
def test_no_label_of_a_table_is_wrong_or_lost_without_a_word(door: Door, delivery: Delivery) -> None:
    try:
        preview = door.look(delivery)
    except ImportRefused:
        return
    assert unsaid(delivery, preview) == []


@pytest.mark.parametrize("label", ["dog", None])
def test_a_wrong_label_is_noticed_here(door: Door, label: str | None) -> None:
    """What `unsaid` would miss, the tests above could not see."""
    files = {"cat/1.png": png(1), "dog/2.png": png(2)}
    right = Delivery(files, {"cat/1.png": Truth("cat"), "dog/2.png": Truth("dog")})
    assert unsaid(right, door.look(right)) == []
    wrong = Delivery(files, {"cat/1.png": Truth(label), "dog/2.png": Truth("dog")})
    assert unsaid(wrong, door.look(wrong)) == [f"cat/1.png has the label 'cat', not {[label] if label else []}"]
