from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from engine.algorithms import neighbour_graph
from engine.algorithms.neighbour_graph import Graph, balanced, nearest_others, spread


def groups(count: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    """Rows around 40 centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(40, width, generator=generator)
    return centres[torch.arange(count) % 40] + 0.3 * torch.randn(count, width, generator=generator)


def sorted_by_distance(u: torch.Tensor) -> torch.Tensor:
    apart = torch.cdist(u.double(), u.double(), compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    return apart.sort(1)


def chain() -> Graph:
    """Six images in a row, each the neighbour of the next two."""
    return Graph.of(*nearest_others(torch.tensor([0.0, 1.0, 2.2, 3.6, 5.2, 7.0])[:, None], 2))


def test_neighbours_are_exact_and_leave_the_row_itself_out() -> None:
    u = groups(500)
    near, squares = nearest_others(u)
    true = sorted_by_distance(u)
    assert (near == true.indices[:, :10].numpy()).all()
    np.testing.assert_allclose(squares, true.values[:, :10].numpy() ** 2, rtol=1e-3, atol=1e-5)


def test_equal_rows_are_neighbours_of_each_other_and_never_of_themselves() -> None:
    u = torch.cat([torch.ones(15, 3), groups(30, 3)])
    near, squares = nearest_others(u)
    assert not (near == np.arange(45)[:, None]).any()
    assert (near[:15] < 15).all()
    assert np.isfinite(Graph.of(near, squares).averaging.data).all()


def test_few_rows_have_fewer_neighbours() -> None:
    assert nearest_others(groups(4))[0].shape == (4, 3)


@pytest.mark.parametrize("faiss", [True, False])
def test_above_the_exact_limit_nearly_all_neighbours_are_found(faiss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_graph, "EXACT", 100)
    monkeypatch.setattr(neighbour_graph, "PROBES", 1)
    if not faiss:
        monkeypatch.setitem(sys.modules, "faiss", None)  # as where it is not installed
    u = groups(3000, 16)
    near, squares = nearest_others(u)
    true = sorted_by_distance(u)
    assert (near[:, :, None] == true.indices[:, None, :10].numpy()).any(2).mean() > 0.99
    assert (np.diff(squares, axis=1) >= 0).all()
    assert not (near == np.arange(3000)[:, None]).any()


def test_edges_weigh_by_distance_over_both_widths_and_are_symmetric() -> None:
    u = torch.tensor([[0.0], [1.0], [3.0]])
    graph = Graph.of(*nearest_others(u, 2))  # widths: 3, 2, 3
    w01, w02, w12 = np.exp(-1.5 * np.array([1 / 6, 9 / 9, 4 / 6]))
    dense = np.array([[0, w01, w02], [w01, 0, w12], [w02, w12, 0]])
    np.testing.assert_allclose(graph.degrees, dense.sum(1), rtol=1e-6)
    np.testing.assert_allclose(graph.averaging.toarray(), dense / dense.sum(1)[:, None], rtol=1e-5)
    root = np.sqrt(dense.sum(1))
    np.testing.assert_allclose(graph.symmetric.toarray(), dense / root[:, None] / root, rtol=1e-5)


def test_one_sided_neighbours_count_half() -> None:
    near, squares = nearest_others(torch.tensor([[0.0], [1.0], [1.5], [9.0]]), 1)
    graph = Graph.of(near, squares)  # 9 sees 1.5, which sees 1
    w = np.exp(-1.5 * 7.5**2 / (7.5 * 0.5)) / 2
    assert graph.degrees[3] == pytest.approx(max(w, 0.5e-4))


def test_labels_spread_as_the_closed_form_says() -> None:
    graph = chain()
    rows, labels = (
        np.array([0, 2, 5]),
        np.array([0, 0, 1]),
    )  # the first class has an image with few ties and one with more
    labeled = np.zeros((6, 2))
    labeled[rows, labels] = 1
    fixed = np.linalg.solve(np.eye(6) - 0.99 * graph.symmetric.toarray(), 0.01 * labeled)
    # 100 steps of a small graph come near to the fixed point; the rest is 0.99^100 of what the start lacked
    start = fixed + np.linalg.matrix_power(0.99 * graph.symmetric.toarray(), 100) @ (labeled - fixed)
    expected = balanced(start / start.sum(1, keepdims=True), np.array([0.5, 0.5]), 50)
    np.testing.assert_allclose(spread(graph, rows, labels, np.array([0.5, 0.5], np.float32)), expected, atol=1e-5)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.25, 0.75)])
def test_spread_beliefs_have_the_classes_shares(shares: tuple[float, float]) -> None:
    beliefs = spread(chain(), np.array([0, 5]), np.array([0, 1]), np.array(shares, np.float32))
    np.testing.assert_allclose(beliefs.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(beliefs.mean(0), shares, atol=1e-3)


def test_what_no_label_reaches_is_as_likely_of_any_class_as_the_shares_say() -> None:
    apart = torch.cat([torch.arange(5.0), 1000 + torch.arange(5.0), 5000 + torch.arange(5.0)])[:, None]
    graph = Graph.of(*nearest_others(apart, 2))
    beliefs = spread(graph, np.array([0, 7]), np.array([0, 1]), np.array([0.5, 0.5], np.float32))
    np.testing.assert_allclose(beliefs[10:], 0.5, atol=1e-4)
    assert (beliefs[:5, 0] > 0.99).all()
    assert (beliefs[5:10, 1] > 0.99).all()


@pytest.mark.parametrize("faiss", [True, False])
def test_many_equal_rows_neither_break_the_search_nor_count_as_missed(
    faiss: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(neighbour_graph, "EXACT", 100)
    if not faiss:
        monkeypatch.setitem(sys.modules, "faiss", None)
    u = torch.nn.functional.normalize(groups(4000, 8))
    u[torch.arange(4000) % 10 < 9] = u[0].clone()  # 90 % are one and the same
    with caplog.at_level("INFO", neighbour_graph.__name__):
        near, squares = nearest_others(u)
    assert np.isfinite(Graph.of(near, squares).averaging.data).all()
    assert not (near == np.arange(4000)[:, None]).any()
    assert "recall 0.99" in caplog.text or "recall 1.0" in caplog.text
    assert np.abs(squares[1]).max() < 1e-4
