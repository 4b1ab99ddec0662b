from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.benchmarks import command
from engine.benchmarks.first_guess import CHANCE, GROUPS, GUESSES, PERMUTED, RIGHT, guess_of
from engine.benchmarks.options import Options
from engine.live.model import ImageSet

TRUTH = np.arange(600) % 5


@pytest.fixture(scope="module")
def images() -> ImageSet:
    rng = np.random.default_rng(0)
    return ImageSet.of((rng.normal(size=(5, 8))[TRUTH] + 0.5 * rng.normal(size=(600, 8))).astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "low", "high"), [(RIGHT, 0.65, 0.75), (GROUPS, 0.62, 0.78), (CHANCE, 0.14, 0.26), (PERMUTED, 0, 0.14)]
)
def test_a_made_up_guess_is_right_as_often_as_its_kind_says(
    images: ImageSet, kind: str, low: float, high: float
) -> None:
    guess = guess_of(kind, images, TRUTH, 0.7, seed=0)
    np.testing.assert_allclose(np.exp(guess).sum(1), 1, rtol=1e-5)
    assert low <= (guess.argmax(1) == TRUTH).mean() <= high


def test_errors_by_groups_are_shared_by_neighbours(images: ImageSet) -> None:
    def alike(kind: str) -> float:
        wrong = guess_of(kind, images, TRUTH, 0.7, seed=0).argmax(1) != TRUTH
        return float((wrong[images.graph.near[:, 0]] == wrong).mean())

    assert alike(GROUPS) > alike(RIGHT) + 0.1


def test_the_table_has_a_row_for_each_guess_and_says_what_it_counted(opened: list[str], tmp_path: Path) -> None:
    out = tmp_path / "guess.json"
    shown = command.run(Options("first-guess", tmp_path, "1", "cpu", out, ("backbone=a", "labels=0,2")), lambda _: None)
    assert all(f"{tmp_path.name}, {guess}" in shown for guess in GUESSES)
    runs = {run["row"].partition(", ")[2]: run["more"] for run in json.loads(out.read_text())["runs"]}
    assert runs["no guess"]["0 a class"] is None
    assert runs["no guess"]["2 a class, say"] == 0
    assert runs[RIGHT]["0 a class, say"] == 0.5
    assert runs[RIGHT]["0 a class"] > 60
    assert runs[PERMUTED]["20 answers, say"] == 0
