from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.nets.build import build_net
from engine.training.evaluate import evaluation_mode, features, predict, predict_all, predict_logits

CPU = torch.device("cpu")


def net() -> nn.Module:
    torch.manual_seed(0)
    return build_net("wrn_28_2", (1, 8, 8), 3, ([0.5], [0.5]), dropout=0.5)


def images(n: int = 20) -> torch.Tensor:
    return torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_prediction_leaves_buffers_and_each_modules_mode_as_they_were() -> None:
    model, x = net().train(), images()
    frozen = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d)).eval()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    first = predict_logits(model, x, torch.arange(20), CPU)
    assert torch.equal(first, predict_logits(model, x, torch.arange(20), CPU))
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert model.training
    assert not frozen.training


def test_the_mode_is_put_back_after_an_error() -> None:
    model = net().train()
    try:
        with evaluation_mode(model):
            raise KeyError
    except KeyError:
        assert all(module.training for module in model.modules())


def test_rows_come_in_the_order_asked_for_in_batches_of_any_size() -> None:
    model, x, idx = net(), images(), torch.tensor([7, 3, 19, 0, 3])
    whole = predict_logits(model, x, torch.arange(20), CPU)
    torch.testing.assert_close(predict_logits(model, x, idx, CPU, batch_size=2), whole[idx], rtol=1e-4, atol=1e-5)


def test_the_head_turns_features_into_logits() -> None:
    model, x = net().eval(), images()
    found = features(model, x, torch.arange(20), CPU)
    assert found.shape == (20, 128)
    torch.testing.assert_close(model.head(found), predict_logits(model, x, torch.arange(20), CPU), rtol=1e-4, atol=1e-5)


def test_one_pass_gives_both_also_for_rows_outside_it() -> None:
    model, x = net(), images()
    wanted = torch.tensor([15, 2, 2, 9])
    seen = predict(model, x, torch.arange(10), CPU, features_of=wanted)
    torch.testing.assert_close(seen.logits, predict_logits(model, x, torch.arange(10), CPU), rtol=1e-4, atol=1e-5)
    assert seen.features is not None
    torch.testing.assert_close(seen.features, features(model, x, wanted, CPU), rtol=1e-4, atol=1e-5)
    assert seen.feature_logits is not None
    torch.testing.assert_close(seen.feature_logits, predict_logits(model, x, wanted, CPU), rtol=1e-4, atol=1e-5)


def test_each_image_goes_through_once_whether_asked_for_once_or_twice() -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        head = nn.Identity()

        def features(self, x: torch.Tensor) -> torch.Tensor:
            seen.extend(x[:, 0].int().tolist())
            return x[:, :2].float()

    x = torch.arange(6).view(6, 1).expand(6, 2).contiguous()
    found = predict(Counting(), x, torch.tensor([3, 1]), CPU, features_of=torch.tensor([5, 1, 0]))
    assert seen == [3, 1, 5, 0]
    assert found.feature_logits is not None
    assert (found.logits[:, 0].tolist(), found.feature_logits[:, 0].tolist()) == ([3, 1], [5, 1, 0])


@pytest.mark.parametrize(("rows", "wanted"), [(0, 0), (0, 3), (3, 0)])
def test_no_rows_or_no_images_asked_for_besides_give_empty_results(rows: int, wanted: int) -> None:
    seen = predict(net(), images(), torch.arange(rows), CPU, features_of=torch.arange(wanted))
    assert seen.features is not None
    assert seen.feature_logits is not None
    assert (seen.logits.shape, seen.features.shape) == ((rows, 3), (wanted, 128))
    assert seen.feature_logits.shape == (wanted, 3)


def test_without_images_asked_for_besides_there_are_logits_alone() -> None:
    seen = predict(net(), images(), torch.arange(3), CPU)
    assert (seen.features, seen.feature_logits) == (None, None)


@pytest.mark.parametrize("wanted", [None, torch.arange(3)])
def test_a_pass_in_bfloat16_differs_by_its_rounding_alone_and_gives_float32(wanted: torch.Tensor | None) -> None:
    exact = predict(net(), images(), torch.arange(20), CPU, features_of=wanted)
    rounded = predict(net(), images(), torch.arange(20), CPU, features_of=wanted, precision="bfloat16")
    assert rounded.logits.dtype == torch.float32
    assert not torch.equal(rounded.logits, exact.logits)
    torch.testing.assert_close(rounded.logits, exact.logits, atol=0.1, rtol=0.05)


def test_no_rows_give_empty_results_of_the_right_width() -> None:
    none = torch.empty(0, dtype=torch.int64)
    assert predict_logits(net(), images(), none, CPU).shape == (0, 3)
    assert features(net(), images(), none, CPU).shape == (0, 128)


def test_large_images_go_through_in_smaller_batches_and_vectors_in_whole_ones() -> None:
    sizes: list[int] = []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            return x.flatten(1)[:, :1].float()

    for shape in ((1, 64, 64), (1, 128, 128), (5,)):
        x = torch.zeros(100, *shape)
        assert len(predict_logits(Counting(), x, torch.arange(100), CPU)) == 100
    assert sizes == [100, 64, 36, 100]


class Wide(torch.nn.Module):
    """Its one feature is the image's first value times a million; its logits are (feature, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0], [0.0]]))
            self.head.bias.zero_()

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return 1e6 * images.flatten(1)[:, :1].float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def test_all_features_are_cut_to_the_range_of_float16_and_logits_are_not() -> None:
    x = torch.tensor([0, 3], dtype=torch.uint8).view(2, 1, 1, 1)
    logits, kept = predict_all(Wide(), x, most_bytes=4)
    assert kept is not None
    assert kept.tolist() == [[0.0], [65504.0]]
    assert logits.tolist() == [[0.0, 0.0], [3e6, 0.0]]


def test_features_beyond_the_most_bytes_are_not_kept_and_the_pass_can_be_stopped() -> None:
    x = torch.zeros(300, 1, 1, 1, dtype=torch.uint8)
    assert predict_all(Wide(), x, most_bytes=599)[1] is None
    calls = []
    predict_all(Wide(), x, most_bytes=600, between=lambda: calls.append(1))
    assert len(calls) == 2


def test_the_features_of_a_linear_classifier_are_what_it_is_given() -> None:
    net = build_net("linear", (3,), 2, ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]))
    logits, kept = predict_all(net, torch.tensor([[1.0, 3.0, 5.0]]), most_bytes=100)
    assert kept is not None
    assert kept.tolist() == [[0.0, 1.0, 2.0]]
    assert logits.shape == (1, 2)
