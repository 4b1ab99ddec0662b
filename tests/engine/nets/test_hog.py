from __future__ import annotations

import torch
import torch.nn.functional as F

from engine.nets.hog import WIDTH, hog_features


def stroke(slant: float = 0.0, across: int = 0, side: int = 28) -> torch.Tensor:
    """A bright stroke (1, 1, side, side) from top to bottom that drifts by `slant` pixels a row."""
    rows = torch.arange(side).float()
    middle = side / 2 + across + slant * (rows - side / 2)
    columns = torch.arange(side).float()
    ink = (1 - (columns - middle[:, None]).abs() / 2).clamp(0, 1)
    ink[:5] = ink[-5:] = 0
    return (255 * ink).to(torch.uint8)[None, None]


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(F.cosine_similarity(hog_features(a), hog_features(b)))


def test_a_slanted_or_moved_stroke_is_like_the_upright_one_in_the_middle() -> None:
    assert likeness(stroke(), stroke(0.4)) > 0.9
    assert likeness(stroke(), stroke(across=4)) > 0.97
    assert likeness(stroke(), stroke().transpose(2, 3)) < 0.5


def test_dark_on_light_is_as_light_on_dark() -> None:
    torch.testing.assert_close(hog_features(stroke()), hog_features(255 - stroke()))


def test_images_of_any_side_have_the_same_number_of_values_none_negative() -> None:
    for side in (8, 28, 64):
        features = hog_features(torch.randint(0, 256, (3, 1, side, side), dtype=torch.uint8))
        assert features.shape == (3, WIDTH) == (3, 1352)
        assert (features >= 0).all()
    assert hog_features(torch.empty(0, 1, 8, 8, dtype=torch.uint8)).shape == (0, WIDTH)


def test_an_image_of_one_colour_has_no_gradient() -> None:
    assert not hog_features(torch.full((1, 1, 28, 28), 90, dtype=torch.uint8)).any()


def test_a_gradient_is_counted_at_its_orientation() -> None:
    upright = hog_features(stroke()).view(8, 13, 13).sum((1, 2))
    level = hog_features(stroke().transpose(2, 3)).view(8, 13, 13).sum((1, 2))
    assert upright.argmax() == 0  # across, whichever side of the stroke
    assert level.argmax() == 4  # a quarter turn: half of the 8 that make half a turn
