"""Predictions that came with an import are kept, and are a first guess for live labels until answers overrule it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from engine.errors import ProjectCorrupt
from engine.importers.scan import ImportSource
from engine.jobs import features_work
from engine.project import given_predictions
from engine.project.opened import Project
from engine.records.imports import GivenPrediction
from engine.records.labels import ImageItem
from tests.browser.digits import digit_pictures
from tests.engine.project.test_live import answer, begun, fitted, right, to_learn
from tests.ready_project import write_zip

IMAGES = 300


def items(count: int) -> list[ImageItem]:
    return [ImageItem(n, f"{n:064x}", f"{n}.png", "PNG", 8, 8, 1, 100) for n in range(1, count + 1)]


def test_predictions_are_kept_and_later_ones_replace_those_of_the_same_image(tmp_path: Path) -> None:
    assert given_predictions.read(tmp_path) == {}
    given_predictions.keep(tmp_path, {"a": GivenPrediction("cat", 0.8), "b": GivenPrediction("dog")})
    given_predictions.keep(tmp_path, {"b": GivenPrediction("owl", 0.5), "c": GivenPrediction("猫", 1.0)})
    assert given_predictions.read(tmp_path) == {
        "a": GivenPrediction("cat", 0.8), "b": GivenPrediction("owl", 0.5), "c": GivenPrediction("猫", 1.0),
    }  # fmt: skip


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / given_predictions.FILE).write_bytes(b"PAR1 no")
    with pytest.raises(ProjectCorrupt, match="cannot be read"):
        given_predictions.read(tmp_path)


def test_the_guess_gives_a_class_its_confidence_and_says_nothing_where_nothing_is_said(tmp_path: Path) -> None:
    images = items(4)
    given_predictions.keep(
        tmp_path,
        {
            images[0].sha256: GivenPrediction("dog", 0.7), images[1].sha256: GivenPrediction("cat", 0.0),
            images[2].sha256: GivenPrediction("fox", 0.9),
        },
    )  # fmt: skip
    guess = given_predictions.first_guess(tmp_path, images, ["cat", "dog", "owl"])
    assert guess is not None
    np.testing.assert_allclose(
        np.exp(guess.log_probabilities),
        [[0.15, 0.7, 0.15], [1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, 1 / 3]],
        atol=1e-6,
    )
    assert given_predictions.first_guess(tmp_path, items(4), ["ant", "bee"]) is None


@pytest.fixture
def predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs_here: None) -> Iterator[Project]:
    """Digits without a label, with a model's predictions of which 70 of 100 are right."""
    monkeypatch.setattr(features_work, "MOST_ON_CPU", 0)  # gradients alone
    write_zip(tmp_path / "digits.zip", digit_pictures(IMAGES, 0))
    with Project.create(tmp_path / "digits", "Digits") as project:
        preview = project.imports.scan(ImportSource("zip", tmp_path / "digits.zip"))
        rng, target = np.random.default_rng(0), load_digits().target
        found = []
        for image in preview.found:
            digit = int(target[int(Path(image.name).stem)])
            said = digit if rng.random() < 0.7 else (digit + 1) % 10
            found.append(replace(image, predicted=GivenPrediction(str(said), 0.8)))
        counts = dict.fromkeys("0123456789", 0)
        project.imports.commit(replace(preview, found=tuple(found), counts=counts, predicted=len(found)))
        assert project.store.classes() == tuple("0123456789")
        project.live.turn(True)
        yield project
        project.live.close()


def test_live_labels_begin_with_predictions_that_came_with_the_images(predicted: Project) -> None:
    begun(predicted)
    state = predicted.live.state()
    assert (state.words, state.labels, state.guess_say) == ("First guess, nothing measured.", 0, 0.5)
    assert right(predicted) > 0.8, "neighbours correct the guess"
    assert list(predicted.store.entries()) == [], "no prediction became a label"
    answer(predicted, to_learn(predicted, 12))
    assert fitted(predicted)
    assert predicted.live.state().guess_say > 0.3
