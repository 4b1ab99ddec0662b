"""One model for few labels: labels spread over nearest neighbours, joined with a regression and class Gaussians.

It labels a given set of images together, so that from one label a class on each image's neighbours tell what it is; the
regression's say grows with the labels. Symbols: n labels, M images, K classes with a label; coordinates z, zw, u of
pretrained features or gradients are those of `engine.live.space`, S and P those of `engine.live.graph`.
    1. G: labels spread over the graph, brought to the classes' shares (Zhou et al. 2003; Sinkhorn);
    2. L: multinomial logistic regression on z, C = 30, from all labels;
    3. log p⁰ = log G + a·log L, a = min(1, n / 20K), both no less than 1e-4 and normalised;
    4. eight rounds of TransCLIP (Zanella, Gérin, Ben Ayed, Boosting Vision-Language Models with Transduction, arXiv
       2406.01837, section 3), without its text: class means μ and one diagonal variance v of zw from the present
       beliefs p, those of labeled images their labels, 30 % of v its mean; then
       p ← softmax(20/d · Σ (zw·μ/v − μ²/2v) + log p⁰ + λ·P p), d the number of coordinates zw.
       Σ zw²/v is the same for all classes and left out.
    5. Option: a network is trained on all its labels, half whole distribution, half first class, beside true ones.

Shares are equal, and only in step 1: the rounds after it are free to leave them. Labels drawn at random
(`Pools.random_idx`) may reject them, see `class_shares`.

What it says of an image is far too sure. All logits are divided by one temperature, such that their mean confidence is
what the regression alone, with C chosen by cross-validation, gives to the same classes; on photos and digits that lay
below the accuracy, far below with one label a class and near it with twenty. Held-out labels, where there are any,
correct it as in other rounds.

An image outside the set gets the same sum, with prior and votes from its nearest neighbours in the set.

Runs on the CPU, but for the network. Held-out images are among the set, without their labels.

Measured (`starling bench mnist-set`, seeds 0-4): of MNIST's 60,000 images 98.89 ± 0.08 % right from ten labels, in 12
CPU s; with the network 99.04 ± 0.07 % of the test images, in 48. `starling bench photos`: of 900 photos of clothes
72.0 ± 0.1 % from five labels a class (a logistic regression from the labels alone: 67.7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from engine.algorithms.taught_network import TaughtNetwork, teaching
from engine.errors import RoundBlocked
from engine.live.graph import Floats, Graph, Ints
from engine.live.model import (
    VOTES,
    VOTES_GRADIENTS,
    ImageSet,
    Labeled,
    Prior,
    cautious_temperature,
    clamped,
    make_prior,
    of_others,
    refined,
)
from engine.live.space import SAMPLE, Space, evenly
from engine.nets.hog import hog_features
from engine.nets.net_name import NetName
from engine.training.config import TrainConfig
from engine.training.evaluate import chunks
from engine.training.feed import steps_per_epoch
from engine.training.pools import Pools, check_two_classes
from engine.training.protocol import Metrics
from engine.training.settings import check_settings, setting
from engine.training.start import seed_everything

GREY_SIDE = 64
"""Up to this side grey images are taken for characters or other drawn shapes, which gradients describe well."""
COMPARED = 5000
"""Images, evenly spaced, whose confidence gives the temperature."""
AT_ONCE = 4000
"""Images that are looked at in one piece."""
ABSENT = -30.0
"""How far the logit of a class without a label lies below the others."""


@dataclass(frozen=True)
class TransductiveConfig:
    """Settings of the transductive model; of the shared training settings, those of steps are the network's alone.

    Raises:
        ConfigError: a value is outside its range.
    """

    votes: float = setting(
        0.0, "Neighbours' say λ",
        "How much an image's neighbours count. 0 chooses: 8 for small grey images, or features with hog, else 4.",
        min=0.0, max=100.0,
    )  # fmt: skip
    rounds: int = setting(8, "Rounds", "How many times classes and images adapt to each other.", min=1, max=100)
    strength: float = setting(
        30.0, "Regression C", "Of the regression on the labels: larger follows single labels more.", min=1e-3, max=1e6
    )
    network: Literal["off", "on"] = setting(
        "off",
        "Then a network",
        "on: the round's network is trained on all labels that the model gave, for the round's epochs. Worth it for "
        "small grey images; on frozen features there is nothing to gain.",
        choices=("off", "on"),
    )

    def __post_init__(self) -> None:
        check_settings(self)


class Transductive:
    """A run of the transductive model; see `engine.training.protocol.Algorithm` and `HasRowPredictions`.

    The first epoch finds coordinates and neighbours and makes the prior, each further one is a round; the network's
    epochs follow.

    Raises:
        RoundBlocked: labels of fewer than two classes, or photos that are not given as features.
    """

    def __init__(self, config: TransductiveConfig, train: TrainConfig, pools: Pools, device: torch.device) -> None:
        if not pools.vectors:
            check_described(pools.channels, pools.size)
        check_two_classes(pools)
        seed_everything(train.seed)
        self.config, self._train, self._pools = config, train, pools
        with_network = config.network == "on"
        self._rounds_end = 1 + config.rounds
        self.epochs = self._rounds_end + (train.epochs if with_network else 0)
        self.steps_per_epoch = steps_per_epoch(train, pools) if with_network else 1
        self._votes = config.votes or default_votes(pools.images, train.net)
        self._members = torch.cat([pools.train_idx, pools.heldout_idx, pools.unlabeled_idx]).sort().values  # (M,)
        self._place = torch.full((len(pools.images),), -1)
        self._place[self._members] = torch.arange(len(self._members))
        self._classes, labels = np.unique(pools.train_y.numpy(), return_inverse=True)
        self._labeled = Labeled(self._place[pools.train_idx].numpy(), labels, self._drawn(labels), pools.train_groups)
        self._prepared: tuple[ImageSet, Prior] | None = None
        self._logits: Floats = np.empty((0, len(self._classes)), np.float32)
        self._student = TaughtNetwork(train, pools, device) if with_network else None

    def _drawn(self, labels: Ints) -> Ints:
        """Return how many labels of each class (K,) are of images that were drawn at random."""
        drawn = torch.isin(self._pools.train_idx, self._pools.random_idx).numpy()
        return np.bincount(labels[drawn], minlength=len(self._classes))

    def steps_in(self, epoch: int) -> int:
        """Return 3 for the first epoch, 1 for a round, then the steps of an epoch of the network."""
        if epoch >= self._rounds_end:
            return self.steps_per_epoch
        return 1 if epoch else 3

    def steps(self, epoch: int) -> Iterator[Metrics]:
        """Find the neighbours and make the prior (epoch 0), refine the beliefs by a round, or train the network."""
        if epoch >= self._rounds_end:
            assert self._student is not None
            yield from self._student.steps(epoch - self._rounds_end, self._targets())
            return
        if epoch == 0:
            with one_thread():
                sample = self._members[torch.from_numpy(evenly(len(self._members), SAMPLE))]
                space = Space.fit(described(self._pools.images[sample]), self._train.seed)
            yield {}
            with one_thread():
                images = ImageSet.located(
                    space, self._described(), seed=self._train.seed, threads=torch.get_num_threads()
                )
            yield {}
            with one_thread():
                prior = make_prior(images, self._labeled, self.config.strength)
            self._prepared, self._logits = (images, prior), prior.logits
        else:
            images, prior = self._begun()
            with one_thread():
                self._logits = refined(images, prior.logits, self._logits, self._labeled, self._votes)
        on_labeled = torch.from_numpy(self._logits[self._labeled.rows])
        yield {"loss": F.cross_entropy(on_labeled, torch.from_numpy(self._labeled.labels))}

    def _described(self) -> Iterator[Floats]:
        """Return the features of the set's images, part by part."""
        return (described(self._pools.images[part]) for part in torch.split(self._members, AT_ONCE))

    def _begun(self) -> tuple[ImageSet, Prior]:
        assert self._prepared is not None, "epoch 0 comes first"
        return self._prepared

    def _targets(self) -> Tensor:
        """Return what the network is taught of the unlabeled images (U, num_classes)."""
        logits = torch.from_numpy(self._logits[self._place[self._pools.unlabeled_idx].numpy()])
        targets = torch.zeros(len(logits), self._pools.num_classes)
        targets[:, torch.from_numpy(self._classes)] = teaching(logits)
        return targets

    def predict_rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (m, num_classes) and coordinates z (m, 256) of rows of the pools' images, float32 on the CPU.

        Once the network is trained, its log-probabilities are added to the model's.
        """
        images, prior = self._begun()
        places = self._place[rows]
        z, logits = torch.from_numpy(images.z)[places], torch.from_numpy(self._logits)[places]
        beliefs = clamped(self._logits, self._labeled)
        for outside in chunks(torch.nonzero(places < 0).flatten(), AT_ONCE):  # rejected images
            features = described(self._pools.images[rows[outside]])
            with one_thread():
                z[outside] = torch.from_numpy(images.space.coordinates(features)[0])
                logits[outside] = torch.from_numpy(of_others(images, prior, beliefs, features, self._votes))
        return self._of_all_classes(self._joined(logits, rows) / self._temperature()), z

    def _joined(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return log-probabilities (m, K) of the model's logits (m, K) of rows (m,), with those of the trained network
        added."""
        if self._student is None or not self._student.steps_done:
            return logits.log_softmax(1)
        network = self._student.log_probabilities(self._pools.images, rows)
        return logits.log_softmax(1) + network[:, torch.from_numpy(self._classes)]

    def _temperature(self) -> float:
        """Return what all logits are divided by, from images without a label, evenly spaced where they are many."""
        images, prior = self._begun()
        rows = torch.cat([self._pools.heldout_idx, self._pools.unlabeled_idx])
        rows = rows[torch.from_numpy(evenly(len(rows), COMPARED))]
        places = self._place[rows].numpy()
        joined = self._joined(torch.from_numpy(self._logits[places]), rows)
        return cautious_temperature(joined.numpy(), prior.cautious.predict_proba(images.z[places]))

    def _of_all_classes(self, logits: Tensor) -> Tensor:
        return of_all_classes(logits, torch.from_numpy(self._classes), self._pools.num_classes)

    def eval_model(self) -> nn.Module:
        """Return the model for images outside the set: the averaged network, or the sum over their neighbours."""
        if self._student is not None and self._student.steps_done:
            return self._student.learner.ema.model
        return self._model()

    def _model(self) -> TransductiveModel:
        images, prior = self._begun()
        beliefs = clamped(self._logits, self._labeled)
        return TransductiveModel(images, prior, beliefs, self._votes, self._temperature(), self._of_all_classes)

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on; coordinates and prior are made from it anew."""
        images, _ = self._begun()
        state: dict[str, Any] = {
            "space": {name: torch.as_tensor(value) for name, value in asdict(images.space).items()},
            "near": torch.from_numpy(images.graph.near.astype(np.int32)),
            "squares": torch.from_numpy(images.graph.squares),
            "logits": torch.from_numpy(self._logits),
        }
        return state if self._student is None else state | {"student": self._student.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put a stored state back."""
        self._logits = state["logits"].numpy()
        graph = Graph.of(state["near"].numpy().astype(np.int64), state["squares"].numpy())
        with one_thread():
            stored: dict[str, Any] = {name: value.numpy() for name, value in state["space"].items()}
            space = Space(**stored)
            images = ImageSet.located(space, self._described(), graph=graph)
            self._prepared = images, make_prior(images, self._labeled, self.config.strength)
        if self._student is not None:
            self._student.load_state_dict(state["student"])


class TransductiveModel(nn.Module):
    """The model as the evaluation sees it: images or vectors in, logits of all classes out, z as features.

    Computes on the CPU whatever the device; one parameter of no use says so.
    """

    def __init__(
        self,
        images: ImageSet,
        prior: Prior,
        beliefs: Floats,
        votes: float,
        temperature: float,
        of_all_classes: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.here = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._images, self._prior, self._beliefs, self._votes = images, prior, beliefs, votes
        self._temperature, self._of_all_classes = temperature, of_all_classes

    def features(self, inputs: Tensor) -> Tensor:
        """Return the coordinates z (B, 256) float32 of images (B, 1, H, W) uint8 or vectors (B, D)."""
        return torch.from_numpy(self._images.space.coordinates(described(inputs))[0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (B, num_classes) float32."""
        with one_thread():
            logits = of_others(self._images, self._prior, self._beliefs, described(inputs), self._votes)
        return self._of_all_classes(torch.from_numpy(logits) / self._temperature)


def of_all_classes(logits: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Return logits (m, K) of the classes (K,) that have a label as logits of all (m, num_classes)."""
    every = torch.full((len(logits), num_classes), ABSENT)
    every[:, classes] = logits.log_softmax(1)
    return every


def described(inputs: Tensor) -> Floats:
    """Return the features (n, D) of images (n, 1, H, W) uint8, by gradients, or of vectors (n, D), which they are."""
    return (hog_features(inputs.cpu()) if inputs.ndim == 4 else inputs.cpu().float()).numpy()


def default_votes(images: Tensor, net: str) -> float:
    """Return λ for images (N, 1, H, W), which are described by gradients, or vectors (N, D).

    net: where vectors come from; of "frozen:hog" and what is joined with it, λ is that of gradients.
    """
    return VOTES_GRADIENTS if images.ndim == 4 or NetName.parse(net).has_gradients else VOTES


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which NumPy and SciPy compute with one thread.

    Beside other work on the machine, threads that wait for each other take these many small products ten times as long.
    """
    limited: AbstractContextManager[Any] = threadpool_limits(1, "blas")
    return limited


def check_described(channels: int, side: int) -> None:
    """Raise unless images of so many channels and this shorter side in pixels are described well without a network.

    Raises:
        RoundBlocked: colour images or larger ones.
    """
    if channels != 1 or side > GREY_SIDE:
        raise RoundBlocked(
            "The transductive model takes photos as pretrained features, not as pixels",
            value=f"{channels} channel{'s' if channels > 1 else ''}, {side} pixels",
            way_out='Choose a frozen network, for example "frozen:efficientnet_lite0".',
        )
