from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms import functional as tv

from engine.augment.rand_augment import GEOMETRIC, OPS, apply_ops, every_op, rand_augment
from engine.errors import ConfigError
from tests.engine.augment.op_reference import reference

PLAIN = ("identity", "color")
"""Ops that leave grey images as they are."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples(n: int = 4, channels: int = 1, height: int = 20, width: int = 24) -> Tensor:
    """Smooth random images with values of 20..220, so that contrast can be stretched."""
    coarse = torch.rand(n, channels, 5, 6, generator=generator(n))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (20 + 200 * fine).to(torch.uint8)


def apply(name: str, images: Tensor, level: int = 10, sign: int = 1) -> Tensor:
    every = torch.ones(len(images), dtype=torch.int64)
    return apply_ops(images, every * OPS.index(name), every * level, every * sign)


def test_the_list_of_ops_is_fixed_and_mirrors_nothing() -> None:
    assert OPS == (
        "identity", "autocontrast", "brightness", "color", "contrast", "equalize", "posterize",
        "rotate", "sharpness", "shear_x", "shear_y", "solarize", "translate_x", "translate_y",
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Op, level and sign of every round that rand_augment distorts by."""
    from engine.augment import rand_augment as module

    calls: list[tuple[Tensor, Tensor, Tensor]] = []
    monkeypatch.setattr(module, "_distort", lambda _, *draws: calls.append(draws))
    return calls


def test_every_op_level_and_sign_is_equally_probable_in_every_round(drawn: list[tuple[Tensor, ...]]) -> None:
    n = 28_000
    rand_augment(torch.zeros(n, 1, 2, 2), generator(), ops=3, magnitude=7, cutout=0)
    assert len(drawn) == 3
    for op, level, sign in drawn:
        counts = op.bincount(minlength=14).double()
        assert len(counts) == 14
        # chi-square with 13 degrees of freedom: 34.5 is passed once in a thousand times
        assert float(((counts - n / 14) ** 2 / (n / 14)).sum()) < 34.5
        levels = level.bincount(minlength=8).double()
        assert levels[0] == 0
        assert len(levels) == 8
        assert float(((levels[1:] - n / 7) ** 2 / (n / 7)).sum()) < 22.5
        assert set(sign.tolist()) == {-1, 1}
        assert abs(float(sign.double().mean())) < 4 / n**0.5
    (first, _, _), (second, _, _), _ = drawn
    assert 0.06 < float((first == second).double().mean()) < 0.083  # 1/14: the rounds are independent


def test_each_image_goes_through_its_own_op() -> None:
    images = samples(56, 3)
    op = torch.arange(14).repeat(4)[torch.randperm(56, generator=generator())]
    level, sign = torch.randint(1, 11, (56,), generator=generator()), torch.ones(56, dtype=torch.int64)
    together = apply_ops(images, op, level, sign)
    for place in range(56):
        alone = apply(OPS[op[place]], images[place : place + 1], int(level[place]))
        torch.testing.assert_close(together[place : place + 1], alone)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPS)
def test_a_batched_op_agrees_with_the_reference_to_a_hundredth(name: str, channels: int) -> None:
    images = samples(2, channels)
    for level in (1, 4, 9, 10):
        for sign in (1, -1) if name in GEOMETRIC else (1,):
            view = apply(name, images, level, sign)
            wanted = np.stack([reference(name, one, level, sign) for one in images.double().numpy()])
            np.testing.assert_allclose(view.numpy(), wanted, atol=0.01)
    changes = name != "identity" and not (name == "color" and channels == 1)
    assert torch.equal(apply(name, images), images.float()) != changes


def test_ops_agree_with_torchvision_where_it_defines_them_alike() -> None:
    """To one step of 256, as torchvision truncates (twice in blends: two); its shears are angles."""
    images = samples(3, 3)
    same = {
        "brightness": tv.adjust_brightness(images, 0.05),
        "color": tv.adjust_saturation(images, 0.05),
        "contrast": tv.adjust_contrast(images, 0.05),
        "sharpness": tv.adjust_sharpness(images, 0.05),
        "autocontrast": tv.autocontrast(images),
        "equalize": tv.equalize(images),
        "posterize": tv.posterize(images, 4),
        "solarize": tv.solarize(images, 0),
        "rotate": tv.rotate(images, 30, InterpolationMode.BILINEAR),
    }
    for name, wanted in same.items():
        away = (apply(name, images) - wanted.float()).abs()
        assert float(away.max()) < (2.01 if name in ("color", "contrast", "sharpness") else 1.01), name


def test_solarize_inverts_from_the_threshold_on() -> None:
    """At level 5 the threshold is 128: 127 stays, 128 becomes 127, 200 becomes 55."""
    images = torch.tensor([0, 127, 128, 200], dtype=torch.uint8).view(1, 1, 2, 2)
    assert apply("solarize", images, 5).flatten().tolist() == [0, 127, 127, 55]


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
@pytest.mark.parametrize("value", [0, 100, 255])
def test_a_plain_image_cannot_be_stretched_and_stays(name: str, value: int) -> None:
    images = torch.full((2, 3, 8, 8), value, dtype=torch.uint8)
    assert torch.equal(apply(name, images), images.float())


@pytest.mark.parametrize("name", [name for name in OPS if name not in PLAIN])
def test_a_higher_level_never_distorts_less(name: str) -> None:
    square = torch.zeros(1, 1, 33, 33, dtype=torch.uint8)
    square[:, :, 12:21, 12:21] = 200
    square[:, :, 16, 16] = 90
    images = square + 20
    away = [float((apply(name, images, level) - images).abs().sum()) for level in range(1, 13)]
    assert all(later >= earlier - 1 for earlier, later in itertools.pairwise(away))
    assert away[9] == away[11]


def test_rounds_follow_one_another_on_the_same_image() -> None:
    images, draws = samples(40, 3), generator(5)
    wanted: Tensor = images
    for _ in range(3):
        op, level = torch.randint(14, (40,), generator=draws), torch.randint(1, 9, (40,), generator=draws)
        sign = 2 * torch.randint(2, (40,), generator=draws) - 1
        wanted = apply_ops(wanted, op, level, sign)
    assert torch.equal(rand_augment(images, generator(5), ops=3, magnitude=8, cutout=0), wanted)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_stays_in_range_leaves_its_input_alone_and_repeats_with_its_seed(channels: int) -> None:
    images = torch.randint(256, (200, channels, 12, 10), dtype=torch.uint8, generator=generator())
    kept = images.clone()
    view = rand_augment(images, generator(1), ops=4)
    assert view.shape == images.shape
    assert view.dtype == torch.float32
    assert 0 <= float(view.min()) < float(view.max()) <= 255.001
    assert torch.equal(view, rand_augment(images, generator(1), ops=4))
    assert not torch.equal(view, rand_augment(images, generator(2), ops=4))
    floats = images.float()
    assert torch.equal(view, rand_augment(floats, generator(1), ops=4))
    assert torch.equal(floats.to(torch.uint8), kept)
    assert torch.equal(images, kept)


def test_a_square_of_up_to_the_given_share_of_the_side_is_cut_out_in_every_channel() -> None:
    view = rand_augment(torch.zeros(400, 3, 20, 20, dtype=torch.uint8), generator(), ops=0, cutout=0.5)
    assert set(view.unique().tolist()) == {0.0, 127.0}
    assert torch.equal(view[:, 0], view[:, 2])
    cut = (view[:, 0] == 127).sum((1, 2))
    assert 90 < int(cut.max()) <= 100
    assert int((cut == 0).sum()) < 40
    share = (view[:, 0] == 127).float().mean(0)
    assert float(share[:10].mean()) == pytest.approx(float(share[10:].mean()), abs=0.02)
    whole = rand_augment(samples(), generator(), ops=0, cutout=0)
    assert torch.equal(whole, samples().float())


def test_no_view_is_a_mirror_image() -> None:
    """An arrow's upper left corner stays nearer to the upper left than to any other corner."""
    corner = torch.zeros(28, 28)
    corner[8:20, 8:12] = corner[8:12, 8:20] = 220
    views = rand_augment(corner.expand(600, 1, 28, 28), generator(), cutout=0)
    mirrored = corner.flip(1)

    def likeness(image: Tensor) -> Tensor:
        stack = torch.cat([image.flatten()[None], views.flatten(1)])
        return torch.corrcoef(stack + 1e-3 * torch.rand(stack.shape, generator=generator()))[0, 1:].abs()

    # a far shift can lay one side on the other's place; a flip in the list would mirror one view in eight more
    assert float((likeness(mirrored) > 0.9).float().mean()) < 0.005
    assert float((likeness(corner) > 0.9).float().mean()) > 0.3


@pytest.mark.parametrize("side", [1, 2, 3])
def test_tiny_images_and_an_empty_batch_pass(side: int) -> None:
    assert rand_augment(samples(60, 3, side, side), generator()).isfinite().all()
    assert rand_augment(torch.zeros(0, 3, side, side), generator()).shape == (0, 3, side, side)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"magnitude": 0}, "strength"), ({"magnitude": 31}, "strength"), ({"ops": -1}, "number of distortions"),
     ({"cutout": 1.5}, "cut-out")],
)  # fmt: skip
def test_a_setting_outside_its_range_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rand_augment(samples(), generator(), **given)


def test_images_of_two_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="neither 1 nor 3"):
        rand_augment(torch.zeros(2, 2, 8, 8), generator())


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.speed
@pytest.mark.usefixtures("one_thread")
def test_a_batch_takes_less_than_half_the_time_of_torchvision_on_its_images_one_by_one() -> None:
    """In processor time, which does not count waiting for other programs."""
    images, single = samples(256, 1, 28, 28), RandAugment(2, 9)

    def seconds(work: Callable[[], Any]) -> float:
        best = float("inf")
        for _ in range(4):
            start = time.process_time()
            work()
            best = min(best, time.process_time() - start)
        return best

    batched = seconds(lambda: rand_augment(images, generator()))
    assert 2 * batched < seconds(lambda: torch.stack([single(image) for image in images]))


@pytest.mark.parametrize("channels", [1, 3])
def test_ops_done_to_the_whole_batch_are_those_done_op_by_op(channels: int) -> None:
    images = samples(200, channels)
    one, other = generator(1), generator(1)
    by_op = rand_augment(images, one, ops=3)
    assert torch.equal(rand_augment(images, other, ops=3, whole=every_op), by_op)
    assert torch.equal(one.get_state(), other.get_state())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled_ops_are_those_done_op_by_op() -> None:
    images = samples(64, 3)
    whole = torch.compile(every_op, dynamic=False)
    away = (rand_augment(images, generator(1), whole=whole) - rand_augment(images, generator(1))).abs()
    assert float((away > 0.01).float().mean()) < 0.001


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_views_are_the_same_on_the_gpu_and_made_without_waiting_for_it() -> None:
    images = torch.randint(256, (448, 3, 32, 32), dtype=torch.uint8, generator=generator())
    there = images.cuda()
    rand_augment(there, generator(1))
    torch.cuda.set_sync_debug_mode("error")
    try:
        view = rand_augment(there, generator(1))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    away = (view.cpu() - rand_augment(images, generator(1))).abs()
    # rounding before equalize, posterize and solarize may fall to the other side in a few pixels
    assert float((away > 0.01).float().mean()) < 0.001
