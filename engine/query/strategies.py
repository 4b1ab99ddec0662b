"""QUERY_STRATEGIES: the strategies by key, with the words the review page shows."""

from __future__ import annotations

from dataclasses import dataclass

from engine.query import chance, cold_start, diversity, least_sure, signals, uncertainty
from engine.query.signals import Choose, Score, Why


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to choose images.

    Attributes:
        key: its name in QUERY_STRATEGIES.
        title: what the person chooses.
        summary: when it helps, in one or two sentences.
        choose: (pool by ascending id, limit, seed) -> picks; its docstring says what the scores mean.
        needs: what the pool must hold beside probabilities: "features", "flips", "disagreement", "bald".
    """

    key: str
    title: str
    summary: str
    choose: Choose
    needs: frozenset[str] = frozenset()


_FEATURES = frozenset({"features"})


def _scored(key: str, title: str, summary: str, score: Score, why: Why) -> Strategy:
    return Strategy(key, title, summary, signals.by_probability(score, why))


_ALL = (
    Strategy(
        "least_sure",
        "Recommended: the least sure",
        "The images of the lowest confidence. Before the first round: typical images of every group.",
        least_sure.choose_least_sure,
    ),
    _scored(
        "least_confidence",
        "Least confident",
        "Images whose best class has the lowest probability.",
        uncertainty.least_confidence,
        uncertainty.why_least_confidence,
    ),
    _scored(
        "margin",
        "Close calls",
        "Images whose two best classes are nearly equal: a quick answer that settles a border.",
        uncertainty.margin,
        uncertainty.why_margin,
    ),
    _scored(
        "entropy",
        "Most undecided",
        "Images whose probability is spread over many classes.",
        uncertainty.entropy,
        uncertainty.why_entropy,
    ),
    Strategy(
        "random",
        "Random",
        "A fair sample: from its answers a model that labels the set as a whole learns how common each class is. What "
        "measures a model has an order of its own.",
        chance.choose_random,
    ),
    Strategy(
        "core_set",
        "Unlike the labeled",
        "Images far from every labeled one (core-set): finds kinds of images nobody has labeled yet.",
        diversity.core_set,
        _FEATURES,
    ),
    Strategy(
        "badge",
        "Doubtful and diverse",
        "A batch that is doubtful and varied at once (BADGE): good when many are labeled before the next round.",
        diversity.badge,
        _FEATURES,
    ),
    Strategy(
        "typiclust",
        "Typical first",
        "The most typical image of every group without labels (TypiClust): best with very few labels.",
        cold_start.typiclust,
        _FEATURES,
    ),
    Strategy(
        "k_means",
        "Group centres",
        "The image nearest to the centre of each group (k-means): an even first look at the whole set.",
        cold_start.k_means,
        _FEATURES,
    ),
    Strategy(
        "bald",
        "Dropout in doubt",
        "Images about which copies of the model with different units switched off contradict each other (BALD).",
        signals.choose_bald,
        frozenset({"bald"}),
    ),
    Strategy(
        "disagreement",
        "Teacher against student",
        "Images that teacher and student see differently.",
        signals.choose_disagreement,
        frozenset({"disagreement"}),
    ),
    Strategy(
        "flips",
        "Changed their mind",
        "Images whose pseudo-label changed most often while the round ran.",
        signals.choose_flips,
        frozenset({"flips"}),
    ),
)

QUERY_STRATEGIES: dict[str, Strategy] = {strategy.key: strategy for strategy in _ALL}
