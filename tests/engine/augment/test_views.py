from __future__ import annotations

import torch

from engine.augment.strong import affine_view, strong_view
from engine.augment.weak import weak_view


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(n: int = 200, side: int = 16) -> torch.Tensor:
    """Images whose value is row * 16 + column, so that every pixel names its origin."""
    return torch.arange(side * side, dtype=torch.uint8).view(1, 1, side, side).expand(n, 1, side, side).clone()


def test_none_returns_the_images_and_draws_nothing() -> None:
    images, draws = ramp(4), generator()
    state = draws.get_state()
    assert torch.equal(weak_view(images, "none", draws), images)
    assert torch.equal(draws.get_state(), state)


def test_a_shift_moves_whole_images_by_up_to_an_eighth_and_repeats_the_edge() -> None:
    view = weak_view(ramp(), "shift", generator())
    rows, columns = view // 16, view % 16
    down, right = rows[:, 0, 8, 8].int() - 8, columns[:, 0, 8, 8].int() - 8
    assert set(down.tolist()) == set(right.tolist()) == {-2, -1, 0, 1, 2}
    wanted = (torch.arange(16) + down[0]).clamp(0, 15)
    assert torch.equal(rows[0, 0, :, 0].int(), wanted.int())
    assert len({tuple(pair) for pair in zip(down.tolist(), right.tolist(), strict=True)}) == 25


def test_only_shift_flip_mirrors_and_about_half_of_the_images() -> None:
    def mirrored(kind: str) -> int:
        view = weak_view(ramp(), kind, generator())  # type: ignore[arg-type]
        return int((view[:, 0, 8, 4] > view[:, 0, 8, 12]).sum())

    assert mirrored("shift") == 0
    assert 70 < mirrored("shift_flip") < 130


def test_views_of_colour_images_move_all_channels_together() -> None:
    images = ramp(10).expand(10, 3, 16, 16).contiguous()
    view = weak_view(images, "shift_flip", generator())
    assert view.shape == (10, 3, 16, 16)
    assert view.dtype == torch.uint8
    assert torch.equal(view[:, 0], view[:, 2])


def test_the_same_draws_give_the_same_views_and_images_differ() -> None:
    images = ramp(6)
    one, two = (strong_view(images, generator(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, strong_view(images, generator(4)))


def test_a_strong_view_stays_in_range_and_leaves_its_input_alone() -> None:
    images = ramp(50)
    kept = images.clone()
    view = strong_view(images, generator())
    assert view.shape == images.shape
    assert view.dtype == torch.float32
    assert 0 <= float(view.min()) < float(view.max()) <= 255
    assert torch.equal(images, kept)


def test_a_strong_view_cuts_out_a_grey_square_of_at_most_two_fifths() -> None:
    view = strong_view(torch.zeros(300, 1, 20, 20, dtype=torch.uint8), generator())
    cut = (view == 127).sum((1, 2, 3))
    assert set(view.unique().tolist()) == {0.0, 127.0}
    assert int(cut.max()) <= 8 * 8
    assert int((cut > 0).sum()) > 250


def test_a_strong_view_changes_light_on_plain_images() -> None:
    view = strong_view(torch.full((300, 1, 20, 20), 100, dtype=torch.uint8), generator())
    light = view[:, 0].flatten(1).median(1).values
    assert 58 < float(light.min()) < 70
    assert 130 < float(light.max()) < 142


def test_a_strong_view_turns_and_shifts_but_not_far() -> None:
    images = torch.zeros(300, 1, 33, 33, dtype=torch.uint8)
    images[:, :, 16, 16] = 255
    view = strong_view(images, generator())
    view = torch.where(view == 127, torch.zeros_like(view), view)
    seen = view.flatten(1).max(1).values > 20
    place = view.flatten(1).argmax(1)
    offset = torch.stack([place // 33 - 16, place % 33 - 16])[:, seen].abs()
    assert int(seen.sum()) > 200
    assert 3 <= int(offset.max()) <= 5


def test_an_affine_view_moves_turns_scales_and_shears_a_little_and_covers_nothing() -> None:
    images = torch.zeros(400, 1, 41, 41, dtype=torch.uint8)
    images[:, :, 20, 10:31] = 200  # a level bar of 21 pixels through the middle
    kept = images.clone()
    view = affine_view(images, generator())
    assert torch.equal(images, kept)
    ink = view[:, 0] / view.sum((1, 2, 3), keepdim=False).view(-1, 1, 1)
    at = torch.arange(41.0) - 20
    down, across = (ink.sum(2) * at).sum(1), (ink.sum(1) * at).sum(1)
    assert 3.5 < float(down.abs().max()) < 6
    assert 3.5 < float(across.abs().max()) < 6
    turned = (ink * (at[:, None] - down.view(-1, 1, 1)) * (at - across.view(-1, 1, 1))).sum((1, 2))
    spread = (ink.sum(1) * (at - across[:, None]) ** 2).sum(1)
    angle = torch.atan(turned / spread).rad2deg()
    assert 12 < float(angle.abs().max()) < 18
    assert abs(float(angle.mean())) < 2
    length = (spread / spread.median()).sqrt()
    assert 0.85 < float(length.min()) < 0.95 < 1.05 < float(length.max()) < 1.18
    assert torch.equal(view, affine_view(images, generator()))
    plain = affine_view(torch.full((50, 3, 20, 20), 90, dtype=torch.uint8), generator())
    torch.testing.assert_close(plain, torch.full_like(plain, 90.0))
