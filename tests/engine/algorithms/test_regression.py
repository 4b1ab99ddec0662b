from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from engine.algorithms.regression import SetRegression, SetRegressionConfig
from engine.errors import RoundBlocked
from engine.live import regression as live
from engine.training.config import TrainConfig
from engine.training.evaluate import predict_logits
from engine.training.pools import Pools

CPU = torch.device("cpu")
NONE = torch.empty(0, dtype=torch.int64)


@pytest.fixture(scope="module")
def pools() -> Pools:
    """600 written digits, five labels a class, the next 100 held out."""
    found = load_digits()
    images = torch.from_numpy(found.images[:600] * 15.9).to(torch.uint8)[:, None]
    y = torch.from_numpy(found.target[:600]).long()
    labeled = torch.cat([torch.nonzero(y == c)[:5, 0] for c in range(10)])
    rest = torch.from_numpy(np.setdiff1d(np.arange(600), labeled.numpy()))
    return Pools(images, labeled, y[labeled], rest[:100], y[rest[:100]], rest[100:], 10)


def trained(pools: Pools) -> SetRegression:
    run = SetRegression(SetRegressionConfig(), TrainConfig(seed=1), pools, CPU)
    (told,) = run.steps(0)
    assert float(told["loss"]) > 0
    return run


def test_it_is_a_logistic_regression_on_the_coordinates_by_the_labels_alone(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STRENGTHS", (1.0,))
    run = trained(pools)
    logits, z = run.predict_rows(torch.arange(600))
    fitted = LogisticRegression(C=1.0, tol=1e-6, max_iter=2000).fit(z[pools.train_idx].double(), pools.train_y)
    np.testing.assert_allclose(logits.softmax(1), fitted.predict_proba(z.double()), atol=2e-3)
    assert float((logits.argmax(1)[pools.heldout_idx] == pools.heldout_y).double().mean()) > 0.85


def test_its_strength_is_chosen_by_cross_validation_over_whole_groups(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "engine.algorithms.regression.best_strength", lambda z, labels, groups: asked.append(groups) or 100.0
    )
    groups = torch.arange(600) // 2
    trained(replace(pools, groups=groups))
    assert asked[0].tolist() == groups[pools.train_idx].tolist()


def test_labels_of_held_out_images_change_nothing(pools: Pools) -> None:
    lied = replace(pools, heldout_y=(pools.heldout_y + 1) % 10)
    rows = torch.arange(600)
    assert torch.equal(trained(pools).predict_rows(rows)[0], trained(lied).predict_rows(rows)[0])


def test_images_outside_get_the_very_same_and_none_is_fine(pools: Pools) -> None:
    run = trained(pools)
    rows = torch.tensor([3, 599, 0])
    assert torch.equal(predict_logits(run.eval_model(), pools.images, rows, CPU), run.predict_rows(rows)[0])
    logits, z = run.predict_rows(NONE)
    assert (logits.shape, len(z)) == ((0, 10), 0)


def test_a_class_without_a_label_is_predicted_for_no_image(pools: Pools) -> None:
    some = pools.train_y != 4
    run = trained(replace(pools, train_idx=pools.train_idx[some], train_y=pools.train_y[some]))
    probabilities = run.predict_rows(pools.unlabeled_idx)[0].softmax(1)
    assert (probabilities[:, 4] < 1e-6).all()
    assert set(probabilities.argmax(1).tolist()) == set(range(10)) - {4}


def test_vectors_are_taken_and_photos_as_pixels_refused(make_pools: Callable[..., Pools], pools: Pools) -> None:
    vectors = torch.randn(600, 16) + 4 * torch.nn.functional.one_hot(torch.arange(600) % 3, 16)
    y = torch.arange(600) % 3
    run = trained(
        replace(pools, images=vectors, train_y=y[pools.train_idx], heldout_y=y[pools.heldout_idx], num_classes=3)
    )
    assert float((run.predict_rows(torch.arange(600))[0].argmax(1) == y).double().mean()) > 0.9
    colour = replace(pools, images=pools.images.expand(-1, 3, -1, -1))
    with pytest.raises(RoundBlocked, match="pretrained features"):
        trained(colour)
