from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from engine.errors import ConfigError
from engine.nets import precision
from engine.training.compiled import GRAPHS, compiles
from engine.training.config import TrainConfig
from engine.training.learner import Learner
from engine.training.pools import Pools

CPU = torch.device("cpu")


def pools(classes: int = 3) -> Pools:
    rows = torch.arange(12)
    images = torch.randint(0, 255, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Pools(images, rows, rows % classes, rows[:0], rows[:0], rows[:0], classes)


def test_an_update_is_one_sgd_step_and_moves_the_average() -> None:
    learner = Learner(TrainConfig(weight_decay=0.0, momentum=0.0, grad_clip=0.0, precision="float32"), pools(), CPU)
    learner.model.eval()
    before = {name: value.clone() for name, value in learner.model.named_parameters()}
    loss = F.cross_entropy(learner.logits(pools().images), pools().train_y)
    learner.update(loss, 0.1)
    for name, value in learner.model.named_parameters():
        assert value.grad is not None
        torch.testing.assert_close(value.data, before[name] - 0.1 * value.grad)
    average = dict(learner.ema.model.named_parameters())["head.weight"]
    moved = learner.model.head.weight.detach()  # type: ignore[union-attr]
    # first step: decay min(0.999, 1/10), so nine tenths of the new weights
    torch.testing.assert_close(average, 0.1 * before["head.weight"] + 0.9 * moved)


def test_logits_are_float32_whatever_the_precision() -> None:
    for name in ("float32", "bfloat16"):
        assert Learner(TrainConfig(precision=name), pools(), CPU).logits(pools().images).dtype == torch.float32  # type: ignore[arg-type]


def test_bfloat16_is_used_when_asked_for_and_differs_from_float32_by_its_rounding_alone() -> None:
    torch.manual_seed(0)
    exact = Learner(TrainConfig(precision="float32"), pools(), CPU)
    torch.manual_seed(0)
    rounded = Learner(TrainConfig(precision="bfloat16"), pools(), CPU)
    a, b = (one.logits(pools().images) for one in (exact, rounded) if one.model.eval())
    assert not torch.equal(a, b)
    torch.testing.assert_close(a, b, atol=0.05, rtol=0.05)


def test_auto_takes_bfloat16_only_where_the_hardware_is_built_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capable, wanted in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "fast_bfloat16", lambda device, *, inference, capable=capable: capable)
        assert precision.resolve("auto", CPU) == wanted
    assert precision.resolve("float32", CPU) == torch.float32
    with pytest.raises(ConfigError, match="float16"):
        precision.resolve("float16", CPU)


def test_weights_stay_float32_in_bfloat16() -> None:
    learner = Learner(TrainConfig(precision="bfloat16"), pools(), CPU)
    learner.update(F.cross_entropy(learner.logits(pools().images), pools().train_y), 0.1)
    assert {value.dtype for value in learner.model.parameters()} == {torch.float32}


def test_a_state_from_another_device_leaves_this_ones_kind_of_step() -> None:
    stored = Learner(TrainConfig(momentum=0.5), pools(), CPU).state_dict()
    stored["optimizer"]["param_groups"][0] |= {"fused": True, "foreach": None}
    learner = Learner(TrainConfig(), pools(), CPU)
    learner.load_state_dict(stored)
    assert [(group["fused"], group["foreach"]) for group in learner.optimizer.param_groups] == [(None, True)] * 2
    assert learner.optimizer.param_groups[0]["momentum"] == 0.5


@pytest.mark.parametrize(
    ("setting", "device", "vectors", "steps", "compiled"),
    [
        ("auto", "cuda:0", False, 2000, True),
        ("auto", "cuda:0", False, 1999, False),
        ("auto", "cuda:0", True, 2000, False),
        ("auto", "cpu", False, 2000, False),
        ("auto", "mps:0", False, 2000, False),
        ("on", "cpu", True, 1, True),
        ("off", "cuda:0", False, 2000, False),
    ],
)
def test_auto_compiles_networks_of_images_in_long_runs_on_cuda(
    setting: str, device: str, vectors: bool, steps: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert compiles(setting, torch.device(device), vectors, steps) == compiled


def test_logits_of_compiled_code_are_a_copy_that_its_next_pass_does_not_write_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = torch.zeros(12, 3)

    def passes(x: torch.Tensor) -> torch.Tensor:  # as a recorded graph does: always the same memory
        return output.add_(1)

    monkeypatch.setattr(torch, "compile", lambda model, **options: passes)
    learner = Learner(TrainConfig(compile="on", precision="float32"), pools(), CPU)
    first, second = learner.logits(pools().images), learner.logits(pools().images)
    assert (float(first.mean()), float(second.mean())) == (1.0, 2.0)


def test_torch_knows_the_options_of_compiled_code_on_cuda() -> None:
    torch.compile(torch.nn.Linear(2, 2), options=GRAPHS)
    with pytest.raises(RuntimeError, match="option"):
        torch.compile(torch.nn.Linear(2, 2), options={"triton.no_such_option": True})


def test_auto_compiles_nothing_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not compiles("auto", torch.device("cuda:0"), False, 2000)


def test_a_restored_adam_takes_the_step_that_the_stored_one_takes() -> None:
    def update(learner: Learner) -> None:
        learner.update(F.cross_entropy(learner.logits(pools().images), pools().train_y), 0.01)

    train = TrainConfig(optimizer="adam", precision="float32", dropout=0.0)
    learner, restored = Learner(train, pools(), CPU), Learner(train, pools(), CPU)
    update(learner)
    restored.load_state_dict(copy.deepcopy(learner.state_dict()))
    update(learner)
    update(restored)
    for mine, its in zip(learner.model.parameters(), restored.model.parameters(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled_code_trains_as_the_plain_network_does() -> None:
    def trained(compile: str) -> torch.Tensor:
        torch.manual_seed(0)
        settings = TrainConfig(compile=compile, precision="float32", dropout=0.0)  # type: ignore[arg-type]
        learner = Learner(settings, pools(), CPU)
        for _ in range(3):
            learner.update(F.cross_entropy(learner.logits(pools().images), pools().train_y), 0.05)
        return learner.logits(pools().images).detach()

    torch.testing.assert_close(trained("on"), trained("off"), atol=1e-3, rtol=1e-3)
