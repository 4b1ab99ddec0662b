from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engine.algorithms.vat import Vat, VatConfig, adversarial_loss, divergence, entropy, unit, worst_direction
from engine.errors import ConfigError
from engine.nets.build import build_net
from engine.training.config import TrainConfig
from engine.training.loop import EpochEvent, train
from engine.training.pools import Pools

CPU = torch.device("cpu")
SETTINGS = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "unlabeled_ratio": 2, "precision": "float32"}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 4, 4)])
def test_every_sample_is_scaled_to_length_one_over_all_its_values(shape: tuple[int, ...]) -> None:
    found = unit(random(*shape) * torch.tensor([1e-30, 1e-6, 1.0, 1e6, 1e30]).view(-1, *[1] * (len(shape) - 1)))
    assert found.shape == shape
    assert found.flatten(1).norm(dim=1).tolist() == pytest.approx([1.0] * 5, rel=1e-5)


def test_a_direction_of_zeros_stays_zero_and_finite() -> None:
    assert unit(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


def test_divergence_is_the_kullback_leibler_divergence_and_spares_its_first_argument() -> None:
    p = torch.log(torch.tensor([[0.75, 0.25]])).requires_grad_()
    q = torch.log(torch.tensor([[0.5, 0.5]])).requires_grad_()
    found = divergence(p, q)
    found.sum().backward()
    assert float(found.detach()) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert p.grad is None
    assert q.grad is not None
    assert q.grad.tolist() == [pytest.approx([-0.25, 0.25])]  # q - p


class Recorder:
    """A linear network on flattened inputs that keeps what it was given."""

    def __init__(self, values: int, classes: int = 3) -> None:
        self.weight = random(classes, values, seed=4).requires_grad_()
        self.seen: list[Tensor] = []

    def __call__(self, z: Tensor) -> Tensor:
        self.seen.append(z.detach().clone())
        return z.flatten(1) @ self.weight.T


@pytest.mark.parametrize("shape", [(6, 2), (6, 3, 4, 4)])
def test_the_adversarial_step_has_length_epsilon_times_root_d(shape: tuple[int, ...]) -> None:
    z, net = random(*shape), Recorder(math.prod(shape[1:]))
    adversarial_loss(net, z, random(*shape, seed=1), VatConfig(epsilon=0.3))
    r = (net.seen[-1] - z).flatten(1)
    assert r.norm(dim=1).tolist() == pytest.approx([0.3 * math.sqrt(r.shape[1])] * 6, rel=1e-4)


@pytest.mark.parametrize("shape", [(4, 5), (4, 1, 6, 6)])
def test_of_a_linear_model_of_two_classes_the_step_is_parallel_to_the_difference_of_its_weights(
    shape: tuple[int, ...],
) -> None:
    net, z = Recorder(math.prod(shape[1:]), classes=2), 0.1 * random(*shape)
    d = worst_direction(net, z, net(z).detach(), random(*shape, seed=1), xi=VatConfig().xi, iterations=1)
    across = unit((net.weight[1] - net.weight[0]).detach()[None])
    assert (d.flatten(1) @ across[0]).abs().tolist() == pytest.approx([1.0] * 4, abs=1e-3)


def exact_direction(net: Callable[[Tensor], Tensor], z: Tensor, d: Tensor) -> Tensor:
    """The limit of small ξ by double backward: Jᵀ (diag p − p pᵀ) J d."""
    z = z.clone().requires_grad_()
    logits = net(z)
    p = logits.softmax(1).detach()
    zero = torch.zeros_like(logits, requires_grad=True)
    (back,) = torch.autograd.grad(logits, z, zero, create_graph=True)
    (jd,) = torch.autograd.grad(back, zero, d, retain_graph=True)
    (found,) = torch.autograd.grad(logits, z, p * jd - p * (p * jd).sum(1, keepdim=True))
    return unit(found)


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28)])
def test_the_default_probing_step_finds_the_exact_direction_where_a_step_of_length_1e_6_drowns(
    shape: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    net = build_net("auto", shape, 10, ([0.0] * shape[0], [1.0] * shape[0])).eval()
    z, d = random(8, *shape), unit(random(8, *shape, seed=1))
    clean = net.normalized_logits(z).detach()
    exact = exact_direction(net.normalized_logits, z, d)

    def likeness(xi: float) -> float:
        found = worst_direction(net.normalized_logits, z, clean, d, xi=xi, iterations=1)
        return float((found * exact).flatten(1).sum(1).min())

    assert likeness(VatConfig().xi) > 0.99
    if len(shape) == 3:
        assert likeness(1e-6 / 28) < 0.9


def test_more_iterations_come_nearer_to_the_worst_direction() -> None:
    net, z = Recorder(20), random(16, 20)
    clean, start = net(z).detach(), random(16, 20, seed=2)

    def change(iterations: int) -> float:
        d = worst_direction(net, z, clean, start, xi=1e-3, iterations=iterations)
        return float(divergence(clean, net(z + 0.01 * d)).sum().detach())

    assert change(8) > change(1) > float(divergence(clean, net(z + 0.01 * unit(start))).sum().detach())


@pytest.mark.parametrize("before", [None, 7.0])
def test_the_search_leaves_the_gradients_of_the_weights_as_they_were(before: float | None) -> None:
    net, z = Recorder(4), random(3, 4)
    net.weight.grad = None if before is None else torch.full_like(net.weight, before)
    worst_direction(net, z, net(z).detach(), random(3, 4, seed=1), xi=1e-3, iterations=3)
    assert net.weight.grad is None if before is None else bool((net.weight.grad == before).all())


def test_the_gradient_of_the_loss_is_that_of_the_divergence_with_the_step_held_fixed() -> None:
    net, z, config = Recorder(4), random(3, 4), VatConfig(epsilon=0.5)
    adversarial_loss(net, z, random(3, 4, seed=1), config).backward()
    found, moved = net.weight.grad, net.seen[-1]
    net.weight.grad = None
    with torch.no_grad():
        p = net(z).softmax(1)
    (-(p * net(moved).log_softmax(1)).sum(1).mean()).backward()
    torch.testing.assert_close(found, net.weight.grad)


def test_entropy_is_in_nats() -> None:
    assert float(entropy(torch.zeros(3, 4))) == pytest.approx(math.log(4))


class Noisy(nn.Module):
    """Batch statistics and dropout in front of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 4))

    def forward(self, z: Tensor) -> Tensor:
        found: Tensor = self.layers(z)
        return found


def test_the_smoothness_loss_moves_no_batch_statistics_and_uses_no_dropout(make_pools: Callable[..., Pools]) -> None:
    run = Vat(VatConfig(epsilon=0.0), TrainConfig(**SETTINGS), make_pools(), CPU)
    model = run._learner.model
    model.trunk, model.head = Noisy(), nn.Identity()
    model.train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    u = run._feed.unlabeled()[0]
    # with epsilon 0 both predictions are of the same input: any other difference would be noise
    assert float(run._smoothness(u).detach()) == pytest.approx(0.0, abs=1e-7)
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_smoothness_loss_is_float32_under_autocast(make_pools: Callable[..., Pools]) -> None:
    run = Vat(VatConfig(), TrainConfig(**SETTINGS), make_pools(), CPU)
    u, state = run._feed.unlabeled()[0], run._noise.get_state()
    plain = run._smoothness(u)
    run._noise.set_state(state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(run._smoothness(u).detach()) == float(plain.detach())


def test_the_loss_sums_its_weighted_terms(make_pools: Callable[..., Pools]) -> None:
    run = Vat(VatConfig(weight=2.5, entropy_weight=0.5), TrainConfig(**SETTINGS), make_pools(), CPU)
    for told in run.steps(0):
        whole = float(told["labeled_loss"]) + 2.5 * float(told["unlabeled_loss"]) + 0.5 * float(told["entropy"])
        assert float(told["loss"]) == pytest.approx(whole, rel=1e-5)


def test_without_entropy_the_unlabeled_images_enter_only_through_the_smoothness(
    make_pools: Callable[..., Pools],
) -> None:
    run = Vat(VatConfig(entropy=False), TrainConfig(**SETTINGS), make_pools(), CPU)
    batches: list[int] = []
    run._learner.model.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    for told in run.steps(0):
        assert "entropy" not in told
    assert batches == [4, 4, 4]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        VatConfig(iterations=0)


def test_a_tiny_run_learns(make_pools: Callable[..., Pools]) -> None:
    pools = make_pools()
    settings = TrainConfig(epochs=2, steps_per_epoch=20, batch_size=8, learning_rate=0.1, ema_decay=0.9)
    *_, last = train(Vat(VatConfig(), settings, pools, CPU), pools)
    assert isinstance(last, EpochEvent)
    assert (last.probabilities.argmax(1) == (pools.unlabeled_idx % 4).numpy()).mean() > 0.9
    assert last.metrics["used_share"] == 1.0
