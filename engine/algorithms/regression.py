"""Multinomial logistic regression on what describes the images, from the labels alone: what the transductive model is
judged by, as networks are by the supervised baseline.

Coordinates z of pretrained features or gradients as in `engine.algorithms.transductive`, and the same regression; its C
is chosen by cross-validation, which keeps groups together. Principal coordinates are found from all images of the set,
as there; no label is given to an image that has none.

Runs on the CPU. Measured: the rows "regression" of `starling bench photos`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.algorithms.transductive import AT_ONCE, check_described, described, of_all_classes, one_thread
from engine.live.regression import Regression, best_strength, fit_regression
from engine.live.space import SAMPLE, Space, evenly
from engine.training.config import TrainConfig
from engine.training.evaluate import chunks
from engine.training.pools import Pools, check_two_classes
from engine.training.protocol import Metrics
from engine.training.start import seed_everything


@dataclass(frozen=True)
class SetRegressionConfig:
    """The regression has no settings of its own."""


class SetRegression:
    """A run of the regression; see `engine.training.protocol.Algorithm` and `HasRowPredictions`. It is one step.

    Raises:
        RoundBlocked: labels of fewer than two classes, or photos that are not given as features.
    """

    def __init__(self, config: SetRegressionConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        if not pools.vectors:
            check_described(pools.channels, pools.size)
        check_two_classes(pools)
        seed_everything(train.seed)
        self._train, self._pools = train, pools
        self.epochs = self.steps_per_epoch = 1
        self._classes, self._labels = np.unique(pools.train_y.numpy(), return_inverse=True)
        self._found: tuple[Space, Regression] | None = None

    def steps_in(self, epoch: int) -> int:
        """Return 1."""
        return 1

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Find the coordinates and fit the regression."""
        pools = self._pools
        members = torch.cat([pools.train_idx, pools.heldout_idx, pools.unlabeled_idx]).sort().values
        with one_thread():
            space = Space.fit(
                described(pools.images[members[torch.from_numpy(evenly(len(members), SAMPLE))]]), self._train.seed
            )
            z, _ = space.coordinates(described(pools.images[pools.train_idx]))
            strength = best_strength(z, self._labels, pools.train_groups)
            self._found = space, fit_regression(z, self._labels, strength)
        logits = torch.from_numpy(self._found[1].logits(z))
        yield {"loss": F.cross_entropy(logits, torch.from_numpy(self._labels))}

    def predict_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (m, num_classes) and coordinates z (m, 256), float32, of rows of the pools' images."""
        model = self._model()
        z = torch.cat([model.features(self._pools.images[part]) for part in chunks(rows, AT_ONCE)] or [model.nothing])
        return model.head(z), z

    def eval_model(self) -> nn.Module:
        """Return the regression."""
        return self._model()

    def _model(self) -> SetRegressionModel:
        assert self._found is not None, "the step comes first"
        return SetRegressionModel(*self._found, torch.from_numpy(self._classes), self._pools.num_classes)

    def state_dict(self) -> dict[str, Any]:
        """Return the coordinates' axes and the weights."""
        assert self._found is not None, "the step comes first"
        space, regression = asdict(self._found[0]), asdict(self._found[1])
        return {
            "space": {key: torch.as_tensor(value) for key, value in space.items()},
            "regression": {key: torch.as_tensor(value) for key, value in regression.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        space, regression = (
            {key: value.numpy() for key, value in state[name].items()} for name in ("space", "regression")
        )
        self._found = Space(**space | {"rooted": bool(space["rooted"])}), Regression(**regression)


class SetRegressionModel(nn.Module):
    """The regression as the evaluation sees it: images or vectors in, logits of all classes out, z as features.

    Computes on the CPU whatever the device; one parameter of no use says so.
    """

    def __init__(self, space: Space, regression: Regression, classes: Tensor, num_classes: int) -> None:
        super().__init__()
        self.here = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._space, self._regression = space, regression
        self._classes, self._num_classes = classes, num_classes

    @property
    def nothing(self) -> Tensor:
        """Coordinates z (0, 256) of no image."""
        return torch.empty(0, self._space.axes.shape[1])

    def features(self, inputs: Tensor) -> Tensor:
        """Return the coordinates z (B, 256) float32 of images (B, 1, H, W) uint8 or vectors (B, D)."""
        with one_thread():
            return torch.from_numpy(self._space.coordinates(described(inputs))[0])

    def head(self, z: Tensor) -> Tensor:
        """Return the logits (B, num_classes) float32 of coordinates (B, 256)."""
        return of_all_classes(torch.from_numpy(self._regression.logits(z.numpy())), self._classes, self._num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (B, num_classes) float32."""
        return self.head(self.features(inputs))
