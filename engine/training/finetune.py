"""The closing stage of a student that has seen no label: its averaged copy is trained on the labels."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F

from engine.training.config import TrainConfig
from engine.training.feed import Feed
from engine.training.learner import Learner
from engine.training.optim import make_optimizer, set_rate
from engine.training.protocol import Metrics


def closing_steps(share: float, steps: int) -> int:
    """Return how many steps this share of a run of so many steps is: at least one, unless the share is 0."""
    return max(1, round(share * steps)) if share else 0


def finetune(learner: Learner, feed: Feed, train: TrainConfig, steps: int, rate: float) -> Iterator[Metrics]:
    """Train `learner.ema.model` for `steps` steps on weak views of the labeled images, yielding the loss of each.

    Evaluation mode throughout: normalisation statistics stay those of the run, and nothing is dropped. The optimizer is
    fresh and keeps `rate`; parameters that are frozen in `learner.model` stay frozen. Afterwards, and when the
    caller stops early, no parameter of the average asks for a gradient. Unlabeled images are not drawn.

    Source: Pham et al., arXiv 2003.10580, section 3 (fine-tuning the student on labeled data).
    """
    model = learner.ema.model.eval()
    for mine, its in zip(model.parameters(), learner.model.parameters(), strict=True):
        mine.requires_grad_(its.requires_grad)
    try:
        optimizer = make_optimizer(model, train)
        set_rate(optimizer, rate)
        for _ in range(steps):
            x, y = feed.labeled()
            loss = F.cross_entropy(model(feed.weak(x)).float(), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield {"loss": loss.detach()}
    finally:
        model.requires_grad_(False)
