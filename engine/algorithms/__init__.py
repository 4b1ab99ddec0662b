"""The algorithms by key. To add one: one file, one line here, one test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from engine.algorithms.classical_self_training import ClassicalSelfTraining, ClassicalSelfTrainingConfig
from engine.algorithms.fixmatch import FixMatch, FixMatchConfig
from engine.algorithms.meta_pseudo_labels import MetaPseudoLabels, MetaPseudoLabelsConfig
from engine.algorithms.mpl_terms import without_feedback
from engine.algorithms.pi_model import PiModel, PiModelConfig
from engine.algorithms.pseudo_label import PseudoLabel, PseudoLabelConfig
from engine.algorithms.reduced_mpl import ReducedMpl, ReducedMplConfig
from engine.algorithms.regression import SetRegression, SetRegressionConfig
from engine.algorithms.supervised import Supervised, SupervisedConfig
from engine.algorithms.threshold_self_training import ThresholdSelfTraining, ThresholdSelfTrainingConfig
from engine.algorithms.transductive import Transductive, TransductiveConfig
from engine.algorithms.uda import Uda, UdaConfig
from engine.algorithms.vat import Vat, VatConfig
from engine.training.config import TrainConfig
from engine.training.pools import Pools
from engine.training.protocol import Algorithm

__all__ = ["ALGORITHMS", "Algorithm", "AlgorithmSpec"]


@dataclass(frozen=True)
class AlgorithmSpec:
    """What the interface shows of an algorithm, its settings class, and how to build a run of it.

    `build(config, train, pools, device)` seeds every random generator from `train.seed` and returns a run at
    epoch
    0. `uses_unlabeled` is False for algorithms that train on labels alone. `ablation(config)` returns the settings
    of the same algorithm without what makes it, to be trained beside it, or None where that is not asked for.
    `labels_a_set` is True for one that describes the images of a set and labels them in a few steps that take their
    time. `baseline` is the key of what learns from the labels alone on the same ground, which a round is judged by.
    `takes_start` is False for one whose networks cannot begin with those that were taught the set's labels, see
    `engine.training.learner.TakesStart`.
    """

    key: str
    title: str
    summary: str
    source: str
    config: type[Any]
    build: Callable[[Any, TrainConfig, Pools, torch.device], Algorithm]
    uses_unlabeled: bool = True
    ablation: Callable[[Any], Any] | None = None
    labels_a_set: bool = False
    takes_start: bool = True
    baseline: str = "supervised"


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
    "fixmatch": AlgorithmSpec(
        "fixmatch",
        "FixMatch family",
        "The confident label of a slightly moved image teaches a strongly distorted one. The first choice for small "
        "images; FlexMatch, FreeMatch, SoftMatch and AdaMatch are its threshold rules. Distortions must not change the "
        "class.",
        "Sohn et al., FixMatch, arXiv 2001.07685, eq. 3-4; FlexMatch 2110.08263, FreeMatch 2205.07246, SoftMatch "
        "2301.10921, AdaMatch 2106.04732",
        FixMatchConfig,
        FixMatch,
    ),
    "uda": AlgorithmSpec(
        "uda",
        "UDA",
        "Like FixMatch with sharpened distributions instead of hard labels: gentler where classes overlap.",
        "Xie et al., Unsupervised Data Augmentation, arXiv 1904.12848, eq. 1 and section 2.3",
        UdaConfig,
        Uda,
    ),
    "meta_pseudo_labels": AlgorithmSpec(
        "meta_pseudo_labels",
        "Meta Pseudo Labels",
        "A teacher labels for a student and learns from how much the student improved on the real labels. Two "
        "networks, so a step takes longer than one of Pseudo-Label.",
        "Pham et al., Meta Pseudo Labels, arXiv 2003.10580, eq. 2-3 and appendix A",
        MetaPseudoLabelsConfig,
        MetaPseudoLabels,
        ablation=without_feedback,
    ),
    "reduced_mpl": AlgorithmSpec(
        "reduced_mpl",
        "Reduced Meta Pseudo Labels",
        "A teacher, which may be larger, is trained first and its guesses stored; then a student learns from them, and "
        "a small network corrects them by how much the student improved. Needs the memory of one network at a time.",
        "Pham et al., Meta Pseudo Labels, arXiv 2003.10580, Reduced Meta Pseudo Labels",
        ReducedMplConfig,
        ReducedMpl,
        ablation=without_feedback,
        takes_start=False,
    ),
    "threshold_self_training": AlgorithmSpec(
        "threshold_self_training",
        "Threshold self-training",
        "Each epoch the network labels the images it is sure of and trains on them. Cheap and easy to follow; what it "
        "gets wrong with confidence it keeps teaching itself.",
        "Self-training with averaged weights, after Xie et al., arXiv 1911.04252, section 2",
        ThresholdSelfTrainingConfig,
        ThresholdSelfTraining,
    ),
    "vat": AlgorithmSpec(
        "vat",
        "VAT",
        "Predictions must not change when an image is moved a little in its worst direction. Needs no augmentation and "
        "works with few labels where classes are separate groups; a step takes two to three times as long.",
        "Miyato et al., Virtual Adversarial Training, arXiv 1704.03976, eq. 5-13",
        VatConfig,
        Vat,
    ),
    "pi_model": AlgorithmSpec(
        "pi_model",
        "Π-model",
        "Two slightly changed looks at an image must give the same prediction. Simple and steady; how much it helps "
        "depends on augmentation and dropout.",
        "Laine and Aila, Temporal Ensembling, arXiv 1610.02242, algorithm 1",
        PiModelConfig,
        PiModel,
    ),
    "transductive": AlgorithmSpec(
        "transductive",
        "Neighbours and classes",
        "Labels all images together: each asks its nearest neighbours, the classes' centres and a regression on the "
        "labels. The first choice for few labels and for photos; takes seconds, no training of a network needed.",
        "Zhou et al., Learning with Local and Global Consistency (NIPS 2003); Zanella et al., TransCLIP, arXiv "
        "2406.01837, section 3",
        TransductiveConfig,
        Transductive,
        labels_a_set=True,
        takes_start=False,
        baseline="regression",
    ),
    "regression": AlgorithmSpec(
        "regression",
        "Regression",
        "A logistic regression on pretrained features, or on gradients of small grey images, from the labels alone: "
        "what Neighbours and classes is judged by. Takes seconds.",
        "Multinomial logistic regression, its strength by cross-validation",
        SetRegressionConfig,
        SetRegression,
        uses_unlabeled=False,
        labels_a_set=True,
        takes_start=False,
    ),
    "classical_self_training": AlgorithmSpec(
        "classical_self_training",
        "Classical self-training",
        "A scikit-learn classifier labels the images a few at a time; no network, no GPU. For simple images such as "
        "digits, or as a yardstick; on photos it is far behind networks.",
        "Self-training with scikit-learn: principal coordinates, their products, a linear classifier",
        ClassicalSelfTrainingConfig,
        ClassicalSelfTraining,
        takes_start=False,
    ),
}
