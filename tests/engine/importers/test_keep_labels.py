from collections import Counter

import pytest

from engine.errors import ConfigError
from engine.importers.keep_labels import choose_kept

LABELS = {f"{label}{number}": label for label, size in {"a": 50, "b": 50, "c": 3}.items() for number in range(size)}


@pytest.mark.parametrize(
    ("total", "counts"),
    [(0, []), (2, [1, 1]), (3, [1, 1, 1]), (9, [3, 3, 3]), (10, [4, 3, 3]), (23, [10, 10, 3]), (103, [50, 50, 3])],
)
def test_the_number_kept_is_exact_and_even(total: int, counts: list[int]) -> None:
    kept = choose_kept(LABELS, total, seed=0)
    assert len(kept) == total
    assert sorted(Counter(LABELS[name] for name in kept).values(), reverse=True) == counts


def test_1000_labels_of_9_classes_are_1000() -> None:
    labels = {str(number): str(number % 9) for number in range(9000)}
    kept = choose_kept(labels, 1000, seed=3)
    assert sorted(Counter(labels[name] for name in kept).values()) == [111] * 8 + [112]


def test_the_seed_decides() -> None:
    assert choose_kept(LABELS, 20, 1) == choose_kept(dict(reversed(LABELS.items())), 20, 1)
    assert choose_kept(LABELS, 20, 1) != choose_kept(LABELS, 20, 2)


@pytest.mark.parametrize("total", [-1, 104])
def test_impossible_numbers_are_refused(total: int) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.103"):
        choose_kept(LABELS, total, 0)
