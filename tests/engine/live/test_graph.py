from __future__ import annotations

import sys

import numpy as np
import pytest

from engine.live import graph as graphs
from engine.live.graph import Floats, Graph, Ints, balanced, nearest_others, spread


def groups(count: int, width: int = 8, seed: int = 0) -> Floats:
    """Rows around 40 centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(40, width))
    return (centres[np.arange(count) % 40] + 0.3 * rng.normal(size=(count, width))).astype(np.float32)


def unit_rows(count: int, width: int = 8, seed: int = 0) -> Floats:
    rows = groups(count, width, seed)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def column(*values: float) -> Floats:
    return np.array(values, np.float32)[:, None]


def sorted_by_distance(u: Floats) -> tuple[Ints, Floats]:
    """Each row's others, nearest first, and squared distances."""
    wide = u.astype(np.float64)
    apart = np.stack([((wide - row) ** 2).sum(1) for row in wide])
    np.fill_diagonal(apart, np.inf)
    order = apart.argsort(1)
    return order, np.take_along_axis(apart, order, 1).astype(np.float32)


def chain() -> Graph:
    """Six images in a row, each the neighbour of the next two."""
    return Graph.of(*nearest_others(column(0.0, 1.0, 2.2, 3.6, 5.2, 7.0), 2))


def test_neighbours_are_exact_and_leave_the_row_itself_out() -> None:
    u = groups(500)
    near, squares = nearest_others(u)
    true = sorted_by_distance(u)
    assert (near == true[0][:, :10]).all()
    np.testing.assert_allclose(squares, true[1][:, :10], rtol=1e-5)


def test_equal_rows_are_neighbours_of_each_other_and_never_of_themselves() -> None:
    u = np.concatenate([np.ones((15, 3), np.float32), groups(30, 3)])
    near, squares = nearest_others(u)
    assert not (near == np.arange(45)[:, None]).any()
    assert (near[:15] < 15).all()
    assert np.isfinite(Graph.of(near, squares).averaging.data).all()


def test_few_rows_have_fewer_neighbours() -> None:
    assert nearest_others(groups(4))[0].shape == (4, 3)


@pytest.mark.parametrize("faiss", [True, False])
def test_above_the_exact_limit_nearly_all_neighbours_are_found(faiss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "EXACT", 100)
    monkeypatch.setattr(graphs, "PROBES", 1)
    if not faiss:
        monkeypatch.setitem(sys.modules, "faiss", None)  # as where it is not installed
    u = groups(3000, 16)
    near, squares = nearest_others(u)
    true = sorted_by_distance(u)
    assert (near[:, :, None] == true[0][:, None, :10]).any(2).mean() > 0.99
    assert (np.diff(squares, axis=1) >= 0).all()
    assert not (near == np.arange(3000)[:, None]).any()


def test_edges_weigh_by_distance_over_both_widths_and_are_symmetric() -> None:
    u = column(0.0, 1.0, 3.0)
    graph = Graph.of(*nearest_others(u, 2))  # widths: 3, 2, 3
    w01, w02, w12 = np.exp(-1.5 * np.array([1 / 6, 9 / 9, 4 / 6]))
    dense = np.array([[0, w01, w02], [w01, 0, w12], [w02, w12, 0]])
    np.testing.assert_allclose(graph.degrees, dense.sum(1), rtol=1e-6)
    np.testing.assert_allclose(graph.averaging.toarray(), dense / dense.sum(1)[:, None], rtol=1e-5)
    root = np.sqrt(dense.sum(1))
    np.testing.assert_allclose(graph.symmetric.toarray(), dense / root[:, None] / root, rtol=1e-5)


def test_one_sided_neighbours_count_half() -> None:
    near, squares = nearest_others(column(0.0, 1.0, 1.5, 9.0), 1)
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
    apart = column(*range(5), *range(1000, 1005), *range(5000, 5005))
    graph = Graph.of(*nearest_others(apart, 2))
    beliefs = spread(graph, np.array([0, 7]), np.array([0, 1]), np.array([0.5, 0.5], np.float32))
    np.testing.assert_allclose(beliefs[10:], 0.5, atol=1e-4)
    assert (beliefs[:5, 0] > 0.99).all()
    assert (beliefs[5:10, 1] > 0.99).all()


@pytest.mark.parametrize("faiss", [True, False])
def test_many_equal_rows_neither_break_the_search_nor_count_as_missed(
    faiss: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graphs, "EXACT", 100)
    if not faiss:
        monkeypatch.setitem(sys.modules, "faiss", None)
    u = unit_rows(4000)
    u[np.arange(4000) % 10 < 9] = u[0].copy()  # 90 % are one and the same
    with caplog.at_level("INFO", graphs.__name__):
        near, squares = nearest_others(u)
    assert np.isfinite(Graph.of(near, squares).averaging.data).all()
    assert not (near == np.arange(4000)[:, None]).any()
    assert "recall 0.99" in caplog.text or "recall 1.0" in caplog.text
    assert np.abs(squares[1]).max() < 1e-4


@pytest.mark.parametrize("old", [4, 300, 499])
def test_a_graph_with_added_rows_is_that_of_all_rows_to_the_last_bit(old: int) -> None:
    u = unit_rows(500)
    anew = Graph.of(*nearest_others(u))
    added = Graph.of(*nearest_others(u[:old])).with_rows(u)
    np.testing.assert_array_equal(added.near, anew.near)
    np.testing.assert_array_equal(added.squares, anew.squares)
    np.testing.assert_array_equal(added.symmetric.toarray(), anew.symmetric.toarray())
    np.testing.assert_array_equal(added.averaging.toarray(), anew.averaging.toarray())
    np.testing.assert_array_equal(added.degrees, anew.degrees)


def test_rows_added_one_after_the_other_are_as_if_added_at_once() -> None:
    u = unit_rows(60)
    graph = Graph.of(*nearest_others(u[:50]))
    at_once = graph.with_rows(u)
    for count in range(51, 61):
        graph = graph.with_rows(u[:count])
    np.testing.assert_array_equal(graph.near, at_once.near)
    np.testing.assert_array_equal(graph.degrees, at_once.degrees)


def test_an_added_row_like_many_old_ones_pushes_none_of_them_out() -> None:
    u = np.concatenate([np.repeat(unit_rows(1), 12, 0), unit_rows(30, seed=1)])
    graph = Graph.of(*nearest_others(u)).with_rows(np.concatenate([u, u[:1]]))
    assert (graph.near[:12] < 12).all()
    assert (graph.near[42] < 12).all()
