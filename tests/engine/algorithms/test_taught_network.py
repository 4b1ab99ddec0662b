"""Two networks that each leave out half of the labels say nothing of an image that its own label made them say."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from engine.algorithms.taught_network import cross_fitted, teaching
from engine.training.config import TrainConfig
from engine.training.pools import Pools

NONE = torch.empty(0, dtype=torch.int64)
TRAIN = TrainConfig(
    net="article_convnet", epochs=2, steps_per_epoch=120, batch_size=16, unlabeled_ratio=3, strong="light", dropout=0.0,
    precision="float32", seed=3,
)  # fmt: skip


def digits(count: int) -> tuple[Tensor, Tensor]:
    found = load_digits()
    images = torch.from_numpy(found.images[:count] * 15.9).to(torch.uint8)[:, None]
    return images, torch.from_numpy(found.target[:count]).long()


def test_an_images_own_target_has_no_part_in_what_is_said_of_it() -> None:
    images, y = digits(400)
    pools = Pools(images, torch.arange(50), y[:50], NONE, NONE, torch.arange(50, 400), 10)
    right = F.one_hot(y[50:], 10).float()
    wrong = right.clone()
    wrong[7] = right[7].roll(1)
    told, misled = (cross_fitted(TRAIN, pools, torch.device("cpu"), targets) for targets in (right, wrong))
    assert torch.equal(told[57], misled[57])
    changed = (told != misled).any(1)
    assert changed[:50].all()  # of labeled images both networks are asked
    assert int(changed[50:].sum()) == 175  # the other half
    assert float((told.argmax(1) == y).double().mean()) > 0.7
    torch.testing.assert_close(told[50:].exp().sum(1), torch.ones(350))


def test_half_of_what_is_taught_is_the_first_class() -> None:
    targets = teaching(torch.tensor([[0.6, 0.3, 0.1]]).log())
    torch.testing.assert_close(targets, torch.tensor([[0.8, 0.15, 0.05]]))
