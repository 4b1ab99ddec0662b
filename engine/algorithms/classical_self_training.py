"""Classical self-training: a scikit-learn classifier labels a few images at a time and is fitted anew with them.

Source: the self-training wrapper of a public article on MNIST; the idea is Scudder 1965 and Yarowsky 1995. Images are
normalised, reduced to principal coordinates, and joined by the products of two coordinates each. "draws": the
unlabeled images are drawn without replacement, `sample_rate` of them at a time. With n = ⌈1 / sample_rate⌉ draws,
    epoch 1: fit on the labels;  epoch k + 1: label draw k with the classifier of epoch k, append, fit anew,
so that the last of the n + 1 epochs has the last draw in it (the article's code never fits its last draw). "sklearn":
two epochs: the labels alone, then scikit-learn's SelfTrainingClassifier around a calibrated classifier, which labels
all images above a threshold at once, repeatedly.

Choices and deviations:
- The class of a pseudo-label is `classes_[argmax]`: classes need not be 0..K-1, nor all have labels.
- An image below `threshold` when drawn is left out for good; it is not drawn again.
- Coordinates are scaled by one number to a mean squared length of 1: unscaled, their products drown them and the
  stochastic classifier does not settle.
- Runs on the CPU; network, augmentation, optimizer and epochs of the round do not apply.

Measured (`starling bench logreg`, seeds 0-4): MNIST, 1,000 labels: 93.82 ± 0.33 % of the test images, 92.20 ± 0.67 %
before it labels for itself.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import SelfTrainingClassifier
from torch import Tensor, nn

from engine.algorithms.classical_model import ClassicalModel, Coordinates, probabilities, with_products
from engine.training.config import TrainConfig
from engine.training.pools import Pools, check_two_classes
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything


@dataclass(frozen=True)
class ClassicalSelfTrainingConfig:
    """Settings of classical self-training; `TrainConfig.epochs` is not used, the draws give the epochs.

    Raises:
        ConfigError: a value is outside its range.
    """

    method: Literal["draws", "sklearn"] = setting(
        "draws",
        "Method",
        "draws labels a few images at a time. sklearn labels all sure images at once, several times over, with "
        "calibrated probabilities; it has two epochs.",
        choices=("draws", "sklearn"),
    )
    classifier: Literal["sgd", "logistic", "random_forest", "knn"] = setting(
        "sgd",
        "Classifier",
        "sgd: linear, quick with many images; logistic: linear, exact, slower; random_forest: many decision trees; "
        "knn: the nearest labeled images decide, slow with many images.",
        choices=("sgd", "logistic", "random_forest", "knn"),
    )
    alpha: float = setting(
        1e-5,
        "Regularisation",
        "Of the linear classifiers: larger gives smoother boundaries. With few labels try 0.001.",
        min=1e-9,
        max=10.0,
    )
    dimensions: int = setting(
        50, "Coordinates", "So many principal coordinates stand for an image; fewer where it has less.", min=1, max=200
    )
    products: Literal["auto", "on", "off"] = setting(
        "auto",
        "Products",
        "Adds all products of two coordinates, so that linear classifiers draw curved boundaries; auto does so for "
        "those only.",
        choices=("auto", "on", "off"),
    )
    sample_rate: float = setting(
        0.04,
        "Share a draw",
        "Share of the unlabeled images labeled between two fits: 0.04 makes 25 draws and 26 epochs. The number of "
        "epochs of the round is not used.",
        min=0.002,
        max=1.0,
    )
    ramp: bool = setting(
        False, "Growing draws", "The draws grow evenly from small to large; their number stays the same."
    )
    threshold: float = setting(
        0.0, "Threshold", "Draws: images less sure than this are left out for good; 0 uses all.", min=0.0, max=1.0
    )
    sklearn_threshold: float = setting(
        0.9, "Threshold, sklearn", "Method sklearn: images at least this sure are labeled.", min=0.0, max=0.999
    )

    def __post_init__(self) -> None:
        check_settings(self)


def _sgd(config: ClassicalSelfTrainingConfig, images: int, seed: int) -> Any:
    return SGDClassifier(loss="log_loss", alpha=config.alpha, random_state=seed)


def _logistic(config: ClassicalSelfTrainingConfig, images: int, seed: int) -> Any:
    return LogisticRegression(C=1 / (config.alpha * images), max_iter=200)  # alpha counts per image, C in all


def _random_forest(config: ClassicalSelfTrainingConfig, images: int, seed: int) -> Any:
    return RandomForestClassifier(random_state=seed)


def _knn(config: ClassicalSelfTrainingConfig, images: int, seed: int) -> Any:
    return KNeighborsClassifier(n_neighbors=min(5, images), weights="distance")


CLASSIFIERS: dict[str, Callable[[ClassicalSelfTrainingConfig, int, int], Any]] = {
    "sgd": _sgd,
    "logistic": _logistic,
    "random_forest": _random_forest,
    "knn": _knn,
}
"""Classifiers by name, built for the settings, the number of images to fit and a seed. To add one: a line here and in
the choices above; it must have `predict_proba`."""
LINEAR = ("sgd", "logistic")
FOLDS = 3


def draw_sizes(unlabeled: int, sample_rate: float, ramp: bool) -> list[int]:
    """Return the sizes of the ⌈1 / sample_rate⌉ draws, which sum to `unlabeled`; with `ramp` they grow evenly."""
    draws = math.ceil(1 / sample_rate - 1e-9)
    if ramp:
        ends = [round(unlabeled * k * (k + 1) / (draws * (draws + 1))) for k in range(draws + 1)]
    else:
        ends = [min(unlabeled, round(unlabeled * sample_rate * k)) for k in range(draws)] + [unlabeled]
    return [after - before for before, after in itertools.pairwise(ends)]


class ClassicalSelfTraining:
    """A run of classical self-training; see `engine.training.protocol.Algorithm`.

    Its state is the coordinates and what was labeled how; the classifier is fitted anew from them, to the very same.

    Raises:
        RoundBlocked: there are labels of fewer than two classes, or no unlabeled images.
    """

    def __init__(
        self, config: ClassicalSelfTrainingConfig, train: TrainConfig, pools: Pools, device: torch.device
    ) -> None:
        check_two_classes(pools)
        seed_everything(train.seed)
        self.config, self._pools, self._seed = config, pools, train.seed
        self._sizes = draw_sizes(len(pools.unlabeled_idx), config.sample_rate, config.ramp)
        self.epochs = 1 + len(self._sizes) if config.method == "draws" else 2
        self.steps_per_epoch = 2
        self._order = torch.randperm(len(pools.unlabeled_idx), generator=torch.Generator().manual_seed(train.seed))
        self._coordinates = Coordinates(pools, config.dimensions, train.seed)
        self._products = config.products == "on" or (config.products == "auto" and config.classifier in LINEAR)
        self._rows, self._labels = pools.train_idx[:0], pools.train_y[:0]  # labeled by this run
        self._classifier: Any = None

    def steps_in(self, epoch: int) -> int:
        """Return 2, labeling and fitting; the first epoch only fits."""
        return 2 if epoch else 1

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Label one draw with the classifier as it is, then fit it anew."""
        if epoch:
            if self.config.method == "draws":
                self._label(epoch - 1)
            else:
                self._label_all()
            yield self._metrics()
        self._fit()
        yield self._metrics()

    def _metrics(self) -> Metrics:
        pools = self._pools
        x = self._coordinates.of_rows(pools.images, pools.train_idx)
        on_labeled = probabilities(self._fitted(), x, self._products, pools.num_classes)
        loss = -float(np.log(on_labeled[np.arange(len(x)), pools.train_y.numpy()]).mean())
        return {"loss": loss, "used_share": len(self._rows) / len(pools.unlabeled_idx)}

    def _label(self, draw: int) -> None:
        """Append one draw, as the present classifier labels it."""
        start = sum(self._sizes[:draw])
        rows = self._pools.unlabeled_idx[self._order[start : start + self._sizes[draw]]]
        x = self._coordinates.of_rows(self._pools.images, rows)
        on_drawn = probabilities(self._fitted(), x, self._products, self._pools.num_classes)
        sure = torch.from_numpy(on_drawn.max(1) >= self.config.threshold)
        self._append(rows[sure], torch.from_numpy(on_drawn.argmax(1))[sure])

    def _label_all(self) -> None:
        """Append what scikit-learn's SelfTrainingClassifier labels."""
        pools = self._pools
        x = self._features(torch.cat([pools.train_idx, pools.unlabeled_idx]))
        y = np.concatenate([pools.train_y.numpy(), np.full(len(pools.unlabeled_idx), -1)])
        with _quiet():
            done = SelfTrainingClassifier(self._new(), threshold=self.config.sklearn_threshold).fit(x, y)
        labels = torch.from_numpy(np.asarray(done.transduction_[len(pools.train_idx) :], np.int64))  # −1: none
        self._append(pools.unlabeled_idx[labels >= 0], labels[labels >= 0])

    def _append(self, rows: Tensor, labels: Tensor) -> None:
        self._rows = torch.cat([self._rows, rows])
        self._labels = torch.cat([self._labels, labels])

    def _features(self, rows: Tensor) -> Any:
        return with_products(self._coordinates.of_rows(self._pools.images, rows), self._products)

    def _fit(self) -> None:
        """Fit a fresh classifier on the labels and on all that was labeled so far."""
        x = self._features(torch.cat([self._pools.train_idx, self._rows]))
        y = torch.cat([self._pools.train_y, self._labels]).numpy()
        with _quiet():
            self._classifier = self._new(len(x)).fit(x, y)

    def _new(self, images: int | None = None) -> Any:
        """Return an unfitted classifier; for method sklearn calibrated, where every class has labels enough."""
        images = images or len(self._pools.train_y)
        counts = torch.bincount(self._pools.train_y)
        folds = min(FOLDS, int(counts[counts > 0].min()))
        make = CLASSIFIERS[self.config.classifier]
        if self.config.method == "draws" or folds < 2:
            return make(self.config, images, self._seed)
        # each of its classifiers is fitted to at least images // folds of them
        return CalibratedClassifierCV(make(self.config, images // folds, self._seed), cv=folds)

    def _fitted(self) -> Any:
        if self._classifier is None:
            self._fit()
        return self._classifier

    def eval_model(self) -> nn.Module:
        """Return the present classifier; its logits are log-probabilities, its features the coordinates."""
        return ClassicalModel(self._coordinates, self._fitted(), self._products, self._pools.num_classes)

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return {
            "coordinates": self._coordinates.state_dict(),
            "order": self._order,
            "rows": self._rows,
            "labels": self._labels,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back and fit the classifier it had."""
        self._coordinates.load_state_dict(state["coordinates"])
        self._order, self._rows, self._labels = state["order"], state["rows"], state["labels"]
        self._fit()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warning that a classifier stopped before it converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
