from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.augment.preview import preview

GIVEN: dict[str, Any] = {
    "weak": "shift", "strong": "rand_augment", "ops": 2, "magnitude": 10, "copies": 3, "seed": 0,
}  # fmt: skip


def corners(n: int = 5, channels: int = 3) -> Tensor:
    """Images of an angle with its corner at the upper left."""
    images = torch.zeros(n, channels, 28, 28, dtype=torch.uint8)
    images[:, :, 8:20, 8:12] = 220
    images[:, :, 8:12, 8:20] = 220
    return images


@pytest.mark.parametrize("strong", ["rand_augment", "light", "affine"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_column_is_the_image_itself_and_the_others_are_views(strong: str, channels: int) -> None:
    images = corners(channels=channels)
    sheet = preview(images, **GIVEN | {"strong": strong})
    assert sheet.shape == (5, 7, channels, 28, 28)
    assert sheet.dtype == torch.uint8
    assert torch.equal(sheet[:, 0], images)
    assert not torch.equal(sheet[:, 1], sheet[:, 2])
    assert not torch.equal(sheet[:, 4], sheet[:, 5])


def test_the_weak_view_of_kind_none_is_the_image() -> None:
    sheet = preview(corners(), **GIVEN | {"weak": "none"})
    assert torch.equal(sheet[:, 1:4], corners()[:, None].expand(5, 3, 3, 28, 28))
    assert not torch.equal(sheet[:, 4], corners())


def test_strong_columns_are_made_from_weak_views() -> None:
    """Without distortions only the shift and the cut-out's grey are left."""
    sheet = preview(corners(40), **GIVEN | {"ops": 0})
    seen = sheet[:, 4:]
    assert set(seen.unique().tolist()) == {0, 127, 220}
    outside = (seen == 220) & (corners(40)[:, None] == 0)
    assert outside.any()


def test_the_settings_reach_the_strong_view() -> None:
    one = preview(corners(), **GIVEN)
    for change in ({"ops": 5}, {"magnitude": 1}, {"strong": "light"}):
        assert not torch.equal(preview(corners(), **GIVEN | change)[:, 4:], one[:, 4:])


def test_the_same_seed_gives_the_same_picture_and_another_seed_another() -> None:
    assert torch.equal(preview(corners(), **GIVEN), preview(corners(), **GIVEN))
    assert not torch.equal(preview(corners(), **GIVEN), preview(corners(), **GIVEN | {"seed": 1}))


def test_no_copies_leave_the_images() -> None:
    assert torch.equal(preview(corners(), **GIVEN | {"copies": 0}), corners()[:, None])


def test_only_shift_flip_mirrors() -> None:
    def mirrored(weak: str, first: int) -> float:
        views = preview(corners(200, 1), **GIVEN | {"weak": weak, "ops": 0})[:, first : first + 3]
        bright = (views == 220).float().flatten(0, 2)  # (600, 28, 28)
        columns = bright.sum(1)  # the upright bar is the column of most bright pixels
        return float((columns[:, :14].amax(1) < columns[:, 14:].amax(1)).float().mean())

    for first in (1, 4):
        assert mirrored("shift", first) < 0.05  # a cut-out may hide the bar
        assert 0.35 < mirrored("shift_flip", first) < 0.65
