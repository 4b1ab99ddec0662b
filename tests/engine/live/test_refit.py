from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from engine.live.model import ImageSet, Labeled, clamped, fitted
from engine.live.refit import LiveModel, LiveRefit

Ints = NDArray[np.int64]


@pytest.fixture(scope="module")
def digits() -> tuple[ImageSet, Ints]:
    """1,797 written digits, their pixels for features, and their classes."""
    found = load_digits()
    return ImageSet.of(found.data.astype(np.float32)), found.target


def labels_of(y: Ints, rows: Ints) -> Labeled:
    return Labeled(rows, y[rows], np.zeros(int(y[rows].max()) + 1, np.int64))


def few(y: Ints, each: int, seed: int = 0) -> Ints:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(y == k))[:each] for k in range(int(y.max()) + 1)])


def least_sure(refit: LiveRefit, rows: Ints, count: int) -> Ints:
    undecided = np.setdiff1d(np.arange(len(refit.confidence)), rows)
    return undecided[np.argsort(refit.probabilities[undecided].max(1), kind="stable")[:count]]


def same_first_class(one: LiveRefit, other: LiveRefit) -> float:
    return float((one.probabilities.argmax(1) == other.probabilities.argmax(1)).mean())


@pytest.mark.parametrize("prepared", [True, False])
def test_a_run_of_warm_fits_says_what_cold_ones_say(digits: tuple[ImageSet, Ints], prepared: bool) -> None:
    images, y = digits
    rows, model = few(y, 5), LiveModel(images, votes=8.0)
    refit = model.refit(labels_of(y, rows))
    for _ in range(12):
        more = least_sure(refit, rows, 10)
        if prepared:
            model.prepare(more)
        rows = np.concatenate([rows, more])
        refit = model.refit(labels_of(y, rows))
        cold = LiveModel(images, votes=8.0).refit(labels_of(y, rows))
        assert refit.warm
        assert not cold.warm
        assert same_first_class(refit, cold) >= 0.999
        assert refit.prior is not None
        assert cold.prior is not None
        np.testing.assert_allclose(refit.prior.spreading, cold.prior.spreading, atol=1e-3)


def test_a_cold_fit_is_that_of_a_round(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    labeled = labels_of(y, few(y, 3))
    refit = LiveModel(images).refit(labeled)
    prior, logits = fitted(images, labeled, strength=30.0, rounds=8, votes=4.0)
    np.testing.assert_allclose(refit.probabilities, clamped(logits, labeled), atol=1e-5)
    np.testing.assert_allclose(refit.cautious, prior.cautious.predict_proba(images.z), atol=1e-5)


def test_the_confidence_is_the_cautious_regression_s_and_labels_are_certain(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    rows = few(y, 4)
    refit = LiveModel(images).refit(labels_of(y, rows))
    rest = np.setdiff1d(np.arange(len(y)), rows)
    first = refit.probabilities.argmax(1)
    assert refit.prior is not None
    expected = refit.prior.cautious.predict_proba(images.z)[rest, first[rest]]
    np.testing.assert_allclose(refit.confidence[rest], expected, rtol=1e-5)
    assert (refit.confidence[rows] == 1).all()
    assert (first[rows] == y[rows]).all()
    right = (first == y)[rest]
    assert refit.confidence[rest].mean() < right.mean() < refit.probabilities[rest].max(1).mean() + 0.02


def test_a_changed_or_withdrawn_label_a_new_class_and_other_images_start_cold(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    rows = few(y, 5)[:45]  # nine classes
    model = LiveModel(images)
    model.refit(labels_of(y, rows))
    assert model.refit(labels_of(y, rows)).warm
    wrong = labels_of(y, rows)
    wrong.labels[0] = 3
    changed = model.refit(wrong)
    assert not changed.warm
    assert changed.probabilities[rows[0], 3] == 1
    assert not model.refit(labels_of(y, rows[1:])).warm
    assert not model.refit(labels_of(y, few(y, 5))).warm
    assert not model.refit(labels_of(y, few(y, 5)), warm=False).warm
    model.replace_images(images)
    assert not model.refit(labels_of(y, few(y, 5))).warm


def test_the_confidence_s_strength_is_chosen_anew_only_after_a_fifth_more_labels(
    digits: tuple[ImageSet, Ints], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, y = digits
    asked: list[int] = []
    monkeypatch.setattr("engine.live.refit.best_strength", lambda z, labels, groups: asked.append(len(z)) or 1.0)
    model, order = LiveModel(images), np.concatenate([few(y, 1), np.setdiff1d(few(y, 14), few(y, 1))])
    for count in (100, 110, 119, 120, 130, 90):
        model.refit(labels_of(y, order[:count]))
    assert asked == [100, 120, 90]


def test_prepared_images_that_are_no_longer_asked_for_are_forgotten(digits: tuple[ImageSet, Ints]) -> None:
    images, y = digits
    model, rows = LiveModel(images), few(y, 5)
    model.refit(labels_of(y, rows))
    undecided = np.setdiff1d(np.arange(len(y)), rows)
    model.prepare(undecided[:12])
    model.prepare(undecided[6:18])
    assert sorted(model._ahead) == undecided[6:18].tolist()


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, pkgutil, importlib, engine.live\n"
        "for one in pkgutil.iter_modules(engine.live.__path__): importlib.import_module('engine.live.' + one.name)\n"
        "import numpy as np\n"
        "from engine.live.model import ImageSet, Labeled\n"
        "from engine.live.refit import LiveModel\n"
        "x = np.random.default_rng(0).normal(size=(60, 9)).astype(np.float32)\n"
        "LiveModel(ImageSet.of(x)).refit(Labeled(np.arange(8), np.arange(8) % 2, np.zeros(2, np.int64)))\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
