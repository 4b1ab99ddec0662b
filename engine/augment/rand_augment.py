"""RandAugment: each image of a batch gets its own randomly drawn distortions, then a cut-out square.

Source: Sohn et al. 2020 (FixMatch), arXiv:2001.07685, appendix on the strong augmentation with RandAugment.

Every round draws for each image one op of OPS, all equally probable, and a level, a whole number uniform in
1..`magnitude` on a scale of 10 (LEVELS). With s = min(level / 10, 1) and a sign + or - of equal probability:

| op | effect |
|---|---|
| identity | nothing |
| autocontrast | every channel stretched to 0..255 |
| brightness, color, contrast, sharpness | blended with black, grey, mean grey, blurred; factor 0.95 - 0.9 s |
| equalize | every channel's histogram made flat |
| posterize | 8 - round(4 s) bits are kept, half to even |
| rotate | by ± 30 s degrees about the centre |
| shear_x, shear_y | by ± 0.3 s about the top left corner |
| solarize | values from 256 (1 - s) on are inverted |
| translate_x, translate_y | by ± 0.3 s of the side |

On grey images color is the identity. No op mirrors: digits and letters keep their sense.

Deviations: a blend's factor falls as the level rises (there it rises, so that a small level distorts most): here
a larger magnitude is never a gentler view; at magnitude 10 the ranges agree. Geometric ops are bilinear, there
nearest; pixels from outside are black as there. Values are not rounded to whole numbers between ops; equalize,
posterize and solarize, which need whole numbers, round first. The cut-out's side is uniform in 0..`cutout`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import ConfigError

OPS = (
    "identity",
    "autocontrast",
    "brightness",
    "color",
    "contrast",
    "equalize",
    "posterize",
    "rotate",
    "sharpness",
    "shear_x",
    "shear_y",
    "solarize",
    "translate_x",
    "translate_y",
)
LEVELS = 10
HIGHEST = 30
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
GREY = 127.0
_NUMBER = {name: place for place, name in enumerate(OPS)}
_MOVE = len(OPS)
_GROUP = torch.tensor([_MOVE if name in GEOMETRIC else _NUMBER[name] for name in OPS])
"""Of each op: its group; the geometric ones are one, as they differ only in an affine matrix."""


Whole = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""`every_op`, or code compiled of it."""


def rand_augment(
    images: Tensor,
    generator: torch.Generator,
    *,
    ops: int = 2,
    magnitude: int = 10,
    cutout: float = 0.5,
    whole: Whole | None = None,
) -> Tensor:
    """Return a distorted copy (B, C, H, W) float32 in 0..255, on the images' device; nothing is mirrored.

    All draws are made on the CPU, so that the views are the same on every device; the host never waits for it.

    Args:
        images: (B, C, H, W) uint8 or float32 in 0..255, C 1 or 3; left as they are.
        generator: of the random draws, on the CPU.
        ops: rounds, each of one op an image; 0 leaves only the cut-out.
        magnitude: 1..30, the highest level that is drawn; above 10 no range grows, its far end only comes more often.
        cutout: 0..1, the largest side of the grey square, in sides; it is clipped at the border. 0 puts none.
        whole: what does a round to the whole batch; None lets each op be done to its own images alone, which is less to
            compute and more to launch.

    Raises:
        ConfigError: a setting is outside its range, or the images have neither 1 nor 3 channels.
    """
    _check(images, ops, magnitude, cutout)
    n = len(images)
    x = _copied(images)
    for _ in range(ops):
        op = torch.randint(len(OPS), (n,), generator=generator)
        level = torch.randint(1, magnitude + 1, (n,), generator=generator)
        sign = 2 * torch.randint(2, (n,), generator=generator) - 1
        if whole is None:
            _distort(x, op, level, sign)
        else:
            x = _distorted(x, op, level, sign, whole)
    draw = torch.rand(3, n, generator=generator)
    return _cut_out(x, draw.to(x.device, non_blocking=True), cutout) if cutout else x


def apply_ops(images: Tensor, op: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Return a copy (B, C, H, W) float32 in 0..255 in which image i has gone through OPS[op[i]].

    Args:
        images: (B, C, H, W) uint8 or float32 in 0..255, C 1 or 3.
        op: (B,) int64 on the CPU, places in OPS.
        level: (B,) from 1, on the CPU.
        sign: (B,) 1 or -1, on the CPU, of the geometric ops.
    """
    x = _copied(images)
    _distort(x, op, level, sign)
    return x


def _check(images: Tensor, ops: int, magnitude: int, cutout: float) -> None:
    if images.shape[1] not in (1, 3):
        raise ConfigError(
            "The images have neither 1 nor 3 channels",
            value=images.shape[1],
            way_out="Convert them to grey or colour images.",
        )
    if ops < 0:
        raise ConfigError("The number of distortions is negative", value=ops, way_out="Set 0 or more.")
    if not 1 <= magnitude <= HIGHEST:
        raise ConfigError(
            f"The strength is outside 1..{HIGHEST}", value=magnitude, way_out="Set a whole number in this range."
        )
    if not 0 <= cutout <= 1:
        raise ConfigError("The cut-out is outside 0..1", value=cutout, way_out="Set a share of the side from 0 to 1.")


def _copied(images: Tensor) -> Tensor:
    return images.to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _distort(x: Tensor, op: Tensor, level: Tensor, sign: Tensor) -> None:
    """Put each image through its op, in place; images of one group are taken together.

    Which images these are is known on the CPU: the sizes of the groups need not be read back from the device.
    """
    group = _GROUP[op]
    order = group.argsort(stable=True)
    sizes = group.bincount(minlength=_MOVE + 1).tolist()
    strength = (level / LEVELS).clamp(max=1)
    value = _value(op, strength)[order].view(-1, 1, 1, 1).to(x.device, non_blocking=True)
    moves = order[len(order) - sizes[_MOVE] :]
    matrix = _matrix(op[moves], (strength * sign)[moves], x.shape[2] / x.shape[3]).to(x.device, non_blocking=True)
    order = order.to(x.device, non_blocking=True)
    end = sizes[0]
    for number in range(1, _MOVE + 1):  # 0 is the identity
        start, end = end, end + sizes[number]
        if start == end or (x.shape[1] == 1 and number == _NUMBER["color"]):
            continue
        rows = order[start:end]
        chosen = x.index_select(0, rows)
        done = _move(chosen, matrix) if number == _MOVE else LIGHT[OPS[number]](chosen, value[start:end])
        x.index_copy_(0, rows, done)


def _distorted(x: Tensor, op: Tensor, level: Tensor, sign: Tensor, whole: Whole) -> Tensor:
    """Return each image after its op, as `_distort` makes it, by `whole`."""
    strength = (level / LEVELS).clamp(max=1)
    group, value = (one.view(-1, 1, 1, 1).to(x.device, non_blocking=True) for one in (_GROUP[op], _value(op, strength)))
    matrix = _matrix(op, strength * sign, x.shape[2] / x.shape[3]).to(x.device, non_blocking=True)
    return whole(x, group, value, matrix)


def every_op(x: Tensor, group: Tensor, value: Tensor, matrix: Tensor) -> Tensor:
    """Return x (B, C, H, W), each image after the op of its group: all are made of all images, one kept of each.

    No shape depends on the draws, so that it can be compiled once: into few kernels, which read and write little.

    Args:
        x: float32 in 0..255.
        group: (B, 1, 1, 1), of each image's op.
        value: (B, 1, 1, 1), the number of its op.
        matrix: (6, B, 1, 1), of its move; that of other ops moves nothing.
    """
    kept = x
    for name, make in LIGHT.items():
        kept = torch.where(group == _NUMBER[name], make(x, value), kept)
    return torch.where(group == _MOVE, _move(x, matrix), kept)


def _value(op: Tensor, strength: Tensor) -> Tensor:
    """Return (B,) the number each image's op takes: a blend's factor, posterize's step, solarize's threshold."""
    value = 0.95 - 0.9 * strength
    value = torch.where(op == _NUMBER["posterize"], 2 ** (4 * strength).round(), value)
    return torch.where(op == _NUMBER["solarize"], 256 * (1 - strength), value)


def _matrix(op: Tensor, amount: Tensor, ratio: float) -> Tensor:
    """Return (6, B, 1, 1): source x = a X + b Y + c and y = d X + e Y + f of every target, in half sides.

    `amount` (B,) is the signed strength, -1..1; `ratio` is height / width.
    """
    angle = torch.where(op == _NUMBER["rotate"], math.radians(30) * amount, 0.0)
    shear_x, shear_y, shift_x, shift_y = (torch.where(op == _NUMBER[name], 0.3 * amount, 0.0) for name in GEOMETRIC[1:])
    a = angle.cos()
    b = (shear_x - angle.sin()) * ratio
    c = shear_x * ratio + 2 * shift_x
    d = (shear_y + angle.sin()) / ratio
    f = shear_y / ratio + 2 * shift_y
    return torch.stack([a, b, c, d, a, f]).view(6, -1, 1, 1)


def _move(x: Tensor, matrix: Tensor) -> Tensor:
    height, width = x.shape[2:]
    y = ((2 * torch.arange(height, device=x.device) + 1) / height - 1).view(1, -1, 1)
    across = ((2 * torch.arange(width, device=x.device) + 1) / width - 1).view(1, 1, -1)
    a, b, c, d, e, f = matrix
    grid = torch.stack([a * across + b * y + c, d * across + e * y + f], 3)  # (B, H, W, 2)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _autocontrast(x: Tensor, _: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (x - low) * (255 / span.clamp(min=1e-6)), x).clamp_(0, 255)


def _brightness(x: Tensor, factor: Tensor) -> Tensor:
    return x * factor


def _color(x: Tensor, factor: Tensor) -> Tensor:
    return _grey(x).lerp(x, factor)


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    return _grey(x).mean((2, 3), keepdim=True).lerp(x, factor)


def _grey(x: Tensor) -> Tensor:
    """Return (B, 1, H, W), the brightness of each pixel by ITU-R 601."""
    return x if x.shape[1] == 1 else 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]


def _equalize(x: Tensor, _: Tensor) -> Tensor:
    """Map each channel by its cumulated histogram, without the count of its highest value, as Pillow does."""
    place = x.flatten(2).flatten(0, 1).round().long()  # (BC, HW)
    count = torch.zeros(len(place), 256, dtype=torch.int64, device=x.device)
    count.scatter_add_(1, place, torch.ones_like(place))
    last = count.gather(1, place.amax(1, keepdim=True))
    step = (place.shape[1] - last) // 255  # (BC, 1)
    table = ((count.cumsum(1) - count + step // 2) // step.clamp(min=1)).clamp_(max=255)
    return torch.where(step > 0, table.gather(1, place), place).to(x.dtype).view_as(x)


def _posterize(x: Tensor, step: Tensor) -> Tensor:
    return (x.round() / step).floor() * step


def _sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean of the 3 × 3 neighbours, the middle counting 5 times; the border stays."""
    if min(x.shape[2:]) < 3:
        return x
    blurred = x.clone()
    middle = x[:, :, 1:-1, 1:-1]
    blurred[:, :, 1:-1, 1:-1] = (9 * F.avg_pool2d(x, 3, stride=1) + 4 * middle) / 13
    return blurred.lerp(x, factor)


def _solarize(x: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(x.round() < threshold, x, 255 - x)


LIGHT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": _autocontrast,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "equalize": _equalize,
    "posterize": _posterize,
    "sharpness": _sharpness,
    "solarize": _solarize,
}
"""Of each op that moves no pixel: what it does to images (B, C, H, W) with numbers (B, 1, 1, 1)."""


def _cut_out(x: Tensor, draw: Tensor, largest: float) -> Tensor:
    """Put a grey square on each image; draws are (3, B) in 0..1: size, centre row, centre column."""
    height, width = x.shape[2:]
    half = (draw[0] * largest / 2).view(-1, 1)
    rows = ((torch.arange(height, device=x.device) + 0.5) / height - draw[1].view(-1, 1)).abs() < half  # (B, H)
    columns = ((torch.arange(width, device=x.device) + 0.5) / width - draw[2].view(-1, 1)).abs() < half  # (B, W)
    return x.masked_fill_(rows[:, None, :, None] & columns[:, None, None, :], GREY)
