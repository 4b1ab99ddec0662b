"""The algorithms by key. To add one: one file, one line here, one test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from engine.algorithms.meta_pseudo_labels import MetaPseudoLabels, MetaPseudoLabelsConfig
from engine.algorithms.pseudo_label import PseudoLabel, PseudoLabelConfig
from engine.algorithms.supervised import Supervised, SupervisedConfig
from engine.training.config import TrainConfig
from engine.training.pools import Pools
from engine.training.protocol import Algorithm

__all__ = ["ALGORITHMS", "Algorithm", "AlgorithmSpec"]


@dataclass(frozen=True)
class AlgorithmSpec:
    """What the interface shows of an algorithm, its settings class, and how to build a run of it.

    `build(config, train, pools, device)` seeds every random generator from `train.seed` and returns a run at
    epoch
    0. `uses_unlabeled` is False for algorithms that train on labels alone.
    """

    key: str
    title: str
    summary: str
    source: str
    config: type[Any]
    build: Callable[[Any, TrainConfig, Pools, torch.device], Algorithm]
    uses_unlabeled: bool = True


ALGORITHMS: dict[str, AlgorithmSpec] = {
    "supervised": AlgorithmSpec(
        "supervised",
        "Supervised",
        "Trains on the labels alone: the baseline that every other algorithm must beat.",
        "Cross-entropy on labeled images",
        SupervisedConfig,
        Supervised,
        uses_unlabeled=False,
    ),
    "pseudo_label": AlgorithmSpec(
        "pseudo_label",
        "Pseudo-Label",
        "The network's own best guesses count as labels, with a weight that grows during the run. Works where "
        "classes form clear groups (digits); on natural photos expect little more than the baseline.",
        "Lee 2013, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method, eq. 15-16",
        PseudoLabelConfig,
        PseudoLabel,
    ),
    "meta_pseudo_labels": AlgorithmSpec(
        "meta_pseudo_labels",
        "Meta Pseudo Labels",
        "A teacher labels for a student and learns from how much the student improved on the real labels. Two "
        "networks, so a step takes longer than one of Pseudo-Label.",
        "Pham et al., Meta Pseudo Labels, arXiv 2003.10580, eq. 2-3 and appendix A",
        MetaPseudoLabelsConfig,
        MetaPseudoLabels,
    ),
}
