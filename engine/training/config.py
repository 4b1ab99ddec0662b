"""What every run shares, whatever the algorithm: network, optimizer, schedule, augmentation, device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.errors import ConfigError
from engine.nets.net_name import IMAGE_NETS, NetName
from engine.training.settings import check_settings, setting, settings_from, settings_to

__all__ = ["TrainConfig", "settings_from", "settings_to"]


@dataclass(frozen=True)
class TrainConfig:
    """Settings shared by the supervised baseline and every semi-supervised algorithm, so that they compare
    fairly.

    One step takes `batch_size` labeled images and, where the algorithm uses them, `unlabeled_ratio` times as
    many unlabeled ones. One epoch has `steps_per_epoch` steps for every algorithm.

    Raises:
        ConfigError: a value is outside its range.
    """

    net: str = setting(
        "auto",
        "Network",
        "auto takes article_convnet for small grey images and simple_cnn otherwise. wrn_28_2 wants a GPU. "
        'Any torchvision classifier by name, for example "torchvision:resnet18". "frozen:efficientnet_lite0" is a '
        "quick round: pretrained features, computed once an image, and a linear classifier on them; seconds for "
        "photos. Its weights are always there; others are downloaded once: torchvision's by name, timm's as "
        '"frozen:timm/NAME", with the extra `clip` those of open_clip as "frozen:clip/MODEL/PRETRAINED". '
        '"+" joins several, "@whole" shows a network the whole image, not the centre square. '
        '"tuned:efficientnet_lite0", or any other single network, also trains its last blocks, on augmented photos; a '
        "step takes a second or more on a CPU.",
    )
    weights: Literal["", "DEFAULT"] = setting(
        "",
        "Pretrained weights",
        "DEFAULT starts a torchvision network from its ImageNet weights (downloaded once); empty starts from scratch.",
        choices=("", "DEFAULT"),
    )
    start: str = setting(
        "",
        "Start from the set's labels",
        'Features such as "frozen:efficientnet_lite0", or "frozen:hog" for digits: by them all images are first '
        "labeled as a set, which takes seconds, and the network is taught these labels before the algorithm begins. "
        "Empty: it begins with the labels alone.",
    )
    start_steps: int = setting(
        300, "Steps of the start", "Steps in which the network is taught the set's labels.", min=1, max=1_000_000
    )
    tuned_blocks: int = setting(
        2,
        "Tuned blocks",
        'How many of the last blocks of a "tuned:" network are trained, at a tenth of the classifier\'s rate; 0 trains '
        "all weights. The others stay as they are.",
        min=0,
        max=32,
    )
    epochs: int = setting(30, "Epochs", "How many times predictions are recorded.", min=1, max=10_000)
    steps_per_epoch: int = setting(
        0,
        "Steps per epoch",
        "0 means one pass over the unlabeled images, at least one over the labeled, and at least 30 steps.",
        min=0,
        max=1_000_000,
    )
    batch_size: int = setting(64, "Labeled batch", "Labeled images in one step.", min=1, max=4096)
    unlabeled_ratio: int = setting(
        4,
        "Unlabeled ratio",
        "Unlabeled images in one step, as a multiple of the labeled batch.",
        min=1,
        max=64,
    )
    optimizer: Literal["sgd", "adam"] = setting(
        "sgd",
        "Optimizer",
        "adam sizes each weight's step by its past gradients; it wants a learning rate near 0.001.",
        choices=("sgd", "adam"),
    )
    learning_rate: float = setting(
        0.05,
        "Learning rate",
        "Peak rate; a cosine takes it to 0 over the whole run.",
        min=0.0,
        max=10.0,
    )
    weight_decay: float = setting(
        5e-4, "Weight decay", "Applied to weights, not to biases and normalisation.", min=0.0, max=1.0
    )
    grad_clip: float = setting(
        5.0, "Gradient limit", "Longer gradients are scaled down to this norm; 0 sets no limit.", min=0.0, max=1e6
    )
    momentum: float = setting(0.9, "Momentum", "Nesterov momentum of SGD; β₁ of Adam.", min=0.0, max=0.9999)
    ema_decay: float = setting(
        0.999,
        "EMA decay",
        "The averaged weights that are evaluated forget by this factor a step; early steps forget faster.",
        min=0.0,
        max=0.99999,
    )
    dropout: float = setting(0.25, "Dropout", "Share of features dropped in training.", min=0.0, max=0.9)
    label_smoothing: float = setting(
        0.0,
        "Label smoothing",
        "Share of the target spread over all classes (labeled images).",
        min=0.0,
        max=0.9,
    )
    augment: Literal["none", "shift", "shift_flip"] = setting(
        "shift",
        "Augmentation",
        "The weak view. Random shifts suit everything; mirror flips only what stays itself in a mirror (not digits, "
        "not text).",
        choices=("none", "shift", "shift_flip"),
    )
    strong: Literal["rand_augment", "light", "affine"] = setting(
        "rand_augment",
        "Strong view",
        "For algorithms that ask the network to agree with itself on distorted images: RandAugment draws from 14 "
        "distortions (no mirror); light is a small rotation, shift and change of light with a square covered; affine "
        "turns, moves, scales and shears a little and covers nothing.",
        choices=("rand_augment", "light", "affine"),
    )
    rand_ops: int = setting(2, "Distortions", "How many distortions RandAugment puts on an image.", min=0, max=8)
    rand_magnitude: int = setting(10, "Strength", "How far RandAugment's distortions may go.", min=1, max=10)
    noise: float = setting(
        0.1,
        "Noise",
        "Vectors and frozen features only: noise of the weak view, in standard deviations of each value.",
        min=0.0,
        max=10.0,
    )
    device: str = setting(
        "auto", "Device", "auto takes the GPU when there is one.", choices=("auto", "cuda", "mps", "cpu")
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto",
        "Precision",
        "auto takes bfloat16 where the hardware computes faster with it (recent GPUs, CPUs with AMX); weights and "
        "losses stay float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    compile: Literal["auto", "off", "on"] = setting(
        "auto",
        "Compile",
        "on lets torch.compile make faster code for the network; the first steps then take a minute or more. auto does "
        "so for networks of images on NVIDIA GPUs. off also leaves out what else is done for speed there.",
        choices=("auto", "off", "on"),
    )
    threads: int = setting(0, "CPU threads", "0 uses the physical cores.", min=0, max=1024)
    seed: int = setting(0, "Seed", "The same seed gives the same run on the same machine.", min=0, max=2**31 - 1)
    heldout_fraction: float = setting(
        0.2,
        "Held-out share",
        "Share of the labeled images kept aside to measure accuracy; 0 keeps none. A class with 5 labels or fewer "
        "trains on all of them; where fewer than two classes have more, nothing is kept aside, and answers to random "
        "images on the Review page measure the round.",
        min=0.0,
        max=0.9,
    )
    run_baseline: bool = setting(
        True,
        "Run the baseline",
        "Also learn from the labels alone; the one with more held-out labels right comes into force. Beside "
        "Neighbours and classes that is a regression on the same features, which takes seconds.",
    )
    image_size: int | None = setting(
        None,
        "Image size",
        "Side in pixels that images are trained at; empty chooses by the images. Frozen networks take their own, "
        "as do tuned ones where it is empty.",
        min=4,
        max=512,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        net = NetName.parse(self.net)
        if not net.is_known:
            raise ConfigError(
                "Network is not known",
                value=self.net,
                way_out=f'Choose one of {", ".join(IMAGE_NETS)}, or "torchvision:", "frozen:" or "tuned:" and the name '
                "of a pretrained network.",
            )
        if self.start and not NetName.parse(self.start).is_frozen:
            raise ConfigError(
                "A set is labeled by frozen features",
                value=self.start,
                way_out='Choose features such as "frozen:efficientnet_lite0", or leave the start empty.',
            )
        if self.weights and not net.is_torchvision:
            raise ConfigError(
                "Pretrained weights exist only for torchvision networks",
                value=self.net,
                way_out='Choose a network such as "torchvision:mobilenet_v2", or leave the weights empty.',
            )
